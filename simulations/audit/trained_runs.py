"""What attackers learn of the patients of finished runs: ``audit.json``, and a part of the statement."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.ecg.shard import SPLITS
from client.ehr.shard import TokenShard
from client.modalities import Shard
from client.site import open_site_shard
from models.ehr.decoder import Decoder
from models.model import Model
from models.registry import build_model
from simulations.audit.lower_bound import lower_bounds
from simulations.audit.membership import attack, sideways_movement
from simulations.audit.patient_scores import Scores, negative_losses
from simulations.downstream import run_models
from simulations.federation_folder import participating_policies
from simulations.privacy_record import state_privacy
from wardlaw.config import RunConfig
from wardlaw.files import write_text_atomically
from wardlaw.privacy.audits import Attack, Audit, Presence
from wardlaw.privacy.statement import PrivacyStatement
from wardlaw.privacy.statement_files import load_statement, save_statement
from wardlaw.records import RunRecord
from wardlaw.seeds import generator

AUDIT_FILE = "audit.json"

FALSE_ALARM = 0.01
"""Probability at most that a bound on epsilon is too high for any of a run's models."""

OTHERS = tuple(split for split in SPLITS if split != "train")
"""Splits that no gradient reads."""


def audit_run(record: RunRecord, false_positive_rate: float = 0.001) -> PrivacyStatement:
    """Attack each final model of a run, and put what was learnt into its record.

    Writes ``audit.json``, and ``privacy.json`` and ``privacy.txt`` with it.

    Parameters
    ----------
    record : RunRecord
        Its ``data.federation`` must still be there.
    false_positive_rate : float

    Returns
    -------
    PrivacyStatement
        That of the run, with the audit.
    """
    torch.set_num_threads(record.config.train.threads)
    shards = {
        policy.site: open_site_shard(policy, record.config.data.tokenizer)
        for policy in participating_policies(record.config)
    }
    audit = attack_models(record.config, run_models(record), shards, false_positive_rate)
    write_text_atomically(record.folder / AUDIT_FILE, audit.model_dump_json(indent=2) + "\n")
    state_privacy(record.config, record.folder)
    statement = load_statement(record.folder).model_copy(update={"audit": audit})
    save_statement(record.folder, statement)
    return statement


def attack_models(
    config: RunConfig, models: Mapping[str, Model], shards: Mapping[str, Shard], false_positive_rate: float
) -> Audit:
    """Tell train patients from those of the other splits, and codes that are there from those that are not.

    The model of one site is tried on that site's patients, any other on those of all sites.
    """
    attacks, presence = [], []
    significance = FALSE_ALARM / len(models)
    for replica, model in models.items():
        seen = [shards[replica]] if replica in shards else list(shards.values())
        attacks.append(membership(config, replica, model, seen, false_positive_rate, significance))
        tokens = [shard for shard in seen if isinstance(shard, TokenShard)]
        if isinstance(model, Decoder) and (found := code_presence(config, replica, model, tokens)):
            presence.append(found)
    return Audit(delta=config.privacy.delta, attacks=tuple(attacks), presence=tuple(presence))


def membership(
    config: RunConfig,
    replica: str,
    model: Model,
    shards: Sequence[Shard],
    false_positive_rate: float,
    significance: float = FALSE_ALARM,
) -> Attack:
    """Who was in a model's training set, by each patient's loss."""
    members = _scores(config, model, shards, ("train",))
    others = _scores(config, model, shards, OTHERS)
    return Attack(
        replica=replica,
        epsilon_at_least=epsilon_at_least(
            members, others, config.privacy.delta, config.run.seed, significance
        ),
        **attack(members, others, false_positive_rate).model_dump(),
    )


def epsilon_at_least(
    members: Scores, others: Scores, delta: float, seed: int, significance: float = FALSE_ALARM
) -> float:
    """Lower bound on epsilon of the training, from equally many of both.

    The bound is that of one run (Steinke et al., arXiv 2305.08846), in which each patient was trained on by
    a fair coin. The split is such a coin for a random choice of as many members as there are others.

    Parameters
    ----------
    members, others : (n,), (m,) float64
    delta : float
    seed : int
        Of the choice.
    significance : float
        Probability at most that the bound lies above epsilon.
    """
    random = generator(seed, "audit", "balance")
    size = min(len(members), len(others))
    if size < 4:
        return 0.0
    inside, outside = (random.permutation(scores)[:size] for scores in (members, others))
    return lower_bounds(inside, outside, delta, significance).one_run


def code_presence(
    config: RunConfig, replica: str, model: Decoder, shards: Sequence[TokenShard]
) -> Presence | None:
    """Which codes a model's train patients have, by how far its embedding's rows turned; None if all."""
    vocabulary_size = shards[0].manifest.vocabulary_size
    initial = build_model(config, vocabulary_size)
    assert isinstance(initial, Decoder)
    read = tokens_read(shards, vocabulary_size)
    if read.all() or not read.any():
        return None
    moved = sideways_movement(embedding(initial), embedding(model))
    found = attack(moved[read], moved[~read])
    return Presence(replica=replica, present=found.members, absent=found.others, auroc=found.auroc)


def embedding(model: Decoder) -> Tensor:
    """Rows of a decoder's input embedding, one a token."""
    return model.model.embed_tokens.weight.detach()


def tokens_read(shards: Sequence[TokenShard], vocabulary_size: int) -> NDArray[np.bool_]:
    """Tokens that a train patient has before its last one, (vocabulary_size,): the others are no inputs."""
    read = np.zeros(vocabulary_size, np.bool_)
    for shard in shards:
        split = shard.split("train")
        inputs = np.ones(len(split.tokens), np.bool_)
        some = split.lengths > 0
        inputs[split.first_token[some] + split.lengths[some] - 1] = False
        read[split.tokens[inputs]] = True
    return read


def _scores(config: RunConfig, model: Model, shards: Sequence[Shard], splits: Sequence[str]) -> Scores:
    scores = [
        negative_losses(model, shard, split, config)
        for shard in shards
        for split in splits
        if shard.manifest.patients(split)
    ]
    return np.concatenate(scores)
