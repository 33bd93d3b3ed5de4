"""A folder that a command makes: whole, or not there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wardlaw.errors import DataError


@contextmanager
def written_whole(out: Path) -> Iterator[Path]:
    """A folder that takes the place ``out`` when all is written, and goes away otherwise.

    Raises
    ------
    DataError
        If something is there already.
    """
    refuse_used(out)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        if out.exists():
            out.rmdir()
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_used(out: Path) -> None:
    """Refuse a folder with something in it.

    Raises
    ------
    DataError
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError("is not empty", where=str(out), remedy="Give --out a new folder")
