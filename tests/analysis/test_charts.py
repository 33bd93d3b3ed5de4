"""Charts as data: both renderers draw the same numbers, in colours that a page can replace."""

import json
import re

import numpy as np
import plotly.graph_objects
import pytest

from analysis.charts.chart import Axis, Chart, Facet, Reference
from analysis.charts.colours import INK
from analysis.charts.files import write_figure
from analysis.charts.hover import hover_texts
from analysis.charts.matplotlib_figure import draw_chart
from analysis.charts.plotly_figure import plotly_figure
from analysis.charts.series import Band, Intervals, Line, Points
from analysis.charts.styles import group_styles, ordered_styles
from analysis.charts.svg import inline_svg, svg_text

X = np.array([1e4, 1e5, 1e6])
Y = np.array([3.0, 2.5, 2.2])
GROUPS = ["A <b>", "B"]


@pytest.fixture
def chart():
    size = Axis("Parameters N", "log", counts=True, values=tuple(X))
    series = (
        Band("B", X, Y - 0.1, Y + 0.1),
        Line("B", X, Y),
        Line("B", X * 2, Y - 0.2, dotted=True),
        Points("B", X, Y, ("seed 0", "seed 1", "seed 2")),
        Intervals(GROUPS[0], X, Y + 1, Y + 0.8, np.array([4.3, np.nan, 3.3]), joined=True, aside=1.05),
    )
    sites = Intervals("B", Y, np.array([0.0, 1.0, 2.0]), Y - 0.1, Y + 0.1, along="x")
    facets = (
        Facet(size, Axis("Loss"), series, "first", (Reference(1.9, "floor"),)),
        Facet(Axis("Loss"), Axis("", names=("x", "y", "z")), (sites,), "second"),
    )
    return Chart("Loss, by arm", facets, group_styles(GROUPS), share_x=False, share_y=False)


def test_both_renderers_draw_the_same_numbers(chart):
    figure = draw_chart(chart)
    drawn = plotly_figure(chart)
    plotly.graph_objects.Figure({name: drawn[name] for name in ("data", "layout")})
    first = figure.axes[0]
    np.testing.assert_array_equal(first.lines[2].get_xdata(), X)
    points = next(trace for trace in drawn["data"] if trace.get("mode") == "markers")
    np.testing.assert_array_equal(points["x"], first.lines[2].get_xdata())
    np.testing.assert_array_equal(points["y"], first.lines[2].get_ydata())
    intervals = next(trace for trace in drawn["data"] if "error_y" in trace)
    np.testing.assert_allclose(intervals["x"], 1.05 * X)
    np.testing.assert_allclose(intervals["error_y"]["array"], [0.3, 0.0, 0.1], atol=1e-12)
    assert first.get_xscale() == drawn["layout"]["xaxis"]["type"] == "log"
    assert [text.get_text() for text in figure.axes[1].get_yticklabels()] == ["x", "y", "z"]
    names = drawn["layout"]["yaxis2"]
    assert names["ticktext"] == ["x", "y", "z"]
    # With a range on it, plotly.js would not find one for the other axis.
    assert "range" not in names


def test_each_group_has_one_key_and_all_its_traces(chart):
    traces = plotly_figure(chart)["data"]
    keys = [trace for trace in traces if trace["showlegend"]]
    assert sorted(trace["legendgroup"] for trace in keys) == sorted(GROUPS)
    assert all("marker" in trace for trace in keys)
    assert {trace["legendgroup"] for trace in traces} == set(GROUPS)
    assert "<b>" not in json.dumps([trace["name"] for trace in traces])


def test_pointing_at_a_mark_gives_its_exact_values(chart):
    facet = chart.facets[0]
    texts = hover_texts(facet.series[3], facet)
    assert texts[1] == "<b>B</b><br>Parameters N: 100,000<br>Loss: 2.50000<br>seed 1"
    ends = hover_texts(facet.series[4], facet)
    assert ends[0].startswith("<b>A &lt;b&gt;</b><br>Parameters N: 10,000")
    assert ends[0].endswith("interval 3.80000 to 4.30000")
    assert ends[1].endswith("no interval")


def test_a_page_lends_the_figure_its_colours_and_hears_its_label(chart):
    svg = svg_text(draw_chart(chart), "loss")
    inline = inline_svg(svg, "loss", "Loss, by <arm>")
    assert INK in svg
    assert INK not in inline
    assert "var(--ink)" in inline
    assert 'role="img" aria-label="Loss, by &lt;arm&gt;"' in inline
    ids = re.findall(r'\sid="([^"]+)"', inline)
    assert len(ids) == len(set(ids))
    assert all(name.startswith("loss-") for name in ids)
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', inline))
    assert used <= set(ids)


def test_files_are_the_same_bytes_each_time(chart, tmp_path):
    for folder in ("a", "b"):
        write_figure(chart, tmp_path / folder, "loss")
    for kind, start in (("pdf", b"%PDF"), ("svg", b"<?xml"), ("png", b"\x89PNG")):
        first, second = ((tmp_path / folder / f"loss.{kind}").read_bytes() for folder in ("a", "b"))
        assert first == second
        assert first.startswith(start)


def test_groups_differ_by_marker_too_where_colours_repeat():
    styles = group_styles([str(number) for number in range(16)])
    assert len(set(styles.values())) == 16
    assert len({style.colour for style in ordered_styles(["1", "2", "3"]).values()}) == 3


@pytest.mark.parametrize(("facets", "columns", "rows"), [(1, 1, 1), (4, 4, 1), (5, 3, 2), (7, 4, 2)])
def test_facets_are_arranged_with_few_gaps(facets, columns, rows):
    facet = Facet(Axis("x"), Axis("y"), (Points("", X, Y),))
    chart = Chart("", (facet,) * facets, group_styles([""]))
    assert (chart.columns, chart.rows) == (columns, rows)
    assert chart.legend == {}
