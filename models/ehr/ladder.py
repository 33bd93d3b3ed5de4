"""The decoder's ladder: every rung follows from its width alone (``docs/ladder.md``)."""

from dataclasses import dataclass
from types import MappingProxyType

from models.ladder import width_of

RUNGS = MappingProxyType(
    {
        "xs": 16,
        "20k": 24,
        "40k": 32,
        "80k": 48,
        "150k": 64,
        "330k": 96,
        "600k": 128,
        "1.3m": 192,
        "3m": 256,
        "6m": 320,
        "10m": 384,
        "25m": 512,
        "50m": 640,
        "85m": 768,
        "200m": 1024,
        "400m": 1280,
        "1b": 1792,
    }
)
"""Width of each rung; names are the parameters outside the embedding and the head, rounded."""


@dataclass(frozen=True)
class Shape:
    """Dimensions of a decoder.

    Attributes
    ----------
    width : int
        Size d of the residual stream.
    depth : int
        Number of blocks L.
    heads : int
        Attention heads of a block; a head has ``width / heads`` dimensions.
    hidden : int
        Size f of the SwiGLU's hidden layer.
    """

    width: int
    depth: int
    heads: int
    hidden: int

    @property
    def head_dim(self) -> int:
        """Dimensions of one attention head."""
        return self.width // self.heads


def shape_of(width: int) -> Shape:
    """Shape of the rung of a given width: the ladder's one rule.

    - depth: width / 64, at least 3: the small rungs differ in width only, and from width 192 on
      the aspect ratio stays at 64, in the flat region of Kaplan et al. (arXiv 2001.08361, figure 5);
    - head dimension: a quarter of the width, rounded down to a power of two, between 16 and 64;
    - hidden: the multiple of 8 nearest to 8/3 width (Shazeer, arXiv 2002.05202: three matrices
      of 8/3 d cost what two of 4 d do).

    Examples
    --------
    >>> shape_of(256)
    Shape(width=256, depth=4, heads=4, hidden=680)
    """
    head_dim = min(64, max(16, 1 << ((width // 4).bit_length() - 1)))
    return Shape(
        width=width,
        depth=max(3, width // 64),
        heads=max(1, width // head_dim),
        hidden=8 * round(width / 3),
    )


def rung(size: str) -> Shape:
    """Shape of the rung named ``size``.

    Raises
    ------
    ConfigError
        If the ladder has no such rung.
    """
    return shape_of(width_of(size, RUNGS, "decoder"))
