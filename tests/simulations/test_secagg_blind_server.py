"""What the server receives, holds and logs in a round: sums, and no site's update, weight or loss."""

import gc
import logging
import sys

import numpy as np
import pytest

import server.secagg.round
from client.secagg import stages
from server.secagg.session import MaskedSum
from strategies.exchange import Exchange
from tests.simulations.secagg_grid import SecureSites, examples, start, trained
from wardlaw import protocol
from wardlaw.arrays import array_record, record_views
from wardlaw.config.secagg import SecAggSection
from wardlaw.secagg import words
from wardlaw.secagg.vectors import difference

NAMES = ("ash", "birch", "cedar", "elm", "fir", "oak")
SETTINGS = SecAggSection(enabled=True, examples_cap=4_000, clip_range=0.1, norm_bound=1.0)
NEEDLE = slice(160, 200)


def needles(name, levels):
    """Pieces of all that a site's update is known by: model, difference and levels."""
    model = trained(name)
    numbers = (model["embed"], difference(model, start()), levels)
    return [number.tobytes()[NEEDLE] for number in numbers]


def in_memory():
    """Every array and every bytes object that something alive refers to, the callers' locals among them."""
    # Sites share this process, and their records leave as cycles.
    gc.collect()
    holders = [*gc.get_objects()]
    frame = sys._getframe(1)
    while frame is not None:
        holders.append(list(frame.f_locals.values()))
        frame = frame.f_back
    found = {}
    while holders:
        for part in gc.get_referents(holders.pop()):
            if type(part) in (np.ndarray, bytes, bytearray):
                found[id(part)] = part
            # Python does not list what holds nothing but numbers and text.
            elif type(part) in (dict, tuple) and not gc.is_tracked(part):
                holders.append(part)
    contents = (part.tobytes() if isinstance(part, np.ndarray) else bytes(part) for part in found.values())
    return [content for content in contents if len(content) >= NEEDLE.stop]


def count_of(pieces, places):
    return sum(piece in place for place in places for piece in pieces)


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A grid, pieces of what its sites masked, and what the server was told."""
    pieces, received = [], []
    honest, content_of = stages.masked, Exchange._content

    def masked(kept, levels):
        pieces.extend(needles(kept.site, levels))
        return honest(kept, levels)

    def recorded(self, reply, site):
        content = content_of(self, reply, site)
        received.append((site, content))
        return content

    monkeypatch.setattr(stages, "masked", masked)
    monkeypatch.setattr(Exchange, "_content", recorded)
    grid = SecureSites(NAMES, tmp_path, SETTINGS, {words.MASK: ["elm"], words.UNMASK: ["ash"]})
    return grid, pieces, received


@pytest.fixture
def finds(watched, monkeypatch):
    """Pieces found in memory after each masked update that the server took in, and after unmasking."""
    _, pieces, _ = watched
    counts = []
    add, unmask = MaskedSum.add, server.secagg.round.unmask

    def added(self, site, levels, receipt):
        add(self, site, levels, receipt)
        counts.append(count_of(pieces, in_memory()))

    def unmasked(*stages):
        total = unmask(*stages)
        counts.append(count_of(pieces, in_memory()))
        return total

    monkeypatch.setattr(MaskedSum, "add", added)
    monkeypatch.setattr(server.secagg.round, "unmask", unmasked)
    return counts


def test_nothing_received_or_held_is_an_update(watched, finds):
    grid, pieces, received = watched
    mean = grid.round().run(array_record(start()))
    assert mean.sites == 5
    assert len(pieces) == 15
    assert finds == 6 * [0]
    arrays = [
        view.tobytes()
        for _, content in received
        for record in content.array_records.values()
        for view in record_views(record).values()
    ]
    texts = [
        part
        for _, content in received
        for record in content.config_records.values()
        for value in record.values()
        for part in (value if isinstance(value, list) else [value])
        if isinstance(part, bytes)
    ]
    assert len(arrays) == 5
    assert count_of(pieces, arrays + texts) == 0


def test_the_look_would_see_an_update(watched, finds):
    grid, _, _ = watched
    held, honest = [], grid.train
    grid.train = lambda content, site: held.append(trained(site.name)) or honest(content, site)
    grid.round().run(array_record(start()))
    assert min(finds) > 0


def test_shares_of_one_site_are_of_one_kind(watched):
    """The server gets seeds of those in the sum and keys of the others, and never both of one."""
    grid, _, received = watched
    grid.round().run(array_record(start()))
    told = {site: dict(content[words.SHARES]) for site, content in received if words.SHARES in content}
    assert set(told) == {"birch", "cedar", "fir", "oak"}
    # A share of a key of 48 bytes is four blocks, of a seed of 32 three (with padding).
    sizes = {name: {len(shares[name]) for shares in told.values() if name in shares} for name in NAMES}
    assert sizes == {name: {68 if name == "elm" else 52} for name in NAMES}


def test_weights_and_losses_stay_at_the_sites(watched, caplog):
    grid, _, received = watched
    with caplog.at_level(logging.DEBUG):
        round_ = grid.round()
        round_.run(array_record(start()))
    told = [dict(content[protocol.METRICS]) for _, content in received if protocol.METRICS in content]
    assert told == 5 * [{protocol.TRAIN_TOKENS: 100, protocol.TRAIN_FLOPS: 1e6, protocol.TRAIN_SECONDS: 0.5}]
    logged = [record for record in caplog.records if not record.name.startswith("client")]
    assert not any(str(examples(name)) in record.getMessage() for record in logged for name in NAMES)
    assert max((len(record.getMessage()) for record in logged), default=0) < 300
