"""Cross-entropy of packed patients, with all that the head's gradients are made from."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from client.privacy.per_sample.contribution import widened
from client.privacy.per_sample.patient_rows import PatientRows
from models.ehr.objectives import nats_and_slopes
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
    nats, slopes, mass = nats_and_slopes(functional.linear(hidden, weight), targets)
    factors = shares[:, None] / mass
    gradient = functional.linear(slopes, weight.mT) * factors
    return PatientNats(
        losses=rows.summed(nats.squeeze(1) * shares),
        hidden_gradient=gradient.to(hidden.dtype),
        slopes=slopes,
        inputs=widened(hidden) * factors,
    )
