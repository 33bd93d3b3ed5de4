"""Which patients share a forward and a backward pass."""

from collections.abc import Sequence

import torch

from models.ehr.decoder import Decoder

TOGETHER = 512
"""Tokens of a pass on a CPU: with more it takes more memory and hardly less time."""


def pass_tokens(model: Decoder, longest: int, device: torch.device) -> int:
    """Tokens of the patients of one pass, of whom the longest has ``longest``.

    On a GPU, which works best on much at a time, as many as a tenth of its memory holds.
    """
    if device.type == "cpu":
        return TOGETHER
    memory = torch.cuda.get_device_properties(device).total_memory
    return memory // 10 // (4 * numbers_a_token(model, longest))


def numbers_a_token(model: Decoder, longest: int) -> int:
    """About how many numbers a token of a pass leaves for the backward pass and for norms.

    Logits and their slopes; products with the patient's other rows; and of each block inputs and gradients
    of seven matrices, two norms' inputs, and what attention and SwiGLU keep.
    """
    shape = model.shape
    return 2 * (model.vocabulary_size + longest) + shape.depth * (20 * shape.width + 6 * shape.hidden)


def passes(sizes: Sequence[int], together: int) -> list[list[int]]:
    """Places of the patients of each pass, the longest first.

    Parameters
    ----------
    sizes : sequence of int
        Tokens of each patient.
    together : int
        Most tokens of a pass of more than one patient.

    Examples
    --------
    >>> passes([200, 100, 600, 300], 512)
    [[2], [3, 0], [1]]
    """
    found: list[list[int]] = []
    room = 0
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        if sizes[place] > room:
            found.append([])
            room = together
        found[-1].append(place)
        room -= sizes[place]
    return found
