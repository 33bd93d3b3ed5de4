"""Loss on a split's patients: exact sums, from which any mean or interval follows."""

import numpy as np
from numpy.typing import NDArray

from client.ehr.batches import collate
from client.ehr.packing import cut_windows, plan_pool
from client.ehr.shard import TokenSplit
from client.evaluation.loss_sums import LossSums
from models.ehr.decoder import Decoder
from wardlaw.vocabulary import Scheme


def evaluate_loss(
    model: Decoder, split: TokenSplit, scheme: Scheme, context: int, batch_tokens: int
) -> LossSums:
    """Loss of every target of a split, each counted once.

    Windows are cut as in training (``client.ehr.packing.cut_windows``): a target sees the tokens of its
    window before it, so at most ``context``, and the first target of a later window sees one.

    Parameters
    ----------
    model : Decoder
        On any device; evaluated in the precision of the surrounding autocast, if any.
    split : TokenSplit
        Patients to score.
    scheme : {"ethos", "fused"}
        Tokeniser's scheme.
    context : int
        Longest window.
    batch_tokens : int
        Tokens of one forward pass, at least ``context``; only speed and memory depend on it, and a
        compiled model wants the budget that it was trained with.

    Returns
    -------
    LossSums
        In float64.
    """
    nats = patient_nats(model, split, scheme, context, batch_tokens)
    return LossSums(
        nats=float(nats.sum()),
        tokens=int(np.maximum(split.lengths.astype(np.int64) - 1, 0).sum()),
        events=int(split.events.sum()),
        patients=len(split.lengths),
    )


def patient_nats(
    model: Decoder, split: TokenSplit, scheme: Scheme, context: int, batch_tokens: int
) -> NDArray[np.float64]:
    """Summed nats of each patient, (patients,) in the split's order: what a bootstrap resamples.

    Parameters are those of ``evaluate_loss``.
    """
    sums = np.zeros(len(split.lengths), np.float64)
    windows = cut_windows([split], context)
    if not len(windows.length):
        return sums
    pool = plan_pool(windows.length, batch_tokens, epochs=1)
    decreasing = np.argsort(-windows.length, kind="stable")
    device = next(model.parameters()).device
    for start, stop in zip(pool.starts[:-1], pool.starts[1:], strict=True):
        members = decreasing[pool.slots[start:stop]]
        batch = collate([split], windows, members, batch_tokens, scheme)
        nats = model.nats(batch.to(device)).double().cpu().numpy()
        owners = np.repeat(windows.patient[members], windows.length[members])
        np.add.at(sums, owners, nats[: len(owners)])
    return sums
