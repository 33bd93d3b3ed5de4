import pytest

from wardlaw.config import from_flat
from wardlaw.errors import RecordError
from wardlaw.records import (
    RunResult,
    find_records,
    finish,
    is_finished,
    load_record,
    open_record,
    read_rows,
    write_table,
)

RESULT = RunResult(2.5, 5.0, 100, 50, 1e9, 1000, 500, 1.5, 0, 0, 4, synthetic=True)


def test_a_run_is_finished_only_with_its_result(tmp_path):
    config = from_flat({"run.seed": 1})
    folder = open_record(tmp_path, config)
    assert not is_finished(folder)
    write_table(folder, "evaluation", [{"replica": "global", "site": "a", "split": "held_out", "nats": 2.0}])
    finish(folder, RESULT)
    record = load_record(folder)
    assert (record.config, record.result) == (config, RESULT)
    assert record.table("evaluation")["nats"].to_pylist() == [2.0]
    assert find_records(tmp_path) == [folder]


def test_opening_again_finds_the_same_folder(tmp_path):
    config = from_flat({})
    assert open_record(tmp_path, config) == open_record(tmp_path, config)


def test_a_column_out_of_schema_is_refused(tmp_path):
    with pytest.raises(RecordError, match="colour"):
        write_table(tmp_path, "steps", [{"colour": 1}])
    assert read_rows(tmp_path, "steps") == []


@pytest.mark.parametrize("damage", ["result.json", "manifest.json"])
def test_a_damaged_record_is_one_error_that_names_the_place(tmp_path, damage):
    folder = open_record(tmp_path, from_flat({}))
    finish(folder, RESULT)
    (folder / damage).write_text("{")
    with pytest.raises(RecordError, match=folder.name):
        load_record(folder)
