"""Records a second of our S4D in training against a plain FFT S4D of the same architecture and weights.

    python -m bench.ecg_s4d [--size 1m] [--samples 512] [--batch 64] [--threads 1]

Loops take turns in one process, step by step, over the same made-up records with the same AdamW:

plain           fp32, a complex power for every mode and lag, transforms of whole tensors
ours fp32       powers from two small tables, transforms of a few channels at a time
ours bf16       the same, matrix products in bf16
ours compiled   the same, compiled
plain stride 1  the plain loop without the strided stem, which makes its sequences four times as long

The first four have one architecture, one length inside and the same first weights, so their losses
must agree; the task is to tell a fast wave from a slow one in noise. Time is the process's CPU time at one
thread, else wall time. Printed are medians over rounds, and ratios taken within a round.
"""

import argparse
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ecg.backbone import Backbone
from models.ecg.batch import LEADS
from models.ecg.s4d import NORM_EPSILON, S4D, STRIDE, Block, build_s4d
from models.ecg.scaling import initialise

Step = Callable[[int], float]
"""Train on the i-th batch; give its loss."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1m")
    parser.add_argument("--samples", type=int, default=512, help="samples of a crop")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4, help="timed steps of each loop in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    batches = [made_up(arguments.batch, arguments.samples, seed) for seed in range(8)]
    loops = {
        "plain": trainer(PlainS4D(drawn(arguments.size), STRIDE), batches),
        "ours fp32": trainer(drawn(arguments.size), batches),
        "ours bf16": trainer(drawn(arguments.size), batches, half=True),
        "ours compiled": trainer(compiled(drawn(arguments.size)), batches, half=True),
        "plain stride 1": trainer(PlainS4D(drawn(arguments.size), 1), batches),
    }
    print(
        f"{arguments.size}: batches of {arguments.batch} crops of {arguments.samples} samples, "
        f"{arguments.samples // STRIDE} positions, {arguments.threads} thread(s)",
        flush=True,
    )
    report(*take_turns(loops, arguments.steps, arguments.rounds, arguments.threads), arguments.batch)


class PlainS4D(nn.Module):
    """S4D as it is commonly written: (B, width, L), complex powers, transforms of whole tensors.

    Parameters
    ----------
    ours : S4D
        Whose weights it has.
    stride : int
        Samples of one position; if it is not ours the stem is the first samples' part of our stem.
    """

    def __init__(self, ours: S4D, stride: int) -> None:
        super().__init__()
        self.ours, self.stride, self.width = ours, stride, ours.width
        with torch.no_grad():
            kernel = ours.stem.weight.view(-1, STRIDE, LEADS)[:, :stride].transpose(1, 2)
        self.stem = nn.Conv1d(LEADS, ours.width, stride, stride)
        self.stem.load_state_dict({"weight": kernel, "bias": ours.stem.bias.detach()})

    def forward(self, signals: Tensor) -> Tensor:
        """(B, samples, leads) to (B, samples / stride, width)."""
        x = self.stem(signals.transpose(1, 2))
        for block in self.ours.blocks:
            assert isinstance(block, Block)
            x = plain_block(block, x)
        normed: Tensor = self.ours.norm(x.transpose(1, 2))
        return normed


def plain_block(block: Block, x: Tensor) -> Tensor:
    width, length = x.shape[1:]
    layer = block.state_space
    u = functional.rms_norm(x.transpose(1, 2), (width,), eps=NORM_EPSILON).transpose(1, 2)
    a = torch.complex(-layer.log_a_real.exp(), layer.a_imag)
    poles = layer.log_dt.exp()[:, None] * a
    read = torch.complex(layer.c_real, layer.c_imag) * (poles.exp() - 1) / a
    powers = (poles[..., None] * torch.arange(length)).exp()
    past, future = 2 * torch.einsum("dhn,hnl->dhl", read, powers).real
    kernels = functional.pad(past, (0, length)) + functional.pad(future.flip(-1), (length, 0))
    spectra = torch.fft.rfft(u, n=2 * length) * torch.fft.rfft(kernels)
    y = torch.fft.irfft(spectra, n=2 * length)[..., :length] + layer.d[:, None] * u
    mixed = functional.conv1d(functional.gelu(y), block.gate.weight[..., None], block.gate.bias)
    return x + functional.glu(mixed, 1)


def drawn(size: str) -> S4D:
    """S4D with first weights that are the same at every call."""
    backbone = build_s4d(size)
    initialise(nn.ModuleDict({"backbone": backbone}), backbone, 0)
    return backbone


def compiled(backbone: S4D) -> S4D:
    backbone.compile(dynamic=False)
    return backbone


def made_up(records: int, samples: int, seed: int) -> tuple[Tensor, Tensor]:
    """A wave in noise in all leads, and whether it is the fast one: made-up signals, not ECGs."""
    stream = torch.Generator().manual_seed(seed)
    fast = torch.randint(0, 2, (records,), generator=stream)
    phases = 2 * math.pi * torch.rand(records, generator=stream)
    cycles = torch.where(fast == 1, 1 / 25, 1 / 60)[:, None] * torch.arange(samples)
    waves = (2 * math.pi * cycles + phases[:, None]).sin()
    return waves[..., None] + torch.randn(records, samples, LEADS, generator=stream), fast.float()


def trainer(backbone: Backbone | PlainS4D, batches: list[tuple[Tensor, Tensor]], half: bool = False) -> Step:
    head = nn.Linear(backbone.width, 1)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    parameters = [*backbone.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, fused=True)

    def step(index: int) -> float:
        signals, labels = batches[index % len(batches)]
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            features = backbone(signals)
        logits = head(features.mean(1)).squeeze(1)
        loss = functional.binary_cross_entropy_with_logits(logits, labels)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        return loss.item()

    return step


def take_turns(
    loops: dict[str, Step], steps: int, rounds: int, threads: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Seconds a step of each loop in each round, and its losses; the first round warms up."""
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    losses: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds + 1):
        spent = dict.fromkeys(loops, 0.0)
        for index in range(number * steps, (number + 1) * steps):
            for name, step in loops.items():
                started = clock()
                losses[name].append(step(index))
                spent[name] += clock() - started
        for name in loops:
            seconds[name].append(spent[name] / steps)
    return {name: values[1:] for name, values in seconds.items()}, losses


def report(seconds: dict[str, list[float]], losses: dict[str, list[float]], batch: int) -> None:
    for name, values in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds["plain"], values, strict=True))
        print(
            f"{name:>14}: {batch / statistics.median(values):7.1f} records/s  {ratio:.2f} x plain  "
            f"loss {losses[name][0]:.4f} to {statistics.mean(losses[name][-8:]):.4f}"
        )


if __name__ == "__main__":
    main()
