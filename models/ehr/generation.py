"""Continuations of many timelines at once, with a key-value cache."""

from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor

from models.ehr.attention import SegmentAttention
from models.ehr.cache import Cache
from models.ehr.decoder import Decoder

Advance = Callable[[Tensor, Tensor], Tensor]
"""Positions of drawn tokens: ``(tokens (B,) int64, former positions (B,) float32) -> (B,) float32``."""


def next_count(tokens: Tensor, former: Tensor) -> Tensor:
    """Positions that count tokens: one more than the token before, whatever it is."""
    return former + 1


@torch.no_grad()
def generate(
    model: Decoder,
    prompts: Sequence[Tensor],
    positions: Sequence[Tensor] | None = None,
    *,
    max_new_tokens: int,
    stop_tokens: Collection[int],
    generator: torch.Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
    advance: Advance = next_count,
) -> list[Tensor]:
    """Continue each prompt until a stop token or ``max_new_tokens``.

    Rows that have stopped leave the batch, so a few long timelines cost little. What is drawn for one
    prompt depends on the other prompts of the call (they share the generator), not on earlier calls.

    Parameters
    ----------
    model : Decoder
        On any device.
    prompts : sequence of Tensor, (n_i,) int64
        At least one token each.
    positions : sequence of Tensor, (n_i,) float32, optional
        Positions of the prompts' tokens; counts from 0 if absent.
    max_new_tokens : int
        Most tokens to draw for a prompt.
    stop_tokens : collection of int
        A drawn token of these ends its continuation and stands last in it.
    generator : torch.Generator
        Source of the draws, on the CPU.
    temperature : float
        Divides the logits; 0 takes the most probable token.
    top_k : int, optional
        Draw among the k most probable tokens only.
    advance : callable
        Position of a drawn token from the token and the position before it.

    Returns
    -------
    list of Tensor, (m_i,) int64
        The continuations, without their prompts, on the CPU.
    """
    if not prompts or max_new_tokens < 1:
        return [torch.empty(0, dtype=torch.int64) for _ in prompts]
    device = model.lm_head.weight.device
    if positions is None:
        positions = [torch.arange(len(prompt), dtype=torch.float32) for prompt in prompts]
    cache = Cache(model.shape.depth, [len(prompt) for prompt in prompts], device)
    hidden = _read(model, cache, prompts, positions)
    stops = torch.tensor(sorted(stop_tokens), dtype=torch.int64)
    former = torch.stack([p[-1] for p in positions]).float().cpu()
    rows = torch.arange(len(prompts))
    drawn: list[list[int]] = [[] for _ in prompts]
    for step in range(1, max_new_tokens + 1):
        tokens = draw(model.logits(hidden).float().cpu(), generator, temperature, top_k)
        for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
            drawn[row].append(token)
        going = ~torch.isin(tokens, stops)
        if step == max_new_tokens or not going.any():
            break
        former = advance(tokens, former)
        rows, tokens, former = rows[going], tokens[going], former[going]
        if not going.all():
            cache.keep(going.nonzero()[:, 0].to(device))
        hidden = _step(model, cache, tokens.to(device), former.to(device))
    return [torch.tensor(tokens, dtype=torch.int64) for tokens in drawn]


def draw(logits: Tensor, generator: torch.Generator, temperature: float, top_k: int | None) -> Tensor:
    """One token a row from (B, V) logits: (B,) int64."""
    if temperature == 0:
        return logits.argmax(-1)
    if top_k is not None and top_k < logits.shape[-1]:
        least = logits.topk(top_k).values[:, -1:]
        logits = logits.masked_fill(logits < least, float("-inf"))
    probabilities = torch.softmax(logits / temperature, dim=-1)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def _read(model: Decoder, cache: Cache, prompts: Sequence[Tensor], positions: Sequence[Tensor]) -> Tensor:
    """Pass all prompts as one packed batch, fill the cache, and give the last hidden states (B, d)."""
    device = cache.lengths.device
    segments = SegmentAttention(cache.lengths.tolist(), device)
    attends = [cache.reading(layer, segments) for layer in range(model.shape.depth)]
    tokens, places = torch.cat(list(prompts)).to(device), torch.cat(list(positions)).to(device)
    return model.blocks(model.embed(tokens), places, attends)[cache.lengths.cumsum(0) - 1]


def _step(model: Decoder, cache: Cache, tokens: Tensor, positions: Tensor) -> Tensor:
    """Pass one new token a row, and give its hidden states (B, d)."""
    places, seen = cache.extend()
    attends = [cache.stepping(layer, places, seen) for layer in range(model.shape.depth)]
    return model.blocks(model.embed(tokens), positions, attends)
