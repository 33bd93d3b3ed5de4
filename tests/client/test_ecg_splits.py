"""Splits by patient: disjoint, stratified, stable."""

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.ecg.record import EcgRecord
from client.ecg.request import ShardSettings
from client.ecg.shard_writer import write_shard
from client.ecg.splits import groups_of, kept_splits, rarest_class, splits_of
from wardlaw.errors import ShardError
from wardlaw.seeds import generator


def table(
    patients: list[str],
    sites: list[str] | None = None,
    folds: list[int] | None = None,
    digests: list[str] | None = None,
) -> pl.DataFrame:
    records = len(patients)
    return pl.DataFrame(
        {
            "patient": patients,
            "site": sites or ["a"] * records,
            "digest": digests or [f"d{number}" for number in range(records)],
            "fold": folds or [0] * records,
        },
        schema={"patient": pl.String, "site": pl.String, "digest": pl.String, "fold": pl.Int8},
    )


def one_class(classes: list[int], of: int = 26) -> np.ndarray:
    """A record's one class each, or none for -1."""
    labels = np.zeros((len(classes), of), np.uint8)
    for row, number in enumerate(classes):
        labels[row, number : number + 1] = number >= 0
    return labels


def split_by_patient(rows: pl.DataFrame, splits: np.ndarray) -> dict[str, set[str]]:
    sides: dict[str, set[str]] = {}
    for patient, split in zip(rows["patient"], splits, strict=True):
        sides.setdefault(patient, set()).add(str(split))
    return sides


records = st.lists(
    st.tuples(st.integers(0, 25), st.integers(0, 40), st.integers(-1, 4), st.sampled_from("ab")), max_size=80
)


@given(drawn=records, seed=st.integers(0, 3), order=st.randoms(use_true_random=False))
@settings(deadline=None)
def test_no_patient_or_signal_is_on_two_sides_and_order_plays_no_part(drawn, seed, order) -> None:
    def divide(rows):
        frame = table(
            [f"p{patient}" for patient, *_ in rows],
            sites=[site for *_, site in rows],
            digests=[f"d{digest}" for _, digest, *_ in rows],
        )
        splits = splits_of(frame, one_class([number for _, _, number, _ in rows]), seed)
        by_digest = {}
        for digest, split in zip(frame["digest"], splits, strict=True):
            by_digest.setdefault(digest, set()).add(str(split))
        sides = split_by_patient(frame, splits)
        assert all(len(side) == 1 for side in [*sides.values(), *by_digest.values()])
        return sides

    shuffled = list(drawn)
    order.shuffle(shuffled)
    assert divide(drawn) == divide(shuffled)


def test_shares_hold_in_every_stratum_to_one_patient() -> None:
    rng = generator(0, "splits-test")
    classes = rng.choice([-1, 0, 1, 2, 3], 1000, p=[0.2, 0.5, 0.2, 0.07, 0.03]).tolist()
    rows = table([f"p{number}" for number in range(1000)])
    splits = splits_of(rows, one_class(classes))
    for number in (-1, 0, 1, 2, 3):
        mine = splits[np.array(classes) == number]
        for split in ("tuning", "held_out"):
            assert abs((mine == split).sum() - len(mine) / 10) < 1
    assert Counter(splits.tolist()) == {"train": 800, "tuning": 100, "held_out": 100}


@pytest.mark.parametrize(("patients", "outside"), [(1, 0), (3, 1), (5, 1), (10, 2), (20, 4)])
def test_small_strata_are_spread(patients: int, outside: int) -> None:
    splits = splits_of(table([f"p{number}" for number in range(patients)]), one_class([0] * patients))
    assert (splits != "train").sum() == outside


def test_a_patient_stands_by_its_rarest_class() -> None:
    has = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 1], [0, 1, 0]], bool)
    assert rarest_class(has).tolist() == [1, 0, 3, 2, 1]


def test_seeds_divide_otherwise() -> None:
    rows, labels = table([f"p{number}" for number in range(200)]), one_class([0] * 200)
    assert (splits_of(rows, labels, 0) != splits_of(rows, labels, 1)).any()
    assert (splits_of(rows, labels, 0) == splits_of(rows, labels, 0)).all()


