"""Useful tokens a second of our trainer against Hugging Face transformers' Llama of the same shape.

    python -m bench.training [--shard TOKENS_FOLDER] [--size 3m] [--context 2048] [--threads 1]

Four loops take turns in one process, step by step, over the same windows with the same fused AdamW,
clipping and about the same useful tokens a step:

hf default   fp32, random batches padded to their longest, with an attention mask
hf best      bf16 autocast, compiled, windows bucketed by length; padding is on the right, where a
             causal model needs no mask, which spares it the slower masked attention
ours fp32    packed batches, eager
ours bf16    packed batches, bf16 autocast, compiled blocks

A useful token is one that is not padding. Time is the process's CPU time at one thread, which a busy
machine disturbs least, else wall time. Each loop first sees all its shapes, so nothing compiles in a
timed step. Printed are medians over rounds, and ratios taken within a round.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from client.ehr.batches import BatchStream
from client.ehr.packing import Windows, cut_windows
from client.ehr.shard import TokenShard, TokenSplit
from client.training.replica import build_replica
from client.training.trainer import train_steps
from models.ehr.llama import llama_config
from wardlaw.config import RunConfig, load_config

Step = Callable[[int], int]
"""Train on the i-th batch; give its useful tokens."""

# Padded lengths of hf best: enough of them to waste little, few enough to compile each.
LADDER = (64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192)
IGNORED = -100


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shard", type=Path, help="token shard whose train patients are used")
    parser.add_argument("--size", default="3m", help="rung (3m has about 5 M with its embeddings)")
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=8192, help="tokens a step")
    parser.add_argument("--steps", type=int, default=6, help="timed steps of each loop in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--loops", default="hf default,hf best,ours fp32,ours bf16")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    split, vocabulary_size = load_split(arguments.shard)
    windows = cut_windows([split], arguments.context)
    config = load_config(
        None,
        [
            "run.topology=centralised",
            f"model.size={arguments.size}",
            f"model.context={arguments.context}",
            f"train.batch-tokens={arguments.tokens}",
            f"train.tokens={10**12}",
            f"train.threads={arguments.threads}",
        ],
    )
    stream = BatchStream([("bench", split)], arguments.tokens, arguments.context, "ethos", 0, "bench")
    print(
        f"{len(split.lengths)} patients, {len(windows.length)} windows, "
        f"median {np.median(windows.length):.0f}, mean {windows.length.mean():.0f} tokens; "
        f"our batches are {stream.fill:.2%} full"
    )
    steps_wanted = arguments.steps * arguments.rounds
    makers: dict[str, Callable[[], tuple[Step, list[int]]]] = {
        "hf default": lambda: hf_default(config, vocabulary_size, split, windows, steps_wanted),
        "hf best": lambda: hf_best(config, vocabulary_size, split, windows, steps_wanted),
        "ours fp32": lambda: ours(config, vocabulary_size, stream, precision="fp32", compiled=False),
        "ours bf16": lambda: ours(config, vocabulary_size, stream, precision="bf16", compiled=True),
    }
    loops = {}
    for name in arguments.loops.split(","):
        loops[name], warm_up = makers[name]()
        started = time.perf_counter()
        for index in warm_up:
            loops[name](index)
        print(
            f"{name:>11}: {len(warm_up)} warm-up steps in {time.perf_counter() - started:.0f} s", flush=True
        )
    report(take_turns(loops, arguments.steps, arguments.rounds, arguments.threads))


def load_split(folder: Path | None) -> tuple[TokenSplit, int]:
    """Train patients of a shard, or made-up ones with the lengths of hospital records."""
    if folder is not None:
        shard = TokenShard.open(folder)
        return shard.split("train"), shard.manifest.vocabulary_size
    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(np.log(300), 1.2, 4000), 10, 10_000).astype(np.int64)
    total, size = int(lengths.sum()), 4096
    split = TokenSplit(
        tokens=random.integers(0, size, total).astype(np.uint16),
        minutes=np.zeros(total, np.int32),
        starts_event=np.ones(total, np.uint8),
        subject_ids=np.arange(len(lengths)),
        first_token=np.cumsum(lengths) - lengths,
        lengths=lengths,
        events=lengths,
        origin=np.zeros(len(lengths), "datetime64[us]"),
    )
    return split, size


def ours(
    config: RunConfig, vocabulary_size: int, stream: BatchStream, *, precision: str, compiled: bool
) -> tuple[Step, list[int]]:
    train = config.train.model_copy(update={"precision": precision, "compile": compiled})
    replica = build_replica(config.model_copy(update={"train": train}), stream, vocabulary_size)

    def step(index: int) -> int:
        tokens: int = train_steps(replica, range(index, index + 1))[0]["tokens"]
        return tokens

    return step, [0, 1]


def hf_default(
    config: RunConfig, vocabulary_size: int, split: TokenSplit, windows: Windows, steps: int
) -> tuple[Step, list[int]]:
    model, optimiser = hf_llama(config, vocabulary_size)
    size = max(1, round(config.train.batch_tokens / windows.length.mean()))
    random = np.random.default_rng(1)
    batches = [random.choice(len(windows.length), size, replace=False) for _ in range(steps)]

    def step(index: int) -> int:
        chosen = batches[index]
        tokens, mask = padded(split, windows, chosen, int(windows.length[chosen].max()))
        labels = tokens.masked_fill(~mask, IGNORED)
        hf_update(model, optimiser, model(input_ids=tokens, attention_mask=mask, labels=labels).loss)
        return int(mask.sum())

    return step, [0, 1]


def hf_best(
    config: RunConfig, vocabulary_size: int, split: TokenSplit, windows: Windows, steps: int
) -> tuple[Step, list[int]]:
    model, optimiser = hf_llama(config, vocabulary_size)
    torch._dynamo.config.recompile_limit = 4 * len(LADDER)
    compiled = torch.compile(model, dynamic=False)
    batches = list(bucketed(windows, config.train.batch_tokens))
    # Every n-th of the batches in order of length: a fair share of each shape.
    sample = [batches[place] for place in np.linspace(0, len(batches) - 1, steps).round().astype(int)]
    np.random.default_rng(2).shuffle(sample)

    def step(index: int) -> int:
        chosen, length = sample[index]
        tokens, mask = padded(split, windows, chosen, length)
        labels = tokens.masked_fill(~mask, IGNORED)
        with torch.autocast("cpu", torch.bfloat16):
            loss = compiled(input_ids=tokens, labels=labels).loss
        hf_update(model, optimiser, loss)
        return int(mask.sum())

    shapes = {(len(chosen), length): index for index, (chosen, length) in enumerate(sample)}
    return step, list(shapes.values())


def bucketed(windows: Windows, tokens: int) -> Iterator[tuple[np.ndarray, int]]:
    """Full batches of windows of about one length, with the length they are padded to."""
    below = 0
    for length in LADDER:
        members = np.flatnonzero((windows.length > below) & (windows.length <= length))
        size = max(1, tokens // length)
        for start in range(0, len(members) - size + 1, size):
            yield members[start : start + size], length
        below = length


def padded(split: TokenSplit, windows: Windows, chosen: np.ndarray, length: int) -> tuple[Tensor, Tensor]:
    tokens = torch.zeros(len(chosen), length, dtype=torch.int64)
    mask = torch.zeros(len(chosen), length, dtype=torch.bool)
    for row, window in enumerate(chosen):
        first, size = windows.first[window], windows.length[window]
        tokens[row, :size] = torch.from_numpy(split.tokens[first : first + size].astype(np.int64))
        mask[row, :size] = True
    return tokens, mask


def hf_llama(config: RunConfig, vocabulary_size: int) -> tuple[LlamaForCausalLM, torch.optim.AdamW]:
    from models.ehr.ladder import rung

    settings = llama_config(rung(config.model.size), vocabulary_size, config.model.context)
    model = LlamaForCausalLM(LlamaConfig(**settings, use_cache=False)).train()
    return model, torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)


def hf_update(model: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    optimiser.zero_grad()
    loss.item()


def take_turns(loops: dict[str, Step], steps: int, rounds: int, threads: int) -> dict[str, list[float]]:
    """Useful tokens a second of each loop in each round."""
    clock = time.process_time if threads == 1 else time.perf_counter
    speeds: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds):
        tokens = dict.fromkeys(loops, 0)
        seconds = dict.fromkeys(loops, 0.0)
        for index in range(number * steps, (number + 1) * steps):
            for name, step in loops.items():
                started = clock()
                tokens[name] += step(index)
                seconds[name] += clock() - started
        for name in loops:
            speeds[name].append(tokens[name] / seconds[name])
    return speeds


def report(speeds: dict[str, list[float]]) -> None:
    baselines = [name for name in speeds if name.startswith("hf")]
    for name, values in speeds.items():
        ratios = [
            f"{statistics.median(a / b for a, b in zip(values, speeds[other], strict=True)):.2f} x {other}"
            for other in baselines
            if other != name
        ]
        print(f"{name:>11}: {statistics.median(values):8.0f} useful tokens/s  {', '.join(ratios)}")


if __name__ == "__main__":
    main()
