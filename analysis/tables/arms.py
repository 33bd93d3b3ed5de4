"""Which runs are one surface L(N, D, S), and which one arm: a curve of it, all at one noise-batch ratio S."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.tables.measures import objective_name
from analysis.tables.noise_axis import ALONG_NOISE, WITHOUT_EFFECT, curve_name, noise_name, noise_ratio
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
_WITHIN_A_SURFACE = frozenset({"run.seed", "model.size", "train.tokens"}) | ALONG_NOISE
_IN_THE_NAME = ("run.topology", "strategy.name", "model.family", "objective.")
# What is never tuned with the size or the noise: runs that differ in it are no one curve.
_NEVER_TUNED = "federation.replicas"
# What is read without a server, by topology.
_READ_ALONE = {CENTRALISED: frozenset[str](), LOCAL: frozenset({"federation.replicas"})}


@dataclass(frozen=True)
class Arms:
    """Arm of each run, and the arms in the order of a report.

    Attributes
    ----------
    of_run : dict of str to str
        Runs of one arm have one noise-batch ratio: ``FedAvg, S = 0.01``; without privacy ``FedAvg``.
    surface : dict of str to str
        Of each run, the arm without S: what a law that reads S is fitted to.
    order : tuple of str
    splitting : dict of str to tuple of str
        Settings that split a topology or strategy into arms, where any do.
    """

    of_run: Mapping[str, str]
    surface: Mapping[str, str]
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
    """Settings that a run's result can depend on: those of a server or of privacy only where there is one."""
    unread = _NAMES_AND_PLACES | WITHOUT_EFFECT
    flat = {key: value for key, value in to_flat(config).items() if key not in unread}
    if not config.privacy.private:
        flat = {key: value for key, value in flat.items() if not key.startswith("privacy.")}
    read = _READ_ALONE.get(topology_name(config))
    if read is None:
        return flat
    of_server = ("federation.", "strategy.")
    return {key: value for key, value in flat.items() if key in read or not key.startswith(of_server)}


def name_arms(configs: Mapping[str, RunConfig], points: Mapping[str, tuple[int, int]]) -> Arms:
    """Name the surface and the arm of every run.

    Runs of one topology or strategy, and of one family and objective, at one size, token budget and
    noise-batch ratio S may differ in their seed only: any other setting that takes several values there
    (say, ``federation.local-steps`` or ``privacy.clip-norm``) splits the surface and stands in its name. A
    setting that changes with the size, the budget or S alone does not, nor one that differs between
    topologies, strategies and models, such as a learning rate or a clipping norm tuned for each. The number
    of replicas always splits: private replicas draw tokens of their own, and so are at no common budget.
    Runs without privacy read no setting of it: they are of the surface that none of these splits.

    A surface is cut into arms by S, and by patients a step where private runs draw several numbers of them:
    who is drawn is noise, too. Runs without privacy are one more arm: clipping without noise (``S = 0``) is
    another training.

    Parameters
    ----------
    configs : dict of str to RunConfig
        By run.
    points : dict of str to (int, int)
        Parameters and token budget of each run.
    """
    flat = {
        run: {key: value for key, value in effective_settings(config).items() if key not in _WITHIN_A_SURFACE}
        for run, config in configs.items()
    }
    base = {run: base_arm(config) for run, config in configs.items()}
    together: dict[tuple[str, str, int, int], list[str]] = defaultdict(list)
    for run, point in points.items():
        together[base[run], noise_name(configs[run]), *point].append(run)
    splitting: dict[str, set[str]] = defaultdict(set)
    for (arm, *_), runs in together.items():
        for key in flat[runs[0]]:
            if len({flat[run][key] for run in runs}) > 1:
                splitting[arm].add(key)
    for arm in set(base.values()):
        replicas = {flat[run].get(_NEVER_TUNED) for run in configs if base[run] == arm}
        if len(replicas) > 1:
            splitting[arm].add(_NEVER_TUNED)
    surfaces = {run: _label(base[run], flat[run], splitting[base[run]]) for run in configs}
    names = _arms(configs, surfaces)
    places = {names[run]: _place(surfaces[run], config) for run, config in configs.items()}
    order = tuple(sorted(places, key=places.__getitem__))
    return Arms(names, surfaces, order, {arm: tuple(sorted(keys)) for arm, keys in splitting.items() if keys})


def _arms(configs: Mapping[str, RunConfig], surfaces: Mapping[str, str]) -> dict[str, str]:
    """Surface and S, and the patients a step where a surface has several numbers of them."""
    drawn: dict[str, set[int]] = defaultdict(set)
    for run, config in configs.items():
        if config.privacy.private:
            drawn[surfaces[run]].add(config.privacy.patients)

    def name(run: str, config: RunConfig) -> str:
        several = config.privacy.private and len(drawn[surfaces[run]]) > 1
        batch = f"patients {config.privacy.patients}" if several else ""
        return curve_name(curve_name(surfaces[run], noise_name(config)), batch)

    return {run: name(run, config) for run, config in configs.items()}


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
    for key in sorted(key for key in shared - _WITHIN_A_SURFACE if not key.startswith(_IN_THE_NAME)):
        values = {arm: {str(run[key]) for run in settings} for arm, settings in by_arm.items()}
        if len({frozenset(of_arm) for of_arm in values.values()}) > 1:
            found[key] = {arm: " or ".join(sorted(of_arm)) for arm, of_arm in values.items()}
    return found


def _place(surface: str, config: RunConfig) -> tuple[object, ...]:
    """Order of a report: by model, topology and strategy, then settings, numbers by their value, then S."""
    words = surface.replace(",", "").split()
    numbers = [(float(word), "") if word.replace(".", "", 1).isdigit() else (-1.0, word) for word in words]
    noise = config.privacy.private, noise_ratio(config), config.privacy.patients
    return *_place_of_model(config), _ORDER.index(words[0]), numbers, noise


def _place_of_model(config: RunConfig) -> tuple[int, str, int]:
    """EHR, then ECG models: those that learn labels first, by objective and family."""
    if config.model.reads == "ehr":
        return 0, "", 0
    objective = config.objective
    return 2 - objective.supervised, objective_name(objective), ECG_FAMILIES.index(config.model.family)


def _label(arm: str, settings: Mapping[str, Scalar], splitting: set[str]) -> str:
    read = sorted(splitting & settings.keys())
    parts = [f"{key.split('.')[-1]} {str(settings[key])[:12]}" for key in read]
    return ", ".join([arm, *parts])
