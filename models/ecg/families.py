"""Families of ECG backbones by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from models.ecg.backbone import Backbone
from models.ecg.convnext import RUNGS as CONVNEXT
from models.ecg.convnext import build_convnext
from models.ecg.regnet import RUNGS as REGNET
from models.ecg.regnet import build_regnet
from models.ecg.resnet import RUNGS as RESNET
from models.ecg.resnet import build_resnet
from models.ecg.s4d import RUNGS as S4D
from models.ecg.s4d import build_s4d
from models.ecg.transformer import RUNGS as TRANSFORMER
from models.ecg.transformer import build_transformer
from wardlaw.config.model import EcgFamily, ModelSection

BUILDERS: Mapping[EcgFamily, Callable[[ModelSection], Backbone]] = MappingProxyType(
    {
        "resnet": lambda section: build_resnet(section.size),
        "transformer": lambda section: build_transformer(section.size),
        "convnext": lambda section: build_convnext(section.size),
        "regnet": build_regnet,
        "s4d": lambda section: build_s4d(section.size),
    }
)

RUNGS: Mapping[EcgFamily, tuple[str, ...]] = MappingProxyType(
    {
        "resnet": tuple(RESNET),
        "transformer": tuple(TRANSFORMER),
        "convnext": tuple(CONVNEXT),
        "regnet": tuple(REGNET),
        "s4d": tuple(S4D),
    }
)
"""Names of each family's rungs, from the smallest to the largest."""


def build_backbone(section: ModelSection) -> Backbone:
    """Backbone of a run's ``[model]``, with the constructor's values.

    Raises
    ------
    ConfigError
        If the family's ladder has no such rung.
    """
    assert section.family != "decoder"
    return BUILDERS[section.family](section)
