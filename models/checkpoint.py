"""Checkpoints: a folder that we load, and a decoder's also transformers' ``LlamaForCausalLM``.

model.safetensors   float32 weights; a decoder's under transformers' names
config.json         a decoder's LlamaConfig or an ECG model's settings, and under ``wardlaw`` the
                    SHA-256 of the weights
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from models.ecg.model import ECG_TYPE, ecg_model_of
from models.ehr.decoder import Decoder
from models.ehr.llama import shape_of_config
from models.model import Model
from wardlaw.errors import CheckpointError, ConfigError
from wardlaw.files import file_sha256, write_atomically, write_text_atomically

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
_REMEDY = "Take another copy or an earlier checkpoint"


def save_model(model: Model, folder: Path, context: int) -> None:
    """Write a checkpoint; ``config.json`` comes last and makes it whole.

    Parameters
    ----------
    model : Model
        On any device.
    folder : Path
        Made if absent; files of the same names are replaced.
    context : int
        Longest window the model was trained on.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    path = folder / WEIGHTS
    write_atomically(path, lambda temporary: save_file(weights, temporary, metadata={"format": "pt"}))
    config = model.description(context) | {"wardlaw": {"weights_sha256": file_sha256(path)}}
    write_text_atomically(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def load_model(folder: Path) -> Model:
    """Model of a checkpoint, on the CPU, with the very bits that were saved.

    Raises
    ------
    CheckpointError
        If a file is absent or damaged, if the settings are not of a model of ours, or if the weights do
        not have the settings' names, shapes and dtype.
    """
    config = _read_config(folder / CONFIG)
    path = folder / WEIGHTS
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise CheckpointError(f"cannot read it ({type(error).__name__})", where=str(path)) from None
    if digest != config["wardlaw"]["weights_sha256"]:
        raise CheckpointError(
            f"the weights are not those that {CONFIG} names", where=str(path), remedy=_REMEDY
        )
    model = _model_of(config, folder / CONFIG)
    _fill(model, path)
    return model


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        str(config["wardlaw"]["weights_sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"not a checkpoint's config ({type(error).__name__})", where=str(path)
        ) from None
    return config


def _model_of(config: dict[str, Any], path: Path) -> Model:
    """A model without values, if the settings are exactly those of one."""
    reader = _READERS.get(str(config.get("model_type")))
    if reader is None:
        raise CheckpointError(f"model_type = {config.get('model_type')!r} is none of ours", where=str(path))
    try:
        model = reader(config)
        wanted = model.description(config["max_position_embeddings"])
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError, ConfigError) as error:
        raise CheckpointError(f"no model has these settings ({error})", where=str(path)) from None
    for field, value in wanted.items():
        if config.get(field) != value:
            raise CheckpointError(
                f"{field} = {config.get(field)!r}, but our model has {value!r}", where=str(path)
            )
    return model


def _decoder(config: dict[str, Any]) -> Model:
    return Decoder(*shape_of_config(config))


_READERS: dict[str, Callable[[dict[str, Any]], Model]] = {
    "llama": _decoder,
    ECG_TYPE: ecg_model_of,
}


@torch.no_grad()
def _fill(model: Model, path: Path) -> None:
    wanted = {name: list(value.shape) for name, value in model.state_dict().items()}
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            found = {name: list(part.get_shape()) for name, part in slices.items()}
            dtypes = {part.get_dtype() for part in slices.values()}
            if found != wanted or dtypes != {"F32"}:
                wrong = sorted(n for n in found.keys() | wanted.keys() if found.get(n) != wanted.get(n))
                what = f"weights {', '.join(wrong[:3])}" if wrong else f"dtypes {', '.join(sorted(dtypes))}"
                raise CheckpointError(f"{what} do not fit {CONFIG}", where=str(path), remedy=_REMEDY)
            model.to_empty(device="cpu")
            model.load_state_dict({name: file.get_tensor(name) for name in wanted})
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"damaged ({error})", where=str(path), remedy=_REMEDY) from None
