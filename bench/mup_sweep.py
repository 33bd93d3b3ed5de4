"""Does the best learning rate stay put as the decoder widens?

Trains the ladder's decoder at several widths and one depth over a grid of learning rates, on tokens
of a hidden Markov model (never the same twice, so the training loss is the test loss), under the
parametrisation of ``models.ehr.mup`` and, as a contrast, under PyTorch's usual one (one learning rate for all
parameters, every matrix started at 1 / sqrt(fan-in)).

    python -m bench.mup_sweep --widths 32 64 128 256 --steps 300
"""

import argparse
import math
import time
from dataclasses import replace

import numpy as np
import torch

from models.ehr.decoder import Decoder
from models.ehr.ladder import shape_of
from models.ehr.mup import initialise, parameter_groups
from models.ehr.packed import IGNORED, PackedBatch
from wardlaw.seeds import generator

VOCABULARY, STATES, CONTEXT, WINDOWS, DEPTH = 256, 64, 128, 8, 3


class HiddenMarkov:
    """Windows of a hidden Markov model with sparse Dirichlet transitions and emissions."""

    def __init__(self, seed: int) -> None:
        rng = generator(seed, "hidden-markov")
        self.transitions = rng.dirichlet(np.full(STATES, 0.05), STATES).cumsum(1)
        self.emissions = rng.dirichlet(np.full(VOCABULARY, 0.02), STATES).cumsum(1)

    def batch(self, seed: int, step: int) -> PackedBatch:
        rng = generator(seed, "windows", step)
        states = rng.integers(0, STATES, WINDOWS)
        tokens = np.empty((WINDOWS, CONTEXT), dtype=np.int64)
        for place in range(CONTEXT):
            tokens[:, place] = (
                (self.emissions[states] < rng.random((WINDOWS, 1))).sum(1).clip(max=VOCABULARY - 1)
            )
            states = (self.transitions[states] < rng.random((WINDOWS, 1))).sum(1).clip(max=STATES - 1)
        targets = np.full_like(tokens, IGNORED)
        targets[:, :-1] = tokens[:, 1:]
        positions = torch.arange(CONTEXT, dtype=torch.float32).repeat(WINDOWS)
        flat = torch.from_numpy(tokens).flatten(), torch.from_numpy(targets).flatten()
        return PackedBatch(*flat, positions, (CONTEXT,) * WINDOWS)


def make(width: int, parametrisation: str, seed: int) -> tuple[Decoder, list[dict]]:
    """A decoder of the sweep's depth, and its parameter groups."""
    model = Decoder(replace(shape_of(width), depth=DEPTH), VOCABULARY).to_empty(device="cpu")
    initialise(model, seed)
    if parametrisation == "mup":
        return model, parameter_groups(model)
    with torch.no_grad():
        model.lm_head.weight.mul_(math.sqrt(width))
    return model, [{"params": list(model.parameters()), "lr_multiplier": 1.0, "weight_decay_multiplier": 1.0}]


def train(
    width: int, parametrisation: str, rate: float, batches: list[PackedBatch], seed: int, decay: float = 0.1
) -> float:
    """Loss averaged over the last tenth of the steps, in nats a token."""
    model, groups = make(width, parametrisation, seed)
    optimiser = torch.optim.AdamW(
        [
            {
                "params": g["params"],
                "times": g["lr_multiplier"],
                "weight_decay": decay * g["weight_decay_multiplier"],
            }
            for g in groups
        ],
        betas=(0.9, 0.95),
        fused=True,
    )
    losses = []
    for step, batch in enumerate(batches):
        progress = (step + 1) / len(batches)
        schedule = min(1.0, progress / 0.05) * (0.55 + 0.45 * math.cos(math.pi * progress))
        for group in optimiser.param_groups:
            group["lr"] = rate * schedule * group["times"]
        loss = model.loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def best(rates: list[float], losses: list[float]) -> float:
    """Rate at the vertex of the parabola through the lowest loss and its neighbours, in log rate."""
    low = int(np.nanargmin(losses))
    if low in (0, len(rates) - 1) or not np.isfinite(losses[low - 1 : low + 2]).all():
        return rates[low]
    curve = np.polynomial.Polynomial.fit(np.log(rates[low - 1 : low + 2]), losses[low - 1 : low + 2], 2)
    return float(np.exp(curve.deriv().roots()[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument(
        "--exponents", type=int, nargs="+", default=list(range(-10, -2)), help="rates are 2^e"
    )
    parser.add_argument("--parametrisations", nargs="+", default=["mup", "standard"])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rates = [2.0**exponent for exponent in arguments.exponents]
    source = HiddenMarkov(arguments.seed)
    batches = [source.batch(arguments.seed, step) for step in range(arguments.steps)]
    print(f"loss (nats/token) after {arguments.steps} steps of {CONTEXT * WINDOWS} tokens, depth {DEPTH}")
    for parametrisation in arguments.parametrisations:
        print(
            f"\n{parametrisation:>9} "
            + " ".join(f"{f'2^{e}':>7}" for e in arguments.exponents)
            + "    best rate"
        )
        found = {}
        for width in arguments.widths:
            started = time.perf_counter()
            losses = [train(width, parametrisation, rate, batches, arguments.seed) for rate in rates]
            found[width] = best(rates, losses)
            cells = " ".join(f"{loss:7.4f}" for loss in losses)
            seconds = time.perf_counter() - started
            print(f"{width:>9} {cells}    {found[width]:.5f}  ({seconds:.0f} s)", flush=True)
        first, *_, last = arguments.widths
        print(f"best rate at width {last} / at width {first}: {found[last] / found[first]:.2f}")


if __name__ == "__main__":
    main()
