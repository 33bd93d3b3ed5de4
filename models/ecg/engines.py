"""Engines that run a classifier on the CPU: PyTorch, ONNX Runtime and OpenVINO."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.ecg.classifier import Classifier
from models.ecg.export import INPUT, OUTPUTS
from models.ecg.extras import import_extra

Signals = npt.NDArray[np.float32]
Answers = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Probabilities and logits, both (B, classes)."""


@dataclass(frozen=True)
class Engine:
    """A way to run one classifier.

    Attributes
    ----------
    name : str
    precision : {"fp32", "bf16"}
        Of the arithmetic; weights, input and output are fp32.
    answer : callable
        Scaled crops (B, L, leads) to probabilities and logits.
    """

    name: str
    precision: str
    answer: Callable[[Signals], Answers]


def pytorch(classifier: Classifier, precision: str) -> Engine:
    """Eager PyTorch, with autocast for bf16; threads are those of ``torch.set_num_threads``."""

    @torch.inference_mode()
    def answer(signals: Signals) -> Answers:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            probabilities, logits = classifier(torch.from_numpy(signals))
        return probabilities.float().numpy(), logits.float().numpy()

    return Engine("PyTorch", precision, answer)


def onnx_runtime(path: Path, threads: int) -> Engine:
    """ONNX Runtime's CPU provider, which computes in fp32."""
    runtime = import_extra("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Else its threads go on spinning while another engine is timed.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    session = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def answer(signals: Signals) -> Answers:
        probabilities, logits = session.run(OUTPUTS, {INPUT: signals})
        return probabilities, logits

    return Engine("ONNX Runtime", "fp32", answer)


def openvino(path: Path, threads: int, precision: str) -> Engine:
    """OpenVINO's CPU plugin, which would by itself compute in bf16 where the processor can."""
    runtime = import_extra("openvino")
    settings = {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
    }
    compiled = runtime.Core().compile_model(path, "CPU", settings)
    request = compiled.create_infer_request()

    def answer(signals: Signals) -> Answers:
        request.infer({INPUT: signals})
        probabilities, logits = (request.get_tensor(name).data.copy() for name in OUTPUTS)
        return probabilities, logits

    return Engine("OpenVINO", precision, answer)


def engines(classifier: Classifier, path: Path, threads: int) -> list[Engine]:
    """All engines for a classifier and its ONNX file; the first is the reference."""
    return [
        pytorch(classifier, "fp32"),
        onnx_runtime(path, threads),
        openvino(path, threads, "fp32"),
        pytorch(classifier, "bf16"),
        openvino(path, threads, "bf16"),
    ]
