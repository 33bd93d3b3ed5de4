import json
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from models.checkpoint import save_model
from models.ecg import inference_commands
from models.ecg.batch import SignalBatch
from models.ecg.engines import onnx_runtime
from models.ecg.extras import import_extra
from models.ecg.inference import TOLERANCE, Measurement, noise
from models.ecg.inference_commands import classifier_of, export, inference, load_supervised, table
from models.registry import build_model
from wardlaw.config import load_config
from wardlaw.errors import CheckpointError, ConfigError
from wardlaw.files import file_sha256

pytest.importorskip("onnxscript", reason="needs the extra inference")

SAMPLES, CLASSES = 128, 3


def checkpoint(folder: Path, *changes: str) -> Path:
    config = load_config(None, list(changes))
    save_model(build_model(config, CLASSES), folder, config.model.context)
    return folder


@pytest.fixture(scope="module")
def supervised(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "step-1"
    changes = "model.family=resnet", "model.size=20k", "objective.name=bce", f"model.context={SAMPLES}"
    return checkpoint(folder, *changes)


def invoke(command, *arguments: str) -> str:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_exported_file_answers_as_the_trained_model_does(supervised, tmp_path):
    out = tmp_path / "model.onnx"
    assert "resnet 20k, 3 classes" in invoke(export, supervised, "--out", out, "--rate", 250)
    model = load_supervised(supervised)
    signals = noise(4, SAMPLES)
    batch = SignalBatch(
        torch.from_numpy(signals),
        torch.zeros(4, CLASSES),
        torch.full((4,), SAMPLES),
        torch.zeros(4, dtype=torch.int64),
    )
    with torch.inference_mode():
        wanted = model.objective.logits(model.backbone, batch).numpy()
    assert np.abs(onnx_runtime(out, 1).answer(signals)[1] - wanted).max() < TOLERANCE
    metadata = {entry.key: entry.value for entry in import_extra("onnx").load(out).metadata_props}
    assert metadata["checkpoint_sha256"] == file_sha256(supervised / "model.safetensors")
    wanted = {"family": "resnet", "size": "20k", "objective": "bce", "rate": "250", "classes": "3"}
    assert {key: metadata[key] for key in wanted} == wanted


def test_inference_tells_each_engine_at_each_batch(supervised):
    flags = "--rounds", 1, "--seconds", 0.001, "--json"
    rows = json.loads(invoke(inference, supervised, "--batch", 2, "--batch", 1, *flags))
    engines = [("PyTorch", "fp32"), ("ONNX Runtime", "fp32"), ("OpenVINO", "fp32")]
    engines += [("PyTorch", "bf16"), ("OpenVINO", "bf16")]
    found = [(row["batch"], row["engine"], row["precision"]) for row in rows]
    assert found == [(batch, *engine) for batch in (2, 1) for engine in engines]
    assert all(row["equal"] for row in rows if row["precision"] == "fp32")
    assert all(0 < row["median_ms"] <= row["ninetieth_ms"] for row in rows)
    assert {row["samples"] for row in rows} == {SAMPLES}


def test_table_names_engines_that_differ():
    row = Measurement("A", "fp32", 1, 1.0, 2.0, 1000.0, 0.0, 0.0)
    far = Measurement("B", "fp32", 1, 1.0, 2.0, 1000.0, 0.5, 0.0)
    coarse = Measurement("C", "bf16", 1, 1.0, 2.0, 1000.0, 0.5, 0.0)
    assert "agree" in str(table("", [row, coarse]).caption)
    assert "differ: B (" in str(table("", [row, far, coarse]).caption)


def test_other_checkpoints_are_refused(tmp_path):
    decoder = checkpoint(tmp_path / "decoder")
    with pytest.raises(CheckpointError, match="decoder: the model reads no ECG"):
        load_supervised(decoder)
    learner = checkpoint(tmp_path / "cpc", "model.family=resnet", "model.size=20k", "objective.name=cpc")
    with pytest.raises(CheckpointError, match="cpc learns no classes"):
        load_supervised(learner)
    with pytest.raises(CheckpointError, match="nothing"):
        load_supervised(tmp_path / "nothing")


def test_a_place_that_cannot_be_written_is_one_clear_error(supervised, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(13, "no")

    monkeypatch.setattr(inference_commands, "export_onnx", refuse)
    with pytest.raises(ConfigError, match=r"model.onnx: cannot write it \(PermissionError\)"):
        export(supervised, tmp_path / "model.onnx")


def test_classifier_shares_the_model_s_weights(supervised):
    model = load_supervised(supervised)
    classifier = classifier_of(model)
    assert classifier.backbone is model.backbone
    assert classifier.classes == CLASSES
