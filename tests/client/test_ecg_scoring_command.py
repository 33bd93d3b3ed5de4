"""``score-ecg`` on CSV files: matching, equivalents, figures, and what it refuses."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from client.ecg.classes import CLASSES, EQUIVALENTS, SINUS
from client.ecg.scoring.command import score_ecg
from client.ecg.scoring.figures import Predictions, macro, measure
from wardlaw.errors import ConfigError, DataError

RECORDS = [f"E{number:05d}" for number in range(40)]
AF, LBBB, CLBBB, PAC = "164889003", "164909002", "733534002", "284470004"

app = typer.Typer()
app.command()(score_ecg)


def write(path: Path, records: Sequence[str], names: Sequence[str], cells: Any) -> Path:
    rows = [",".join([record, *map(str, row)]) for record, row in zip(records, cells, strict=True)]
    path.write_text("\n".join([",".join(["record", *names]), *rows]) + "\n")
    return path


def told(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception:
        raise result.exception
    return result.stdout


def figures(*arguments: object) -> dict[str, Any]:
    account: dict[str, Any] = json.loads(told(*arguments, "--json"))
    return account


@pytest.fixture
def predictions() -> Predictions:
    random = np.random.default_rng(0)
    labels = (random.random((40, 26)) < 0.15).astype(np.uint8)
    scores = np.round(np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1), 3)
    return Predictions(labels, (scores > 0.5).astype(np.uint8), scores)


@pytest.fixture
def paths(tmp_path: Path, predictions: Predictions) -> list[object]:
    """Arguments for three files, one column a class."""
    return arguments(tmp_path, RECORDS, list(CLASSES), predictions)


def arguments(folder: Path, records: Sequence[str], names: list[str], given: Predictions) -> list[object]:
    assert given.scores is not None
    labels = write(folder / "labels.csv", records, names, given.labels)
    outputs = write(folder / "outputs.csv", records, names, given.outputs)
    scores = write(folder / "scores.csv", records, names, given.scores)
    return ["--labels", labels, "--outputs", outputs, "--scores", scores]


def test_json_has_the_figures_of_the_arrays(paths: list[object], predictions: Predictions) -> None:
    account, known = figures(*paths), measure(predictions)
    assert account["records"] == 40
    assert account["challenge_metric"] == pytest.approx(known.challenge_metric[0], rel=1e-12)
    assert account["accuracy"] == known.accuracy[0]
    assert list(account["classes"]) == list(CLASSES)
    for name in ("auroc", "auprc", "f_measure"):
        assert account[name] == pytest.approx(macro(getattr(known, name))[0], rel=1e-12)
        each = [account["classes"][code][name] for code in CLASSES]
        np.testing.assert_allclose(each, getattr(known, name)[0], rtol=1e-12)
    positives = [account["classes"][code]["positives"] for code in CLASSES]
    assert positives == predictions.labels.sum(axis=0).tolist()


def test_order_of_columns_and_rows_changes_nothing(
    paths: list[object], tmp_path: Path, predictions: Predictions
) -> None:
    """Columns in the order of codes, which is not the weight matrix's, and each file in its own order."""
    straight = figures(*paths)
    assert predictions.scores is not None
    by_code = sorted(range(26), key=CLASSES.__getitem__)
    assert by_code != list(range(26))
    folder = tmp_path / "shuffled"
    folder.mkdir()
    random = np.random.default_rng(1)
    files = {"labels": predictions.labels, "outputs": predictions.outputs, "scores": predictions.scores}
    given: list[object] = []
    for name, values in files.items():
        rows = random.permutation(40)
        columns = by_code if name == "labels" else random.permutation(26).tolist()
        cells = values[rows][:, columns]
        names = [CLASSES[column] for column in columns]
        given += [f"--{name}", write(folder / f"{name}.csv", [RECORDS[row] for row in rows], names, cells)]
    shuffled = figures(*given)
    for name in ("challenge_metric", "auroc", "auprc", "f_measure", "accuracy"):
        assert shuffled[name] == pytest.approx(straight[name], rel=1e-12)
    assert shuffled["classes"] == straight["classes"]


