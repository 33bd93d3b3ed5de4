"""Time and memory of a private step of the decoder, beside the plain step and Opacus.

    python -m bench.private_decoder [--size 600k] [--case equal] [--threads 1] [--memory]

All train the same decoder from the same weights on the same made-up patients, with the same fused AdamW:

plain          our non-private step: the patients packed end to end, clipped as a whole
private        our private step: patients packed by length (``client.privacy.per_sample``), secret noise
loop           the same, patients one by one
plain bf16, private bf16
               the same in bfloat16 autocast
Opacus hooks   per-sample gradients of rows padded to the longest patient, ``DPOptimizer``
Opacus ghost   norms first, then a second backward pass (Li et al., arXiv 2110.05679, section 4)

Cases: ``equal`` has 8 patients of 512 tokens, ``varied`` 16 of lognormal lengths up to 1024, ``hospital`` 64
of lengths like our synthetic hospitals' (median 75, up to 512), ``short`` 32 of about 50 tokens, where noise,
which costs the same whoever is drawn, weighs most. With 4096 tokens in the vocabulary, rungs 600k and 3m have
1.6 and 5.2 million parameters.

First the sums of clipped gradients of private and hooks must agree. Then the loops take turns step by step:
printed are medians over rounds, and ratios taken within a round. Time is the process's CPU time at one
thread, which a busy machine disturbs least, else wall time. Peak memory is of a fresh process a loop,
in all and beyond what it holds once its libraries are loaded.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from opacus.grad_sample import GradSampleModule
from torch import nn

from bench.decoder_rows import OpacusStep, Rows, row_losses, rows_of
from bench.fixed_patients import FixedPatients
from client.privacy.clipping import Clipping
from client.privacy.engines import engine_of
from client.privacy.patient_loop import patient_loop
from client.privacy.private_gradient import PrivateGradient
from client.training.gradient import BatchGradient, Gradient
from client.training.replica import Replica, build_optimiser
from client.training.trainer import train_steps
from models.ehr.decoder import Decoder
from models.ehr.packed import PackedBatch
from models.registry import build_model
from wardlaw.config import RunConfig, load_config

VOCABULARY_SIZE = 4096
LOOPS = ("plain", "private", "loop", "plain bf16", "private bf16", "Opacus hooks", "Opacus ghost")

Step = Callable[[int], object]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", action="append", help="rung; by default 600k and 3m")
    parser.add_argument(
        "--case", action="append", help="equal, varied, hospital or short; by default equal, hospital, short"
    )
    parser.add_argument("--steps", type=int, default=2, help="timed steps of each loop in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--loops", default=",".join(LOOPS))
    parser.add_argument("--memory", help="only measure the peak memory of this loop, in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for size in arguments.size or ("600k", "3m"):
        for case in arguments.case or ("equal", "hospital", "short"):
            if arguments.memory:
                print(json.dumps(peak_memory(size, case, arguments.memory, arguments.threads)))
            else:
                compare(size, case, arguments)


def compare(size: str, case: str, arguments: argparse.Namespace) -> None:
    lengths = lengths_of(case)
    print(
        f"\n{size}, {case}: {len(lengths)} patients, {sum(lengths)} tokens, longest {max(lengths)}",
        flush=True,
    )
    print(
        f"  clipped sums of private and Opacus hooks differ by {difference(size, lengths):.1e} of their norm"
    )
    names = arguments.loops.split(",")
    memory = {name: memory_in_a_fresh_process(size, case, name, arguments.threads) for name in names}
    loops = {name: make_loop(name, size, lengths, arguments.threads) for name in names}
    for step in loops.values():
        step(0)
    report(take_turns(loops, arguments), memory)


# Patients and models, the same for all.


def lengths_of(case: str, patients: int | None = None) -> list[int]:
    random = np.random.default_rng(0)
    if case == "equal":
        return [512] * (patients or 8)
    median, spread, number, longest = {
        "varied": (300, 1.0, 16, 1024),
        "hospital": (75, 1.1, 64, 512),
        "short": (45, 0.5, 32, 128),
    }[case]
    return (
        np.clip(random.lognormal(np.log(median), spread, patients or number), 4, longest).astype(int).tolist()
    )


def patients_of(lengths: list[int]) -> tuple[PackedBatch, ...]:
    return tuple(one_batch([length], seed) for seed, length in enumerate(lengths))


def one_batch(lengths: list[int], seed: int) -> PackedBatch:
    stream = torch.Generator().manual_seed(seed)
    tokens, targets = torch.randint(VOCABULARY_SIZE, (2, sum(lengths)), generator=stream)
    positions = torch.cat([torch.arange(length, dtype=torch.float32) for length in lengths])
    return PackedBatch(tokens, targets, positions, tuple(lengths))


def packed(patients: tuple[PackedBatch, ...]) -> PackedBatch:
    decreasing = sorted(patients, key=lambda patient: -len(patient.tokens))
    fields = ([getattr(p, name) for p in decreasing] for name in ("tokens", "targets", "positions"))
    return PackedBatch(*map(torch.cat, fields), tuple(len(p.tokens) for p in decreasing))


def config_of(
    size: str, patients: int, threads: int, precision: str = "fp32", device: str = "cpu"
) -> RunConfig:
    return load_config(
        None,
        [
            "run.topology=centralised",
            f"model.size={size}",
            "model.context=1024",
            f"train.precision={precision}",
            f"train.tokens={10**12}",
            f"train.threads={threads}",
            f"train.device={device}",
            "privacy.mechanism=dp-sgd",
            f"privacy.patients={patients}",
        ],
    )


def decoder_of(config: RunConfig) -> Decoder:
    model = build_model(config, VOCABULARY_SIZE)
    assert isinstance(model, Decoder)
    return model


# Our steps.


def make_loop(name: str, size: str, lengths: list[int], threads: int) -> Step:
    config = config_of(size, len(lengths), threads, "bf16" if name.endswith("bf16") else "fp32")
    if name.startswith("Opacus"):
        return OpacusStep(decoder_of(config), patients_of(lengths), ghost=name.endswith("ghost"))
    everyone = patients_of(lengths)
    stream = FixedPatients(everyone, packed(everyone))
    gradient: Gradient = BatchGradient(stream, config.train)
    if not name.startswith("plain"):
        engine = patient_loop if name == "loop" else engine_of(config)
        gradient = PrivateGradient(stream, engine, config.privacy, config.train, bytes(32))
    model = decoder_of(config)
    replica = Replica(config, model, build_optimiser(config.train, model), stream, gradient)
    return lambda index: train_steps(replica, range(index, index + 1))


def difference(size: str, lengths: list[int]) -> float:
    """Distance of both sums of clipped gradients, over the norm of one."""
    config = config_of(size, len(lengths), torch.get_num_threads())
    patients = patients_of(lengths)
    ours, theirs = decoder_of(config), decoder_of(config)
    for model in (ours, theirs):
        # The head starts at 0, where nothing before it has a gradient.
        nn.init.normal_(model.lm_head.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    known = engine_of(config)(ours, patients, Clipping(1.0))
    wrapped = GradSampleModule(Rows(theirs), loss_reduction="sum")
    tokens, targets = rows_of(patients)
    row_losses(wrapped(tokens), targets).sum().backward()
    factors = Clipping(1.0).factors(known.norms)
    squares = [0.0, 0.0]
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        summed = torch.einsum("b,b...->...", factors, other.grad_sample)
        squares[0] += float((mine.grad - summed).square().sum())
        squares[1] += float(summed.square().sum())
    return (squares[0] / squares[1]) ** 0.5


# Time and memory.


def take_turns(loops: dict[str, Step], arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Milliseconds a step of each loop in each round."""
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(arguments.rounds):
        seconds = dict.fromkeys(loops, 0.0)
        for index in range(number * arguments.steps, (number + 1) * arguments.steps):
            for name, step in loops.items():
                started = clock()
                step(index + 1)
                seconds[name] += clock() - started
        for name, total in seconds.items():
            times[name].append(1e3 * total / arguments.steps)
    return times


