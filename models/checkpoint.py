"""Checkpoints: a folder that both we and transformers' ``LlamaForCausalLM`` load.

model.safetensors   float32 weights under transformers' names
config.json         LlamaConfig, and under ``wardlaw`` the SHA-256 of the weights
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from models.ehr.decoder import NORM_EPSILON, ROTARY_THETA, Decoder
from models.ehr.ladder import Shape
from wardlaw.errors import CheckpointError
from wardlaw.files import file_sha256, write_atomically, write_text_atomically

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
_REMEDY = "Take another copy or an earlier checkpoint"


def save_model(model: Decoder, folder: Path, context: int) -> None:
    """Write a checkpoint; ``config.json`` comes last and makes it whole.

    Parameters
    ----------
    model : Decoder
        On any device.
    folder : Path
        Made if absent; files of the same names are replaced.
    context : int
        Longest window the model was trained on.
    """
    weights = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    path = folder / WEIGHTS
    write_atomically(path, lambda temporary: save_file(weights, temporary, metadata={"format": "pt"}))
    config = llama_config(model, context) | {"wardlaw": {"weights_sha256": file_sha256(path)}}
    write_text_atomically(folder / CONFIG, json.dumps(config, indent=2) + "\n")


def llama_config(model: Decoder, context: int) -> dict[str, Any]:
    """Settings of the same architecture in transformers' terms (``LlamaConfig``)."""
    shape = model.shape
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": model.vocabulary_size,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROTARY_THETA,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROTARY_THETA},
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }


def load_model(folder: Path) -> Decoder:
    """Model of a checkpoint, on the CPU, with the very bits that were saved.

    Raises
    ------
    CheckpointError
        If a file is absent or damaged, if the settings are not of our decoder, or if the weights do
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


def _model_of(config: dict[str, Any], path: Path) -> Decoder:
    """A decoder without values, if the settings are exactly those of one."""
    try:
        shape = Shape(
            width=int(config["hidden_size"]),
            depth=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            hidden=int(config["intermediate_size"]),
        )
        if shape.width % shape.heads:
            raise ValueError(f"width {shape.width} is not a multiple of {shape.heads} heads")
        model = Decoder(shape, int(config["vocab_size"]))
        wanted = llama_config(model, config["max_position_embeddings"])
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(f"no decoder has these settings ({error})", where=str(path)) from None
    for field, value in wanted.items():
        if config.get(field) != value:
            raise CheckpointError(
                f"{field} = {config.get(field)!r}, but our decoder has {value!r}", where=str(path)
            )
    return model


@torch.no_grad()
def _fill(model: Decoder, path: Path) -> None:
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
