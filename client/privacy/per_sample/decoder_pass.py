"""One forward and one backward pass of a decoder over packed patients, whose parameters are held constant.

The backward pass makes no gradient of weights. What a layer's patients' gradients are made from is
noted as soon as the gradient of the layer's output is there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from client.privacy.per_sample.contribution import widened
from client.privacy.per_sample.patient_nats import patient_nats
from client.privacy.per_sample.patient_rows import PatientRows
from client.privacy.per_sample.shares import GradientShare, Share, TableShare, matrix_shares
from models.ehr.decoder import Decoder, after_attention, before_attention
from models.ehr.packed import PackedBatch
from models.model import Model


def has_rules(model: Model) -> TypeGuard[Decoder]:
    """Whether the patients' gradients of all trained parameters are known: a decoder's, as it is built."""
    if type(model) is not Decoder or model.halves != (before_attention, after_attention):
        return False
    modules = [module for _, module in model.named_modules(remove_duplicate=False)]
    known = [weight for module in modules if type(module) in NOTES for weight in module.parameters()]
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    # Norms of a sum over two uses do not follow from those of each use.
    used_once = len(set(known)) == len(known)
    matrices_only = all(module.bias is None for module in modules if isinstance(module, nn.Linear))
    return used_once and matrices_only and set(known) == set(trained)


def losses_and_shares(
    model: Decoder, batch: PackedBatch, rows: PatientRows, precision: torch.dtype
) -> tuple[Tensor, list[Share]]:
    """Each patient's mean nats (n,), and what all parameters add to the patients' gradients.

    Parameters
    ----------
    model : Decoder
        ``has_rules`` is true of it.
    batch : PackedBatch
        One patient's windows after the other's.
    rows : PatientRows
        Whose each token of the batch is.
    precision : torch.dtype
        Of autocast in the forward pass; shares are float32.
    """
    notes = Notes(rows)
    half = precision == torch.bfloat16
    with constant(model), watched(model, notes):
        with torch.autocast(batch.tokens.device.type, torch.bfloat16, enabled=half):
            hidden = model.hidden(batch)
            found = patient_nats(hidden.detach(), model.lm_head.weight, batch.targets, rows)
        hidden.backward(found.hidden_gradient)  # type: ignore[no-untyped-call]
    shares = [*notes.shares, *matrix_shares(rows, found.inputs, [(model.lm_head.weight, found.slopes)])]
    for inputs, outputs in notes.products.values():
        shares += matrix_shares(rows, inputs, outputs)
    return found.losses, shares


class Notes:
    """What each layer's patients' gradients are made from.

    Attributes
    ----------
    shares : list of Share
        Of norms and of the embedding.
    products : dict of int to (Tensor, list)
        Inputs, and the matrices that multiply them, each with the gradient of its output.
    """

    def __init__(self, rows: PatientRows) -> None:
        self._rows = rows
        self.shares: list[Share] = []
        # Queries, keys and values have the same inputs. What is held here keeps its id.
        self.products: dict[int, tuple[Tensor, list[tuple[Tensor, Tensor]]]] = {}

    def linear(self, layer: nn.Linear, inputs: tuple[Tensor], output: Tensor) -> None:
        """After a matrix."""
        (x,) = inputs

        def note(gradient: Tensor) -> None:
            _, outputs = self.products.setdefault(id(x), (x.detach(), []))
            outputs.append((layer.weight, gradient))

        output.register_hook(note)  # type: ignore[no-untyped-call]

    def norm(self, layer: nn.RMSNorm, inputs: tuple[Tensor], output: Tensor) -> None:
        """After a root-mean-square norm."""
        x = inputs[0].detach()

        def note(gradient: Tensor) -> None:
            normed = functional.rms_norm(widened(x), list(layer.normalized_shape), eps=layer.eps)
            gains = self._rows.summed(normed * widened(gradient))
            self.shares.append(GradientShare(layer.weight, [gains]))

        output.register_hook(note)  # type: ignore[no-untyped-call]

    def embedding(self, layer: nn.Embedding, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        """After the look-up, which is where gradients end."""
        (tokens,) = inputs
        looked_up = output.detach().requires_grad_()

        def note(gradient: Tensor) -> None:
            self.shares.append(TableShare(self._rows, layer.weight, tokens, gradient))

        looked_up.register_hook(note)  # type: ignore[no-untyped-call]
        return looked_up


NOTES: dict[type[nn.Module], Any] = {
    nn.Linear: Notes.linear,
    nn.RMSNorm: Notes.norm,
    nn.Embedding: Notes.embedding,
}


@contextmanager
def watched(model: nn.Module, notes: Notes) -> Iterator[None]:
    """Let notes be taken after each layer that has a rule."""
    hooks = [
        module.register_forward_hook(NOTES[type(module)].__get__(notes))
        for module in model.modules()
        if type(module) in NOTES
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def constant(model: nn.Module) -> Iterator[None]:
    """Make no gradient of any parameter."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
