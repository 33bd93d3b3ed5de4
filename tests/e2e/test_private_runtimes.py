"""Federations on sums, with and without private steps, in real runtimes."""

import pytest
from safetensors.numpy import load_file

import client.app
from client.local_round import train_round
from client.privacy.ledger import Ledger
from client.secagg.handlers import mask_update
from simulations.federation_folder import participating_policies
from simulations.flower_engine import run_in_flower_engine
from simulations.in_process import run_in_process
from wardlaw import protocol
from wardlaw.config import RunConfig
from wardlaw.privacy.accountant import epsilon
from wardlaw.privacy.events import PoissonGaussian
from wardlaw.privacy.statement_files import load_statement
from wardlaw.records import load_record

pytestmark = pytest.mark.slow

ROUNDS, LOCAL_STEPS, SIGMA = 2, 3, 1.5
STEPS = ROUNDS * LOCAL_STEPS
# Each message starts a process at each site: minutes on a slow machine.
WITHIN_S = 1200


@pytest.fixture(scope="module")
def run_on_sums(random_federation):
    """Settings of a run over three sites of its own, all of whose updates are summed."""

    def make(**sections) -> RunConfig:
        tables = {
            "data": {"federation": str(random_federation(sites=3))},
            "model": {"size": "xs", "context": 16},
            "train": {"tokens": 192 * STEPS, "batch-tokens": 192},
            "federation": {"replicas": 3, "local-steps": LOCAL_STEPS, "quorum": 3},
            "strategy": {"name": "fedprox", "proximal-mu": 0.1, "weighting": "uniform"},
            "secagg": {"enabled": True, "neighbours": 2, "threshold": 2},
        }
        return RunConfig.model_validate(tables | sections)

    return make


def arrays_of(record) -> list[bytes]:
    """The last global model's arrays, as they would stand in any file that held them."""
    assert load_record(record).result.sites == 3
    arrays = load_file(record / "checkpoints" / f"round-{ROUNDS:06d}.safetensors")
    return [array.tobytes() for array in arrays.values() if array.shape]


def test_a_deployment_ends_in_the_same_bits_and_its_coordinator_has_written_no_update(
    run_on_sums, deploy, tmp_path, monkeypatch
):
    updates = []

    def noted(content, site):
        updates.append(train_round(content, site))
        return updates[-1]

    monkeypatch.setattr(client.app, "mask_update", lambda content, site: mask_update(content, site, noted))
    # Rounding follows from the sites' secrets, which both runtimes share here.
    config = run_on_sums()
    here = run_in_process(config, tmp_path)
    assert len(updates) == 3 * ROUNDS
    deployment = deploy(config)
    with deployment.server() as server, deployment.nodes():
        assert server.wait(WITHIN_S) == 0, deployment.told()
    assert arrays_of(deployment.record) == arrays_of(here)
    written = [path.read_bytes() for path in deployment.state.rglob("*") if path.is_file()]
    # The global model is found, in the same bytes as a site's would be.
    assert all(any(array in file for file in written) for array in arrays_of(deployment.record))
    own = [array.numpy().tobytes() for reply in updates for array in reply[protocol.ARRAYS].values()]
    assert len(own) == 3 * ROUNDS * len(arrays_of(here))
    assert not any(array in file for file in written for array in own)


def test_private_rounds_are_paid_for_once_in_whatever_runtime(run_on_sums, deploy, tmp_path):
    config = run_on_sums(privacy={"mechanism": "dp-sgd", "patients": 4, "noise-multiplier": SIGMA})

    def spent() -> list[list[PoissonGaussian]]:
        return [Ledger.load(policy.state, policy.site).events() for policy in participating_policies(config)]

    engine = run_in_flower_engine(config, tmp_path)
    paid = spent()
    for (event,), policy in zip(paid, participating_policies(config), strict=True):
        assert (event.steps, event.noise_multiplier) == (STEPS, SIGMA)
        once = epsilon([PoissonGaussian(event.sampling_rate, SIGMA, STEPS)], 1e-5)
        assert Ledger.load(policy.state, policy.site).spent(1e-5) == once
    # The same bundle, weights, shards and secrets: the same requests, over TLS this time.
    deployment = deploy(config)
    with deployment.server() as server, deployment.nodes():
        assert server.wait(WITHIN_S) == 0, deployment.told()
    assert arrays_of(deployment.record) == arrays_of(engine)
    # A simulation may read its sites' ledgers, a coordinator may not.
    assert load_statement(engine).basis == "ledgers"
    told = load_statement(deployment.record)
    assert (told.basis, told.epsilon, told.sites) == ("elsewhere", None, ())
    assert spent() == paid
