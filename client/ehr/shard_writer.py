"""Write a token shard piece by piece, in memory that does not grow with it.

Columns are appended to raw files and at the end become one Arrow record batch each, so
that a reader can map a column as one array.
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from client.ehr.shard import SPLITS, ShardManifest, SplitCounts, shard_folder
from wardlaw.errors import ShardError
from wardlaw.files import file_sha256, write_text_atomically
from wardlaw.vocabulary import Vocabulary

_PATIENT_TYPES = {
    "subject_id": "int64",
    "first_token": "int64",
    "tokens": "int64",
    "events": "int64",
    "origin": "datetime64[us]",
}


@dataclass(frozen=True, eq=False)
class Piece:
    """Tokens of some patients of one split.

    Attributes
    ----------
    split : str
    tokens, minutes, starts_event : ndarray, (tokens,)
        As in ``TokenSplit``.
    subject_ids, lengths, events, origin : ndarray, (patients,)
        Patients in the order of their tokens.
    counts : Counter
        Of ``shortened_codes``, ``unknown_codes`` and ``values_without_bin``.
    """

    split: str
    tokens: NDArray[Any]
    minutes: NDArray[np.int32]
    starts_event: NDArray[np.uint8]
    subject_ids: NDArray[np.int64]
    lengths: NDArray[np.int64]
    events: NDArray[np.int64]
    origin: NDArray[np.datetime64]
    counts: Counter[str]


def write_shard(
    tokens: Path,
    vocabulary: Vocabulary,
    pieces: Iterable[Piece],
    *,
    site: str,
    source: str,
    synthetic: bool,
) -> ShardManifest:
    """Write ``<tokens>/<fingerprint[:16]>/``, whole or not at all.

    Parameters
    ----------
    tokens : Path
        The site's folder for shards; a shard of the same tokeniser there is replaced.
    vocabulary : Vocabulary
    pieces : iterable of Piece
        In the order that the shard is to have.
    site, source, synthetic
        As in ``ShardManifest``.

    Returns
    -------
    ShardManifest

    Raises
    ------
    ShardError
        If a subject comes twice, in one split or in two.
    """
    final = shard_folder(tokens, vocabulary.fingerprint)
    folder = final.with_name(f".{final.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        splits = _write_splits(folder, vocabulary, pieces)
        vocabulary.save(folder / "vocabulary.json")
        manifest = ShardManifest(
            site=site,
            source=source,
            synthetic=synthetic,
            scheme=vocabulary.scheme,
            tokenizer=vocabulary.fingerprint,
            vocabulary_size=len(vocabulary),
            splits=splits,
            digests={path.name: file_sha256(path) for path in sorted(folder.iterdir())},
        )
        write_text_atomically(folder / "manifest.json", manifest.model_dump_json(indent=2) + "\n")
        shutil.rmtree(final, ignore_errors=True)
        folder.rename(final)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return manifest


def _write_splits(folder: Path, vocabulary: Vocabulary, pieces: Iterable[Piece]) -> dict[str, SplitCounts]:
    types = {"token": vocabulary.token_dtype, "minutes": "int32", "starts_event": "uint8"}
    tokens = {split: _Columns(folder / f"{split}.tokens.arrow", types) for split in SPLITS}
    patients = {split: _Columns(folder / f"{split}.patients.arrow", _PATIENT_TYPES) for split in SPLITS}
    counts: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for piece in pieces:
        tokens[piece.split].append(
            {"token": piece.tokens, "minutes": piece.minutes, "starts_event": piece.starts_event}
        )
        patients[piece.split].append(
            {
                "subject_id": piece.subject_ids,
                "first_token": counts[piece.split]["tokens"] + np.cumsum(piece.lengths) - piece.lengths,
                "tokens": piece.lengths,
                "events": piece.events,
                "origin": piece.origin,
            }
        )
        counts[piece.split] += piece.counts
        counts[piece.split] += Counter(
            patients=len(piece.subject_ids), tokens=len(piece.tokens), events=int(piece.events.sum())
        )
    _refuse_repeated(np.concatenate([patients[split].read("subject_id") for split in SPLITS]))
    for split in SPLITS:
        tokens[split].finish()
        patients[split].finish()
    fields = SplitCounts.model_fields
    return {split: SplitCounts(**{name: counts[split][name] for name in fields}) for split in SPLITS}


def _refuse_repeated(subjects: NDArray[np.int64]) -> None:
    values, times = np.unique(subjects, return_counts=True)
    if (times > 1).any():
        raise ShardError(
            f"subject {values[times > 1][0]} comes twice",
            remedy="A subject must lie in one data file and one split",
        )


class _Columns:
    """Columns of one Arrow file in the making."""

    def __init__(self, path: Path, types: Mapping[str, Any]) -> None:
        self._path, self._types = path, {name: np.dtype(kind) for name, kind in types.items()}
        self._raw = {name: path.with_name(f"{path.name}.{name}.raw") for name in types}
        for raw in self._raw.values():
            raw.touch()

    def append(self, columns: Mapping[str, NDArray[Any]]) -> None:
        for name, values in columns.items():
            with self._raw[name].open("ab") as file:
                np.ascontiguousarray(values, dtype=self._types[name]).tofile(file)

    def read(self, name: str) -> NDArray[Any]:
        """A column so far, mapped."""
        if self._raw[name].stat().st_size == 0:
            return np.empty(0, dtype=self._types[name])
        return np.memmap(self._raw[name], dtype=self._types[name], mode="r")

    def finish(self) -> None:
        """Write the Arrow file and drop the raw ones."""
        batch = pa.record_batch({name: _arrow(self.read(name)) for name in self._types})
        with pa.OSFile(str(self._path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        for raw in self._raw.values():
            raw.unlink()


def _arrow(values: NDArray[Any]) -> pa.Array:
    """An Arrow array over a NumPy array's memory."""
    length, buffers = len(values), [None, pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(values.dtype), length, buffers)
