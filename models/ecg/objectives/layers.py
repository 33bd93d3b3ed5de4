"""Linear layers that use no random numbers."""

from torch import nn


class Linear(nn.Linear):
    """A linear layer of zeros: ``models.ecg.scaling`` draws its matrix, its bias stays zero."""

    def reset_parameters(self) -> None:
        """Zeros, from no generator."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
