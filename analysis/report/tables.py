"""The tables behind the report's figures: what is drawn is what can be downloaded."""

import numpy as np
import polars as pl

from analysis.report.findings import Findings, of_arms, runs_at
from analysis.tables.records import LOSSES, Runs, site_losses
from wardlaw.errors import RecordError

_CURVE_POINTS = 60
_TRAINING_POINTS = 120
_BEYOND = 2.0


def own_site(local: str) -> str:
    """Name that the figure of sites gives to a local arm's models at home."""
    return f"{local}, own site's model"


def loss_points(findings: Findings) -> pl.DataFrame:
    """``arm``, ``parameters``, ``non_embedding_parameters``, ``tokens``, ``seed``, ``loss``, a row a run."""
    return findings.curve_runs.select(
        "arm",
        "parameters",
        "non_embedding_parameters",
        "tokens",
        "seed",
        pl.col(findings.loss).alias("loss"),
    )


def loss_curves(runs: Runs, findings: Findings) -> pl.DataFrame:
    """Fitted L(N) with its band, drawn to twice the largest size of a model: ``arm`` to ``high``."""
    pieces = [
        pl.DataFrame(
            schema={"arm": pl.String, **dict.fromkeys(("parameters", "loss", "low", "high"), pl.Float64)}
        )
    ]
    for peers in runs.peers:
        sizes = of_arms(findings.curve_runs, peers.arms)["parameters"].to_numpy()
        size = np.geomspace(float(sizes.min()), _BEYOND * float(sizes.max()), _CURVE_POINTS)
        for arm in peers.arms:
            if arm in findings.curves:
                loss, low, high = findings.curves[arm].band(size)
                pieces.append(
                    pl.DataFrame({"arm": arm, "parameters": size, "loss": loss, "low": low, "high": high})
                )
    return pl.concat(pieces)


def gap_table(findings: Findings) -> pl.DataFrame:
    """Gap of each arm to centralised training at each size, in nats and per cent, with intervals."""
    return pl.DataFrame(
        [
            {
                "arm": gap.arm,
                "parameters": gap.parameters,
                "tokens": gap.tokens,
                "seeds": gap.seeds,
                "nats": gap.absolute.estimate,
                "nats_low": gap.absolute.low,
                "nats_high": gap.absolute.high,
                "percent": gap.percent.estimate,
                "percent_low": gap.percent.low,
                "percent_high": gap.percent.high,
            }
            for gap in findings.gaps
        ],
        schema_overrides=dict.fromkeys(
            [f"{unit}{end}" for unit in ("nats", "percent") for end in ("", "_low", "_high")], pl.Float64
        ),
    )


def training_curves(runs: Runs, findings: Findings) -> pl.DataFrame:
    """Training loss against the run's tokens: mean over replicas and seeds, thinned to 120 points.

    A run whose ``steps.parquet`` cannot be read has no curve.
    """
    pieces = []
    for row in findings.curve_runs.iter_rows(named=True):
        record = runs.records[row["run"]]
        try:
            steps = pl.DataFrame(pl.from_arrow(record.table("steps")))
        except RecordError:
            continue
        group = max(1, record.config.steps // _TRAINING_POINTS)
        # A private step that drew nobody has no loss.
        told = steps.drop_nulls("loss")
        pieces.append(
            told.group_by((pl.col("step") // group * group + group).clip(upper_bound=record.config.steps))
            .agg(pl.col("loss").mean())
            .select(
                arm=pl.lit(row["arm"]),
                parameters=pl.lit(row["parameters"]),
                tokens=pl.col("step") * record.config.train.batch_tokens,
                loss=pl.col("loss"),
            )
        )
    if not pieces:
        return pl.DataFrame(
            schema={"arm": pl.String, "parameters": pl.Int64, "tokens": pl.Int64, "loss": pl.Float64}
        )
    keys = ("arm", "parameters", "tokens")
    return (
        pl.concat(pieces)
        .group_by(keys, maintain_order=True)
        .agg(pl.col("loss").mean())
        .sort(pl.col("arm").replace_strict({arm: i for i, arm in enumerate(runs.arms)}), *keys[1:])
    )


def site_table(runs: Runs, findings: Findings) -> pl.DataFrame:
    """Held-out loss of each arm at each site, at the largest size that all arms of its model have.

    ``arm``, ``site``, ``patients``, ``loss``, and ``low`` and ``high`` (smallest and largest seed).
    In the local topology every replica is scored at every site: ``Local`` is their mean, and
    ``Local, own site's model`` is the replica that the site trained itself.
    """
    denominator = LOSSES[findings.unit].removeprefix("loss_per_") + "s"
    local = [peers.local for peers in runs.peers if peers.local]
    pieces = []
    for row in at_the_largest(runs, findings).iter_rows(named=True):
        losses = site_losses(runs.records[row["run"]]).with_columns(loss=pl.col("nats") / pl.col(denominator))
        own = losses.filter(pl.col("replica") == pl.col("site")) if row["arm"] in local else losses.clear()
        for arm, rows in ((row["arm"], losses), (own_site(row["arm"]), own)):
            pieces.append(
                rows.group_by("site")
                .agg(pl.col("loss").mean(), pl.col("patients").max())
                .select(arm=pl.lit(arm), site="site", patients="patients", loss="loss")
            )
    if not pieces:
        return pl.DataFrame()
    order = {arm: place for place, arm in enumerate([*runs.arms, *map(own_site, local)])}
    return (
        pl.concat(pieces)
        .group_by("arm", "site")
        .agg(
            pl.col("patients").max(),
            pl.col("loss").mean(),
            low=pl.col("loss").min(),
            high=pl.col("loss").max(),
            seeds=pl.len(),
        )
        .sort(pl.col("arm").replace_strict(order), "site")
    )


def at_the_largest(runs: Runs, findings: Findings) -> pl.DataFrame:
    """Runs at the largest size that all arms of their model have."""
    return pl.concat(
        runs_at(of_arms(findings.curve_runs, peers.arms), findings.largest.get(peers.name))
        for peers in runs.peers
    )


def joint_curves(runs: Runs, findings: Findings) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Runs, and the fitted L(N, D) along tokens at each size, of the arms that have a joint fit."""
    fits = [fit for fit in findings.fits if fit.law.name == "chinchilla"]
    points = runs.table.filter(pl.col("arm").is_in([fit.group for fit in fits])).select(
        "arm", "parameters", "tokens", "seed", pl.col(findings.loss).alias("loss")
    )
    pieces = []
    for fit in fits:
        tokens = points.filter(pl.col("arm") == fit.group)["tokens"].to_numpy()
        along = np.geomspace(tokens.min(), tokens.max(), _CURVE_POINTS)
        for size in sorted(points.filter(pl.col("arm") == fit.group)["parameters"].unique()):
            loss = fit.law.predict(np.column_stack([np.full_like(along, size), along]))
            pieces.append(pl.DataFrame({"arm": fit.group, "parameters": size, "tokens": along, "loss": loss}))
    return points, pl.concat(pieces) if pieces else pl.DataFrame()


def run_table(runs: Runs) -> pl.DataFrame:
    """A row a run, for reading and downloading."""
    return runs.table.select(
        "arm",
        "size",
        "parameters",
        "non_embedding_parameters",
        "tokens",
        "trained_tokens",
        "unique_tokens",
        "epochs",
        "seed",
        "loss_per_token",
        "loss_per_event",
        "flops",
        "sites",
        "learning_rate",
        "local_steps",
        "wall_s",
        "bytes_down",
        "bytes_up",
        "patients",
        "split",
        "synthetic",
        "fingerprint",
    )
