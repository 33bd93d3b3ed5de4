"""Write a signal shard, whole or not at all."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from client.ecg.arrange import arranged
from client.ecg.classes import CLASSES
from client.ecg.parts import Parts, write_part
from client.ecg.prepare import prepared
from client.ecg.record import LEADS, EcgRecord, Quarantined
from client.ecg.request import ShardSettings
from client.ecg.scaling import LeadHistogram
from client.ecg.shard import SPLITS, SignalCounts, SignalManifest
from client.ecg.splits import kept_splits
from client.new_folder import written_whole
from wardlaw.files import file_sha256, write_text_atomically

PART_RECORDS = 100
"""Records that are in memory together."""

_FLOATS = pa.list_(pa.float32(), len(LEADS))
_RECORDS = pa.schema(
    {
        "record": pa.string(),
        "patient": pa.string(),
        "first_sample": pa.int64(),
        "samples": pa.int64(),
        "gain": _FLOATS,
        "baseline": _FLOATS,
        "labels": pa.list_(pa.uint8(), len(CLASSES)),
        "diagnoses": pa.list_(pa.string()),
        "age": pa.float32(),
        "sex": pa.string(),
        "fold": pa.int8(),
        "repairs": pa.list_(pa.string()),
        "digest": pa.string(),
    }
)


def write_shard(
    folder: Path,
    records: Iterable[EcgRecord | Quarantined],
    settings: ShardSettings,
    *,
    site: str,
    source: str,
    synthetic: bool,
) -> SignalManifest:
    """Write records as a shard.

    Parameters
    ----------
    folder : Path
        A new or empty folder.
    records : iterable of EcgRecord or Quarantined
        In any order: the shard does not depend on it. A hundred are in memory at a time.
    settings : ShardSettings
    site, source, synthetic
        As in ``SignalManifest``.

    Raises
    ------
    DataError
        If the folder has something in it, or two records that differ have one name.
    ShardError
        If ``settings.keep_splits`` is no shard.
    """
    kept = kept_splits(settings.keep_splits) if settings.keep_splits else {}
    with written_whole(folder) as partial:
        spool = partial / "parts"
        items = ((site, prepared(record, settings.rate, settings.max_seconds)) for record in records)
        for number, part in enumerate(iter(lambda: list(islice(items, PART_RECORDS)), [])):
            write_part(spool / f"{number:06}.arrow", part)
        parts = Parts(sorted(spool.glob("*.arrow")))
        rows = arranged(parts.rows, settings.seed, kept)
        manifest = write_site(partial, parts, rows, settings.rate, site, source, synthetic)
        shutil.rmtree(spool, ignore_errors=True)
    return manifest


def write_site(
    folder: Path, parts: Parts, rows: pl.DataFrame, rate: float, site: str, source: str, synthetic: bool
) -> SignalManifest:
    """Write the files of one site's shard from `arranged` rows; the manifest comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    taken, lost = rows.filter(pl.col("reason").is_null()), rows.filter(pl.col("reason").is_not_null())
    histogram = LeadHistogram()
    splits = {
        split: _write_split(folder, split, parts, taken.filter(pl.col("split") == split), histogram)
        for split in SPLITS
    }
    write_quarantine(folder, lost)
    center, scale = histogram.center_and_scale()
    files = [f"{split}.{kind}" for split in SPLITS for kind in ("signals.bin", "records.parquet")]
    manifest = SignalManifest(
        site=site,
        source=source,
        synthetic=synthetic,
        rate=rate,
        classes=CLASSES,
        tokenizer=fingerprint(rate, CLASSES),
        splits=splits,
        center=tuple(center.tolist()),
        scale=tuple(scale.tolist()),
        records_read=len(rows),
        quarantined=tally(lost["reason"]),
        repairs=tally(taken["repairs"].explode().drop_nulls()),
        digests={name: file_sha256(folder / name) for name in [*files, "quarantine.csv"]},
    )
    write_text_atomically(folder / "manifest.json", manifest.model_dump_json(indent=2) + "\n")
    return manifest


def fingerprint(rate: float, classes: tuple[str, ...]) -> str:
    """SHA-256 of what shards must share to be trained on together, in hexadecimal."""
    shared = {
        "format": SignalManifest.model_fields["format"].default,
        "rate": float(rate),
        "leads": LEADS,
        "classes": classes,
    }
    return hashlib.sha256(json.dumps(shared, sort_keys=True).encode()).hexdigest()


def write_quarantine(folder: Path, lost: pl.DataFrame) -> None:
    """List what was not taken: ``record,reason,detail``."""
    lost.sort("record", "reason", "detail").select("record", "reason", "detail").write_csv(
        folder / "quarantine.csv"
    )


def tally(words: pl.Series) -> dict[str, int]:
    """How often each word comes, in alphabetical order."""
    return dict(sorted(words.value_counts().iter_rows()))


def _write_split(
    folder: Path, split: str, parts: Parts, taken: pl.DataFrame, histogram: LeadHistogram
) -> SignalCounts:
    gains, baselines = taken["gain"].to_numpy(), taken["baseline"].to_numpy()
    with (folder / f"{split}.signals.bin").open("wb") as file:
        for row, gain, baseline in zip(taken["row"], gains, baselines, strict=True):
            digital = parts.signal(row)
            file.write(digital.data)
            if split == "train":
                histogram.add((digital - baseline) / gain)
    samples = taken["samples"]
    rows = taken.with_columns(first_sample=samples.cum_sum() - samples)
    table = rows.select(_RECORDS.names).to_arrow().cast(_RECORDS)
    pq.write_table(table, folder / f"{split}.records.parquet")
    return SignalCounts(patients=taken["patient"].n_unique(), records=len(taken), samples=int(samples.sum()))
