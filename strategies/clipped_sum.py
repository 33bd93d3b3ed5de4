"""The noised mean of clipped updates, in the place of a weighted mean of models."""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from strategies.accumulator import BLOCK, Model, WeightedMean
from strategies.parallel import map_arrays
from wardlaw.privacy.client_level import ClientLevel
from wardlaw.privacy.noise import add_normal

Float64 = NDArray[np.float64]


class ClippedSum(WeightedMean):
    """Running sum of w_i min(1, C / |d_i|) d_i in float64, where d_i is a site's model minus the global one.

    The norm is that of all arrays together, teachers, codebooks and counts among them: whatever a
    site sends, its share of the sum has norm C at most. Sums are made in the order of the calls.

    Parameters
    ----------
    model : mapping of str to array, float32
        The global model that the sites started from.
    clip_norm : float
        C.
    privacy : ClientLevel
    key_of : callable
        Key of the noise for the digest of what is about to be released.

    Attributes
    ----------
    centred_count : float
        Sum over the sites of +1/2 for an update of norm C at most, and -1/2 for one clipped.
    key : bytes
        Key of the noise in the mean, once it is made.
    """

    def __init__(
        self, model: Model, clip_norm: float, privacy: ClientLevel, key_of: Callable[[bytes], bytes]
    ) -> None:
        super().__init__({name: array.shape for name, array in model.items()})
        self.clip_norm = clip_norm
        self.privacy = privacy
        self.centred_count = 0.0
        self.key = b""
        self._model = model
        self._key_of = key_of

    def add(self, arrays: Mapping[str, NDArray[np.float32]], weight: int) -> None:
        """Clip and add one site's update.

        Parameters
        ----------
        arrays : mapping of str to array, float32
            The site's model, all finite.
        weight : int
            Its examples, which ``privacy`` caps.
        """
        norm = math.sqrt(math.fsum(map_arrays(lambda name: self._square(arrays, name), arrays, self.size)))
        factor = 1.0 if norm <= self.clip_norm else self.clip_norm / norm
        factor *= self.privacy.weight(weight)
        map_arrays(lambda name: self._add_update(arrays, name, factor), arrays, self.size)
        self.centred_count += 0.5 if norm <= self.clip_norm else -0.5

    def mean(self) -> dict[str, Float64]:
        """The sum over the expected number of sites, with noise on each number; to be taken once."""
        self.key = self._key_of(self._digest())
        map_arrays(self._noised, self._sums, self.size)
        return self._sums

    def _square(self, arrays: Model, name: str) -> float:
        return math.fsum(float(np.sum(update * update)) for _, update in self._updates(arrays, name))

    def _add_update(self, arrays: Model, name: str, factor: float) -> None:
        total = self._sums[name].reshape(-1)
        for start, update in self._updates(arrays, name):
            total[start : start + BLOCK] += factor * update

    def _updates(self, arrays: Model, name: str) -> Iterator[tuple[int, Float64]]:
        after, before = (np.ascontiguousarray(model[name]).reshape(-1) for model in (arrays, self._model))
        for start in range(0, after.size, BLOCK):
            block = slice(start, start + BLOCK)
            yield start, after[block].astype(np.float64) - before[block]

    def _noised(self, name: str) -> None:
        total = self._sums[name]
        total /= self.privacy.sites
        add_normal(total, self.key, "model", name, std=self.privacy.noise_std(self.clip_norm))

    def _digest(self) -> bytes:
        """Of all that a release follows from."""
        digest = hashlib.sha256(np.array([self.clip_norm, self.centred_count]).tobytes())
        for name, total in self._sums.items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self._model[name]).data)
            digest.update(total.data)
        return digest.digest()
