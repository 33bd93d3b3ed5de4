"""Model families against each other, each pair under one objective and one topology."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis.comparison.compare import Contrast, contrast
from analysis.fits.fit import Fit
from analysis.tables.measures import Measure
from analysis.tables.peers import Peers


@dataclass(frozen=True)
class FamilyContrast:
    """An arm against the arm that differs from it in the model's family alone.

    Attributes
    ----------
    objective : str
    family, reference_family : str
    reference : str
        The other arm.
    contrast : Contrast
        Of the laws drawn.
    """

    objective: str
    family: str
    reference_family: str
    reference: str
    contrast: Contrast

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "objective": self.objective,
            "family": self.family,
            "reference_family": self.reference_family,
            "reference": self.reference,
            **self.contrast.to_json(),
        }


def contrast_families(peers: Sequence[Peers], curves: Mapping[str, Fit]) -> tuple[FamilyContrast, ...]:
    """Arms of each objective's other families against those of its first, where both have a curve.

    Parameters
    ----------
    peers : sequence of Peers
    curves : dict of str to Fit
        By arm, of one law under one objective.
    """
    found = []
    first: dict[tuple[Measure, str], Peers] = {}
    for one in peers:
        reference = first.setdefault((one.measure, one.noise), one)
        if reference is one:
            continue
        for arm in one.arms:
            other = arm.replace(one.model, reference.model, 1)
            if arm in curves and other in curves:
                found.append(
                    FamilyContrast(
                        one.measure.objective,
                        one.family,
                        reference.family,
                        other,
                        contrast(curves[arm], curves[other]),
                    )
                )
    return tuple(found)
