"""Run records: one folder a run, written by whatever trains, read by analysis.

<runs>/<name>-<fingerprint[:12]>/
    manifest.json       settings and fingerprint (wardlaw.config.files)
    environment.json    versions, processor, threads
    steps.parquet       a row a replica and optimiser step
    rounds.parquet      a row a round (federated) or checkpoint (otherwise)
    evaluation.parquet  a row a site: sums of the final evaluation
    privacy.json, .txt  what the run promises about its patients (wardlaw.privacy.statement)
    audit.json          what attackers learnt of them, if anybody tried
    result.json         the run's totals; present only when the run is finished
    models/             final models, one a replica, as transformers loads them
    checkpoints/        what the run needs to resume
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wardlaw.config import RunConfig, load_manifest, save_manifest
from wardlaw.errors import ConfigError, RecordError
from wardlaw.files import write_atomically, write_text_atomically

STEP_SCHEMA = pa.schema(
    {
        "replica": pa.string(),
        "round": pa.int32(),
        "step": pa.int64(),
        "tokens": pa.int64(),
        "flops": pa.float64(),
        "loss": pa.float64(),
        "learning_rate": pa.float64(),
        "gradient_norm": pa.float64(),
    }
)
ROUND_SCHEMA = pa.schema(
    {
        "round": pa.int32(),
        "sites": pa.list_(pa.string()),
        "rejected": pa.list_(pa.string()),
        "train_loss": pa.float64(),
        "tuning_loss": pa.float64(),
        "bytes_down": pa.int64(),
        "bytes_up": pa.int64(),
        "training_s": pa.float64(),
        "wall_s": pa.float64(),
        # Of secure aggregation: the sum of the weights, and a bound on what rounding changed of the mean.
        "summed_weight": pa.float64(),
        "quantisation_error": pa.float64(),
        # Of client-level privacy: what the models released so far cost, and the noise on the next.
        "client_epsilon": pa.float64(),
        "client_delta": pa.float64(),
        "releases": pa.float64(),
        "clip_norm": pa.float64(),
        "noise_std": pa.float64(),
        "noise_over_update": pa.float64(),
    }
)
EVALUATION_SCHEMA = pa.schema(
    {
        "replica": pa.string(),
        "site": pa.string(),
        "split": pa.string(),
        "nats": pa.float64(),
        "tokens": pa.int64(),
        "events": pa.int64(),
        "patients": pa.int64(),
    }
)
_TABLES = {"steps": STEP_SCHEMA, "rounds": ROUND_SCHEMA, "evaluation": EVALUATION_SCHEMA}


@dataclass(frozen=True)
class RunResult:
    """Totals of a finished run.

    Attributes
    ----------
    loss_per_token, loss_per_event : float
        Final evaluation in nats, pooled over sites (summed nats over summed counts);
        in the local topology the mean over replicas of that figure. Of ECG per target of the
        objective (a label, a patch) and per record.
    parameters, non_embedding_parameters : int
        Of one replica: all that is trained, and that without embedding and heads. Of ECG the
        second is the backbone, and a teacher is in neither.
    flops : float
        Training FLOPs of all replicas together: products with weight matrices, attention within
        each window, convolutions, transforms and the head, forward and backward, without padding;
        with a teacher, its forward pass too.
    tokens, unique_tokens : int
        Tokens trained on by all replicas, and distinct tokens in their shards. Of ECG samples in
        time, of which each has twelve leads.
    wall_s : float
        Wall time from first step to last, without evaluation.
    bytes_down, bytes_up : int
        Model bytes from and to the server.
    sites : int
        Sites whose patients were trained on.
    synthetic : bool
        Whether the patients are generated.
    """

    loss_per_token: float
    loss_per_event: float
    parameters: int
    non_embedding_parameters: int
    flops: float
    tokens: int
    unique_tokens: int
    wall_s: float
    bytes_down: int
    bytes_up: int
    sites: int
    synthetic: bool


@dataclass(frozen=True)
class RunRecord:
    """A finished run as analysis sees it."""

    folder: Path
    config: RunConfig
    environment: Mapping[str, Any]
    result: RunResult

    def table(self, name: str) -> pa.Table:
        """``steps``, ``rounds`` or ``evaluation`` of this run."""
        return _read_table(self.folder, name)


def record_folder(runs: Path, config: RunConfig) -> Path:
    """Folder of a run's record: its name and the head of its fingerprint."""
    return runs / f"{config.run.name}-{config.fingerprint[:12]}"


def open_record(runs: Path, config: RunConfig) -> Path:
    """Make a run's folder with its manifest and environment, or find it again."""
    folder = record_folder(runs, config)
    if not (folder / "manifest.json").exists():
        # The manifest comes last: where it is, the rest is.
        write_text_atomically(folder / "environment.json", json.dumps(environment(), indent=2) + "\n")
        save_manifest(config, folder / "manifest.json")
    return folder


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder has its result."""
    return (folder / "result.json").exists()


def write_table(folder: Path, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write ``steps``, ``rounds`` or ``evaluation`` whole; a key out of schema is an error."""
    schema = _TABLES[name]
    rows = list(rows)
    for row in rows:
        if unknown := row.keys() - set(schema.names):
            raise RecordError(f"unknown columns {sorted(unknown)} for {name}", where=str(folder))
    table = pa.Table.from_pylist(rows, schema=schema)
    write_atomically(folder / f"{name}.parquet", lambda path: pq.write_table(table, path))


def read_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    """Rows of a table of this run; none where the table was not written yet."""
    if not (folder / f"{name}.parquet").exists():
        return []
    rows: list[dict[str, Any]] = _read_table(folder, name).to_pylist()
    return rows


def finish(folder: Path, result: RunResult) -> None:
    """Write the run's totals, which makes it finished."""
    write_text_atomically(folder / "result.json", json.dumps(vars(result), indent=2) + "\n")


def load_record(folder: Path) -> RunRecord:
    """Read a finished run.

    Raises
    ------
    RecordError
        If the folder is not a finished run of this format.
    """
    try:
        config = load_manifest(folder / "manifest.json")
        surroundings = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
        result = RunResult(**json.loads((folder / "result.json").read_text(encoding="utf-8")))
    except ConfigError as error:
        raise RecordError(error.what, where=error.where, remedy=error.remedy) from None
    except (OSError, ValueError, TypeError) as error:
        raise RecordError(f"not a finished run record: {error}", where=str(folder)) from None
    return RunRecord(folder, config, surroundings, result)


def find_records(runs: Path) -> list[Path]:
    """Folders of finished runs under ``runs``, at any depth, by name."""
    return sorted(path.parent for path in runs.rglob("result.json"))


def environment() -> dict[str, Any]:
    """What a figure depends on besides its settings."""
    packages = ("flwr", "torch", "numpy", "polars", "pyarrow")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor_name(),
        "processors": os.cpu_count(),
        "packages": {name: metadata.version(name) for name in packages},
    }


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _read_table(folder: Path, name: str) -> pa.Table:
    try:
        return pq.read_table(folder / f"{name}.parquet", schema=_TABLES[name])
    except (OSError, pa.ArrowException) as error:
        raise RecordError(f"cannot read {name}.parquet: {error}", where=str(folder)) from None
