"""The Challenge's 26 scored diagnoses: their SNOMED CT codes, their order, and what confusing two costs.

PhysioNet/Computing in Cardiology Challenge 2021 (Reyna et al., "Will two do? Varying dimensions in
electrocardiography", CinC 2021). Label columns, output columns and the weight matrix all have the order of
``CLASSES``, so that they cannot come apart.
"""

import tomllib
from collections.abc import Iterable
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

_CHALLENGE = tomllib.loads(files("client.ecg").joinpath("challenge.toml").read_text(encoding="utf-8"))

EQUIVALENTS: tuple[tuple[str, ...], ...] = tuple(tuple(entry["codes"]) for entry in _CHALLENGE["class"])
"""Codes of each class; those of one class are scored as the same diagnosis."""

CLASSES: tuple[str, ...] = tuple(codes[0] for codes in EQUIVALENTS)
"""First code of each class, in the order of the Challenge's weight matrix."""

ABBREVIATIONS: tuple[str, ...] = tuple("|".join(entry["abbreviations"]) for entry in _CHALLENGE["class"])
"""The Challenge's abbreviation of each class, e.g. ``CLBBB|LBBB``."""

NAMES: tuple[str, ...] = tuple(" or ".join(entry["names"]) for entry in _CHALLENGE["class"])
"""Each class in words."""

SINUS = "426783006"
"""Sinus rhythm: the class that the Challenge's inactive classifier always chooses."""

_CLASS_OF = {code: number for number, codes in enumerate(EQUIVALENTS) for code in codes}


def class_of(code: str) -> int | None:
    """Place of a code's class in ``CLASSES``; None for a code that is not scored.

    Examples
    --------
    >>> class_of("164909002") == class_of("733534002") == 4
    True
    >>> class_of("164884008") is None
    True
    """
    return _CLASS_OF.get(code)


def labels_of(codes: Iterable[str]) -> NDArray[np.uint8]:
    """Multi-hot classes of a record's codes, shape (26,); codes that are not scored are left out."""
    labels = np.zeros(len(CLASSES), np.uint8)
    labels[[_CLASS_OF[code] for code in codes if code in _CLASS_OF]] = 1
    return labels


def challenge_weights() -> NDArray[np.float64]:
    """Credit for answering the column's class where the row's is true, shape (26, 26), symmetric.

    The Challenge's ``weights.csv``: 1 on the diagonal; elsewhere 0.5 less the distance of two positions on a
    line, but for two pairs.
    """
    position = np.array([entry["position"] for entry in _CHALLENGE["class"]])
    weights: NDArray[np.float64] = 0.5 - np.abs(position[:, None] - position)
    for pair in _CHALLENGE["pair"]:
        one, other = (_CLASS_OF[code] for code in pair["codes"])
        weights[one, other] = weights[other, one] = pair["credit"]
    np.fill_diagonal(weights, 1)
    return weights
