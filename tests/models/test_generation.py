import pytest
import torch

from models.ehr.generation import draw, generate
from models.ehr.packed import IGNORED, PackedBatch


def prompts(lengths=(5, 1, 9, 5)):
    stream = torch.Generator().manual_seed(3)
    return [torch.randint(0, 97, (length,), generator=stream) for length in lengths]


def naive(model, prompt, positions, steps, stop, advance):
    """Greedy continuation that reads the whole timeline anew for every token."""
    tokens, positions = prompt.tolist(), positions.tolist()
    for _ in range(steps):
        n = len(tokens)
        batch = PackedBatch(torch.tensor(tokens), torch.full((n,), IGNORED), torch.tensor(positions), (n,))
        tokens.append(int(model.logits(model.hidden(batch))[-1].argmax()))
        positions.append(advance(tokens[-1], positions[-1]))
        if tokens[-1] in stop:
            break
    return tokens[len(prompt) :]


@pytest.mark.parametrize("room", [2, 128])
def test_greedy_equals_reading_everything_anew(tiny, monkeypatch, room):
    monkeypatch.setattr("models.ehr.cache.ROOM", room)
    starts = prompts()
    free = [naive(tiny, p, torch.arange(len(p)).float(), 12, set(), lambda _, at: at + 1) for p in starts]
    stop = {free[0][4], free[2][8]}
    wanted = [naive(tiny, p, torch.arange(len(p)).float(), 12, stop, lambda _, at: at + 1) for p in starts]
    assert len({len(w) for w in wanted}) > 1
    found = generate(
        tiny, starts, max_new_tokens=12, stop_tokens=stop, generator=torch.Generator(), temperature=0
    )
    assert [f.tolist() for f in found] == wanted


def test_positions_follow_the_tokens(tiny):
    starts = prompts((4, 6))
    positions = [torch.arange(len(p)) * 2.5 + 1 for p in starts]
    found = generate(
        tiny,
        starts,
        positions,
        max_new_tokens=8,
        stop_tokens=(),
        generator=torch.Generator(),
        temperature=0,
        advance=lambda tokens, former: former + tokens % 3,
    )
    wanted = [
        naive(tiny, p, at, 8, set(), lambda token, former: former + token % 3)
        for p, at in zip(starts, positions, strict=True)
    ]
    assert [f.tolist() for f in found] == wanted


def sampled(model, seed, **settings):
    stream = torch.Generator().manual_seed(seed)
    return generate(model, prompts(), max_new_tokens=6, stop_tokens={0}, generator=stream, **settings)


def test_draws_depend_on_the_generator_only(tiny):
    first, again, other = (sampled(tiny, seed) for seed in (1, 1, 2))
    assert [t.tolist() for t in first] == [t.tolist() for t in again]
    assert [t.tolist() for t in first] != [t.tolist() for t in other]


def test_one_of_one_is_greedy(tiny):
    greedy, first = sampled(tiny, 1, temperature=0), sampled(tiny, 1, top_k=1)
    assert [t.tolist() for t in greedy] == [t.tolist() for t in first]


def test_draws_have_the_softmax_distribution():
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    tokens = draw(logits.expand(40_000, 4), torch.Generator().manual_seed(0), 2.0, None)
    shares = tokens.bincount(minlength=4) / len(tokens)
    torch.testing.assert_close(shares, torch.softmax(logits / 2, 0), atol=0.01, rtol=0)
    among = draw(logits.expand(1000, 4), torch.Generator().manual_seed(0), 1.0, 2)
    assert set(among.tolist()) == {1, 2}


def test_nothing_to_do_gives_nothing(tiny):
    settings = {"stop_tokens": (), "generator": torch.Generator()}
    assert generate(tiny, [], max_new_tokens=5, **settings) == []
    assert [len(t) for t in generate(tiny, prompts(), max_new_tokens=0, **settings)] == [0] * 4
