"""[privacy]: what a run promises about a single patient."""

from typing import Literal

from wardlaw.config.base import Section


class PrivacySection(Section):
    """Privacy of a run.

    Attributes
    ----------
    mechanism : {"none", "dp-sgd"}
        ``none`` promises nothing. ``dp-sgd`` is per-sample differential privacy, which this
        version checks for and cannot train: it is refused, with the reason that would hold
        in any version where the objective couples the samples of a batch.
    """

    mechanism: Literal["none", "dp-sgd"] = "none"
