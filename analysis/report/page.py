"""A page that needs nothing but itself: its templates, style, scripts and what may run."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from plotly.offline import get_plotlyjs

from analysis.charts.files import write_figure
from analysis.charts.plotly_figure import plotly_figure
from analysis.charts.svg import inline_svg
from analysis.numbers_file import write_numbers
from analysis.report.links import csv_link, svg_link
from analysis.report.panel import Panel
from analysis.wording import GREEK, count, greek, significant
from wardlaw import __version__
from wardlaw.files import write_text_atomically

_MINUS = "\N{MINUS SIGN}"
# A number, a letter or what stands in brackets, with its sign.
_EXPONENT = re.compile(r"\^(-?(?:\w+(?:\.\d+)?|\([^()]*\)))")
# A sign and no hyphen: what follows is a number, a letter of a formula or a bracket.
_NEGATIVE = re.compile(rf"(?<![\w-])-(?=[\d({''.join(GREEK.values())}]|\w(?:\b|_))|(?<= )-(?= )")

PAGE, NUMBERS, FIGURES = "report.html", "report.json", "figures"


def render_page(template: str, panels: Sequence[Panel], **context: Any) -> str:
    """The HTML of a template that extends ``page.html``.

    Parameters
    ----------
    template : str
        File beside this one.
    panels : sequence of Panel
    **context
        What the template says besides.
    """
    environment = Environment(
        loader=PackageLoader("analysis.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": count,
        "significant": significant,
        "mathematics": mathematics,
        "csv_link": csv_link,
        "svg_link": svg_link,
        "static": _static,
        "interactive": _interactive,
    }
    scripts = (get_plotlyjs(), _beside("charts.js")) if any(panel.chart for panel in panels) else ()
    return environment.get_template(template).render(
        panels=panels,
        version=__version__,
        css=Markup(_beside("report.css")),
        scripts=[Markup(script) for script in scripts],
        script_hashes=[_hash(script) for script in scripts],
        **context,
    )


def write_page(page: str, numbers: Mapping[str, Any], panels: Sequence[Panel], out: Path) -> Path:
    """Write ``report.html``, ``report.json`` and ``figures/<key>`` as PDF, SVG and PNG; the page's path."""
    write_text_atomically(out / PAGE, page)
    write_numbers(out / NUMBERS, numbers)
    for panel in panels:
        if panel.chart:
            write_figure(panel.chart, out / FIGURES, panel.key)
    return out / PAGE


def mathematics(text: str) -> Markup:
    """A formula or a sentence with one, with raised exponents, Greek letters and minus signs."""
    raised = _EXPONENT.sub(_raise, greek(str(escape(text))))
    return Markup(_NEGATIVE.sub(_MINUS, raised))


def _raise(exponent: re.Match[str]) -> str:
    """An exponent without the brackets that raising it makes idle."""
    raised = exponent[1].removeprefix("(").removesuffix(")") if exponent[1][0] == "(" else exponent[1]
    return f"<sup>{raised.replace('-', _MINUS)}</sup>"


def _static(panel: Panel) -> Markup:
    return Markup(inline_svg(panel.svg, panel.key, panel.chart.label)) if panel.chart else Markup()


def _interactive(panel: Panel) -> Markup:
    """JSON of what plotly.js draws, in which no ``<`` can end the script that holds it."""
    figure = plotly_figure(panel.chart) if panel.chart else {}
    return Markup(json.dumps(figure, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"))


def _beside(name: str) -> str:
    return (resources.files("analysis.report") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What the Content-Security-Policy knows a script by."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
