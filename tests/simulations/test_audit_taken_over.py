"""A verdict on a mechanism stands in the statement of runs that it was made of, and of no others."""

import pytest
from typer.testing import CliRunner

from simulations.audit.mechanism import save_audit
from simulations.audit.taken_over import take_over
from simulations.cli import app
from simulations.federation_folder import load_federation
from simulations.topologies import run_topology
from wardlaw.config import from_flat
from wardlaw.privacy.audits import Implementation, MechanismAudit
from wardlaw.privacy.statement_files import load_statement


def config_of(federation, **changes):
    settings = {
        "data.federation": str(federation),
        "data.tokenizer": load_federation(federation).tokenizer,
        "model.size": "xs",
        "model.context": 16,
        "train.batch-tokens": 64,
        "train.tokens": 128,
        "train.device": "cpu",
        "run.topology": "centralised",
    }
    return from_flat(settings | changes)


@pytest.fixture(scope="module")
def federation(random_federation):
    return random_federation(sites=1, patients=20, length=20)


@pytest.fixture
def private_run(federation, tmp_path):
    private = {"privacy.mechanism": "dp-sgd", "privacy.patients": 4}
    return run_topology(config_of(federation, **private), tmp_path / "runs")


def audit_of(implementation: Implementation, *, refuted: bool = False) -> MechanismAudit:
    return MechanismAudit(
        implementation=implementation,
        canaries=2000,
        sampling_rate=0.1,
        noise_multiplier=0.4,
        steps=10,
        seed=0,
        delta=1e-6,
        epsilon=22.9,
        epsilon_at_least=2.24,
        epsilon_at_least_one_run=2.61,
        refuted=refuted,
        false_alarm=0.01,
        catches={"no clipping": True, "shuffling": False},
    )


def page(folder):
    return " ".join((folder / "privacy.txt").read_text().split())


def test_a_run_says_what_took_its_private_steps(private_run):
    used = load_statement(private_run).implementation
    assert (used.engine, used.sampling, used.clipping) == ("batched ehr", "poisson", "flat")
    assert (used.precision, used.device) == ("fp32", "cpu")
    assert len(used.code) == 64
    assert "No audit of the code is known here" in page(private_run)


def test_an_audit_of_the_same_code_is_taken_over_with_what_it_would_miss(private_run):
    found = audit_of(load_statement(private_run).implementation)
    assert take_over(private_run, found) == "the audit of the mechanism is taken over: not refuted"
    assert load_statement(private_run).mechanism_audit == found
    told = page(private_run)
    assert "did not refute what is claimed, at 1 % false alarms" in told
    assert "q 0.1, sigma 0.4, 10 steps. These have epsilon 22.9 at delta 1e-06, and at least 2.24" in told
    assert "catches, of mechanisms broken on purpose: no clipping. It would have missed: shuffling." in told
    assert "not of this run's noise" in told


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("engine", "loop"),
        ("sampling", "shuffled"),
        ("clipping", "normalised"),
        ("precision", "bf16"),
        ("device", "cuda"),
        ("code", "0" * 64),
        ("torch", "1.0"),
    ],
)
def test_an_audit_of_anything_else_is_not(private_run, name, other):
    used = load_statement(private_run).implementation
    said = take_over(private_run, audit_of(used.model_copy(update={name: other})))
    assert f"not taken over: it is of {name} {other[:16]}, not {getattr(used, name)[:16]}" in said
    assert load_statement(private_run).mechanism_audit is None


def test_a_run_without_private_steps_takes_none_over(federation, private_run, tmp_path):
    used = load_statement(private_run).implementation
    plain = run_topology(config_of(federation), tmp_path / "plain")
    assert "no private steps" in take_over(plain, audit_of(used))
    assert "code" not in page(plain).split("What attackers")[0].lower().split("whether")[-1]


@pytest.mark.parametrize("refuted", [False, True])
def test_the_command_names_a_finished_audit(private_run, tmp_path, refuted):
    path = tmp_path / "mechanism.json"
    save_audit(path, audit_of(load_statement(private_run).implementation, refuted=refuted))
    done = CliRunner().invoke(app, ["audit", str(private_run.parent), "--mechanism", str(path)])
    assert done.exit_code == refuted
    assert f"taken over: {'REFUTED' if refuted else 'not refuted'}" in done.output
    # Another attack on the run's models leaves the verdict on its code where it is.
    CliRunner().invoke(app, ["audit", str(private_run.parent)])
    statement = load_statement(private_run)
    assert statement.mechanism_audit.refuted == refuted
    assert statement.audit is not None
