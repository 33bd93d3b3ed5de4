"""Probabilities of diagnoses, and the classes that could be learnt at all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from client.ecg.evaluation.cohort import Cohort
from wardlaw.errors import DataError

Floats = NDArray[np.float64]
Classes = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Cohorts:
    """What a method learns from, what it chooses by, and what it is asked.

    Attributes
    ----------
    train, tuning, asked : Cohort

    Raises
    ------
    DataError
        If one of them has no record.
    """

    train: Cohort
    tuning: Cohort
    asked: Cohort

    def __post_init__(self) -> None:
        for split, cohort in vars(self).items():
            if not len(cohort):
                raise DataError(f"no record is {split}", remedy="Take sites with more patients")


@dataclass(frozen=True, eq=False)
class Answers:
    """What a method says of each record.

    Attributes
    ----------
    tuning, asked : (n, 26) arrays
        Probabilities; 0 for a class without answers.
    answered : (26,) array of bool
        Classes that the method has answers for.
    """

    tuning: Floats
    asked: Floats
    answered: Classes


def learnable(labels: NDArray[np.uint8]) -> Classes:
    """Classes that some of the records have and some have not, (classes,): without both nothing is learnt."""
    positives = labels.sum(axis=0, dtype=np.int64)
    mixed: Classes = (positives > 0) & (positives < len(labels))
    return mixed
