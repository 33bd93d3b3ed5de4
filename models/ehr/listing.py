"""The decoder's ladder as rows."""

from models.ehr.counts import flops_per_token, parameters
from models.ehr.ladder import RUNGS, rung
from wardlaw.config.model import ModelSection


def describe(size: str, vocabulary_size: int, context: int) -> dict[str, str | int]:
    """One rung as a row: FLOPs are per token of a full window, with the head."""
    section, shape = ModelSection(size=size, context=context), rung(size)
    count = parameters(section, vocabulary_size)
    flops = flops_per_token(section, vocabulary_size)
    return {
        "size": size,
        "width": shape.width,
        "depth": shape.depth,
        "heads": shape.heads,
        "hidden": shape.hidden,
        "parameters": count.blocks,
        "with_embeddings": count.total,
        "forward_flops": round(flops.total),
        "training_flops": round(3 * flops.total),
    }


def ladder(vocabulary_size: int, context: int) -> list[dict[str, str | int]]:
    """All rungs."""
    return [describe(size, vocabulary_size, context) for size in RUNGS]
