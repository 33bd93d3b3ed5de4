"""From MEDS roots to a federation folder: one vocabulary for all, a shard at each site."""

import logging
import shutil
from pathlib import Path

import polars as pl

from client.app import app
from client.site import open_site_shard
from server.common_vocabulary import fit_common_vocabulary, tokenise_everywhere
from simulations.federation_folder import (
    FederationManifest,
    save_federation,
    site_folder,
    write_site,
)
from simulations.grid import InProcessGrid
from strategies.exchange import Participant
from wardlaw.config import RunConfig, load_site_policy, to_flat
from wardlaw.config.data import DataSection
from wardlaw.errors import DataError
from wardlaw.files import file_sha256
from wardlaw.vocabulary import Scheme, Vocabulary

logger = logging.getLogger(__name__)


def prepare_federation(
    meds: Path, federation: Path, scheme: Scheme, vocabulary: Vocabulary | None, minimum_stays: int = 0
) -> FederationManifest:
    """Make each MEDS root under a folder a site of a federation.

    The sites answer the same messages as in a deployment, so that the vocabulary is fitted
    from what would leave them. A site that its policy keeps out is left out by name.

    Parameters
    ----------
    meds : Path
        Folder of MEDS roots, one a site, or a single root.
    federation : Path
        Folder to make.
    scheme : {"ethos", "fused"}
    vocabulary : Vocabulary or None
        A frozen vocabulary to use instead of fitting one.
    minimum_stays : int
        Roots with fewer intensive care stays are left out.

    Raises
    ------
    DataError
        If there is no MEDS root, or the folder is a federation already.
    """
    roots = {site: root for site, root in find_roots(meds).items() if count_stays(root) >= minimum_stays}
    if not roots:
        raise DataError(f"no MEDS root has {minimum_stays} stays", where=str(meds))
    if federation.exists():
        raise DataError("is there already", where=str(federation), remedy="Choose another --out")
    # Made beside its place and moved there when it is whole.
    partial = federation.resolve().with_name(f".{federation.resolve().name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for site, root in roots.items():
        write_site(partial, site, meds=root)
    name = federation.resolve().name
    save_federation(partial, FederationManifest(name, False, scheme, "", dict.fromkeys(roots, "")))
    manifest = _prepare_sites(partial, name, sorted(roots), scheme, vocabulary)
    save_federation(partial, manifest)
    partial.rename(federation)
    return manifest


def find_roots(meds: Path) -> dict[str, Path]:
    """MEDS roots by site: the folder itself, or those directly under it."""
    candidates = [meds, *sorted(path for path in meds.glob("*") if path.is_dir())]
    roots = {
        path.resolve().name: path for path in candidates if (path / "metadata" / "dataset.json").is_file()
    }
    if not roots:
        raise DataError(
            "no MEDS root here", where=str(meds), remedy="Make some with `wardlaw client shard ehr`"
        )
    return roots


def count_stays(root: Path) -> int:
    """Intensive care stays of a MEDS root."""
    codes = pl.scan_parquet(root / "data" / "**" / "*.parquet").select("code")
    stays = codes.filter(pl.col("code").str.starts_with("ICU_ADMISSION")).select(pl.len())
    return int(stays.collect().item())


def _prepare_sites(
    federation: Path, name: str, sites: list[str], scheme: Scheme, vocabulary: Vocabulary | None
) -> FederationManifest:
    config = RunConfig(data=DataSection(federation=str(federation), vocabulary="fitted", scheme=scheme))
    grid = InProcessGrid(app, len(sites), to_flat(config))
    participants = [Participant(site, node) for node, site in enumerate(sites)]
    refusals: dict[str, str] = {}

    def refuse(site: str, reason: str) -> None:
        refusals[site] = reason

    fitted = vocabulary or fit_common_vocabulary(grid, config, participants, refuse)
    fitted.save(federation / "vocabulary.json")
    # A site with too few patients for a sketch has too few for training.
    willing = [participant for participant in participants if participant.site not in refusals]
    made = tokenise_everywhere(grid, config, willing, fitted, refuse)
    for site, reason in sorted(refusals.items()):
        logger.warning("%s does not take part (%s)", site, reason)
    if not made:
        raise DataError("no site made a shard", where=str(federation))
    shards = {
        site: open_site_shard(
            load_site_policy(site_folder(federation, site) / "site.toml"), fitted.fingerprint
        )
        for site in made
    }
    return FederationManifest(
        name=name,
        synthetic=any(shard.manifest.synthetic for shard in shards.values()),
        scheme=scheme,
        tokenizer=fitted.fingerprint,
        sites={site: file_sha256(shard.folder / "manifest.json") for site, shard in shards.items()},
    )