def test_folds_of_the_source_are_used_where_every_record_has_one() -> None:
    rows = table([f"p{number}" for number in range(1, 11)], folds=list(range(1, 11)))
    labels = one_class([0] * 10)
    assert splits_of(rows, labels).tolist() == ["train"] * 8 + ["tuning", "held_out"]
    without = rows.with_columns(fold=pl.when(pl.col("fold") != 10).then("fold").otherwise(0))
    assert splits_of(without, labels).tolist() != ["train"] * 8 + ["tuning", "held_out"]


def test_a_patient_in_two_folds_goes_to_the_side_furthest_from_training() -> None:
    rows = table(["p", "p", "q", "q", "r"], folds=[1, 10, 9, 2, 3])
    assert splits_of(rows, one_class([0] * 5)).tolist() == [
        "held_out",
        "held_out",
        "tuning",
        "tuning",
        "train",
    ]


def test_patients_of_an_earlier_shard_stay_where_they_were() -> None:
    rows, labels = table([f"p{number}" for number in range(100)]), one_class([0] * 100)
    before = split_by_patient(rows, splits_of(rows, labels))
    kept = {patient: side.pop() for patient, side in before.items()}
    more = table([f"p{number}" for number in range(400)])
    after = split_by_patient(more, splits_of(more, one_class([0] * 400), seed=9, kept=kept))
    assert {patient: after[patient].pop() for patient in kept} == kept
    new = Counter(side.pop() for patient, side in after.items() if patient not in kept)
    assert new == {"train": 240, "tuning": 30, "held_out": 30}


def test_whoever_shares_a_signal_with_a_kept_patient_goes_with_it() -> None:
    rows = table(["old", "new", "new"], digests=["same", "same", "other"])
    for split in ("train", "tuning", "held_out"):
        assert splits_of(rows, one_class([0] * 3), kept={"old": split}).tolist() == [split] * 3
    torn = splits_of(rows, one_class([0] * 3), kept={"old": "train", "new": "held_out"})
    assert torn.tolist() == ["held_out"] * 3


def test_groups_are_chains_of_shared_signals() -> None:
    patients = np.array(["d", "c", "c", "b", "a", "e"])
    group, names = groups_of(patients, np.array(["1", "1", "2", "2", "3", "4"]))
    assert [str(names[number]) for number in group] == ["b", "b", "b", "b", "a", "e"]


def test_splits_are_read_from_a_shard_or_a_folder_of_shards(tmp_path: Path) -> None:
    rng = generator(0, "kept")
    two = rng.integers(-500, 500, (60, 300, 2))
    records = [
        EcgRecord(
            name=f"r{number}",
            patient=f"p{number}",
            digital=np.stack(
                [
                    *(
                        lead[:, 0] * 2,
                        lead[:, 1] * 2,
                        (lead[:, 1] - lead[:, 0]) * 2,
                        -(lead[:, 0] + lead[:, 1]),
                    ),
                    *(2 * lead[:, 0] - lead[:, 1], 2 * lead[:, 1] - lead[:, 0], *[lead[:, 0]] * 6),
                ],
                axis=1,
            ).astype(np.int32),
            gain=np.full(12, 1000.0),
            baseline=np.zeros(12),
            rate=100.0,
        )
        for number, lead in enumerate(two)
    ]
    for site, mine in (("a", records[:30]), ("b", records[30:])):
        write_shard(tmp_path / site, mine, ShardSettings(), site=site, source="noise", synthetic=True)
    kept = kept_splits(tmp_path)
    assert len(kept) == 60
    assert kept == kept_splits(tmp_path / "a") | kept_splits(tmp_path / "b")
    settings = ShardSettings(seed=5, keep_splits=tmp_path / "a")
    write_shard(tmp_path / "again", records[:30], settings, site="a", source="noise", synthetic=True)
    assert kept_splits(tmp_path / "again") == kept_splits(tmp_path / "a")
    with pytest.raises(ShardError, match="holds no shard"):
        kept_splits(tmp_path / "a" / "nothing")
