from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from client.ehr.shard import TokenShard
from client.privacy.private_round import code_digest
from simulations.audit import command, mechanism
from simulations.audit.broken import unclipped
from simulations.audit.canaries import Canaries
from simulations.audit.command import audit, audit_mechanism
from simulations.audit.mechanism import load_audit
from simulations.audit.one_run import Audit, Scores, canary_scores
from simulations.runner import run_once
from wardlaw.config import from_flat
from wardlaw.errors import ConfigError, RecordError
from wardlaw.privacy import audits
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.audits import Attack
from wardlaw.privacy.events import PoissonGaussian
from wardlaw.privacy.run_statement import run_statement
from wardlaw.privacy.statement import is_refuted, site_share
from wardlaw.privacy.statement_text import text_of

app = typer.Typer()
app.command("audit")(audit)
app.command("audit-mechanism")(audit_mechanism)

SETTING = (
    *("audit-mechanism", "--sampling-rate", "0.2", "--noise", "0.6", "--steps", "4"),
    *("--canaries", "600", "--engine", "loop"),
)


def test_a_mechanism_that_passes_is_reported_with_bound_and_claim() -> None:
    done = CliRunner().invoke(app, SETTING, catch_exceptions=False)
    assert done.exit_code == 0
    assert done.output.startswith("not refuted (false alarms 1%)")
    bound, claimed = (float(done.output.split(word)[1].split()[0]) for word in ("at least ", "claimed "))
    assert 0 < bound < claimed


def test_a_refuted_claim_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def scores(setting: Audit, canaries: Canaries) -> Scores:
        return canary_scores(setting, unclipped, canaries)

    monkeypatch.setattr(mechanism, "canary_scores", scores)
    done = CliRunner().invoke(app, SETTING, catch_exceptions=False)
    assert done.exit_code == 1
    assert done.output.startswith("refuted")


def test_an_audit_is_a_file_that_says_what_it_would_have_caught(tmp_path: Path) -> None:
    path = tmp_path / "mechanism.json"
    done = CliRunner().invoke(app, [*SETTING, "--out", str(path)], catch_exceptions=False)
    found = load_audit(path)
    assert (found.sampling_rate, found.noise_multiplier, found.steps, found.canaries) == (0.2, 0.6, 4, 600)
    assert found.implementation.engine == "loop"
    assert found.implementation.code == code_digest()
    assert found.epsilon == epsilon([PoissonGaussian(0.2, 0.6, 4)], 1e-6)
    assert 0 < found.epsilon_at_least < found.epsilon
    assert not found.refuted
    # So few canaries catch the coarse faults, and say of the others that they miss them.
    assert found.catches["no clipping"]
    for name, caught in found.catches.items():
        assert f"{'caught' if caught else 'missed'}: {name}" in done.output
    assert found.missed == [name for name, caught in found.catches.items() if not caught]
    path.write_text(path.read_text().replace('"steps"', '"stairs"'))
    with pytest.raises(RecordError, match="not an audit of a mechanism: steps"):
        load_audit(path)
    with pytest.raises(RecordError, match="no audit of a mechanism"):
        load_audit(tmp_path / "absent.json")


def test_an_engine_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ConfigError, match="no engine 'steam'"):
        CliRunner().invoke(app, [*SETTING[:-1], "steam"], catch_exceptions=False)


def test_settings_without_a_mechanism_are_refused() -> None:
    with pytest.raises(ConfigError, match="--noise above 0"):
        CliRunner().invoke(app, [*SETTING[:4], "0", *SETTING[5:]], catch_exceptions=False)


def test_finished_runs_are_told_one_by_one(random_federation, tmp_path: Path) -> None:
    federation = random_federation(sites=2)
    shard = TokenShard.open(next((federation / "sites" / "site-0" / "tokens").iterdir()))
    settings = {
        "data.federation": str(federation),
        "data.tokenizer": shard.manifest.tokenizer,
        "model.size": "xs",
        "model.context": 32,
        "train.batch-tokens": 128,
        "train.tokens": 512,
        "evaluation.bootstrap": 50,
        "federation.replicas": 2,
        "run.topology": "local",
    }
    run_once(from_flat(settings), tmp_path)
    done = CliRunner().invoke(app, ["audit", str(tmp_path)], catch_exceptions=False)
    lines = done.output.splitlines()
    assert [line.split()[1] for line in lines] == ["site-0:", "site-1:"]
    members = len(shard.split("train").lengths)
    # A site's own model is tried on its own patients only.
    assert f"{members} members" in lines[0]
    assert "too few others for this rate" in lines[0]


@pytest.mark.parametrize(("shown", "said"), [(0.5, "claimed 1.000"), (1.5, "refuted, claimed 1.000")])
def test_a_claim_below_what_an_attack_shows_fails(monkeypatch, tmp_path: Path, shown, said) -> None:
    attack = Attack(
        replica="global",
        members=9,
        others=9,
        auroc=0.9,
        false_positive_rate=0.001,
        true_positive_rate=0.5,
        low=0.2,
        high=0.8,
        resolved=False,
        epsilon_at_least=shown,
    )
    config = from_flat({"privacy.mechanism": "dp-sgd"})
    share = site_share("a", [PoissonGaussian(0.1, 1.0, 5)], epsilon=1.0)
    plain = run_statement(config, synthetic=True, basis="ledgers", sites=[share])
    statement = plain.model_copy(
        update={"audit": audits.Audit(delta=config.privacy.delta, attacks=(attack,))}
    )
    monkeypatch.setattr(command, "find_records", lambda runs: [tmp_path])
    monkeypatch.setattr(command, "load_record", lambda folder: None)
    monkeypatch.setattr(command, "audit_run", lambda record, rate: statement)
    done = CliRunner().invoke(app, ["audit", str(tmp_path)], catch_exceptions=False)
    assert f"is at least {shown:.3f}, {said}" in done.output
    assert done.exit_code == (1 if "refuted" in said else 0)
    assert ("which is refuted" in " ".join(text_of(statement).split())) == ("refuted" in said)
    # Another delta is another claim.
    other = statement.model_copy(update={"delta": 1e-9})
    assert not is_refuted(other)
