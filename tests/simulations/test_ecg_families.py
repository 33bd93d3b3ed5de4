"""Each family against the AUROC that the rule of synthetic hospitals allows on their held-out patients.

Labels in ``SHOWN`` are as frequent as a quarter of the patients and show in any crop of 5 s: rhythm,
rate, conduction, axis, T wave and voltage. The others keep the Challenge's prevalences, 2 to 13 %, too few
for some thousand patients; or need beats that a crop may lack (PAC, PVC). The bound on all labels was set
after a Transformer's .156; those of ``SHOWN`` before. Low voltage (LQRSV) joined them when convolutional
backbones had lost the norm behind their first layer, with which they reached .77 to .91 of .953.
"""

import logging

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from client.ecg.classes import CLASSES
from client.ecg.evaluation.answers import Cohorts
from client.ecg.evaluation.cohort import cohort_of
from client.ecg.evaluation.methods import METHODS
from client.ecg.request import ShardSettings
from client.ecg.shard import SPLITS, SignalShard
from client.ecg.shard_writer import write_shard
from client.ecg.synthetic.oracle import oracle_scores
from client.ecg.synthetic.record import patient_number, synthetic_record
from client.ecg.synthetic.rule import FINDINGS
from client.ecg.synthetic.site import Device, SyntheticSite
from client.modalities import training_stream
from client.training.replica import build_replica
from client.training.trainer import train_steps
from wardlaw.config import from_flat
from wardlaw.config.model import ECG_FAMILIES

logger = logging.getLogger(__name__)

SHOWN = ("AF", "STach", "SB", "CLBBB", "CRBBB", "LAD", "LQRSV", "TInv")
CODES = {finding.name: finding.code for finding in FINDINGS}
CROP, CROPS = 512, 32


def hospital(patients: int) -> SyntheticSite:
    frequent = dict.fromkeys(SHOWN, 0.25)
    return SyntheticSite(site="synthetic", patients=patients, prevalence=frequent, device=Device(rate=100))


def sharded(folder, patients: int) -> SignalShard:
    site = hospital(patients)
    records = (synthetic_record(site, number) for number in range(patients))
    settings = ShardSettings(rate=100.0)
    write_shard(folder, records, settings, site=site.site, source="synthetic", synthetic=True)
    return SignalShard.open(folder)


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    return sharded(tmp_path_factory.mktemp("shard") / "many", 8000)


def aurocs(scores, labels) -> dict[str, float]:
    """AUROC by finding, of those that some have and some lack."""
    columns = {name: CLASSES.index(code) for name, code in CODES.items()}
    return {
        name: float(roc_auc_score(labels[:, c], scores[:, c]))
        for name, c in columns.items()
        if 0 < labels[:, c].sum() < len(labels)
    }


def reached_and_allowed(shard, family, steps, objective="bce", size="80k"):
    """AUROC by finding on held-out patients: a trained model's, and the rule's."""
    settings = {
        "run.topology": "centralised",
        "model.family": family,
        "model.size": size,
        "model.context": CROP,
        "objective.name": objective,
        "train.batch-tokens": CROP * CROPS,
        "train.tokens": CROP * CROPS * steps,
    }
    config = from_flat(settings)
    shards = {"synthetic": shard}
    replica = build_replica(config, training_stream(config, shards, "union"), len(CLASSES))
    train_steps(replica, range(config.steps))
    cohorts = Cohorts(*(cohort_of(shards, split) for split in SPLITS))
    answers = METHODS["own"](replica.model, cohorts, config)
    numbers = map(patient_number, cohorts.asked.names.tolist())
    labels = cohorts.asked.labels
    return aurocs(answers.asked, labels), aurocs(oracle_scores(hospital(1), numbers), labels)


def check(family, reached, allowed, mean, worst, everything):
    """Tell the table; bound the gap on ``SHOWN``, the macro gap over all, and any excess over the rule."""
    table = ", ".join(f"{name} {reached[name]:.3f}/{allowed[name]:.3f}" for name in reached)
    logger.info("%s: %s", family, table)
    gaps = {name: allowed[name] - reached[name] for name in reached}
    shown = [gaps[name] for name in SHOWN]
    macro = np.mean(list(gaps.values()))
    logger.info("%s: gap %.3f on %s, %.3f on all", family, np.mean(shown), " ".join(SHOWN), macro)
    assert -0.01 < np.mean(shown) < mean
    assert max(shown) < worst
    assert 0 < macro < everything


@pytest.mark.slow
@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_each_family_reaches_what_the_rule_allows(shard, family):
    reached, allowed = reached_and_allowed(shard, family, steps=1200)
    check(family, reached, allowed, mean=0.03, worst=0.06, everything=0.2)


@pytest.mark.slow
def test_the_asymmetric_loss_reaches_it_as_well(shard):
    reached, allowed = reached_and_allowed(shard, "resnet", steps=1200, objective="asymmetric")
    check("resnet, asymmetric", reached, allowed, mean=0.03, worst=0.06, everything=0.2)


def test_rates_and_axes_are_learnt_in_a_few_steps(tmp_path):
    reached, allowed = reached_and_allowed(sharded(tmp_path / "few", 1200), "resnet", steps=250, size="20k")
    for name in ("STach", "SB", "LAD"):
        assert allowed[name] - 0.12 < reached[name] < allowed[name] + 0.03
