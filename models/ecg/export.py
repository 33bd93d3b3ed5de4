"""A classifier as one ONNX file."""

import hashlib
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.ecg.batch import LEADS
from models.ecg.classifier import Classifier
from models.ecg.extras import import_extra
from models.ecg.s4d import S4D
from models.ecg.s4d_export import with_fixed_kernels
from wardlaw.files import write_bytes_atomically

INPUT = "signals"
OUTPUTS = ("probabilities", "logits")
OPSET = 20


def export_onnx(classifier: Classifier, path: Path, samples: int, facts: Mapping[str, str]) -> None:
    """Write a classifier with its weights as one ONNX file, the same bytes each time.

    The file's input ``signals`` is (batch, samples, leads) float32 with any batch, scaled as in
    training; its outputs ``probabilities`` and ``logits`` are (batch, classes).

    Parameters
    ----------
    classifier : Classifier
        On the CPU.
    path : Path
        File to write; an older one is replaced.
    samples : int
        Length of a crop: a multiple of the backbone's patch.
    facts : mapping of str to str
        What the file's metadata says besides ``samples``, ``leads``, ``classes`` and
        ``weights_sha256``, which is the digest of ``weights_sha256(classifier)``.

    Raises
    ------
    ConfigError
        If the extra ``inference`` is not installed.
    """
    onnx = import_extra("onnx")
    model = _traced(classifier, samples)
    metadata = {
        **facts,
        "samples": str(samples),
        "leads": str(LEADS),
        "classes": str(classifier.classes),
        "weights_sha256": weights_sha256(classifier),
    }
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    onnx.checker.check_model(model)
    write_bytes_atomically(path, model.SerializeToString(deterministic=True))


def weights_sha256(classifier: Classifier) -> str:
    """SHA-256 over the names and values of backbone and head, in the order of the state dict."""
    digest = hashlib.sha256()
    for name, value in classifier.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _traced(classifier: Classifier, samples: int) -> Any:
    """The classifier as ``onnx.ModelProto``, without traces of where it was made."""
    import_extra("onnxscript")
    example = torch.zeros(2, samples, LEADS)
    if isinstance(classifier.backbone, S4D):
        classifier = Classifier(with_fixed_kernels(classifier.backbone, samples), classifier.head)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        # Strict, so that the length of a tensor stays a symbol in it too.
        shapes = ({0: torch.export.Dim("batch")},)
        program = torch.export.export(classifier, (example,), dynamic_shapes=shapes, strict=True)
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes=shapes,
            verbose=False,
        )
    assert exported is not None
    model = exported.model_proto
    graph = model.graph
    for part in (
        model,
        graph,
        *graph.node,
        *graph.input,
        *graph.output,
        *graph.initializer,
        *graph.value_info,
    ):
        part.ClearField("metadata_props")
    return model
