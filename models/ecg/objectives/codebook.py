"""Codes that stand for features: running means of the features that chose them."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ecg.objectives.masking import masked_mean
from wardlaw.seeds import derive_seed

LEAST_COUNT = 1e-3
"""Running count below which a code's sum is not divided by it any more."""


class Codebook(nn.Module):
    """K codes, each the ratio of a running sum of features and a running count of them.

    Exponential moving averages of van den Oord et al. (arXiv 1711.00937, appendix A.1). Sums and
    counts are float32 buffers; averaging them over sites makes each code the mean of the sites' codes
    weighted by their counts, so a site that does not use a code does not drag it.

    Codes start as random unit vectors, the same in every run: close to the origin beside normalised
    features, whose directions choose among them. A code that nothing chooses goes back to the origin,
    the mean of such features, once its count has decayed below ``LEAST_COUNT``, and may be chosen
    there again; that is all that is done about dead codes.

    Parameters
    ----------
    name : str
        Names the stream of the first values.
    codes, width : int
        Number K of codes, size D of a feature.
    decay : float
        Share of sums and counts that a step keeps.
    """

    sums: Tensor
    counts: Tensor

    def __init__(self, name: str, codes: int, width: int, decay: float) -> None:
        super().__init__()
        stream = torch.Generator().manual_seed(derive_seed(0, "codebook", name))
        draws = torch.randn(codes, width, generator=stream, device="cpu")
        self.register_buffer("sums", functional.normalize(draws).to(torch.get_default_device()))
        self.register_buffer("counts", torch.ones(codes))
        self.decay = decay
        self._chosen: tuple[Tensor, Tensor] | None = None

    def centroids(self) -> Tensor:
        """The codes: (K, D)."""
        return self.sums / self.counts.clamp(min=LEAST_COUNT)[:, None]

    @torch.no_grad()
    def distances(self, features: Tensor) -> Tensor:
        """Squared distances of features (..., D) to codes, the features' own squares left out: (..., K)."""
        codes = self.centroids()
        with torch.autocast(features.device.type, enabled=False):
            return codes.square().sum(1) - 2 * features @ codes.T

    @torch.no_grad()
    def collect(self, features: Tensor, shares: Tensor) -> None:
        """Keep what a step's features (N, D) give to codes, by ``shares`` (N, K), until ``follow``."""
        with torch.autocast(features.device.type, enabled=False):
            sums, counts = shares.T @ features, shares.sum(0)
        if self._chosen is not None:
            sums, counts = sums + self._chosen[0], counts + self._chosen[1]
        self._chosen = sums, counts

    @torch.no_grad()
    def follow(self) -> None:
        """Move sums and counts by what was collected since the last call."""
        if self._chosen is None:
            return
        for running, new in zip((self.sums, self.counts), self._chosen, strict=True):
            running.lerp_(new, 1 - self.decay)
        self._chosen = None


def code_nats(logits: Tensor, shares: Tensor) -> Tensor:
    """Cross-entropy of each place's code under ``shares``, both (..., K): (...)."""
    return -(shares * functional.log_softmax(logits, -1)).sum(-1)


def log_use(shares: Tensor, mask: Tensor) -> Tensor:
    """Log of the codes' use in the masked patches, the best constant logits: (B, P, ..., K) to (..., K)."""
    return masked_mean(shares, mask).clamp(min=torch.finfo(shares.dtype).tiny).log()
