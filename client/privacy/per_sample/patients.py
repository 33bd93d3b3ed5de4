"""Patients side by side in one batch, each with the same number of crops."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from models.ecg.batch import SignalBatch
from models.ecg.model import EcgModel
from models.ecg.objectives.objective import RecordLosses
from models.model import Batch


class Losses(nn.Module):
    """A model's losses as a module's output, which wrappers and ``functional_call`` need."""

    def __init__(self, model: EcgModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: SignalBatch) -> RecordLosses:
        """Loss of each crop."""
        return self.model.losses(batch)


def can_be_stacked(patients: Sequence[Batch]) -> bool:
    """Whether there are patients, all with the same number of crops of the same length."""
    signals = {patient.signals.shape for patient in patients if isinstance(patient, SignalBatch)}
    return len(signals) == 1


def stacked(patients: Sequence[Batch], device: torch.device) -> SignalBatch:
    """All patients' crops, one patient after the other, on ``device``."""
    names = [field.name for field in fields(SignalBatch)]
    parts = (torch.cat([getattr(patient, name) for patient in patients]) for name in names)
    return SignalBatch(*parts).to(device)


def patient_losses(losses: RecordLosses, patients: int) -> Tensor:
    """Nats a target of each patient, over all its crops: (n,)."""
    nats, targets = (values.view(patients, -1).sum(1) for values in (losses.nats, losses.targets))
    return nats / targets.clamp(min=1)
