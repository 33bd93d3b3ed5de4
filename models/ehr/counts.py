"""Exact parameters and FLOPs of a decoder, from its settings alone.

A multiply-add is two FLOPs. Counted are matrix products and attention's scores and sums over the
pairs that causality allows; norms, activations, softmax and the embedding's look-up are not, as is
the custom (Kaplan et al., arXiv 2001.08361, table 1; Hoffmann et al., arXiv 2203.15556, appendix F,
which also counts the head). A backward pass costs two forward passes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from models.ehr.ladder import Shape, rung
from models.model import Parameters
from wardlaw.config.model import ModelSection


@dataclass(frozen=True)
class Flops:
    """FLOPs of a pass over some tokens.

    Attributes
    ----------
    matrices : float
        Products with the blocks' weight matrices.
    attention : float
        Attention's scores and weighted sums.
    head : float
        Product with the head.
    """

    matrices: float
    attention: float
    head: float

    @property
    def blocks(self) -> float:
        """Without the head."""
        return self.matrices + self.attention

    @property
    def total(self) -> float:
        """With the head."""
        return self.blocks + self.head

    def times(self, factor: float) -> "Flops":
        """FLOPs of ``factor`` such passes."""
        return Flops(self.matrices * factor, self.attention * factor, self.head * factor)


def parameters(section: ModelSection, vocabulary_size: int) -> Parameters:
    """Parameters of the model that ``build_model`` would make."""
    shape = rung(section.size)
    gains = (2 * shape.depth + 1) * shape.width
    table = vocabulary_size * shape.width
    return Parameters(embedding=table, blocks=_matrices(shape) + gains, head=table)


def causal_pairs(segments: Iterable[int]) -> int:
    """Pairs of a token and one that it may attend to, itself included: sum of n (n + 1) / 2.

    Examples
    --------
    >>> causal_pairs([3, 1])
    7
    """
    return sum(length * (length + 1) // 2 for length in segments)


def forward_flops(section: ModelSection, vocabulary_size: int, tokens: int, pairs: int) -> Flops:
    """FLOPs of a forward pass over ``tokens`` tokens whose segments have ``pairs`` causal pairs.

    Parameters
    ----------
    section : ModelSection
        The model.
    vocabulary_size : int
        Number V of tokens.
    tokens : int
        Tokens of all segments.
    pairs : int
        ``causal_pairs`` of the segments; sums over batches may be given at once.
    """
    return flops_of(rung(section.size), vocabulary_size, tokens, pairs)


def flops_of(shape: Shape, vocabulary_size: int, tokens: int, pairs: int) -> Flops:
    """``forward_flops`` of a decoder of any shape."""
    return Flops(
        matrices=2.0 * _matrices(shape) * tokens,
        attention=4.0 * shape.width * shape.depth * pairs,
        head=2.0 * shape.width * vocabulary_size * tokens,
    )


def training_flops(section: ModelSection, vocabulary_size: int, tokens: int, pairs: int) -> Flops:
    """FLOPs of a forward and a backward pass; arguments as for ``forward_flops``."""
    return forward_flops(section, vocabulary_size, tokens, pairs).times(3)


def flops_per_token(section: ModelSection, vocabulary_size: int) -> Flops:
    """Forward FLOPs of a token, averaged over one full window of ``section.context`` tokens."""
    window = forward_flops(section, vocabulary_size, section.context, causal_pairs([section.context]))
    return window.times(1 / section.context)


def _matrices(shape: Shape) -> int:
    """Entries of the blocks' weight matrices."""
    return shape.depth * (4 * shape.width**2 + 3 * shape.width * shape.hidden)
