"""Canaries for each engine: models on which a patient's gradient is one of many that share no coordinate."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from models.ecg.batch import LEADS, SignalBatch
from models.ecg.model import EcgModel
from models.ecg.objectives.objective import RecordLosses
from models.ehr.decoder import Decoder
from models.ehr.ladder import Shape
from models.ehr.packed import PackedBatch
from models.model import Batch, Model, ParameterGroup
from simulations.audit.canaries import Canaries


def canaries_for(engine: str, count: int, device: str) -> Canaries:
    """Canaries that an engine takes as it takes patients.

    Parameters
    ----------
    engine : str
        Of ``client.privacy.engines.ENGINES``.
    count : int
    device : str
    """
    if engine == "loop":
        return PlainCanaries(count, device)
    return DecoderCanaries(count, device) if engine == "batched ehr" else SignalCanaries(count, device)


@dataclass(frozen=True)
class Canary:
    """All that one patient contributes: which canary it is."""

    index: int
    token_count: int = 1

    def to(self, device: torch.device | str) -> Self:
        """Itself, an index has no device."""
        return self


class PlainModel(Model):
    """A loss whose gradient is, for each canary, one coordinate of each of two tensors.

    Half of a canary's gradient is in each, so that clipping tensor by tensor, or noise for one of
    them alone, shows.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(count))
        self.second = nn.Parameter(torch.zeros(count))

    def loss(self, batch: Canary) -> Tensor:
        """Linear in the weights: its gradient never changes."""
        return self.first[batch.index] + self.second[batch.index]

    def training_flops(self, batch: Canary) -> float:
        """None that are worth counting."""
        return 0.0

    def parameter_groups(self, optimiser: str) -> list[ParameterGroup]:
        """None: it is not trained."""
        return []

    def compile_blocks(self) -> None:
        """Nothing is worth it."""

    def description(self, context: int) -> dict[str, Any]:
        """Its kind."""
        return {"model_type": "canaries"}


class PlainCanaries(Canaries):
    """For an engine that asks nothing of a model."""

    def __init__(self, count: int, device: str) -> None:
        super().__init__(PlainModel(count).to(device), count)

    def patient(self, index: int) -> Batch:
        """The canary itself."""
        return Canary(index)

    def shares(self, name: str, values: Tensor) -> Tensor:
        """A coordinate a canary."""
        return values


class SignalModel(EcgModel):
    """Two linear layers over a crop, in the place of backbone and objective."""

    def __init__(self, count: int) -> None:
        Model.__init__(self)
        self.first, self.second = (nn.Linear(count, 1, bias=False) for _ in range(2))

    def losses(self, batch: SignalBatch) -> RecordLosses:
        """Loss of each crop."""
        crops = batch.signals.flatten(1)[:, None, : self.first.in_features]
        nats = (self.first(crops) + self.second(crops)).flatten()
        return RecordLosses(nats, torch.ones_like(nats))

    def training_flops(self, batch: SignalBatch) -> float:
        """None that are worth counting."""
        return 0.0


class SignalCanaries(Canaries):
    """For engines of ECG models: a canary's crop is 1 at one place."""

    def __init__(self, count: int, device: str) -> None:
        super().__init__(SignalModel(count).to(device), count)

    def patient(self, index: int) -> Batch:
        """One crop."""
        signals = torch.zeros(1, math.ceil(self.count / LEADS), LEADS)
        signals.view(-1)[index] = 1.0
        one = torch.ones(1, dtype=torch.int64)
        return SignalBatch(signals, torch.zeros(1, 0), one, one)

    def shares(self, name: str, values: Tensor) -> Tensor:
        """A column of each layer a canary."""
        return values.view(-1)


class DecoderCanaries(Canaries):
    """For the decoder's engine: a canary is a patient of one token, which no other has.

    The decoder has no blocks, is as wide as there are canaries, and embeds token i as unit vector i. The
    head, a permutation, is sure of a wrong token. So canary i's gradient lies in row i of the embedding, in
    gain i of the norm and in column i of the head, each with about as much.
    """

    def __init__(self, count: int, device: str) -> None:
        model = Decoder(Shape(width=count, depth=0, heads=1, hidden=8), count).to_empty(device="cpu")
        with torch.no_grad():
            model.model.embed_tokens.weight.copy_(torch.eye(count))
            model.model.norm.weight.fill_(1.0)
            model.lm_head.weight.copy_(torch.eye(count).roll(1, 0))
        super().__init__(model.to(device), count)

    def patient(self, index: int) -> Batch:
        """One token, and one to be predicted."""
        return self._packed([index])

    def summed_losses(self) -> Sequence[Tensor]:
        """All at once."""
        together = self._packed(range(self.count)).to(next(self.model.parameters()).device)
        return [self.count * self.model.loss(together)]

    def shares(self, name: str, values: Tensor) -> Tensor:
        """Rows of the embedding, columns of the head."""
        if values.dim() == 1:
            return values
        return values.sum(0 if name == "lm_head.weight" else 1)

    def _packed(self, indices: Sequence[int]) -> PackedBatch:
        tokens = torch.tensor(indices)
        return PackedBatch(tokens, (tokens + 2) % self.count, torch.zeros(len(tokens)), (1,) * len(tokens))
