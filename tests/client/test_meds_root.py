import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client.ehr import meds_root
from client.ehr.command import shard_source
from client.ehr.meds_root import RootScan, checked_batches, is_synthetic, open_root
from client.ehr.request import ShardRequest, SourceName
from wardlaw.errors import DataError


@pytest.fixture
def foreign_root(tmp_path):
    """A root as another tool may write it: two files, double values, no text, a column of its own."""
    root = tmp_path / "foreign"
    (root / "data" / "train").mkdir(parents=True)
    (root / "metadata").mkdir()
    for name, subject in (("0", 1), ("1", 2)):
        rows = pl.DataFrame(
            {
                "subject_id": [subject] * 4,
                "time": [None, "2020-01-01 00:00:00", "2020-01-01 00:00:00", "2020-01-02 00:00:00"],
                "code": ["GENDER//F", "B", "A", "A"],
                "numeric_value": [None, 1.0, None, 2.0],
                "ward": ["East Wing", "East Wing", "west", None],
            }
        ).with_columns(pl.col("time").str.to_datetime(time_unit="us"))
        rows.write_parquet(root / "data" / "train" / f"{name}.parquet")
    pl.DataFrame({"code": ["A", "B", "C", "GENDER//F"], "origin": ["x", "y", "z", "w"]}).write_parquet(
        root / "metadata" / "codes.parquet"
    )
    pl.DataFrame({"subject_id": [1], "split": ["held_out"]}).write_parquet(
        root / "metadata" / "subject_splits.parquet"
    )
    (root / "metadata" / "dataset.json").write_text(
        json.dumps({"dataset_name": "Foreign", "license": "ours"})
    )
    return root


def test_resharding_keeps_rows_order_splits_and_metadata(foreign_root, tmp_path):
    shard_source(ShardRequest(SourceName.MEDS, foreign_root, tmp_path / "out"))
    out = tmp_path / "out"
    rows = pl.read_parquet(out / "data" / "*.parquet").sort("subject_id", maintain_order=True)
    assert rows["code"].to_list() == ["GENDER//F", "B", "A", "A"] * 2
    assert rows["ward"].to_list() == ["East Wing", "East Wing", "west", None] * 2
    assert rows["numeric_value"].to_list() == [None, 1.0, None, 2.0] * 2
    assert pq.read_schema(out / "data" / "00000.parquet").field("numeric_value").type == pa.float32()
    splits = dict(pl.read_parquet(out / "metadata" / "subject_splits.parquet").iter_rows())
    assert splits[1] == "held_out"
    assert set(splits) == {1, 2}
    codes = pl.read_parquet(out / "metadata" / "codes.parquet")
    assert codes.select("code", "origin").rows() == [("A", "x"), ("B", "y"), ("GENDER//F", "w")]
    dataset = json.loads((out / "metadata" / "dataset.json").read_text())
    assert (dataset["dataset_name"], dataset["license"], dataset["etl_name"]) == (
        "Foreign",
        "ours",
        "wardlaw",
    )


def test_resharding_by_a_column_of_the_data(foreign_root, tmp_path):
    shard_source(ShardRequest(SourceName.MEDS, foreign_root, tmp_path / "out", site_column="ward"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["east-wing", "unknown", "west"]
    west = pl.read_parquet(tmp_path / "out" / "west" / "data" / "*.parquet")
    assert west.select("subject_id", "code").sort("subject_id").rows() == [(1, "A"), (2, "A")]


def test_resharding_into_many_files_keeps_each_subject_in_one(foreign_root, tmp_path):
    shard_source(ShardRequest(SourceName.MEDS, foreign_root, tmp_path / "out", part_bytes=1000))
    files = sorted((tmp_path / "out" / "data").glob("*.parquet"))
    subjects = [set(pl.read_parquet(path)["subject_id"]) for path in files]
    assert sum(map(len, subjects)) == len(set().union(*subjects)) == 2


def test_a_folder_of_roots_becomes_a_folder_of_roots(foreign_root, tmp_path):
    (tmp_path / "all").mkdir()
    foreign_root.rename(tmp_path / "all" / "alpha")
    summary = shard_source(ShardRequest(SourceName.MEDS, tmp_path / "all", tmp_path / "out"))
    assert summary.sites == {"alpha": {"subjects": 2, "events": 8}}
    assert open_root(tmp_path / "out" / "alpha").extensions == ["ward"]


def test_checks_reach_across_batches(foreign_root, monkeypatch):
    monkeypatch.setattr(meds_root, "BATCH_ROWS", 1)
    scan = RootScan()
    assert sum(table.num_rows for table in checked_batches(open_root(foreign_root), scan)) == 8
    path = foreign_root / "data" / "train" / "0.parquet"
    pq.write_table(pq.read_table(path).take([0, 3, 1, 2]), path)
    with pytest.raises(DataError, match="1 rows go back in time"):
        list(checked_batches(open_root(foreign_root), RootScan()))


def test_unknown_split_names_are_an_error(foreign_root):
    pl.DataFrame({"subject_id": [1], "split": ["validation"]}).write_parquet(
        foreign_root / "metadata" / "subject_splits.parquet"
    )
    with pytest.raises(DataError, match="validation"):
        open_root(foreign_root)


def test_synthetic_is_told_by_a_key_or_by_the_name():
    assert is_synthetic({"synthetic": True})
    assert is_synthetic({"dataset_name": "Synthetic hospitals"})
    assert not is_synthetic({"dataset_name": "MIMIC-IV", "synthetic": "yes"})
    assert not is_synthetic({})
