"""The decoder over padded rows, as Opacus wants it: a sample is a row of a batch."""

import torch
from opacus.grad_sample import GradSampleModule
from opacus.grad_sample.grad_sample_module_fast_gradient_clipping import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizer, DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPTensorFastGradientClipping
from torch import Tensor, nn
from torch.nn import functional

from models.ehr.decoder import Decoder
from models.ehr.packed import IGNORED, PackedBatch


class Rows(nn.Module):
    """(B, T) tokens to (B, T, V) logits."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: Tensor) -> Tensor:
        positions = torch.arange(tokens.shape[1], dtype=torch.float32, device=tokens.device)
        attends = [attend_rows] * self.decoder.shape.depth
        return self.decoder.logits(self.decoder.blocks(self.decoder.embed(tokens), positions, attends))


def attend_rows(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    parts = (part.transpose(1, 2) for part in (queries, keys, values))
    return functional.scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).flatten(2)


def rows_of(patients: tuple[PackedBatch, ...]) -> tuple[Tensor, Tensor]:
    """Tokens and targets, (B, T), padded on the right, where a causal model needs no mask."""
    pad = nn.utils.rnn.pad_sequence
    return (
        pad([patient.tokens for patient in patients], batch_first=True),
        pad([patient.targets for patient in patients], batch_first=True, padding_value=IGNORED),
    )


def row_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean nats of each row's targets."""
    nats = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return nats.view_as(targets).sum(1) / (targets >= 0).sum(1)


class OpacusStep:
    """A step of Opacus: rows, clipping to 1, noise of sigma 1, AdamW."""

    def __init__(self, decoder: Decoder, patients: tuple[PackedBatch, ...], *, ghost: bool) -> None:
        self.ghost = ghost
        device = decoder.lm_head.weight.device
        self.tokens, self.targets = (rows.to(device) for rows in rows_of(patients))
        wrap = GradSampleModuleFastGradientClipping if ghost else GradSampleModule
        self.wrapped = wrap(Rows(decoder), loss_reduction="sum")
        self.optimiser = (DPOptimizerFastGradientClipping if ghost else DPOptimizer)(
            torch.optim.AdamW(self.wrapped.parameters(), lr=1e-4, fused=True),
            noise_multiplier=1.0,
            max_grad_norm=1.0,
            expected_batch_size=len(patients),
            loss_reduction="mean",
        )

    def __call__(self, index: int) -> None:
        losses = row_losses(self.wrapped(self.tokens), self.targets)
        if self.ghost:
            self.wrapped.enable_hooks()
            DPTensorFastGradientClipping(self.wrapped, self.optimiser, losses, "sum").backward()
        else:
            losses.sum().backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
