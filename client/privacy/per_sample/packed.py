"""Clipped gradients of a decoder's patients, packed end to end."""

from collections.abc import Sequence

import torch

from client.privacy.clipping import Clipping
from client.privacy.engine import PatientGradients
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample.decoder_pass import has_rules, losses_and_shares
from client.privacy.per_sample.passes import pass_tokens, passes
from client.privacy.per_sample.patient_rows import PatientRows
from client.privacy.per_sample.shares import Factors
from models.ehr.decoder import Decoder
from models.ehr.packed import PackedBatch
from models.model import Batch, Model

CANCELLED = 1 / 32
"""Least square of a norm, relative to its terms, that float32 tells to 1e-5."""


def packed(
    model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
) -> PatientGradients:
    """Add the sum of the patients' clipped gradients; parameters and result are those of ``Engine``.

    Patients of about one length share a forward and a backward pass of at most ``pass_tokens`` tokens.
    Taken by ``patient_loop`` are patients who would have a pass to themselves, those whose norm is not finite
    or is what is left of rows that cancel, and all patients of a model with a layer that has no rule.
    """
    windows = [patient for patient in patients if isinstance(patient, PackedBatch)]
    if not has_rules(model) or len(windows) < len(patients):
        return patient_loop(model, patients, clipping, precision)
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
    losses, norms = torch.full((2, len(patients)), torch.nan, device=weight.device, dtype=weight.dtype)
    sizes = [len(patient.tokens) for patient in windows]
    together = pass_tokens(model, max(sizes, default=0), weight.device)
    for places in passes(sizes, together):
        if len(places) > 1:
            known = _add_clipped(model, [windows[place] for place in places], clipping, precision)
            losses[places], norms[places] = known.losses, known.norms
    left = norms.isnan().nonzero().flatten().tolist()
    known = patient_loop(model, [windows[place] for place in left], clipping, precision)
    losses[left], norms[left] = known.losses, known.norms
    return PatientGradients(losses, norms)


def _add_clipped(
    model: Decoder, patients: Sequence[PackedBatch], clipping: Clipping, precision: torch.dtype
) -> PatientGradients:
    """Add patients' clipped gradients in one pass; an uncertain norm is no number, and adds nothing."""
    batch = joined(patients).to(model.lm_head.weight.device)
    rows = PatientRows([len(patient.tokens) for patient in patients], batch.tokens.device)
    losses, shares = losses_and_shares(model, batch, rows, precision)
    squares = torch.stack([share.squares for share in shares]).sum(0)
    terms = torch.stack([share.terms for share in shares]).sum(0)
    certain = torch.isfinite(squares) & (squares >= CANCELLED * terms)
    norms = torch.where(certain, squares, torch.nan).sqrt()
    factors = Factors(rows, clipping.factors(norms))
    for share in shares:
        share.add(factors)
    return PatientGradients(losses, norms)


def joined(patients: Sequence[PackedBatch]) -> PackedBatch:
    """All patients' windows, one patient after the other."""
    return PackedBatch(
        tokens=torch.cat([patient.tokens for patient in patients]),
        targets=torch.cat([patient.targets for patient in patients]),
        positions=torch.cat([patient.positions for patient in patients]),
        segments=tuple(length for patient in patients for length in patient.segments),
    )
