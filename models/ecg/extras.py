"""Packages of the extra ``inference``, imported where they are used and kept from calling home."""

import importlib
import os
import sys
from types import ModuleType

from wardlaw.errors import ConfigError


def import_extra(name: str) -> ModuleType:
    """Import ``onnx``, ``onnxscript``, ``onnxruntime`` or ``openvino`` with their telemetry off.

    ONNX Runtime's wheels for Linux keep a device identifier in the home folder and send events
    unless ``ORT_DISABLE_TELEMETRY`` is set before they initialise (their Privacy.md). OpenVINO sends
    an event each time it is imported, unless its package ``openvino_telemetry`` cannot be.

    Raises
    ------
    ConfigError
        If the package is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # importlib: "cannot be imported"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{name} is needed and cannot be imported ({error})",
            remedy="Install the extra: pip install 'wardlaw[inference]'",
        ) from None
