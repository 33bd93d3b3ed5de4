"""Each family's ONNX file against the model, on signals as they come: quiet, usual, with artefacts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.ecg.classifier import Classifier
from models.ecg.engines import onnx_runtime, openvino, pytorch
from models.ecg.export import export_onnx
from models.ecg.families import RUNGS
from models.ecg.inference import TOLERANCE, largest_difference, noise
from models.ecg.inference_commands import classifier_of
from models.ecg.model import build_ecg_model
from models.ecg.s4d import S4D
from models.ecg.s4d_export import FixedConvolution, transforms, with_fixed_kernels
from wardlaw.config import load_config
from wardlaw.seeds import derive_seed

pytest.importorskip("onnxscript", reason="needs the extra inference")

SAMPLES = 256
SIZES = {family: rungs[0] for family, rungs in RUNGS.items()}
FAMILIES = [
    "resnet",
    "transformer",
    "s4d",
    pytest.param("convnext", marks=pytest.mark.slow),
    pytest.param("regnet", marks=pytest.mark.slow),
]


@torch.no_grad()
def awake(family: str) -> Classifier:
    """Classifier of which no branch is silent, as some are before training."""
    changes = f"model.family={family}", f"model.size={SIZES[family]}", "objective.name=bce"
    config = load_config(None, [*changes, f"model.context={SAMPLES}"])
    classifier = classifier_of(build_ecg_model(config, 26))
    classifier.head.weight.mul_(classifier.head.in_features**0.5)
    for name, parameter in classifier.named_parameters():
        if parameter.dim() == 1:
            stream = torch.Generator().manual_seed(derive_seed(0, "awake", name))
            parameter.add_(torch.randn(parameter.shape, generator=stream), alpha=0.3)
    return classifier


def signals_of(kind: str, batch: int) -> np.ndarray:
    """Scaled crops; a thousand is a lead that fell off, or a defibrillator's shock."""
    signals = noise(batch, SAMPLES)
    if kind == "zeros":
        signals[:] = 0
    if kind == "flat lead":
        signals[:, :, 3] = -1e3
    if kind == "spike":
        signals[0, 100:103] = 1e3
    if kind == "shock":
        signals *= 1e3
    return signals


@pytest.fixture(scope="module", params=FAMILIES)
def exported(request, tmp_path_factory) -> tuple[Classifier, Path]:
    classifier = awake(request.param)
    path = tmp_path_factory.mktemp(request.param) / "model.onnx"
    export_onnx(classifier, path, SAMPLES, {})
    return classifier, path


def test_every_engine_gives_the_model_s_answer(exported):
    classifier, path = exported
    reference = pytorch(classifier, "fp32")
    engines = [onnx_runtime(path, 1), openvino(path, 1, "fp32")]
    answers = []
    for kind in ("usual", "zeros", "flat lead", "spike", "shock"):
        for batch in (1, 5):
            signals = signals_of(kind, batch)
            wanted = reference.answer(signals)
            answers.append(wanted[1][0])
            for engine in engines:
                difference = max(map(largest_difference, engine.answer(signals), wanted))
                assert difference < TOLERANCE, (engine.name, kind, batch, difference)
    assert np.ptp(answers, axis=0).max() > 0.1, "the signal matters to the answer"


def test_fixed_kernels_give_the_state_space_model_s_answer():
    classifier = awake("s4d")
    assert isinstance(classifier.backbone, S4D)
    signals = torch.from_numpy(noise(3, SAMPLES))
    with torch.inference_mode():
        wanted = classifier.backbone(signals)
        found = with_fixed_kernels(classifier.backbone, SAMPLES)(signals)
    assert (found - wanted).abs().max() < 1e-5


def test_fixed_convolution_is_the_sum_over_lags():
    length = 7
    kernels, x = draw(2, 2 * length), draw(2, 3, length)
    wanted = torch.zeros(2, 3, length, dtype=torch.float64)
    for to in range(length):
        for start in range(length):
            wanted[:, :, to] += (kernels[:, None, (to - start) % (2 * length)] * x[:, :, start]).double()
    assert (FixedConvolution(kernels)(x) - wanted).abs().max() < 1e-5


def test_transforms_are_those_of_the_fft():
    x = draw(4, 9)
    forwards, backwards = transforms(9)
    spectra = torch.fft.rfft(x, n=18)
    assert (x @ forwards - torch.cat((spectra.real, spectra.imag), 1)).abs().max() < 1e-5
    assert (x @ forwards @ backwards - x).abs().max() < 1e-5


def draw(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(derive_seed(0, "draw", *shape)))
