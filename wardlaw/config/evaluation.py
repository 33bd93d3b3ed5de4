"""[evaluation]: what is measured on held-out patients, and when."""

from typing import Literal

from pydantic import Field

from wardlaw.config.base import Section


class EvaluationSection(Section):
    """Evaluation of a run.

    Attributes
    ----------
    every_rounds : int
        Rounds between evaluations on the tuning split; 0 means none. The held-out
        split is read once, after the last step.
    split : {"held_out", "tuning"}
        Split of the final evaluation; a sweep that chooses settings uses ``tuning``.
    bootstrap : int
        Resamples of patients behind each interval.
    """

    every_rounds: int = Field(default=0, ge=0)
    split: Literal["held_out", "tuning"] = "held_out"
    bootstrap: int = Field(default=1000, ge=0)
