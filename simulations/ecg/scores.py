"""Diagnoses by the models of a finished run: at the run's own sites and at sites that it never saw."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from client.ecg.classes import ABBREVIATIONS, CLASSES
from client.ecg.evaluation.answers import Answers, Cohorts
from client.ecg.evaluation.cohort import Cohort, cohort_of, never_seen
from client.ecg.evaluation.methods import METHODS
from client.ecg.evaluation.scores import FIGURES, Scores, outputs_of, score
from client.ecg.scoring.figures import Predictions
from client.ecg.shard import SPLITS, SignalShard
from client.site import open_site_shard
from client.training.replica import training_device
from models.ecg.model import EcgModel
from simulations.downstream import run_models
from simulations.federation_folder import load_federation, participating_policies, site_folder
from wardlaw.config import load_site_policy
from wardlaw.errors import RecordError, ShardError
from wardlaw.files import write_atomically
from wardlaw.records import RunRecord

logger = logging.getLogger(__name__)

ALL = "all"
"""Site of a row about several sites together."""

SEEN, HOME, ELSEWHERE, UNSEEN = "seen", "home", "elsewhere", "unseen"
"""Held-out records of the run's sites; of a hospital's own model those of its own site and of the others;
all records of sites that the run never saw."""

TASKS = {SEEN: "diagnoses", UNSEEN: "diagnoses, unseen sites"}

Rows = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Setting:
    """Where a run trained, and what its models are asked.

    Attributes
    ----------
    train, tuning, seen : Cohort
        The splits of the run's sites; ``seen`` is held out.
    unseen : Cohort
        All records of other sites.
    left_out : Counter
        Records of other sites that are at the run's sites too, by site.
    """

    train: Cohort
    tuning: Cohort
    seen: Cohort
    unseen: Cohort
    left_out: Counter[str]

    @property
    def asked(self) -> Cohort:
        """Every record that is scored: those of ``seen`` come first."""
        return self.seen + self.unseen


def score_run(
    record: RunRecord, methods: Sequence[str], outside: Path | None = None, resamples: int | None = None
) -> pl.DataFrame:
    """Let each model of a run diagnose, by each method, and score what it says.

    Writes to the run's record ``ecg_scores.parquet`` (a row a replica, method, place and site),
    ``downstream.parquet`` (what the report shows of it) and
    ``predictions/<method>-<replica>/<site>.csv`` with ``.outputs.csv`` and ``.labels.csv`` beside it, in the
    form that ``wardlaw client score-ecg`` reads.

    Parameters
    ----------
    record : RunRecord
        Of ECG; its ``data.federation`` must still be there.
    methods : sequence of str
        Names in ``client.ecg.evaluation.methods.METHODS``. ``own`` is passed over where a model has no
        head for diagnoses.
    outside : Path, optional
        Federation folder of the sites never seen; by default those of the run's own federation that did
        not take part.
    resamples : int, optional
        Behind each interval; by default the run's ``evaluation.bootstrap``.

    Returns
    -------
    DataFrame
        The rows of ``ecg_scores.parquet``.

    Raises
    ------
    RecordError
        If the run is not of ECG, or its held-out records are not to be read yet.
    ShardError
        If the sites outside have another rate or other classes.
    """
    require_scorable(record)
    config = record.config
    torch.set_num_threads(config.train.threads)
    resamples = config.evaluation.bootstrap if resamples is None else resamples
    setting = _setting(record, outside)
    rows = []
    for replica, model in _ecg_models(record).items():
        for method in methods:
            if method == "own" and not config.objective.supervised:
                logger.info("%s: %s has no head of its own", record.folder.name, config.objective.name)
                continue
            rows += _method_rows(record, setting, replica, model, method, resamples)
    # Numbers that do not exist are null, and no column is of nulls alone: tables of runs can be joined.
    table = pl.DataFrame(rows, schema_overrides={"strategy": pl.String}, infer_schema_length=None)
    table = table.fill_nan(None)
    if rows:
        write_atomically(record.folder / "ecg_scores.parquet", table.write_parquet)
        write_atomically(record.folder / "downstream.parquet", _downstream(table).write_parquet)
    return table


def require_scorable(record: RunRecord) -> None:
    """Refuse a run of EHR, and one of a sweep that keeps its held-out records for later.

    Raises
    ------
    RecordError
    """
    if record.config.model.reads != "ecg":
        raise RecordError(
            f"model.family = '{record.config.model.family}' reads no ECG",
            where=str(record.folder),
            remedy="Score EHR runs with `wardlaw simulate downstream`, or choose runs with --only",
        )
    if record.config.evaluation.split != "held_out":
        raise RecordError(
            f"evaluation.split = '{record.config.evaluation.split}': held-out records are not for this run",
            where=str(record.folder),
            remedy="Choose runs that were scored on held-out records with --only",
        )


def _setting(record: RunRecord, outside: Path | None) -> Setting:
    config = record.config
    shards = {
        policy.site: _signal_shard(policy.site, Path(config.data.federation), config.data.tokenizer)
        for policy in participating_policies(config)
    }
    fingerprint = next(iter(shards.values())).manifest.tokenizer
    folder = outside or Path(config.data.federation)
    others = {
        site: _signal_shard(site, folder, fingerprint)
        for site in sorted(load_federation(folder).sites)
        if outside or site not in shards
    }
    unseen, left_out = never_seen(others, cohort_of(shards, *SPLITS))
    for site, count in left_out.items():
        logger.warning("%s: %d records left out, the run's sites have them or their patients", site, count)
    train, tuning, seen = (cohort_of(shards, split) for split in SPLITS)
    return Setting(train, tuning, seen, unseen, left_out)


def _signal_shard(site: str, federation: Path, fingerprint: str) -> SignalShard:
    shard = open_site_shard(load_site_policy(site_folder(federation, site) / "site.toml"), fingerprint)
    if not isinstance(shard, SignalShard):
        raise ShardError(f"it holds {shard.manifest.kind}, not ecg", where=str(shard.folder))
    return shard


def _ecg_models(record: RunRecord) -> dict[str, EcgModel]:
    device = training_device(record.config.train)
    models = {
        replica: model.to(device)
        for replica, model in run_models(record).items()
        if isinstance(model, EcgModel)
    }
    if not models:
        raise RecordError("its models are not of ECG", where=str(record.folder))
    return models


def _method_rows(
    record: RunRecord, setting: Setting, replica: str, model: EcgModel, method: str, resamples: int
) -> list[dict[str, Any]]:
    config = record.config
    home = replica if config.run.topology == "local" else None
    cohorts = Cohorts(setting.train, setting.tuning, setting.asked)
    if method == "own" and home:
        # A hospital's own head has answers for what that hospital has seen.
        cohorts = replace(cohorts, train=setting.train.at({home}))
    answers = METHODS[method](model, cohorts, config)
    labels = cohorts.asked.labels
    predictions = Predictions(labels, outputs_of(answers, cohorts.tuning.labels), answers.asked)
    _write_predictions(record.folder / "predictions" / f"{method}-{replica}", setting, predictions)
    patients = cohorts.asked.patients
    identity = _identity(record) | {"replica": replica, "method": method}
    rows = []
    for where, site, chosen in _places(setting, home):
        figures = score(
            Predictions(labels[chosen], predictions.outputs[chosen], answers.asked[chosen]),
            answers.answered,
            patients[chosen],
            resamples=resamples,
            seed=config.run.seed,
        )
        place = {
            "where": where,
            "site": site,
            "resamples": resamples,
            "unanswered": _unanswered(labels[chosen], answers),
            "left_out": _left_out(setting, where, site),
        }
        rows.append(identity | place | _columns(figures))
    return rows


def _places(setting: Setting, home: str | None) -> Iterator[tuple[str, str, Rows]]:
    """Each group of records that is scored together: where, site, and which of the records asked."""
    sites = setting.asked.sites
    at_run = np.arange(len(sites)) < len(setting.seen)
    groups = {SEEN: at_run, UNSEEN: ~at_run}
    if home:
        groups = {HOME: at_run & (sites == home), ELSEWHERE: at_run & (sites != home), UNSEEN: ~at_run}
        yield SEEN, ALL, at_run
    for where, group in groups.items():
        if group.any() and where != HOME:
            yield where, ALL, group
        for site in np.unique(sites[group]).tolist():
            yield where, site, group & (sites == site)


def _identity(record: RunRecord) -> dict[str, Any]:
    config, result = record.config, record.result
    federated = config.run.topology == "federated"
    return {
        "run": record.folder.name,
        "family": config.model.family,
        "objective": config.objective.name,
        "size": config.model.size,
        "topology": config.run.topology,
        "strategy": config.strategy.name if federated else None,
        "seed": config.run.seed,
        "parameters": result.non_embedding_parameters,
        "tokens": config.train.tokens,
        "flops": result.flops,
        "run_loss": result.loss_per_token,
        "synthetic": result.synthetic,
    }


def _columns(figures: Scores) -> dict[str, float | int]:
    columns = {name: value for name, value in vars(figures).items() if name not in FIGURES}
    for name in FIGURES:
        figure = getattr(figures, name)
        columns |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
    return columns


def _unanswered(labels: NDArray[np.uint8], answers: Answers) -> str:
    missed = labels.any(axis=0) & ~answers.answered
    return " ".join(name for name, absent in zip(ABBREVIATIONS, missed, strict=True) if absent)


def _left_out(setting: Setting, where: str, site: str) -> int:
    if where != UNSEEN:
        return 0
    return setting.left_out.total() if site == ALL else setting.left_out[site]


def _downstream(scores: pl.DataFrame) -> pl.DataFrame:
    """What the report reads of the scores: a row a task and replica."""
    return scores.filter(pl.col("where").is_in(list(TASKS)) & (pl.col("site") == ALL)).select(
        pl.format("{} ({})", pl.col("where").replace_strict(TASKS), "method").alias("task"),
        "replica",
        *(f"{name}{end}" for name in ("auroc", "auprc") for end in ("", "_low", "_high")),
        "prevalence",
        n="labels",
        positives="positives",
        patients="patients",
    )


def _write_predictions(folder: Path, setting: Setting, predictions: Predictions) -> None:
    """A site's records in three files: scores, outputs and labels."""
    names, sites = setting.asked.names, setting.asked.sites
    at_run = np.arange(len(sites)) < len(setting.seen)
    for where, group in ((SEEN, at_run), (UNSEEN, ~at_run)):
        for site in np.unique(sites[group]).tolist():
            chosen = group & (sites == site)
            stem = site if where == SEEN else f"{where}-{site}"
            files: Mapping[str, NDArray[Any]] = {
                f"{stem}.csv": predictions.scores,  # type: ignore[dict-item]
                f"{stem}.outputs.csv": predictions.outputs,
                f"{stem}.labels.csv": predictions.labels,
            }
            for name, values in files.items():
                columns = dict(zip(CLASSES, values[chosen].T, strict=True))
                table = pl.DataFrame({"record": names[chosen], **columns})
                write_atomically(folder / name, table.write_csv)
