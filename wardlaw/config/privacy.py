"""[privacy]: what a run promises about a single patient."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardlaw.config.base import Section, added, kebab
from wardlaw.privacy.epsilon import LEAST_DELTA


class PrivacySection(Section):
    """Privacy of a run.

    Attributes
    ----------
    mechanism : {"none", "dp-sgd"}
        ``none`` promises nothing. ``dp-sgd`` clips each patient's gradient and adds noise at the
        site, before anything leaves (Abadi et al., arXiv 1607.00133; Lowy & Razaviyayn, arXiv
        2106.09779). Its unit is one patient's whole record at a site, added or removed.
    noise_multiplier : float
        sigma: standard deviation of the noise on a step's sum of gradients, over ``clip_norm``. With 0
        nothing is private, and a site with a budget refuses.
    clip_norm : float
        C: largest L2 norm of one patient's gradient.
    clipping : {"flat", "normalised"}
        Whether only gradients longer than C are scaled to it, or all are.
    patients : int
        B: patients drawn in a step of a replica, on average. A site of n train patients draws each
        with probability B / n.
    windows : int
        Most windows of ``model.context`` that a patient contributes to a step; a patient's loss is the
        mean over them.
    engine : {"auto", "loop", "batched", "hooks", "ghost", "fast-gradient"}
        What computes clipped gradients: ``loop`` takes patients one by one, ``batched`` several in one
        backward pass, the others are Opacus's. All give the same sums; ``auto`` is ``batched``, and
        ``loop`` for a compiled decoder.
    delta : float
        delta of the epsilon that a run's record reports. A site's own budget has its own.
    stands_for : int
        k: the run stands in for one of k times its ``patients``, ``noise_multiplier``, batch and tokens
        (``simulate study --tan``). It changes no step, and no ledger's account: it is for the statement.
    """

    mechanism: Literal["none", "dp-sgd"] = "none"
    noise_multiplier: float = Field(default=1.0, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    clipping: Literal["flat", "normalised"] = "flat"
    patients: int = Field(default=32, ge=1)
    windows: int = Field(default=1, ge=1)
    engine: Literal["auto", "loop", "batched", "hooks", "ghost", "fast-gradient"] = "auto"
    delta: float = Field(default=1e-6, ge=LEAST_DELTA, lt=1)
    stands_for: int = added(1, ge=1)

    @property
    def private(self) -> bool:
        """Whether gradients are clipped and noised."""
        return self.mechanism != "none"

    @property
    def noise_batch_ratio(self) -> float:
        """Sigma / B: standard deviation of the noise on a step's mean gradient, C being 1.

        McKenna et al., arXiv 2501.18914, section 3. It is 0 without a mechanism.
        """
        return self.noise_multiplier / self.patients if self.private else 0.0

    @model_validator(mode="after")
    def _nothing_without_a_mechanism(self) -> Self:
        fields = type(self).model_fields.items()
        changed = [kebab(name) for name, field in fields if getattr(self, name) != field.default]
        if not self.private and changed:
            raise ValueError(
                f"privacy.{', privacy.'.join(changed)} has no meaning with privacy.mechanism = 'none'"
            )
        return self