@pytest.mark.parametrize("spelling", ["second code", "joined", "both columns"])
def test_equivalent_codes_are_one_diagnosis(
    spelling: str, paths: list[object], tmp_path: Path, predictions: Predictions
) -> None:
    straight = figures(*paths)
    names = {
        "second code": [codes[-1] for codes in EQUIVALENTS],
        "joined": ["|".join(codes) for codes in EQUIVALENTS],
        "both columns": [code for codes in EQUIVALENTS for code in codes],
    }[spelling]
    cells = predictions.labels
    if spelling == "both columns":
        # The diagnosis stands under one of the two codes, now the first, now the second.
        side = np.arange(40) % 2
        cells = np.stack(
            [
                cells[:, number] * ((side == place) | (len(codes) == 1))
                for number, codes in enumerate(EQUIVALENTS)
                for place in range(len(codes))
            ],
            axis=1,
        )
    paths[1] = write(tmp_path / "other.csv", RECORDS, names, cells)
    assert figures(*paths) == straight


def test_scores_of_equivalent_codes_are_averaged(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csv", ["a", "b"], [CLBBB, AF], [[1, 0], [0, 1]])
    scores = write(tmp_path / "scores.csv", ["a", "b"], [CLBBB, LBBB, AF], [[0.1, 0.7, 0], [0.3, 0.3, 1]])
    account = figures("--labels", labels, "--outputs", labels, "--scores", scores)
    assert account["classes"][CLBBB]["auroc"] == 1
    scores.write_text(scores.read_text().replace("0.7", "0.4"))
    account = figures("--labels", labels, "--outputs", labels, "--scores", scores)
    assert account["classes"][CLBBB]["auroc"] == 0


def test_always_sinus_is_zero(paths: list[object], tmp_path: Path) -> None:
    cells = np.zeros((40, 26), int)
    cells[:, CLASSES.index(SINUS)] = 1
    paths[3] = write(tmp_path / "sinus.csv", RECORDS, CLASSES, cells)
    assert figures(*paths)["challenge_metric"] == 0
    paths[3] = paths[1]
    assert figures(*paths)["challenge_metric"] == 1


def test_columns_that_are_not_scored_are_named_and_left_out(
    paths: list[object], tmp_path: Path, predictions: Predictions
) -> None:
    straight = figures(*paths)
    more = np.column_stack([predictions.labels.astype(object), ["Male"] * 40, [7] * 40])
    paths[1] = write(tmp_path / "more.csv", RECORDS, [*CLASSES, "sex", "164884008"], more)
    account = figures(*paths)
    assert account.pop("ignored_columns")["labels"] == ["sex", "164884008"]
    straight.pop("ignored_columns")
    assert account == straight
    assert "left out of labels: sex, 164884008" in told(*paths)


def test_a_class_that_only_outputs_have_is_one_that_no_record_has(tmp_path: Path) -> None:
    labels = write(tmp_path / "labels.csv", ["a", "b"], [AF], [[1], [0]])
    outputs = write(tmp_path / "outputs.csv", ["a", "b"], [AF, PAC], [[1, 1], [0, 0]])
    account = figures("--labels", labels, "--outputs", outputs)
    assert account["unlabelled_classes"] == [PAC]
    assert account["classes"][PAC] == {
        "codes": ["284470004", "63593006"],
        "abbreviation": "PAC|SVPB",
        "positives": 0,
        "auroc": None,
        "auprc": None,
        "f_measure": 0,
    }
    assert account["f_measure"] == 0.5


def test_without_scores_rankings_are_null(paths: list[object]) -> None:
    account = figures(*paths[:4])
    assert account["auroc"] is None
    assert account["auprc"] is None
    assert account["challenge_metric"] == figures(*paths)["challenge_metric"]


def test_a_table_for_people(paths: list[object]) -> None:
    text = told(*paths, "--bootstrap", 50)
    account = figures(*paths)
    assert f"{account['challenge_metric']:.4f}  [" in text
    assert all(code in text for code in CLASSES)


def test_bools_quotes_spaces_empty_lines_and_windows_line_ends_are_read(
    paths: list[object], tmp_path: Path
) -> None:
    straight = figures(*paths)
    text = Path(str(paths[3])).read_text()
    header, *lines = text.splitlines()
    body = [line.replace(",1", ",True").replace(",0,0", ', "0", 0 ') for line in lines] + ["", ""]
    path = tmp_path / "windows.csv"
    path.write_bytes(("\ufeff" + "\r\n".join([header.replace("record", '"record"'), *body])).encode())
    paths[3] = path
    assert figures(*paths) == straight


def test_bootstrap_gives_intervals_and_patients_widen_them(paths: list[object], tmp_path: Path) -> None:
    account = figures(*paths, "--bootstrap", 300)
    for name in ("challenge_metric", "auroc", "auprc", "f_measure", "accuracy"):
        low, high = account["intervals"][name]
        assert low <= account[name] <= high
    low, high = account["classes"][AF]["intervals"]["auroc"]
    assert low < account["classes"][AF]["auroc"] < high
    owners = write(tmp_path / "patients.csv", [*RECORDS, "another"], ["patient"], [["p"]] * 40 + [["q"]])
    together = figures(*paths, "--bootstrap", 20, "--patients", owners)
    assert together["intervals"]["challenge_metric"] == pytest.approx([account["challenge_metric"]] * 2)
    assert figures(*paths, "--bootstrap", 20, "--seed", 1) != figures(*paths, "--bootstrap", 20)


Change = Callable[[list[str]], list[str]]


def cell(line: int, column: int, text: str) -> Change:
    def change(lines: list[str]) -> list[str]:
        cells = lines[line].split(",")
        cells[column] = text
        return [*lines[:line], ",".join(cells), *lines[line + 1 :]]

    return change


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("outputs", lambda lines: lines[:5] + lines[6:], "outputs.csv: has no row for record 'E00004'"),
        ("labels", lambda lines: lines[:5] + lines[6:], "outputs.csv: record 'E00004' has no labels"),
        ("scores", lambda lines: [*lines, lines[3]], "scores.csv: record 'E00002' is there twice"),
        ("outputs", cell(3, 1, "2"), f"record 'E00002', column {AF}: '2' is not 0 or 1"),
        ("labels", cell(1, 1, "yes"), f"record 'E00000', column {AF}: 'yes' is not 0 or 1"),
        ("labels", cell(1, 1, ""), f"record 'E00000', column {AF}: '' is not 0 or 1"),
        ("outputs", cell(1, 1, "0.5"), f"column {AF}: '0.5' is not 0 or 1"),
        ("scores", cell(1, 1, "nan"), f"column {AF}: 'nan' is not a number from 0 to 1"),
        ("scores", cell(40, 1, "1.01"), f"record 'E00039', column {AF}: '1.01' is not a number from 0 to 1"),
        ("scores", cell(1, 1, "-1e-9"), "'-1e-9' is not a number from 0 to 1"),
        ("scores", cell(1, 1, "inf"), "'inf' is not a number from 0 to 1"),
        ("scores", cell(7, 0, ""), "scores.csv, row 7: has no record"),
        ("outputs", cell(0, 1, "sex"), f"outputs.csv: has no column {AF} (AF), which the labels have"),
        ("scores", cell(0, 1, "sex"), f"scores.csv: has no column {AF} (AF), which the labels have"),
        ("labels", cell(0, 0, "ecg"), "labels.csv: has no column 'record'"),
        ("labels", cell(0, 1, SINUS), f"labels.csv: column '{SINUS}' is there twice"),
        ("labels", cell(0, 1, f"{AF}|{PAC}"), "joins codes that are not equivalent"),
        ("labels", lambda lines: lines[:1], "labels.csv: has no rows"),
        ("labels", lambda lines: [], "labels.csv: has no rows"),
        ("labels", lambda lines: ["", *lines, "E9,0"], "labels.csv, line 43: has 2 cells, the first line 27"),
        ("labels", lambda lines: [line.split(",")[0] for line in lines], "no column is a scored diagnosis"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    file: str, change: Change, words: str, paths: list[object], tmp_path: Path
) -> None:
    path = tmp_path / f"{file}.csv"
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(DataError) as caught:
        told(*paths)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_patients_are_refused(paths: list[object], tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"record,164889003\n\xe9\xff,1\n")
    with pytest.raises(DataError, match=r"latin\.csv: not a CSV file"):
        told("--labels", tmp_path / "latin.csv", *paths[2:])
    with pytest.raises(DataError, match="no such file"):
        told("--labels", tmp_path / "none.csv", *paths[2:])
    with pytest.raises(DataError, match="not a CSV file"):
        told("--labels", tmp_path, *paths[2:])
    owners = write(tmp_path / "patients.csv", RECORDS[:-1], ["patient"], [["p"]] * 39)
    with pytest.raises(DataError, match="has no row for record 'E00039'"):
        told(*paths, "--bootstrap", 10, "--patients", owners)
    with pytest.raises(ConfigError, match="--bootstrap"):
        told(*paths, "--patients", owners)
