from itertools import product

import numpy as np
import pytest

from simulations.runner import run_once, run_study
from simulations.study import Study
from simulations.topologies import run_topology
from wardlaw.config import RunConfig, from_flat
from wardlaw.errors import DataError
from wardlaw.records import load_record, read_rows, record_folder


@pytest.fixture(scope="module")
def federation(random_federation):
    return random_federation(sites=2)


def settings(federation, records, **changes) -> RunConfig:
    return from_flat(
        {
            "data.federation": str(federation),
            "run.records": str(records),
            "model.size": "xs",
            "model.context": 32,
            "train.batch-tokens": 128,
            "train.tokens": 128 * 6,
            "federation.replicas": 2,
            "federation.local-steps": 3,
            **{key.replace("__", ".").replace("_", "-"): value for key, value in changes.items()},
        }
    )


@pytest.mark.parametrize("topology", ["centralised", "local", "federated"])
def test_every_topology_spends_the_same_budget_and_scores_all_patients(federation, tmp_path, topology):
    config = settings(federation, tmp_path, run__topology=topology)
    record = load_record(run_topology(config, tmp_path))
    steps = record.table("steps").to_pylist()
    replicas = {row["replica"] for row in steps}
    assert len(replicas) == config.replicas
    assert sorted(row["step"] for row in steps) == sorted(list(range(6)) * config.replicas)
    assert record.result.tokens == sum(row["tokens"] for row in steps) <= config.train.tokens
    assert record.result.flops == pytest.approx(sum(row["flops"] for row in steps), rel=1e-12)
    assert record.result.wall_s > 0
    rows = record.table("evaluation").to_pylist()
    scored = {row["replica"] for row in rows}
    assert len(rows) == len(scored) * 2
    assert {row["site"] for row in rows} == {"site-0", "site-1"}
    pooled = [
        sum(row["nats"] for row in rows if row["replica"] == one)
        / sum(row["tokens"] for row in rows if row["replica"] == one)
        for one in sorted(scored)
    ]
    assert record.result.loss_per_token == pytest.approx(np.mean(pooled), rel=1e-12)


def test_all_topologies_score_the_same_targets(federation, tmp_path):
    def sizes(topology):
        config = settings(federation, tmp_path, run__topology=topology)
        run_once(config, tmp_path)
        rows = read_rows(record_folder(tmp_path, config), "evaluation")
        return {(row["site"], row["tokens"], row["events"], row["patients"]) for row in rows}

    assert sizes("centralised") == sizes("local") == sizes("federated")


def test_one_site_federated_every_step_is_that_site_alone(federation, tmp_path):
    # FedAvg of one replica is that replica; averaging cannot change a bit of it.
    site = sorted(path.name for path in (federation / "sites").iterdir())[0]
    alone = {"data__sites": site, "federation__replicas": 1}
    losses = [
        load_record(
            run_topology(settings(federation, tmp_path, run__topology=topology, **alone), tmp_path)
        ).result.loss_per_token
        for topology in ("local", "federated")
    ]
    assert losses[0] == losses[1]


def test_a_study_computes_what_is_missing_only(federation, tmp_path):
    runs = tuple(
        settings(federation, tmp_path, run__topology=topology, run__seed=seed)
        for topology, seed in product(("centralised", "local"), (0, 1))
    )
    run_once(runs[0], tmp_path)
    shares = []
    outcome = run_study(
        Study("s", runs), tmp_path, workers=1, on_progress=lambda share, ended: shares.append(share)
    )
    assert (outcome.finished_before, outcome.finished_now, outcome.failed) == (1, 3, ())
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)


def test_a_federation_prepared_anew_is_refused(federation, tmp_path):
    with pytest.raises(DataError, match="another federation"):
        run_topology(
            settings(federation, tmp_path, run__topology="centralised", data__digest="0" * 64), tmp_path
        )
