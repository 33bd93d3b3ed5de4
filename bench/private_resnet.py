"""Time and memory of a private step of the ResNet, beside the plain step and Opacus.

    python -m bench.private_resnet [--size 1m] [--samples 512] [--patients 32] [--crops 1] [--threads 1]

All train the same ResNet with diagnoses from the same weights on the same made-up crops (synthetic), with the
same fused AdamW; private ones add the same secret noise (``client.privacy``):

plain, plain bf16       our non-private step on all crops
private, private bf16   our private step: one forward, one backward pass (``client.privacy.per_sample``)
loop                    patients one by one
vmap                    ``torch.func.vmap`` of one crop's gradient
Opacus ...              its hooks, ghost clipping and fast gradient clipping

First the sums of clipped gradients must agree with the loop's. Then the loops take turns step by step:
printed are medians over rounds, and ratios taken within a round. Time is the process's CPU time at one
thread, which a busy machine disturbs least, else wall time. Peak memory is of a fresh process a loop,
beyond what it holds once its libraries are loaded.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bench.fixed_patients import FixedPatients
from client.privacy.clipping import Clipping
from client.privacy.engine import Engine, PatientGradients
from client.privacy.opacus_engines import fast_gradient, ghost, hooks
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample.batched import add_clipped, batched, norms_of
from client.privacy.per_sample.contribution import Explicit
from client.privacy.per_sample.patients import Losses, stacked
from client.privacy.private_gradient import PrivateGradient
from client.training.gradient import BatchGradient, Gradient
from client.training.replica import Replica, build_optimiser
from client.training.trainer import train_steps
from models.ecg.batch import LEADS, SignalBatch
from models.ecg.model import EcgModel, build_ecg_model
from models.ecg.objectives.objective import RecordLosses
from models.model import Batch, Model
from wardlaw.config import RunConfig, load_config

CPU = torch.device("cpu")

CLASSES = 26

Step = Callable[[int], object]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--family", default="resnet")
    parser.add_argument("--size", default="1m", help="rung")
    parser.add_argument("--samples", type=int, default=512, help="samples of a crop")
    parser.add_argument("--patients", type=int, default=32)
    parser.add_argument("--crops", type=int, default=1, help="of a patient; Opacus takes one")
    parser.add_argument("--steps", type=int, default=2, help="timed steps of each loop in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--loops", default=",".join(("plain", "plain bf16", *ENGINES)))
    parser.add_argument("--memory", help="only measure the peak memory of this loop, in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.memory:
        print(json.dumps(peak_memory(arguments)))
        return
    names = arguments.loops.split(",")
    print(
        f"{arguments.family} {arguments.size}: {arguments.patients} patients of {arguments.crops} crops "
        f"of {arguments.samples} samples, {arguments.threads} threads",
        flush=True,
    )
    check_sums(names, arguments)
    memory = {name: memory_in_a_fresh_process(name) for name in names}
    loops = {name: make_loop(name, arguments) for name in names}
    for step in loops.values():
        step(0)
    report(take_turns(loops, arguments), memory)


def vmapped(
    model: Model, patients: Sequence[Batch], clipping: Clipping, precision: torch.dtype = torch.float32
) -> PatientGradients:
    """Gradients of all crops by ``torch.func``, for a supervised model."""
    assert isinstance(model, EcgModel)
    batch, count = stacked(patients, CPU), len(patients)
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def loss(weights: dict[str, Tensor], signals: Tensor, labels: Tensor, length: Tensor) -> Tensor:
        row = SignalBatch(signals[None], labels[None], length[None], length[None])
        named = {f"model.{name}": value for name, value in weights.items()}
        losses: RecordLosses = torch.func.functional_call(Losses(model), named, (row,))
        return (losses.nats / losses.targets).sum()

    every = torch.func.vmap(torch.func.grad_and_value(loss), in_dims=(None, 0, 0, 0))
    gradients, losses = every(weights, batch.signals, batch.labels, batch.lengths)
    own = {name: Explicit(g.unflatten(0, (count, -1)).mean(1)) for name, g in gradients.items()}
    losses = losses.view(count, -1).mean(1)
    norms = norms_of(own, losses)
    add_clipped(model, own, clipping.factors(norms))
    return PatientGradients(losses, norms)


ENGINES: dict[str, Engine] = {
    "private": batched,
    "private bf16": batched,
    "loop": patient_loop,
    "vmap": vmapped,
    "Opacus hooks": hooks,
    "Opacus ghost": ghost,
    "Opacus fast": fast_gradient,
}


def patients_of(arguments: argparse.Namespace) -> tuple[SignalBatch, ...]:
    stream = torch.Generator().manual_seed(0)
    shape = arguments.patients, arguments.crops
    signals = torch.randn(*shape, arguments.samples, LEADS, generator=stream)
    labels = (torch.rand(*shape, CLASSES, generator=stream) < 0.2).float()
    lengths = torch.full(shape, arguments.samples)
    return tuple(SignalBatch(*rows, rows[2]) for rows in zip(signals, labels, lengths, strict=True))


def config_of(arguments: argparse.Namespace, precision: str = "fp32", device: str = "cpu") -> RunConfig:
    return load_config(
        None,
        [
            "run.topology=centralised",
            f"model.family={arguments.family}",
            f"model.size={arguments.size}",
            f"model.context={arguments.samples}",
            "objective.name=bce",
            f"train.precision={precision}",
            f"train.tokens={10**12}",
            f"train.threads={arguments.threads}",
            f"train.device={device}",
            "privacy.mechanism=dp-sgd",
            f"privacy.patients={arguments.patients}",
        ],
    )


def make_loop(name: str, arguments: argparse.Namespace) -> Step:
    config = config_of(arguments, "bf16" if name.endswith("bf16") else "fp32")
    everyone = patients_of(arguments)
    stream = FixedPatients(everyone, stacked(everyone, CPU))
    gradient: Gradient = BatchGradient(stream, config.train)
    if name in ENGINES:
        gradient = PrivateGradient(stream, ENGINES[name], config.privacy, config.train, bytes(32))
    model = build_ecg_model(config, CLASSES)
    replica = Replica(config, model, build_optimiser(config.train, model), stream, gradient)
    return lambda index: train_steps(replica, range(index, index + 1))


def check_sums(names: Sequence[str], arguments: argparse.Namespace) -> None:
    """Each engine's sum of clipped gradients against the loop's, in float32."""
    config, patients = config_of(arguments), patients_of(arguments)
    sums: dict[str, Tensor] = {}
    for name in {"loop", *names} & ENGINES.keys():
        model = build_ecg_model(config, CLASSES)
        ENGINES[name](model, patients, Clipping(0.1))
        sums[name] = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    worst = max(((total - sums["loop"]).norm() / sums["loop"].norm()).item() for total in sums.values())
    assert worst < 1e-5
    print(f"  clipped sums differ by {worst:.1e} of their norm at most", flush=True)


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


def peak_memory(arguments: argparse.Namespace) -> dict[str, float]:
    """MB held by libraries, and at the peak of three steps."""
    libraries = memory_of("VmRSS")
    step = make_loop(arguments.memory, arguments)
    for index in range(3):
        step(index)
    return {"libraries": libraries, "peak": memory_of("VmHWM")}


def memory_of(field: str) -> float:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[field].split()[0]) / 1024


def memory_in_a_fresh_process(name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.private_resnet", *sys.argv[1:], "--memory", name]
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    measured: dict[str, float] = json.loads(written)
    return measured


def report(times: dict[str, list[float]], memory: dict[str, dict[str, float]]) -> None:
    for name, values in times.items():
        ratios = [a / b for a, b in zip(values, times["plain"], strict=True)]
        peak, beyond = memory[name]["peak"], memory[name]["peak"] - memory[name]["libraries"]
        print(
            f"{name:>13}: {statistics.median(values):6.1f} ms a step, "
            f"{statistics.median(ratios):.2f} x plain ({min(ratios):.2f} to {max(ratios):.2f}); "
            f"peak {peak:4.0f} MB, beyond libraries {beyond:4.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
