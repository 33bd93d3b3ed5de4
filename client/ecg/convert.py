"""Turn a source into a signal shard, or a shard a site."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from client.ecg.arrange import arranged
from client.ecg.parts import Parts
from client.ecg.request import ShardRequest
from client.ecg.shard import SPLITS, SignalManifest
from client.ecg.shard_writer import write_site
from client.ecg.sites import check_site, named_sites
from client.ecg.sources.registry import SOURCES
from client.ecg.splits import kept_splits
from client.ecg.spool import spooled
from client.new_folder import refuse_used, written_whole
from wardlaw.errors import ConfigError

Progress = Callable[[int, int], None]
"""Told of records done since the last time, and of all there are."""


@dataclass(frozen=True)
class Summary:
    """What a conversion did: the manifest of each site."""

    source: str
    sites: dict[str, SignalManifest]

    def counts(self, field: str) -> dict[str, int]:
        """``quarantined`` or ``repairs`` of all sites together."""
        total: Counter[str] = Counter()
        for manifest in self.sites.values():
            total.update(getattr(manifest, field))
        return dict(sorted(total.items()))

    def record(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "source": self.source,
            "records-read": sum(manifest.records_read for manifest in self.sites.values()),
            "records": sum(
                counts.records for manifest in self.sites.values() for counts in manifest.splits.values()
            ),
            "quarantined": self.counts("quarantined"),
            "repairs": self.counts("repairs"),
            "sites": {
                name: {
                    "records-read": manifest.records_read,
                    "splits": {split: manifest.splits[split].model_dump() for split in SPLITS},
                    "quarantined": manifest.quarantined,
                    "repairs": manifest.repairs,
                    "synthetic": manifest.synthetic,
                    "tokenizer": manifest.tokenizer,
                }
                for name, manifest in self.sites.items()
            },
        }


def shard_source(request: ShardRequest, progress: Progress) -> Summary:
    """Write the shards of a source, whole or not at all.

    What was read before an error or a kill is kept in a hidden folder beside ``request.out``, from which the
    same request goes on.

    Raises
    ------
    ConfigError
        If the request names no site, or a source that is not known.
    DataError
        If ``request.out`` has something in it, or the source as a whole cannot be read.
    ShardError
        If ``settings.keep_splits`` is no shard.
    """
    if request.source not in SOURCES:
        raise ConfigError(
            f"no source {request.source}", where="--source", remedy=f"One of {', '.join(SOURCES)}"
        )
    check_site(request)
    refuse_used(request.out)
    settings, source = request.settings, SOURCES[request.source]
    kept = kept_splits(settings.keep_splits) if settings.keep_splits else {}
    references = source.list(request.folder, request.patients, request.site_column)
    paths = spooled(request, references, source.read, lambda done: progress(done, len(references)))
    parts = Parts(paths)
    rows = arranged(named_sites(parts.rows, request), settings.seed, kept)
    name = f"{request.source}: {request.folder.name}"
    with written_whole(request.out) as folder:
        manifests = {
            site: write_site(
                folder / site if request.site_column else folder,
                parts,
                rows.filter(pl.col("site") == site),
                settings.rate,
                site,
                name,
                source.synthetic,
            )
            for site in sorted(rows["site"].unique())
        }
    for folder in {path.parent for path in paths}:
        shutil.rmtree(folder)
    return Summary(name, manifests)
