"""`wardlaw simulate run` from a TOML trains every family by every objective, in every topology."""

import math
from itertools import product

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from client.ecg.request import ShardSettings
from client.ecg.shard_writer import write_shard
from client.ecg.synthetic.record import synthetic_record
from client.ecg.synthetic.site import Device, SyntheticSite
from simulations.cli import app
from simulations.ecg.prepare import prepare_ecg_federation
from wardlaw.config.model import ECG_FAMILIES
from wardlaw.records import find_records, load_record

OBJECTIVES = ("bce", "asymmetric", "cpc", "jepa", "data2vec", "dinosr", "hubert", "reconstruction")
TOPOLOGIES = ("centralised", "local", "federated")
SMALLEST = {"regnet": "25k"}
STEPS = 2


@pytest.fixture(scope="module")
def federation(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ecg")
    for name in "ab":
        site = SyntheticSite(site=name, patients=30, seconds=4, device=Device(rate=100))
        records = (synthetic_record(site, number) for number in range(site.patients))
        settings = ShardSettings(rate=100.0)
        write_shard(folder / name, records, settings, site=name, source="synthetic", synthetic=True)
    prepare_ecg_federation([folder / "a", folder / "b"], folder / "federation", drop_shared=False)
    return folder / "federation"


def computed(folder, federation, family, objective, topology, optimiser="adamw"):
    """The one finished record of a run that a TOML file describes."""
    settings = folder / "run.toml"
    settings.write_text(
        f"""
        run.topology = "{topology}"
        model.family = "{family}"
        model.size = "{SMALLEST.get(family, "20k")}"
        model.context = 256
        objective.name = "{objective}"
        train.optimiser = "{optimiser}"
        train.batch-tokens = 4096
        train.tokens = {4096 * STEPS}
        federation.replicas = 2
        federation.quorum = 2
        federation.local-steps = 1
        evaluation.bootstrap = 0
        """
    )
    arguments = ["run", str(settings), "--federation", str(federation), "--out", str(folder / "runs")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (path,) = find_records(folder / "runs")
    return load_record(path)


def check(record, family, objective, topology):
    assert (record.config.model.family, record.config.objective.name) == (family, objective)
    assert record.result.synthetic
    assert math.isfinite(record.result.loss_per_token)
    replicas = {"centralised": {"union"}, "local": {"a", "b"}, "federated": {"a", "b"}}[topology]
    steps = pq.read_table(record.folder / "steps.parquet").to_pydict()
    assert set(steps["replica"]) == replicas
    assert len(steps["loss"]) == STEPS * len(replicas)
    assert all(math.isfinite(loss) for loss in steps["loss"])


PAIRS = tuple(product(ECG_FAMILIES, OBJECTIVES))


@pytest.mark.parametrize(
    ("family", "objective", "topology"),
    [
        ("resnet", "bce", "federated"),
        ("transformer", "jepa", "federated"),
        ("convnext", "dinosr", "centralised"),
        ("regnet", "hubert", "local"),
        ("s4d", "cpc", "centralised"),
        ("resnet", "data2vec", "centralised"),
        ("transformer", "asymmetric", "local"),
        ("convnext", "reconstruction", "centralised"),
    ],
)
def test_a_file_of_settings_is_a_run(tmp_path, federation, family, objective, topology):
    record = computed(tmp_path, federation, family, objective, topology)
    check(record, family, objective, topology)


@pytest.mark.slow
@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize(("family", "objective"), PAIRS)
def test_every_family_trains_by_every_objective_in_every_topology(
    tmp_path, federation, family, objective, topology
):
    record = computed(tmp_path, federation, family, objective, topology)
    check(record, family, objective, topology)


@pytest.mark.parametrize("optimiser", ["sgd", "sgd-momentum"])
def test_the_other_optimisers_train_too(tmp_path, federation, optimiser):
    record = computed(tmp_path, federation, "resnet", "bce", "centralised", optimiser)
    check(record, "resnet", "bce", "centralised")
    assert record.config.train.optimiser == optimiser
