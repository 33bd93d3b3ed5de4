"""``plan-privacy``: noise for an epsilon and the reverse, and what it refuses."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from client.privacy.plan_command import plan_privacy
from wardlaw.errors import ConfigError

app = typer.Typer()
app.command()(plan_privacy)

SITE = ("--patients", 5000, "--batch", 256, "--steps", 1000)


def told(*arguments: object) -> str:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception:
        raise result.exception
    return result.stdout


def figures(*arguments: object) -> dict[str, Any]:
    account: dict[str, Any] = json.loads(told(*arguments, "--json"))
    return account


def test_noise_for_an_epsilon_and_back():
    plan = figures(*SITE, "--epsilon", 2)
    assert plan["noise_multiplier"] == pytest.approx(2.96, abs=6e-3)
    assert plan["noise_batch_ratio"] == pytest.approx(plan["noise_multiplier"] / 256)
    assert plan["sampling_rate"] == 256 / 5000
    assert plan["delta"] == pytest.approx(5000**-1.1)
    assert "default" in plan["delta_chosen"]
    assert 1.997 < plan["epsilon"] <= 2
    back = figures(*SITE, "--noise", plan["noise_multiplier"], "--delta", plan["delta"])
    assert back["epsilon"] == plan["epsilon"]
    assert back["delta_chosen"] == "as asked"


def test_unit_and_relation_are_stated():
    for plan in (told(*SITE, "--noise", 3), str(figures(*SITE, "--noise", 3))):
        assert "whole record at one site" in plan
        assert "add or remove one patient" in plan
        assert "privacy loss distribution" in plan


def test_alternatives_are_a_table_at_equal_epsilon():
    small = ("--patients", 200, "--batch", 100, "--steps", 20, "--noise", 8)
    rows = figures(*small, "--alternatives")["alternatives"]
    assert {(row["batch"], row["steps"]) for row in rows} >= {(25, 10), (50, 20), (200, 40)}
    assert all(row["batch"] <= 200 for row in rows)
    lines = told(*small, "--alternatives").splitlines()
    assert len(lines[lines.index("At equal epsilon:") + 2 :]) == len(rows)


def test_noise_that_promises_nothing_is_more_than_a_number():
    assert figures(*SITE, "--noise", 1e-4)["epsilon"] == "more than 500"
    assert told(*SITE, "--noise", 1e-4).splitlines()[0].split(maxsplit=1) == ["epsilon", "more than 500"]
    with pytest.raises(ConfigError, match="no noise is planned for an epsilon of more than 500"):
        told(*SITE, "--noise", 1e-4, "--alternatives")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--patients", 10, "--batch", 11, "--steps", 1, "--noise", 1), "cannot draw 11 of 10"),
        ((*SITE, "--epsilon", 0), "no noise is planned"),
        ((*SITE, "--epsilon", -3), "no noise is planned"),
        ((*SITE, "--noise", 0), "noise must be above 0"),
        ((*SITE, "--epsilon", 1, "--delta", "1e-11"), "delta must lie between 1e-10"),
        ((*SITE, "--noise", "nan"), "noise must be above 0"),
        (SITE, "exactly one of --epsilon and --noise"),
        ((*SITE, "--epsilon", 1, "--noise", 1), "exactly one of --epsilon and --noise"),
        ((*SITE, "--epsilon", 1, "--delta", 1), "delta must lie"),
        ((*SITE, "--epsilon", 1, "--delta", 0), "delta must lie"),
        (("--patients", 1, "--batch", 1, "--steps", 1, "--noise", 1), "delta must lie"),
    ],
)
def test_impossible_plans_are_one_line(arguments, why):
    with pytest.raises(ConfigError, match=why):
        told(*arguments)
