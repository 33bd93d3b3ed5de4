"""Families of ECG backbones by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from models.ecg import convnext, regnet, resnet, s4d, transformer
from models.ecg.backbone import Backbone
from wardlaw.config.model import EcgFamily, ModelSection

BUILDERS: Mapping[EcgFamily, Callable[[ModelSection], Backbone]] = MappingProxyType(
    {
        "resnet": lambda section: resnet.build_resnet(section.size),
        "transformer": lambda section: transformer.build_transformer(section.size),
        "convnext": lambda section: convnext.build_convnext(section.size),
        "regnet": regnet.build_regnet,
        "s4d": lambda section: s4d.build_s4d(section.size),
    }
)

RUNGS: Mapping[EcgFamily, tuple[str, ...]] = MappingProxyType(
    {
        "resnet": tuple(resnet.RUNGS),
        "transformer": tuple(transformer.RUNGS),
        "convnext": tuple(convnext.RUNGS),
        "regnet": tuple(regnet.RUNGS),
        "s4d": tuple(s4d.RUNGS),
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
