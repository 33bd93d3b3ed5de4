"""The tables of an input folder: found by name, read in batches, every fault one clear error."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from wardlaw.errors import DataError

ENDINGS = (".csv.gz", ".csv", ".parquet")
BATCH_ROWS = 500_000


@dataclass(frozen=True)
class Tables:
    """Tables of a source folder, and frames derived from them.

    Attributes
    ----------
    paths : dict of str to Path
        Files by lower-case table name.
    derived : dict of str to pl.DataFrame
        Frames that take the place of a file of that name.
    """

    paths: dict[str, Path]
    derived: dict[str, pl.DataFrame] = field(default_factory=dict)

    @classmethod
    def find(cls, folder: Path, places: Sequence[str]) -> "Tables":
        """Tables in the places of a folder.

        Raises
        ------
        DataError
            If the folder is absent or a table is there twice.
        """
        if not folder.is_dir():
            raise DataError(
                "no such folder", where=str(folder), remedy="Give the folder of the source's tables"
            )
        paths: dict[str, Path] = {}
        for path in sorted(path for place in places for path in (folder / place).glob("*")):
            ending = next((ending for ending in ENDINGS if path.name.lower().endswith(ending)), None)
            if ending is None:
                continue
            name = path.name.lower().removesuffix(ending)
            if name in paths:
                raise DataError(
                    f"table {name} is also {paths[name].name}", where=str(path), remedy="Keep one"
                )
            paths[name] = path
        return cls(paths)

    def __contains__(self, name: str) -> bool:
        return name in self.derived or name in self.paths

    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.paths.values())

    def frame(self, name: str, columns: Sequence[str]) -> pl.DataFrame:
        """Columns of a small table, whole and as text."""
        return pl.concat(self.batches(name, columns))

    def batches(self, name: str, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """Columns of a table as text, some hundred thousand rows at a time.

        Raises
        ------
        DataError
            If the table or a column is missing, or the file cannot be read to its end.
        """
        if name in self.derived:
            yield self.derived[name].select(columns)
            return
        if name not in self.paths:
            raise DataError(f"table {name} is missing", where=name, remedy="Add it to the input folder")
        path = self.paths[name]
        try:
            scan = _scan(path)
            if absent := sorted(set(columns) - set(scan.collect_schema().names())):
                raise DataError(
                    f"column {', '.join(absent)} is missing",
                    where=str(path),
                    remedy="Export the table with it",
                )
            chosen = scan.select(pl.col(columns).cast(pl.String))
            empty = True
            for batch in chosen.collect_batches(
                chunk_size=BATCH_ROWS, maintain_order=False, engine="streaming"
            ):
                empty = False
                yield batch
            if empty:
                yield pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
        except (OSError, pl.exceptions.PolarsError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"cannot be read to its end: {reason}", where=str(path), remedy="Fetch the file again"
            ) from None


def _scan(path: Path) -> pl.LazyFrame:
    if path.name.lower().endswith(".parquet"):
        return pl.scan_parquet(path).rename(str.lower)
    scan = pl.scan_csv(path, infer_schema=False, low_memory=True)
    return scan.rename(str.lower)
