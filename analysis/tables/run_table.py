"""A table of runs by letters, whatever it was read from, with what was left out of it and why."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import polars as pl

from analysis.tables.columns import LETTERS, below_least, derive_letters, name_letters, no_number
from analysis.tables.measures import Measure
from analysis.tables.noise_axis import on_the_surface
from analysis.tables.records import LOSSES, LeftOut, load_runs
from wardlaw.errors import RecordError

_READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    # All rows tell a column's type: sizes may be whole numbers in the first hundred only.
    ".csv": partial(pl.read_csv, infer_schema_length=None, null_values=["nan", "-nan", "NA", "N/A", "n/a"]),
    ".parquet": pl.read_parquet,
}

# Nothing that is measured lies beyond it, and products and powers of what does overflow.
_LARGEST = 1e100


@dataclass(frozen=True)
class RunTable:
    """Runs by letters.

    Attributes
    ----------
    rows : polars.DataFrame
        ``run``, a column for each letter that is known (see ``columns.LETTERS``), ``seed`` if known,
        and every column of the source under its own name.
    dropped : tuple of LeftOut
        Rows that no figure uses, and the reason of each.
    notes : tuple of str
        How letters were counted and rows filtered.
    source : str
    group : str
        Column that splits the runs into groups where nobody says another; empty if none.
    surface : str
        Column that does so for laws that read the noise-batch ratio S; ``group`` if empty.
    measures : dict of str to Measure
        What the losses of run records are counted in, by their ``objective``; empty of other tables.
    unit : {"token", "event"}
        Which of their losses L is.
    """

    rows: pl.DataFrame
    dropped: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    source: str
    group: str = ""
    surface: str = ""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    unit: str = "token"

    @property
    def group_name(self) -> str:
        """Value that all rows share of the column that tells groups apart; empty without one."""
        if not self.group or self.rows[self.group].n_unique() != 1:
            return ""
        return str(self.rows[self.group][0])

    def groups_for(self, inputs: Collection[str]) -> str:
        """Column that tells groups apart for a law of these inputs: without S, also by S."""
        return self.surface if self.surface and "S" in inputs else self.group

    @property
    def objectives(self) -> tuple[str, ...]:
        """Objectives of run records, whose losses are not to be compared; empty of other tables."""
        return tuple(self.rows["objective"].unique(maintain_order=True)) if self.measures else ()

    @property
    def measure(self) -> Measure | None:
        """What all losses are counted in; None where they differ, or nobody says."""
        return self.measures[self.objectives[0]] if len(self.objectives) == 1 else None

    @property
    def letters(self) -> dict[str, str]:
        """What each letter is, in words."""
        if self.measure is None or self.measure.sample == "token":
            return LETTERS
        samples = {letter: LETTERS[letter].replace("token", self.measure.sample) for letter in "DU"}
        return LETTERS | samples | {"L": f"loss ({self.measure.per(self.unit)})"}

    @property
    def measured(self) -> str:
        """What L is counted in: ``nats a token`` where nobody says otherwise."""
        measure = self.measure
        if measure is None or measure.sample == "token":
            return "nats a token"
        return f"{measure.scale} a {measure.word(self.unit)}"

    def check_one_objective(self, where: str) -> None:
        """Refuse run records of several objectives.

        Raises
        ------
        RecordError
        """
        if len(self.objectives) > 1:
            raise RecordError(
                f"these runs have several objectives ({'; '.join(self.objectives)}), whose losses cannot be "
                "compared",
                where=where,
                remedy=f"Choose one with --where \"objective = '{self.objectives[0]}'\"",
            )

    def check_column(self, name: str, where: str) -> None:
        """Refuse a column that is not there.

        Parameters
        ----------
        name : str
        where : str
            Option that names the column.

        Raises
        ------
        RecordError
        """
        if name not in self.rows.columns:
            raise RecordError(
                f"there is no column '{name}'",
                where=where,
                remedy=f"Use one of {', '.join(self.rows.columns)}",
            )

    def column(self, name: str, where: str) -> pl.Series:
        """Numbers of a column, in float64; ``where`` as in ``check_column``.

        Raises
        ------
        RecordError
            If the column is not there, or holds something else than numbers.
        """
        self.check_column(name, where)
        values = self.rows[name]
        if not values.dtype.is_numeric() and values.null_count() < len(values):
            raise RecordError(
                f"{name} is not a column of numbers (it has {no_number(values)!r})",
                where=where,
                remedy="Mend the values, or name another column",
            )
        return values.cast(pl.Float64)

    def with_numbers(self, name: str, where: str) -> "RunTable":
        """Without the rows that have no usable number in a column; each is dropped with its reason.

        Raises
        ------
        RecordError
            As ``column`` does.
        """
        self.column(name, where)
        value = pl.col(name).cast(pl.Float64)
        return (
            self.without(value.is_null(), f"{name} is missing")
            .without(value.is_nan(), f"{name} is not a number")
            .without(value.is_infinite(), f"{name} is infinite")
            .without(value.abs() > _LARGEST, f"{name} is beyond {_LARGEST:g}")
            .without(value.abs().is_between(0, 1 / _LARGEST, closed="none"), f"{name} is all but 0")
        )

    def require(self, letters: Sequence[str]) -> "RunTable":
        """Without the rows that lack one of these letters; each is dropped with its reason.

        Raises
        ------
        RecordError
            If a letter is not known at all, or no row is left.
        """
        if missing := [letter for letter in letters if letter not in self.rows.columns]:
            raise RecordError(
                f"there is no column for {', '.join(missing)}",
                where=self.source,
                remedy=f"Name it with --columns {missing[0]}=...; there is {', '.join(self.rows.columns)}",
            )
        kept = self
        for letter in letters:
            kept = kept.with_numbers(letter, f"{self.source}, --columns {letter}=...")
            kept = kept.without(below_least(letter), f"{letter} is not positive")
        if kept.rows.is_empty():
            first = f" (the first, {kept.dropped[0].run}: {kept.dropped[0].reason})" if kept.dropped else ""
            raise RecordError(f"no run is left{first}", where=self.source)
        return kept

    def without(self, rows: pl.Expr, reason: str) -> "RunTable":
        """Without some rows, which are listed with the reason."""
        out = self.rows.filter(rows.fill_null(value=False))
        if out.is_empty():
            return self
        listed = tuple(LeftOut(str(run), reason) for run in out["run"])
        return replace(
            self,
            rows=self.rows.filter(~rows.fill_null(value=False)),
            dropped=(*self.dropped, *listed),
        )

    def noting(self, *notes: str) -> "RunTable":
        """With more notes."""
        return replace(self, notes=(*self.notes, *notes))


def read_runs(path: Path | str, columns: Mapping[str, str] | None = None, *, unit: str = "token") -> RunTable:
    """Read a folder of run records, or a CSV or Parquet table of runs.

    Parameters
    ----------
    path : Path or str
    columns : dict of str to str, optional
        Column of each letter, where it is not called so.
    unit : {"token", "event"}
        Loss of run records.

    Raises
    ------
    RecordError
        If there is nothing to read, or a named column is absent.
    """
    path = Path(path)
    if path.is_dir():
        return _from_records(path, columns or {}, unit)
    if not path.exists():
        raise RecordError("no such file or folder", where=str(path))
    if path.suffix.lower() not in _READERS:
        raise RecordError(
            f"'{path.suffix}' is not a table of runs", where=str(path), remedy="Give a .csv or .parquet file"
        )
    try:
        rows = _READERS[path.suffix.lower()](path)
        rows = rows.rename(str.strip)
    except (OSError, pl.exceptions.PolarsError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise RecordError(
            f"cannot be read as a table: {first}",
            where=str(path),
            remedy="Save it as UTF-8, comma-separated, with a header of distinct names and a row a run",
        ) from None
    if rows.is_empty():
        raise RecordError("the table has no rows", where=str(path))
    return _lettered(rows, columns or {}, str(path), ())


def _from_records(folder: Path, columns: Mapping[str, str], unit: str) -> RunTable:
    runs = load_runs(folder)
    named = {"S": "noise_batch_ratio", "L": LOSSES[unit], **columns}
    several = "arm" if len(runs.arms) > 1 else ""
    # One replica is averaged with nobody: its local steps are any number, and laws of H take 1.
    alone = pl.when(pl.col("replicas") == 1).then(pl.col("local_steps").fill_null(1))
    rows = runs.table.with_columns(
        H=alone.otherwise(pl.col("local_steps")),
        noise_batch_ratio=pl.when(on_the_surface()).then(pl.col("noise_batch_ratio")),
    )
    measures = {measure.objective: measure for measure in runs.measures}
    table = _lettered(rows, named, str(folder), runs.left_out, several)
    ecg = [
        f"{measure.objective}: D counts samples, {named['L']} is {measure.per(unit)}"
        for measure in runs.measures
        if measure.sample == "sample"
    ]
    beside = int(rows["noise_batch_ratio"].null_count())
    off = [f"{beside} runs without privacy have no S, since others clip without noise at S = 0"]
    surface = "surface" if several else ""
    return replace(table, surface=surface, measures=measures, unit=unit).noting(*ecg, *off * bool(beside))


def _lettered(
    rows: pl.DataFrame,
    columns: Mapping[str, str],
    source: str,
    left_out: tuple[LeftOut, ...],
    group: str = "",
) -> RunTable:
    lettered, named = name_letters(rows, columns, source)
    lettered, derived = derive_letters(lettered)
    numbered = pl.format("row {}", pl.int_range(1, pl.len() + 1))
    named_run = pl.col("run").cast(pl.String) if "run" in lettered.columns else pl.lit(None, pl.String)
    lettered = lettered.with_columns(run=named_run.fill_null(numbered))
    if "seed" in lettered.columns:
        lettered = lettered.with_columns(_whole(lettered["seed"], source))
    return RunTable(lettered, left_out, (*named, *derived), source, group)


def _whole(seeds: pl.Series, source: str) -> pl.Series:
    numbers = seeds.cast(pl.Float64, strict=False)
    odd = seeds.filter(seeds.is_not_null() & ~(numbers == numbers.floor()).fill_null(value=False))
    if len(odd):
        raise RecordError(
            f"seed is not a column of whole numbers (it has {odd[0]!r})",
            where=source,
            remedy="Number the seeds, or name another column with --columns seed=...",
        )
    return numbers.cast(pl.Int64)
