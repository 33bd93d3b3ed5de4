"""Tokens a second from a MEDS root to a shard, and memory at the peak: ``python -m bench.tokenise``.

Each scheme tokenises the same generated root in turn, several times over; one line a
scheme with the medians. Beside it, the least that any tokeniser must do: reading the
Parquet columns.
"""

import argparse
import resource
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import meds.schema as meds
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from client.ehr.summarise import summarise
from client.ehr.tokenise import tokenise_root
from server.vocabulary import fit_vocabulary
from wardlaw.seeds import generator


def make_root(folder: Path, events: int, files: int) -> None:
    """Write a root of patients with some 250 events each: laboratory values, vitals and ICD codes."""
    names = np.array(
        [meds.birth_code]
        + [f"LAB//{50_000 + number}//mg/dL" for number in range(400)]
        + [f"VITAL//{number}" for number in range(20)]
        + [f"DIAGNOSIS//ICD//10//{letter}{number:03}" for letter in "ABCDE" for number in range(100)]
    )
    weights = 1.0 / np.arange(1, len(names) + 1)
    subjects = []
    for number in range(files):
        rng = generator(0, "bench", number)
        patients = max(events // files // 250, 1)
        ids = np.sort(rng.integers(0, patients, events // files)) + number * patients
        starts = np.flatnonzero(np.diff(ids, prepend=-1))
        codes = rng.choice(len(names), len(ids), p=weights / weights.sum())
        codes[codes == 0] = 1
        times = np.cumsum(rng.exponential(3.6e9, len(ids)).astype(np.int64))
        codes[starts] = 0
        times[starts] -= 10**15
        values = np.where(codes <= 420, rng.lognormal(2, 1, len(ids)), np.nan).astype(np.float32)
        table = pa.table(
            {
                "subject_id": ids,
                "time": pa.array(times.view("datetime64[us]")),
                "code": pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(names)),
                "numeric_value": pa.array(values, from_pandas=True),
            }
        )
        path = folder / meds.data_subdirectory / f"{number:03}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        subjects.append(np.unique(ids))
    everyone = np.concatenate(subjects)
    (folder / "metadata").mkdir()
    splits = pa.table({"subject_id": everyone, "split": ["train"] * len(everyone)})
    pq.write_table(splits, folder / meds.subject_splits_filepath)
    pq.write_table(pa.table({"code": names}), folder / meds.code_metadata_filepath)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--files", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / "meds"
        make_root(root, options.events, options.files)
        seconds: dict[str, list[float]] = {}
        tokens: dict[str, int] = {}
        vocabularies = {}
        for scheme in ("ethos", "fused"):
            start = perf_counter()
            sketch = summarise(root, scheme)
            seconds[f"sketch {scheme}"] = [perf_counter() - start]
            vocabularies[scheme] = fit_vocabulary([sketch], scheme)
        for _ in range(options.repeats):
            start = perf_counter()
            for path in sorted((root / "data").iterdir()):
                pq.read_table(path, read_dictionary=["code"])
            seconds.setdefault("read only", []).append(perf_counter() - start)
            for scheme, vocabulary in vocabularies.items():
                start = perf_counter()
                manifest = tokenise_root(root, vocabulary, Path(temporary) / "tokens", site="bench")
                seconds.setdefault(scheme, []).append(perf_counter() - start)
                tokens[scheme] = manifest.splits["train"].tokens
    for name, times in seconds.items():
        line = f"{name:14} {median(times):7.2f} s  {options.events / median(times) / 1e6:6.2f} M events/s"
        if name in tokens:
            line += f"  {tokens[name] / median(times) / 1e6:6.2f} M tokens/s ({tokens[name]:,} tokens)"
        print(line)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
