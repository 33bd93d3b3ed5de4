"""What a decoder's parameters add to the gradients of the patients of a packed batch.

The gradient of a matrix is a sum of outer products of a row of inputs and a row of the output's
gradient. For short patients its norm follows from the inner products of their rows ("ghost norm",
Goodfellow, arXiv 1510.01799; Li et al., arXiv 2110.05679, section 4), and the clipped sum of all
is one product ("book-keeping", Bu et al., arXiv 2210.00038). For long ones the gradient itself costs less.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from client.privacy.gradient_norm import squared_norms
from client.privacy.per_sample.contribution import widened, without_dropped
from client.privacy.per_sample.patient_rows import PatientRows

Outputs = Sequence[tuple[Tensor, Tensor]]
"""Matrices (O, I) that multiply the same inputs, each with the gradient (T, O) of its output."""

GRADIENT_COST = 64
"""Multiply-adds in whose time a CPU writes, measures and adds one number of a gradient."""


class Factors:
    """What patients' gradients are multiplied by.

    Parameters
    ----------
    rows : PatientRows
    own : Tensor, (n,)
        A factor a patient.

    Attributes
    ----------
    own : Tensor, (n,)
    by_row : Tensor, (T,)
        Each row's patient's.
    dropped : bool
        Whether one is 0. Asked once, since a GPU has to be waited for.
    """

    def __init__(self, rows: PatientRows, own: Tensor) -> None:
        self.own, self.by_row, self.dropped = own, own[rows.owners], not bool(own.all())

    def times(self, values: Tensor, factors: Tensor) -> Tensor:
        """Rows (T, C) times ``factors`` (T,), zero where the factor is: infinity times 0 is not 0."""
        product = values * factors[:, None]
        return torch.where((factors != 0)[:, None], product, 0) if self.dropped else product


class Share(Protocol):
    """What some parameters add to the gradients of n patients."""

    @property
    def squares(self) -> Tensor:
        """Square of each patient's L2 norm: (n,)."""

    @property
    def terms(self) -> Tensor:
        """What the squares would be if a patient's rows were orthogonal: (n,).

        Rounding errors are of its size: where rows cancel, little is known of the square.
        """

    def add(self, factors: Factors) -> None:
        """Add the patients' gradients times ``factors`` to the parameters' ``grad``.

        A patient with factor 0 adds nothing, even where its gradient is not finite.
        """


def matrix_shares(rows: PatientRows, inputs: Tensor, outputs: Outputs) -> list[Share]:
    """Shares of matrices that multiply the same ``inputs`` (T, I), whichever way is cheaper."""
    # What autocast multiplies has the precision of the output's gradient.
    inputs = inputs.to(outputs[0][1].dtype)
    if products_are_cheaper(rows.longest, [weight for weight, _ in outputs]):
        wide = widened(inputs), [(weight, widened(g)) for weight, g in outputs]
        return [RowShare(*wide, *squares_of_rows(rows, *wide))]
    grouped = rows.grouped(inputs)
    return [
        GradientShare(
            weight,
            [widened(own.mT @ x) for own, x in zip(rows.grouped(gradient), grouped, strict=True)],
        )
        for weight, gradient in outputs
    ]


def products_are_cheaper(rows: int, weights: Sequence[Tensor]) -> bool:
    """Whether products of each two of a patient's ``rows`` cost less than gradients of ``weights`` (O, I)."""
    columns = weights[0].shape[1] + sum(len(weight) for weight in weights)
    return rows**2 * columns < gradient_cost(weights[0].device) * sum(weight.numel() for weight in weights)


def gradient_cost(device: torch.device) -> float:
    """``GRADIENT_COST`` of a device. A GPU's many patients have gradients that its memory would not hold."""
    return GRADIENT_COST if device.type == "cpu" else math.inf


def squares_of_rows(rows: PatientRows, inputs: Tensor, outputs: Outputs) -> tuple[Tensor, Tensor]:
    """``squares`` and ``terms`` of ``Share``, from inner products of each two of a patient's rows."""
    squares = []
    gradients = [gradient for _, gradient in outputs]
    for x, first, *others in zip(*map(rows.grouped, [inputs, *gradients]), strict=True):
        left, right = x @ x.mT, first @ first.mT
        for gradient in others:
            right.baddbmm_(gradient, gradient.mT)
        squares.append(torch.linalg.vecdot(left.flatten(1), right.flatten(1)))
    terms = sum(torch.linalg.vecdot(gradient, gradient) for gradient in gradients)
    return torch.cat(squares), rows.summed(torch.linalg.vecdot(inputs, inputs) * terms)


@dataclass(frozen=True, eq=False)
class RowShare:
    """Matrices whose gradients are never made, only their weighted sum."""

    inputs: Tensor
    outputs: Outputs
    squares: Tensor
    terms: Tensor

    def add(self, factors: Factors) -> None:
        """Add one product a matrix, over all patients' rows."""
        inputs = factors.times(self.inputs, factors.by_row)
        for weight, gradient in self.outputs:
            kept = torch.where((factors.by_row != 0)[:, None], gradient, 0) if factors.dropped else gradient
            gradient_of(weight).addmm_(kept.mT, inputs)


class GradientShare:
    """A parameter's gradients themselves.

    Parameters
    ----------
    weight : Tensor
    gradients : sequence of Tensor, (k, ...)
        Of the patients in order, k of them together.
    """

    def __init__(self, weight: Tensor, gradients: Sequence[Tensor]) -> None:
        self._weight, self._gradients = weight, gradients
        self.squares = torch.cat(list(map(squared_norms, gradients)))
        self.terms = self.squares

    def add(self, factors: Factors) -> None:
        """Add those that are not dropped."""
        total = gradient_of(self._weight).view(-1)
        parts = factors.own.split_with_sizes(list(map(len, self._gradients)))
        for gradients, own in zip(self._gradients, parts, strict=True):
            kept = without_dropped(gradients, own) if factors.dropped else gradients
            total.addmv_(kept.flatten(1).T, own)


class TableShare:
    """An embedding's gradients: a row for each token that a patient has, however often.

    Parameters
    ----------
    rows : PatientRows
    table : Tensor, (V, d)
    tokens : Tensor, (T,) int64
    gradient : Tensor, (T, d)
        Of what was looked up.
    """

    def __init__(self, rows: PatientRows, table: Tensor, tokens: Tensor, gradient: Tensor) -> None:
        pairs, places = torch.unique(rows.owners * len(table) + tokens, return_inverse=True)
        self._table, self._tokens, self._owners = table, pairs % len(table), pairs // len(table)
        gradient = widened(gradient)
        self._sums = gradient.new_zeros(len(pairs), gradient.shape[1]).index_add_(0, places, gradient)
        squares = torch.linalg.vecdot(self._sums, self._sums)
        self.squares = squares.new_zeros(len(rows)).index_add_(0, self._owners, squares)
        self.terms = self.squares

    def add(self, factors: Factors) -> None:
        """Add each patient's rows where their tokens have theirs."""
        sums = factors.times(self._sums, factors.own[self._owners])
        gradient_of(self._table).index_add_(0, self._tokens, sums)


def gradient_of(weight: Tensor) -> Tensor:
    """The tensor that is added to."""
    assert weight.grad is not None
    return weight.grad
