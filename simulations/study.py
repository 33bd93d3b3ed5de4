"""A study: a grid of runs, written as a TOML file.

``[base]`` holds what all runs share; each list under ``[axis]`` is one dimension of
the grid, and each of its entries a few settings that belong together:

    [study]
    name = "example"

    [base]
    train.tokens = 400_000

    [axis]
    arm = [{ run.topology = "centralised" }, { strategy.name = "fedavg" }]
    size = [{ model.size = "30k" }, { model.size = "100k" }]
    seed = [{ run.seed = 0 }, { run.seed = 1 }]

is eight runs. Later axes are laid over earlier ones.
"""

import itertools
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from wardlaw.config import RunConfig
from wardlaw.config.files import merge_tables, read_toml
from wardlaw.config.flat import from_tables, nest
from wardlaw.errors import ConfigError


@dataclass(frozen=True)
class Study:
    """A study's name and its runs, in the order of the grid, no fingerprint twice."""

    name: str
    runs: tuple[RunConfig, ...]


def load_study(path: Path, pinned: dict[str, Any]) -> Study:
    """Read a study and expand its grid.

    Parameters
    ----------
    path : Path
        The TOML file.
    pinned : dict
        Dotted settings that the caller decides for all runs: where the federation
        and the records lie, and the federation's digest and tokeniser.

    Raises
    ------
    ConfigError
        For a key outside ``study``, ``base`` and ``axis``, an axis that is not a list
        of tables, or a run that the schema refuses (with its place in the grid).
    """
    tables = read_toml(path)
    if unknown := tables.keys() - {"study", "base", "axis"}:
        raise ConfigError(
            f"unknown tables {sorted(unknown)}", where=str(path), remedy="Use study, base, axis"
        )
    name = tables.get("study", {}).get("name", path.stem)
    axes = tables.get("axis", {})
    for axis, entries in axes.items():
        if (
            not isinstance(entries, list)
            or not all(isinstance(entry, dict) for entry in entries)
            or not entries
        ):
            raise ConfigError(f"axis.{axis} must be a list of tables of settings", where=str(path))
    base = merge_tables(tables.get("base", {}), nest(pinned))
    runs: dict[str, RunConfig] = {}
    for point in itertools.product(*axes.values()):
        config = _build_run(base, point, path)
        runs.setdefault(config.fingerprint, config)
    return Study(name, tuple(runs.values()))


def _build_run(base: dict[str, Any], point: tuple[dict[str, Any], ...], path: Path) -> RunConfig:
    tables = reduce(merge_tables, point, base)
    where = f"{path} at {' '.join(str(entry) for entry in point)}"
    config = from_tables(tables, where)
    return config.model_copy(update={"run": config.run.model_copy(update={"name": run_name(config)})})


def run_name(config: RunConfig) -> str:
    """Readable name of a run: arm, size and seed; of an ECG run, also family and objective.

    Examples
    --------
    >>> run_name(RunConfig())
    'fedavg-xs-seed0'
    """
    arm = config.strategy.name if config.run.topology == "federated" else config.run.topology
    what = ""
    if config.model.reads == "ecg":
        what = f"-{config.model.family}-{config.objective.name}"
    return f"{arm}{what}-{config.model.size}-seed{config.run.seed}"
