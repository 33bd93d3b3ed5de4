"""Poisson draws of a site's patients, each as one batch of crops of its own records."""

from collections.abc import Sequence

import numpy as np

from client.ecg.crops import collate, slots_of
from client.ecg.shard import SignalShard
from client.privacy.draw import PoissonDraws, sampling_rate_of
from client.privacy.noise import generator_of
from models.ecg.batch import SignalBatch
from wardlaw.errors import ShardError


class PatientStream:
    """Patients of one shard or of the union of several, drawn anew at each step.

    The unit is a patient of a site, with all its records: a person in two sites of a union is two. Crops
    of a drawn patient are drawn with replacement, so that all patients have the same number; a record
    is read in proportion to its slots, as in ``client.ecg.batches``.

    Parameters
    ----------
    shards : sequence of (str, SignalShard)
        Site and shard; their order does not matter.
    expected : float
        B: mean number of patients drawn at a step.
    windows : int
        Crops of a patient.
    context : int
        Samples of a crop.
    key : bytes of length 32
        Secret of draws and choices.
    name : str
        The replica's name.

    Attributes
    ----------
    patients : int
        n: all patients of the train splits.
    sampling_rate : float
        q = B / n.
    unique_tokens : int
        Samples of the train splits.
    expected_tokens : float
        Mean samples of a step's crops.

    Raises
    ------
    ShardError
        If there is no record, or a patient of a site is in two of its shards.
    ConfigError
        If more patients are expected than there are.
    """

    def __init__(
        self,
        shards: Sequence[tuple[str, SignalShard]],
        expected: float,
        windows: int,
        context: int,
        key: bytes,
        name: str,
    ) -> None:
        _require_distinct(shards)
        self.name = name
        self._windows, self._context, self._key = windows, context, key
        self._shards = [shard for _, shard in sorted(shards, key=lambda pair: pair[0])]
        self._splits = [shard.split("train") for shard in self._shards]
        self.unique_tokens = int(sum(split.samples.sum() for split in self._splits))
        if not self.unique_tokens:
            raise ShardError("the train split has no record", where=name)
        records = [slots_of(split.samples, context) for split in self._splits]
        owners = [np.unique(split.patients, return_inverse=True)[1] for split in self._splits]
        numbers = [int(own.max(initial=-1)) + 1 for own in owners]
        self.patients = sum(numbers)
        self.sampling_rate = sampling_rate_of(expected, self.patients, name)
        self._draws = PoissonDraws(self.patients, self.sampling_rate, key)
        first = np.cumsum([0, *numbers[:-1]])
        owner = np.concatenate(
            [start + own[record] for start, own, record in zip(first, owners, records, strict=True)]
        )
        order = np.argsort(owner, kind="stable")
        # Slots of a patient stand together, in the order of the patients.
        self._starts = np.searchsorted(owner[order], np.arange(self.patients + 1))
        self._shard_of = np.repeat(np.arange(len(records)), [len(own) for own in records])[order]
        self._record_of = np.concatenate(records)[order]
        own = [
            np.minimum(split.samples[slot], context)
            for split, slot in zip(self._splits, records, strict=True)
        ]
        totals = np.add.reduceat(np.concatenate(own)[order], self._starts[:-1])
        means = totals / np.diff(self._starts)
        self.expected_tokens = self.sampling_rate * windows * float(means.sum())

    def draw(self, step: int) -> tuple[SignalBatch, ...]:
        """Batches of a step's patients, on the CPU: a pure function of step and key."""
        return tuple(self._batch(step, int(patient)) for patient in self._draws.members(step))

    def _batch(self, step: int, patient: int) -> SignalBatch:
        """Crops of a patient at a step, at any place of their records."""
        random = generator_of(self._key, "crops", step, patient)
        slots = random.integers(self._starts[patient], self._starts[patient + 1], self._windows)
        crops = [
            (self._shards[shard], self._splits[shard], record)
            for shard, record in zip(self._shard_of[slots], self._record_of[slots], strict=True)
        ]
        samples = np.array([split.samples[record] for _, split, record in crops])
        starts = random.integers(0, np.maximum(samples - self._context, 0) + 1)
        return collate(crops, starts, random.integers(0, 2**62, self._windows), self._context)


def _require_distinct(shards: Sequence[tuple[str, SignalShard]]) -> None:
    """A patient in two shards of a site would be drawn twice, and clipped to twice the bound."""
    for site in {site for site, _ in shards}:
        parts = [np.unique(shard.split("train").patients) for name, shard in shards if name == site]
        together = np.concatenate(parts)
        if len(np.unique(together)) < len(together):
            raise ShardError(
                "a patient stands in two shards, and would count twice",
                where=f"site {site}",
                remedy="Name each shard once",
            )
