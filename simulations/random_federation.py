"""Sites whose patients are random tokens: for trying the machinery, where nothing need be learnt."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from client.ehr.shard import SPLITS
from client.ehr.shard_writer import Piece, write_shard
from simulations.federation_folder import FederationManifest, save_federation, site_folder, write_site
from wardlaw.files import file_sha256
from wardlaw.seeds import generator
from wardlaw.vocabulary import Vocabulary


def write_random_federation(
    folder: Path, sites: int, *, patients: int = 40, length: int = 60, codes: int = 50, seed: int = 0
) -> Path:
    """Write a federation folder of ``fused`` shards without MEDS roots.

    Parameters
    ----------
    folder : Path
    sites : int
        Their names are ``site-0``, ``site-1``, ...
    patients : int
        Of each site's train split; the others have half of it.
    length : int
        Mean number of tokens of a patient.
    codes : int
        Codes of the vocabulary.
    seed : int

    Returns
    -------
    Path
        ``folder``.
    """
    vocabulary = Vocabulary("fused", tuple(f"LAB//{number:06d}" for number in range(codes)), {})
    digests = {}
    for number in range(sites):
        name = f"site-{number}"
        place = site_folder(folder, name)
        write_site(folder, name, meds=place / "meds")
        pieces = _pieces(name, number, patients, length, len(vocabulary), seed)
        write_shard(place / "tokens", vocabulary, pieces, site=name, source="random", synthetic=True)
        digests[name] = file_sha256(place / "tokens" / vocabulary.fingerprint[:16] / "manifest.json")
    save_federation(folder, FederationManifest("random", True, "fused", vocabulary.fingerprint, digests))
    return folder


def _pieces(
    site: str, number: int, patients: int, length: int, vocabulary_size: int, seed: int
) -> Iterator[Piece]:
    for rank, split in enumerate(SPLITS):
        random = generator(seed, "random-federation", site, split)
        count = patients if split == "train" else patients // 2
        lengths = random.integers(max(2, length // 2), length + length // 2, count)
        total = int(lengths.sum())
        yield Piece(
            split=split,
            tokens=random.integers(0, vocabulary_size, total),
            minutes=np.concatenate([np.sort(random.integers(0, 10_000, size)) for size in lengths]),
            starts_event=np.ones(total, np.uint8),
            subject_ids=np.arange(count) + 1_000_000 * (3 * number + rank),
            lengths=lengths,
            events=lengths,
            origin=np.full(count, np.datetime64("2020-01-01", "us")),
            counts=Counter(),
        )
