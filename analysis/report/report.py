"""The report of a study of run records: one HTML page that needs nothing else, and its numbers as JSON."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from analysis.report.cautions import cautions
from analysis.report.findings import Findings, analyse
from analysis.report.fit_tables import fit_tables, refused, seed_noise_text
from analysis.report.loss_words import apart, loss_headings, measured, pooled
from analysis.report.page import render_page, write_page
from analysis.report.panel import Panel
from analysis.report.panels import build_panels
from analysis.report.sentences import data_label, headline, interval_method
from analysis.report.tables import run_table
from analysis.tables.records import Runs, load_runs
from analysis.uncertainty.intervals import DEFAULT_REPLICATES, DEFAULT_SEED
from analysis.wording import count
from wardlaw import __version__


@dataclass(frozen=True)
class Report:
    """A study's runs, what they show, and the figures."""

    title: str
    runs: Runs
    findings: Findings
    panels: tuple[Panel, ...]

    def to_json(self) -> dict[str, Any]:
        """Every number on the page."""
        findings, label = self.findings, data_label(self.runs)
        return {
            "wardlaw": __version__,
            "title": self.title,
            "data": {"kind": label[0], "note": label[1]},
            "digest": digest(self.runs),
            "facts": facts(self.runs),
            "headline": headline(self.runs, findings),
            "cautions": cautions(self.runs, findings),
            "loss": findings.loss,
            "interval_method": interval_method(findings),
            "drawn": {arm: fit.law.name for arm, fit in findings.curves.items()},
            "fits": [fit.to_json() for fit in findings.fits],
            "not_fitted": [asdict(refusal) for refusal in findings.refusals],
            "exponent_differences": {arm: asdict(value) for arm, value in findings.differences.items()},
            "privacy": findings.privacy.to_json(),
            "families": [one.to_json() for one in findings.families],
            "gap_closed_percent": {arm: asdict(value) for arm, value in findings.closed.items()},
            "at_home": [asdict(compared) for compared in findings.at_home],
            "largest_common_size": _only(findings.largest.values()),
            "models": [
                asdict(peers) | {"largest_common_size": findings.largest.get(peers.name)}
                for peers in self.runs.peers
            ],
            "oracle": asdict(self.runs.oracle) if self.runs.oracle else None,
            "figures": {
                panel.key: {name: table.to_dicts() for name, table in panel.data.items()}
                for panel in self.panels
            },
            "runs": self.runs.table.to_dicts(),
            "left_out": [asdict(left_out) for left_out in self.runs.left_out],
            "environments": environments(self.runs),
        }


def build_report(
    folder: Path,
    *,
    title: str = "",
    unit: str = "token",
    replicates: int = DEFAULT_REPLICATES,
    seed: int = DEFAULT_SEED,
) -> Report:
    """Read a folder of run records, fit, compare and draw.

    Parameters
    ----------
    folder : Path
        Run records at any depth; an ``oracle.json`` beside them is drawn.
    title : str
        Of the page; where empty the folder's name, or its parent's if the folder is called ``runs``.
    unit : {"token", "event"}
    replicates, seed : int
        Of the bootstrap.
    """
    runs = load_runs(folder)
    findings = analyse(runs, unit=unit, replicates=replicates, seed=seed)
    panels = tuple(build_panels(runs, findings))
    return Report(title or _default_title(folder.resolve()), runs, findings, panels)


def write_report(report: Report, out: Path) -> Path:
    """Write ``report.html``, ``report.json`` and the folder ``figures``; the page's path."""
    return write_page(render(report), report.to_json(), report.panels, out)


