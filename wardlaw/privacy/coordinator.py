"""What the coordinator of a federation sees of the sites' updates: each, or sums only."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from wardlaw.config import RunConfig
from wardlaw.privacy.part import Part

SECAGG = "SecAgg+ (Bell et al., ePrint 2020/704)"

SUMS_TELL = (
    "The sum itself, which can tell of a patient, and the models made from it.",
    "A site from all others of its sum together: their own updates taken off leave its own.",
    "A site whose site.toml names no peers takes the server's word for who the others are.",
    "How sums differ: those of two rounds or runs over different sites can be subtracted, and the sums of "
    "weights and of examples with them.",
    "Tokens, operations and seconds of each site's rounds, its evaluations, and that its update was refused "
    "for being out of bounds.",
)
"""What secure aggregation does not hide (docs/secure-aggregation.md)."""

NOISE_UNCOUNTED = (
    "The sites' shares of noise (secagg.noise-multiplier) have no epsilon that could be stated: rounded "
    "shares add up to no normal deviate, a refused update shows, and examples are summed without noise.",
)


class Coordinator(Part):
    """What the coordinator sees of the updates of a round.

    Attributes
    ----------
    sees : {"updates", "sums"}
        Each site's update, or only sums of several sites'.
    sites : int
        Expected in a round.
    least_summed : int or None
        Fewest sites of a sum: a site gives out its shares for no smaller one.
    fewest_summed : int or None
        In any of the rounds that are known.
    protocol : str or None
    neighbours, threshold : int or None
        k and t of secure aggregation.
    noise_multiplier : float or None
        z, of the noise that all sites add together, over the bound of an update's norm.
    adds_to_epsilon : bool
        Always False: secure aggregation is no differential privacy.
    not_covered : tuple of str
        What such sums do not hide.
    """

    sees: Literal["updates", "sums"]
    sites: int
    least_summed: int | None = None
    fewest_summed: int | None = None
    protocol: str | None = None
    neighbours: int | None = None
    threshold: int | None = None
    noise_multiplier: float | None = None
    adds_to_epsilon: Literal[False] = False
    not_covered: tuple[str, ...] = ()


def coordinator_of(config: RunConfig, rounds: Iterable[Mapping[str, Any]] = ()) -> Coordinator | None:
    """What a run's coordinator sees; None if the run is not federated.

    Parameters
    ----------
    config : RunConfig
    rounds : iterable of mapping
        Rows of ``wardlaw.records.ROUND_SCHEMA``.
    """
    if config.run.topology != "federated":
        return None
    sites, secagg = config.federation.replicas, config.secagg
    if not secagg.enabled:
        return Coordinator(sees="updates", sites=sites)
    # Sites agree to no list from which more are lost than their noise allows for.
    noisy = sites - secagg.dropouts if secagg.noise_multiplier else 0
    summed = [len(row["sites"]) for row in rounds if row.get("summed_weight") is not None]
    return Coordinator(
        sees="sums",
        sites=sites,
        # A site is masked by ``threshold`` neighbours at the least, all of whom are summed with it.
        least_summed=max(secagg.threshold + 1, noisy),
        fewest_summed=min(summed, default=None),
        protocol=SECAGG,
        neighbours=secagg.neighbours,
        threshold=secagg.threshold,
        noise_multiplier=secagg.noise_multiplier or None,
        not_covered=SUMS_TELL + (NOISE_UNCOUNTED if secagg.noise_multiplier else ()),
    )
