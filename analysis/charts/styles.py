"""Colours and markers of groups, and of sizes."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex

# Okabe and Ito's colours (without black and yellow, which vanish on one of the pages), and a shape for
# each, so that groups differ in grey print too.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#7F7F7F")
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "<")
# The part of viridis that can be read on a light and on a dark page.
_FIRST_SHADE, _LAST_SHADE = 0.33, 0.82


@dataclass(frozen=True)
class Style:
    """Colour as #RRGGBB and marker in Matplotlib's letters."""

    colour: str
    marker: str


def group_styles(groups: Sequence[str]) -> dict[str, Style]:
    """A style a group; where colours repeat, markers differ."""
    return {
        group: Style(
            _PALETTE[place % len(_PALETTE)], _MARKERS[(place + place // len(_PALETTE)) % len(_MARKERS)]
        )
        for place, group in enumerate(groups)
    }


def ordered_styles(groups: Sequence[str]) -> dict[str, Style]:
    """Shades from dark to light, for groups that have an order, such as sizes."""
    shades = mpl.colormaps["viridis"](np.linspace(_FIRST_SHADE, _LAST_SHADE, len(groups)))
    return {
        group: Style(to_hex(shade), _MARKERS[place % len(_MARKERS)])
        for place, (group, shade) in enumerate(zip(groups, shades, strict=True))
    }
