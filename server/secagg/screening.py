"""What a site's reply in each stage must be before it counts."""

import math
from dataclasses import dataclass

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from strategies.screening import Contract, Reason, ReplyError, check_origin
from wardlaw import protocol
from wardlaw.arrays import array_view
from wardlaw.secagg import words
from wardlaw.secagg.counts import COUNTS
from wardlaw.secagg.keys import PublicKeys
from wardlaw.secagg.vectors import vector_size

WORK = (protocol.TRAIN_TOKENS, protocol.TRAIN_FLOPS)


def screen_keys(content: RecordDict, site: str, contract: Contract) -> tuple[str, PublicKeys]:
    """A site and its two public keys.

    Raises
    ------
    ReplyError
        If the reply is not that.
    """
    pair = _record(content, site, contract, words.KEYS).get(site)
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(key, bytes) for key in pair)):
        raise ReplyError(Reason.MALFORMED, "not two public keys", where=site)
    return site, PublicKeys(*pair)


@dataclass(frozen=True)
class SharesMade:
    """A site's shares, encrypted to each receiver, and its commitment to its seed."""

    site: str
    ciphertexts: dict[str, bytes]
    commitment: bytes


def screen_ciphertexts(content: RecordDict, site: str, contract: Contract) -> SharesMade:
    """Shares that a site made.

    Raises
    ------
    ReplyError
        If the reply is not that.
    """
    ciphertexts = _bytes_by_site(content, site, contract, words.CIPHERTEXTS)
    commitment = _bytes_by_site(content, site, contract, words.COMMITMENT)
    if site not in commitment:
        raise ReplyError(Reason.MALFORMED, "no commitment to its seed", where=site)
    return SharesMade(site, ciphertexts, commitment[site])


def screen_shares(content: RecordDict, site: str, contract: Contract) -> tuple[str, dict[str, bytes]]:
    """A site and the shares that it gives out, by whose they are.

    Raises
    ------
    ReplyError
        If the reply is not that.
    """
    return site, _bytes_by_site(content, site, contract, words.SHARES)


@dataclass(frozen=True)
class MaskedReply:
    """A masked update, and what its training says of itself."""

    site: str
    levels: NDArray[np.uint32]
    tokens: int
    flops: float
    seconds: float


def screen_masked(content: RecordDict, site: str, contract: Contract) -> MaskedReply:
    """A site's masked update, of the size agreed on; more cannot be screened of it.

    Raises
    ------
    ReplyError
        If the reply is not that.
    """
    check_origin(content, site, contract)
    arrays = content.get(protocol.ARRAYS)
    if not isinstance(arrays, ArrayRecord) or arrays.keys() != {words.MASKED}:
        raise ReplyError(Reason.NAMES, f"not one array '{words.MASKED}'", where=site)
    try:
        levels = array_view(arrays[words.MASKED])
    except (ValueError, EOFError) as error:
        raise ReplyError(Reason.MALFORMED, f"the array is not what it claims: {error}", where=site) from None
    if levels.dtype != np.uint32:
        raise ReplyError(Reason.DTYPE, f"levels are {levels.dtype}, not uint32", where=site)
    if levels.shape != (vector_size(contract.shapes) + COUNTS,):
        raise ReplyError(Reason.SHAPE, f"levels of shape {levels.shape}", where=site)
    metrics = content.get(protocol.METRICS)
    if not isinstance(metrics, MetricRecord):
        raise ReplyError(Reason.MALFORMED, f"no '{protocol.METRICS}' record", where=site)
    tokens, flops = (_number(metrics, name, site) for name in WORK)
    # A private round tells no time.
    seconds = (
        _number(metrics, protocol.TRAIN_SECONDS, site) if protocol.TRAIN_SECONDS in metrics else math.nan
    )
    return MaskedReply(site, levels, int(tokens), flops, seconds)


def _number(metrics: MetricRecord, name: str, site: str) -> float:
    value = metrics.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ReplyError(Reason.METRIC, f"{name} is {value!r}, not a finite number of 0 or more", where=site)
    return float(value)


def _bytes_by_site(content: RecordDict, site: str, contract: Contract, record: str) -> dict[str, bytes]:
    found = _record(content, site, contract, record)
    if odd := [name for name, value in found.items() if not isinstance(value, bytes)]:
        raise ReplyError(Reason.MALFORMED, f"'{record}' of {', '.join(odd)} is not bytes", where=site)
    return {name: value for name, value in found.items() if isinstance(value, bytes)}


def _record(content: RecordDict, site: str, contract: Contract, record: str) -> ConfigRecord:
    check_origin(content, site, contract)
    found = content.get(record)
    if not isinstance(found, ConfigRecord):
        raise ReplyError(Reason.MALFORMED, f"no '{record}' record", where=site)
    return found
