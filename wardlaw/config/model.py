"""[model]: the architecture and its rung on the ladder."""

from typing import Literal

from pydantic import Field

from wardlaw.config.base import Section


class ModelSection(Section):
    """Model of a run.

    Attributes
    ----------
    family : {"decoder"}
        Architecture family, a ladder of ``models``.
    size : str
        Rung of the family's ladder (``wardlaw models list``).
    context : int
        Longest window of a patient's timeline, in tokens.
    """

    family: Literal["decoder"] = "decoder"
    size: str = "xs"
    context: int = Field(default=512, ge=8)
