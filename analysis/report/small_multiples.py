"""Small multiples: a facet an arm and a line a size."""

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from analysis.charts.chart import Axis, Chart, Facet
from analysis.charts.series import Line, Points, Series, floats
from analysis.charts.styles import ordered_styles
from analysis.report.figures import in_order
from analysis.wording import count


def chart_training(curves: pl.DataFrame, across: str, up: Mapping[str, Axis]) -> Chart:
    """Training loss against tokens, a facet an arm and a line a size.

    Parameters
    ----------
    curves : polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``loss`` (mean over replicas and seeds).
    across : str
        What tokens are.
    up : dict of str to Axis
        Of the loss, by arm.
    """

    def draw(arm: str, size: int) -> list[Series]:
        curve = _of(curves, arm, size)
        return [Line(count(size), floats(curve, "tokens"), floats(curve, "loss"))]

    return _facet_an_arm(
        f"Training loss against {across}, by arm and size",
        curves,
        draw,
        Axis(f"{across.capitalize()} trained on, all replicas together", counts=True),
        up,
    )


def chart_loss_by_tokens(
    points: pl.DataFrame, curves: pl.DataFrame, across: str, up: Mapping[str, Axis]
) -> Chart:
    """Loss against tokens at each size with the fitted L(N, D), a facet an arm.

    Parameters
    ----------
    points, curves : polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``loss``.
    across : str
        What tokens are.
    up : dict of str to Axis
        Of the loss, by arm.
    """

    def draw(arm: str, size: int) -> list[Series]:
        run, curve = _of(points, arm, size), _of(curves, arm, size)
        return [
            Line(count(size), floats(curve, "tokens"), floats(curve, "loss")),
            Points(count(size), floats(run, "tokens"), floats(run, "loss")),
        ]

    return _facet_an_arm(
        f"Loss against {across}, by size and arm",
        curves,
        draw,
        Axis(
            f"{across.removesuffix('s').capitalize()} budget D",
            "log",
            counts=True,
            values=tuple(floats(points, "tokens")),
        ),
        up,
    )


def chart_sweep(table: pl.DataFrame, setting: str, up: str) -> Chart:
    """Loss above the lowest of each size against the values of a setting, a facet an arm.

    Parameters
    ----------
    table : polars.DataFrame
        ``arm``, ``parameters``, ``value`` (text), ``percent``.
    setting : str
        Name of the setting.
    up : str
        Label of the loss above the lowest.
    """
    ordered = table.sort(pl.col("value").cast(pl.Float64, strict=False), "value")
    values: list[str] = ordered["value"].unique(maintain_order=True).to_list()
    placed = table.with_columns(place=pl.col("value").replace_strict(values, range(len(values))))

    def draw(arm: str, size: int) -> list[Series]:
        tried = _of(placed, arm, size).sort("place")
        x, y = floats(tried, "place"), floats(tried, "percent")
        return [Line(count(size), x, y), Points(count(size), x, y)]

    return _facet_an_arm(
        f"Loss against {setting}, by arm and size",
        table,
        draw,
        Axis(setting, names=tuple(values)),
        dict.fromkeys(in_order(table), Axis(up)),
    )


def _of(table: pl.DataFrame, arm: str, size: int) -> pl.DataFrame:
    return table.filter((pl.col("arm") == arm) & (pl.col("parameters") == size))


def _sizes(table: pl.DataFrame, arm: str) -> list[int]:
    sizes: list[int] = sorted(table.filter(pl.col("arm") == arm)["parameters"].unique())
    return sizes


def _facet_an_arm(
    label: str,
    table: pl.DataFrame,
    draw: Callable[[str, int], Sequence[Series]],
    x: Axis,
    up: Mapping[str, Axis],
) -> Chart:
    """Small multiples: ``draw(arm, size)`` for each arm's facet and each size.

    Facets share the range of the loss where all have the same axis.
    """
    facets = (
        Facet(x, up[arm], tuple(one for size in _sizes(table, arm) for one in draw(arm, size)), arm)
        for arm in in_order(table)
    )
    styles = ordered_styles([count(size) for size in sorted(table["parameters"].unique())])
    return Chart(label, tuple(facets), styles, share_y=len(set(up.values())) == 1, unit="parameters")
