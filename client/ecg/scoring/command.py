"""``wardlaw client score-ecg``: figures of anybody's outputs."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from client.ecg.classes import CLASSES
from client.ecg.scoring.bootstrap import resample
from client.ecg.scoring.csv_file import read_patients
from client.ecg.scoring.report import report, told
from client.ecg.scoring.tables import BINARY, SHARE, match, read_codes, unlabelled
from wardlaw.errors import ConfigError


def score_ecg(
    labels: Annotated[Path, typer.Option(help="CSV: record, then a 0/1 column for each SNOMED CT code.")],
    outputs: Annotated[Path, typer.Option(help="CSV of the same form: what the model answers.")],
    scores: Annotated[
        Path | None, typer.Option(help="CSV of the same form, from 0 to 1: gives AUROC and AUPRC.")
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples of patients for 95 % intervals.")] = 0,
    patients: Annotated[
        Path | None, typer.Option(help="CSV of record,patient; else each record is a patient.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Score ECG diagnoses: the CinC 2021 Challenge metric, AUROC, AUPRC, F-measure."""
    if patients and not bootstrap:
        raise ConfigError("--patients is of no use without --bootstrap", remedy="Add --bootstrap 1000")
    tables = {"labels": read_codes(labels, BINARY), "outputs": read_codes(outputs, BINARY)}
    if scores:
        tables["scores"] = read_codes(scores, SHARE)
    predictions = match(tables["labels"], tables["outputs"], tables.get("scores"))
    resampled = None
    if bootstrap:
        records = tables["labels"].records
        owners = read_patients(patients, records) if patients else np.array(records)
        resampled = resample(predictions, owners, resamples=bootstrap, seed=seed)
    account = {
        **report(predictions, resampled),
        "unlabelled_classes": [CLASSES[number] for number in unlabelled(tables["labels"], tables["outputs"])],
        "ignored_columns": {name: list(table.ignored) for name, table in tables.items()},
    }
    typer.echo(json.dumps(account, indent=2, allow_nan=False) if as_json else told(account))
