"""What a site's reply in each stage must be before it counts."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from server.secagg.session import Announced
from strategies.screening import Contract, Reason, ReplyError, check_origin
from wardlaw import protocol
from wardlaw.arrays import array_view
from wardlaw.secagg import words
from wardlaw.secagg.counts import COUNTS
from wardlaw.secagg.graph import Neighbours
from wardlaw.secagg.roster import Member, agreement, is_genuine, read_member, receipt
from wardlaw.secagg.signing import is_signed
from wardlaw.secagg.vectors import vector_size

WORK = (protocol.TRAIN_TOKENS, protocol.TRAIN_FLOPS)


def screen_member(content: RecordDict, site: str, contract: Contract, session: str) -> tuple[str, Member]:
    """A site and what it tells of itself.

    Raises
    ------
    ReplyError
        If the reply is not that, or not signed: no other site would go on with it.
    """
    try:
        member = read_member(_record(content, site, contract, words.ROSTER).get(site))
    except ValueError as error:
        raise ReplyError(Reason.MALFORMED, str(error), where=site) from None
    if not is_genuine(member, session, site):
        raise ReplyError(Reason.MALFORMED, "its keys are not keys that it signed", where=site)
    return site, member


@dataclass(frozen=True)
class SharesMade:
    """A site's shares, encrypted to each receiver, and its commitment to its seed."""

    site: str
    ciphertexts: dict[str, bytes]
    commitment: bytes


def screen_ciphertexts(content: RecordDict, site: str, contract: Contract, graph: Neighbours) -> SharesMade:
    """Shares that a site made, one for each of its neighbours.

    Raises
    ------
    ReplyError
        If the reply is not that.
    """
    ciphertexts = _bytes_by_site(content, site, contract, words.CIPHERTEXTS)
    if ciphertexts.keys() != set(graph[site]):
        raise ReplyError(Reason.MALFORMED, "not one share for each neighbour", where=site)
    return SharesMade(site, ciphertexts, _own_bytes(content, site, contract, words.COMMITMENT))


def screen_agreement(
    content: RecordDict, site: str, contract: Contract, announced: Announced, survivors: Iterable[str]
) -> tuple[str, bytes]:
    """A site and its signature of the sites whose updates are summed.

    Raises
    ------
    ReplyError
        If the reply is not that.
    """
    signature = _own_bytes(content, site, contract, words.AGREEMENTS)
    statement = agreement(announced.digest, survivors)
    if not is_signed(announced.roster[site].identity, signature, *statement):
        raise ReplyError(Reason.MALFORMED, "it has not signed the sum's sites", where=site)
    return site, signature


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
    receipt: bytes


def screen_masked(content: RecordDict, site: str, contract: Contract, announced: Announced) -> MaskedReply:
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
    signature = _own_bytes(content, site, contract, words.RECEIPTS)
    if not is_signed(announced.roster[site].identity, signature, *receipt(announced.digest, site)):
        raise ReplyError(Reason.MALFORMED, "its receipt is not signed", where=site)
    return MaskedReply(site, levels, int(tokens), flops, seconds, signature)


def _number(metrics: MetricRecord, name: str, site: str) -> float:
    value = metrics.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ReplyError(Reason.METRIC, f"{name} is {value!r}, not a finite number of 0 or more", where=site)
    return float(value)


def _own_bytes(content: RecordDict, site: str, contract: Contract, record: str) -> bytes:
    found = _bytes_by_site(content, site, contract, record)
    if site not in found:
        raise ReplyError(Reason.MALFORMED, f"'{record}' without its own", where=site)
    return found[site]


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
