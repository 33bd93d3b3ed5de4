"""Ways to use a model for diagnoses."""

from collections.abc import Callable, Mapping

from client.ecg.evaluation.answers import Answers, Cohorts
from client.ecg.evaluation.attention import attention_answers
from client.ecg.evaluation.finetune import finetuned_answers
from client.ecg.evaluation.linear import linear_answers
from client.ecg.evaluation.own import own_answers
from models.ecg.model import EcgModel
from wardlaw.config import RunConfig

Method = Callable[[EcgModel, Cohorts, RunConfig], Answers]

METHODS: Mapping[str, Method] = {
    "own": own_answers,
    "linear": linear_answers,
    "attention": attention_answers,
    "finetune": finetuned_answers,
}
"""By name; all but ``own`` learn from the labels of ``Cohorts.train``."""
