"""What a table of runs shows and cannot show, in sentences computed from its fits."""

from collections.abc import Mapping, Sequence

from analysis.comparison.compare import Contrast
from analysis.fits.table_fit import TableFit, left_out
from analysis.isoflop.study import IsoFlop
from analysis.report.table_findings import TableFindings
from analysis.tables.measures import compute_warnings
from analysis.uncertainty.flat_optimum import exponent_names
from analysis.uncertainty.interval_text import interval_text
from analysis.wording import count

_MOST_SENTENCES = 4


def table_headline(findings: TableFindings) -> list[str]:
    """The main findings, most important first; one sentence each."""
    sentences = [
        sentence for name in findings.laws for sentence in _law_sentences(findings, findings.of_law(name))
    ]
    sentences += _first(
        [
            _contrast_sentence(contrast, comparison.reference)
            for comparison in findings.comparisons
            for contrast in comparison.contrasts
            if contrast.exponents
        ]
    )
    sentences += _first([_allocation_sentence(one) for one in findings.allocations])
    number = len(findings.table.rows)
    return sentences or [f"The table has {number} runs, and no law could be fitted to them."]


def table_cautions(findings: TableFindings) -> list[str]:
    """What these runs cannot support."""
    found = [
        "Where the runs come from, and how their losses were measured, is known to the table alone: this "
        "page takes its numbers as they are."
    ]
    if beyond := _largest(findings):
        found.append(f"No run that was fitted has more than {beyond}: what a curve says beyond is a guess.")
    if not any(one.fit.noise.deviation for one in findings.fits):
        found.append(
            "No point has two seeds: chance and effect cannot be told apart there, and no lack of fit can be "
            "tested."
        )
    notes = {note for one in findings.fits for note in one.table.notes if "derived" in note}
    found += [f"{note}: it leaves out attention and embeddings." for note in sorted(notes)]
    found += [
        _caution(text, [])
        for text in dict.fromkeys(
            text for one in findings.fits for text in compute_warnings(one.table.measure, one.fit.law.inputs)
        )
    ]
    found += [
        _caution(f"{reason}: this fit uses them all, and predicts none", [group])
        for group, reason in findings.not_held_out.items()
    ]
    warnings: dict[str, dict[str, None]] = {}
    for one in findings.fits:
        said = (*one.fit.warnings, *left_out(one.table))
        of_table = [warning for warning in one.warnings if warning not in said]
        for warning in of_table:
            warnings.setdefault(f"{one.fit.law.name}: {warning}", {})[one.fit.group] = None
    for comparison in findings.comparisons:
        for warning in comparison.warnings:
            warnings.setdefault(warning, {})
        for contrast in comparison.contrasts:
            for warning in contrast.warnings:
                warnings.setdefault(warning, {})[contrast.group] = None
    for study in findings.allocations:
        doubts = [warning for warning in study.warnings if warning not in left_out(study.table)]
        for warning in doubts:
            warnings.setdefault(f"allocation: {warning}", {})[study.group] = None
    return found + [_caution(text, list(groups)) for text, groups in warnings.items()]


def table_facts(findings: TableFindings) -> Mapping[str, str]:
    """The table in a line of figures."""
    rows = findings.table.rows
    found = {"runs": f"{len(rows):,}"}
    if findings.groups:
        found["groups"] = f"{len(findings.groups)}: {', '.join(findings.groups)}"
    for letter, name in findings.table.letters.items():
        if letter not in rows.columns or not rows.schema[letter].is_numeric():
            continue
        values = rows[letter].drop_nulls().drop_nans()
        if len(values):
            low, high = (float(end) for end in (values.to_numpy().min(), values.to_numpy().max()))
            form = count if letter not in "CSL" else "{:.4g}".format
            span = form(low) if low == high else f"{form(low)} to {form(high)}"
            found[f"{name} {letter}"] = f"{span} ({values.n_unique():,} values)"
    return found


def _law_sentences(findings: TableFindings, fits: Sequence[TableFit]) -> list[str]:
    law = fits[0].fit.law
    if not findings.groups:
        return [f"{law.formula}, fitted to {law.n_} runs, has {_estimates(fits[0])}."]
    column = findings.column.replace(",", " and ")
    together = f"{law.formula} is fitted to {len(fits)} groups of runs, told apart by {column}."
    return [
        together,
        *_first([f"{one.fit.group} ({one.fit.law.n_} runs): {_estimates(one)}." for one in fits]),
    ]


def _estimates(one: TableFit) -> str:
    names = (*exponent_names(one.fit.law), *(name for name in ("E",) if name in one.fit.law.parameters))
    return ", ".join(f"{name} = {interval_text(one.fit.intervals[name])}" for name in names) or "no exponent"


def _contrast_sentence(contrast: Contrast, reference: str) -> str:
    parts = []
    for name, difference in contrast.exponents.items():
        shown = interval_text(difference)
        if difference.low is None:
            parts.append(f"{name} differs by {shown}")
        elif difference.excludes_zero:
            parts.append(f"{name} is {'larger' if difference.estimate > 0 else 'smaller'}, by {shown}")
        else:
            parts.append(f"{name} is not measurably different ({shown})")
    return f"{contrast.group} against {reference}: {'; '.join(parts)}."


def _allocation_sentence(study: IsoFlop) -> str:
    of_group = f"{study.group}: the" if study.group else "The"
    exponents = "; ".join(
        f"{interval_text(law.size.exponent)} (approach {law.approach})" for law in study.laws
    )
    return f"{of_group} optimal size grows as C^a, with a = {exponents}."


def _first(sentences: list[str]) -> list[str]:
    more = len(sentences) - _MOST_SENTENCES
    return sentences if more < 1 else [*sentences[:_MOST_SENTENCES], f"{more} more in the tables below."]


def _largest(findings: TableFindings) -> str:
    largest: dict[str, float] = {}
    for one in findings.fits:
        for letter, values in zip(one.fit.law.inputs, one.fit.sample.inputs.T, strict=True):
            if letter in "ND":
                largest[letter] = max(largest.get(letter, 0.0), float(values.max()))
    return " or ".join(
        f"{count(value)} {findings.table.letters[letter]}" for letter, value in largest.items()
    )


def _caution(text: str, groups: list[str]) -> str:
    named = ", ".join(group for group in groups if group)
    return f"{named}: {text}." if named else f"{text[0].upper()}{text[1:]}."
