"""``wardlaw simulate audit``: what an attacker learns from the models of finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from simulations.audit.trained_runs import attack_run
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
