"""What a reader of an IsoFLOP study should doubt."""

from collections.abc import Iterator, Sequence

import polars as pl

from analysis.fits.table_fit import left_out
from analysis.isoflop.bias import Bias
from analysis.isoflop.budgets import FLOPS_PER_TOKEN
from analysis.isoflop.optima import Optima
from analysis.isoflop.power_laws import PowerLaws
from analysis.tables.run_table import RunTable
from analysis.wording import significant

_LEVEL = 0.05
_FEW_DEGREES = 10
_BY_CONSTRUCTION = 1e-6


def describe_tokens(rows: pl.DataFrame) -> str:
    """Whether the tokens are C / (6 N), so that a + b = 1 whatever the losses say."""
    low, high = _flops_per_token(rows)
    if max(high / FLOPS_PER_TOKEN, FLOPS_PER_TOKEN / low) < 1 + _BY_CONSTRUCTION:
        return "D is C / (6 N) in every run, so D* is C / (6 N*) and a + b = 1 by construction"
    return (
        f"D* is read off the runs' own tokens; C / (N D) is {low:.3g} to {high:.3g}, so a + b need not be 1"
    )


def caution_study(
    table: RunTable, optima: Optima, laws: Sequence[PowerLaws], bias: Bias | None
) -> Iterator[str]:
    """Warnings of a study, the gravest first."""
    accepted = optima.accepted
    if refused := int((~accepted).sum()):
        yield f"{refused} of {len(accepted)} budgets have no optimum inside their sizes and are left out"
    if accepted.sum() == 2:
        yield "two optima: the power laws of approach 2 pass through them whatever the law"
    degrees = optima.degrees[accepted]
    if accepted.any() and optima.replicates is None:
        yield "no budget has a run to spare: parabolas pass through every run, and nothing has an interval"
    elif accepted.any() and degrees.min() < _FEW_DEGREES:
        yield f"intervals of optima rest on {int(degrees.min())} degrees of freedom and more"
    yield from _cut_intervals(optima)
    for law in laws:
        if law.size.slopes is None and optima.replicates is not None:
            yield f"{law.approach}: no interval: too few runs, or too many of their draws without an optimum"
        if law.excess_p is not None and law.excess_p < _LEVEL:
            yield (
                f"{law.approach}: the optima lie further off the line than the noise of the losses explains "
                f"(p = {law.excess_p:.2g}): believe the interval by scatter"
            )
    if table.rows["run"].n_unique() < len(table.rows):
        yield "runs stand in the table with several checkpoints; approach 2 takes them as independent"
    low, high = _flops_per_token(table.rows)
    if bias and max(high / FLOPS_PER_TOKEN, FLOPS_PER_TOKEN / low) > 1.01:
        yield "the closed form of approach 3 assumes C = 6 N D, which the runs do not keep to within 1 %"
    if bias and bias.outside:
        yield f"on the fitted surface {bias.outside} budgets have their optimum outside their sizes"
    yield from left_out(table)


def _cut_intervals(optima: Optima) -> Iterator[str]:
    """Budgets of which too many replicates have their minimum at an end of the sizes."""
    if optima.replicates is None:
        return
    low, high = optima.budgets.ends
    drawn = optima.replicates.log_size
    cut = optima.accepted & (((drawn <= low) | (drawn >= high)).mean(axis=0) > _LEVEL / 2)
    if cut.any():
        named = ", ".join(significant(float(flops)) for flops in optima.budgets.compute[cut])
        yield f"intervals of N* and D* are cut at an end of the sizes in the budgets {named}"


def _flops_per_token(rows: pl.DataFrame) -> tuple[float, float]:
    size, tokens, compute = (rows[name].cast(pl.Float64).to_numpy() for name in "NDC")
    ratio = compute / (size * tokens)
    return float(ratio.min()), float(ratio.max())
