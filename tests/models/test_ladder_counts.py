import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from typer.testing import CliRunner

from models.cli import app
from models.ehr.counts import causal_pairs, flops_per_token, forward_flops, parameters, training_flops
from models.ehr.decoder import Decoder
from models.ehr.ladder import RUNGS, rung
from models.ehr.listing import describe
from models.registry import build_model
from wardlaw.config import RunConfig
from wardlaw.config.model import ModelSection
from wardlaw.errors import ConfigError

DOCS = Path(__file__).resolve().parents[2] / "docs" / "ladder.md"


@pytest.mark.parametrize("size", RUNGS)
def test_counts_are_those_of_the_model(size):
    model = Decoder(rung(size), 1000)
    count = parameters(ModelSection(size=size), 1000)
    numel = {name: p.numel() for name, p in model.named_parameters()}
    assert count.embedding == numel["model.embed_tokens.weight"]
    assert count.head == numel["lm_head.weight"]
    assert count.total == sum(numel.values())
    assert count.blocks == count.total - 2 * 1000 * rung(size).width


@pytest.mark.parametrize("size", RUNGS)
def test_shapes_fit_the_kernels(size):
    shape = rung(size)
    assert shape.head_dim * shape.heads == shape.width
    assert shape.head_dim % 8 == 0
    assert shape.hidden % 8 == 0
    assert abs(shape.hidden - 8 / 3 * shape.width) <= 4


def test_rungs_are_dense_and_even():
    sizes = [parameters(ModelSection(size=size), 1).blocks for size in RUNGS]
    steps = [later / earlier for earlier, later in pairwise(sizes)]
    assert 8_000 < sizes[0] < 12_000
    assert 1.0e9 < sizes[-1] < 1.2e9
    assert all(1.7 < step < 2.8 for step in steps)
    assert sum(8_000 < size < 3.2e6 for size in sizes) >= 7


def test_names_round_the_parameters():
    for size in list(RUNGS)[1:]:
        number, unit = re.fullmatch(r"([\d.]+)([kmb])", size).groups()
        named = float(number) * {"k": 1e3, "m": 1e6, "b": 1e9}[unit]
        assert parameters(ModelSection(size=size), 1).blocks == pytest.approx(named, rel=0.1)


def test_an_unknown_size_is_one_clear_error():
    with pytest.raises(ConfigError, match=r"model\.size = '7b'.*Choose one of xs, 20k"):
        build_model(RunConfig(model=ModelSection(size="7b")), 10)


def test_flops_are_those_that_pytorch_counts(make_batch):
    """Attention written out in matrix products, so that the counter sees it. It takes the full square
    of each segment; we count the triangle that causality leaves, which is what fused kernels compute."""
    segments = (33, 33, 5)
    section, vocabulary = ModelSection(size="40k"), 97
    model, batch = build_model(RunConfig(model=section), vocabulary), make_batch(segments)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.loss(batch).backward()
    flops = {str(op): count for op, count in counter.get_flop_counts()["Global"].items()}
    tokens, pairs = sum(segments), causal_pairs(segments)
    ours = training_flops(section, vocabulary, tokens, pairs)
    square = sum(length**2 for length in segments)
    assert flops == {
        "aten.mm": ours.matrices + ours.head,
        "aten.bmm": pytest.approx(ours.attention * square / pairs),
    }


def test_pairs_are_what_a_causal_mask_leaves():
    assert causal_pairs([5, 1, 3]) == sum(int(torch.ones(n, n).tril().sum()) for n in (5, 1, 3))


def test_flops_per_token_are_six_n_and_attention():
    section = ModelSection(size="3m", context=512)
    flops, count, shape = flops_per_token(section, 4096), parameters(section, 4096), rung("3m")
    gains = (2 * shape.depth + 1) * shape.width
    assert flops.matrices == 2 * (count.blocks - gains)
    assert flops.head == 2 * count.head
    assert flops.attention == pytest.approx(4 * shape.width * shape.depth * 513 / 2)
    assert flops.total == flops.blocks + flops.head
    whole = forward_flops(section, 4096, 512, causal_pairs([512]))
    assert whole.total == pytest.approx(512 * flops.total)


def test_the_table_in_the_docs_is_the_ladder():
    rows = [line.strip("| ").split(" | ") for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    assert [row[0].strip("`") for row in rows] == list(RUNGS)
    for row in rows:
        wanted = describe(row[0].strip("`"), 4096, 512)
        found = [int(cell.replace(",", "")) for cell in row[1:]]
        assert found == list(wanted.values())[1:]


def test_list_prints_every_rung():
    table = CliRunner().invoke(app, ["list"])
    assert table.exit_code == 0
    settings = ["--family", "decoder", "--vocabulary-size", "1000", "--context", "64"]
    rows = CliRunner().invoke(app, ["list", "--json", *settings])
    assert json.loads(rows.output) == [{"family": "decoder", **describe(size, 1000, 64)} for size in RUNGS]
    for size in RUNGS:
        assert f"{parameters(ModelSection(size=size), 1).blocks:,}" in table.output
