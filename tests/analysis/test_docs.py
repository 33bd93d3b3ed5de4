"""What docs/analysis.md says is run: its commands and its Python, on made-up tables with the same columns."""

import contextlib
import json
import re
import shlex
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from analysis.cli import app
from analysis.laws.registry import LAWS
from analysis.options import write_numbers
from analysis.tables.columns import LETTERS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "analysis.md").read_text(encoding="utf-8")
# What the page's Python calls what a command writes.
RESULTS = {
    "fit.json": "fitted",
    "isoflop.json": "optimal",
    "compare.json": "compared",
    "select.json": "chosen",
    "importance.json": "found",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def synthetic_loss(size, tokens):
    return 1.8 + 480 / size**0.35 + 2000 / tokens**0.37


@pytest.fixture(scope="module")
def tables(tmp_path_factory, make_study) -> Path:
    """SYNTHETIC tables under the names of the page's."""
    folder = tmp_path_factory.mktemp("page")
    random = np.random.default_rng(0)

    def write(name: str, columns: dict) -> None:
        rows = pl.DataFrame(columns)
        noise = np.exp(random.normal(scale=0.003, size=len(rows)))
        rows.with_columns(loss=pl.col("loss") * noise).write_csv(folder / name)

    size, flops = (
        grid.ravel() for grid in np.meshgrid(np.geomspace(1e8, 1e10, 6), np.geomspace(1e19, 1e22, 6))
    )
    loss = synthetic_loss(size, flops / (6 * size))
    write("svg_extracted_data.csv", {"Model Size": size, "Training FLOP": flops, "loss": loss})
    budget = np.repeat(np.geomspace(1e17, 1e19, 4), 7)
    size = np.sqrt(budget / 120) * np.tile(np.geomspace(0.2, 5, 7), 4)
    tokens = budget / (6 * size)
    points = {
        "flops": budget,
        "n": size,
        "t": tokens,
        "loss": synthetic_loss(size, tokens),
        "hparams": "tuned",
    }
    write("isoflop_points.csv", points)
    size, sites = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e8, 2.4e9, 6), [1.0, 2.0, 4.0, 8.0]))
    write("table4_table5.csv", {"N": size, "M": sites, "loss": 1.5 + 19 * size**-0.12 * sites**0.012})
    size, unique = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e8, 4e9, 6), [1e9, 4e9, 1.6e10]))
    tokens = np.concatenate([unique, 4 * unique, 16 * unique])
    size, unique = np.tile(size, 3), np.tile(unique, 3)
    worth = unique * (1 + 15 * (1 - np.exp((1 - tokens / unique) / 15)))
    runs = {"N": size, "D": tokens, "U": unique, "loss": synthetic_loss(size, worth)}
    write("datablations_fit182.csv", runs)
    make_study(folder / "demo" / "runs", sizes=("xs", "40k", "150k", "330k"))
    return folder


@pytest.fixture(scope="module")
def namespace(tables):
    """The page's Python blocks, run one after the other."""
    names: dict = {}
    with contextlib.chdir(tables):
        for block in blocks("python"):
            exec(compile(block, "docs/analysis.md", "exec"), names)
    return names


@pytest.fixture(scope="module")
def commands(tables):
    """The page's commands, run; what each printed."""
    printed = {}
    with contextlib.chdir(tables):
        for line in "".join(blocks("sh")).replace("\\\n", " ").splitlines():
            arguments = shlex.split(line)
            assert arguments[:2] == ["wardlaw", "analysis"]
            result = CliRunner().invoke(app, arguments[2:], catch_exceptions=False)
            assert result.exit_code == 0, result.output
            printed[line] = result.output
    return printed


@pytest.mark.slow
def test_commands_and_python_give_the_same_numbers(tables, namespace, commands, tmp_path):
    assert len(commands) == 8
    for file, name in RESULTS.items():
        write_numbers(tmp_path / file, namespace[name].to_json())
        assert json.loads((tables / file).read_text()) == json.loads((tmp_path / file).read_text()), file
    joint = json.loads((tables / "joint.json").read_text())
    assert joint["fit"]["params"] == pytest.approx(namespace["joint"].params)
    assert joint["selection"]["chosen"] == namespace["selection"].chosen.name
    for folder in ("report", "fits", "study"):
        assert (tables / folder / "report.html").stat().st_size > 10_000


@pytest.mark.slow
def test_the_fields_of_the_json_are_those_of_the_page(tables, commands):
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE.partition("## JSON")[2], flags=re.MULTILINE))
    shared = {"source", "notes", "dropped", "warnings", "cautions"}
    for command, fields in listed.items():
        named = set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", fields)))
        written = json.loads((tables / f"{command}.json").read_text())
        assert named - shared == written.keys() - shared, command


def test_every_law_and_letter_is_on_the_page():
    for law in LAWS.values():
        assert f"| `{law.name}` | {law.formula} | {', '.join(law.inputs)} | {law.source} |" in PAGE
    for letter, meaning in LETTERS.items():
        assert re.search(rf"^\| {letter} \| {meaning}", PAGE, flags=re.MULTILINE), letter


def test_the_page_is_short_and_leaves_no_block_out():
    assert PAGE.count("\n") < 260
    assert PAGE.count("```") == 2 * (len(blocks("sh")) + len(blocks("python")))
