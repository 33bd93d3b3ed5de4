"""``wardlaw client shard ecg``: sources to shards, in parallel, again after a kill, and its errors."""

import csv
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import typer
import wfdb
from scipy.io import loadmat
from typer.testing import CliRunner

from client.ecg import spool
from client.ecg.command import shard_ecg
from client.ecg.convert import shard_source
from client.ecg.record import LEADS, EcgRecord, Quarantined
from client.ecg.request import ShardRequest, ShardSettings
from client.ecg.shard import SPLITS, SignalShard
from client.ecg.spool import parts_folder, spooled
from wardlaw.errors import ConfigError, DataError, WardlawError
from wardlaw.seeds import generator

app = typer.Typer()
app.command()(shard_ecg)


def noise(number: int, samples: int = 1000) -> np.ndarray:
    """Synthetic 12 leads in mV that keep Einthoven's and Goldberger's relations."""
    free = np.cumsum(generator(3, "command-test", number).normal(scale=0.02, size=(samples, 8)), axis=0)
    one, two = free[:, 0], free[:, 1]
    limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
    return np.stack([*limbs, *free[:, 2:].T], axis=1)


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """Twelve synthetic records of two wards in the plain array format, one of them flat."""
    folder = tmp_path / "arrays"
    folder.mkdir()
    signals = np.stack([noise(number) for number in range(12)]).astype(np.float32)
    signals[7, :, 3] = 0.0
    np.save(folder / "signals.npy", signals)
    (folder / "source.toml").write_text("rate = 200\n")
    with (folder / "records.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["record", "patient", "age", "sex", "diagnoses", "ward"])
        for number in range(12):
            rows.writerow(
                [f"r{number}", f"p{number // 2}", 50, "male", "426783006", "North 1" if number < 8 else ""]
            )
    return folder


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, WardlawError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_an_array_source_becomes_a_shard(arrays: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--source", "array", "--input", arrays, "--out", out, "--site", "north", "--workers", 1)
    told = json.loads(run(*options, "--json"))
    assert (told["records-read"], told["records"], told["quarantined"]) == (12, 11, {"flat-lead": 1})
    shard = SignalShard.open(out)
    assert (shard.manifest.site, shard.manifest.synthetic) == ("north", False)
    assert shard.manifest.source == "array: arrays"
    assert (out / "quarantine.csv").read_text().splitlines()[1].startswith("r7,flat-lead,aVR")
    names = [str(name) for split in SPLITS for name in shard.split(split).records]
    assert sorted(names) == sorted(f"r{number}" for number in range(12) if number != 7)
    assert sum(int(shard.split(split).samples.sum()) for split in SPLITS) == 11 * 500
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["arrays", "out"]


def test_a_column_divides_into_sites_and_processes_change_nothing(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--source", "array", "--input", arrays, "--site-column", "ward", "--out")
    text = run(*options, tmp_path / "one", "--workers", 1)
    assert "north-1" in text
    assert "1 not taken: flat-lead" in text
    monkeypatch.setattr(spool, "PART_RECORDS", 5)
    run(*options, tmp_path / "two", "--workers", 2)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["north-1", "unknown"]
    for path in (tmp_path / "one").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()
    assert SignalShard.open(tmp_path / "one" / "north-1").manifest.quarantined == {"flat-lead": 1}
    run(*options, tmp_path / "three", "--workers", 1, "--site", "clinic")
    assert SignalShard.open(tmp_path / "three" / "clinic-unknown").manifest.records_read == 4


@dataclass(frozen=True)
class Numbered:
    """Reference to a record that a test makes."""

    name: str
    site: str = "a"


def counted(read: list[str]) -> Callable[[Numbered], EcgRecord | Quarantined]:
    def read_one(reference: Numbered) -> EcgRecord | Quarantined:
        read.append(reference.name)
        number = int(reference.name)
        if number == 4:
            return Quarantined(reference.name, "unreadable")
        digital = np.rint(noise(number) * 1000).astype(np.int32)
        return EcgRecord(reference.name, reference.name, digital, np.full(12, 1e3), np.zeros(12), 100.0)

    return read_one


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PART_RECORDS", 2)
    references = [Numbered(str(number)) for number in range(7)]
    request = ShardRequest("made", tmp_path / "in", tmp_path / "out", "a")
    read: list[str] = []

    def killed(done: int) -> None:
        if len(read) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        spooled(request, references, counted(read), killed)
    assert read == ["0", "1", "2", "3"]
    told: list[int] = []
    paths = spooled(request, references, counted(read), told.append)
    assert read == ["0", "1", "2", "3", "4", "5", "6"]
    assert told == [4, 2, 1]
    assert len(paths) == len(list(paths[0].parent.iterdir())) == 4


def test_parts_of_another_request_or_of_a_source_that_changed_are_not_used(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    references = [Numbered(str(number)) for number in range(3)]
    request = ShardRequest("made", tmp_path / "in", tmp_path / "out", "a")
    first = parts_folder(request, references)
    assert first == parts_folder(replace(request, workers=4, site="b"), references)
    others = [
        parts_folder(replace(request, settings=ShardSettings(rate=125)), references),
        parts_folder(request, references[:2]),
    ]
    (tmp_path / "in" / "new.dat").write_text("new")
    others.append(parts_folder(request, references))
    assert len({first, *others}) == 4
    first.mkdir()
    (first / "000000.arrow").write_text("old")
    spooled(request, references, counted([]), lambda done: None)
    assert not first.exists()


def test_wrong_requests_are_one_clear_error(arrays: Path, tmp_path: Path) -> None:
    request = ShardRequest("array", arrays, tmp_path / "out", "a")
    with pytest.raises(ConfigError, match=r"--source: no source dicom. One of wfdb"):
        shard_source(replace(request, source="dicom"), lambda done, total: None)
    with pytest.raises(ConfigError, match="--site: names no site"):
        shard_source(replace(request, site=""), lambda done, total: None)
    with pytest.raises(ConfigError, match="no column nowhere"):
        shard_source(replace(request, site_column="nowhere"), lambda done, total: None)
    with pytest.raises(DataError, match=r"arrays: is not empty"):
        shard_source(replace(request, out=arrays), lambda done, total: None)
    with pytest.raises(DataError):
        shard_source(replace(request, folder=tmp_path / "absent"), lambda done, total: None)
    assert [path.name for path in tmp_path.iterdir()] == ["arrays"]


def test_shared_records_all_load_and_equal_wfdbs_to_the_last_step(shared_data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    request = ShardRequest(
        "wfdb", shared_data / "ecg", out, "all", settings=ShardSettings(rate=500, max_seconds=200)
    )
    shard_source(request, lambda done, total: None)
    manifest = SignalShard.open(out).manifest
    assert manifest.records_read == 327
    assert manifest.repairs["record-name"] == 44
    assert manifest.quarantined == {"duplicate": 2}
    compared = {"scipy": 0, "wfdb": 0}
    for split in map(SignalShard.open(out).split, SPLITS):
        for row, name in enumerate(split.records):
            if "/ptb/" in str(name):
                continue  # 1000 Hz.
            path = shared_data / "ecg" / str(name)
            first = split.first_sample[row]
            digital = split.digital[first : first + split.samples[row]]
            np.testing.assert_array_equal(digital, loadmat(f"{path}.mat")["val"].T)
            compared["scipy"] += 1
            if "/georgia/" in str(name) or row % 8:
                continue  # Georgia: headers that wfdb refuses.
            source = wfdb.rdrecord(str(path))
            assert [lead.lower() for lead in source.sig_name] == [lead.lower() for lead in LEADS]
            np.testing.assert_allclose(
                split.crop(row, 0, len(digital)), source.p_signal, rtol=1e-6, atol=1e-7
            )
            compared["wfdb"] += 1
    assert compared["scipy"] == 327 - 2 - 10
    assert compared["wfdb"] > 20


@pytest.mark.slow
def test_a_command_killed_outright_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    source = tmp_path / "arrays"
    (source / "signals").mkdir(parents=True)
    (source / "source.toml").write_text("rate = 200\n")
    rows = ["record,patient,age,sex,diagnoses"]
    for number in range(2000):
        np.save(source / "signals" / f"r{number}.npy", noise(number).astype(np.float32))
        rows.append(f"r{number},,,,")
    (source / "records.csv").write_text("\n".join(rows) + "\n")
    options = ["--source", "array", "--input", str(source), "--site", "a", "--workers", "2", "--out"]
    command = [
        sys.executable,
        "-c",
        "from wardlaw.cli import main; main()",
        "client",
        "shard",
        "ecg",
        *options,
        str(tmp_path / "out"),
    ]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".out.parts-*/*.arrow")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    assert len(children) >= 2
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".out.parts-*/*.arrow")}
    assert 0 < len(done) < 20
    run(*options, tmp_path / "whole")
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in done.items())
    subprocess.run(command, check=True)
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["arrays", "out", "whole"]
