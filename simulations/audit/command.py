"""``wardlaw simulate audit`` and ``audit-mechanism``: what attackers learn, of runs and of mechanisms."""

from pathlib import Path
from typing import Annotated

import typer

from simulations.audit.lower_bound import lower_bounds
from simulations.audit.one_run import EPSILONS, Audit, canary_scores
from simulations.audit.profile import claimed_profile
from simulations.audit.trained_runs import attack_run
from simulations.audit.verdict import judge
from wardlaw.errors import ConfigError
from wardlaw.privacy.accountant import epsilon
from wardlaw.records import find_records, load_record


def audit(
    runs: Annotated[Path, typer.Argument(help="Folder of run records.")],
    only: Annotated[str, typer.Option(help="Only runs whose name has this text.")] = "",
    false_positive_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Where the true-positive rate is read.")
    ] = 0.001,
) -> None:
    """Infer who was in the training set from each patient's loss (EHR)."""
    for folder in find_records(runs):
        if only not in folder.name:
            continue
        for row in attack_run(load_record(folder), false_positive_rate).iter_rows(named=True):
            short = "" if row["resolved"] else ", too few others for this rate"
            typer.echo(
                f"{folder.name} {row['replica']} ({row['mechanism']}): AUROC {row['auroc']:.3f}, TPR "
                f"{row['true_positive_rate']:.4f} [{row['low']:.4f}, {row['high']:.4f}] at FPR "
                f"{row['false_positive_rate']:g}, {row['members']} members, {row['others']} others{short}"
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
