"""A folder of run records as one table, with what was left out and why."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from analysis.tables.arms import Arms, base_arm, differing_settings, effective_settings, name_arms
from analysis.tables.measures import Measure, objective_name
from analysis.tables.noise_axis import noise_name, noise_ratio, token_budgets
from analysis.tables.oracle import Oracle, read_oracle
from analysis.tables.peers import Peers, peers_of
from wardlaw.config import RunConfig
from wardlaw.errors import RecordError
from wardlaw.records import RunRecord, RunResult, find_records, load_record

# The unit of the loss, and the column that holds it.
LOSSES = {"token": "loss_per_token", "event": "loss_per_event"}
# Likewise, of every patient scored by the own site's model.
LOSSES_AT_HOME = {unit: f"loss_at_home_per_{unit}" for unit in LOSSES}
_POSITIVE = (
    *("loss_per_token", "loss_per_event"),
    *("parameters", "non_embedding_parameters", "tokens", "unique_tokens", "sites", "flops"),
)
_NOT_NEGATIVE = ("wall_s", "bytes_down", "bytes_up")
_WHOLE = ("parameters", "non_embedding_parameters", "tokens", "unique_tokens", "sites", *_NOT_NEGATIVE[1:])
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class LeftOut:
    """A run that no figure uses, and the reason."""

    run: str
    reason: str


@dataclass(frozen=True)
class Runs:
    """Finished runs of a folder.

    Attributes
    ----------
    table : polars.DataFrame
        A row a run: ``run``, ``arm``, ``surface`` (the arm whatever its noise), ``base_arm`` (topology or
        strategy, and the model where it reads ECG), ``noise`` (``S = 0.01``; empty without privacy),
        ``family``, ``objective``, ``size``, ``parameters``, ``non_embedding_parameters``, ``tokens`` (the
        budget; of ECG, samples), ``trained_tokens`` (what draws, packing and absent sites made of it),
        ``unique_tokens``, ``epochs``, ``flops``, ``loss_per_token``, ``loss_per_event`` (see ``Measure``
        for what they count), ``loss_at_home_per_token`` and ``loss_at_home_per_event`` (every patient
        scored by the own site's model; null unless each site has its own), ``seed``, ``sites``,
        ``learning_rate``, ``local_steps`` (null when not federated), ``replicas``, ``batch_tokens`` (a
        step, all replicas), ``steps``, ``noise_batch_ratio`` (0 without privacy), ``averaged_ratio`` (of
        the mean over replicas), ``noise_multiplier``, ``batch_patients`` (a step of a replica),
        ``step_patients`` (of all replicas) and ``clip_norm`` (null without privacy), ``split``,
        ``patients`` (evaluated), ``wall_s``, ``bytes_down``, ``bytes_up``, ``synthetic``,
        ``fingerprint``; sorted by arm, size, tokens and seed.
    splitting : dict of str to tuple of str
        Settings that split a topology or strategy into arms, where any do.
    records : dict of str to RunRecord
        By ``run``.
    left_out : tuple of LeftOut
    oracle : Oracle or None
    """

    table: pl.DataFrame
    splitting: Mapping[str, tuple[str, ...]]
    records: Mapping[str, RunRecord]
    left_out: tuple[LeftOut, ...]
    oracle: Oracle | None

    @property
    def arms(self) -> list[str]:
        """Arms in the order of the report: centralised, local, then federated by name."""
        arms: list[str] = self.table["arm"].unique(maintain_order=True).to_list()
        return arms

    @property
    def surfaces(self) -> list[str]:
        """Arms whatever their noise, in the same order."""
        surfaces: list[str] = self.table["surface"].unique(maintain_order=True).to_list()
        return surfaces

    @property
    def models(self) -> int:
        """Number of model families and objectives."""
        return len({peers.model for peers in self.peers})

    @property
    def peers(self) -> tuple[Peers, ...]:
        """Arms by what they may be compared with."""
        return peers_of(self._configs, self._arm_of_run)

    @property
    def measures(self) -> dict[Measure, list[str]]:
        """Arms by what their losses are counted in: only the losses of one measure may be compared."""
        found: dict[Measure, list[str]] = {}
        for peers in self.peers:
            found.setdefault(peers.measure, []).extend(peers.arms)
        return found

    @property
    def differing(self) -> dict[str, dict[str, str]]:
        """Settings that arms do not share: the values of each arm, by setting."""
        return self.differing_among(self.arms)

    def differing_among(self, arms: Collection[str]) -> dict[str, dict[str, str]]:
        """The same of some arms only."""
        chosen = {run: arm for run, arm in self._arm_of_run.items() if arm in arms}
        return differing_settings(self._configs, chosen)

    @property
    def counted(self) -> str:
        """What a budget counts, in the plural: tokens, or samples of an ECG."""
        return " or ".join(dict.fromkeys(f"{measure.sample}s" for measure in self.measures))

    @property
    def evaluated(self) -> str:
        """Split that the losses are on, in words: ``held-out``, or what it is instead."""
        return " and ".join(split.replace("_", "-") for split in sorted(self.table["split"].unique()))

    @property
    def _arm_of_run(self) -> dict[str, str]:
        return dict(self.table.select("run", "arm").iter_rows())

    @property
    def _configs(self) -> dict[str, RunConfig]:
        return {run: record.config for run, record in self.records.items()}


def load_runs(folder: Path) -> Runs:
    """Read every run record under ``folder``.

    A run that is unfinished, damaged, diverged, a duplicate, or whose recorded loss is not what its
    per-site sums give, is left out and listed.

    Raises
    ------
    RecordError
        If there is no such folder or no finished run in it.
    """
    if not folder.is_dir():
        raise RecordError("no such folder", where=str(folder))
    left_out = [
        LeftOut(_name(path.parent, folder), "unfinished: it has a manifest but no result")
        for path in sorted(folder.rglob("manifest.json"))
        # A shard has a manifest too, and no environment.
        if (path.parent / "environment.json").exists() and not (path.parent / "result.json").exists()
    ]
    rows: list[dict[str, Any]] = []
    records: dict[str, RunRecord] = {}
    seen: dict[frozenset[tuple[str, object]], str] = {}
    for path in find_records(folder):
        name = _name(path, folder)
        try:
            record = load_record(path)
            row = {"run": name, **_row(record)}
            # Settings of a server change the fingerprint of a run without one, and nothing else.
            experiment = frozenset(effective_settings(record.config).items())
            if first := seen.get(experiment):
                raise RecordError(f"duplicate: the same experiment as {first}")
        except RecordError as error:
            left_out.append(LeftOut(name, error.what))
            continue
        seen[experiment] = name
        records[name] = record
        rows.append(row)
    if not rows:
        raise RecordError(
            f"no finished run among the {len(left_out)} found"
            + (f" (the first, {left_out[0].run}: {left_out[0].reason})" if left_out else ""),
            where=str(folder),
            remedy="`wardlaw simulate study` writes run records",
        )
    table, arms = _with_arms(pl.DataFrame(rows, infer_schema_length=None), records)
    order = {arm: place for place, arm in enumerate(arms.order)}
    table = table.sort(pl.col("arm").replace_strict(order), "parameters", "tokens", "seed", "run")
    return Runs(table, arms.splitting, records, tuple(left_out), read_oracle(folder / "oracle.json"))


def _with_arms(table: pl.DataFrame, records: Mapping[str, RunRecord]) -> tuple[pl.DataFrame, Arms]:
    """With each run's budget, surface and arm."""
    configs = {run: record.config for run, record in records.items()}
    budgets = token_budgets(configs, dict(table.select("run", "trained_tokens").iter_rows()))
    points = {run: (size, budgets[run]) for run, size in table.select("run", "parameters").iter_rows()}
    arms = name_arms(configs, points)
    named = table.with_columns(
        tokens=pl.col("run").replace_strict(budgets, return_dtype=pl.Int64),
        surface=pl.col("run").replace_strict(arms.surface, return_dtype=pl.String),
        arm=pl.col("run").replace_strict(arms.of_run, return_dtype=pl.String),
    )
    # The tokens that a private step draws are no setting.
    drawn = (pl.col("tokens") / pl.col("steps")).round().cast(pl.Int64)
    private = pl.col("noise") != ""
    return named.with_columns(
        batch_tokens=pl.when(private).then(drawn).otherwise(pl.col("batch_tokens"))
    ), arms


def at_largest_budget(table: pl.DataFrame) -> pl.DataFrame:
    """Runs that an L(N) curve is made of: at each arm and size those with most tokens."""
    return table.filter(pl.col("tokens") == pl.col("tokens").max().over("arm", "parameters"))


def site_losses(record: RunRecord) -> pl.DataFrame:
    """A row a replica and site of the final evaluation: nats, tokens, events, patients."""
    rows = pl.DataFrame(pl.from_arrow(record.table("evaluation")))
    return rows.filter(pl.col("split") == record.config.evaluation.split)


def _name(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path != folder else path.name


def _row(record: RunRecord) -> dict[str, Any]:
    config, result, privacy = record.config, record.result, record.config.privacy
    _check_numbers(result)
    sites = site_losses(record)
    _check_losses(result, sites)
    federated = config.run.topology == "federated"
    replicas = 1 if config.run.topology == "centralised" else config.federation.replicas
    return {
        "base_arm": base_arm(config),
        "noise": noise_name(config),
        "family": config.model.family,
        "objective": objective_name(config.objective),
        "size": config.model.size,
        "parameters": result.parameters,
        "non_embedding_parameters": result.non_embedding_parameters,
        "trained_tokens": result.tokens,
        "unique_tokens": result.unique_tokens,
        "epochs": result.tokens / result.unique_tokens,
        "flops": float(result.flops),
        "loss_per_token": result.loss_per_token,
        "loss_per_event": result.loss_per_event,
        **{column: _loss_at_home(sites, unit) for unit, column in LOSSES_AT_HOME.items()},
        "seed": config.run.seed,
        "sites": result.sites,
        "learning_rate": config.train.learning_rate,
        "local_steps": config.federation.local_steps if federated else None,
        "replicas": replicas,
        "batch_tokens": config.train.batch_tokens,
        "steps": config.steps,
        "noise_batch_ratio": noise_ratio(config),
        "averaged_ratio": noise_ratio(config) / math.sqrt(replicas),
        "noise_multiplier": privacy.noise_multiplier if privacy.private else None,
        "batch_patients": privacy.patients if privacy.private else None,
        "step_patients": replicas * privacy.patients if privacy.private else None,
        "clip_norm": privacy.clip_norm if privacy.private else None,
        "split": config.evaluation.split,
        "patients": int(sites.group_by("site").agg(pl.col("patients").max())["patients"].sum()),
        "wall_s": float(result.wall_s),
        "bytes_down": result.bytes_down,
        "bytes_up": result.bytes_up,
        "synthetic": result.synthetic,
        "fingerprint": config.fingerprint,
    }


def _loss_at_home(sites: pl.DataFrame, unit: str) -> float | None:
    """Pooled loss with every patient scored by the own site's model; None if a site has no model."""
    own = sites.filter(pl.col("replica") == pl.col("site"))
    if own["site"].n_unique() < sites["site"].n_unique():
        return None
    return float(own.select(pl.col("nats").sum() / pl.col(f"{unit}s").sum()).item())


def _check_numbers(result: RunResult) -> None:
    for name in (*_POSITIVE, *_NOT_NEGATIVE):
        value = getattr(result, name)
        whole = name in _WHOLE
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise RecordError(f"damaged: {name} is {value!r}, not a {'whole ' if whole else ''}number")
        if not math.isfinite(value) or value < 0 or (value == 0 and name in _POSITIVE):
            verb = "diverged" if name.startswith("loss") else "damaged"
            raise RecordError(f"{verb}: {name} is {value}")


def _check_losses(result: RunResult, sites: pl.DataFrame) -> None:
    """The recorded losses must be those of the per-site sums (their mean over replicas)."""
    if sites.is_empty():
        raise RecordError("damaged: no evaluation on the split that its settings name")
    sums = sites.group_by("replica").agg(pl.col("nats", "tokens", "events").sum())
    for unit, recorded in (("tokens", result.loss_per_token), ("events", result.loss_per_event)):
        recomputed = float((sums["nats"] / sums[unit]).to_numpy().mean())
        if not math.isclose(recomputed, recorded, rel_tol=_TOLERANCE):
            raise RecordError(
                f"damaged: the recorded loss per {unit[:-1]} is {recorded}, "
                f"its per-site sums give {recomputed}"
            )
