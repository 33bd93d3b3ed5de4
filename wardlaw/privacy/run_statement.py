"""The statement of a run, from its settings and from what is known of its sites."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wardlaw.config import RunConfig
from wardlaw.privacy.audits import Implementation
from wardlaw.privacy.coordinator import coordinator_of
from wardlaw.privacy.events import ACCOUNTANT
from wardlaw.privacy.statement import (
    Basis,
    PrivacyStatement,
    Release,
    ServerShare,
    SiteShare,
    largest_epsilon,
)

DP_SGD = "DP-SGD at the site: each patient's gradient clipped, Gaussian noise on the sum"
POISSON = "Poisson: each train patient by a coin of its own at each step"
SHUFFLED = "none that hides anybody: the train patients' windows or records, shuffled"


def run_statement(
    config: RunConfig,
    *,
    synthetic: bool,
    basis: Basis = "elsewhere",
    sites: Sequence[SiteShare] = (),
    releases: Sequence[Release] = (),
    stands_for_epsilon: float | None = None,
    rounds: Sequence[Mapping[str, Any]] = (),
    implementation: Implementation | None = None,
) -> PrivacyStatement:
    """Statement of a run, private or not.

    Parameters
    ----------
    config : RunConfig
    synthetic : bool
    basis : {"ledgers", "settings", "elsewhere"}
        Of a private run; a coordinator of real sites knows no ledger, and says ``elsewhere``.
    sites, releases : sequence
        Of a private run, where known.
    stands_for_epsilon : float, optional
    rounds : sequence of mapping
        Rows of ``wardlaw.records.ROUND_SCHEMA``, in order, of a federated run.
    implementation : Implementation, optional
        Of a private run, where known.
    """
    privacy = config.privacy
    server, coordinator = server_share(config, rounds), coordinator_of(config, rounds)
    if not privacy.private:
        return PrivacyStatement(
            run=config.fingerprint,
            name=config.run.name,
            synthetic=synthetic,
            basis="nothing",
            mechanism="none",
            sampling=SHUFFLED,
            not_covered=("Everything that was released: models, losses, counts of tokens and patients.",),
            server=server,
            coordinator=coordinator,
        )
    return PrivacyStatement(
        run=config.fingerprint,
        name=config.run.name,
        synthetic=synthetic,
        basis=basis,
        mechanism=DP_SGD,
        sampling=f"{POISSON}, {privacy.patients} of a site's patients on average",
        accountant=ACCOUNTANT,
        epsilon=largest_epsilon(sites),
        delta=privacy.delta,
        noise_multiplier=privacy.noise_multiplier,
        noise_batch_ratio=privacy.noise_batch_ratio,
        clip_norm=privacy.clip_norm,
        clipping=privacy.clipping,
        sites=tuple(sites),
        releases=tuple(releases),
        not_covered=not_covered(config, basis),
        stands_for=privacy.stands_for,
        stands_for_epsilon=stands_for_epsilon,
        server=server,
        coordinator=coordinator,
        implementation=implementation,
    )


def not_covered(config: RunConfig, basis: Basis) -> tuple[str, ...]:
    """What no epsilon of a private run says anything of."""
    learnt = {
        "ehr": "The vocabulary: where it was fitted on the sites' patients, it counts them without noise.",
        "ecg": "Center and scale of each lead, taken from a site's train records, shape what leaves it.",
    }
    simulated = {
        "settings": (
            "Draws and noise follow from the run's settings: whoever knows them can take the noise away. "
            "Epsilon is what the same training would cost under a secret of the sites.",
            "The record has the losses of private steps.",
        ),
        "ledgers": (
            "The record has the losses of private steps and the numbers of the sites' patients, which "
            "hospitals would keep.",
        ),
    }
    return (
        *simulated.get(basis, ()),
        "Losses and counts of evaluations, and a site's number of examples, have no noise on them.",
        learnt[config.model.reads],
        "How many train patients a site has is taken as public.",
        "A person in two hospitals is two patients, and has less protection than one.",
        "Settings that were chosen by looking at several private runs cost what each of them cost; see what "
        "each site's whole ledger comes to.",
        "The time until a reply comes, and the rounding of floating point.",
    )


def server_share(config: RunConfig, rounds: Iterable[Mapping[str, Any]]) -> ServerShare | None:
    """Client-level part of a run's statement; None if its strategy hides no site.

    Parameters
    ----------
    config : RunConfig
    rounds : iterable of mapping
        Rows of ``wardlaw.records.ROUND_SCHEMA``, in order.
    """
    strategy = config.strategy
    if config.run.topology != "federated" or not strategy.client_level:
        return None
    told = [row for row in rounds if row.get("releases") is not None]
    last = told[-1] if told else {"client_epsilon": 0.0, "releases": 0}
    return ServerShare(
        unit="site: all its patients and rounds",
        relation="add or remove one site",
        mechanism=f"{strategy.name}: updates clipped, Gaussian noise on their sum at the server",
        epsilon=last["client_epsilon"],
        delta=strategy.delta,
        noise_multiplier=strategy.noise_multiplier,
        clip_norm=strategy.clip_norm,
        sites=config.federation.replicas,
        releases=int(last["releases"]),
        epsilon_limit=strategy.epsilon_limit or None,
        not_covered=(
            "anything from the server itself, which sees each update before it is clipped.",
            "a patient, beyond what hiding the whole hospital gives.",
            "losses, counts, seconds and names of sites in the record, and the vocabulary.",
            "other runs at the same sites: each counts its own models only.",
        ),
    )
