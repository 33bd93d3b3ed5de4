"""Clinical tasks on the models of finished runs: what a loss is worth at the bedside."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from client.ehr.shard import TokenShard
from client.evaluation.metrics import discrimination
from client.evaluation.probe import fit_probe, prompt_features
from client.evaluation.prompts import Prompts, place_prompts
from client.evaluation.tasks import TASKS, label_task
from client.evaluation.zero_shot import answer_by_generation, build_judge
from client.site import open_site_shard
from models.checkpoint import load_model
from models.ehr.decoder import Decoder
from models.model import Model
from simulations.federation_folder import participating_policies
from wardlaw.config import RunConfig
from wardlaw.config.site import SitePolicy, meds_root
from wardlaw.errors import RecordError, ShardError
from wardlaw.files import write_atomically
from wardlaw.records import RunRecord

logger = logging.getLogger(__name__)

PROBED_SPLITS = ("train", "tuning")


@dataclass(frozen=True)
class SiteTask:
    """A task's questions at one site, split by split."""

    shard: TokenShard
    prompts: Mapping[str, Prompts]


@dataclass(frozen=True)
class Generation:
    """How futures are generated.

    Attributes
    ----------
    trajectories : int
        Futures a question.
    most_tokens : int
        Longest future.
    """

    trajectories: int = 20
    most_tokens: int = 512


def evaluate_downstream(record: RunRecord, tasks: tuple[str, ...], generation: Generation) -> pl.DataFrame:
    """Answer tasks on held-out patients of all sites with each model of a run.

    Writes ``downstream.parquet`` (a row a task, method and replica) and
    ``predictions/<task>-<method>-<replica>/<site>.parquet`` in the meds-evaluation schema to the
    run's record.

    Parameters
    ----------
    record : RunRecord
        Its ``data.federation`` must still be there.
    tasks : tuple of str
        Names in ``client.evaluation.tasks.TASKS``.
    generation : Generation
        For zero-shot answers, which only the ``ethos`` scheme has.

    Returns
    -------
    DataFrame
        The rows written.
    """
    torch.set_num_threads(record.config.train.threads)
    models = run_decoders(record)
    rows = []
    for task in tasks:
        sites = site_tasks(record.config, task)
        if not _has_both_classes(record.config, sites):
            logger.warning("%s is left out: every answer is the same here", task)
            continue
        for replica, model in models.items():
            for method, answers in _answers(record.config, model, sites, task, generation).items():
                _write_predictions(record.folder, f"{task}-{method}-{replica}", answers)
                rows.append(
                    {"task": f"{task} ({method})", "replica": replica} | _scores(record.config, answers)
                )
    table = pl.DataFrame(rows)
    if not rows:
        return table
    write_atomically(record.folder / "downstream.parquet", lambda path: table.write_parquet(path))
    return table


def run_models(record: RunRecord) -> dict[str, Model]:
    """Final model of each replica of a run; of a federated run, the global one."""
    folders = sorted((record.folder / "models").glob("*"))
    if not folders:
        raise RecordError("the run's models are not in its record", where=str(record.folder))
    return {folder.name: load_model(folder) for folder in folders}


def run_decoders(record: RunRecord) -> dict[str, Decoder]:
    """Final decoders of a run of EHR.

    Raises
    ------
    RecordError
        If the run's models are not decoders.
    """
    models = run_models(record)
    decoders = {replica: model for replica, model in models.items() if isinstance(model, Decoder)}
    if len(decoders) != len(models):
        raise RecordError(
            f"model.family = '{record.config.model.family}' answers no questions about events",
            where=str(record.folder),
            remedy="Score ECG runs with `wardlaw simulate ecg-scores`",
        )
    return decoders


def token_shard(policy: SitePolicy, tokenizer: str) -> TokenShard:
    """A site's shard of EHR."""
    shard = open_site_shard(policy, tokenizer)
    if not isinstance(shard, TokenShard):
        raise ShardError(f"it holds {shard.manifest.kind}, not ehr", where=str(shard.folder))
    return shard


