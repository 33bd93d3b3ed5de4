"""Records of a signal shard, as a source would give them."""

from collections.abc import Iterator

import numpy as np

from client.ecg.record import EcgRecord
from client.ecg.request import ShardSettings
from client.ecg.shard import SPLITS, SignalShard

_ANY_LENGTH = 1e9  # seconds


def as_stored(shard: SignalShard) -> ShardSettings:
    """Settings under which a shard's records are written with their rate, length and split."""
    return ShardSettings(rate=shard.manifest.rate, max_seconds=_ANY_LENGTH, keep_splits=shard.folder)


def records_of(shard: SignalShard) -> Iterator[EcgRecord]:
    """All records of all splits, with the integers that the shard stores."""
    for name in SPLITS:
        split = shard.split(name)
        for row, (first, samples) in enumerate(
            zip(split.first_sample.tolist(), split.samples.tolist(), strict=True)
        ):
            yield EcgRecord(
                name=str(split.records[row]),
                patient=str(split.patients[row]),
                digital=split.digital[first : first + samples].astype(np.int32),
                gain=split.gain[row].astype(np.float64),
                baseline=split.baseline[row].astype(np.float64),
                rate=shard.manifest.rate,
                age=float(split.age[row]),
                sex=str(split.sex[row]),
                diagnoses=split.diagnoses[row],
            )


def patients_of(shard: SignalShard) -> dict[str, set[str]]:
    """Patients of a shard, and the classes that any record of theirs has (SNOMED CT codes)."""
    classes: dict[str, set[str]] = {}
    for name in SPLITS:
        split = shard.split(name)
        for patient, labels in zip(split.patients.tolist(), split.labels, strict=True):
            present = (shard.manifest.classes[column] for column in np.flatnonzero(labels))
            classes.setdefault(patient, set()).update(present)
    return classes
