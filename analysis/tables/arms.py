"""Which runs are one arm, those that differ only in size, tokens and seed."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.tables.measures import objective_name
from wardlaw.config import RunConfig, to_flat
from wardlaw.config.flat import Scalar
from wardlaw.config.model import ECG_FAMILIES

CENTRALISED, LOCAL = "Centralised", "Local"
_STRATEGIES = {
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "fedavgm": "FedAvgM",
    "fedadam": "FedAdam",
    "fednesterov": "FedNesterov",
    "clipped-mean": "ClippedMean",
    "adaptive-clip": "AdaptiveClip",
}
_ORDER = (CENTRALISED, LOCAL, *_STRATEGIES.values())
_NAMES_AND_PLACES = frozenset({"run.name", "run.records", "data.federation"})
_WITHIN_AN_ARM = frozenset({"run.seed", "model.size", "train.tokens"})
_IN_THE_NAME = ("run.topology", "strategy.name", "model.family", "objective.")
# What is read without a server, by topology.
_READ_ALONE = {CENTRALISED: frozenset[str](), LOCAL: frozenset({"federation.replicas"})}


@dataclass(frozen=True)
class Arms:
    """Arm of each run, and the arms in the order of a report.

    Attributes
    ----------
    of_run : dict of str to str
    order : tuple of str
    splitting : dict of str to tuple of str
        Settings that split a topology or strategy into arms, where any do.
    """

    of_run: Mapping[str, str]
    order: tuple[str, ...]
    splitting: Mapping[str, tuple[str, ...]]


def topology_name(config: RunConfig) -> str:
    """Topology, or the strategy's name where the run is federated."""
    match config.run.topology:
        case "centralised":
            return CENTRALISED
        case "local":
            return LOCAL
        case _:
            return _STRATEGIES[config.strategy.name]


def model_name(config: RunConfig) -> str:
    """Family and objective of an ECG model; empty for EHR."""
    if config.model.reads == "ehr":
        return ""
    return f"{config.model.family} {objective_name(config.objective)}"


def arm_name(topology: str, model: str) -> str:
    """Name of an arm that no settings split.

    Examples
    --------
    >>> arm_name("FedAvg", "resnet cpc")
    'FedAvg resnet cpc'
    >>> arm_name("Centralised", "")
    'Centralised'
    """
    return f"{topology} {model}".strip()


def base_arm(config: RunConfig) -> str:
    """Topology or strategy, then the model's family and objective where it reads ECG."""
    return arm_name(topology_name(config), model_name(config))


def effective_settings(config: RunConfig) -> dict[str, Scalar]:
    """Settings that a run's result can depend on: those of a server only where there is one."""
    flat = {key: value for key, value in to_flat(config).items() if key not in _NAMES_AND_PLACES}
    read = _READ_ALONE.get(topology_name(config))
    if read is None:
        return flat
    unread = ("federation.", "strategy.")
    return {key: value for key, value in flat.items() if key in read or not key.startswith(unread)}


def name_arms(configs: Mapping[str, RunConfig], points: Mapping[str, tuple[int, int]]) -> Arms:
    """Name the arm of every run.

    Runs of one topology or strategy, and of one family and objective, at one size and token budget may
    differ in their seed only: any other setting that takes several values there (say,
    ``federation.local-steps``) splits the arm and stands in its name. A setting that changes with the
    size or the budget alone does not, nor one that differs between topologies, strategies and models,
    such as a learning rate tuned for each.

    Parameters
    ----------
    configs : dict of str to RunConfig
        By run.
    points : dict of str to (int, int)
        Parameters and token budget of each run.
    """
    flat = {
        run: {key: value for key, value in effective_settings(config).items() if key not in _WITHIN_AN_ARM}
        for run, config in configs.items()
    }
    base = {run: base_arm(config) for run, config in configs.items()}
    together: dict[tuple[str, int, int], list[str]] = defaultdict(list)
    for run, point in points.items():
        together[base[run], *point].append(run)
    splitting: dict[str, set[str]] = defaultdict(set)
    for (arm, *_), runs in together.items():
        for key in flat[runs[0]]:
            if len({flat[run][key] for run in runs}) > 1:
                splitting[arm].add(key)
    names = {run: _label(base[run], flat[run], splitting[base[run]]) for run in configs}
    first = {names[run]: config for run, config in configs.items()}
    order = tuple(sorted(first, key=lambda name: (*_place_of_model(first[name]), *_place(name))))
    return Arms(names, order, {arm: tuple(sorted(keys)) for arm, keys in splitting.items() if keys})


def differing_settings(
    configs: Mapping[str, RunConfig], arms: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Settings that arms which all read them do not share: the values of each arm, by setting.

    Parameters
    ----------
    configs : dict of str to RunConfig
        By run.
    arms : dict of str to str
        Arm of each run, in the order of the report.
    """
    by_arm: dict[str, list[dict[str, Scalar]]] = defaultdict(list)
    for run, arm in arms.items():
        by_arm[arm].append(effective_settings(configs[run]))
    shared = set.intersection(*(set(settings[0]) for settings in by_arm.values()))
    found = {}
    for key in sorted(key for key in shared - _WITHIN_AN_ARM if not key.startswith(_IN_THE_NAME)):
        values = {arm: {str(run[key]) for run in settings} for arm, settings in by_arm.items()}
        if len({frozenset(of_arm) for of_arm in values.values()}) > 1:
            found[key] = {arm: " or ".join(sorted(of_arm)) for arm, of_arm in values.items()}
    return found


def _place_of_model(config: RunConfig) -> tuple[int, str, int]:
    """EHR, then ECG models: those that learn labels first, by objective and family."""
    if config.model.reads == "ehr":
        return 0, "", 0
    objective = config.objective
    return 2 - objective.supervised, objective_name(objective), ECG_FAMILIES.index(config.model.family)


def _place(name: str) -> tuple[int, list[tuple[float, str]]]:
    """Order of a report: by topology and strategy, then settings, numbers by their value."""
    words = name.replace(",", "").split()
    numbers = [(float(word), "") if word.replace(".", "", 1).isdigit() else (-1.0, word) for word in words]
    return _ORDER.index(words[0]), numbers


def _label(arm: str, settings: Mapping[str, Scalar], splitting: set[str]) -> str:
    parts = [f"{key.split('.')[-1]} {str(settings[key])[:12]}" for key in sorted(splitting)]
    return ", ".join([arm, *parts])
