"""Partitions: every patient in exactly one site, the skew that was asked for, sound MEDS roots."""

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from client.ehr.meds_root import RootScan, checked_batches, open_root
from client.ehr.request import ShardRequest, SourceName
from simulations.chapters import dominant_chapters, icd_chapter
from simulations.cli import app
from simulations.partition import partition_by_label, partition_by_quantity, partition_iid
from simulations.partition_roots import find_roots, label_patients, summarise_skew
from simulations.synthetic.build import build_generator
from simulations.synthetic.hospitals import write_hospitals
from simulations.synthetic.parameters import HospitalParameters
from wardlaw.errors import ConfigError, DataError


def labelled(counts):
    labels = [name for name, count in counts.items() for _ in range(count)]
    return {1000 + 7 * place: label for place, label in enumerate(labels)}


def all_kinds(subjects, labels, sites, alpha, seed, minimum):
    return (
        partition_iid(subjects, sites, seed=seed, minimum=minimum),
        partition_by_quantity(subjects, sites, alpha=alpha, seed=seed, minimum=minimum),
        partition_by_label(labels, sites, alpha=alpha, seed=seed, minimum=minimum),
    )


@given(
    st.lists(st.sampled_from("abcdef"), min_size=40, max_size=120),
    st.integers(1, 8),
    st.floats(1e-3, 1e3),
    st.integers(0, 10),
)
def test_every_patient_is_in_exactly_one_site_of_at_least_the_minimum(names, sites, alpha, seed):
    labels = dict(enumerate(names, start=5))
    subjects = np.array(list(labels), dtype=np.int64)
    for divided in all_kinds(subjects, labels, sites, alpha, seed, 5):
        assert len(divided) == sites
        assert min(map(len, divided.values())) >= 5
        assert Counter(np.concatenate(list(divided.values())).tolist()) == Counter(subjects.tolist())


def test_only_the_set_of_patients_and_the_seed_decide():
    labels = labelled({"a": 60, "b": 40, "c": 20})
    subjects = np.array(list(labels), dtype=np.int64)
    mixed = np.random.default_rng(0).permutation(subjects)
    first = all_kinds(subjects, labels, 4, 0.5, 3, 2)
    same = all_kinds(mixed, {int(s): labels[int(s)] for s in mixed}, 4, 0.5, 3, 2)
    other = all_kinds(subjects, labels, 4, 0.5, 4, 2)
    for one, two, three in zip(first, same, other, strict=True):
        assert all(np.array_equal(one[site], two[site]) for site in one)
        assert any(not np.array_equal(one[site], three[site]) for site in one)


def distances(labels, alpha, seeds=range(8)):
    found = []
    for seed in seeds:
        skew = summarise_skew(partition_by_label(labels, 4, alpha=alpha, seed=seed), labels)
        found += [site["label_distance"] for site in skew.values()]
    return np.mean(found)


def test_label_skew_falls_with_the_concentration():
    labels = labelled({"a": 400, "b": 300, "c": 200, "d": 100})
    chance = np.mean(
        [
            site["label_distance"]
            for seed in range(8)
            for site in summarise_skew(partition_iid(np.array(sorted(labels)), 4, seed=seed), labels).values()
        ]
    )
    skews = [distances(labels, alpha) for alpha in (0.05, 0.5, 5, 5000)]
    assert skews == sorted(skews, reverse=True)
    assert skews[0] > 0.5
    assert skews[-1] == pytest.approx(chance, abs=0.02)


def test_label_mixes_follow_the_dirichlet_of_the_paper():
    """Of two labels of equal share, a site's share of one has the variance of Beta(alpha/2, alpha/2)."""
    labels = labelled({"a": 60, "b": 60})
    alpha = 4.0
    shares = []
    for seed in range(300):
        site = partition_by_label(labels, 6, alpha=alpha, seed=seed)["site-00"]
        shares.append(np.mean([labels[subject] == "a" for subject in site.tolist()]))
    # Beta(2, 2) has variance 1/20, to which 20 draws add the mean of q (1 - q) / 20.
    assert np.var(shares) == pytest.approx(1 / 20 + (1 / 4 - 1 / 20) / 20, rel=0.2)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.05)


