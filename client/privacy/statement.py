"""What a site's ledger says of one run, or of all, as a statement of privacy."""

from collections.abc import Sequence

from client.privacy.chain import CHAIN_FILE
from client.privacy.entry import Entry
from client.privacy.ledger import Ledger
from client.privacy.spending import RELEASED, RESERVED, epsilon_of, events_of
from wardlaw.errors import LedgerError
from wardlaw.privacy.events import ACCOUNTANT, merge
from wardlaw.privacy.run_statement import DP_SGD, POISSON
from wardlaw.privacy.statement import PrivacyStatement, Release, SiteShare, site_share, summed_releases

MODEL = "model after a round"

NOT_COVERED = (
    "What is said above not to be covered, and whatever the ledger was never told of: training without "
    "privacy, a vocabulary's counts.",
    "Whether the coordinator saw the site's updates one by one: the ledger does not note how they were sent.",
    "How many train patients the site has is taken as public by the epsilon; the ledger does not note it.",
    "A person in two hospitals is two patients, and has less protection than one.",
    "Who has the site's secret can take the noise away, and write another history.",
    "The time until a reply comes, and the rounding of floating point.",
)


def ledger_statement(ledger: Ledger, run: str = "") -> PrivacyStatement:
    """Statement of a run, or of all runs, from the ledger alone.

    Parameters
    ----------
    ledger : Ledger
    run : str
        Fingerprint of a run, or its first letters; empty for all that the site's patients ever paid.

    Raises
    ------
    LedgerError
        If the ledger has no round of such a run, or rounds of several.
    """
    entries = ledger.entries()
    fingerprint = _fingerprint(entries, run, ledger) if run else ""
    share = run_share(ledger, fingerprint, ledger.limit.delta)
    return PrivacyStatement(
        run=fingerprint,
        basis="ledgers",
        mechanism=DP_SGD,
        sampling=POISSON,
        accountant=ACCOUNTANT,
        epsilon=share.epsilon,
        delta=ledger.limit.delta,
        noise_multiplier=share.noise_multiplier,
        sites=(share,),
        releases=ledger_releases(entries, fingerprint),
        not_covered=NOT_COVERED,
    )


def run_share(ledger: Ledger, run: str, delta: float, patients: int | None = None) -> SiteShare:
    """What a run, or with an empty fingerprint all runs and releases, cost the site's patients.

    Parameters
    ----------
    ledger : Ledger
    run : str
    delta : float
        Of both epsilons.
    patients : int, optional
        n, where it may be said.
    """
    entries = ledger.entries()
    events = merge(events_of(_of_run(entries, run)))
    return site_share(
        ledger.site,
        events,
        epsilon=epsilon_of(events, delta),
        ledger_epsilon=epsilon_of(merge(events_of(entries)), delta),
        patients=patients,
    )


def ledger_releases(entries: Sequence[Entry], run: str) -> tuple[Release, ...]:
    """What left a site in a run, or ever: models that were paid for, and what else is listed."""
    return summed_releases(_release(entry) for entry in _of_run(entries, run))


def _release(entry: Entry) -> Release:
    if entry.kind == RESERVED:
        return Release(name=MODEL, times=1, covered=True)
    return Release(name=entry.content["name"], times=1, covered=entry.content["event"] is not None)


def _of_run(entries: Sequence[Entry], run: str) -> list[Entry]:
    """Reservations of a run, and releases whose request begins with its fingerprint."""
    return [
        entry
        for entry in entries
        if (entry.kind == RESERVED and entry.content["run"].startswith(run))
        or (entry.kind == RELEASED and entry.content["digest"].startswith(run))
    ]


def _fingerprint(entries: Sequence[Entry], run: str, ledger: Ledger) -> str:
    found = {str(entry.content["run"]) for entry in entries if entry.kind == RESERVED}
    named = sorted(fingerprint for fingerprint in found if fingerprint.startswith(run))
    if len(named) != 1:
        raise LedgerError(
            f"{len(named) or 'no'} private runs have a fingerprint that begins with '{run}'",
            where=str(ledger.state / CHAIN_FILE),
            remedy="`wardlaw client budget show` lists them",
        )
    return named[0]
