"""Commands of the ECG pages have the options they show; docs/ecg.md is run, on SYNTHETIC hospitals."""

import contextlib
import re
import shlex
import tomllib
from pathlib import Path

import click
import polars as pl
import pytest
from click.testing import CliRunner

from client.site import open_site_shard
from wardlaw.cli import wardlaw
from wardlaw.config import load_site_policy
from wardlaw.records import find_records, load_record

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = sorted(DOCS.glob("ecg*.md"))
GUIDE = (DOCS / "ecg.md").read_text(encoding="utf-8")
FENCED = re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)
RUN, STUDY, SITE = (text for language, text in FENCED if language == "toml")


def commands(text: str) -> list[list[str]]:
    """Arguments of each line that calls ``wardlaw``, fenced or indented; optional ones count."""
    lines = re.findall(
        r"^ {0,4}wardlaw (.*(?:\n {20,}\[.*)*)$", text.replace("\\\n", " "), flags=re.MULTILINE
    )
    plain = (re.sub(r"[\[\]]| \.\.\.", "", line) for line in lines)
    return [shlex.split(line, comments=True) for line in plain]


def options_of(arguments: list[str]) -> set[str]:
    """Options of the command that the arguments begin with."""
    command, words = wardlaw, iter(arguments)
    while isinstance(command, click.Group):
        command = command.get_command(click.Context(command), next(words))
        assert command, arguments
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_have_the_options_that_the_page_shows(page):
    for arguments in commands(page.read_text(encoding="utf-8")):
        shown = {word for word in arguments if word.startswith("--")}
        assert shown <= options_of(arguments), arguments


def test_the_guide_names_every_source_and_page():
    shown = {
        source for line in commands(GUIDE) for source in re.findall(r"--source ([\w-]+)", " ".join(line))
    }
    assert shown == {"synthetic", "ptb-xl", "code-15", "wfdb", "array"}
    assert {page.name for page in PAGES} - {"ecg.md"} <= set(re.findall(r"ecg-\w+\.md", GUIDE))


@pytest.mark.slow
def test_the_guide_goes_from_records_to_a_report(tmp_path):
    (tmp_path / "run.toml").write_text(RUN)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "site.toml").write_text(SITE.replace('"ecg/shards/clinic"', '"ecg/shards/synthetic-02"'))
    with contextlib.chdir(tmp_path):
        for language, text in FENCED:
            for arguments in commands(text) if language == "sh" else []:
                result = CliRunner().invoke(wardlaw, arguments, catch_exceptions=False)
                assert result.exit_code == 0, result.output
        records = [load_record(folder) for folder in find_records(Path("ecg/runs"))]
        assert len(records) == 1 + 4
        assert all(record.result.synthetic for record in records)
        budget = tomllib.loads(RUN)["train"]["tokens"]
        assert {record.config.train.tokens for record in records} == {budget}
        scores = pl.read_csv("ecg/scores.csv")
        assert set(scores["where"]) == {"seen", "unseen"}
        assert set(scores["method"]) == {"own", "linear"}
        assert Path("ecg/sites.csv").read_text().count("\n") == 1 + 3
        assert "SYNTHETIC" in Path("ecg/report/report.html").read_text(encoding="utf-8")
        policy = load_site_policy(Path("site.toml"))
        assert open_site_shard(policy).manifest.patients("train") > policy.minimum_patients
