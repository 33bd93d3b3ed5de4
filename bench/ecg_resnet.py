"""Training speed of our ResNet over time against the plain loop of the same network.

    python -m bench.ecg_resnet [--size 1m] [--batch 64] [--samples 1024] [--threads 1]

Both train the same architecture from the same weights on the same made-up crops, with the same AdamW
and the same loss:

plain fp32   ``nn.Conv1d``, group norm and pooling over (B, channels, L), float32
ours bf16    the backbone of ``models.ecg.resnet``: channels-last images, bfloat16 autocast

First the outputs in float32 must agree, then the loops take turns step by step, and their losses are
compared. Time is the process's CPU time at one thread, which a busy machine disturbs least, else wall time.
Printed are medians over rounds, and ratios taken within a round; beside them the same ratio for a large
matrix product, which says how much faster bfloat16 is on this CPU at best.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.ecg.convolution import groups_of
from models.ecg.resnet import KERNEL, RUNGS, ResNet, build_resnet, depths_of
from models.ecg.scaling import initialise

CLASSES = 26

Step = Callable[[int], float]
"""Train on the i-th batch; give its loss."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="1m", help="rung")
    parser.add_argument("--batch", type=int, default=64, help="crops a step")
    parser.add_argument("--samples", type=int, default=1024, help="samples of a crop")
    parser.add_argument("--steps", type=int, default=4, help="timed steps of each loop in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    ours, plain = build_resnet(arguments.size), PlainResNet(RUNGS[arguments.size])
    initialise(ours, ours, 0)
    copy_weights(ours, plain)
    stream = torch.Generator().manual_seed(0)
    signals = torch.randn(8, arguments.batch, arguments.samples, 12, generator=stream)
    labels = (torch.rand(8, arguments.batch, CLASSES, generator=stream) < 0.2).float()
    check_outputs(ours, plain, signals[0, :4])

    loops = {
        "plain fp32": training(
            plain, plain.width, signals.transpose(2, 3).contiguous(), labels, torch.float32
        ),
        "ours bf16": training(ours, ours.width, signals, labels, torch.bfloat16),
    }
    for step in loops.values():
        step(0)
    print(f"a matrix product in bfloat16 is {matrix_ratio():.2f} times as fast as in float32")
    speeds, losses = take_turns(loops, arguments)
    report(speeds, losses)


class PlainResNet(nn.Module):
    """The ResNet as one writes it: (B, leads, L) to (B, width, L / 16)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = 4 * width
        self.stem = nn.Sequential(
            nn.Sequential(nn.Conv1d(12, width // 2, KERNEL, 2, KERNEL // 2), nn.ReLU()),
            convolve(width // 2, width // 2),
            convolve(width // 2, width),
        )
        self.pool = nn.MaxPool1d(3, 2, 1)
        blocks, inputs = [], width
        for stage, depth in enumerate(depths_of(width)):
            for _ in range(depth):
                blocks.append(PlainBlock(inputs, width << stage))
                inputs = width << stage
        self.stages = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(self.width)

    def forward(self, signals: Tensor) -> Tensor:
        features: Tensor = self.norm(self.stages(self.pool(self.stem(signals))).transpose(1, 2))
        return features.transpose(1, 2)


class PlainBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 2 if outputs > inputs else 1
        self.branch = nn.Sequential(
            convolve(inputs, outputs, stride),
            nn.Conv1d(outputs, outputs, KERNEL, padding=KERNEL // 2, bias=False),
            nn.GroupNorm(groups_of(outputs), outputs),
        )
        self.shortcut = (
            nn.Sequential(
                nn.AvgPool1d(2),
                nn.Conv1d(inputs, outputs, 1, bias=False),
                nn.GroupNorm(groups_of(outputs), outputs),
            )
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x) + self.branch(x))


def convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, KERNEL, stride, padding=KERNEL // 2, bias=False),
        nn.GroupNorm(groups_of(outputs), outputs),
        nn.ReLU(),
    )


@torch.no_grad()
def copy_weights(ours: ResNet, plain: PlainResNet) -> None:
    """Both name their parameters in the same order."""
    for source, target in zip(ours.parameters(), plain.parameters(), strict=True):
        target.copy_(source.reshape(target.shape))


@torch.no_grad()
def check_outputs(ours: ResNet, plain: PlainResNet, signals: Tensor) -> None:
    found, wanted = ours(signals), plain(signals.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    print(f"outputs in float32 differ by {(found - wanted).abs().max():.1e} at most")


def training(backbone: nn.Module, width: int, signals: Tensor, labels: Tensor, dtype: torch.dtype) -> Step:
    """A supervised step on batch i, the mean over time being classified."""
    head = nn.Linear(width, CLASSES)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    parameters = [*backbone.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, fused=True)
    over_time = 2 if dtype == torch.float32 else 1

    def step(index: int) -> float:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            logits = head(backbone(signals[index % len(signals)]).mean(over_time))
        loss = nn.functional.binary_cross_entropy_with_logits(logits.float(), labels[index % len(labels)])
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        return loss.item()

    return step


def matrix_ratio(size: int = 2048) -> float:
    """Time of a matrix product in float32 over that in bfloat16: the best of five each."""
    clock, best = time.process_time, dict[torch.dtype, float]()
    for dtype in 5 * (torch.float32, torch.bfloat16):
        matrix = torch.ones(size, size, dtype=dtype)
        started = clock()
        torch.mm(matrix, matrix)
        best[dtype] = min(best.get(dtype, float("inf")), clock() - started)
    return best[torch.float32] / best[torch.bfloat16]


def take_turns(
    loops: dict[str, Step], arguments: argparse.Namespace
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Records a second of each loop in each round, and its loss at each step."""
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    losses: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(arguments.rounds):
        seconds = dict.fromkeys(loops, 0.0)
        for index in range(number * arguments.steps, (number + 1) * arguments.steps):
            for name, step in loops.items():
                started = clock()
                losses[name].append(step(index + 1))
                seconds[name] += clock() - started
        for name in loops:
            speeds[name].append(arguments.steps * arguments.batch / seconds[name])
    return speeds, losses


def report(speeds: dict[str, list[float]], losses: dict[str, list[float]]) -> None:
    for name, values in speeds.items():
        ratios = [a / b for a, b in zip(values, speeds["plain fp32"], strict=True)]
        print(
            f"{name:>10}: {statistics.median(values):6.0f} records/s, "
            f"{statistics.median(ratios):.2f} x plain fp32 ({min(ratios):.2f} to {max(ratios):.2f}), "
            f"loss {losses[name][0]:.4f} to {losses[name][-1]:.4f} in {len(losses[name])} steps"
        )


if __name__ == "__main__":
    main()