def render(report: Report) -> str:
    """The page's HTML."""
    findings, runs = report.findings, report.runs
    kind, note = data_label(runs)
    return render_page(
        "study.html",
        report.panels,
        title=report.title,
        digest=digest(runs),
        kind=kind,
        note=note,
        facts=facts(runs),
        headline=headline(runs, findings),
        cautions=cautions(runs, findings),
        grouped_by="Arm",
        fit_tables=fit_tables(findings.fits, tuple(findings.curves.values()), apart(runs)),
        refusals=refused(findings.refusals),
        unit=findings.unit,
        counted=runs.counted,
        apart=apart(runs),
        measured=measured(runs, findings.unit),
        pooled=pooled(runs, findings.unit),
        loss_headings=loss_headings(runs),
        models=runs.models,
        evaluated=runs.evaluated,
        differing=_differing_text(runs),
        method=interval_method(findings),
        seed_noise=seed_noise_text(findings),
        oracle=runs.oracle,
        runs=runs.table.to_dicts(),
        run_table=run_table(runs),
        left_out=runs.left_out,
        environments=environments(runs),
        drawn={arm: fit.law.name for arm, fit in findings.curves.items()},
    )


def facts(runs: Runs) -> dict[str, str]:
    """The study in a line of figures."""
    table = runs.table
    columns = {
        name: table[name].to_numpy()
        for name in ("parameters", "tokens", "trained_tokens", "unique_tokens", "epochs", "sites")
    }
    spans = {name: _span(values.min(), values.max()) for name, values in columns.items()}
    return {
        "runs": str(len(table)),
        "arms": _arms(runs),
        "model sizes": f"{table['parameters'].n_unique()} ({spans['parameters']} parameters)",
        "seeds": ", ".join(str(seed) for seed in sorted(table["seed"].unique())),
        "sites": spans["sites"],
        "patients evaluated": ", ".join(f"{n:,}" for n in sorted(table["patients"].unique())),
        f"{runs.counted.removesuffix('s')} budget": spans["tokens"],
        f"{runs.counted} trained on": spans["trained_tokens"],
        f"unique {runs.counted}": spans["unique_tokens"],
        "epochs": spans["epochs"],
    }


def _only(sizes: Collection[tuple[int, int]]) -> tuple[int, int] | None:
    """The largest common size of a study of one model."""
    return next(iter(sizes)) if len(sizes) == 1 else None


def _default_title(folder: Path) -> str:
    return folder.parent.name if folder.name == "runs" else folder.name


def _differing_text(runs: Runs) -> str:
    """Settings that arms do not share, with the values of each."""
    return "; ".join(
        f"{key.split('.')[-1]} ({', '.join(f'{arm} {value[:12]}' for arm, value in values.items())})"
        for key, values in runs.differing.items()
        if key not in {setting for settings in runs.splitting.values() for setting in settings}
    )


def environments(runs: Runs) -> list[dict[str, Any]]:
    """Machines and versions that the runs ran on, with how many runs each."""
    counts = Counter(
        json.dumps(record.environment, sort_keys=True, default=str) for record in runs.records.values()
    )
    return [{"runs": number, **json.loads(text)} for text, number in counts.most_common()]


def digest(runs: Runs) -> str:
    """SHA-256 over the runs' fingerprints: the same digest, the same experiments."""
    return hashlib.sha256("\n".join(sorted(runs.table["fingerprint"])).encode()).hexdigest()


def _arms(runs: Runs) -> str:
    """The arms; where settings or noise split many from few, only the few, and what splits them."""
    if not runs.splitting:
        return "; ".join([*runs.surfaces, *filter(None, [_noise_levels(runs)])])
    settings = sorted({key.split(".")[-1] for keys in runs.splitting.values() for key in keys})
    bases = runs.table["base_arm"].unique(maintain_order=True)
    noise = ["S"] if _noise_levels(runs) else []
    return f"{len(runs.arms)}: {', '.join(bases)}, by {' and '.join([*settings, *noise])}"


def _noise_levels(runs: Runs) -> str:
    """Noise-batch ratios of the private runs; empty without any."""
    private = runs.table.filter(pl.col("noise") != "").sort("noise_batch_ratio")
    levels = private["noise"].str.strip_prefix("S = ").unique(maintain_order=True)
    return f"private at S = {', '.join(levels)}" if len(levels) else ""


def _span(low: float, high: float) -> str:
    first, last = count(low), count(high)
    return first if first == last else f"{first} to {last}"
