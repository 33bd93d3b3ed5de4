"""What a site answers to the four messages of a session, as functions of content and site."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from flwr.app import ConfigRecord, MetricRecord, RecordDict
from numpy.typing import NDArray

from client.local_round import train_round
from client.privacy.secret import Secret, load_secret, new_secret, save_secret
from client.secagg.session import close_session, load_session, note_sum, save_session
from client.secagg.stages import hold, masked, set_up, share, shares_for_unmasking
from client.secagg.update import levels, require_bounded, weight_level
from client.site import Site
from client.site_state import run_state_folder
from wardlaw import protocol
from wardlaw.arrays import array_record, record_views
from wardlaw.config import SitePolicy
from wardlaw.errors import PolicyError
from wardlaw.secagg import words
from wardlaw.secagg.counts import Counts
from wardlaw.secagg.keys import PublicKeys, commitment
from wardlaw.secagg.quantisation import Quantisation, noise_share_std
from wardlaw.secagg.vectors import difference

SECRET_FILE = "secagg.key"
TOLD = (protocol.TRAIN_TOKENS, protocol.TRAIN_FLOPS, protocol.TRAIN_SECONDS)
"""Metrics that may leave beside the masked update: no weight, no loss, and of a private round no time."""

Handler = Callable[[RecordDict, Site], RecordDict]


def set_up_session(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.secagg_setup``: fresh public keys, in the place of any former session of the round.

    Raises
    ------
    PolicyError
        If the run has no secure aggregation, and so no settings of one.
    """
    if not site.config.secagg.enabled:
        raise PolicyError("the run has no secure aggregation", where="secagg.enabled = false")
    kept, public = set_up(site.name, _session(content))
    save_session(_folder(site), _round(content), kept)
    return RecordDict({words.KEYS: ConfigRecord({site.name: [public.cipher, public.mask]})})


def share_keys(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.secagg_share``: the site's shares, encrypted to each neighbour."""
    folder, server_round = _folder(site), _round(content)
    kept = load_session(folder, server_round, _session(content))
    kept, ciphertexts = share(kept, public_keys(content), site.config.secagg.threshold)
    save_session(folder, server_round, kept)
    return RecordDict(
        {
            words.CIPHERTEXTS: ConfigRecord({**ciphertexts}),
            words.COMMITMENT: ConfigRecord({site.name: commitment(kept.seed, kept.session)}),
        }
    )


def mask_update(content: RecordDict, site: Site, train: Handler = train_round) -> RecordDict:
    """Answer ``train.secagg``: the round's update under masks.

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
    kept = hold(load_session(folder, server_round, _session(content)), _by_site(content, words.CIPHERTEXTS))
    # Before the update is there: nothing is ever masked twice with the same masks.
    save_session(folder, server_round, kept)
    trained = train(content, site)
    numbers = _levels(content, trained, site)
    metrics = trained.metric_records[protocol.METRICS]
    return RecordDict(
        {
            protocol.ARRAYS: array_record({words.MASKED: masked(kept, numbers)}),
            protocol.METRICS: MetricRecord({name: metrics[name] for name in TOLD if name in metrics}),
        }
    )


def help_unmask(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.secagg_unmask``: one share of each neighbour, after which the session is closed."""
    folder, server_round = _folder(site), _round(content)
    kept = load_session(folder, server_round, _session(content))
    survivors = content.config_records[protocol.CONFIG][words.SURVIVORS]
    assert isinstance(survivors, list)
    names = sorted(str(name) for name in survivors)
    shares = shares_for_unmasking(kept, names)
    note_sum(folder, server_round, names)
    close_session(folder, server_round)
    return RecordDict({words.SHARES: ConfigRecord({**shares})})


def public_keys(content: RecordDict) -> dict[str, PublicKeys]:
    """Public keys of a message, by site.

    Raises
    ------
    PolicyError
        If they are not two of each site.
    """
    keys = {}
    for name, pair in content.config_records[words.KEYS].items():
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(key, bytes) for key in pair)):
            raise PolicyError("not two public keys", where=name)
        keys[name] = PublicKeys(*pair)
    return keys


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
    return levels(update, counts, quantisation, noise, _secret(site.policy), site.config.fingerprint)


def _secret(policy: SitePolicy) -> Secret:
    path = policy.state / SECRET_FILE
    if not path.exists():
        save_secret(path, new_secret())
    return load_secret(path)


def _by_site(content: RecordDict, record: str) -> dict[str, bytes]:
    found = content.config_records[record]
    return {name: value for name, value in found.items() if isinstance(value, bytes)}


def _folder(site: Site) -> Path:
    return run_state_folder(site.policy, site.config) / "secagg"


def _session(content: RecordDict) -> str:
    return str(content.config_records[protocol.CONFIG][words.SESSION])


def _round(content: RecordDict) -> int:
    return int(content.config_records[protocol.CONFIG][protocol.SERVER_ROUND])  # type: ignore[arg-type]
