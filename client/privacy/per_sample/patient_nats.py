"""Cross-entropy of packed patients, with all that the head's gradients are made from."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from client.privacy.per_sample.contribution import widened
from client.privacy.per_sample.patient_rows import PatientRows
from models.ehr.packed import IGNORED


@dataclass(frozen=True, eq=False)
class PatientNats:
    """Losses of n patients and their derivatives.

    A patient's gradient of the head is the sum over its rows of the outer products of ``slopes`` and
    ``inputs``.

    Attributes
    ----------
    losses : Tensor, (n,)
        Mean nats of each patient's targets; 0 if it has none.
    hidden_gradient : Tensor, (T, d)
    slopes : Tensor, (T, V)
    inputs : Tensor, (T, d)
    """

    losses: Tensor
    hidden_gradient: Tensor
    slopes: Tensor
    inputs: Tensor


def patient_nats(hidden: Tensor, weight: Tensor, targets: Tensor, rows: PatientRows) -> PatientNats:
    """Losses of final ``hidden`` states (T, d) under the head's ``weight`` (V, d).

    The same numbers as ``models.ehr.objectives.mean_nats`` patient by patient, in autocast's precision.
    """
    wanted = (targets != IGNORED).to(torch.promote_types(hidden.dtype, torch.float32))
    shares = wanted / rows.summed(wanted).clamp(min=1)[rows.owners]
    places = targets.clamp(min=0)[:, None]
    logits = widened(functional.linear(hidden, weight))
    own, highest = logits.gather(1, places), logits.amax(1, keepdim=True)
    masses = logits.sub_(highest).exp_()
    mass = masses.sum(1, keepdim=True)
    nats = (mass.log() + highest - own).squeeze(1)
    # d loss / d logits = (masses / mass - one-hot) x share: both factors wait until the products,
    # where they cost T x d instead of T x V multiplications.
    slopes = masses.scatter_add_(1, places, -mass)
    factors = shares[:, None] / mass
    gradient = functional.linear(slopes, weight.mT) * factors
    return PatientNats(
        losses=rows.summed(nats * shares),
        hidden_gradient=gradient.to(hidden.dtype),
        slopes=slopes,
        inputs=widened(hidden) * factors,
    )
