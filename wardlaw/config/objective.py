"""[objective]: what a model is trained to do."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from wardlaw.config.base import Section, kebab

ObjectiveName = Literal[
    "next-token",
    "bce",
    "asymmetric",
    "cpc",
    "jepa",
    "data2vec",
    "dinosr",
    "hubert",
    "reconstruction",
]

_MASKS = frozenset({"mask_fraction", "mask_span"})
_FIELDS_OF: dict[str, frozenset[str]] = {
    "next-token": frozenset(),
    "bce": frozenset(),
    "asymmetric": frozenset({"gamma_negative", "gamma_positive", "probability_shift"}),
    "cpc": frozenset({"steps_predicted", "negatives"}),
    "jepa": _MASKS | {"teacher_decay"},
    "data2vec": _MASKS | {"teacher_decay", "target_layers"},
    "dinosr": _MASKS | {"teacher_decay", "target_layers", "codes", "code_decay"},
    "hubert": _MASKS | {"codes", "code_decay", "temperature"},
    "reconstruction": _MASKS,
}

FOLLOWING = frozenset({"jepa", "data2vec", "dinosr", "hubert"})
"""Objectives with a part that follows the weights and is not trained: a teacher, a codebook."""

COUPLED: dict[str, str] = {
    "cpc": "a record's negatives are patches of the other records of its batch",
    "dinosr": "a code moves by the mean of the batch's features that chose it",
    "hubert": "Sinkhorn-Knopp balances the targets over the whole batch",
}
"""Why an objective's loss of one record depends on the other records of its batch."""


class ObjectiveSection(Section):
    """Objective of a run.

    Attributes
    ----------
    name : str
        ``next-token`` for the decoder; ``bce`` and ``asymmetric`` learn an ECG's diagnoses, the
        others learn from its signal alone.
    gamma_negative, gamma_positive, probability_shift : float
        Asymmetric loss (Ridnik et al., arXiv 2009.14119, equation 7).
    steps_predicted, negatives : int
        Patches that CPC predicts, and wrong ones among which it must find each (van den Oord et
        al., arXiv 1807.03748, equation 4).
    mask_fraction : float
        Share of an ECG's patches that the model does not see.
    mask_span : int
        Patches of one masked span.
    teacher_decay : float
        Share of the teacher that a step keeps; the rest is the student's.
    target_layers : int
        Last blocks of the teacher that make the targets.
    codes : int
        Codes of a codebook.
    code_decay : float
        Share of a code's running sums that a step keeps.
    temperature : float
        Of the Sinkhorn-Knopp assignment.
    """

    name: ObjectiveName = "next-token"
    gamma_negative: float = Field(default=4.0, ge=0)
    gamma_positive: float = Field(default=1.0, ge=0)
    probability_shift: float = Field(default=0.05, ge=0, lt=1)
    steps_predicted: int = Field(default=12, ge=1)
    negatives: int = Field(default=128, ge=1)
    mask_fraction: float = Field(default=0.5, gt=0, lt=1)
    mask_span: int = Field(default=3, ge=1)
    teacher_decay: float = Field(default=0.996, ge=0, lt=1)
    target_layers: int = Field(default=2, ge=1)
    codes: int = Field(default=64, ge=2)
    code_decay: float = Field(default=0.9, ge=0, lt=1)
    temperature: float = Field(default=0.1, gt=0)

    @property
    def supervised(self) -> bool:
        """Whether it learns labels."""
        return self.name in {"bce", "asymmetric"}

    @property
    def chance_nats(self) -> float | None:
        """Nats a target of a model that knows nothing; none where it depends on the data.

        Examples
        --------
        >>> round(ObjectiveSection(name="cpc").chance_nats, 3)
        4.86
        """
        match self.name:
            case "bce":
                return math.log(2)
            case "cpc":
                return math.log(1 + self.negatives)
            case "dinosr" | "hubert":
                return math.log(self.codes)
        return None

    @model_validator(mode="after")
    def _refuse_settings_of_other_objectives(self) -> Self:
        for field, info in type(self).model_fields.items():
            foreign = field not in _FIELDS_OF[self.name] | {"name"}
            if foreign and getattr(self, field) != info.default:
                raise ValueError(
                    f"objective.{kebab(field)} has no meaning for objective.name = '{self.name}'"
                )
        return self
