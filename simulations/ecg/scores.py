"""Diagnoses by the models of a finished run: at the run's own sites and at sites that it never saw."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from client.ecg.classes import ABBREVIATIONS, CLASSES
from client.ecg.evaluation.answers import Answers, Cohorts
from client.ecg.evaluation.methods import METHODS
from client.ecg.evaluation.scores import FIGURES, Scores, outputs_of, score
from client.ecg.scoring.figures import Predictions
from client.training.replica import training_device
from models.ecg.model import EcgModel
from simulations.downstream import run_models
from simulations.ecg.score_setting import ALL, SEEN, UNSEEN, Setting, places, setting_of
from wardlaw.errors import RecordError
from wardlaw.files import write_atomically
from wardlaw.records import RunRecord

logger = logging.getLogger(__name__)

TASKS = {SEEN: "diagnoses", UNSEEN: "diagnoses, unseen sites"}


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
    setting = setting_of(record.config, outside)
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
    for where, site, chosen in places(setting, home):
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
    for where, group in ((SEEN, setting.at_run), (UNSEEN, ~setting.at_run)):
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
