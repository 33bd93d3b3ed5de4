"""Tables to MEDS (and, with --tokens, on to a token shard) on a synthetic labevents.

    python -m bench.etl --rows 10000000 --runs 3

Makes `labevents.csv.gz` with MIMIC-IV's 16 columns in a temporary folder, then converts it as
a user would, in a process of its own whose peak resident memory is read at its end.
"""

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from wardlaw.seeds import generator

ITEMS, CHUNK = 700, 500_000
COLUMNS = (
    "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,valuenum,"
    "valueuom,ref_range_lower,ref_range_upper,flag,priority,comments"
)
EPOCH = np.datetime64("2150-01-01T00:00:00")


def make_source(folder: Path, rows: int) -> None:
    """A MIMIC-IV folder with ``rows`` laboratory events of rows/250 patients, in no order."""
    patients = max(1, rows // 250)
    ids = pl.Series("subject_id", np.arange(10_000_000, 10_000_000 + patients))
    admissions = pl.DataFrame({"subject_id": ids}).with_columns(
        (pl.col("subject_id") + 10_000_000).alias("hadm_id"),
        admittime=pl.lit("2150-01-01 00:00:00"),
        dischtime=pl.lit("2151-01-01 00:00:00"),
        deathtime=pl.lit(None, pl.String),
        admission_type=pl.lit("URGENT"),
        admission_location=pl.lit("EMERGENCY ROOM"),
        discharge_location=pl.lit("HOME"),
        insurance=pl.lit("Other"),
        marital_status=pl.lit("SINGLE"),
        race=pl.lit("WHITE"),
        edregtime=pl.lit(None, pl.String),
        edouttime=pl.lit(None, pl.String),
    )
    people = pl.DataFrame({"subject_id": ids}).with_columns(
        gender=pl.lit("F"),
        anchor_age=pl.lit(50),
        anchor_year=pl.lit(2150),
        anchor_year_group=pl.lit("2011 - 2013"),
        dod=pl.lit(None, pl.String),
    )
    stays = pl.DataFrame(
        schema=["subject_id", "hadm_id", "stay_id", "first_careunit", "last_careunit", "intime", "outtime"]
    )
    diagnoses = pl.DataFrame(schema=["subject_id", "hadm_id", "seq_num", "icd_code", "icd_version"])
    for name, frame in (
        ("patients", people),
        ("admissions", admissions),
        ("icustays", stays),
        ("diagnoses_icd", diagnoses),
    ):
        frame.write_csv(folder / f"{name}.csv")
    with gzip.open(folder / "labevents.csv.gz", "wb", compresslevel=1) as file:
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            file.write(lab_rows(start, count, patients).write_csv(include_header=start == 0).encode())


def lab_rows(start: int, count: int, patients: int) -> pl.DataFrame:
    """Rows like MIMIC-IV's labevents: five columns that matter among sixteen."""
    rng = generator(0, "bench", "labevents", start)
    subject = rng.integers(0, patients, count)
    item = np.minimum(rng.zipf(1.3, count), ITEMS)
    minutes = rng.integers(0, 525_600, count)
    value = np.round(rng.lognormal(2.0, 1.0, count), 1)
    chart = (EPOCH + minutes.astype("timedelta64[m]")).astype("datetime64[us]")
    frame = pl.DataFrame(
        {
            "labevent_id": np.arange(start, start + count),
            "subject_id": 10_000_000 + subject,
            "hadm_id": 20_000_000 + subject,
            "specimen_id": rng.integers(0, 10**8, count),
            "itemid": 50_800 + item,
            "charttime": chart,
            "storetime": chart + np.timedelta64(47, "m"),
            "valuenum": value,
            "valueuom": np.array(["mg/dL", "mEq/L", "%", "K/uL", ""])[item % 5],
        }
    )
    times = pl.col("charttime", "storetime").dt.strftime("%Y-%m-%d %H:%M:%S")
    return frame.with_columns(
        times,
        order_provider_id=pl.lit("P03YMR"),
        value=pl.col("valuenum").cast(pl.String),
        ref_range_lower=pl.lit(10.5),
        ref_range_upper=pl.lit(15.5),
        flag=pl.when(pl.col("valuenum") > 20).then(pl.lit("abnormal")),
        priority=pl.lit("ROUTINE"),
        comments=pl.lit(None, pl.String),
    ).select(COLUMNS.split(","))


def convert(source: Path, out: Path) -> dict[str, float]:
    """Time and peak memory of one conversion, in this process."""
    from client.ehr.command import shard_source
    from client.ehr.request import ShardRequest, SourceName

    start = time.perf_counter()
    summary = shard_source(ShardRequest(SourceName.MIMIC_IV, source, out))
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "rows": summary.tables["labevents"].rows,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def tokenise(root: Path, out: Path) -> dict[str, float]:
    """Time and peak memory of fitting a vocabulary to one root and writing its token shard."""
    from client.ehr.summarise import summarise
    from client.ehr.tokenise import tokenise_root
    from server.vocabulary import fit_vocabulary

    vocabulary = fit_vocabulary([summarise(root, "ethos")], "ethos")
    start = time.perf_counter()
    manifest = tokenise_root(root, vocabulary, out, site="bench")
    seconds = time.perf_counter() - start
    tokens = sum(split.tokens for split in manifest.splits.values())
    return {
        "seconds": seconds,
        "rows": tokens,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measured(stage: str, source: Path, out: Path) -> dict[str, float]:
    """One stage in a fresh process, so that its peak memory is its own."""
    command = [sys.executable, "-m", "bench.etl", "--stage", stage, str(source), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def report(name: str, unit: str, runs: list[dict[str, float]]) -> None:
    rate = statistics.median(run["rows"] / run["seconds"] for run in runs) / 1e6
    peak = max(run["peak_mb"] for run in runs)
    seconds = statistics.median(run["seconds"] for run in runs)
    print(f"{name}: {runs[0]['rows']:,.0f} {unit}, {seconds:.2f} s, {rate:.2f} M{unit}/s, peak {peak:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tokens", action="store_true", help="also MEDS to tokens")
    parser.add_argument("--stage", nargs=3, metavar=("STAGE", "SOURCE", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        stage, source, out = options.stage
        print(json.dumps({"meds": convert, "tokens": tokenise}[stage](Path(source), Path(out))))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "source").mkdir()
        make_source(folder / "source", options.rows)
        size = (folder / "source" / "labevents.csv.gz").stat().st_size / 1e6
        print(f"labevents.csv.gz: {options.rows:,} rows, {size:,.0f} MB; processors: {os.cpu_count()}")
        roots = [folder / f"meds-{run}" for run in range(options.runs)]
        report("tables to MEDS", "rows", [measured("meds", folder / "source", root) for root in roots])
        if options.tokens:
            shards = [measured("tokens", root, folder / f"tokens-{run}") for run, root in enumerate(roots)]
            report("MEDS to tokens", "tokens", shards)


if __name__ == "__main__":
    main()
