"""[secagg]: sums that the server sees, and updates that it does not."""

import math
from typing import Self

from pydantic import Field, model_validator

from wardlaw.config.base import Section, kebab
from wardlaw.config.federation import FederationSection
from wardlaw.config.strategy import StrategySection
from wardlaw.errors import ConfigError
from wardlaw.secagg.graph import regular_degree
from wardlaw.secagg.quantisation import Quantisation, noise_share_std


class SecAggSection(Section):
    """Secure aggregation of a run.

    Attributes
    ----------
    enabled : bool
    neighbours : int
        k: sites that a site shares masks and keys with; all others where they are not more.
    threshold : int
        t: neighbours of a site that must live for it to be summed, or for its loss to be mended.
        More than k/2, so that nobody can be told of the same site that it is gone and that it is not.
    examples_cap : int
        Examples from which on a site has the whole weight 1, and below which its share of it. More than 1
        where ``strategy.weighting`` is "tokens"; 1 where it is "uniform".
    clip_range : float
        Largest absolute value of one coordinate of a site's update; a larger one is refused by the site.
    norm_bound : float
        Largest L2 norm of a site's update, all arrays together; a larger one is refused by the site.
    bits : int
        A coordinate is rounded to one of 2^bits - 1 levels.
    noise_multiplier : float
        z: noise on the sum of the updates over ``norm_bound``, which the sites add in equal shares.
    dropouts : int
        Sites that may be lost before the noise is short of z; a round that loses more fails.
    """

    enabled: bool = False
    neighbours: int = Field(default=5, ge=2)
    threshold: int = Field(default=3, ge=2)
    examples_cap: int = Field(default=1, ge=1)
    clip_range: float = Field(default=1.0, gt=0)
    norm_bound: float = Field(default=100.0, gt=0)
    bits: int = Field(default=24, ge=2, le=31)
    noise_multiplier: float = Field(default=0.0, ge=0)
    dropouts: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _refuse_thresholds_without_a_majority(self) -> Self:
        if not self.neighbours < 2 * self.threshold <= 2 * self.neighbours:
            raise ValueError(
                f"secagg.threshold = {self.threshold} is not more than half of secagg.neighbours = "
                f"{self.neighbours} and at most all of them"
            )
        return self

    @model_validator(mode="after")
    def _refuse_noise_that_does_not_fit(self) -> Self:
        if self.noise_multiplier and self.examples_cap > 1:
            raise ValueError(
                "secagg.noise-multiplier hides no sum of weights; set secagg.examples-cap = 1, so that all "
                "sites weigh the same"
            )
        if self.dropouts and not self.noise_multiplier:
            raise ValueError("secagg.dropouts has no meaning with secagg.noise-multiplier = 0")
        return self

    @model_validator(mode="after")
    def _nothing_while_off(self) -> Self:
        fields = type(self).model_fields.items()
        changed = [kebab(name) for name, field in fields if getattr(self, name) != field.default]
        if not self.enabled and changed:
            raise ValueError(f"secagg.{', secagg.'.join(changed)} has no meaning with secagg.enabled = false")
        return self

    def require_sums(self, strategy: StrategySection) -> None:
        """Refuse a strategy that must see single updates, and weights that are not those of the sum.

        Client-level strategies clip each update at the server, as a median, a trimmed mean or a screening by
        norm would compare them: each needs what secure aggregation hides. The site bounds its own update
        instead, and adds its share of noise.

        Raises
        ------
        ValueError
            If the strategy is one, or weighs sites in another way than ``examples_cap``.
        """
        if strategy.client_level:
            raise ValueError(
                f"strategy.name = '{strategy.name}' clips single updates at the server, which sees only sums "
                "with secagg.enabled; set another strategy, with secagg.norm-bound and "
                "secagg.noise-multiplier at the sites"
            )
        if (strategy.weighting == "tokens") != (self.examples_cap > 1):
            raise ValueError(
                f"secagg.examples-cap = {self.examples_cap} does not fit strategy.weighting = "
                f"'{strategy.weighting}': set the tokens from which on a site weighs 1, or 1 and 'uniform'"
            )

    def require_cover(self, federation: FederationSection) -> None:
        """Refuse a federation that has too few sites for a sum, or whose sum could pass 2^31.

        Raises
        ------
        ValueError
            If each site has fewer neighbours than ``threshold``, all sites may be lost to the noise, or
            ``bits`` are too many.
        """
        sites = federation.replicas
        neighbours = regular_degree(sites, self.neighbours)
        if self.threshold > neighbours:
            raise ValueError(
                f"secagg.threshold = {self.threshold} is more than the {neighbours} neighbours that each of "
                f"federation.replicas = {sites} sites can have"
            )
        try:
            share = noise_share_std(self.noise_multiplier, self.norm_bound, sites, self.dropouts)
            Quantisation(self.clip_range, self.bits).require_room(sites, share * math.sqrt(sites))
        except ConfigError as error:
            raise ValueError(f"{error.what}. {error.remedy}".strip(". ")) from None
