"""``wardlaw models export`` and ``wardlaw models inference``."""

import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.table import Column, Table
from torch import nn

from models.checkpoint import load_model
from models.ecg.classifier import Classifier
from models.ecg.engines import engines
from models.ecg.export import export_onnx
from models.ecg.inference import Measurement, measure, noise
from models.ecg.model import EcgModel
from wardlaw.errors import CheckpointError

HEADINGS = ("model", "batch", "engine", "precision", "median ms", "90 % ms", "records/s", "|dp|", "|dlogit|")


def export(
    folder: Annotated[Path, typer.Argument(help="Checkpoint of a supervised ECG model.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    rate: Annotated[float, typer.Option(min=1, help="Samples a second, for the file's metadata.")] = 100.0,
) -> None:
    """Write a classifier as one ONNX file."""
    model = load_ecg_model(folder)
    facts = facts_of(model) | {"rate": f"{rate:g}"}
    export_onnx(classifier_of(model, folder), out, model.section.context, facts)
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
    rows = [
        (folder, row)
        for folder in folders
        for row in measured(folder, batch or [1, 8, 64], threads, rounds, seconds)
    ]
    if as_json:
        typer.echo(json.dumps([{"model": str(folder)} | asdict(row) for folder, row in rows], indent=2))
        return
    table = Table(*(Column(name, justify="right", no_wrap=True) for name in HEADINGS), box=None)
    for folder, row in rows:
        table.add_row(folder.name, *cells(row))
    Console().print(table)


def measured(
    folder: Path, batches: list[int], threads: int, rounds: int, seconds: float
) -> list[Measurement]:
    """Measurements of one checkpoint at each batch size."""
    model = load_ecg_model(folder)
    classifier = classifier_of(model, folder)
    samples = model.section.context
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "model.onnx"
        export_onnx(classifier, path, samples, facts_of(model))
        compared = engines(classifier, path, threads)
        return [
            row
            for batch in batches
            for row in measure(compared, noise(batch, samples), rounds, seconds, time.perf_counter)
        ]


def cells(row: Measurement) -> list[str]:
    """A measurement as a table's row."""
    return [
        str(row.batch),
        row.engine,
        row.precision,
        f"{row.median_ms:.2f}",
        f"{row.ninetieth_ms:.2f}",
        f"{row.records_per_second:,.0f}",
        f"{row.probability_difference:.1e}",
        f"{row.logit_difference:.1e}",
    ]


def load_ecg_model(folder: Path) -> EcgModel:
    """ECG model of a checkpoint.

    Raises
    ------
    CheckpointError
        If it cannot be loaded, or is no ECG model's.
    """
    model = load_model(folder)
    if not isinstance(model, EcgModel):
        raise CheckpointError("the model reads no ECG", where=str(folder))
    return model


def classifier_of(model: EcgModel, folder: Path) -> Classifier:
    """Classifier of a supervised model.

    Raises
    ------
    CheckpointError
        If the model's objective has no classes.
    """
    if not model.settings.supervised:
        raise CheckpointError(
            f"the objective {model.settings.name} learns no classes",
            where=str(folder),
            remedy="Fine-tune the model on labels first",
        )
    head = model.objective.head
    assert isinstance(head, nn.Linear)
    return Classifier(model.backbone, head)


def facts_of(model: EcgModel) -> dict[str, str]:
    """What an exported file says of the model."""
    return {
        "family": model.section.family,
        "size": model.section.size,
        "objective": model.settings.name,
    }
