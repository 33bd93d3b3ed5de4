"""Time and memory of a private step on a GPU, beside the plain step and Opacus.

    python -m bench.private_gpu [--case 600k --case 3m --case resnet] [--patients 256]

Decoders train on made-up patients with lengths like our synthetic hospitals' (median 75, up to 512), the
ResNet 1m on crops of 1,024 samples; loops and checks are those of ``bench.private_decoder`` and
``bench.private_resnet``. Printed are medians over steps that take turns, from one synchronised clock, and the
most memory that PyTorch had given out.
"""

import argparse
import statistics
import time

import torch

from bench import private_decoder, private_resnet
from bench.decoder_rows import OpacusStep
from bench.fixed_patients import FixedPatients
from client.privacy.engine import Engine
from client.privacy.engines import engine_of
from client.privacy.opacus_engines import ghost, hooks
from client.privacy.patient_loop import patient_loop
from client.privacy.per_sample.batched import batched
from client.privacy.per_sample.patients import stacked
from client.privacy.private_gradient import PrivateGradient
from client.training.gradient import BatchGradient, Gradient
from client.training.replica import Replica, build_optimiser, keep_float32
from client.training.trainer import train_steps
from models.ecg.model import build_ecg_model
from models.model import Model
from wardlaw.config import RunConfig

Step = private_decoder.Step

GPU = torch.device("cuda")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", help="600k, 3m (any decoder's rung) or resnet")
    parser.add_argument("--patients", type=int, default=256)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument(
        "--loops", default="plain,private,plain bf16,private bf16,Opacus hooks,Opacus ghost,loop"
    )
    arguments = parser.parse_args()
    keep_float32()
    print(torch.cuda.get_device_name(), torch.__version__)
    for case in arguments.case or ("600k", "3m", "resnet"):
        print(f"\n{case}: {arguments.patients} patients", flush=True)
        make = resnet_loop if case == "resnet" else decoder_loop
        loops = {name: make(name, case, arguments.patients) for name in arguments.loops.split(",")}
        report(loops, arguments.steps)
        del loops


def report(loops: dict[str, Step], steps: int) -> None:
    """Milliseconds and memory of each loop; the first step of each is not timed."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    memory: dict[str, float] = {}
    for index in range(steps + 1):
        for name, step in loops.items():
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            before, started = torch.cuda.memory_allocated(), time.perf_counter()
            step(index)
            torch.cuda.synchronize()
            times[name].append(1e3 * (time.perf_counter() - started))
            memory[name] = (torch.cuda.max_memory_allocated() - before) / 2**20
    for name, found in times.items():
        base = "plain bf16" if name.endswith("bf16") else "plain"
        ratio = statistics.median(a / b for a, b in zip(found[1:], times[base][1:], strict=True))
        middle = statistics.median(found[1:])
        print(
            f"{name:>13}: {middle:8.1f} ms a step, {ratio:6.2f} x {base}; {memory[name]:7.0f} MB",
            flush=True,
        )


def decoder_loop(name: str, size: str, patients: int) -> Step:
    lengths = private_decoder.lengths_of("hospital", patients)
    config = private_decoder.config_of(size, patients, 2, precision_of(name), "cuda")
    model = private_decoder.decoder_of(config).to(GPU)
    everyone = private_decoder.patients_of(lengths)
    if name.startswith("Opacus"):
        return OpacusStep(model, everyone, ghost=name.endswith("ghost"))
    stream = FixedPatients(everyone, private_decoder.packed(everyone))
    return loop_of(name, config, model, stream, patient_loop if name == "loop" else engine_of(config))


def resnet_loop(name: str, case: str, patients: int) -> Step:
    arguments = argparse.Namespace(
        family="resnet", size="1m", samples=1024, patients=patients, crops=1, threads=2
    )
    config = private_resnet.config_of(arguments, precision_of(name), "cuda")
    everyone = private_resnet.patients_of(arguments)
    stream = FixedPatients(everyone, stacked(everyone, torch.device("cpu")))
    engines: dict[str, Engine] = {"Opacus hooks": hooks, "Opacus ghost": ghost, "loop": patient_loop}
    model = build_ecg_model(config, private_resnet.CLASSES).to(GPU)
    return loop_of(name, config, model, stream, engines.get(name, batched))


def loop_of(name: str, config: RunConfig, model: Model, stream: FixedPatients, engine: Engine) -> Step:
    gradient: Gradient = BatchGradient(stream, config.train)
    if not name.startswith("plain"):
        gradient = PrivateGradient(stream, engine, config.privacy, config.train, bytes(32))
    replica = Replica(config, model, build_optimiser(config.train, model), stream, gradient)
    return lambda index: train_steps(replica, range(index, index + 1))


def precision_of(name: str) -> str:
    return "bf16" if name.endswith("bf16") else "fp32"


if __name__ == "__main__":
    main()
