"""Commands and Python of the pages of analysis are run, on made-up tables like those that they name."""

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
from analysis.numbers_file import write_numbers
from analysis.tables.columns import LETTERS

PAGE, PLANNER, PRIVATE = (
    (Path(__file__).resolve().parents[2] / "docs" / name).read_text(encoding="utf-8")
    for name in ("analysis.md", "planner.md", "private-runs.md")
)
# What the pages' Python calls what a command writes.
RESULTS = {
    "fit.json": "fitted",
    "repeats.json": "near",
    "isoflop.json": "optimal",
    "compare.json": "compared",
    "select.json": "chosen",
    "importance.json": "found",
    "plan.json": "plan",
}


def blocks(language: str, text: str = PAGE + PLANNER + PRIVATE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def synthetic_loss(size, tokens):
    return 1.8 + 480 / size**0.35 + 2000 / tokens**0.37


@pytest.fixture(scope="module")
def tables(tmp_path_factory, make_study, private_study) -> Path:
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
    grids = np.geomspace(1e8, 1e10, 4), np.geomspace(1e9, 1e11, 4), [1.0, 4.0, 16.0], [10.0, 100.0]
    size, tokens, sites, steps = (grid.ravel() for grid in np.meshgrid(*grids))
    drift = sites ** (0.03 * np.log(steps))
    runs = {"N": size, "D": tokens, "M": sites, "H": steps}
    write("federated.csv", runs | {"loss": 1.8 + 480 / size**0.35 + 2000 / tokens**0.37 * drift})
    make_study(folder / "demo" / "runs", sizes=("xs", "40k", "150k", "330k"))
    (folder / "private").mkdir()
    (folder / "private" / "runs").symlink_to(private_study)
    shards = {"site": ["north", "south"], "patients": [900, 700], "tokens": [400_000, 300_000]}
    pl.DataFrame(shards).write_csv(folder / "sites.csv")
    return folder


@pytest.fixture(scope="module")
def namespace(tables):
    """The pages' Python blocks, run one after the other."""
    names: dict = {}
    with contextlib.chdir(tables):
        for block in blocks("python"):
            exec(compile(block, "docs", "exec"), names)
    return names


@pytest.fixture(scope="module")
def commands(tables):
    """The pages' commands of analysis, run; what each printed."""
    printed = {}
    with contextlib.chdir(tables):
        for line in "".join(blocks("sh")).replace("\\\n", " ").splitlines():
            arguments = shlex.split(line)
            if arguments[:2] != ["wardlaw", "analysis"]:
                assert arguments == ["wardlaw", "simulate", "shards", "demo/federation", "--out", "sites.csv"]
                continue
            result = CliRunner().invoke(app, arguments[2:], catch_exceptions=False)
            assert result.exit_code == 0, result.output
            printed[line] = result.output
    return printed


@pytest.mark.slow
def test_commands_and_python_give_the_same_numbers(tables, namespace, commands, tmp_path):
    assert len(commands) == 12
    for file, name in RESULTS.items():
        write_numbers(tmp_path / file, namespace[name].to_json())
        assert json.loads((tables / file).read_text()) == json.loads((tmp_path / file).read_text()), file
    joint = json.loads((tables / "joint.json").read_text())
    assert joint["fit"]["params"] == pytest.approx(namespace["joint"].params)
    assert joint["selection"]["chosen"] == namespace["selection"].chosen.name
    # The table has drift in the tokens' term alone: more sites, larger share of tokens, smaller model.
    assert namespace["best"].agrees_with_theory
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


@pytest.mark.parametrize(("page", "lines"), [(PAGE, 300), (PLANNER, 100), (PRIVATE, 60)])
def test_a_page_is_short_and_leaves_no_block_out(page, lines):
    assert page.count("\n") < lines
    assert page.count("```") == 2 * (len(blocks("sh", page)) + len(blocks("python", page)))
    assert not re.search(r"^    wardlaw ", page, flags=re.MULTILINE)
