"""Which split a patient belongs to: 0.8 train, 0.1 tuning, 0.1 held_out, stratified, stable.

1. Patients who share a bit-identical signal are taken for one person: a group. All records of a
   group are on one side.
2. A patient of an earlier shard that is kept stays where it was there.
3. Otherwise, where every record has its source's fold (PTB-XL's ``strat_fold``): folds 1 to 8 train,
   9 tuning, 10 held_out.
4. Otherwise groups stand in a line: by site, then by the rarest class that they have (of all sites
   together; those without a scored class last), then by the hash of the patient's identifier. Along
   the line places 3, 13, 23, ... are held_out and 8, 18, 28, ... tuning. So shares are exact to one
   group; a stratum of 10 has one in each, one of 5 has one in tuning or in held_out; what a small
   stratum does not fill goes on in the next.

If 2 or 3 put one group on several sides, held_out goes before tuning and tuning before train.
The order in which records were read has no part in it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy import sparse

from client.ecg.shard import SPLITS, SignalShard
from wardlaw.errors import ShardError
from wardlaw.seeds import derive_seed

_LINE = np.array([0, 0, 2, 0, 0, 0, 0, 1, 0, 0])
"""Split of each place along the line, as a place in ``SPLITS``; it repeats."""
_LAST_TRAIN_FOLD = 8


def splits_of(
    rows: pl.DataFrame, labels: NDArray[np.uint8], seed: int = 0, kept: Mapping[str, str] | None = None
) -> NDArray[np.str_]:
    """Split of each record.

    Parameters
    ----------
    rows : DataFrame
        ``patient``, ``site``, ``digest`` of the signal, and ``fold`` (0 for none) of each record.
    labels : (records, classes) uint8
    seed : int
        Another seed gives another division of those that step 4 divides.
    kept : mapping of str to str
        Split of patients of an earlier shard.

    Returns
    -------
    (records,) str
    """
    group, names = groups_of(rows["patient"].to_numpy(), rows["digest"].to_numpy())
    side = np.full(len(names), -1)
    folds = rows["fold"].to_numpy()
    if (folds > 0).all():
        np.maximum.at(side, group, (folds - _LAST_TRAIN_FOLD).clip(0))
    former = np.full(len(names), -1)
    place = {name: number for number, name in enumerate(SPLITS)}
    known = [place[kept[patient]] if kept and patient in kept else -1 for patient in rows["patient"]]
    np.maximum.at(former, group, np.array(known, dtype=np.int64))
    side = np.where(former >= 0, former, side)
    free = np.flatnonzero(side < 0)
    line = free[_line(rows["site"].to_numpy(), labels, group, names, seed, free)]
    side[line] = np.resize(_LINE, len(line))
    names_of_splits: NDArray[np.str_] = np.array(SPLITS)
    return np.take(names_of_splits, side[group])


def groups_of(
    patients: NDArray[np.str_], digests: NDArray[np.str_]
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Group of each record, and the first patient in alphabetical order of each group."""
    people, person = np.unique(patients.astype(str), return_inverse=True)
    signals, which = np.unique(digests.astype(str), return_inverse=True)
    nodes = len(people) + len(signals)
    edges = sparse.coo_array((np.ones(len(person)), (person, len(people) + which)), (nodes, nodes))
    _, component = sparse.csgraph.connected_components(edges, directed=False)
    _, first, group = np.unique(component[: len(people)], return_index=True, return_inverse=True)
    return group[person], people[first]


def _line(
    sites: NDArray[np.str_],
    labels: NDArray[np.uint8],
    group: NDArray[np.int64],
    names: NDArray[np.str_],
    seed: int,
    free: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Order of the ``free`` groups in the line."""
    site_names, site = np.unique(sites.astype(str), return_inverse=True)
    first_site = np.full(len(names), len(site_names))
    np.minimum.at(first_site, group, site)
    has = np.zeros((len(names), labels.shape[1]), bool)
    np.logical_or.at(has, group, labels.astype(bool))
    spread = np.array([derive_seed(seed, "split", str(name)) for name in names], dtype=np.int64)
    order: NDArray[np.int64] = np.lexsort((spread[free], rarest_class(has)[free], first_site[free]))
    return order


def rarest_class(has: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The class of each row that the fewest rows have; the number of classes where it has none."""
    counts = np.where(has, has.sum(axis=0), len(has) + 1)
    rarest: NDArray[np.int64] = np.where(has.any(axis=1), counts.argmin(axis=1), has.shape[1])
    return rarest


def kept_splits(folder: Path) -> dict[str, str]:
    """Split of each patient of a shard, or of all shards directly under a folder.

    Raises
    ------
    ShardError
        If there is no shard, or a patient is in two splits of them.
    """
    alone = (folder / "manifest.json").is_file()
    shards = [folder] if alone else sorted(path.parent for path in folder.glob("*/manifest.json"))
    if not shards:
        raise ShardError("holds no shard whose splits could be kept", where=str(folder))
    kept: dict[str, str] = {}
    for shard in shards:
        for split in SignalShard.open(shard, verify=False).manifest.splits:
            table = pq.read_table(shard / f"{split}.records.parquet", columns=["patient"])
            for patient in table["patient"].unique().to_pylist():
                if kept.setdefault(patient, split) != split:
                    raise ShardError(f"patient {patient} is in {kept[patient]} and in {split}", str(shard))
    return kept
