"""What the numbers cannot say, in sentences computed from them."""

import polars as pl

from analysis.fits.fit import determines_exponent
from analysis.report.findings import Findings, of_arms
from analysis.report.privacy_sentences import privacy_cautions
from analysis.tables.records import Runs
from analysis.uncertainty.interval_text import interval_text
from analysis.wording import count

_FEW_SEEDS = 5
_FEW_SIZES = 6
_REPEATED = 4.0
_OFF_BUDGET = 0.05
# Where arms differ in these, a gap between them is not one of topology or strategy.
_SAME_DATA = ("data.digest", "data.tokenizer", "data.sites", "evaluation.split", "model.context")


def cautions(runs: Runs, findings: Findings) -> list[str]:
    """What these runs cannot support, each computed from the runs."""
    table = findings.curve_runs
    seeds = table.group_by("arm", "parameters").len()["len"]
    fewest, counted = int(seeds.to_numpy().min()), runs.counted
    sizes = min(of_arms(table, peers.arms)["parameters"].n_unique() for peers in runs.peers)
    largest = sorted({int(of_arms(table, peers.arms)["parameters"].to_numpy().max()) for peers in runs.peers})
    found = []
    if fewest == 1:
        found.append(
            "Some sizes have one seed: chance and effect cannot be told apart there, and they add nothing "
            "to the intervals."
        )
    elif fewest < _FEW_SEEDS:
        found.append(
            f"{_seeds(fewest)} a size is few: the spread between seeds is pooled over sizes to have any "
            "interval at all, on the assumption that it is the same fraction of the loss at each."
        )
    if sizes == 1:
        found.append("One size was trained: nothing here says how the loss changes with size.")
    elif sizes < _FEW_SIZES:
        found.append(
            f"{sizes} sizes decide the curve's shape: an irreducible loss and an exponent fitted to so few "
            "depend strongly on each other, and another law could fit as well."
        )
    if findings.curves:
        found.append(
            f"Nothing beyond {' or '.join(map(count, largest))} parameters was trained. Curves are drawn to "
            "twice that and are a guess from there."
        )
    if table.group_by("arm", "parameters").agg(pl.col("tokens").n_unique())["tokens"].max() == 1:
        budgets = sorted(table["tokens"].unique())
        if len(budgets) == 1:
            found.append(
                f"Every run saw {count(budgets[0])} {counted}, whatever its size: L(N) here is at a fixed "
                f"{counted.removesuffix('s')} budget and not along compute-optimal training, and its "
                f"irreducible loss includes what more {counted} would still remove."
            )
    if bent := [
        fit
        for fit in findings.fits
        if fit.law.name == "power"
        and fit.columns == ("parameters",)
        and fit.resamples
        and not determines_exponent(fit)
    ]:
        exponents = "; ".join(f"{fit.group} alpha = {interval_text(fit.intervals['alpha'])}" for fit in bent)
        found.append(
            f"An irreducible loss cannot be told from these sizes ({bent[0].law.formula}: {exponents}), so "
            "the curves drawn have none: they describe the sizes trained and may fall too far beyond them."
        )
    if crooked := [arm for arm, fit in findings.curves.items() if fit.is_misfit]:
        found.append(
            f"The drawn law misses the measured sizes of {', '.join(crooked)} by more than seed noise "
            "explains: its parameters describe a curve that the runs do not follow."
        )
    found += _off_budget(table, counted.removesuffix("s"))
    apart = {key for peers in runs.peers for key in runs.differing_among(peers.arms)}
    if unlike := [key for key in _SAME_DATA if key in apart]:
        found.append(
            f"The arms differ in {', '.join(unlike)}: a gap between them is not one between topologies or "
            "strategies alone."
        )
    patients = ", ".join(f"{number:,}" for number in sorted(table["patients"].unique()))
    found.append(
        f"Losses are on {patients} {runs.evaluated} patients. The intervals hold the noise between seeds, "
        "not the chance of which patients, or which hospitals, these happen to be."
    )
    epochs = float(table["epochs"].to_numpy().max())
    if epochs > _REPEATED:
        found.append(
            f"Patients were repeated up to {epochs:.1f} times (epochs); beyond about four, repeated "
            f"{counted} are worth less than fresh ones (arXiv 2305.16264)."
        )
    if table["split"].unique().to_list() != ["held_out"]:
        found.append(
            f"Losses are on the {runs.evaluated} split: those of the tuning split may have chosen settings."
        )
    return found + privacy_cautions(findings.privacy) + _moving_targets(runs)


def _moving_targets(runs: Runs) -> list[str]:
    """Objectives whose loss can fall because the targets became easier."""
    moving = [measure.objective for measure in runs.measures if measure.moving]
    if not moving:
        return []
    return [
        f"The targets of {' and '.join(moving)} are made by the model itself or its own teacher, and change "
        "with it: a lower loss can be an easier target, so compare sizes, families and arms by what their "
        "features are worth on clinical tasks."
    ]


def _off_budget(table: pl.DataFrame, budget: str) -> list[str]:
    """Arms whose runs trained on clearly more or fewer tokens than their budget."""
    shares = table.group_by("arm", maintain_order=True).agg(
        (pl.col("trained_tokens") / pl.col("tokens")).mean().alias("share")
    )
    return [
        f"{arm} trained on {share:.2f} times its {budget} budget, all hospitals together: "
        + (
            "each of them takes the steps of a full replica, and there are more of them than replicas."
            if share > 1
            else "hospitals abstained or failed, or their windows were not full."
        )
        for arm, share in shares.rows()
        if abs(share - 1) > _OFF_BUDGET
    ]


def _seeds(number: int) -> str:
    return f"{number} seed{'s' if number > 1 else ''}"
