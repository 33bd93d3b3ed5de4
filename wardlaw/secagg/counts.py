"""What travels behind an update in its masked vector: a site's weight and its examples."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

COUNTS = 3
"""Numbers behind an update: the weight's level, and the examples' high and low half."""

_HALF_BITS = 16


@dataclass(frozen=True)
class Counts:
    """A site's counts, or the sums of several sites'.

    Attributes
    ----------
    weight : int
        Level of the weight.
    examples : int
        Unique training tokens of the shard, uncapped. In two halves of 16 bits, so that the sums of up to
        2^15 sites do not wrap.
    """

    weight: int
    examples: int

    def words(self) -> NDArray[np.uint32]:
        """The counts as they are masked, (3,)."""
        high, low = self.examples >> _HALF_BITS, self.examples & ((1 << _HALF_BITS) - 1)
        return np.array([self.weight, high, low], np.uint32)

    @classmethod
    def of(cls, words: NDArray[np.uint32]) -> Self:
        """Counts of a sum's last numbers, (3,); negative where a site sent something else."""
        weight, high, low = (int(word) for word in words.view(np.int32))
        return cls(weight, (high << _HALF_BITS) + low)
