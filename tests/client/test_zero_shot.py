from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
import torch

from client.ehr.shard import TokenSplit
from client.evaluation import zero_shot
from client.evaluation.probe import fit_probe, prompt_features
from client.evaluation.prompts import place_prompts
from client.evaluation.tasks import IN_HOSPITAL_MORTALITY, READMISSION_30_DAYS
from client.evaluation.zero_shot import answer_by_generation, build_judge
from models.registry import build_model
from wardlaw.config import RunConfig
from wardlaw.config.model import ModelSection
from wardlaw.errors import ConfigError, DataError, ShardError
from wardlaw.vocabulary import END, Vocabulary

ORIGIN = datetime(2020, 1, 1)  # noqa: DTZ001 - MEDS times have no zone
CODES = ("HOSPITAL_ADMISSION//E", "HOSPITAL_DISCHARGE//H", "LAB//1", "MEDS_DEATH")


@pytest.fixture
def vocabulary():
    return Vocabulary("ethos", CODES, {})


@pytest.fixture
def split():
    """Two patients: tokens at minutes 0, 60, 60, 3000 and 0, 10, then each one's end."""
    return TokenSplit(
        tokens=np.array([5, 6, 7, 8, 3, 9, 10, 3], np.uint16),
        minutes=np.array([0, 60, 60, 3000, 3000, 0, 10, 10], np.int32),
        starts_event=np.array([1, 1, 1, 1, 0, 1, 1, 0], np.uint8),
        subject_ids=np.array([1, 2]),
        first_token=np.array([0, 5]),
        lengths=np.array([5, 3]),
        events=np.array([4, 2]),
        origin=np.array([ORIGIN, ORIGIN], "datetime64[us]"),
    )


def labels(*rows):
    return pl.DataFrame(
        [(subject, ORIGIN + timedelta(minutes=minutes), value) for subject, minutes, value in rows],
        schema={"subject_id": pl.Int64, "prediction_time": pl.Datetime("us"), "boolean_value": pl.Boolean},
        orient="row",
    )


def test_a_prompt_ends_with_the_prediction_time_inclusive(split):
    prompts = place_prompts(split, labels((1, 59, True), (1, 60, True), (9, 5, True)))
    assert list(zip(prompts.first, prompts.stop, strict=True)) == [(0, 1), (0, 3)]
    assert prompts.labels["subject_id"].to_list() == [1, 1]


def test_no_prompt_shows_that_the_record_ends(split):
    # A question at the last event, as readmission asks at the last discharge.
    prompts = place_prompts(split, labels((1, 3000, False), (2, 10, False), (2, 10**6, False)))
    assert list(zip(prompts.first, prompts.stop, strict=True)) == [(0, 4), (5, 7), (5, 7)]


def test_a_question_before_the_record_is_refused(split):
    with pytest.raises(ShardError, match="prediction time"):
        place_prompts(split, labels((1, -1, True)))


def scripted(monkeypatch, *futures):
    """Let the model write given futures, in turn, instead of drawing them."""
    queue = [list(future) for future in futures]

    def generate(model, prompts, *, max_new_tokens, stop_tokens, generator):
        return [torch.tensor(queue.pop(0)[:max_new_tokens], dtype=torch.int64) for _ in prompts]

    monkeypatch.setattr(zero_shot, "generate", generate)


def test_mortality_is_the_share_of_futures_with_death_before_discharge(monkeypatch, split, vocabulary):
    ids = vocabulary.ids
    lab, death, home = ids["LAB//1"], ids["MEDS_DEATH"], ids["HOSPITAL_DISCHARGE//H"]
    scripted(monkeypatch, [lab, death], [lab, home], [lab, ids[END]], [home, death])
    judge = build_judge(vocabulary, IN_HOSPITAL_MORTALITY)
    prompts = place_prompts(split, labels((1, 60, True)))
    answers = answer_by_generation(
        None, split, prompts, judge, context=128, trajectories=4, most_tokens=64, seed=0
    )
    assert answers.probability.tolist() == [0.25]
    assert answers.unresolved == 0


def test_readmission_counts_within_thirty_generated_days(monkeypatch, split, vocabulary):
    ids = vocabulary.ids
    back, week, month = ids["HOSPITAL_ADMISSION//E"], ids["_1w-2w"], ids["_1mt-3mt"]
    scripted(monkeypatch, [week, back], [month, back], [week, week, week, week, back])
    judge = build_judge(vocabulary, READMISSION_30_DAYS)
    prompts = place_prompts(split, labels((1, 60, True)))
    answers = answer_by_generation(
        None, split, prompts, judge, context=128, trajectories=3, most_tokens=64, seed=0
    )
    assert answers.probability.tolist() == [pytest.approx(1 / 3)]


def test_a_future_without_end_is_counted_as_unresolved(monkeypatch, split, vocabulary):
    lab = vocabulary.ids["LAB//1"]
    scripted(monkeypatch, [lab] * 64, [lab] * 64)
    judge = build_judge(vocabulary, IN_HOSPITAL_MORTALITY)
    prompts = place_prompts(split, labels((1, 60, True)))
    answers = answer_by_generation(
        None, split, prompts, judge, context=128, trajectories=1, most_tokens=128, seed=0
    )
    assert (answers.probability.tolist(), answers.unresolved) == ([0.0], 1.0)


def test_fused_timelines_cannot_be_generated(vocabulary):
    fused = Vocabulary("fused", CODES, {})
    with pytest.raises(ConfigError, match="probe"):
        build_judge(fused, IN_HOSPITAL_MORTALITY)


def test_features_are_those_of_a_prompt_alone(split):
    model = build_model(RunConfig(model=ModelSection(size="xs", context=16)), 64)
    prompts = place_prompts(split, labels((1, 60, True), (2, 10, False), (1, 4000, True)))
    together = prompt_features(model, split, prompts, "ethos", context=16, batch_tokens=64)
    alone = prompt_features(model, split, prompts, "ethos", context=16, batch_tokens=1)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.shape == (3, model.shape.width)


def test_the_probe_finds_a_linear_rule_and_refuses_one_class():
    rng = np.random.default_rng(0)

    def sample(count):
        features = rng.normal(size=(count, 4)).astype(np.float32)
        return features, (features[:, 0] > 0).astype(np.float64)

    questions, truth = sample(200)
    answers = fit_probe(sample(300), sample(100), questions)
    assert ((answers > 0.5) == truth).mean() > 0.95
    features, _ = sample(20)
    with pytest.raises(DataError, match="one class"):
        fit_probe((features, np.zeros(20)), sample(10), questions)
