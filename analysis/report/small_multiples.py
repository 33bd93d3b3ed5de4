"""Small multiples: a facet an arm and a line a size."""

from collections.abc import Callable, Sequence

import polars as pl

from analysis.charts.chart import Axis, Chart, Facet
from analysis.charts.series import Line, Points, Series, floats
from analysis.charts.styles import ordered_styles
from analysis.report.figures import in_order
from analysis.wording import count


def chart_training(curves: pl.DataFrame) -> Chart:
    """Training loss against tokens, a facet an arm and a line a size.

    Parameters
    ----------
    curves : polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``loss`` (mean over replicas and seeds).
    """

    def draw(arm: str, size: int) -> list[Series]:
        curve = _of(curves, arm, size)
        return [Line(count(size), floats(curve, "tokens"), floats(curve, "loss"))]

    return _facet_an_arm(
        "Training loss against tokens, by arm and size",
        curves,
        draw,
        Axis("Tokens trained on, all replicas together", counts=True),
        Axis("Training loss (nats per token)"),
    )


def chart_loss_by_tokens(points: pl.DataFrame, curves: pl.DataFrame, up: str) -> Chart:
    """Loss against tokens at each size with the fitted L(N, D), a facet an arm.

    Parameters
    ----------
    points, curves : polars.DataFrame
        ``arm``, ``parameters``, ``tokens``, ``loss``.
    up : str
        Label of the loss.
    """

    def draw(arm: str, size: int) -> list[Series]:
        run, curve = _of(points, arm, size), _of(curves, arm, size)
        return [
            Line(count(size), floats(curve, "tokens"), floats(curve, "loss")),
            Points(count(size), floats(run, "tokens"), floats(run, "loss")),
        ]

    return _facet_an_arm(
        "Loss against tokens, by size and arm",
        curves,
        draw,
        Axis("Token budget D", "log", counts=True, values=tuple(floats(points, "tokens"))),
        Axis(up),
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
        f"Loss against {setting}, by arm and size", table, draw, Axis(setting, names=tuple(values)), Axis(up)
    )


def _of(table: pl.DataFrame, arm: str, size: int) -> pl.DataFrame:
    return table.filter((pl.col("arm") == arm) & (pl.col("parameters") == size))


def _facet_an_arm(
    label: str, table: pl.DataFrame, draw: Callable[[str, int], Sequence[Series]], x: Axis, y: Axis
) -> Chart:
    """Small multiples: ``draw(arm, size)`` for each arm's facet and each size."""
    sizes = sorted(table["parameters"].unique())
    facets = (
        Facet(x, y, tuple(one for size in sizes for one in draw(arm, size)), arm) for arm in in_order(table)
    )
    styles = ordered_styles([count(size) for size in sizes])
    return Chart(label, tuple(facets), styles, unit="parameters")
