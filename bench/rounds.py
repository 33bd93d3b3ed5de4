"""Rounds in this process against rounds in Flower's own simulation engine (Ray).

    python -m bench.rounds [--sites 2] [--rounds 7] [--parameters 1000 1000000 25000000]
    python -m bench.rounds --overhead [--sites 2] [--rounds 5] [--size 600k] [--local-steps 20]

The first form sends a model to sites that send it back changed, so that a round is all machinery. The two
runtimes take turns, round by round, in one run of this script; Flower's engine is warm, and its start
of about ten seconds is told apart. Printed are medians over rounds, and the median of the ratios
within a turn. The first turn of each size is not counted.

The second form trains, and tells what share of a round's wall time is not local training: the
median over rounds but the first, in which libraries warm up.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from bench.echo import client, one_round
from simulations.federation_folder import load_federation
from simulations.flower_engine import running_engine, simulated_nodes
from simulations.grid import InProcessGrid
from simulations.in_process import run_in_process
from simulations.random_federation import write_random_federation
from wardlaw.config import RunConfig
from wardlaw.deployment.processes import Children
from wardlaw.records import load_record

PROJECT = """
[project]
name = "echo"
version = "0.1.0"
dependencies = []

[tool.flwr.app]
publisher = "bench"

[tool.flwr.app.components]
serverapp = "echo:server"
clientapp = "echo:client"

[tool.flwr.app.config]
folder = ""
turns = 0
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sites", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--parameters", type=int, nargs="+", default=[1_000, 1_000_000, 25_000_000])
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--size", default="600k")
    parser.add_argument("--codes", type=int, default=1500)
    parser.add_argument("--local-steps", type=int, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wardlaw-bench-") as folder:
        if given.overhead:
            print_overhead(Path(folder), given)
        else:
            print_runtimes(Path(folder), given.sites, given.rounds, given.parameters)


def print_runtimes(folder: Path, sites: int, rounds: int, sizes: list[int]) -> None:
    turns = [size for size in sizes for _ in range(rounds + 1)]
    project, signs = folder / "echo", folder / "signs"
    project.mkdir()
    signs.mkdir()
    (project / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("echo.py"), project / "echo.py")
    ours = InProcessGrid(client, sites, {})
    started = time.perf_counter()
    with running_engine(folder / "home") as (superlink, children):
        superlink.submit(project, {"folder": str(signs), "turns": len(turns)}, simulated_nodes(sites))
        seconds: dict[int, list[tuple[float, float]]] = {size: [] for size in sizes}
        for turn, size in enumerate(turns):
            flowers = take_turn(signs, turn, size, children)
            if turn == 0:
                print(f"Flower's engine: {time.perf_counter() - started:.1f} s to its first round's end")
            seconds[size].append((one_round(ours, size), flowers))
    print(f"{sites} sites, {rounds} rounds of each size\n")
    print(f"{'parameters':>12}  {'in process':>12}  {'Flower, Ray':>12}  {'ratio':>8}")
    for size, pairs in seconds.items():
        counted = pairs[1:]
        mine, theirs = (statistics.median(column) for column in zip(*counted, strict=True))
        ratio = statistics.median(other / own for own, other in counted)
        print(f"{size:>12,}  {mine * 1e3:>9.2f} ms  {theirs * 1e3:>9.1f} ms  {ratio:>7.1f}x")


def take_turn(signs: Path, turn: int, size: int, children: Children) -> float:
    order = signs / f"turn-{turn}"
    order.with_suffix(".tmp").write_text(str(size), encoding="ascii")
    order.with_suffix(".tmp").rename(order)
    answer = signs / f"seconds-{turn}"
    while not answer.exists():
        if children.ended():
            raise SystemExit(children.log("superlink").read_text(encoding="utf-8"))
        time.sleep(0.01)
    return float(answer.read_text(encoding="ascii"))


def print_overhead(folder: Path, given: argparse.Namespace) -> None:
    federation = write_random_federation(
        folder / "federation", given.sites, patients=300, length=600, codes=given.codes
    )
    batch = 8192
    config = RunConfig.model_validate(
        {
            "data": {
                "federation": str(federation),
                "tokenizer": load_federation(federation).tokenizer,
            },
            "model": {"size": given.size, "context": 512},
            "train": {"batch-tokens": batch, "tokens": batch * given.local_steps * given.rounds},
            "federation": {"replicas": given.sites, "local-steps": given.local_steps, "quorum": given.sites},
        }
    )
    record = load_record(run_in_process(config, folder / "runs"))
    rows = record.table("rounds").to_pylist()
    shares = [1 - row["training_s"] / row["wall_s"] for row in rows]
    print(f"{record.result.parameters:,} parameters, {given.sites} sites, {given.local_steps} local steps")
    for row, share in zip(rows, shares, strict=True):
        outside = row["wall_s"] - row["training_s"]
        print(f"round {row['round']}: {row['wall_s']:.2f} s, outside training {outside:.3f} s, {share:.1%}")
    print(f"median overhead: {statistics.median(shares[1:]):.2%}")


if __name__ == "__main__":
    main()