def peak_memory(size: str, case: str, name: str, threads: int) -> dict[str, float]:
    """MB held by libraries, and at the peak of three steps."""
    libraries = memory_of("VmRSS")
    step = make_loop(name, size, lengths_of(case), threads)
    for index in range(3):
        step(index)
    return {"libraries": libraries, "peak": memory_of("VmHWM")}


def memory_of(field: str) -> float:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[field].split()[0]) / 1024


def memory_in_a_fresh_process(size: str, case: str, name: str, threads: int) -> dict[str, float]:
    own = ["--size", size, "--case", case, "--threads", str(threads), "--memory", name]
    command = [sys.executable, "-m", "bench.private_decoder", *own]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    measured: dict[str, float] = json.loads(written)
    return measured


def report(times: dict[str, list[float]], memory: dict[str, dict[str, float]]) -> None:
    for name, values in times.items():
        base = "plain bf16" if name == "private bf16" else "plain"
        ratio = statistics.median(a / b for a, b in zip(values, times[base], strict=True))
        peak, beyond = memory[name]["peak"], memory[name]["peak"] - memory[name]["libraries"]
        beyond_ratio = beyond / (memory[base]["peak"] - memory[base]["libraries"])
        print(
            f"{name:>13}: {statistics.median(values):7.0f} ms a step, {ratio:.2f} x {base}; "
            f"peak {peak:5.0f} MB ({peak / memory[base]['peak']:.2f} x), "
            f"beyond libraries {beyond:5.0f} MB ({beyond_ratio:.2f} x)",
            flush=True,
        )


if __name__ == "__main__":
    main()
