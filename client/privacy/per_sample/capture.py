"""What passes through a model's layers in one forward and one backward pass."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from client.privacy.per_sample.contribution import Contribution, Explicit
from client.privacy.per_sample.patients import Losses
from client.privacy.per_sample.rules import Rule, row_name_of, rule_of
from models.ecg.batch import SignalBatch
from models.ecg.model import EcgModel
from models.ecg.objectives.objective import RecordLosses


class Capture:
    """One pass of a model whose trained parameters are held constant.

    The backward pass then makes no gradient of weights; each layer's rule makes what its patients'
    gradients need, as soon as the gradient of the layer's output is there.

    Parameters
    ----------
    model : EcgModel
        All trained parameters have a rule.
    patients, rows : int
        Number of patients, and of rows of the batch, of which each patient has as many.
    """

    def __init__(self, model: EcgModel, patients: int, rows: int) -> None:
        self._model, self._patients, self._rows = model, patients, rows
        self._own_rows: dict[str, Tensor] = {}
        self._found: dict[str, Contribution] = {}
        self._seen: set[str] = set()

    def losses(self, batch: SignalBatch) -> RecordLosses:
        """Losses of the batch's rows, with a gradient for ``backward``."""
        constants = {name: p.detach() for name, p in self._model.named_parameters()}
        hooks = []
        for path, module in self._model.named_modules():
            if not any(p.requires_grad for p in module.parameters(recurse=False)):
                continue
            rule, row_name = rule_of(module), row_name_of(module)
            if rule is not None:
                hooks.append(module.register_forward_hook(partial(self._after_forward, path, rule)))
            elif row_name is not None:
                self._give_rows(constants, f"{path}.{row_name}")
        try:
            prefixed = {f"model.{name}": value for name, value in (constants | self._own_rows).items()}
            found: RecordLosses = torch.func.functional_call(Losses(self._model), prefixed, (batch,))
            return found
        finally:
            for hook in hooks:
                hook.remove()

    def backward(self, loss: Tensor) -> dict[str, Contribution]:
        """Contributions of all parameters that the loss depends on, by name."""
        loss.backward()  # type: ignore[no-untyped-call]
        for name, rows in self._own_rows.items():
            if rows.grad is not None:
                self._found[name] = Explicit(rows.grad.view(self._patients, -1, rows.shape[-1]).sum(1))
        return self._found

    def _give_rows(self, constants: dict[str, Tensor], name: str) -> None:
        rows = constants[name].expand(self._rows, 1, -1).clone()
        self._own_rows[name] = rows.requires_grad_()

    def _after_forward(
        self, path: str, rule: Rule, module: nn.Module, inputs: tuple[Any, ...], output: Tensor
    ) -> Tensor:
        # Norms of a sum over two uses do not follow from those of each use.
        assert path not in self._seen, f"{path} is used twice in a pass"
        self._seen.add(path)
        if not output.requires_grad:
            output = output.detach().requires_grad_()
        (x,) = inputs
        after_backward = partial(self._after_backward, path, rule, module, x.detach())
        output.register_hook(after_backward)  # type: ignore[no-untyped-call]
        return output

    def _after_backward(self, path: str, rule: Rule, module: nn.Module, x: Tensor, grad: Tensor) -> None:
        for name, contribution in rule(module, x, grad, self._patients).items():
            self._found[f"{path}.{name}"] = contribution
