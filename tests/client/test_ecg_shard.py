"""The shard as a whole: what goes in comes out, in any order, and nothing else is accepted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from client.ecg.classes import CLASSES, SINUS, class_of
from client.ecg.record import EcgRecord, Quarantined
from client.ecg.request import ShardSettings
from client.ecg.shard import SPLITS, SignalShard, SignalSplit
from client.ecg.shard_writer import write_shard
from wardlaw.errors import DataError, ShardError
from wardlaw.seeds import generator

AF = "164889003"


def twelve(two: NDArray[np.integer]) -> NDArray[np.int32]:
    """Twelve leads from I, II and V1 to V6, by Einthoven's and Goldberger's equations, in whole steps."""
    one, second = two[:, 0] * 2, two[:, 1] * 2
    third = second - one
    limbs = [one, second, third, -(one + second) // 2, (one - third) // 2, (second + third) // 2]
    return np.stack([*limbs, *two[:, 2:].T], axis=1).astype(np.int32)


def made(number: int, seconds: float = 10.0, rate: float = 100.0, **fields: object) -> EcgRecord:
    """A record of noise that is smooth enough to look like a signal (synthetic)."""
    rng = generator(7, "shard-test", number)
    steps = np.cumsum(rng.integers(-30, 31, (round(seconds * rate), 8)), axis=0)
    steps -= steps.mean(axis=0).astype(np.int64)
    record = EcgRecord(
        name=f"r{number:03}",
        patient=f"p{number // 2:03}",
        digital=twelve(steps),
        gain=np.full(12, 1000.0),
        baseline=np.zeros(12),
        rate=rate,
        age=40.0 + number,
        sex="female" if number % 2 else "male",
        diagnoses=(SINUS,) if number % 3 else (AF, "164884008"),
    )
    return replace(record, **fields)  # type: ignore[arg-type]


def written(folder: Path, records: list[EcgRecord | Quarantined], **settings: object) -> SignalShard:
    write_shard(
        folder,
        records,
        ShardSettings(**settings),  # type: ignore[arg-type]
        site="a",
        source="synthetic noise",
        synthetic=True,
    )
    return SignalShard.open(folder)


def by_name(shard: SignalShard) -> dict[str, tuple[SignalSplit, int]]:
    splits = [shard.split(name) for name in SPLITS]
    return {str(name): (split, row) for split in splits for row, name in enumerate(split.records)}


@pytest.fixture
def records() -> list[EcgRecord | Quarantined]:
    gain, baseline = np.repeat([1000.0, 204.7, 4880.0], [6, 3, 3]), np.arange(12)
    return [
        replace(record, digital=record.digital + baseline.astype(np.int32), gain=gain, baseline=baseline)
        for record in map(made, range(40))
    ]


@pytest.fixture
def shard(tmp_path: Path, records: list[EcgRecord | Quarantined]) -> SignalShard:
    return written(tmp_path / "shard", records)


def test_integers_come_back_as_they_were_with_all_that_is_known(
    shard: SignalShard, records: list[EcgRecord]
) -> None:
    stored = by_name(shard)
    assert len(stored) == 40
    for record in records:
        split, row = stored[record.name]
        first = split.first_sample[row]
        np.testing.assert_array_equal(split.digital[first : first + split.samples[row]], record.digital)
        np.testing.assert_array_equal(split.gain[row], record.gain.astype(np.float32))
        np.testing.assert_array_equal(split.baseline[row], record.baseline)
        assert (split.patients[row], split.age[row], split.sex[row]) == (
            record.patient,
            record.age,
            record.sex,
        )
        assert split.diagnoses[row] == record.diagnoses
        expected = {class_of(code) for code in record.diagnoses} - {None}
        assert set(np.flatnonzero(split.labels[row])) == expected


def test_a_crop_is_in_millivolts_and_goes_on_with_zeros(shard: SignalShard, records: list[EcgRecord]) -> None:
    split, row = by_name(shard)["r005"]
    whole = records[5].millivolts()
    np.testing.assert_allclose(split.crop(row, 100, 512), whole[100:612], rtol=1e-6, atol=1e-6)
    late = split.crop(row, 900, 512)
    np.testing.assert_allclose(late[:100], whole[900:], rtol=1e-6, atol=1e-6)
    assert late.shape == (512, 12)
    assert late.dtype == np.float32
    assert not late[100:].any()
    assert not split.crop(row, 1000, 8).any()
    for start in (-1, 1001):
        with pytest.raises(IndexError, match=f"no sample {start}"):
            split.crop(row, start, 8)


def test_signals_are_views_of_the_file_and_not_to_be_written(shard: SignalShard) -> None:
    digital = shard.split("train").digital
    assert not digital.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        digital[0] = 0


def test_a_shard_does_not_depend_on_the_order_of_reading(
    tmp_path: Path, shard: SignalShard, records: list[EcgRecord | Quarantined]
) -> None:
    again = written(tmp_path / "again", records[::-1])
    for path in shard.folder.iterdir():
        assert path.read_bytes() == (again.folder / path.name).read_bytes(), path.name


def test_the_manifest_counts_and_lists_what_was_not_taken(tmp_path: Path) -> None:
    twin = replace(made(3), name="x-twin", patient="p099")
    bad = Quarantined("broken", "unreadable", "no such file")
    mended = replace(made(4), repairs=("record-name",))
    shard = written(tmp_path / "s", [made(3), twin, bad, mended, made(5, seconds=30)], max_seconds=20)
    manifest = shard.manifest
    assert manifest.records_read == 5
    assert manifest.quarantined == {"duplicate": 1, "unreadable": 1}
    assert manifest.repairs == {"cut": 1, "record-name": 1}
    assert sum(counts.records for counts in manifest.splits.values()) == 3
    assert (tmp_path / "s" / "quarantine.csv").read_text().splitlines() == [
        "record,reason,detail",
        "broken,unreadable,no such file",
        "x-twin,duplicate,same signal as r003",
    ]
    split, row = by_name(shard)["r005"]
    assert split.samples[row] == 2000
    assert manifest.vocabulary_size == len(CLASSES)
    assert manifest.patients("train") + manifest.patients("tuning") + manifest.patients("held_out") == 2


def test_scaling_is_the_median_and_robust_spread_of_the_train_split(shard: SignalShard) -> None:
    train = shard.split("train")
    whole = np.concatenate(
        [train.crop(row, 0, int(samples)).astype(np.float64) for row, samples in enumerate(train.samples)]
    )
    low, middle, high = np.percentile(whole, [25, 50, 75], axis=0)
    center, scale = shard.scaling
    step = 1 / train.gain[0]
    np.testing.assert_allclose(center, middle, atol=step.max() + 3e-4)
    np.testing.assert_allclose(scale, (high - low) / 1.349, atol=2 * (step.max() + 3e-4))


def test_digital_values_wider_than_16_bits_are_moved_or_coarsened(tmp_path: Path) -> None:
    moved = replace(made(0), digital=made(0).digital + 400_000, baseline=np.full(12, 400_000.0))
    wide = replace(made(2), digital=made(2).digital * 5000, gain=np.full(12, 5e6))
    stored = by_name(written(tmp_path / "s", [moved, wide]))
    split, row = stored["r000"]
    np.testing.assert_array_equal(split.crop(row, 0, 1000), (moved.millivolts()).astype(np.float32))
    split, row = stored["r002"]
    step = 1 / split.gain[row]
    error = np.abs(split.crop(row, 0, 1000) - wide.millivolts())
    assert (error <= step / 2 * 1.001 + 1e-6).all()
    spans = np.ptp(wide.digital, axis=0) / 5e6
    assert (step <= 2 * spans / 65_534).all()


def test_a_resampled_record_is_rounded_to_a_sixteenth_of_its_step(tmp_path: Path) -> None:
    time = np.arange(5000) / 500
    wave = np.sin(2 * np.pi * 5 * time)
    share = np.array([0.4, 1.0, 0.6, -0.7, -0.1, 0.8, 0.5, 0.7, 0.9, 1.1, 1.3, 1.6])
    leads = np.rint(np.outer(wave, 1000 * share)).astype(np.int32)
    record = made(0, digital=leads, rate=500.0)
    split, row = by_name(written(tmp_path / "s", [record]))["r000"]
    assert split.samples[row] == 1000
    np.testing.assert_array_equal(split.gain[row], 16_000)
    exact = np.outer(wave[::5], share)
    inner = slice(20, -20)
    assert np.abs(split.crop(row, 0, 1000) - exact)[inner].max() < 1e-3


def test_two_records_of_one_name_that_differ_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="two records are called r000"):
        written(tmp_path / "s", [made(0), replace(made(1), name="r000")])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    with pytest.raises(DataError, match="is not empty"):
        written(tmp_path, [made(0)])
    assert (tmp_path / "kept.txt").read_text() == "kept"


def test_no_record_at_all_makes_an_empty_shard(tmp_path: Path) -> None:
    shard = written(tmp_path / "s", [])
    assert shard.manifest.records_read == 0
    assert shard.split("train").digital.shape == (0, 12)
    assert shard.split("train").labels.shape == (0, len(CLASSES))
    assert shard.scaling[1].tolist() == [1.0] * 12


@pytest.mark.parametrize("name", ["train.signals.bin", "held_out.records.parquet", "quarantine.csv"])
def test_altered_or_absent_files_are_refused(shard: SignalShard, name: str) -> None:
    path = shard.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ShardError, match=rf"{name}: the shard's file is truncated or altered"):
        SignalShard.open(shard.folder)
    path.unlink()
    with pytest.raises(ShardError, match=rf"{name}: the shard's file is absent"):
        SignalShard.open(shard.folder)


def test_truncated_files_are_refused_also_without_their_digests(shard: SignalShard) -> None:
    unverified = SignalShard.open(shard.folder, verify=False)
    signals = shard.folder / "train.signals.bin"
    signals.write_bytes(signals.read_bytes()[:-24])
    with pytest.raises(ShardError, match=r"train.signals.bin: the shard's file has .* instead of"):
        unverified.split("train")
    (shard.folder / "tuning.records.parquet").write_bytes(b"PAR1")
    with pytest.raises(ShardError, match=r"tuning.records.parquet: .*truncated"):
        unverified.split("tuning")
    with pytest.raises(ShardError, match="no split 'test'"):
        unverified.split("test")


def test_what_is_no_shard_or_of_another_rate_is_refused(tmp_path: Path, shard: SignalShard) -> None:
    with pytest.raises(ShardError, match="not a signal shard"):
        SignalShard.open(tmp_path)
    assert SignalShard.open(shard.folder, tokenizer=shard.manifest.tokenizer).manifest.site == "a"
    other = written(tmp_path / "other", [made(0)], rate=125.0)
    with pytest.raises(ShardError, match=f"are {shard.manifest.tokenizer} and not"):
        SignalShard.open(shard.folder, tokenizer=other.manifest.tokenizer)


def test_a_manifest_that_lost_a_record_is_refused(shard: SignalShard) -> None:
    path = shard.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["records_read"] += 1
    path.write_text(json.dumps(manifest))
    with pytest.raises(ShardError, match="41 records were read and 40 are accounted for"):
        SignalShard.open(shard.folder)


def test_folds_and_repairs_stand_in_the_table(tmp_path: Path) -> None:
    shard = written(tmp_path / "s", [made(0, fold=3, repairs=("record-name",))])
    table = pq.read_table(shard.folder / "train.records.parquet").to_pylist()
    assert table[0]["fold"] == 3
    assert table[0]["repairs"] == ["record-name"]
