"""Labelled records of several sites, and which of them a run cannot have seen."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.ecg.shard import SPLITS, SignalShard, SignalSplit

Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """Some records of one split of a site's shard.

    Attributes
    ----------
    site : str
    shard : SignalShard
    split : str
    rows : (n,) array
        Which records of the split.
    """

    site: str
    shard: SignalShard
    split: str
    rows: Integers

    @cached_property
    def records(self) -> SignalSplit:
        """The whole split."""
        return self.shard.split(self.split)

    def persons(self) -> list[frozenset[tuple[str, str]]]:
        """Names by which each record's patient, and its signal, may be known elsewhere.

        A patient's number is unique at its site and in its source, and nowhere else.
        """
        source = self.shard.manifest.source
        return [
            frozenset({(f"site {self.site}", patient), (f"source {source}", patient), ("signal", digest)})
            for patient, digest in zip(
                self.records.patients[self.rows].tolist(),
                self.records.digests[self.rows].tolist(),
                strict=True,
            )
        ]


@dataclass(frozen=True, eq=False)
class Cohort:
    """Records in the order of their parts."""

    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(len(part.rows) for part in self.parts)

    def __add__(self, other: "Cohort") -> "Cohort":
        return Cohort(self.parts + other.parts)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """Diagnoses, (n, 26)."""
        return self._joined([part.records.labels[part.rows] for part in self.parts])

    @property
    def names(self) -> NDArray[np.str_]:
        """Names of the records, (n,); unique at a site."""
        return self._joined([part.records.records[part.rows] for part in self.parts])

    @property
    def patients(self) -> NDArray[np.str_]:
        """Site and patient of each record, (n,)."""
        owners = [
            np.array([f"{part.site}/{patient}" for patient in part.records.patients[part.rows]], np.str_)
            for part in self.parts
        ]
        return self._joined(owners)

    @property
    def sites(self) -> NDArray[np.str_]:
        """Site of each record, (n,)."""
        return self._joined([np.full(len(part.rows), part.site) for part in self.parts])

    def at(self, sites: Collection[str]) -> "Cohort":
        """The records of some sites."""
        return Cohort(tuple(part for part in self.parts if part.site in sites))

    def _joined(self, arrays: list[Any]) -> NDArray[Any]:
        return np.concatenate(arrays) if arrays else np.empty(0)


def cohort_of(shards: Mapping[str, SignalShard], *splits: str) -> Cohort:
    """All records of some splits of the shards of some sites."""
    return Cohort(
        tuple(
            Part(site, shard, split, np.arange(shard.manifest.splits[split].records))
            for site, shard in shards.items()
            for split in splits
        )
    )


def never_seen(shards: Mapping[str, SignalShard], known: Cohort) -> tuple[Cohort, Counter[str]]:
    """Records, of any split, of patients that are not among known ones.

    Parameters
    ----------
    shards : mapping of str to SignalShard
        By site.
    known : Cohort
        All records of the sites that a run trained at.

    Returns
    -------
    Cohort
        Without the records of which patient or signal are known.
    Counter
        Records left out, by site.
    """
    familiar = frozenset(name for part in known.parts for names in part.persons() for name in names)
    parts, left_out = [], Counter[str]()
    for part in cohort_of(shards, *SPLITS).parts:
        new = np.array([familiar.isdisjoint(names) for names in part.persons()], np.bool_)
        left_out[part.site] += int((~new).sum())
        parts.append(Part(part.site, part.shard, part.split, part.rows[new]))
    return Cohort(tuple(parts)), +left_out
