"""Zero-shot answers: generate each patient's future several times and count how often it happens.

As ETHOS does (Renc et al., npj Digit. Med. 2024), and the EHR scaling study after it
(arXiv 2505.22964). Only for the ``ethos`` scheme: in ``fused`` timelines time is a position,
which a model reads and does not write.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.ehr.shard import TokenSplit
from client.evaluation.prompts import Prompts, visible_tokens
from client.evaluation.tasks import Task
from models.ehr.decoder import Decoder
from models.ehr.generation import generate
from wardlaw.errors import ConfigError
from wardlaw.seeds import derive_seed
from wardlaw.vocabulary import END, Vocabulary

STAGE_TOKENS = 64
"""Tokens that a trajectory grows before its window moves on and it is judged anew."""


@dataclass(frozen=True)
class Answers:
    """Predicted probabilities.

    Attributes
    ----------
    probability : (n,) array
        Share of a question's trajectories in which the outcome came.
    unresolved : float
        Share of all trajectories that came to no end within the tokens allowed; they
        count as the outcome not having come.
    """

    probability: NDArray[np.float64]
    unresolved: float


@dataclass(frozen=True)
class Judge:
    """Token ids that decide a task.

    Attributes
    ----------
    outcome, end : frozenset of int
    horizon_minutes : float
        Elapsed time after which the outcome no longer counts.
    minutes : (tokens,) array
        Time that each token lets pass.
    """

    outcome: frozenset[int]
    end: frozenset[int]
    horizon_minutes: float
    minutes: NDArray[np.float32]

    @property
    def stops(self) -> frozenset[int]:
        """Tokens after which a trajectory need not go on."""
        return self.outcome | self.end


@dataclass
class Trajectory:
    """One generated future: what the model sees next, and what has become of it."""

    window: Tensor
    elapsed: float = 0.0
    happened: bool | None = field(default=None)

    def grow(self, tokens: Sequence[int], judge: Judge) -> None:
        """Take in generated tokens up to the one that decides."""
        for token in tokens:
            self.elapsed += float(judge.minutes[token])
            if token in judge.stops or self.elapsed > judge.horizon_minutes:
                self.happened = token in judge.outcome and self.elapsed <= judge.horizon_minutes
                return
        self.window = torch.cat([self.window, torch.tensor(tokens, dtype=torch.int64)])


def build_judge(vocabulary: Vocabulary, task: Task) -> Judge:
    """Ids that decide a task in a vocabulary.

    Raises
    ------
    ConfigError
        If the vocabulary has no time tokens, or no token for the task's outcome.
    """
    if vocabulary.scheme != "ethos":
        raise ConfigError(
            "timelines can be generated only by the 'ethos' scheme, since in 'fused' time is a position",
            where=task.name,
            remedy="Tokenise with --scheme ethos, or use the linear probe",
        )
    outcome = frozenset(vocabulary.ids_of_kind(task.outcome).tolist())
    if not outcome:
        raise ConfigError(f"the vocabulary has no token for {task.outcome}", where=task.name)
    ends = frozenset(vocabulary.ids_of_kind(task.end).tolist()) if task.end else frozenset()
    horizon = np.inf if task.horizon is None else task.horizon.total_seconds() / 60
    return Judge(outcome, ends | {vocabulary.ids[END]}, horizon, vocabulary.interval_minutes)


def answer_by_generation(
    model: Decoder,
    split: TokenSplit,
    prompts: Prompts,
    judge: Judge,
    *,
    context: int,
    trajectories: int,
    most_tokens: int,
    seed: int,
) -> Answers:
    """Generate futures from each prompt and count outcomes.

    The window keeps at most ``context`` tokens, prompt and future together, as in training; when
    it is full its oldest tokens leave.

    Parameters
    ----------
    model : Decoder
    split : TokenSplit
    prompts : Prompts
    judge : Judge
    context : int
        Longest window that the model was trained on.
    trajectories : int
        Futures of each question.
    most_tokens : int
        Longest future.
    seed : int
    """
    random = torch.Generator().manual_seed(derive_seed(seed, "zero-shot"))
    seen = max(1, context - STAGE_TOKENS)
    questions = range(len(prompts.stop))
    futures = [
        Trajectory(torch.from_numpy(visible_tokens(split, prompts, question, seen)))
        for question in questions
        for _ in range(trajectories)
    ]
    for _ in range(0, most_tokens, STAGE_TOKENS):
        pending = [future for future in futures if future.happened is None]
        drawn = generate(
            model,
            [future.window[-seen:] for future in pending],
            max_new_tokens=STAGE_TOKENS,
            stop_tokens=judge.stops,
            generator=random,
        )
        for future, tokens in zip(pending, drawn, strict=True):
            future.grow(tokens.tolist(), judge)
    happened = np.array([future.happened is True for future in futures]).reshape(len(questions), trajectories)
    unresolved = float(np.mean([future.happened is None for future in futures])) if futures else 0.0
    return Answers(happened.mean(axis=1), unresolved)
