"""The report of any table of runs: one HTML page that needs nothing else, and its numbers as JSON."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from analysis.report.comparison_panels import comparison_panels
from analysis.report.fit_tables import fit_tables, refused
from analysis.report.isoflop_panels import isoflop_panels
from analysis.report.law_panels import law_panels
from analysis.report.page import render_page, write_page
from analysis.report.panel import Panel
from analysis.report.sentences import kind_label
from analysis.report.table_findings import TableFindings, TableRequest, analyse_table
from analysis.report.table_sentences import table_cautions, table_facts, table_headline
from analysis.tables.columns import LETTERS
from analysis.tables.records import LeftOut
from analysis.tables.run_table import RunTable
from wardlaw import __version__


@dataclass(frozen=True)
class TableReport:
    """A table's runs, what they show, and the figures."""

    title: str
    asked: TableRequest
    findings: TableFindings
    panels: tuple[Panel, ...]

    @property
    def source(self) -> str:
        """Name of the file or folder that the runs came from."""
        return Path(self.findings.table.source).name

    @property
    def label(self) -> tuple[str, str]:
        """Kind of data and the sentence that says so: what a column ``synthetic`` says, else nothing."""
        rows = self.findings.table.rows
        if "synthetic" in rows.columns and rows.schema["synthetic"] == pl.Boolean:
            return kind_label(set(rows["synthetic"]))
        return "data", f"as given in {self.source}; no column says whether its patients or texts are real."

    @property
    def dropped(self) -> tuple[LeftOut, ...]:
        """Rows that some fit does not use, and the reasons."""
        fits = self.findings.fits
        listed = (run for one in fits for run in one.table.dropped)
        return tuple(dict.fromkeys((*self.findings.table.dropped, *listed)))

    @property
    def notes(self) -> tuple[str, ...]:
        """How letters were counted and rows filtered."""
        of_group = f"{self.findings.column} is "
        of_fits = (
            note for one in self.findings.fits for note in one.table.notes if not note.startswith(of_group)
        )
        return tuple(dict.fromkeys((*self.findings.table.notes, *of_fits)))

    @property
    def shown(self) -> pl.DataFrame:
        """The rows by their letters, for reading."""
        rows = self.findings.table.rows
        columns = ["run", self.findings.column, "seed", *LETTERS]
        return rows.select(name for name in dict.fromkeys(columns) if name in rows.columns)

    def to_json(self) -> dict[str, Any]:
        """Every number on the page."""
        findings = self.findings
        kind, note = self.label
        return {
            "wardlaw": __version__,
            "title": self.title,
            "source": self.source,
            "data": {"kind": kind, "note": note},
            "asked": asdict(self.asked),
            "facts": table_facts(findings),
            "headline": table_headline(findings),
            "cautions": table_cautions(findings),
            "notes": self.notes,
            "fits": [one.to_json() for one in findings.fits],
            "not_fitted": [asdict(refusal) for refusal in findings.refusals],
            "comparisons": [
                {key: value for key, value in comparison.to_json().items() if key != "fits"}
                for comparison in findings.comparisons
            ],
            "allocations": [study.to_json() for study in findings.allocations],
            "figures": {
                panel.key: {name: table.to_dicts() for name, table in panel.data.items()}
                for panel in self.panels
            },
            "left_out": [asdict(run) for run in self.dropped],
        }


def build_table_report(table: RunTable, asked: TableRequest, *, title: str = "") -> TableReport:
    """Fit, compare and draw a table of runs.

    Parameters
    ----------
    table : RunTable
        Filtered as it is to be reported.
    asked : TableRequest
    title : str
        Of the page; where empty the name of the table's file.

    Raises
    ------
    RecordError
        If a law that was asked for lacks a column.
    """
    findings = analyse_table(table, asked)
    panels = (
        *law_panels(findings),
        *isoflop_panels(findings.allocations),
        *comparison_panels(findings.comparisons),
    )
    return TableReport(title or Path(table.source).stem, asked, findings, panels)


def write_table_report(report: TableReport, out: Path) -> Path:
    """Write ``report.html``, ``report.json`` and the folder ``figures``; the page's path."""
    return write_page(render_table(report), report.to_json(), report.panels, out)


def render_table(report: TableReport) -> str:
    """The page's HTML."""
    findings = report.findings
    kind, note = report.label
    return render_page(
        "table.html",
        report.panels,
        title=report.title,
        source=report.source,
        kind=kind,
        note=note,
        facts=table_facts(findings),
        headline=table_headline(findings),
        cautions=table_cautions(findings),
        notes=report.notes,
        grouped_by=findings.column,
        fit_tables=fit_tables([one.fit for one in findings.fits], ()),
        refusals=refused(findings.refusals),
        holdouts=[one for one in findings.fits if one.holdout],
        left_out=report.dropped,
        rows=findings.table.rows.select(pl.exclude(pl.List, pl.Struct, pl.Array, pl.Object)),
        shown=report.shown,
        replicates=findings.replicates,
    )
