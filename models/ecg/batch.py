"""A training batch of ECG crops."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

LEADS = 12


@dataclass(frozen=True, eq=False)
class SignalBatch:
    """Crops of records, one a row.

    Attributes
    ----------
    signals : Tensor, (B, L, leads) float32
        Scaled signals, time before leads, so that a convolution in channels-last layout reads
        them without a copy. Where a record ends early its crop goes on with zeros.
    labels : Tensor, (B, classes) float32
        1 where the record has the diagnosis, else 0.
    lengths : Tensor, (B,) int64
        Samples of each crop that are the record's own.
    seeds : Tensor, (B,) int64, on the CPU
        A seed for each crop, from which an objective draws its masks and negatives: it does not
        depend on the other crops.
    """

    signals: Tensor
    labels: Tensor
    lengths: Tensor
    seeds: Tensor

    def __post_init__(self) -> None:
        rows = {len(self.signals), len(self.labels), len(self.lengths), len(self.seeds)}
        if len(rows) != 1:
            raise ValueError(f"signals, labels, lengths and seeds differ in rows: {sorted(rows)}")

    @property
    def token_count(self) -> int:
        """Samples of the batch that are the records' own: a budget's unit, as targets are for EHR."""
        return int(self.lengths.sum())

    def to(self, device: torch.device | str) -> "SignalBatch":
        """The same batch on ``device``; seeds stay where they are."""
        return replace(
            self,
            signals=self.signals.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            lengths=self.lengths.to(device, non_blocking=True),
        )
