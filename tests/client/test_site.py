"""A site is the same site in every runtime, and its policy wins."""

import dataclasses
import json
from pathlib import Path

import pytest
from flwr.app import Context, RecordDict

from client.policy import require_allowed, require_patients, require_size, rounded
from client.site import open_site_shard, resolve_site
from wardlaw.config import RunConfig, SitePolicy, to_flat
from wardlaw.errors import PolicyError, ShardError


def context_of(node_config: dict, **data: str) -> Context:
    config = RunConfig.model_validate({"data": data})
    return Context(
        run_id=1, node_id=7, node_config=node_config, state=RecordDict(), run_config=to_flat(config)
    )


def policy_of(folder: Path, **fields: object) -> SitePolicy:
    return SitePolicy(site="a", meds=folder, tokens=folder, state=folder, **fields)


def test_a_partition_and_a_site_toml_name_the_same_site(random_federation):
    folder = random_federation(sites=3)
    simulated = resolve_site(context_of({"partition-id": 1, "num-partitions": 3}, federation=str(folder)))
    deployed = resolve_site(context_of({"site": str(folder / "sites/site-1/site.toml")}))
    assert simulated.policy == deployed.policy
    assert simulated.name == "site-1"


def test_partitions_count_the_sites_that_take_part(random_federation):
    folder = random_federation(sites=3)
    site = resolve_site(context_of({"partition-id": 1}, federation=str(folder), sites="site-2,site-0"))
    assert site.name == "site-2"


@pytest.mark.parametrize(
    ("node_config", "data", "error"),
    [
        ({}, {}, PolicyError),
        ({"site": "relative/site.toml"}, {}, PolicyError),
        ({"partition-id": 3}, {"federation": "FOLDER"}, PolicyError),
        ({"partition-id": 0}, {"federation": "FOLDER", "digest": "0" * 64}, ShardError),
        ({"partition-id": 0}, {"federation": "/nowhere"}, ShardError),
    ],
)
def test_what_names_no_site_is_one_clear_error(random_federation, node_config, data, error):
    folder = str(random_federation(sites=3))
    data = {key: value.replace("FOLDER", folder) for key, value in data.items()}
    with pytest.raises(error):
        resolve_site(context_of(node_config, **data))


def test_a_shard_is_found_by_its_tokeniser_and_none_is_guessed(random_federation):
    folder = random_federation(sites=1)
    policy = resolve_site(context_of({"partition-id": 0}, federation=str(folder))).policy
    tokenizer = json.loads((folder / "federation.json").read_text())["tokenizer"]
    assert open_site_shard(policy).manifest.tokenizer == tokenizer
    assert open_site_shard(policy, tokenizer).manifest.site == "site-0"
    with pytest.raises(ShardError, match="no shard"):
        open_site_shard(policy, "f" * 64)
    with pytest.raises(ShardError, match="made with"):
        open_site_shard(policy, tokenizer[:16] + "0" * 48)
    other = policy.tokens / "0123456789abcdef"
    other.mkdir()
    (other / "manifest.json").write_text("{}")
    with pytest.raises(ShardError, match="2 shards"):
        open_site_shard(policy)


def test_an_altered_shard_is_refused(random_federation):
    folder = random_federation(sites=1)
    policy = resolve_site(context_of({"partition-id": 0}, federation=str(folder))).policy
    (path,) = policy.tokens.glob("*/train.tokens.arrow")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ShardError, match="altered"):
        open_site_shard(policy)


@pytest.mark.parametrize("request_kind", ["training", "vocabulary", "evaluation"])
def test_what_the_policy_forbids_is_refused_and_nothing_else(tmp_path, request_kind):
    policy = policy_of(tmp_path, **{f"allow_{request_kind}": False})
    with pytest.raises(PolicyError, match=request_kind):
        require_allowed(policy, request_kind)
    for other in {"training", "vocabulary", "evaluation"} - {request_kind}:
        require_allowed(policy, other)


def test_limits_hold_at_their_edge(tmp_path):
    policy = policy_of(tmp_path, minimum_patients=20, maximum_parameters=1000)
    require_patients(policy, 20)
    require_size(policy, 1000)
    with pytest.raises(PolicyError):
        require_patients(policy, 19)
    with pytest.raises(PolicyError):
        require_size(policy, 1001)


def test_counts_leave_in_multiples_and_never_as_zero_by_rounding(tmp_path):
    policy = policy_of(tmp_path, count_rounding=100)
    counts = [rounded(policy, count) for count in range(1, 1000)]
    assert all(count % 100 == 0 and count > 0 for count in counts)
    assert all(abs(count - exact) <= 50 for exact, count in enumerate(counts, 1) if exact >= 50)
    assert rounded(policy, 0) == 0


def test_a_site_cannot_be_changed_in_place(random_federation):
    site = resolve_site(context_of({"partition-id": 0}, federation=str(random_federation(sites=1))))
    with pytest.raises(dataclasses.FrozenInstanceError):
        site.policy = None
