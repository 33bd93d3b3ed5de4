"""``wardlaw simulate audit`` and ``audit-mechanism``: what attackers learn, of runs and of mechanisms."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import torch
import typer

from client.privacy.engines import ENGINES
from simulations.audit.mechanism import audit_mechanism as audited
from simulations.audit.mechanism import load_audit, save_audit
from simulations.audit.one_run import Audit
from simulations.audit.taken_over import take_over
from simulations.audit.trained_runs import audit_run
from wardlaw.errors import ConfigError
from wardlaw.privacy.audits import MechanismAudit
from wardlaw.privacy.epsilon import epsilon_text
from wardlaw.privacy.statement import PrivacyStatement, is_refuted
from wardlaw.records import find_records, load_record


def audit(
    runs: Annotated[Path, typer.Argument(help="Folder of run records.")],
    only: Annotated[str, typer.Option(help="Only runs whose name has this text.")] = "",
    false_positive_rate: Annotated[
        float, typer.Option(min=0, max=1, help="Where the true-positive rate is read.")
    ] = 0.001,
    mechanism: Annotated[
        Path | None, typer.Option(help="File of `audit-mechanism --out`, to stand in the runs' statements.")
    ] = None,
) -> None:
    """Infer who was in the training set from each patient's loss, and put it into the run's statement."""
    of_code = load_audit(mechanism) if mechanism else None
    refuted = of_code is not None and of_code.refuted
    for folder in find_records(runs):
        if only in folder.name:
            record = load_record(folder)
            statement = audit_run(record, false_positive_rate)
            for line in _told(statement):
                typer.echo(f"{folder.name} {line}")
            if of_code:
                typer.echo(f"{folder.name} {take_over(folder, of_code)}")
            refuted |= is_refuted(statement)
    if refuted:
        raise typer.Exit(1)


def _told(statement: PrivacyStatement) -> Iterator[str]:
    assert statement.audit is not None
    claim = "refuted, claimed" if is_refuted(statement) else "claimed"
    promised = "nothing" if statement.epsilon is None else epsilon_text(statement.epsilon, ".3f")
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
    canaries: Annotated[int, typer.Option(min=100, help="Canaries, half of them members.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of coins, draws and noise.")] = 0,
    engine: Annotated[str, typer.Option(help=f"What clips: {', '.join(ENGINES)}.")] = "batched ehr",
    clipping: Annotated[Literal["flat", "normalised"], typer.Option(help="Rule of clipping.")] = "flat",
    precision: Annotated[Literal["fp32", "bf16"], typer.Option(help="Of the passes.")] = "fp32",
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="What it runs on.")] = "cpu",
    out: Annotated[
        Path | None, typer.Option(help="File for the audit, which `audit --mechanism` takes over.")
    ] = None,
) -> None:
    """Audit private training in one run of gradient canaries; fails if its claim is refuted."""
    if not (sampling_rate and noise and 0 < delta < 1):
        raise ConfigError("an audit needs --sampling-rate and --noise above 0, and --delta between 0 and 1")
    if engine not in ENGINES:
        raise ConfigError(
            f"there is no engine {engine!r}", where="--engine", remedy=f"Take {', '.join(ENGINES)}"
        )
    # Many small steps: threads would wait for one another.
    torch.set_num_threads(1)
    setting = Audit(canaries, sampling_rate, noise, steps, seed, engine, clipping, precision, device)
    found = audited(setting, delta)
    for line in _judged(found):
        typer.echo(line)
    if out:
        save_audit(out, found)
    if found.refuted:
        raise typer.Exit(1)


def _judged(audit: MechanismAudit) -> Iterator[str]:
    yield (
        f"{'refuted' if audit.refuted else 'not refuted'} (false alarms {audit.false_alarm:.0%}): "
        f"epsilon at delta {audit.delta:g} is at least {audit.epsilon_at_least:.3f} by two rates and "
        f"{audit.epsilon_at_least_one_run:.3f} by one run, claimed {epsilon_text(audit.epsilon, '.3f')}"
    )
    for name, caught in audit.catches.items():
        yield f"{'caught' if caught else 'missed'}: {name}"
