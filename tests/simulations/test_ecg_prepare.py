"""Federations of signal shards: one fingerprint, no signal on two sides."""

import json
from dataclasses import replace

import pytest
import typer
from typer.testing import CliRunner

from client.ecg.request import ShardSettings
from client.ecg.shard import SPLITS, SignalShard
from client.ecg.shard_writer import write_shard
from client.ecg.sources.wfdb import list_wfdb, read_wfdb
from client.ecg.synthetic.record import synthetic_record
from client.ecg.synthetic.site import Device, SyntheticSite
from simulations.ecg import commands
from simulations.ecg.prepare import find_shards, open_together, shared_records
from simulations.federation_folder import load_federation, site_folder
from wardlaw.config import load_site_policy
from wardlaw.errors import ConfigError, DataError, ShardError
from wardlaw.files import file_sha256

app = typer.Typer()
app.command()(commands.prepare_ecg)


def records(site, count=12):
    settings = SyntheticSite(site=site, patients=count, seconds=4, device=Device(rate=100))
    return [synthetic_record(settings, number) for number in range(count)]


def write(folder, made, site, rate=100.0):
    write_shard(folder, made, ShardSettings(rate=rate), site=site, source="synthetic", synthetic=True)
    return SignalShard.open(folder)


def prepare(out, *arguments):
    result = CliRunner().invoke(app, list(map(str, ["--out", out, *arguments])), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def in_split(shard, split):
    return shard.split(split).records[0]


@pytest.fixture
def shards(tmp_path):
    for site in "ab":
        write(tmp_path / "shards" / site, records(site), site)
    return tmp_path / "shards"


def add_shared(shards, *splits):
    """Site c: b's first record of each split named, all of them in c's train split."""
    b = SignalShard.open(shards / "b")
    copied = [synthetic_record_named(in_split(b, split)) for split in splits]
    own = records("c", 11 - len(copied))
    for attempt in range(50):
        named = [
            replace(record, name=f"copy-{attempt}-{n}", patient=f"copy-{attempt}-{n}")
            for n, record in enumerate(copied)
        ]
        write(shards / "c", [*own, *named], "c")
        if {record.name for record in named} <= set(SignalShard.open(shards / "c").split("train").records):
            return [record.name for record in named]
        for path in (shards / "c").iterdir():
            path.unlink()
    raise AssertionError("no name puts the copies into train")


def synthetic_record_named(name):
    site, number = name.rsplit("-", 1)
    return records(site)[int(number)]


def test_sites_point_to_their_shards(shards, tmp_path):
    result = prepare(tmp_path / "fed", "--shards", shards, "--json")
    manifest = load_federation(tmp_path / "fed")
    assert json.loads(result.stdout)["sites"] == manifest.sites
    assert (manifest.scheme, manifest.synthetic, sorted(manifest.sites)) == ("ecg", True, ["a", "b"])
    for site in "ab":
        policy = load_site_policy(site_folder(tmp_path / "fed", site) / "site.toml")
        assert policy.site == site
        shard = SignalShard.open(policy.tokens, tokenizer=manifest.tokenizer)
        assert shard.folder.resolve() == (shards / site).resolve()
        assert manifest.sites[site] == file_sha256(shard.folder / "manifest.json")
    with pytest.raises(DataError, match="is there already"):
        prepare(tmp_path / "fed", "--shards", shards)


def test_single_shards_can_be_named(shards, tmp_path):
    prepare(tmp_path / "fed", "--shard", shards / "a", "--shard", shards / "b")
    assert sorted(load_federation(tmp_path / "fed").sites) == ["a", "b"]
    with pytest.raises(ConfigError, match="--shards"):
        prepare(tmp_path / "none")
    with pytest.raises(DataError, match="no signal shard"):
        prepare(tmp_path / "none", "--shards", tmp_path / "fed")


def test_shards_that_do_not_go_together_are_refused(shards, tmp_path):
    with pytest.raises(ShardError, match="two shards are of site a"):
        prepare(tmp_path / "fed", "--shards", shards, "--shard", shards / "a")
    write(shards / "c", records("c"), "c", rate=50.0)
    with pytest.raises(ShardError, match=r"a: 100 Hz, b: 100 Hz, c: 50 Hz.*--rate"):
        prepare(tmp_path / "fed", "--shards", shards)
    assert not (tmp_path / "fed").exists()


def test_a_signal_in_two_splits_is_refused_or_dropped(shards, tmp_path):
    (leak,) = add_shared(shards, "held_out")
    with pytest.raises(DataError, match=rf"b/b-\d+ \(held_out\) = c/{leak} \(train\).*--drop-shared"):
        prepare(tmp_path / "fed", "--shards", shards)
    result = prepare(tmp_path / "fed", "--shards", shards, "--drop-shared")
    assert "dropped: b/" in result.stderr
    policy = load_site_policy(site_folder(tmp_path / "fed", "c") / "site.toml")
    before, after = SignalShard.open(shards / "c"), SignalShard.open(policy.tokens)
    assert after.folder.resolve().is_relative_to(tmp_path / "fed")
    for split in SPLITS:
        assert set(after.split(split).records) == set(before.split(split).records) - {leak}
    manifest = load_federation(tmp_path / "fed")
    assert manifest.sites["c"] == file_sha256(policy.tokens / "manifest.json")


def test_a_signal_that_both_train_on_is_told(shards, tmp_path):
    (shared,) = add_shared(shards, "train")
    result = prepare(tmp_path / "fed", "--shards", shards)
    assert f"= c/{shared} (train)" in result.stderr


def test_the_real_records_that_two_databases_share_are_found(shared_data, tmp_path):
    for folder, keep in (("cinc2021/cpsc2018_extra", "Q0048"), ("cpsc2018_text_dx", "A0101")):
        references = [r for r in list_wfdb(shared_data / "ecg" / folder, None, "") if r.name[-2:] in keep]
        made = [record for record in map(read_wfdb, references) if keep in record.name]
        write(tmp_path / keep, made, keep)
    (pair,) = shared_records(open_together(find_shards(tmp_path)))
    assert {pair.first.record, pair.later.record} == {"Q0048", "A0101"}
