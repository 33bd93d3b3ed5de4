"""Fit one vocabulary from sites' sketches, whose tables the server never sees."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from wardlaw.sketches import MergedSketch, SiteSketch, merge
from wardlaw.vocabulary import Scheme, Vocabulary
from wardlaw.vocabulary.vocabulary import BINS

RANKS = [number / BINS for number in range(1, BINS)]


def fit_vocabulary(
    sketches: Iterable[SiteSketch], scheme: Scheme, *, minimum_patients: int = 10
) -> Vocabulary:
    """Fit a vocabulary.

    A unit is admitted if the sites that tell of it have ``minimum_patients`` together;
    a patient of two sites counts at both. Codes with values get deciles over all sites' values.

    Parameters
    ----------
    sketches : iterable of SiteSketch
        In the order of site names; read one at a time.
    scheme : {"ethos", "fused"}
    minimum_patients : int

    Returns
    -------
    Vocabulary
    """
    merged = merge(sketches, scheme)
    codes = tuple(sorted(u for u, counts in merged.units.items() if counts.patients >= minimum_patients))
    with_values = sorted(merged.values.keys() & set(codes) if scheme == "fused" else merged.values.keys())
    edges = {code: cuts for code in with_values if (cuts := _decile_edges(merged, code))}
    return Vocabulary(scheme, codes, edges)


def _decile_edges(merged: MergedSketch, code: str) -> tuple[float, ...]:
    """Distinct deciles below the greatest value: fewer than nine where values repeat, none if all are one.

    Each is the shortest decimal that is that float32.
    """
    cuts = merged.quantiles(code, RANKS)
    below = [cut for cut in cuts if cut < merged.maximum(code)]
    distinct = below[:1] + [later for earlier, later in pairwise(below) if later > earlier]
    return tuple(float(str(np.float32(cut))) for cut in distinct)
