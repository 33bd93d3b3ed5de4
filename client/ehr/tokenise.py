"""A MEDS root to a token shard."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from client.ehr.meds_root import MedsRoot, is_synthetic, open_root
from client.ehr.shard import SPLITS, ShardManifest
from client.ehr.shard_writer import Piece, write_shard
from client.ehr.timeline import read_timelines, split_subjects
from client.ehr.tokeniser import tokenise
from wardlaw.errors import DataError
from wardlaw.vocabulary import Vocabulary


def tokenise_root(meds_root: Path, vocabulary: Vocabulary, out: Path, *, site: str) -> ShardManifest:
    """Tokenise a site's patients, one data file at a time.

    Parameters
    ----------
    meds_root : Path
    vocabulary : Vocabulary
    out : Path
        The site's folder for shards; the shard is ``out/<fingerprint[:16]>``.
    site : str

    Returns
    -------
    ShardManifest

    Raises
    ------
    DataError
        If the root is not a sound MEDS root, or a subject has no split.
    """
    root = open_root(meds_root)
    return write_shard(
        out,
        vocabulary,
        _pieces(root, vocabulary),
        site=site,
        source=str(root.dataset.get("dataset_name", "unnamed")),
        synthetic=is_synthetic(root.dataset),
    )


def _pieces(root: MedsRoot, vocabulary: Vocabulary) -> Iterator[Piece]:
    subjects = {split: split_subjects(root, split) for split in SPLITS}
    everyone = root.splits["subject_id"].to_numpy()
    for path, part in read_timelines(root):
        if without := int((~np.isin(part.subject_ids, everyone)).sum()):
            raise DataError(
                f"{without} subjects have no split",
                where=str(path),
                remedy="Make splits with `wardlaw client shard ehr --source meds`",
            )
        for split in SPLITS:
            yield tokenise(part.of(subjects[split]), vocabulary, split)
