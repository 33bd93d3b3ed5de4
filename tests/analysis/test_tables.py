"""What a table of runs is refused for, and what is left out of it: one line, or a count with reasons."""

import json
import math
import subprocess
import sys
import warnings

import numpy as np
import polars as pl
import pytest

from analysis.report.table_findings import TableRequest, analyse_table
from analysis.tables.filters import drop_worst_loss, keep_where, split_where
from analysis.tables.groups import group_columns, split_groups
from analysis.tables.run_table import read_runs
from wardlaw.cli import main
from wardlaw.errors import RecordError

FEW = ("--bootstrap", "100")


@pytest.fixture
def wardlaw(monkeypatch, capsys):
    """The command line: its exit status, what it printed, and its lines on stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["wardlaw", "analysis", *map(str, arguments)])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                main()
                status = 0
            except SystemExit as end:
                status = end.code
        printed = capsys.readouterr()
        return status or 0, printed.out, printed.err.splitlines()

    return call


def runs(**columns):
    """Twenty runs of a Chinchilla law, some columns of which are others."""
    size, tokens = np.repeat([1e6, 3e6, 1e7, 3e7, 1e8], 4), np.tile([1e8, 3e8, 1e9, 3e9], 5)
    loss = 1.7 + 400 / size**0.34 + 410 / tokens**0.28
    rows = pl.DataFrame({"N": size, "D": tokens, "L": loss, "arm": list("ab") * 10})
    return rows.with_columns(**{name: pl.Series(values) for name, values in columns.items()})


def with_value(column, place, value):
    values = runs()[column].to_list()
    values[place] = value
    return runs(**{column: values})


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "runs.csv"
    runs().write_csv(path)
    return path


def write(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("runs.txt", b"N,D,L\n", "'.txt' is not a table of runs. Give a .csv or .parquet file"),
        ("runs.csv", b"", "cannot be read as a table: empty CSV"),
        ("runs.csv", b"N,D,L\n", "the table has no rows"),
        ("runs.csv", b'N,D,L\n1e6,1e8,3\n1e7,"1e8,3\n', "cannot be read as a table"),
        ("runs.csv", b"N,D,L\n1e6,1e8,3\n1,2,3,4\n", "cannot be read as a table"),
        ("runs.csv", "N,D,L,name\n1e6,1e8,3,café\n".encode("latin-1"), "invalid utf-8"),
        ("runs.parquet", b"garbage", "cannot be read as a table"),
        ("runs.parquet", b"", "cannot be read as a table"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(wardlaw, tmp_path, name, content, says):
    path = write(tmp_path, name, content)
    status, _, lines = wardlaw("fit", path, "--law", "chinchilla")
    assert status == RecordError.exit_status
    assert len(lines) == 1
    assert lines[0].startswith(f"[REC] {path}: ")
    assert says in lines[0]


def test_nothing_to_read_is_refused_in_one_line(wardlaw, tmp_path):
    for path, says in ((tmp_path / "absent.csv", "no such file"), (tmp_path, "no finished run among the 0")):
        status, _, lines = wardlaw("fit", path, "--law", "power")
        assert (status, len(lines)) == (RecordError.exit_status, 1)
        assert f"{path}: {says}" in lines[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--columns", "N=size"), "there is no column size. It has N, D, L, arm"),
        (("--columns", "N"), "--columns: 'N' is not of the form name=value"),
        (("--columns", "N=N,N=D"), "--columns: N is given twice"),
        (("--columns", "L=arm"), "--columns L=...: L is not a column of numbers (it has 'a')"),
        (("--columns", "seed=arm"), "seed is not a column of whole numbers (it has 'a')"),
        (("--where", "size > 3"), "'size > 3' cannot be read as a condition"),
        (("--where", "N >"), "'N >' cannot be read as a condition"),
        (("--where", "arm > 3"), "'arm > 3' cannot be read as a condition"),
        (("--where", "N + 1"), "'N + 1' is no condition: it gives Float64. Write, say, "),
        (("--where", "N > 1e99"), "no run is left (the first, row 1: not N > 1e99)"),
        (("--holdout", "N > 1e99"), "--holdout: 'N > 1e99' holds out 0 of 20 runs"),
        (("--holdout", "N > 0"), "--holdout: 'N > 0' holds out 20 of 20 runs"),
        (("--drop-worst-loss", "20"), "--drop-worst-loss: cannot drop the 20 worst of 20 runs"),
        (("--group", "kind"), "--group: there is no column 'kind'. Use one of N, D, L"),
        (("--fixed", "alpha=x"), "--fixed alpha: 'x' is not a number"),
        (("--fixed", "alpha=inf"), "--fixed alpha: 'inf' is not a finite number"),
        (("--fixed", "zeta=1"), "--fixed: the chinchilla law has no parameter zeta"),
        (("--fixed", "A=-3"), "--fixed: the chinchilla law cannot have A = -3"),
        (("--fixed", "E=1,A=1,B=1,alpha=1,beta=1"), "--fixed: all parameters of the chinchilla law are held"),
        (
            ("--start", "E=-1,A=1,B=1,alpha=1,beta=1"),
            "no start of the chinchilla law gives a finite objective",
        ),
        (("--predict", "N=1e9"), "--predict: the chinchilla law needs D"),
        (("--predict", "N=1e9,D=1e9,U=1"), "--predict: the chinchilla law has no input U"),
        (("--fitter", "best"), "--fitter: there is no fitter 'best'"),
        (("--objective", "mean"), "--objective: there is no objective 'mean'"),
    ],
)
def test_options_that_do_not_fit_the_table_are_refused_in_one_line(wardlaw, table, options, says):
    status, _, lines = wardlaw("fit", table, "--law", "chinchilla", *FEW, *options)
    assert (status, len(lines)) == (RecordError.exit_status, 1)
    assert says in lines[0]


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("compare", "--reference", "None", "--law", "power", "--group", "arm"), "no run has arm = 'None'"),
        (("compare", "--reference", "a", "--law", "power", "--group", "none"), "no column tells the groups"),
        (
            ("compare", "--reference", "a", "--law", "power", "--group", "arm", "--level", "nan"),
            "--level: nan",
        ),
        (("isoflop", "--tolerance", "nan"), "--tolerance: nan is not a fraction"),
        (("isoflop", "--window", "nan"), "--window: nan is not a factor"),
        (("select", "--law", "", "--holdout", "N > 5e7"), "--law: there is no law ''"),
        (("importance", "--metric", "arm", "--features", "N"), "--metric: arm is not a column of numbers"),
        (
            ("importance", "--metric", "L", "--features", "N", "--flops", "F"),
            "--flops: there is no column 'F'",
        ),
    ],
)
def test_other_commands_refuse_in_one_line_too(wardlaw, tmp_path, command, says):
    path = tmp_path / "runs.csv"
    runs(arm=[None, None, *(list("ab") * 9)]).write_csv(path)
    status, _, lines = wardlaw(command[0], path, *command[1:])
    assert (status, len(lines)) == (RecordError.exit_status, 1)
    assert says in lines[0]


def test_a_report_is_refused_before_anything_is_fitted(wardlaw, table):
    for options, says in (
        (("--out", table / "page"), f"--out {table / 'page'}: cannot be made"),
        (("--out", table.parent / "page", "--objective", "mean"), "--objective: there is no objective"),
    ):
        status, _, lines = wardlaw("report", table, *options)
        assert (status, len(lines)) == (RecordError.exit_status, 1)
        assert says in lines[0]


def test_numbers_that_cannot_be_written_are_told_in_one_line(wardlaw, table):
    target = table / "numbers.json"
    status, _, lines = wardlaw("fit", table, "--law", "chinchilla", *FEW, "--json", target)
    assert (status, len(lines)) == (RecordError.exit_status, 1)
    assert f"{target}: cannot be written" in lines[0]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "L is missing"),
        (math.nan, "L is not a number"),
        (math.inf, "L is infinite"),
        (-1.0, "L is not positive"),
        (0.0, "L is not positive"),
        (1e300, "L is beyond 1e+100"),
        (1e-300, "L is all but 0"),
    ],
)
def test_a_row_without_a_usable_number_is_left_out_and_counted(wardlaw, tmp_path, value, reason):
    path = tmp_path / "runs.parquet"
    with_value("L", 3, value).write_parquet(path)
    out = tmp_path / "fit.json"
    status, printed, lines = wardlaw("fit", path, "--law", "chinchilla", *FEW, "--json", out)
    assert (status, lines) == (0, [])
    found = json.loads(out.read_text())
    assert found["dropped"] == [{"run": "row 4", "reason": reason}]
    assert found["n"] == 19
    assert "1 left out" in printed


def test_one_word_among_numbers_is_named(tmp_path):
    path = tmp_path / "runs.csv"
    with_value("L", 3, None).with_columns(L=pl.col("L").cast(pl.String).fill_null("many")).write_csv(path)
    with pytest.raises(RecordError, match=r"L is not a column of numbers \(it has 'many'\)"):
        read_runs(path).require("NDL")
    runs(N=runs()["N"].cast(pl.Int64).cast(pl.String)).write_parquet(tmp_path / "runs.parquet")
    with pytest.raises(RecordError, match=r"N is not a column of numbers \(it has '1000000'\)"):
        read_runs(tmp_path / "runs.parquet").require("NDL")


def test_all_rows_tell_the_type_of_a_column(tmp_path):
    path = tmp_path / "runs.csv"
    pl.DataFrame({"N": [str(place) for place in range(1, 150)] + ["1.5e3"]}).write_csv(path)
    assert read_runs(path).rows["N"][-1] == 1500.0


def test_repeated_rows_are_duplicates(wardlaw, tmp_path):
    path, out = tmp_path / "runs.csv", tmp_path / "fit.json"
    pl.concat([runs(), runs().head(2)]).write_csv(path)
    assert wardlaw("fit", path, "--law", "chinchilla", *FEW, "--json", out)[0] == 0
    found = json.loads(out.read_text())
    assert [run["run"] for run in found["dropped"]] == ["row 21", "row 22"]
    assert all(run["reason"].startswith("duplicate: the same values") for run in found["dropped"])


def as_table(tmp_path, rows):
    rows.write_parquet(tmp_path / "runs.parquet")
    return read_runs(tmp_path / "runs.parquet")


def test_a_condition_of_a_missing_value_does_not_hold(tmp_path):
    found = as_table(tmp_path, pl.DataFrame({"arm": ["x", None, "y"], "L": [1.0, 2.0, 3.0]}))
    kept = keep_where(found, "arm = 'x'")
    assert kept.rows["L"].to_list() == [1.0]
    assert [run.run for run in kept.dropped] == ["row 2", "row 3"]
    fitted, held = split_where(found, "arm = 'x'")
    assert (fitted.rows["L"].to_list(), held.rows["L"].to_list()) == ([2.0, 3.0], [1.0])


def test_only_numbers_are_among_the_worst(tmp_path):
    rows = pl.DataFrame({"L": [3.0, None, 1.0, math.nan, 2.0], "err": [0.1, 0.5, 0.4, 0.2, 0.3]})
    kept = drop_worst_loss(as_table(tmp_path, rows), 1)
    assert kept.rows["L"].to_list() == [1.0, 2.0]
    assert {run.reason for run in kept.dropped} == {
        "L is missing",
        "L is not a number",
        "among the 1 largest values of L",
    }
    assert 0.5 not in drop_worst_loss(as_table(tmp_path, rows), 1, "err").rows["err"]
    with pytest.raises(RecordError, match="there is no column for y"):
        drop_worst_loss(as_table(tmp_path, rows), 1, "y")


def test_worst_runs_are_ranked_by_what_the_law_is_of(wardlaw, tmp_path):
    path, out = tmp_path / "runs.csv", tmp_path / "fit.json"
    compute = np.geomspace(1e18, 1e21, 8)
    optimum = 0.1 * compute**0.5
    pl.DataFrame({"C": compute, "N*": optimum, "L": np.geomspace(4, 2, 8)}).write_csv(path)
    done = wardlaw("fit", path, "--law", "allocation", *FEW, "--drop-worst-loss", "1", "--json", out)
    assert done[0] == 0
    assert json.loads(out.read_text())["dropped"] == [
        {"run": "row 8", "reason": "among the 1 largest values of N*"}
    ]


def test_groups_are_those_asked_for_or_the_tables_own(tmp_path):
    found = as_table(tmp_path, runs(kind=[None] + ["k"] * 19))
    assert group_columns(found, "") == ""
    assert [part.group_name for part in split_groups(found, "none")] == [""]
    assert [part.group_name for part in split_groups(found, "arm")] == ["a", "b"]
    parts = split_groups(found, "arm, kind")
    assert [part.group_name for part in parts] == ["b/k", "a/k"]
    assert [(run.run, run.reason) for run in parts[0].dropped] == [("row 1", "kind is missing")]
    with pytest.raises(RecordError, match="no run has a value of kind"):
        split_groups(as_table(tmp_path, runs(kind=[None] * 20)), "kind")


def test_none_means_all_runs_together_in_every_command(wardlaw, make_study, tmp_path):
    records = make_study(tmp_path / "records", arms=("Centralised", "FedAvg"))
    fit, optimal, design = (tmp_path / f"{name}.json" for name in ("fit", "optimal", "design"))
    together = ("--group", "none", *FEW)
    assert wardlaw("fit", records, "--law", "power", *together, "--json", fit)[0] == 0
    assert wardlaw("isoflop", records, *together, "--json", optimal)[0] == 0
    options = ("--metric", "L", "--features", "N", "--within", "none", *FEW, "--json", design)
    assert wardlaw("importance", records, *options)[0] == 0
    assert json.loads(fit.read_text())["group"] == ""
    assert json.loads(optimal.read_text())["group"] == ""
    assert json.loads(design.read_text())["within"] is None
    found = analyse_table(read_runs(records), TableRequest(["power"], "none", replicates=100))
    assert (found.column, [one.fit.group for one in found.fits]) == ("", [""])


def test_damaged_records_are_left_out_with_their_reason(wardlaw, make_study, tmp_path):
    records = make_study(tmp_path / "records", arms=("FedAvg",), seeds=(0,))
    first, second = sorted(path.parent for path in records.rglob("result.json"))[:2]
    (first / "result.json").write_text("{")
    (second / "evaluation.parquet").write_bytes(b"PAR1")
    out = tmp_path / "fit.json"
    status, _, lines = wardlaw("fit", records, "--law", "pure-power", *FEW, "--json", out)
    assert (status, lines) == (0, [])
    found = json.loads(out.read_text())
    assert found["n"] == 3
    assert {run["run"] for run in found["dropped"]} == {
        str(path.relative_to(records)) for path in (first, second)
    }
    for path in {path.parent for path in records.rglob("result.json")}:
        (path / "result.json").write_text("{")
    status, _, lines = wardlaw("fit", records, "--law", "pure-power")
    assert (status, len(lines)) == (RecordError.exit_status, 1)
    assert "no finished run among the 5 found" in lines[0]


def test_a_plain_import_loads_neither_forests_nor_accountants():
    heavy = ("sklearn", "dp_accounting", "matplotlib", "plotly")
    code = f"import analysis, sys; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_free_parameter_is_fitted_and_has_an_interval(wardlaw, table, tmp_path):
    out = tmp_path / "fit.json"
    held = "E=1.7,A=400,B=410,alpha=0.34"
    status, _, lines = wardlaw("fit", table, "--law", "chinchilla", *FEW, "--fixed", held, "--json", out)
    assert (status, lines) == (0, [])
    assert json.loads(out.read_text())["params"]["beta"] == pytest.approx(0.28, rel=1e-6)


def test_a_group_that_cannot_be_fitted_stands_in_the_others_warnings(wardlaw, tmp_path):
    path, out = tmp_path / "runs.csv", tmp_path / "fit.json"
    whole = runs().with_columns(kind=pl.lit("whole"))
    pl.concat([whole, whole.head(1).with_columns(kind=pl.lit("one"))]).write_csv(path)
    status, _, lines = wardlaw("fit", path, "--law", "chinchilla", "--group", "kind", *FEW, "--json", out)
    assert (status, lines) == (0, [])
    found = json.loads(out.read_text())
    assert found["group"] == "whole"
    assert any("not fitted:" in text and "one" in text for text in found["warnings"])
    path.write_text("kind,N,D,L\na,1e6,1e8,3\nb,1e6,1e8,3\n")
    status, _, lines = wardlaw("fit", path, "--law", "chinchilla", "--group", "kind", *FEW)
    assert status == 9
    assert len(lines) == 1
