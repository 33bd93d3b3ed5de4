"""The statement of privacy in a simulated run's record."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from client.modalities import Shard
from client.privacy.draw import sampling_rate_of
from client.privacy.implementation import implementation_of
from client.privacy.limits import ledger_of
from client.privacy.spending import epsilon_of
from client.privacy.statement import ledger_releases, run_share
from client.site import open_site_shard
from simulations.federation_folder import participating_policies
from wardlaw.config import RunConfig, SitePolicy
from wardlaw.privacy.events import PoissonGaussian, merge
from wardlaw.privacy.run_statement import run_statement
from wardlaw.privacy.statement import (
    PrivacyStatement,
    Release,
    SiteShare,
    site_share,
    summed_releases,
)
from wardlaw.privacy.statement_files import STATEMENT_FILE, load_statement, save_statement
from wardlaw.records import read_rows
from wardlaw.vocabulary import Vocabulary

Shards = Mapping[str, Shard]


def state_privacy(config: RunConfig, folder: Path) -> None:
    """Write a run's statement into its record, in the place of one by a server that sees no ledger."""
    if not (folder / STATEMENT_FILE).exists() or load_statement(folder).basis == "elsewhere":
        save_statement(folder, simulated_statement(config, folder))


def simulated_statement(config: RunConfig, folder: Path) -> PrivacyStatement:
    """Statement of a run of this machine: a federation's from its ledgers, any other from its settings.

    Parameters
    ----------
    config : RunConfig
        Its ``data.federation`` is still there.
    folder : Path
        The run's record, with the rows of its rounds.

    Raises
    ------
    LedgerError
        If a site's ledger is missing or damaged.
    """
    policies = participating_policies(config)
    shards = {policy.site: _shard(policy, config, folder) for policy in policies}
    synthetic = any(shard.manifest.synthetic for shard in shards.values())
    rounds = read_rows(folder, "rounds")
    if not config.privacy.private:
        return run_statement(config, synthetic=synthetic, rounds=rounds)
    federated = config.run.topology == "federated"
    shares = _paid(config, policies, shards) if federated else _priced(config, shards)
    releases = _listed(config, policies) if federated else _unlisted(config, len(shares), len(shards))
    return run_statement(
        config,
        synthetic=synthetic,
        basis="ledgers" if federated else "settings",
        sites=shares,
        releases=releases,
        stands_for_epsilon=full_epsilon(config, shares),
        rounds=rounds,
        implementation=implementation_of(config),
    )


def full_epsilon(config: RunConfig, shares: Sequence[SiteShare]) -> float | None:
    """Epsilon of the run that a stand-in stands for, at the same sites; None if it has none."""
    k, delta = config.privacy.stands_for, config.privacy.delta
    if k == 1:
        return None
    prices = [_full_price(share, k, delta) for share in shares]
    known = [price for price in prices if price is not None]
    return max(known, default=None) if len(known) == len(prices) else None


def _full_price(share: SiteShare, k: int, delta: float) -> float | None:
    steps = [event for event in share.events if isinstance(event, PoissonGaussian)]
    if not steps:
        return share.epsilon
    # A rate that is 1 but for its rounding is 1.
    rates = [round(k * event.sampling_rate, 12) for event in steps]
    if max(rates) > 1:
        return None
    full = (
        PoissonGaussian(rate, k * event.noise_multiplier, event.steps)
        for rate, event in zip(rates, steps, strict=True)
    )
    return epsilon_of(merge(full), delta)


def _paid(config: RunConfig, policies: Sequence[SitePolicy], shards: Shards) -> list[SiteShare]:
    """What the ledgers say of the sites that trained."""
    shares = [
        run_share(
            ledger_of(policy),
            config.fingerprint,
            config.privacy.delta,
            shards[policy.site].manifest.patients("train"),
        )
        for policy in policies
    ]
    return [share for share in shares if share.events]


def _priced(config: RunConfig, shards: Shards) -> list[SiteShare]:
    """What training without ledgers would cost its patients: those of all sites together, or site by site."""
    patients = {site: shard.manifest.patients("train") for site, shard in shards.items()}
    if config.run.topology == "centralised":
        patients = {"union": sum(patients.values())}
    return [_price(config, name, number) for name, number in patients.items()]


def _price(config: RunConfig, name: str, patients: int) -> SiteShare:
    privacy = config.privacy
    rate = sampling_rate_of(privacy.patients, patients, name)
    noise = privacy.noise_multiplier
    events = (PoissonGaussian(rate, noise, config.steps),) if noise else ()
    price = epsilon_of(events, privacy.delta) if noise else math.inf
    return site_share(name, events, epsilon=price, patients=patients)


def _listed(config: RunConfig, policies: Iterable[SitePolicy]) -> tuple[Release, ...]:
    """What the ledgers list of the run."""
    return summed_releases(
        release
        for policy in policies
        for release in ledger_releases(ledger_of(policy).entries(), config.fingerprint)
    )


def _unlisted(config: RunConfig, replicas: int, sites: int) -> tuple[Release, ...]:
    """What a run without ledgers would have released: its last models, and their scores everywhere."""
    scores = f"loss and counts of {config.evaluation.split}"
    return (
        Release(name="final model", times=replicas, covered=True),
        Release(name=scores, times=replicas * sites, covered=False),
    )


def _shard(policy: SitePolicy, config: RunConfig, folder: Path) -> Shard:
    fitted = folder / "vocabulary.json"
    tokenizer = Vocabulary.load(fitted).fingerprint if fitted.exists() else config.data.tokenizer
    return open_site_shard(policy, tokenizer, verify=False)
