"""``wardlaw simulate audit`` and ``audit-mechanism``: what attackers learn, of runs and of mechanisms."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from simulations.audit.lower_bound import lower_bounds
from simulations.audit.one_run import EPSILONS, Audit, canary_scores
from simulations.audit.profile import claimed_profile
from simulations.audit.trained_runs import audit_run
from simulations.audit.verdict import judge
from wardlaw.errors import ConfigError
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.statement import PrivacyStatement, is_refuted
from wardlaw.records import find_records, load_record


def audit(
    runs: Annotated[Path, typer.Argument(help="Folder of run records.")],
    only: Annotated[str, typer.Option(help="Only runs whose name has this text.")] = "",
    false_positive_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Where the true-positive rate is read.")
    ] = 0.001,
) -> None:
    """Infer who was in the training set from each patient's loss, and put it into the run's statement."""
    refuted = False
    for folder in find_records(runs):
        if only in folder.name:
            statement = audit_run(load_record(folder), false_positive_rate)
            for line in _told(statement):
                typer.echo(f"{folder.name} {line}")
            refuted |= is_refuted(statement)
    if refuted:
        raise typer.Exit(1)


def _told(statement: PrivacyStatement) -> Iterator[str]:
    assert statement.audit is not None
    claim = "refuted, claimed" if is_refuted(statement) else "claimed"
    promised = "nothing" if statement.epsilon is None else f"{statement.epsilon:.3f}"
    for attack in statement.audit.attacks:
        short = "" if attack.resolved else ", too few others for this rate"
        yield (
            f"{attack.replica}: AUROC {attack.auroc:.3f}, TPR {attack.true_positive_rate:.4f} "
            f"[{attack.low:.4f}, {attack.high:.4f}] at FPR {attack.false_positive_rate:g}, "
            f"{attack.members} members, {attack.others} others{short}; epsilon at delta "
            f"{statement.audit.delta:g} is at least {attack.epsilon_at_least:.3f}, {claim} {promised}"
        )
    for found in statement.audit.presence:
        yield (
            f"{found.replica}: {found.present} codes told from {found.absent} absent ones by the embedding "
            f"with AUROC {found.auroc:.3f}"
        )


def audit_mechanism(
    sampling_rate: Annotated[float, typer.Option(min=0, max=1, help="q: patients of a step over all.")],
    noise: Annotated[float, typer.Option(min=0, help="sigma: noise over the clipping norm.")],
    steps: Annotated[int, typer.Option(min=1, help="Steps that the attacker sees.")],
    delta: Annotated[float, typer.Option(help="delta of the epsilons compared.")] = 1e-6,
    canaries: Annotated[int, typer.Option(min=100, help="Canaries, half of them members.")] = 4000,
    seed: Annotated[int, typer.Option(help="Of coins, draws and noise.")] = 0,
) -> None:
    """Audit private training in one run of gradient canaries; fails if its claim is refuted."""
    if not (sampling_rate and noise and 0 < delta < 1):
        raise ConfigError("an audit needs --sampling-rate and --noise above 0, and --delta between 0 and 1")
    setting = Audit(canaries, sampling_rate, noise, steps, seed)
    scores = canary_scores(setting)
    verdict = judge(*scores, claimed_profile(setting.events, EPSILONS))
    bounds = lower_bounds(*scores, delta)
    typer.echo(
        f"{'refuted' if verdict.refuted else 'not refuted'} (false alarms {verdict.false_alarm:.0%}): "
        f"epsilon at delta {delta:g} is at least {bounds.two_rates:.3f} by two rates and "
        f"{bounds.one_run:.3f} by one run, claimed {epsilon(setting.events, delta):.3f}"
    )
    if verdict.refuted:
        raise typer.Exit(1)
