"""``RunConfig``: one object that says everything about a run."""

import hashlib
import json
from typing import Any, Self

from pydantic import model_validator

from wardlaw.config.base import Section, added
from wardlaw.config.data import DataSection
from wardlaw.config.evaluation import EvaluationSection
from wardlaw.config.federation import FederationSection
from wardlaw.config.model import ModelSection
from wardlaw.config.objective import COUPLED, FOLLOWING, ObjectiveSection
from wardlaw.config.privacy import PrivacySection
from wardlaw.config.run_section import RunSection
from wardlaw.config.secagg import SecAggSection
from wardlaw.config.strategy import StrategySection
from wardlaw.config.train import TrainSection


class RunConfig(Section):
    """A run's settings, one section a room.

    The same object is built from a TOML file (``config.files``), from Flower's flat
    ``run_config`` (``config.flat``) and from the manifest of a run that resumes.
    """

    run: RunSection = RunSection()
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    objective: ObjectiveSection = added(ObjectiveSection())
    train: TrainSection = TrainSection()
    federation: FederationSection = FederationSection()
    strategy: StrategySection = StrategySection()
    evaluation: EvaluationSection = EvaluationSection()
    privacy: PrivacySection = added(PrivacySection())
    secagg: SecAggSection = added(SecAggSection())

    @property
    def replicas(self) -> int:
        """Models in training at the same time: 1 when centralised, else M."""
        return 1 if self.run.topology == "centralised" else self.federation.replicas

    @property
    def replica_batch_tokens(self) -> int:
        """Tokens of one optimiser step of one replica."""
        return self.train.batch_tokens // self.replicas

    @property
    def steps(self) -> int:
        """Sequential optimiser steps of a replica over the run's whole token budget."""
        return self.train.tokens // self.train.batch_tokens

    @property
    def rounds(self) -> int:
        """Federated rounds; the last may be shorter than ``local-steps``."""
        return -(-self.steps // self.federation.local_steps)

    def round_steps(self, server_round: int) -> range:
        """Steps, counted from 0 over the run, of a round counted from 1."""
        first = (server_round - 1) * self.federation.local_steps
        return range(first, min(first + self.federation.local_steps, self.steps))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical form, without the fields that only name or locate.

        Two runs with one fingerprint are the same experiment. It stands in every
        checkpoint, record and client reply.
        """
        return hashlib.sha256(json.dumps(identity(self), sort_keys=True).encode()).hexdigest()

    @model_validator(mode="after")
    def _check_across_sections(self) -> Self:
        if self.train.batch_tokens % self.replicas:
            raise ValueError(
                f"train.batch-tokens = {self.train.batch_tokens} must be a multiple of "
                f"federation.replicas = {self.replicas}, which share it"
            )
        if self.replica_batch_tokens < self.model.context:
            raise ValueError(
                f"a replica's share of train.batch-tokens ({self.replica_batch_tokens}) "
                f"must hold one window of model.context = {self.model.context}"
            )
        if self.steps < 1:
            raise ValueError(
                f"train.tokens = {self.train.tokens} is less than one step of train.batch-tokens"
            )
        if self.federation.quorum > self.federation.replicas:
            raise ValueError(
                f"federation.quorum = {self.federation.quorum} exceeds "
                f"federation.replicas = {self.federation.replicas}"
            )
        return self

    @model_validator(mode="after")
    def _check_objective(self) -> Self:
        name, family = self.objective.name, self.model.family
        if (name == "next-token") != (family == "decoder"):
            raise ValueError(
                f"objective.name = '{name}' does not fit model.family = '{family}': "
                "next-token is the decoder's, all others are ECG models'"
            )
        if self.model.reads == "ehr" and self.train.optimiser != "adamw":
            raise ValueError(
                f"train.optimiser = '{self.train.optimiser}' is for ECG models: "
                "the decoder's learning rates carry over from size to size for AdamW only"
            )
        if name in FOLLOWING and self.strategy.name not in {"fedavg", "fedprox"}:
            raise ValueError(
                f"strategy.name = '{self.strategy.name}' does not fit objective.name = '{name}': "
                "its teacher or codebook follows the weights, which only a plain average keeps in step"
            )
        if self.model.reads == "ecg" and self.data.vocabulary == "fitted":
            raise ValueError("data.vocabulary = 'fitted' has no meaning for ECG: signals have no vocabulary")
        return self

    @model_validator(mode="after")
    def _refuse_privacy_that_cannot_be_kept(self) -> Self:
        if not self.privacy.private:
            return self
        if reason := COUPLED.get(self.objective.name):
            raise ValueError(
                f"privacy.mechanism = 'dp-sgd' cannot hold for "
                f"objective.name = '{self.objective.name}': {reason}"
            )
        if self.run.topology == "federated" and not self.privacy.noise_multiplier:
            raise ValueError(
                "privacy.noise-multiplier = 0 hides nobody, so no site's ledger can note it; set it above 0, "
                "or privacy.mechanism = 'none'"
            )
        return self

    @model_validator(mode="after")
    def _refuse_what_sums_cannot_give(self) -> Self:
        if self.secagg.enabled:
            self.secagg.require_sums(self.strategy)
            self.secagg.require_cover(self.federation)
        return self


def identity(section: Section) -> dict[str, Any]:
    """The fields of a section, nested, that say what it is rather than where it lies."""
    fields: dict[str, Any] = {}
    for name, info in type(section).model_fields.items():
        extra = info.json_schema_extra
        if isinstance(extra, dict) and extra.get("fingerprint") is False:
            continue
        value = getattr(section, name)
        if isinstance(extra, dict) and extra.get("fingerprint") == "unless default" and value == info.default:
            continue
        fields[name] = identity(value) if isinstance(value, Section) else value
    return fields
