"""Exact parameters and FLOPs of the model of a run, from its settings alone."""

from models.ecg import counts as ecg
from models.ehr import counts as ehr
from models.model import Parameters
from wardlaw.config import RunConfig


def parameters(config: RunConfig, outputs: int) -> Parameters:
    """Parameters of the model that ``build_model`` would make, teachers not counted."""
    if config.model.reads == "ecg":
        return ecg.parameters(config, outputs)
    return ehr.parameters(config.model, outputs)


def flops_per_token(config: RunConfig, outputs: int) -> float:
    """Forward FLOPs of a token of EHR or a sample of ECG, in a full window of ``model.context``."""
    if config.model.reads == "ecg":
        return ecg.flops_per_sample(config, outputs)
    return ehr.flops_per_token(config.model, outputs).total
