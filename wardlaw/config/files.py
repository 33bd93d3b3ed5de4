"""Configurations in files: TOML in, JSON manifests in and out."""

import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wardlaw.config.flat import from_flat, from_tables, nest, to_flat
from wardlaw.config.run import RunConfig
from wardlaw.errors import ConfigError
from wardlaw.files import write_text_atomically


def read_toml(path: Path) -> dict[str, Any]:
    """Tables of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("no such file", where=str(path)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path)) from None


def parse_override(text: str) -> tuple[str, Any]:
    """Key and value of a ``--set key=value``; a bare word is a string.

    Examples
    --------
    >>> parse_override("train.tokens=2_000")
    ('train.tokens', 2000)
    >>> parse_override("model.size=xs")
    ('model.size', 'xs')
    """
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError(f"'--set {text}' is not of the form key=value")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def merge_tables(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the settings of ``change`` laid over it, table by table."""
    merged = dict(base)
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = (
            merge_tables(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


def load_config(path: Path | None, overrides: Iterable[str] = ()) -> RunConfig:
    """RunConfig from a TOML file (or the defaults) and ``--set`` overrides."""
    tables = read_toml(path) if path else {}
    tables = merge_tables(tables, nest(dict(map(parse_override, overrides))))
    return from_tables(tables, str(path) if path else "--set")


def save_manifest(config: RunConfig, path: Path) -> None:
    """Write the flat settings and their fingerprint as JSON."""
    manifest = {"fingerprint": config.fingerprint, "config": to_flat(config)}
    write_text_atomically(path, json.dumps(manifest, indent=2) + "\n")


def load_manifest(path: Path) -> RunConfig:
    """RunConfig of a run that resumes; its fingerprint must still be the recorded one."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        recorded, flat = manifest["fingerprint"], manifest["config"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"not a run manifest ({type(error).__name__})", where=str(path)) from None
    config = from_flat(flat, str(path))
    if config.fingerprint != recorded:
        raise ConfigError(
            "the settings do not match the recorded fingerprint",
            where=str(path),
            remedy="It was edited or written by another version; start a new run",
        )
    return config
