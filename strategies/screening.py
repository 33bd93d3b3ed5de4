"""What a reply must be before its numbers count.

Stock strategies trust every reply: one NaN makes the global model NaN, one odd
metric ends the run (see ``docs/architecture.md``, Strategy). Here each reply is
judged alone, so that a bad one costs its own site's contribution and nothing else.
"""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from strategies.accumulator import all_finite
from strategies.parallel import map_arrays
from wardlaw import protocol
from wardlaw.arrays import array_view
from wardlaw.errors import AdmissionError

logger = logging.getLogger(__name__)

LARGEST_COUNT = 1 << 38
"""Most tokens that a site can claim (2.7e11), above any hospital and below a slip of the unit."""

TRAIN_METRICS = (
    protocol.NUM_EXAMPLES,
    protocol.TRAIN_LOSS,
    protocol.TRAIN_TOKENS,
    protocol.TRAIN_FLOPS,
    protocol.TRAIN_SECONDS,
)
WITHHELD = frozenset({protocol.TRAIN_LOSS, protocol.TRAIN_SECONDS})
"""What a site that trains privately does not tell."""
EVALUATE_METRICS = (protocol.NATS, protocol.TOKENS, protocol.EVENTS, protocol.PATIENTS)


class Reason(StrEnum):
    """Why a reply does not count."""

    MISSING = "missing"
    FAILED = "failed"
    REFUSED = "refused"
    DUPLICATE = "duplicate"
    MALFORMED = "malformed"
    OTHER_SITE = "other-site"
    OTHER_RUN = "other-run"
    OTHER_ROUND = "other-round"
    COUNT = "count"
    METRIC = "metric"
    NAMES = "names"
    SHAPE = "shape"
    DTYPE = "dtype"
    NON_FINITE = "non-finite"


class ReplyError(AdmissionError):
    """A reply that does not count.

    Parameters
    ----------
    reason : Reason
    what, where : str
        As for every error of ours; ``where`` is the site.
    """

    def __init__(self, reason: Reason, what: str, *, where: str) -> None:
        super().__init__(what, where=where)
        self.reason = reason


@dataclass(frozen=True)
class Contract:
    """What every reply of a round must match.

    Attributes
    ----------
    fingerprint : str
        Of the run's configuration.
    server_round : int
    shapes : mapping of str to tuple of int
        Name and shape of each array of the model; all are float32.
    """

    fingerprint: str
    server_round: int
    shapes: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class TrainReply:
    """A site's model and what its training says of itself.

    Attributes
    ----------
    site : str
    arrays : dict of str to array, float32
        Views of the reply's bytes.
    examples : int
        Training tokens of the site's shard: its weight.
    loss : float
        Mean training loss of the round, nats per token; NaN where the site does not tell it.
    tokens : int
        Tokens trained on in the round.
    flops : float
        FLOPs of that training.
    seconds : float
        Time spent training.
    """

    site: str
    arrays: dict[str, NDArray[np.float32]]
    examples: int
    loss: float
    tokens: int
    flops: float
    seconds: float


@dataclass(frozen=True)
class SiteScore:
    """A site's sums over one split: ``nats`` over ``tokens`` tokens of ``events`` events of ``patients``."""

    site: str
    nats: float
    tokens: int
    events: int
    patients: int


def screen_train_reply(content: RecordDict, site: str, contract: Contract) -> TrainReply:
    """Judge a site's reply to a train message.

    Parameters
    ----------
    content : RecordDict
        The reply.
    site : str
        Site that the message went to.
    contract : Contract
        The round's.

    Raises
    ------
    ReplyError
        At the first fault; cheap checks come before those that read the arrays.
    """
    check_origin(content, site, contract)
    metrics = _metrics(content, site, TRAIN_METRICS)
    examples = _count(metrics, protocol.NUM_EXAMPLES, site, smallest=1)
    tokens = _count(metrics, protocol.TRAIN_TOKENS, site, smallest=1)
    loss = _told(metrics, protocol.TRAIN_LOSS, site)
    flops = _number(metrics, protocol.TRAIN_FLOPS, site)
    seconds = _told(metrics, protocol.TRAIN_SECONDS, site)
    return TrainReply(site, screen_arrays(content, site, contract), examples, loss, tokens, flops, seconds)


