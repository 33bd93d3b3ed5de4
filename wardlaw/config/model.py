"""[model]: the architecture and its rung on the ladder."""

from typing import Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from wardlaw.config.base import Section, added

EcgFamily = Literal["resnet", "transformer", "convnext", "regnet", "s4d"]
Family = Literal["decoder"] | EcgFamily

ECG_FAMILIES: tuple[EcgFamily, ...] = get_args(EcgFamily)

CUSTOM = "custom"


class RegnetSection(Section):
    """A point of the RegNet design space, for ``model.size = "custom"``.

    Ranges are those of the ECG-CNN scaling study (EHJ Digital Health 2025).

    Attributes
    ----------
    depth : int
        Blocks of all stages.
    w_0, w_a, w_m : float
        Width of the first block, slope of the widths over blocks, ratio of the widths of
        neighbouring stages (Radosavovic et al., arXiv 2003.13678, equations 2 to 4).
    group_width : int
        Channels of a group of the grouped convolution.
    bottleneck : float
        Inner width of a block over its outer width.
    squeeze : float
        Share of squeeze-and-excitation's hidden layer; 0 for none.
    kernel : int
        Samples of the stem's kernel; odd.
    """

    depth: int = Field(default=8, ge=4, le=40)
    w_0: int = Field(default=32, ge=8, multiple_of=8)
    w_a: float = Field(default=16.0, gt=0)
    w_m: float = Field(default=2.0, gt=1)
    group_width: int = Field(default=8, ge=1)
    bottleneck: float = Field(default=1.0, gt=0)
    squeeze: float = Field(default=0.0, ge=0, le=1)
    kernel: int = Field(default=3, ge=1)

    @field_validator("kernel")
    @classmethod
    def _refuse_even_kernels(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError("an even kernel has no middle: take an odd one")
        return kernel


class ModelSection(Section):
    """Model of a run.

    Attributes
    ----------
    family : {"decoder", "resnet", "transformer", "convnext", "regnet", "s4d"}
        Architecture family, a ladder of ``models``: ``decoder`` reads EHR, the others ECG.
    size : str
        Rung of the family's ladder (``wardlaw models list``); ``custom`` for a regnet by ``regnet``.
    context : int
        Longest window that the model reads: tokens of a patient's timeline, or samples of an ECG.
    regnet : RegnetSection
    """

    family: Family = "decoder"
    size: str = "xs"
    context: int = Field(default=512, ge=8)
    regnet: RegnetSection = added(RegnetSection())

    @property
    def reads(self) -> Literal["ehr", "ecg"]:
        """Kind of shards that the family reads."""
        return "ehr" if self.family == "decoder" else "ecg"

    @model_validator(mode="after")
    def _refuse_a_design_that_is_not_used(self) -> Self:
        custom = self.family == "regnet" and self.size == CUSTOM
        if self.regnet != RegnetSection() and not custom:
            raise ValueError('model.regnet has no meaning without model.family = "regnet", size = "custom"')
        return self
