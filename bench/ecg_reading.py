"""Records a second from WFDB files and from the shard made of them: ``python -m bench.ecg_reading``.

Synthetic records of 12 leads, 10 s at 500 Hz, are written as WFDB (format 16). Then, in turn and several
times over, every record is read as float32 mV in a shuffled order: by ``wfdb.rdrecord``, from a shard at the
same rate, and from a shard at 100 Hz. Beside it whole sharding in one process, and the filter alone against
SciPy's with the same taps. A line each: by the median of processor time, and the ratio to its baseline.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import wfdb
from numpy.typing import NDArray
from scipy.signal import resample_poly

from client.ecg.convert import shard_source
from client.ecg.record import LEADS
from client.ecg.request import ShardRequest, ShardSettings
from client.ecg.resample import ratio, resampled, taps
from client.ecg.shard import SPLITS, SignalShard, SignalSplit
from wardlaw.seeds import generator

RATE, SECONDS, NEW_RATE = 500, 10, 100


def make_source(folder: Path, records: int) -> None:
    """Synthetic records whose limb leads keep Einthoven's and Goldberger's relations."""
    folder.mkdir()
    for number in range(records):
        rng = generator(0, "bench-ecg", number)
        free = np.cumsum(rng.normal(scale=0.02, size=(RATE * SECONDS, 8)), axis=0)
        one, two = free[:, 0], free[:, 1]
        limbs = [one, two, two - one, -(one + two) / 2, one - two / 2, two - one / 2]
        wfdb.wrsamp(
            f"r{number:05}",
            fs=RATE,
            units=["mV"] * len(LEADS),
            sig_name=list(LEADS),
            p_signal=np.stack([*limbs, *free[:, 2:].T], axis=1),
            fmt=["16"] * len(LEADS),
            adc_gain=[1000.0] * len(LEADS),
            baseline=[0] * len(LEADS),
            write_dir=str(folder),
        )


def sharded(source: Path, out: Path, rate: float) -> SignalShard:
    request = ShardRequest("wfdb", source, out, "bench", settings=ShardSettings(rate=rate))
    shard_source(request, lambda done, total: None)
    return SignalShard.open(out)


def places(shard: SignalShard) -> dict[str, tuple[SignalSplit, int]]:
    splits = [shard.split(name) for name in SPLITS]
    return {str(name): (split, row) for split in splits for row, name in enumerate(split.records)}


def read_from_wfdb(source: Path, names: Iterable[str]) -> None:
    for name in names:
        wfdb.rdrecord(str(source / name)).p_signal.astype(np.float32)


def read_from_shard(stored: dict[str, tuple[SignalSplit, int]], names: Iterable[str]) -> None:
    for name in names:
        split, row = stored[name]
        split.crop(row, 0, int(split.samples[row]))


def filter_by_scipy(signals: NDArray[np.float32]) -> None:
    up, down = ratio(RATE, NEW_RATE).as_integer_ratio()
    for signal in signals:
        resample_poly(signal, up, down, axis=0, window=taps(up, down), padtype="edge")


def filter_by_blocks(signals: NDArray[np.float32]) -> None:
    for signal in signals:
        resampled(signal, RATE, NEW_RATE)


def timed(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source = folder / "wfdb"
        make_source(source, options.records)
        stored = {rate: places(sharded(source, folder / f"shard-{rate}", rate)) for rate in (RATE, NEW_RATE)}
        names = np.array(sorted(stored[RATE]))
        signals = np.stack([split.crop(row, 0, RATE * SECONDS) for split, row in stored[RATE].values()])
        for turn in range(options.repeats):
            order = generator(0, "bench-order", turn).permutation(names).tolist()
            for what, work in {
                "read wfdb.rdrecord": partial(read_from_wfdb, source, order),
                f"read shard, {RATE} Hz": partial(read_from_shard, stored[RATE], order),
                f"read shard, {NEW_RATE} Hz": partial(read_from_shard, stored[NEW_RATE], order),
                f"shard all, {RATE} Hz": partial(sharded, source, folder / f"same-{turn}", RATE),
                f"shard all, to {NEW_RATE} Hz": partial(sharded, source, folder / f"new-{turn}", NEW_RATE),
                "filter scipy resample_poly": partial(filter_by_scipy, signals),
                "filter block products": partial(filter_by_blocks, signals),
            }.items():
                seconds.setdefault(what, []).append(timed(work))
    for what, times in seconds.items():
        baseline = "filter scipy resample_poly" if what.startswith("filter") else "read wfdb.rdrecord"
        rate = options.records / median(times)
        print(f"{what:28} {rate:9.0f} records/s  {median(seconds[baseline]) / median(times):7.2f} x")


if __name__ == "__main__":
    main()
