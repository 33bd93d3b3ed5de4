"""A run that begins with MEDS roots: what crosses the border while the vocabulary is fitted."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from flwr.app import Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from client.app import app
from client.site import open_site_shard
from server.federation import run_federation
from simulations.federation_folder import (
    FederationManifest,
    participating_policies,
    save_federation,
    write_site,
)
from simulations.grid import WireGrid
from wardlaw import protocol
from wardlaw.config import RunConfig, to_flat
from wardlaw.records import load_record

COMMON, RARE = "LAB//common", "DIAGNOSIS//rare-disease"
START = datetime(2020, 1, 1)  # noqa: DTZ001 (MEDS times have no zone)


class WatchedGrid(WireGrid):
    """Keeps what travels, as bytes."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.sent: list[tuple[str, bytes]] = []

    def carry(self, message: Message) -> Message:
        content = b"".join(part.deflate() for part in get_all_nested_objects(message).values())
        self.sent.append((message.metadata.message_type, content))
        return super().carry(message)


@pytest.fixture
def config(write_meds: Callable[..., Path], tmp_path: Path) -> RunConfig:
    """Three sites of 40 train patients; the rare code has 9 at each, so 27 together."""
    federation = tmp_path / "federation"
    for number in range(3):
        first = 1000 * number
        rows, splits = [], {}
        random = np.random.default_rng(number)
        for patient in range(first, first + 80):
            splits[patient] = ("train", "train", "tuning", "held_out")[(patient - first) // 20]
            for hour in range(30):
                value = float(random.normal())
                rows.append((patient, START + timedelta(hours=hour), COMMON, value))
            if patient < first + 9:
                rows.append((patient, START + timedelta(hours=40), RARE, None))
        site = f"site-{number}"
        write_site(federation, site, meds=write_meds(tmp_path / site, [rows], splits))
    sites = {f"site-{number}": "" for number in range(3)}
    save_federation(federation, FederationManifest("three", True, "fused", "", sites))
    return RunConfig.model_validate(
        {
            "data": {"federation": str(federation), "vocabulary": "fitted", "scheme": "fused"},
            "model": {"size": "xs", "context": 16},
            "train": {"tokens": 192 * 4, "batch-tokens": 192},
            "federation": {"replicas": 3, "local-steps": 2, "quorum": 3},
        }
    )


def test_a_code_below_the_sites_floor_never_leaves_a_site(config, tmp_path):
    grid = WatchedGrid(app, 3, to_flat(config))
    folder = run_federation(grid, config, tmp_path / "runs")
    kinds = {kind for kind, _ in grid.sent}
    assert {protocol.SKETCH, protocol.TOKENIZE, protocol.TRAIN, protocol.EVALUATE} <= kinds
    assert any(COMMON.encode() in content for _, content in grid.sent)
    assert not any(b"rare-disease" in content for _, content in grid.sent)
    assert load_record(folder).result.sites == 3


def test_all_sites_get_the_same_tokeniser_and_a_resumed_run_makes_no_second(config, tmp_path):
    for _ in range(2):
        run_federation(WatchedGrid(app, 3, to_flat(config)), config, tmp_path / "runs")
    shards = [open_site_shard(policy) for policy in participating_policies(config)]
    assert len({shard.manifest.tokenizer for shard in shards}) == 1
    assert COMMON in shards[0].vocabulary().codes


@pytest.mark.parametrize("limit", ["allow-vocabulary = false", "minimum-patients = 41", "code-floor = 41"])
def test_the_sites_own_policy_wins(config, tmp_path, limit):
    policy = participating_policies(config)[1]
    toml = policy.state.parent / "site.toml"
    others = [line for line in toml.read_text().splitlines() if not line.startswith(limit.split()[0])]
    toml.write_text("\n".join([*others, limit]))
    grid = WatchedGrid(app, 3, to_flat(config))
    (reply,) = grid.send_and_receive([Message(RecordDict(), 1, protocol.SKETCH)])
    if limit.startswith("code-floor"):
        assert COMMON.encode() not in grid.sent[-1][1]
    else:
        assert reply.error.reason == "POL"
