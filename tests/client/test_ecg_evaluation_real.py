"""Real records: one that two databases share, and a probe that is asked about another database."""

import numpy as np
import pytest

from client.ecg.classes import CLASSES
from client.ecg.evaluation.answers import Cohorts
from client.ecg.evaluation.cohort import cohort_of, never_seen
from client.ecg.evaluation.linear import linear_answers
from client.ecg.evaluation.scores import outputs_of, score
from client.ecg.request import ShardSettings
from client.ecg.scoring.figures import Predictions
from client.ecg.shard import SPLITS, SignalShard
from client.ecg.shard_writer import write_shard
from client.ecg.sources.wfdb import list_wfdb, read_wfdb
from models.ecg.model import build_ecg_model
from wardlaw.config import from_flat


@pytest.fixture(scope="module")
def shards(shared_data, tmp_path_factory):
    folders = {"extra": "cinc2021/cpsc2018_extra", "cpsc": "cpsc2018_text_dx"}
    made = {}
    for site, folder in folders.items():
        references = list_wfdb(shared_data / "ecg" / folder, None, "")
        target = tmp_path_factory.mktemp("real") / site
        write_shard(
            target, map(read_wfdb, references), ShardSettings(), site=site, source=folder, synthetic=False
        )
        made[site] = SignalShard.open(target)
    return made


def test_the_record_that_two_databases_share_is_left_out(shards):
    known = cohort_of({"extra": shards["extra"]}, *SPLITS)
    assert "Q0048" in known.names
    unseen, left_out = never_seen({"cpsc": shards["cpsc"]}, known)
    assert left_out == {"cpsc": 1}
    assert len(unseen) == 139
    assert "A0101" not in unseen.names
    assert "A0101" in cohort_of({"cpsc": shards["cpsc"]}, *SPLITS).names


def test_a_probe_of_one_database_is_scored_on_another(shards):
    config = from_flat(
        {
            "model.family": "resnet",
            "model.size": "20k",
            "objective.name": "reconstruction",
            "run.topology": "centralised",
        }
    )
    cpsc = {"cpsc": shards["cpsc"]}
    unseen, _ = never_seen({"extra": shards["extra"]}, cohort_of(cpsc, *SPLITS))
    cohorts = Cohorts(cohort_of(cpsc, "train"), cohort_of(cpsc, "tuning"), unseen)
    answers = linear_answers(build_ecg_model(config, len(CLASSES)), cohorts, config)
    outputs = outputs_of(answers, cohorts.tuning.labels)
    found = score(
        Predictions(unseen.labels, outputs, answers.asked),
        answers.answered,
        unseen.patients,
        resamples=100,
        seed=0,
    )
    assert found.records == len(unseen) == 28
    assert 1 <= found.classes <= int(answers.answered.sum()) <= 9
    assert 0 < found.auroc.low <= found.auroc.value <= found.auroc.high <= 1
    # So few records tell little, and the interval has to say so.
    assert found.auroc.high - found.auroc.low > 0.1
    assert np.isfinite(found.loss)
