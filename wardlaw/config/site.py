"""``SitePolicy``: what a hospital allows, in a file that only the hospital writes.

The coordinator never sees ``site.toml`` and cannot loosen it: where a run's
configuration and the policy differ, the stricter wins.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from wardlaw.config.base import Section
from wardlaw.config.files import read_toml
from wardlaw.config.flat import describe_problems
from wardlaw.errors import PolicyError
from wardlaw.privacy.epsilon import LEAST_DELTA


class SitePolicy(Section):
    """A site's own limits and places.

    Attributes
    ----------
    site : str
        Name under which the site takes part; stable over runs.
    meds : Path, optional
        MEDS root of the site's patients; a site of ECG has none.
    tokens : Path
        Folder for shards, one a fingerprint, or a shard itself.
    state : Path
        Folder for what outlives a message: optimiser state, cursors.
    minimum_patients : int
        Train patients below which the site abstains from everything.
    code_floor : int
        Train patients that a code needs before the code's name leaves the site.
        May only be raised.
    count_rounding : int
        Counts that leave the site are rounded to multiples of this.
    allow_training, allow_vocabulary, allow_evaluation : bool
        Kinds of request that the site answers.
    maximum_parameters : int
        Largest model that the site trains.
    minimum_summed : int
        Sites that a sum must hold before the site's update is part of it (``secagg.threshold`` and the site
        itself). With 0 the site's update may also leave alone, for the server to see.
    secagg_peers : dict of str to str
        Identity of each other site of secure aggregation, as that site itself gave it
        (``wardlaw client secagg identity``). A session with any other site is refused; without it the
        server's word is taken for who they are.
    epsilon : float, optional
        What the site's patients may pay in all, over all runs (``wardlaw client budget``). A site that
        sets it trains in private runs only. Without it a private run is noted and not limited.
    delta : float, optional
        delta of that epsilon, which wants it: well below one in the number of patients.
    """

    site: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    meds: Path | None = None
    tokens: Path
    state: Path
    minimum_patients: int = Field(default=10, ge=1)
    code_floor: int = Field(default=10, ge=10)
    count_rounding: int = Field(default=10, ge=1)
    allow_training: bool = True
    allow_vocabulary: bool = True
    allow_evaluation: bool = True
    maximum_parameters: int = Field(default=2_000_000_000, gt=0)
    minimum_summed: int = Field(default=0, ge=0)
    secagg_peers: dict[str, Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(default={})
    epsilon: float | None = Field(default=None, gt=0)
    delta: float | None = Field(default=None, ge=LEAST_DELTA, lt=1)


def meds_root(policy: SitePolicy) -> Path:
    """MEDS root of a site of EHR.

    Raises
    ------
    PolicyError
        If the site names none.
    """
    if policy.meds is None:
        raise PolicyError(
            "the site names no MEDS root",
            where=f"{policy.site}: meds",
            remedy="Name it in site.toml, or ask for nothing that reads events",
        )
    return policy.meds


def load_site_policy(path: Path) -> SitePolicy:
    """Read ``site.toml``; its relative paths start at the file's own folder."""
    tables = read_toml(path)
    try:
        policy = SitePolicy.model_validate(tables)
    except ValidationError as error:
        raise PolicyError(describe_problems(error), where=str(path)) from None
    here = path.resolve().parent
    named = {name: getattr(policy, name) for name in ("meds", "tokens", "state")}
    places = {name: here / path for name, path in named.items() if path is not None}
    return policy.model_copy(update=places)
