"""Read a source part by part, in several processes; a run that was killed goes on where it was."""

import hashlib
import json
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from client.ecg.parts import write_part
from client.ecg.prepare import Prepared, prepared
from client.ecg.record import EcgRecord, Quarantined
from client.ecg.request import ShardRequest, ShardSettings
from client.ecg.shard_writer import PART_RECORDS
from wardlaw.errors import DataError


class Reference(Protocol):
    """Where a record is to be found, as a source lists it; a process takes it to another."""

    @property
    def name(self) -> str:
        """The record's name."""

    @property
    def site(self) -> Any:
        """The record's site, or what makes it."""


Read = Callable[[Reference], EcgRecord | Quarantined]
Progress = Callable[[int], None]
"""Told of records done since the last time."""


def spooled(
    request: ShardRequest, references: Sequence[Reference], read: Read, progress: Progress
) -> list[Path]:
    """Parts of all records, in the order of ``references``, in `parts_folder`.

    Raises
    ------
    DataError
        If a process of the pool is killed; the parts that are done stay.
    """
    folder = parts_folder(request, references)
    for other in folder.parent.glob(f"{_prefix(request.out)}*"):
        if other != folder:  # Of another request, or of a source that has changed since.
            shutil.rmtree(other)
    chunks = [references[at : at + PART_RECORDS] for at in range(0, len(references), PART_RECORDS)]
    paths = [folder / f"{number:06}.arrow" for number in range(len(chunks))]
    left = [(path, chunk) for path, chunk in zip(paths, chunks, strict=True) if not path.exists()]
    progress(len(references) - sum(len(chunk) for _, chunk in left))
    work = partial(read_part, read, request.settings)
    for records in _each(work, left, min(request.workers, len(left))):
        progress(records)
    return paths


def read_part(read: Read, settings: ShardSettings, path: Path, references: Sequence[Reference]) -> int:
    """Read, check and prepare records, write them as a part, and say how many they were."""
    write_part(path, (_sited(reference, read(reference), settings) for reference in references))
    return len(references)


def _sited(
    reference: Reference, item: EcgRecord | Quarantined, settings: ShardSettings
) -> tuple[str, Prepared | Quarantined]:
    """What a record became, with its site; one that could not be read has its reference's."""
    site = item.site if isinstance(item, EcgRecord) else str(reference.site)
    return site, prepared(item, settings.rate, settings.max_seconds)


def parts_folder(request: ShardRequest, references: Sequence[Reference]) -> Path:
    """Hidden folder beside ``request.out``, called by all that decides what the parts hold."""
    tables = [request.patients] if request.patients else []
    files = sorted(path for path in [*request.folder.rglob("*"), *tables] if path.is_file())
    state = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    names = [reference.name for reference in references]
    settings = (request.settings.rate, request.settings.max_seconds, request.site_column)
    key = hashlib.sha256(json.dumps([request.source, PART_RECORDS, settings, names, state]).encode())
    return request.out.with_name(f"{_prefix(request.out)}{key.hexdigest()[:16]}")


def _prefix(out: Path) -> str:
    return f".{out.name}.parts-"


def _each(
    work: Callable[[Path, Sequence[Reference]], int],
    left: Sequence[tuple[Path, Sequence[Reference]]],
    workers: int,
) -> Iterator[int]:
    """Records of each part as it is done."""
    if workers <= 1:
        yield from (work(path, chunk) for path, chunk in left)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)
    try:
        for done in as_completed([pool.submit(work, path, chunk) for path, chunk in left]):
            yield done.result()
    except BrokenProcessPool:
        raise DataError(
            "a process that reads records was killed",
            remedy="If memory ran out give fewer --workers; what is done is kept for the next run",
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Let this process end when its parent is killed, which a pool's processes do not by themselves."""

    def watch() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
