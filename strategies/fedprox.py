"""Federated averaging with a proximal term at the sites."""

from strategies.fedavg import FedAvg
from strategies.guarded import Guard
from wardlaw.protocol import PROXIMAL_MU


class FedProx(FedAvg):
    """The sites add mu/2 ||w - w0||^2 to their loss (Li et al., arXiv 1812.06127, equation 2).

    Parameters
    ----------
    guard : Guard
    proximal_mu : float
        mu; the sites' trainer adds the term's gradient, mu (w - w0), to every step.
        With 0 this is ``FedAvg``.
    """

    def __init__(self, guard: Guard, *, proximal_mu: float) -> None:
        super().__init__(guard)
        self.proximal_mu = proximal_mu

    def train_settings(self) -> dict[str, float]:
        """Tell the sites mu."""
        return {PROXIMAL_MU: self.proximal_mu}

    def settings(self) -> dict[str, float]:
        """Mu."""
        return {"proximal_mu": self.proximal_mu}
