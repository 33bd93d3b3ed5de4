"""What a parameter's share of the patients' gradients is kept as until their norms are known."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from client.privacy.gradient_norm import squared_norms


class Contribution(Protocol):
    """The gradients that n patients have for one parameter."""

    def squared_norms(self) -> Tensor:
        """Square of each patient's L2 norm: (n,)."""

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Sum of the gradients times ``factors`` (n,), of the parameter's shape.

        A patient with factor 0 adds nothing, even where its gradient is not finite.
        """


@dataclass(frozen=True, eq=False)
class Explicit:
    """The gradients themselves.

    Attributes
    ----------
    gradients : Tensor, (n, ...)
    """

    gradients: Tensor

    def squared_norms(self) -> Tensor:
        """Square of each patient's L2 norm: (n,)."""
        return squared_norms(self.gradients)

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Sum of the gradients times ``factors``."""
        kept = without_dropped(self.gradients, factors)
        return (factors @ kept.flatten(1)).view(self.gradients.shape[1:])


@dataclass(frozen=True, eq=False)
class Implicit:
    """Norms of gradients that are never made; only their weighted sum is.

    "Ghost norms" (Li et al., arXiv 2110.05679, section 4) with "book-keeping", which keeps what the
    weighted sum is made from instead of a second backward pass (Bu et al., arXiv 2210.00038).

    Attributes
    ----------
    squares : Tensor, (n,)
        Square of each patient's L2 norm.
    sum_with : callable
        Weighted sum from factors (n,).
    """

    squares: Tensor
    sum_with: Callable[[Tensor], Tensor]

    def squared_norms(self) -> Tensor:
        """Square of each patient's L2 norm: (n,)."""
        return self.squares

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Sum of the gradients times ``factors``."""
        return self.sum_with(factors)


def without_dropped(values: Tensor, factors: Tensor) -> Tensor:
    """Rows of ``values`` (n, ...), zeros where the factor is 0: infinity times 0 is not 0."""
    if bool((factors != 0).all()):
        return values
    return torch.where((factors != 0).view(-1, *(1,) * (values.dim() - 1)), values, 0)


def widened(values: Tensor) -> Tensor:
    """Values in float32 if they have half precision, else as they are."""
    return values.float() if values.dtype in {torch.bfloat16, torch.float16} else values