def screen_evaluate_reply(content: RecordDict, site: str, contract: Contract) -> SiteScore:
    """Judge a site's reply to an evaluate message; a site without patients in the split has zeros.

    Raises
    ------
    ReplyError
        At the first fault.
    """
    check_origin(content, site, contract)
    metrics = _metrics(content, site, EVALUATE_METRICS)
    tokens, events, patients = (_count(metrics, name, site, smallest=0) for name in EVALUATE_METRICS[1:])
    return SiteScore(site, _number(metrics, protocol.NATS, site), tokens, events, patients)


def check_origin(content: RecordDict, site: str, contract: Contract) -> None:
    """Check that a reply is of this site, this run and this round."""
    origin = content.get(protocol.ORIGIN)
    if not isinstance(origin, ConfigRecord):
        raise ReplyError(Reason.MALFORMED, f"no '{protocol.ORIGIN}' record", where=site)
    expected = (
        (Reason.OTHER_SITE, protocol.SITE, site),
        (Reason.OTHER_RUN, protocol.FINGERPRINT, contract.fingerprint),
        (Reason.OTHER_ROUND, protocol.SERVER_ROUND, contract.server_round),
    )
    for reason, key, value in expected:
        if origin.get(key) != value:
            raise ReplyError(reason, f"{key} is {origin.get(key)!r}, not {value!r}", where=site)


def screen_arrays(content: RecordDict, site: str, contract: Contract) -> dict[str, NDArray[np.float32]]:
    """Views of a reply's arrays, of exactly the contract's names, shapes and type, all finite."""
    record = content.get(protocol.ARRAYS)
    if not isinstance(record, ArrayRecord):
        raise ReplyError(Reason.MALFORMED, f"no '{protocol.ARRAYS}' record", where=site)
    if record.keys() != contract.shapes.keys():
        missing = sorted(contract.shapes.keys() - record.keys())
        extra = sorted(record.keys() - contract.shapes.keys())
        raise ReplyError(Reason.NAMES, f"arrays missing: {missing}, not asked for: {extra}", where=site)
    for name, shape in contract.shapes.items():
        if tuple(record[name].shape) != tuple(shape):
            what = f"'{name}' has shape {tuple(record[name].shape)}, not {tuple(shape)}"
            raise ReplyError(Reason.SHAPE, what, where=site)
        if record[name].dtype != "float32":
            raise ReplyError(Reason.DTYPE, f"'{name}' is {record[name].dtype}, not float32", where=site)
    try:
        arrays = {name: array_view(record[name]) for name in contract.shapes}
    except (ValueError, EOFError) as error:
        raise ReplyError(Reason.MALFORMED, f"an array is not what it claims: {error}", where=site) from None
    size = sum(array.size for array in arrays.values())
    finite = map_arrays(lambda name: all_finite(arrays[name]), arrays, size)
    if not all(finite):
        bad = [name for name, whole in zip(arrays, finite, strict=True) if not whole]
        raise ReplyError(Reason.NON_FINITE, f"not finite: {', '.join(bad)}", where=site)
    return arrays


def _metrics(content: RecordDict, site: str, names: tuple[str, ...]) -> MetricRecord:
    metrics = content.get(protocol.METRICS)
    if not isinstance(metrics, MetricRecord):
        raise ReplyError(Reason.MALFORMED, f"no '{protocol.METRICS}' record", where=site)
    if missing := [name for name in names if name not in metrics and name not in WITHHELD]:
        raise ReplyError(Reason.METRIC, f"metrics missing: {missing}", where=site)
    if unknown := sorted(metrics.keys() - set(names)):
        logger.warning("%s: metrics not asked for are dropped: %s", site, ", ".join(unknown))
    return metrics


def _count(metrics: MetricRecord, name: str, site: str, *, smallest: int) -> int:
    value = metrics[name]
    # bool is an int to Python and not a count to us.
    if type(value) is not int or not smallest <= value <= LARGEST_COUNT:
        what = f"{name} is {value!r}, not a whole number from {smallest} to {LARGEST_COUNT}"
        raise ReplyError(Reason.COUNT, what, where=site)
    return value


def _told(metrics: MetricRecord, name: str, site: str) -> float:
    """A number, or NaN where it is withheld."""
    return _number(metrics, name, site) if name in metrics else math.nan


def _number(metrics: MetricRecord, name: str, site: str) -> float:
    value = metrics[name]
    if isinstance(value, list) or not math.isfinite(value) or value < 0:
        raise ReplyError(Reason.METRIC, f"{name} is {value!r}, not a finite number of 0 or more", where=site)
    return float(value)
