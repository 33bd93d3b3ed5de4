"""Who was in the training set, or what: attacks by a score, on models of any kind.

An attack bounds nothing from above. Its figures on a model trained without privacy say what there is to
hide, those on a private model whether anything is left.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from simulations.audit.bounds import binomial_lower, binomial_upper
from wardlaw.privacy.audits import AttackFigures

Scores = NDArray[np.float64]


def attack(members: Scores, others: Scores, false_positive_rate: float = 0.001) -> AttackFigures:
    """Figures of a score that is higher for members, e.g. the negative loss (Yeom et al., arXiv 1709.01604).

    Parameters
    ----------
    members, others : (n,), (m,) float64
    false_positive_rate : float
        At most this share of the others lies above the threshold.

    Examples
    --------
    >>> found = attack(np.array([1.0, 3.0]), np.array([0.0, 2.0]))
    >>> found.auroc, found.true_positive_rate, found.resolved
    (0.75, 0.5, False)
    """
    allowed = int(false_positive_rate * len(others))
    threshold = np.sort(others)[len(others) - 1 - allowed]
    above = int((members > threshold).sum())
    higher = stats.mannwhitneyu(members, others).statistic
    return AttackFigures(
        members=len(members),
        others=len(others),
        auroc=float(higher) / (len(members) * len(others)),
        false_positive_rate=false_positive_rate,
        true_positive_rate=above / len(members),
        low=float(binomial_lower(above, len(members), 0.025)),
        high=float(binomial_upper(above, len(members), 0.025)),
        resolved=allowed >= 1,
    )


def sideways_movement(before: Tensor, after: Tensor) -> Scores:
    """Length of each row's change across its old direction, (rows,).

    An input embedding's row has a gradient only where its token was read. Weight decay shortens all rows
    alike, so without noise a row that turned betrays a patient with the token: one with a rare disease
    betrays the disease (Melis et al., arXiv 1805.04049, section 4).

    Parameters
    ----------
    before, after : Tensor, (rows, width)
        Embedding that a site was sent, and what it sent back.
    """
    old, new = before.double(), after.double()
    direction = torch.nn.functional.normalize(old, dim=1)
    across = new - (new * direction).sum(1, keepdim=True) * direction
    lengths: Scores = across.norm(dim=1).cpu().numpy()
    return lengths
