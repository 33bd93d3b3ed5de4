"""Epsilon in words, in JSON, and where it ends."""

import math
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

LARGEST = 500.0
"""Largest epsilon that is told as a number. All above are infinity within the program.

Above 700, where e^-epsilon is no float, dp-accounting's search ends at a point of its grid.
"""

LEAST_DELTA = 1e-10
"""Smallest delta that epsilon is told for: below it the arithmetic of many steps can tell too little."""

MORE = f"more than {LARGEST:,.0f}"
"""What is told instead, everywhere: no attacker is held back by such an epsilon."""


def epsilon_text(epsilon: float, digits: str = ".4g") -> str:
    """An epsilon as it is told.

    Examples
    --------
    >>> epsilon_text(2.38169, ".2f"), epsilon_text(float("inf"))
    ('2.38', 'more than 500')
    """
    return MORE if math.isinf(epsilon) else f"{epsilon:{digits}}"


def epsilon_json(epsilon: float) -> float | str:
    """An epsilon for JSON, which has no infinity: a number, or the words."""
    return MORE if math.isinf(epsilon) else epsilon


def _from_json(value: object) -> object:
    return math.inf if value == MORE else value


Epsilon = Annotated[
    float,
    Field(ge=0, allow_inf_nan=True),
    BeforeValidator(_from_json),
    PlainSerializer(epsilon_json, return_type=float | str, when_used="json"),
]
"""Field of a model: a number, or in JSON the words ``MORE`` for infinity."""
