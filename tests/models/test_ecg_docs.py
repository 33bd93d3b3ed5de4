"""Tables of docs/ecg-models.md are the ladders, and its rules are the code's."""

import re
from pathlib import Path

import pytest

from models.ecg import convnext, regnet, resnet, s4d
from models.ecg.families import RUNGS
from models.ecg.ladder import BASE
from models.ecg.listing import describe
from models.ecg.scaling import rate_of
from models.ehr.ladder import shape_of
from wardlaw.config.model import ECG_FAMILIES

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "ecg-models.md").read_text(encoding="utf-8")


def rows(text: str, first: str) -> list[list[str]]:
    """Cells of the table rows whose first cell matches ``first``."""
    lines = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines()]
    return [cells for cells in lines if len(cells) > 1 and re.fullmatch(first, cells[0])]


def section_of(family: str) -> str:
    return PAGE.partition(f"### `{family}`\n")[2].partition("\n#")[0].partition("\nForward FLOPs")[0]


@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_the_tables_are_the_ladders(family):
    table = rows(section_of(family), r"`\w+`")
    assert [row[0].strip("`") for row in table] == list(RUNGS[family])
    for size, *cells in table:
        wanted = describe(family, size.strip("`"), "bce", 26, 512)
        assert [int(cell.replace(",", "")) for cell in cells] == list(wanted.values())[1:]


@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_depths_follow_the_rule_of_the_page(family):
    width_of_page = {
        "resnet": (resnet.RUNGS, lambda w: 4 * (1 + w // 144)),
        "convnext": (convnext.RUNGS, lambda w: 4 * (1 + w // 160)),
        "regnet": (regnet.RUNGS, lambda w: 4 + w // 80),
        "s4d": (s4d.RUNGS, lambda w: max(4, w // 64)),
        "transformer": ({}, lambda w: shape_of(w).depth),
    }
    rungs, depth_of = width_of_page[family]
    for size, last, _, depth, *_ in rows(section_of(family), r"`\w+`"):
        last = int(last.replace(",", ""))
        width = rungs.get(size.strip("`"), last)
        assert last == width * (4 if family in {"resnet", "convnext", "regnet"} else 1)
        assert int(depth) == depth_of(width)


def test_flops_a_sample_and_parameter():
    (families,) = [
        line.strip("| ").split(" | ") for line in PAGE.splitlines() if line.startswith("| | resnet")
    ]
    table = rows(PAGE, rf"smallest|`{BASE}`|largest")[-3:]
    for row, place in zip(table, (0, list(RUNGS["resnet"]).index(BASE), -1), strict=True):
        for family, cell in zip(families, row[1:], strict=True):
            rung = describe(family, RUNGS[family][place], "bce", 26, 512)
            assert float(cell) == pytest.approx(rung["forward_flops"] / 512 / rung["parameters"], abs=6e-4)


def test_the_rates_of_the_page_are_those_of_the_optimiser():
    roles = {"vectors": "vector", "stem": "stem", "grouped": "grouped", "dense": "hidden", "heads": "head"}
    table = rows(PAGE, "|".join(f"{word}.*" for word in roles))
    assert len(table) == len(roles)
    rate = {"1": 1.0, "r": 4.0, "1 / r": 0.25}
    for part, _, adam, sgd, _ in table:
        role = roles[re.split(r"\W", part)[0]]
        assert rate[adam] == rate_of(role, 4.0, "adamw")
        assert rate[sgd] == rate_of(role, 4.0, "sgd")


def test_pages_are_short():
    for page in DOCS.glob("ecg*.md"):
        assert page.read_text(encoding="utf-8").count("\n") <= 300, page.name