def test_quantity_skew_falls_with_the_concentration():
    subjects = np.arange(1000)
    spread = [
        np.mean(
            [
                np.std([len(s) for s in partition_by_quantity(subjects, 5, alpha=a, seed=n).values()])
                for n in range(10)
            ]
        )
        for a in (0.2, 2, 2000)
    ]
    assert spread == sorted(spread, reverse=True)
    assert spread[0] > 150
    assert spread[2] < 10


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: partition_iid(np.arange(10), 3, seed=0, minimum=4), DataError, "10 patients are too few"),
        (lambda: partition_iid(np.array([1, 1, 2]), 1, seed=0), DataError, "come twice"),
        (lambda: partition_iid(np.arange(10), 0, seed=0), ConfigError, "0 sites"),
        (lambda: partition_by_quantity(np.arange(10), 2, alpha=0, seed=0), ConfigError, "--alpha"),
        (lambda: partition_by_label({1: "a"}, 1, alpha=float("nan"), seed=0), ConfigError, "--alpha"),
    ],
)
def test_what_cannot_be_divided_is_one_clear_error(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize(
    ("code", "chapter"),
    [
        ("DIAGNOSIS//ICD//10//A419", "A00-B99"),
        ("DIAGNOSIS//ICD//10//D489", "C00-D49"),
        ("DIAGNOSIS//ICD//10//D509", "D50-D89"),
        ("DIAGNOSIS//ICD//10//H599", "H00-H59"),
        ("DIAGNOSIS//ICD//10//H6090", "H60-H95"),
        ("DIAGNOSIS//ICD//10//T8119XA", "S00-T88"),
        ("DIAGNOSIS//ICD//10//W19XXXA", "V00-Y99"),
        ("DIAGNOSIS//ICD//10//I50.9", "I00-I99"),
        ("DIAGNOSIS//ICD//9//0389", "A00-B99"),
        ("DIAGNOSIS//ICD//9//25000", "E00-E89"),
        ("DIAGNOSIS//ICD//9//2851", "D50-D89"),
        ("DIAGNOSIS//ICD//9//V4581", "Z00-Z99"),
        ("DIAGNOSIS//ICD//9//E8788", "V00-Y99"),
        ("DIAGNOSIS//ICD//9//7806", "R00-R99"),
        ("PROCEDURE//ICD//10//02HV33Z", None),
        ("PROCEDURE//ICD//9//3893", None),
        ("DIAGNOSIS//PATH//cardiovascular", None),
        ("GENDER//F", None),
    ],
)
def test_chapters_of_codes(code, chapter):
    assert icd_chapter(code) == chapter


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("partition") / "hospitals"
    generator = build_generator(HospitalParameters(sites=2, patients=60, states=10))
    write_hospitals(folder, generator, lambda site, patients: None)
    return folder


def test_dominant_chapter_is_the_most_frequent_of_the_patient(hospitals):
    root = find_roots(hospitals)[0]
    labels = dict(dominant_chapters(root).iter_rows())
    events = pl.read_parquet(root.files)
    assert set(labels) == set(events["subject_id"])
    for subject in list(labels)[:40]:
        codes = events.filter(pl.col("subject_id") == subject)["code"]
        counts = Counter(chapter for code in codes if (chapter := icd_chapter(code)))
        most = max(counts.values(), default=0)
        expected = min((name for name, count in counts.items() if count == most), default="none")
        assert labels[subject] == expected


@pytest.mark.parametrize("by", ["iid", "dirichlet", "quantity"])
def test_command_writes_sound_roots_with_the_same_rows_and_splits(hospitals, tmp_path, by):
    out = tmp_path / "out"
    arguments = [
        "partition",
        "--meds",
        str(hospitals),
        "--out",
        str(out),
        "--by",
        by,
        "--sites",
        "3",
        "--json",
    ]
    result = CliRunner().invoke(app, [*arguments, "--minimum", "10"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["skew"]
    before = [
        pl.read_parquet(root.files).with_columns(root=number)
        for number, root in enumerate(find_roots(hospitals))
    ]
    kept = pl.concat([root.splits for root in find_roots(hospitals)])
    after, splits, subjects = [], [], set()
    for path in sorted(out.iterdir()):
        root, scan = open_root(path), RootScan()
        for _ in checked_batches(root, scan):
            pass
        assert scan.codes == set(root.codes["code"])
        assert (
            told[path.name]["patients"] == len(scan.subjects) == sum(told[path.name]["labels"].values()) >= 10
        )
        assert not subjects & scan.subjects
        subjects |= scan.subjects
        assert "synthetic" in root.dataset["dataset_name"]
        after.append(pl.read_parquet(root.files))
        splits.append(root.splits)
    columns = ["subject_id", "time", "code", "numeric_value"]
    merged_before = pl.concat(before).select(columns).sort("subject_id", maintain_order=True)
    merged_after = pl.concat(after).select(columns).sort("subject_id", maintain_order=True)
    assert merged_after.equals(merged_before)
    assert pl.concat(splits).sort("subject_id").equals(kept.sort("subject_id"))


def test_one_id_at_two_roots_is_refused(hospitals, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(hospitals / "hospital-00", target_is_directory=True)
    with pytest.raises(DataError, match="60 subject ids are in more than one root"):
        label_patients(find_roots(tmp_path))


def test_a_folder_without_roots_is_refused(tmp_path):
    with pytest.raises(DataError, match="neither a MEDS root"):
        find_roots(tmp_path)


def test_real_patients_are_divided_by_chapter(shared_data, tmp_path):
    from client.ehr.command import shard_source

    meds = tmp_path / "meds"
    shard_source(ShardRequest(SourceName.MIMIC_IV, shared_data / "ehr" / "mimic-iv-demo-2.2", meds))
    labels = label_patients(find_roots(meds))
    assert len(labels) == 100
    assert Counter(labels.values()).most_common(1)[0][0] == "I00-I99"
    skew = summarise_skew(partition_by_label(labels, 4, alpha=0.1, seed=0, minimum=20), labels)
    assert min(site["label_distance"] for site in skew.values()) > 0.2
