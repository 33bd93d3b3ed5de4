"""Flower's flat form of a configuration: ``{"train.clip-norm": 1.0, ...}``."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from wardlaw.config.base import Section
from wardlaw.config.run import RunConfig
from wardlaw.errors import ConfigError

Scalar = bool | int | float | str


def to_flat(section: Section, prefix: str = "") -> dict[str, Scalar]:
    """All settings by dotted kebab-case key.

    Examples
    --------
    >>> to_flat(RunConfig())["train.clip-norm"]
    1.0
    """
    flat: dict[str, Scalar] = {}
    for name, info in type(section).model_fields.items():
        key = f"{prefix}{info.alias or name}"
        value = getattr(section, name)
        flat |= to_flat(value, f"{key}.") if isinstance(value, Section) else {key: value}
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Tables from dotted keys: ``{"a.b": 1}`` is ``{"a": {"b": 1}}``."""
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *tables, leaf = key.split(".")
        table = nested
        for name in tables:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                raise ConfigError(f"'{key}' is both a setting and a table")
        table[leaf] = value
    return nested


def from_flat(flat: Mapping[str, Any], where: str = "run config") -> RunConfig:
    """RunConfig from Flower's flat ``run_config``."""
    return from_tables(nest(flat), where)


def from_tables(tables: Mapping[str, Any], where: str) -> RunConfig:
    """RunConfig from nested tables; every problem is named in one error.

    Raises
    ------
    ConfigError
        With each wrong key, its value and what was expected.
    """
    try:
        return RunConfig.model_validate(tables)
    except ValidationError as error:
        raise ConfigError(
            describe_problems(error), where=where, remedy="`wardlaw simulate settings` lists all keys"
        ) from None


def describe_problems(error: ValidationError) -> str:
    """One line for all problems that pydantic found."""
    return "; ".join(_describe(problem) for problem in error.errors())


def _describe(problem: Any) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key '{key}'"
    message = problem["msg"].removeprefix("Value error, ")
    return f"'{key}' = {problem['input']!r}: {message}" if key else message
