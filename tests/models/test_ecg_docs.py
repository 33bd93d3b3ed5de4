"""Tables of docs/ecg-models.md are the ladders, those of docs/ecg-objectives.md the objectives."""

import re
from pathlib import Path

import pytest

from models.ecg import convnext, regnet, resnet, s4d
from models.ecg.families import RUNGS
from models.ecg.ladder import BASE
from models.ecg.listing import describe, describe_objectives
from models.ecg.scaling import rate_of
from models.ehr.ladder import shape_of
from wardlaw.config.model import ECG_FAMILIES
from wardlaw.config.objective import COUPLED, ObjectiveSection

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, OBJECTIVES = (
    (DOCS / f"ecg-{name}.md").read_text(encoding="utf-8") for name in ("models", "objectives")
)


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
    roles = {"vectors": "vector", "fixed": "fixed", "stem": "stem"}
    roles |= {"grouped": "grouped", "dense": "hidden", "heads": "head"}
    table = rows(PAGE, "|".join(f"{word}.*" for word in roles))
    assert len(table) == len(roles)
    rate = {"1": 1.0, "r": 4.0, "1 / r": 0.25}
    for part, _, adam, sgd, _ in table:
        role = roles[re.split(r"\W", part)[0]]
        assert rate[adam] == rate_of(role, 4.0, "adamw")
        assert rate[sgd] == rate_of(role, 4.0, "sgd")


def test_every_objective_stands_on_the_page_with_target_and_chance():
    table = rows(OBJECTIVES.partition("Chance in this table")[0], r"`[a-z0-9]+`")
    assert [row[0].strip("`") for row in table] == [row["name"] for row in describe_objectives()]
    for (_, _, target, chance, module), row in zip(table, describe_objectives(), strict=True):
        assert target == row["target"]
        known = row["chance_nats"]
        assert chance == ("depends on the data" if known is None else f"{known:.3f} nats")
        text = (DOCS.parent / module.strip("`")).read_text(encoding="utf-8")
        assert re.search(rf"^class {row['name']}\(", text, flags=re.MULTILINE | re.IGNORECASE)


def test_coupled_objectives_are_those_that_are_refused():
    table = rows(OBJECTIVES.partition("## Private gradients")[2], r"`[a-z0-9]+`")
    assert {name.strip("`"): reason for name, reason in table} == COUPLED


def test_settings_of_the_page_are_the_defaults():
    usual = ObjectiveSection()
    named = re.findall(r"`([a-z-]+)` (?:\()?([\d.]+)\b", OBJECTIVES)
    assert len(named) >= 9
    for field, value in named:
        assert getattr(usual, field.replace("-", "_")) == float(value), field


def test_pages_are_short():
    for page in DOCS.glob("ecg*.md"):
        assert page.read_text(encoding="utf-8").count("\n") <= 300, page.name
