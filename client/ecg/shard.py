"""Signal shards: a site's records as memory-mapped integers, one folder a shard.

    <shard>/
        manifest.json              counts, scaling, digests; written last
        quarantine.csv             record, reason, detail: what was not taken
        <split>.signals.bin        int16 (samples, 12), the records one after the other
        <split>.records.parquet    a row a record, in the order of the signals

A sample in mV is ``(digital - baseline) / gain``, with a gain and a baseline for each record and lead.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from client.ecg.record import LEADS
from wardlaw.errors import ShardError
from wardlaw.files import file_sha256

SPLITS = ("train", "tuning", "held_out")


class SignalCounts(BaseModel):
    """What a split holds.

    Attributes
    ----------
    patients, records, samples : int
        Samples are instants; each has 12 values.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patients: int = Field(ge=0)
    records: int = Field(ge=0)
    samples: int = Field(ge=0)


class SignalManifest(BaseModel):
    """What a shard is and what its files must be.

    Attributes
    ----------
    format, kind : str
    site : str
    source : str
        Name of the data set that the records are from.
    synthetic : bool
        Whether the records are generated.
    rate : float
        Samples a second.
    classes : tuple of str
        SNOMED CT code of each column of the labels.
    tokenizer : str
        Fingerprint of format, rate, leads and classes: shards of one run have the same.
    splits : dict of str to SignalCounts
    center, scale : tuple of float, (12,)
        Median and robust spread of each lead over the train split in mV; not applied to the signals.
    records_read : int
        Records of the source: those of the splits and those in quarantine.
    quarantined : dict of str to int
        Records that were not taken, by reason.
    repairs : dict of str to int
        Records taken that were mended on the way in, by what was mended.
    digests : dict of str to str
        SHA-256 of each file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["wardlaw-signals-1"] = "wardlaw-signals-1"
    kind: Literal["ecg"] = "ecg"
    site: str
    source: str
    synthetic: bool
    rate: float = Field(gt=0)
    classes: tuple[str, ...]
    tokenizer: str
    splits: dict[str, SignalCounts]
    center: tuple[float, ...] = Field(min_length=len(LEADS), max_length=len(LEADS))
    scale: tuple[float, ...] = Field(min_length=len(LEADS), max_length=len(LEADS))
    records_read: int = Field(ge=0)
    quarantined: dict[str, int]
    repairs: dict[str, int]
    digests: dict[str, str]

    @model_validator(mode="after")
    def _refuse_lost_records(self) -> Self:
        told = sum(counts.records for counts in self.splits.values()) + sum(self.quarantined.values())
        if told != self.records_read:
            raise ValueError(f"{self.records_read} records were read and {told} are accounted for")
        return self

    @property
    def vocabulary_size(self) -> int:
        """Number of classes."""
        return len(self.classes)

    def patients(self, split: str) -> int:
        """Patients of a split; 0 if it is absent."""
        return self.splits[split].patients if split in self.splits else 0

    def tokens(self, split: str) -> int:
        """Samples of a split, which are to ECG what tokens are to EHR; 0 if it is absent."""
        return self.splits[split].samples if split in self.splits else 0


@dataclass(frozen=True, eq=False)
class SignalSplit:
    """A split's arrays; ``digital`` is a view of the mapped file, not to be written to.

    Attributes
    ----------
    digital : ndarray of int16, (samples, 12)
    first_sample, samples : ndarray of int64, (records,)
        A record is ``digital[first_sample:first_sample + samples]``.
    gain, baseline : ndarray of float32, (records, 12)
        Digital units a mV, and at 0 mV.
    labels : ndarray of uint8, (records, classes)
    records, patients : ndarray of str, (records,)
        A patient's records follow each other.
    age : ndarray of float32, (records,)
        Years; NaN if unknown.
    sex : ndarray of str, (records,)
        ``female``, ``male`` or empty.
    diagnoses : list of tuple of str
        All SNOMED CT codes of each record, scored or not.
    digests : ndarray of str, (records,)
        SHA-256 of each record's signal as its source had it.
    """

    digital: NDArray[np.int16]
    first_sample: NDArray[np.int64]
    samples: NDArray[np.int64]
    gain: NDArray[np.float32]
    baseline: NDArray[np.float32]
    labels: NDArray[np.uint8]
    records: NDArray[np.str_]
    patients: NDArray[np.str_]
    age: NDArray[np.float32]
    sex: NDArray[np.str_]
    diagnoses: list[tuple[str, ...]]
    digests: NDArray[np.str_]

    def crop(self, record: int, start: int, length: int) -> NDArray[np.float32]:
        """``length`` samples of a record from its sample ``start`` on, in mV, zeros after its end.

        Parameters
        ----------
        record : int
            Row of the record.
        start : int
            0 to the record's samples.
        length : int

        Returns
        -------
        (length, 12) float32
        """
        own = min(length, int(self.samples[record]) - start)
        if start < 0 or own < 0:
            raise IndexError(f"record {record} has no sample {start}")
        first = int(self.first_sample[record]) + start
        signal = np.empty((length, len(LEADS)), np.float32)
        np.subtract(self.digital[first : first + own], self.baseline[record], out=signal[:own])
        signal[:own] /= self.gain[record]
        signal[own:] = 0
        return signal


@dataclass(frozen=True)
class SignalShard:
    """An opened shard.

    Attributes
    ----------
    folder : Path
    manifest : SignalManifest
    """

    folder: Path
    manifest: SignalManifest

    @classmethod
    def open(cls, folder: Path, *, tokenizer: str = "", verify: bool = True) -> "SignalShard":
        """Read a shard's manifest and check its files.

        Parameters
        ----------
        folder : Path
        tokenizer : str
            Fingerprint that the shard must have; empty for any.
        verify : bool
            Whether to compare the files' digests (about 1 s a GB).

        Raises
        ------
        ShardError
            If it is no shard, of another rate or other classes, or a file is absent or altered.
        """
        shard = cls(folder, _read_manifest(folder))
        if tokenizer not in ("", shard.manifest.tokenizer):
            what = f"the shard's rate, leads and classes are {shard.manifest.tokenizer} and not {tokenizer}"
            raise ShardError(what, where=str(folder), remedy="Make the shard again with the run's --rate")
        if verify:
            shard._verify()
        return shard

    def split(self, name: str) -> SignalSplit:
        """Map a split.

        Raises
        ------
        ShardError
            If the shard has no such split, or a file is not what the manifest says.
        """
        if name not in self.manifest.splits:
            raise _unusable(self.folder, f"the shard has no split {name!r}")
        counts = self.manifest.splits[name]
        table = _read_records(self.folder / f"{name}.records.parquet", counts.records)
        return SignalSplit(
            digital=_map_signals(self.folder / f"{name}.signals.bin", counts.samples),
            first_sample=table["first_sample"].to_numpy(),
            samples=table["samples"].to_numpy(),
            gain=_rows(table["gain"], len(LEADS)),
            baseline=_rows(table["baseline"], len(LEADS)),
            labels=_rows(table["labels"], len(self.manifest.classes)),
            records=_strings(table["record"]),
            patients=_strings(table["patient"]),
            age=table["age"].to_numpy(),
            sex=_strings(table["sex"]),
            diagnoses=[tuple(codes) for codes in table["diagnoses"].to_pylist()],
            digests=_strings(table["digest"]),
        )

    @cached_property
    def scaling(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Center and scale of each lead in mV, (12,) each: a scaled signal is ``(mV - center) / scale``."""
        return np.array(self.manifest.center, np.float32), np.array(self.manifest.scale, np.float32)

    def _verify(self) -> None:
        for name, digest in self.manifest.digests.items():
            path = self.folder / name
            if not path.is_file():
                raise _unusable(path, "the shard's file is absent")
            if file_sha256(path) != digest:
                raise _unusable(path, "the shard's file is truncated or altered")


