"""``wardlaw models export`` and ``wardlaw models inference``."""

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Column, Table
from torch import nn

from models.checkpoint import WEIGHTS, load_model
from models.ecg.classifier import Classifier
from models.ecg.engines import engines
from models.ecg.export import export_onnx
from models.ecg.inference import TOLERANCE, Measurement, measure, noise
from models.ecg.model import EcgModel
from wardlaw.errors import CheckpointError, ConfigError
from wardlaw.files import file_sha256

BATCHES = (1, 8, 64)
HEADINGS = ("batch", "engine", "", "ms", "90 % ms", "records/s", "|dp|", "|dlogit|")


def export(
    folder: Annotated[Path, typer.Argument(help="Checkpoint of a supervised ECG model.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    rate: Annotated[float, typer.Option(min=1, help="Samples a second, for the file's metadata.")] = 100.0,
) -> None:
    """Write a classifier as one ONNX file."""
    model = load_supervised(folder)
    facts = {
        "family": model.section.family,
        "size": model.section.size,
        "objective": model.settings.name,
        "rate": f"{rate:g}",
        "checkpoint_sha256": file_sha256(folder / WEIGHTS),
    }
    try:
        export_onnx(classifier_of(model), out, model.section.context, facts)
    except OSError as error:
        raise ConfigError(f"cannot write it ({type(error).__name__})", where=str(out)) from None
    typer.echo(f"{model.section.family} {model.section.size}, {model.outputs} classes: {out}")


def inference(
    folders: Annotated[list[Path], typer.Argument(help="Checkpoints of supervised ECG models.")],
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch size; 1, 8 and 64 if none.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of every engine.")] = 1,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every engine.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.001, help="Length of a turn.")] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time PyTorch, ONNX Runtime and OpenVINO on the CPU, and compare their answers."""
    torch.set_num_threads(threads)
    described: list[dict[str, Any]] = []
    for folder in folders:
        model = load_supervised(folder)
        rows = list(measurements(model, batch or BATCHES, threads, rounds, seconds))
        described += [describe(folder, model, threads, row) for row in rows]
        if not as_json:
            title = f"{folder}: {model.section.family} {model.section.size}, {threads} thread(s)"
            Console().print(table(title, rows))
    if as_json:
        typer.echo(json.dumps(described, indent=2))


def measurements(
    model: EcgModel, batches: tuple[int, ...] | list[int], threads: int, rounds: int, seconds: float
) -> Iterator[Measurement]:
    """Wall time of each engine at each batch size, and how its answers differ."""
    classifier, samples = classifier_of(model), model.section.context
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model.onnx"
        export_onnx(classifier, path, samples, {})
        compared = engines(classifier, path, threads)
    for batch in batches:
        yield from measure(compared, noise(batch, samples), rounds, seconds, time.perf_counter)


def describe(folder: Path, model: EcgModel, threads: int, row: Measurement) -> dict[str, Any]:
    """A measurement with its model, for JSON."""
    section = model.section
    shape = {"family": section.family, "size": section.size, "samples": section.context, "threads": threads}
    return {"model": str(folder)} | shape | asdict(row) | {"equal": row.equal}


def table(title: str, rows: list[Measurement]) -> Table:
    """The measurements of one model."""
    apart = [row.engine for row in rows if row.precision == "fp32" and not row.equal]
    verdict = f"differ: {', '.join(sorted(set(apart)))}" if apart else "agree"
    shown = Table(
        *(Column(heading, justify="right", no_wrap=True) for heading in HEADINGS),
        title=title,
        caption=f"Median and 90 % quantile of a call. fp32 engines {verdict} (tolerance {TOLERANCE:g}).",
        box=None,
        padding=(0, 1, 0, 0),
    )
    for row in rows:
        shown.add_row(
            str(row.batch),
            row.engine,
            row.precision,
            f"{row.median_ms:.2f}",
            f"{row.ninetieth_ms:.2f}",
            f"{row.records_per_second:,.0f}",
            f"{row.probability_difference:.1e}",
            f"{row.logit_difference:.1e}",
        )
    return shown


def load_supervised(folder: Path) -> EcgModel:
    """ECG model of a checkpoint.

    Raises
    ------
    CheckpointError
        If it cannot be loaded, reads no ECG, or its objective has no classes.
    """
    model = load_model(folder)
    if not isinstance(model, EcgModel):
        raise CheckpointError("the model reads no ECG", where=str(folder))
    if not model.settings.supervised:
        raise CheckpointError(
            f"the objective {model.settings.name} learns no classes",
            where=str(folder),
            remedy="Fine-tune the model on labels first",
        )
    return model


def classifier_of(model: EcgModel) -> Classifier:
    """Backbone and head of a supervised model."""
    head = model.objective.head
    assert isinstance(head, nn.Linear)
    return Classifier(model.backbone, head)
