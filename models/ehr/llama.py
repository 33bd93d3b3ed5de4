"""A decoder's settings in transformers' terms, and back."""

from typing import Any

from models.ehr.ladder import Shape

NORM_EPSILON = 1e-6
ROTARY_THETA = 10_000.0


def llama_config(shape: Shape, vocabulary_size: int, context: int) -> dict[str, Any]:
    """Settings of the same architecture as ``LlamaConfig``; ``context`` is the longest window trained on."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary_size,
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


def shape_of_config(config: dict[str, Any]) -> tuple[Shape, int]:
    """Shape and vocabulary size of a ``LlamaConfig``.

    Raises
    ------
    KeyError, TypeError, ValueError, ArithmeticError
        If no decoder has these settings.
    """
    shape = Shape(
        width=int(config["hidden_size"]),
        depth=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        hidden=int(config["intermediate_size"]),
    )
    if shape.width % shape.heads:
        raise ValueError(f"width {shape.width} is not a multiple of {shape.heads} heads")
    return shape, int(config["vocab_size"])
