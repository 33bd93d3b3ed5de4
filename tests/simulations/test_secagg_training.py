"""A real round of training under secure aggregation: the app's own border, shards and steps."""

from functools import partial

import numpy as np
import pytest
from flwr.app import ArrayRecord
from flwr.clientapp import ClientApp

from client.answer import answer
from client.app import app as plain_app
from client.local_round import train_round
from client.secagg.handlers import help_unmask, mask_update, set_up_session, share_keys
from server.initial import initial_arrays
from server.secagg.messages import Post
from server.secagg.round import SecureRound, new_session
from simulations.ecg.prepare import prepare_ecg_federation
from simulations.federation_folder import load_federation
from simulations.grid import InProcessGrid, WireGrid
from strategies.exchange import Participant, ask
from strategies.screening import Contract, screen_train_reply
from tests.noise_ecg import noise_shard
from wardlaw import protocol
from wardlaw.config import from_flat, to_flat
from wardlaw.secagg.settings import SecAggSection

SITES, CONTEXT, STEPS, CAP = "abc", 256, 2, 300_000
SETTINGS = SecAggSection(enabled=True, neighbours=2, threshold=2, examples_cap=CAP, clip_range=0.5)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    for number, site in enumerate(SITES):
        noise_shard(folder / site, site, patients=24 + 8 * number)
    federation = folder / "federation"
    prepare_ecg_federation([folder / site for site in SITES], federation, drop_shared=False)
    return from_flat(
        {
            "data.federation": str(federation),
            "data.tokenizer": load_federation(federation).tokenizer,
            "model.family": "resnet",
            "model.size": "20k",
            "model.context": CONTEXT,
            "objective.name": "bce",
            "train.batch-tokens": CONTEXT * 8 * len(SITES),
            "train.tokens": CONTEXT * 8 * len(SITES) * STEPS,
            "train.device": "cpu",
            "federation.replicas": len(SITES),
            "federation.local-steps": STEPS,
        }
    )


def secure_app() -> ClientApp:
    """The handlers where the app of a hospital would mount them."""
    app = ClientApp()
    mask = partial(mask_update, settings=SETTINGS, train=train_round)
    app.query("secagg_setup")(partial(answer, set_up_session))
    app.query("secagg_share")(partial(answer, partial(share_keys, settings=SETTINGS)))
    app.train("secagg")(partial(answer, mask))
    app.query("secagg_unmask")(partial(answer, help_unmask))
    return app


def plain_replies(config, arrays: ArrayRecord, contract: Contract):
    grid = InProcessGrid(plain_app, len(SITES), to_flat(config))
    cohort = [Participant(site, node) for node, site in enumerate(SITES)]
    exchange, messages = ask(protocol.TRAIN, cohort, arrays, {}, contract, 60.0)
    return list(exchange.screened(grid.send_and_receive(messages), screen_train_reply))


def test_a_secure_round_is_the_plain_round_to_its_bound(config):
    classes = 26
    arrays = initial_arrays(config, classes)
    contract = Contract(config.fingerprint, 1, {name: tuple(array.shape) for name, array in arrays.items()})
    grid = WireGrid(secure_app(), len(SITES), to_flat(config))
    post = Post(grid, contract, new_session(), {}, deadline_s=60.0)
    cohort = [Participant(site, node) for node, site in enumerate(SITES)]
    secure = SecureRound(post, cohort, SETTINGS, len(SITES))
    mean = secure.run(arrays)

    replies = plain_replies(config, arrays, contract)
    weights = [min(reply.examples, CAP) / CAP for reply in replies]
    assert len(set(weights)) > 1
    assert mean.weight == pytest.approx(sum(weights), rel=1e-6)
    moved = 0.0
    for name, model in mean.mean().items():
        expected = sum(
            weight * reply.arrays[name].astype(np.float64)
            for weight, reply in zip(weights, replies, strict=True)
        ) / sum(weights)
        assert np.abs(model - expected).max(initial=0.0) <= mean.error
        moved = max(moved, float(np.abs(model - arrays[name].numpy()).max(initial=0.0)))
    assert moved > 1000 * mean.error
    assert secure.report.survivors == list(SITES)
    assert secure.report.tokens == sum(reply.tokens for reply in replies)
