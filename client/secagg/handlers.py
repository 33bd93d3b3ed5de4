"""What a site answers to the five messages of a session, as functions of content and site."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from flwr.app import ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from client.local_round import train_round
from client.secagg import stages
from client.secagg.identity import require_peers, rounding_secret, signing_key
from client.secagg.session import (
    close_session,
    load_session,
    locked_sessions,
    note_sum,
    open_session,
    save_session,
)
from client.secagg.update import levels, require_bounded, require_noise, weight_level
from client.site import Site
from client.site_state import run_state_folder
from wardlaw import protocol
from wardlaw.arrays import array_record, record_views
from wardlaw.errors import PolicyError
from wardlaw.secagg import words
from wardlaw.secagg.counts import Counts
from wardlaw.secagg.keys import commitment
from wardlaw.secagg.quantisation import Quantisation, noise_share_std
from wardlaw.secagg.roster import Member, read_member, receipt, session_name
from wardlaw.secagg.signing import sign
from wardlaw.secagg.vectors import difference

TOLD = (protocol.TRAIN_TOKENS, protocol.TRAIN_FLOPS, protocol.TRAIN_SECONDS)
"""Metrics that may leave beside the masked update: no weight, no loss, and of a private round no time."""

Handler = Callable[[RecordDict, Site], RecordDict]


def set_up_session(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.secagg_setup``: fresh public keys, in the place of any former session of the run.

    Raises
    ------
    PolicyError
        If the run has no secure aggregation, and so no settings of one.
    """
    if not site.config.secagg.enabled:
        raise PolicyError("the run has no secure aggregation", where="secagg.enabled = false")
    kept, member = stages.set_up(site.name, _session(content, site), signing_key(site.policy))
    with locked_sessions(_folder(site)):
        open_session(_folder(site), _round(content), kept)
    return RecordDict({words.ROSTER: ConfigRecord({site.name: member.parts()})})


def share_keys(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.secagg_share``: the site's shares, encrypted to each neighbour.

    Raises
    ------
    PolicyError
        If the roster is not as its sites signed it, or not of the site's peers.
    """
    folder, server_round, settings = _folder(site), _round(content), site.config.secagg
    roster = _roster(content)
    require_peers(roster, site.policy)
    with locked_sessions(folder):
        kept = load_session(folder, server_round, _session(content, site))
        kept, ciphertexts = stages.share(kept, roster, settings.neighbours, settings.threshold)
        save_session(folder, server_round, kept)
    return RecordDict(
        {
            words.CIPHERTEXTS: ConfigRecord({**ciphertexts}),
            words.COMMITMENT: ConfigRecord({site.name: commitment(kept.seed, kept.session)}),
        }
    )


def mask_update(content: RecordDict, site: Site, train: Handler = train_round) -> RecordDict:
    """Answer ``train.secagg``: the round's update under masks, and a signed receipt for it.

    Parameters
    ----------
    content : RecordDict
        As for ``train``, and the neighbours' ciphertexts.
    site : Site
    train : callable
        Answers ``train``.

    Raises
    ------
    PolicyError
        If the neighbours' shares do not hold.
    TrainingError
        If the update is not within the run's bounds.
    """
    folder, server_round = _folder(site), _round(content)
    with locked_sessions(folder):
        kept = load_session(folder, server_round, _session(content, site))
        kept = stages.hold(kept, _by_site(content, words.CIPHERTEXTS))
        # Before the update is there: nothing is ever masked twice with the same masks.
        save_session(folder, server_round, kept)
    trained = train(content, site)
    numbers = _levels(content, trained, site)
    metrics = trained.metric_records[protocol.METRICS]
    signature = sign(signing_key(site.policy), *receipt(kept.digest, site.name))
    return RecordDict(
        {
            protocol.ARRAYS: array_record({words.MASKED: stages.masked(kept, numbers)}),
            protocol.METRICS: MetricRecord({name: metrics[name] for name in TOLD if name in metrics}),
            words.RECEIPTS: ConfigRecord({site.name: signature}),
        }
    )


def agree_on_sum(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.secagg_agree``: the site's signature of the sites whose updates are summed.

    Raises
    ------
    PolicyError
        If the site does not agree (``client.secagg.stages.agree``), or so many are lost that the noise on
        the sum would be short.
    """
    folder, server_round = _folder(site), _round(content)
    receipts = _by_site(content, words.RECEIPTS)
    require_noise(len(receipts), site.config)
    with locked_sessions(folder):
        kept = load_session(folder, server_round, _session(content, site))
        kept, signature = stages.agree(kept, receipts, signing_key(site.policy))
        save_session(folder, server_round, kept)
    return RecordDict({words.AGREEMENTS: ConfigRecord({site.name: signature})})


def help_unmask(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.secagg_unmask``: one share of each neighbour, after which the session is closed.

    Raises
    ------
    PolicyError
        If too few sites agree to the sum, or the round was summed over other sites before.
    """
    folder, server_round = _folder(site), _round(content)
    with locked_sessions(folder):
        kept = load_session(folder, server_round, _session(content, site))
        shares = stages.shares_for_unmasking(kept, _by_site(content, words.AGREEMENTS))
        note_sum(folder, server_round, kept.agreed)
        close_session(folder, server_round)
    return RecordDict({words.SHARES: ConfigRecord({**shares})})


def _levels(content: RecordDict, trained: RecordDict, site: Site) -> NDArray[np.uint32]:
    settings = site.config.secagg
    update = difference(
        record_views(trained.array_records[protocol.ARRAYS]),
        record_views(content.array_records[protocol.ARRAYS]),
    )
    require_bounded(update, settings.norm_bound, settings.clip_range)
    quantisation = Quantisation(settings.clip_range, settings.bits)
    examples = int(trained.metric_records[protocol.METRICS][protocol.NUM_EXAMPLES])  # type: ignore[arg-type]
    counts = Counts(weight_level(examples, settings.examples_cap, quantisation), examples)
    sites = site.config.federation.replicas
    noise = noise_share_std(settings.noise_multiplier, settings.norm_bound, sites, settings.dropouts)
    secret = rounding_secret(site.policy)
    return levels(update, counts, quantisation, noise, secret, site.config.fingerprint)


def _roster(content: RecordDict) -> dict[str, Member]:
    try:
        return {name: read_member(parts) for name, parts in content.config_records[words.ROSTER].items()}
    except ValueError as error:
        raise PolicyError(str(error), where=words.ROSTER) from None


def _by_site(content: RecordDict, record: str) -> dict[str, bytes]:
    found = content.config_records[record]
    return {name: value for name, value in found.items() if isinstance(value, bytes)}


def _folder(site: Site) -> Path:
    return run_state_folder(site.policy, site.config) / "secagg"


def _session(content: RecordDict, site: Site) -> str:
    name = str(content.config_records[protocol.CONFIG][words.SESSION])
    return session_name(site.config.fingerprint, _round(content), name)


def _round(content: RecordDict) -> int:
    return int(content.config_records[protocol.CONFIG][protocol.SERVER_ROUND])  # type: ignore[arg-type]
