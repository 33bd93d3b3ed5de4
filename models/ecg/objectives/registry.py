"""Objectives by name."""

from models.ecg.backbone import Backbone
from models.ecg.objectives.cpc import Cpc
from models.ecg.objectives.data2vec import Data2vec
from models.ecg.objectives.dinosr import DinoSr
from models.ecg.objectives.hubert import Hubert
from models.ecg.objectives.jepa import Jepa
from models.ecg.objectives.masked import MaskedPrediction
from models.ecg.objectives.objective import Objective
from models.ecg.objectives.reconstruction import Reconstruction
from models.ecg.objectives.supervised import Asymmetric, Bce
from wardlaw.config.objective import ObjectiveSection
from wardlaw.errors import ConfigError

LEAST_PATCHES = 8
"""Patches of a crop below which masking leaves too little to predict from."""

LEAST_PREFIX = 4
"""Patches before CPC's cut."""

MASKED: dict[str, type[MaskedPrediction]] = {
    "jepa": Jepa,
    "data2vec": Data2vec,
    "dinosr": DinoSr,
    "hubert": Hubert,
    "reconstruction": Reconstruction,
}


def build_objective(section: ObjectiveSection, backbone: Backbone, outputs: int, context: int) -> Objective:
    """Objective of a run over a backbone.

    Its matrices are zero, as ``models.ecg.scaling`` expects them.

    Parameters
    ----------
    section : ObjectiveSection
        Name and settings.
    backbone : Backbone
        What it trains; a teacher is a copy of it.
    outputs : int
        Label classes of the shards.
    context : int
        Samples of a crop.

    Raises
    ------
    ConfigError
        If the objective is not one for ECGs, or crops of ``context`` samples are too short for it.
    """
    patches = _patches(context, backbone.patch)
    match section.name:
        case "bce":
            return Bce(backbone, outputs)
        case "asymmetric":
            return Asymmetric(section, backbone, outputs)
        case "cpc":
            least = LEAST_PREFIX + section.steps_predicted
            _refuse_short_crops(section, patches, least, context, backbone.patch)
            return Cpc(section, backbone)
        case "next-token":
            raise ConfigError(
                "it predicts tokens, and an ECG has none",
                "objective.name = 'next-token'",
                f"Choose one of bce, asymmetric, cpc, {', '.join(MASKED)}.",
            )
    _refuse_short_crops(section, patches, LEAST_PATCHES, context, backbone.patch)
    return MASKED[section.name](section, backbone)


def _patches(context: int, patch: int) -> int:
    if context % patch:
        raise ConfigError(
            f"crops are no whole number of this model's patches of {patch} samples",
            f"model.context = {context}",
            f"Take a multiple of {patch}.",
        )
    return context // patch


def _refuse_short_crops(
    section: ObjectiveSection, patches: int, least: int, context: int, patch: int
) -> None:
    if patches < least:
        raise ConfigError(
            f"{section.name} needs crops of at least {least} patches of {patch} samples, and has {patches}",
            f"model.context = {context}",
            f"Take {least * patch} or more.",
        )