def _unusable(path: Path, what: str) -> ShardError:
    return ShardError(what, where=str(path), remedy="Make the shard again from its source")


def _read_manifest(folder: Path) -> SignalManifest:
    path = folder / "manifest.json"
    try:
        return SignalManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _unusable(path, f"not a signal shard ({type(error).__name__})") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _unusable(path, f"not a signal shard's manifest: {place}: {first['msg']}") from None


def _read_records(path: Path, records: int) -> pa.Table:
    try:
        table = pq.read_table(path, memory_map=True)
    except (OSError, pa.ArrowInvalid):
        raise _unusable(path, "the shard's file is absent or truncated") from None
    if table.num_rows != records:
        raise _unusable(path, f"{table.num_rows} rows instead of {records}")
    return table


def _map_signals(path: Path, samples: int) -> NDArray[np.int16]:
    expected = samples * len(LEADS) * np.dtype(np.int16).itemsize
    found = path.stat().st_size if path.is_file() else -1
    if found != expected:
        what = "is absent" if found < 0 else f"has {found:,} bytes instead of {expected:,}"
        raise _unusable(path, f"the shard's file {what}")
    if samples == 0:  # An empty file cannot be mapped.
        return np.empty((0, len(LEADS)), np.int16)
    # As a plain array: slices of np.memmap are slow to make.
    return np.asarray(np.memmap(path, np.dtype("<i2"), mode="r", shape=(samples, len(LEADS))))


def _rows(column: pa.ChunkedArray, width: int) -> NDArray[Any]:
    return np.asarray(column.combine_chunks().flatten()).reshape(-1, width)


def _strings(column: pa.ChunkedArray) -> NDArray[np.str_]:
    return np.array(column.to_pylist(), dtype=np.str_)
