"""The stricter of a run's settings and a site's policy wins.

Each check raises before data is opened or sent. Only the error's code leaves the site
(``client.answer``), so that an abstention does not say by how much a site falls short.
"""

from typing import Literal

from wardlaw import protocol
from wardlaw.config import RunConfig, SitePolicy
from wardlaw.errors import PolicyError

EVALUATION_SPLITS = ("tuning", "held_out")
Request = Literal["training", "vocabulary", "evaluation"]


def require_allowed(policy: SitePolicy, request: Request) -> None:
    """Refuse a kind of request that the site does not answer.

    Raises
    ------
    PolicyError
        If the policy's ``allow-<request>`` is false.
    """
    permitted = {
        "training": policy.allow_training,
        "vocabulary": policy.allow_vocabulary,
        "evaluation": policy.allow_evaluation,
    }
    if not permitted[request]:
        raise PolicyError(
            f"the site does not take part in {request}",
            where=f"{policy.site}: allow-{request}",
            remedy="Only the site's own site.toml can change that",
        )


def require_evaluation_split(split: str) -> None:
    """Refuse to score the patients who were trained on: exact losses of them undo what noise hides.

    Raises
    ------
    PolicyError
    """
    if split not in EVALUATION_SPLITS:
        raise PolicyError(
            f"the split '{split}' is not scored for others",
            where=protocol.SPLIT,
            remedy=f"Ask for one of {', '.join(EVALUATION_SPLITS)}",
        )


def require_patients(policy: SitePolicy, train_patients: int) -> None:
    """Abstain where the train patients are too few to hide in.

    Raises
    ------
    PolicyError
        If there are fewer than ``minimum-patients``.
    """
    if train_patients < policy.minimum_patients:
        raise PolicyError(
            f"{train_patients} train patients are fewer than the site's minimum",
            where=f"{policy.site}: minimum-patients = {policy.minimum_patients}",
        )


def require_size(policy: SitePolicy, parameters: int) -> None:
    """Refuse a model that is too large for the site.

    Raises
    ------
    PolicyError
        If the model has more than ``maximum-parameters``.
    """
    if parameters > policy.maximum_parameters:
        raise PolicyError(
            f"a model of {parameters} parameters is larger than the site trains",
            where=f"{policy.site}: maximum-parameters = {policy.maximum_parameters}",
        )


def require_sum(policy: SitePolicy, config: RunConfig) -> None:
    """Refuse to let the site's update leave alone, or in a sum of too few sites.

    Raises
    ------
    PolicyError
        If the run sums fewer than ``minimum-summed``.
    """
    # A site helps to unmask a sum of at least ``threshold`` neighbours and itself.
    summed = config.secagg.threshold + 1 if config.secagg.enabled else 1
    if policy.minimum_summed > summed:
        raise PolicyError(
            f"an update of the site would be in a sum of {summed}",
            where=f"{policy.site}: minimum-summed = {policy.minimum_summed}",
            remedy="Ask for a run with secagg.enabled and a secagg.threshold that is one less",
        )


def rounded(policy: SitePolicy, count: int) -> int:
    """A count as it may leave the site: the nearest multiple of ``count-rounding``.

    A count above zero stays above zero, so that a small shard keeps a weight.

    Examples
    --------
    >>> from pathlib import Path
    >>> here = Path()
    >>> policy = SitePolicy(site="a", meds=here, tokens=here, state=here, count_rounding=10)
    >>> [rounded(policy, count) for count in (0, 3, 14, 15, 26)]
    [0, 10, 10, 20, 30]
    """
    unit = policy.count_rounding
    return max(unit * ((count + unit // 2) // unit), unit if count else 0)
