"""How much of a patient's gradient counts."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

SMALLEST_NORM = 0.01
"""Added to a norm before normalised clipping divides by it (Bu et al., arXiv 2206.07136, AUTO-S)."""


@dataclass(frozen=True)
class Clipping:
    """A bound on the L2 norm of what one patient adds to a step's sum.

    Attributes
    ----------
    norm : float
        C: no patient's factor times norm is larger, so adding or removing a patient moves the sum by
        C at most.
    rule : {"flat", "normalised"}
        ``flat`` shrinks what is longer than C (Abadi et al., arXiv 1607.00133); ``normalised`` gives
        all gradients a length just under C (Bu et al., arXiv 2206.07136).
    """

    norm: float
    rule: Literal["flat", "normalised"] = "flat"

    def factors(self, norms: Tensor) -> Tensor:
        """Factor of each patient's gradient.

        Parameters
        ----------
        norms : Tensor, (n,)
            L2 norms over all parameters. A patient whose norm is not finite counts with factor 0.

        Examples
        --------
        >>> Clipping(norm=1.0).factors(torch.tensor([0.5, 2.0, float("inf")])).tolist()
        [1.0, 0.5, 0.0]
        """
        if self.rule == "normalised":
            factors = self.norm / (norms + SMALLEST_NORM)
        else:
            factors = torch.clamp(self.norm / norms, max=1.0)
        return torch.where(torch.isfinite(norms), factors, 0.0)
