"""Poisson draws of a site's patients, each as one batch of its own windows."""

from collections.abc import Sequence

import numpy as np

from client.ehr.batches import collate
from client.ehr.packing import Integers, cut_windows
from client.ehr.shard import TokenSplit
from client.privacy.draw import PoissonDraws, sampling_rate_of
from client.privacy.noise import uniforms
from models.ehr.packed import PackedBatch
from wardlaw.errors import ShardError
from wardlaw.vocabulary import Scheme


class PatientStream:
    """Patients of one shard or of the union of several, drawn anew at each step.

    The unit is a subject of a site: a person in two sites of a union is two. Each has one row
    in the draws, however many tokens it has.

    Parameters
    ----------
    splits : sequence of (str, TokenSplit)
        Site and train split of each shard; their order does not matter.
    expected : float
        B: mean number of patients drawn at a step.
    windows : int
        Most windows of one patient in a step; of a longer record a random choice takes part.
    context : int
        Longest window.
    scheme : {"ethos", "fused"}
        Tokeniser's scheme, which says what a position is.
    key : bytes of length 32
        Secret of draws and choices.
    name : str
        The replica's name.

    Attributes
    ----------
    patients : int
        n: all subjects of the splits; those without a target can be drawn, too, and add nothing.
    sampling_rate : float
        q = B / n.
    unique_tokens : int
        Targets of all patients.
    expected_tokens : float
        Mean targets of a step.

    Raises
    ------
    ShardError
        If there is no patient with two tokens, or a subject of a site comes twice.
    ConfigError
        If more patients are expected than there are.
    """

    def __init__(
        self,
        splits: Sequence[tuple[str, TokenSplit]],
        expected: float,
        windows: int,
        context: int,
        scheme: Scheme,
        key: bytes,
        name: str,
    ) -> None:
        _require_distinct(splits)
        self.name = name
        self._splits = [split for _, split in sorted(splits, key=lambda pair: pair[0])]
        self._scheme, self._most, self._key = scheme, windows, key
        self._windows = cut_windows(self._splits, context)
        self.unique_tokens = int(self._windows.length.sum())
        if not self.unique_tokens:
            raise ShardError("no patient of the train split has two tokens", where=name)
        sizes = [len(split.lengths) for split in self._splits]
        self.patients = sum(sizes)
        self.sampling_rate = sampling_rate_of(expected, self.patients, name)
        owners = np.cumsum([0, *sizes])[self._windows.split] + self._windows.patient
        # Windows of a patient stand together, in the order of the patients.
        self._starts = np.searchsorted(owners, np.arange(self.patients + 1))
        counts = np.diff(self._starts)
        totals = np.add.reduceat(self._windows.length, self._starts[:-1][counts > 0])
        shares = np.minimum(counts[counts > 0], windows) / counts[counts > 0]
        self.expected_tokens = self.sampling_rate * float((totals * shares).sum())
        self._draws = PoissonDraws(self.patients, self.sampling_rate, key)

    def draw(self, step: int) -> tuple[PackedBatch, ...]:
        """Batches of a step's patients, on the CPU and without padding: a pure function of step and key.

        A patient without a target is left out: the gradient of nothing is zero.
        """
        chosen = (self._choose(step, int(patient)) for patient in self._draws.members(step))
        return tuple(self._batch(members) for members in chosen if len(members))

    def _choose(self, step: int, patient: int) -> Integers:
        """A patient's windows at a step: all, or a random choice of the allowed number."""
        members = np.arange(self._starts[patient], self._starts[patient + 1])
        if len(members) <= self._most:
            return members
        order = np.argsort(uniforms(self._key, "windows", step, patient, count=len(members)))
        return members[order[: self._most]]

    def _batch(self, members: Integers) -> PackedBatch:
        lengths = self._windows.length[members]
        # Equal lengths side by side are attended to in one call.
        decreasing = members[np.lexsort((members, -lengths))]
        return collate(self._splits, self._windows, decreasing, int(lengths.sum()), self._scheme)


def _require_distinct(splits: Sequence[tuple[str, TokenSplit]]) -> None:
    """A subject in two rows would be drawn twice, and clipped to twice the bound."""
    for site in {site for site, _ in splits}:
        subjects = np.concatenate([split.subject_ids for name, split in splits if name == site])
        if len(np.unique(subjects)) < len(subjects):
            raise ShardError(
                "a patient stands in two places of the train split, and would count twice",
                where=f"site {site}",
                remedy="Name each shard once, or tokenise the site again",
            )
