"""What all settings share: frozen, no unknown keys, kebab-case outside."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def kebab(name: str) -> str:
    """Outside name of a field: ``clip_norm`` is ``clip-norm``."""
    return name.replace("_", "-")


def location(default: str) -> Any:
    """A field that says where something lies, not what it is: outside the fingerprint."""
    return Field(default=default, json_schema_extra={"fingerprint": False})


def added(default: Any, **limits: Any) -> Any:
    """A field that older versions did not have: in the fingerprint only where it is not its default.

    So a record of an older version keeps its fingerprint.
    """
    return Field(default=default, json_schema_extra={"fingerprint": "unless default"}, **limits)


class Section(BaseModel):
    """A section of a configuration file."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=False,
        alias_generator=kebab,
        validate_by_name=True,
        validate_by_alias=True,
        allow_inf_nan=False,
    )
