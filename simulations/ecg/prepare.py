"""From signal shards to a federation folder."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.ecg.shard import SPLITS, SignalShard
from client.ecg.shard_writer import write_shard
from simulations.ecg.shard_records import as_stored, records_of
from simulations.federation_folder import FederationManifest, save_federation, site_folder, write_site
from wardlaw.errors import DataError, ShardError
from wardlaw.files import file_sha256

SCHEME = "ecg"
_TOLD = 5


@dataclass(frozen=True)
class Place:
    """Where a record lies."""

    site: str
    split: str
    record: str

    def __str__(self) -> str:
        return f"{self.site}/{self.record} ({self.split})"


@dataclass(frozen=True)
class Shared:
    """One signal at two sites, to the last bit."""

    first: Place
    later: Place

    @property
    def leaks(self) -> bool:
        """Whether it is trained on at one site and scored at another."""
        return self.first.split != self.later.split

    def __str__(self) -> str:
        return f"{self.first} = {self.later}"


def find_shards(folder: Path) -> list[Path]:
    """Signal shards directly under a folder, or the folder itself.

    Raises
    ------
    DataError
        If there is none.
    """
    alone = (folder / "manifest.json").is_file()
    paths = [folder] if alone else sorted(path.parent for path in folder.glob("*/manifest.json"))
    if not paths:
        raise DataError(
            "no signal shard here", where=str(folder), remedy="Make some with `wardlaw client shard ecg`"
        )
    return paths


def open_together(folders: Sequence[Path]) -> dict[str, SignalShard]:
    """Shards by site, in the order of sites.

    Raises
    ------
    ShardError
        If two are of one site, or differ in rate, leads or classes.
    """
    shards: dict[str, SignalShard] = {}
    for folder in folders:
        shard = SignalShard.open(folder)
        site = shard.manifest.site
        if site in shards:
            raise ShardError(
                f"two shards are of site {site}: {shards[site].folder} and {folder}",
                remedy="Give each site one shard, with a --site of its own",
            )
        shards[site] = shard
    prints = {site: shard.manifest.tokenizer for site, shard in shards.items()}
    if len(set(prints.values())) > 1:
        told = ", ".join(f"{site}: {shard.manifest.rate:g} Hz" for site, shard in sorted(shards.items()))
        raise ShardError(
            f"the shards differ in rate, leads or classes ({told})",
            remedy="Make them again with one --rate",
        )
    return dict(sorted(shards.items()))


def shared_records(shards: Mapping[str, SignalShard]) -> list[Shared]:
    """Pairs of bit-identical signals at two sites: the first of them and each later one."""
    seen: dict[str, Place] = {}
    pairs = []
    for site, shard in shards.items():
        for split in SPLITS:
            records = shard.split(split)
            for record, digest in zip(records.records.tolist(), records.digests.tolist(), strict=True):
                place = Place(site, split, record)
                first = seen.setdefault(digest, place)
                if first.site != site:
                    pairs.append(Shared(first, place))
    return pairs


def prepare_ecg_federation(
    folders: Sequence[Path], out: Path, *, drop_shared: bool
) -> tuple[FederationManifest, list[Shared]]:
    """Make each shard a site of a federation; shards stay where they are.

    Parameters
    ----------
    folders : sequence of Path
        A shard a site.
    out : Path
        Folder to make.
    drop_shared : bool
        Whether a signal that two sites have leaves the later one, whose shard is then written anew
        within ``out``.

    Returns
    -------
    FederationManifest
    list of Shared
        Signals that two sites have, dropped or in one split.

    Raises
    ------
    DataError
        If one site would score what another trains on, or ``out`` is there already.
    ShardError
        If the shards do not go together.
    """
    if out.exists():
        raise DataError("is there already", where=str(out), remedy="Choose another --out")
    shards = open_together(folders)
    shared = shared_records(shards)
    if not drop_shared and any(pair.leaks for pair in shared):
        raise DataError(
            f"signals are the same to the last bit at two sites and in two splits: {_listed(shared)}",
            remedy="Leave them out of the later site with --drop-shared",
        )
    partial = out.resolve().with_name(f".{out.resolve().name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    digests = {}
    for site, shard in shards.items():
        dropped = {pair.later.record for pair in shared if pair.later.site == site} if drop_shared else set()
        folder = _without(shard, dropped, site_folder(partial, site) / "shard") if dropped else shard.folder
        write_site(partial, site, shard=folder.resolve())
        digests[site] = file_sha256(folder / "manifest.json")
    manifest = FederationManifest(
        name=out.resolve().name,
        synthetic=any(shard.manifest.synthetic for shard in shards.values()),
        scheme=SCHEME,
        tokenizer=next(iter(shards.values())).manifest.tokenizer,
        sites=digests,
    )
    save_federation(partial, manifest)
    partial.rename(out)
    return manifest, shared


def _without(shard: SignalShard, dropped: set[str], folder: Path) -> Path:
    """Write the shard anew without some records."""
    kept = (record for record in records_of(shard) if record.name not in dropped)
    manifest = shard.manifest
    write_shard(
        folder,
        kept,
        as_stored(shard),
        site=manifest.site,
        source=manifest.source,
        synthetic=manifest.synthetic,
    )
    return folder


def _listed(shared: Sequence[Shared]) -> str:
    leaks = [str(pair) for pair in shared if pair.leaks]
    more = f" and {len(leaks) - _TOLD} more" if len(leaks) > _TOLD else ""
    return "; ".join(leaks[:_TOLD]) + more
