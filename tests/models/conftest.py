"""Small models and batches for the tests of models/."""

from collections.abc import Callable, Sequence

import pytest
import torch

from models.ehr.decoder import Decoder
from models.ehr.ladder import Shape
from models.ehr.mup import initialise
from models.ehr.packed import IGNORED, PackedBatch

VOCABULARY = 97


@pytest.fixture
def tiny() -> Decoder:
    """Two blocks of two heads, with weights large enough that every part matters."""
    model = Decoder(Shape(width=32, depth=2, heads=2, hidden=40), VOCABULARY).to_empty(device="cpu")
    initialise(model, 0)
    with torch.no_grad():
        model.lm_head.weight.mul_(8)
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.copy_(torch.linspace(0.5, 1.5, len(weight)))
    return model


@pytest.fixture
def make_batch() -> Callable[..., PackedBatch]:
    """Random tokens in segments, each token's target the next one of its segment."""

    def make(segments: Sequence[int], seed: int = 0) -> PackedBatch:
        stream = torch.Generator().manual_seed(seed)
        tokens = torch.randint(0, VOCABULARY, (sum(segments),), generator=stream)
        targets = tokens.roll(-1)
        targets[torch.tensor(segments).cumsum(0) - 1] = IGNORED
        positions = torch.cat([torch.arange(length, dtype=torch.float32) for length in segments])
        return PackedBatch(tokens, targets, positions, tuple(segments))

    return make