def site_tasks(config: RunConfig, task: str) -> list[SiteTask]:
    """Questions of a task at each site of a run, from the sites' MEDS roots."""
    found = []
    for policy in participating_policies(config):
        shard = token_shard(policy, config.data.tokenizer)
        events = pl.scan_parquet(meds_root(policy) / "data" / "**" / "*.parquet").select(
            "subject_id", "time", "code"
        )
        labels = label_task(events.collect(), TASKS[task])
        splits = (*PROBED_SPLITS, config.evaluation.split)
        found.append(SiteTask(shard, {split: place_prompts(shard.split(split), labels) for split in splits}))
    return found


def _answers(
    config: RunConfig, model: Decoder, sites: list[SiteTask], task: str, generation: Generation
) -> dict[str, pl.DataFrame]:
    """Predictions by method: rows of the questions with a probability."""
    methods = {"probe": _probe(config, model, sites)}
    if sites[0].shard.manifest.scheme == "ethos":
        methods["zero-shot"] = _generate(config, model, sites, task, generation)
    questions = _questions(config, sites)
    return {name: questions.with_columns(probability=answers) for name, answers in methods.items()}


def _has_both_classes(config: RunConfig, sites: list[SiteTask]) -> bool:
    """Whether a probe can be fitted and scored."""
    splits = (*PROBED_SPLITS, config.evaluation.split)
    found = [
        pl.concat(site.prompts[split].labels for site in sites)["boolean_value"].n_unique()
        for split in splits
    ]
    return min(found) == 2


def _questions(config: RunConfig, sites: list[SiteTask]) -> pl.DataFrame:
    # A patient's number is only unique at its site.
    return pl.concat(
        site.prompts[config.evaluation.split].labels.with_columns(site=pl.lit(site.shard.manifest.site))
        for site in sites
    )


def _probe(config: RunConfig, model: Decoder, sites: list[SiteTask]) -> np.ndarray[Any, np.dtype[np.float64]]:
    def features(split: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        return np.concatenate(
            [
                prompt_features(
                    model,
                    site.shard.split(split),
                    site.prompts[split],
                    site.shard.manifest.scheme,
                    config.model.context,
                    max(config.replica_batch_tokens, config.model.context),
                )
                for site in sites
            ]
        )

    def labels(split: str) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.concatenate(
            [site.prompts[split].labels["boolean_value"].to_numpy().astype(np.float64) for site in sites]
        )

    train, tuning = ((features(split), labels(split)) for split in PROBED_SPLITS)
    return fit_probe(train, tuning, features(config.evaluation.split))


def _generate(
    config: RunConfig, model: Decoder, sites: list[SiteTask], task: str, generation: Generation
) -> np.ndarray[Any, np.dtype[np.float64]]:
    judge = build_judge(sites[0].shard.vocabulary(), TASKS[task])
    split = config.evaluation.split
    return np.concatenate(
        [
            answer_by_generation(
                model,
                site.shard.split(split),
                site.prompts[split],
                judge,
                context=config.model.context,
                trajectories=generation.trajectories,
                most_tokens=generation.most_tokens,
                seed=config.run.seed,
            ).probability
            for site in sites
        ]
    )


def _scores(config: RunConfig, answers: pl.DataFrame) -> dict[str, float | int]:
    patients = answers.select(pl.struct("site", "subject_id").rank("dense")).to_series().to_numpy()
    found = discrimination(
        answers["boolean_value"].to_numpy().astype(np.float64),
        answers["probability"].to_numpy(),
        patients.astype(np.int64),
        resamples=config.evaluation.bootstrap,
        seed=config.run.seed,
    )
    return {
        "auroc": found.auroc.value,
        "auroc_low": found.auroc.low,
        "auroc_high": found.auroc.high,
        "auprc": found.auprc.value,
        "auprc_low": found.auprc.low,
        "auprc_high": found.auprc.high,
        "prevalence": found.prevalence,
        "n": found.predictions,
        "positives": found.positives,
        "patients": found.patients,
    }


def _write_predictions(folder: Path, name: str, answers: pl.DataFrame) -> None:
    for (site,), own in answers.group_by("site", maintain_order=True):
        table = own.select(
            "subject_id",
            "prediction_time",
            "boolean_value",
            predicted_boolean_value=pl.col("probability") >= 0.5,
            predicted_boolean_probability=pl.col("probability").cast(pl.Float32),
        )
        write_atomically(folder / "predictions" / name / f"{site}.parquet", table.write_parquet)
