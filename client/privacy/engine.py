"""What computes the clipped gradients of a step's patients, whatever it does it with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from client.privacy.clipping import Clipping
from models.model import Batch, Model


@dataclass(frozen=True, eq=False)
class PatientGradients:
    """What is known of a step's patients beside the sum of their clipped gradients.

    Attributes
    ----------
    losses : Tensor, (n,)
        Mean nats over each patient's own targets. These are not private.
    norms : Tensor, (n,)
        L2 norm of each patient's gradient before clipping. These are not private.
    """

    losses: Tensor
    norms: Tensor


class Engine(Protocol):
    """Sum of clipped gradients of some patients."""

    def __call__(
        self,
        model: Model,
        patients: Sequence[Batch],
        clipping: Clipping,
        precision: torch.dtype = torch.float32,
    ) -> PatientGradients:
        """Add the sum of the patients' clipped gradients to the parameters' ``grad``.

        Parameters
        ----------
        model : Model
            Its trained parameters have ``grad`` None or a tensor to add to; after the call each has a
            tensor, of zeros where there are no patients.
        patients : sequence of Batch
            One batch a patient, on the CPU, with all that the patient contributes; it may be empty. A
            patient's loss is ``model.loss`` of its own batch and depends on no other patient.
        clipping : Clipping
            Of each patient's whole gradient, over all trained parameters.
        precision : torch.dtype
            Of autocast; norms and sums are float32.
        """
