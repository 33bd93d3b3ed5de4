"""The sites of a run, by name, and the nodes that they are reached by."""

import logging
import time
from collections import defaultdict
from dataclasses import dataclass

from flwr.serverapp import Grid

from server.census import Census, Description
from strategies.exchange import Participant
from wardlaw import seeds
from wardlaw.config import RunConfig
from wardlaw.errors import AdmissionError, RoundError

PAUSE_S = 0.2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Roster:
    """Sites that a run has from its first round to its last.

    Names stay; the node behind a name can change, since a SuperNode that was
    restarted may come back under another number.

    Attributes
    ----------
    sites : tuple of str
        Names, sorted.
    nodes : dict of str to int
        Node of each site that is connected.
    tokenizer : str
    vocabulary_size : int
    synthetic : bool
        Whether the patients of any site are generated.
    """

    sites: tuple[str, ...]
    nodes: dict[str, int]
    tokenizer: str
    vocabulary_size: int
    synthetic: bool

    def participants(self, sites: tuple[str, ...]) -> tuple[Participant, ...]:
        """Those of some sites that are connected, in the order given."""
        return tuple(Participant(site, self.nodes[site]) for site in sites if site in self.nodes)


def draw_cohort(sites: tuple[str, ...], replicas: int, seed: int, server_round: int) -> tuple[str, ...]:
    """Sites that train in a round: all, or as many as there are replicas, drawn anew each round.

    The draw depends on seed and round alone, so that a run that resumes repeats it.

    Examples
    --------
    >>> draw_cohort(("a", "b"), 2, seed=0, server_round=1)
    ('a', 'b')
    """
    if replicas >= len(sites):
        return sites
    generator = seeds.generator(seed, "cohort", server_round)
    drawn = generator.choice(len(sites), replicas, replace=False)
    return tuple(sites[index] for index in sorted(drawn))


def wait_for_sites(
    grid: Grid, config: RunConfig, *, former: tuple[str, ...] = (), tokenizer: str = ""
) -> tuple[Roster, Census]:
    """Wait until the run's sites have connected and described themselves.

    Parameters
    ----------
    grid : Grid
    config : RunConfig
        ``data.sites`` names the sites; without it a run takes those that are connected
        when there are ``federation.replicas`` of them.
    former : tuple of str
        Sites of a run that resumes: the same ones are waited for, and at the deadline
        a quorum of them is enough.
    tokenizer : str
        Tokeniser whose shard is meant; empty for the only one at each site.

    Raises
    ------
    AdmissionError
        If the sites are not there by ``federation.wait-for-sites-s``, if two nodes
        claim one site, or if the sites' tokenisers differ.
    """
    names = former or config.data.site_names
    wanted = len(names) if names else config.federation.replicas
    if wanted < config.federation.replicas:
        raise AdmissionError(
            f"{wanted} sites are fewer than federation.replicas = {config.federation.replicas}",
            where="data.sites",
        )
    least = config.federation.quorum if former else wanted
    census = Census(grid, config, tokenizer)
    deadline = time.monotonic() + config.federation.wait_for_sites_s
    while True:
        connected = census.poll()
        present = _by_site(census, connected, names)
        if len(present) >= wanted and census.complete:
            break
        if time.monotonic() > deadline:
            if len(present) >= least:
                break
            raise AdmissionError(
                f"{len(present)} of {wanted} sites are there after "
                f"{config.federation.wait_for_sites_s:.0f} s: {sorted(present)}",
                remedy=_remedy(names, present),
            )
        time.sleep(PAUSE_S)
    roster = _admit(present, names or tuple(sorted(present)), census)
    logger.info("sites: %s", ", ".join(roster.sites))
    return roster, census


def rejoin(roster: Roster, census: Census, config: RunConfig) -> Roster:
    """The roster as it is connected now, once a quorum of it is.

    Raises
    ------
    RoundError
        If fewer sites than the quorum are connected after ``federation.wait-for-sites-s``.
    """
    deadline = time.monotonic() + config.federation.wait_for_sites_s
    while True:
        connected = census.poll()
        present = _by_site(census, connected, roster.sites)
        if len(present) >= config.federation.quorum:
            break
        if time.monotonic() > deadline:
            raise RoundError(
                f"{len(present)} sites are connected, fewer than federation.quorum",
                remedy="Start the run again when the sites are back: it goes on from its last round",
            )
        time.sleep(PAUSE_S)
    same = {
        site: node
        for site, node in present.items()
        if census.described[node].vocabulary_size == roster.vocabulary_size
        and census.described[node].tokenizer == roster.tokenizer
    }
    return Roster(roster.sites, same, roster.tokenizer, roster.vocabulary_size, roster.synthetic)


def _by_site(census: Census, connected: set[int], names: tuple[str, ...]) -> dict[str, int]:
    nodes: dict[str, list[int]] = defaultdict(list)
    for node in sorted(connected & census.described.keys()):
        nodes[census.described[node].site].append(node)
    for site, claims in nodes.items():
        if len(claims) > 1:
            raise AdmissionError(
                f"{len(claims)} nodes say that they are this site",
                where=site,
                remedy="Give each site.toml its own site name and start each site once",
            )
    return {site: claims[0] for site, claims in sorted(nodes.items()) if not names or site in names}


def _admit(present: dict[str, int], sites: tuple[str, ...], census: Census) -> Roster:
    descriptions: dict[str, Description] = {site: census.described[node] for site, node in present.items()}
    shards: dict[tuple[str, int], list[str]] = defaultdict(list)
    for site, description in descriptions.items():
        shards[description.tokenizer, description.vocabulary_size].append(site)
    if len(shards) > 1:
        groups = "; ".join(
            f"{tokenizer[:16]}: {', '.join(group)}" for (tokenizer, _), group in shards.items()
        )
        raise AdmissionError(
            f"the sites' shards are of {len(shards)} fingerprints ({groups})",
            remedy="Name the run's by data.tokenizer, or make the others anew: EHR with one vocabulary, "
            "ECG with one rate",
        )
    ((tokenizer, vocabulary_size),) = shards
    synthetic = any(description.synthetic for description in descriptions.values())
    return Roster(sites, present, tokenizer, vocabulary_size, synthetic)


def _remedy(names: tuple[str, ...], present: dict[str, int]) -> str:
    missing = sorted(set(names) - present.keys())
    return f"Start {', '.join(missing)}" if missing else "Start more sites, or lower federation.replicas"
