"""Stand-ins of private runs: what tuning feels of a run, at a share of its compute."""

from dataclasses import replace

from simulations.study import Study
from wardlaw.config import RunConfig
from wardlaw.config.flat import from_flat, to_flat
from wardlaw.errors import ConfigError


def stand_in(config: RunConfig, k: int) -> RunConfig:
    """A private run with 1/k of the patients a step, of the noise, and of the tokens.

    Steps, rounds and noise-batch ratio stay, and so, nearly, does the loss: what a step feels is the noise
    on its mean gradient (Sander et al., arXiv 2210.03403, section 4). Its own epsilon is larger by far: it is
    no private run for patients whom it must protect.

    Parameters
    ----------
    config : RunConfig
        With privacy.
    k : int
        At least 2; ``privacy.patients``, ``train.batch-tokens`` and ``train.tokens`` are multiples of it.

    Raises
    ------
    ConfigError
        If they are not, k is below 2, the run is a stand-in already, or the smaller run cannot be.
    """
    if k < 2:
        raise ConfigError(f"a stand-in is a part of a run, not 1/{k} of it", remedy="Take 2 or more")
    if config.privacy.stands_for > 1:
        raise ConfigError("the run is a stand-in already", where="privacy.stands-for")
    shared = {
        "privacy.patients": config.privacy.patients,
        "train.batch-tokens": config.train.batch_tokens,
        "train.tokens": config.train.tokens,
    }
    for setting, value in shared.items():
        if value % k:
            raise ConfigError(
                f"{setting} = {value} is no multiple of {k}",
                where=config.run.name,
                remedy=f"Choose a divisor, or a multiple of {k}",
            )
    smaller: dict[str, int | float | str] = {setting: value // k for setting, value in shared.items()}
    smaller |= {
        "privacy.noise-multiplier": config.privacy.noise_multiplier / k,
        "privacy.stands-for": k,
        "run.name": f"{config.run.name}-tan{k}",
    }
    return from_flat(to_flat(config) | smaller, f"stand-in of {config.run.name}")


def stand_in_study(study: Study, k: int) -> Study:
    """A study with each of its private runs replaced by its stand-in; the others stay as they are.

    Raises
    ------
    ConfigError
        As ``stand_in`` does, or if no run of the study is private.
    """
    if not any(config.privacy.private for config in study.runs):
        raise ConfigError("no run is private, so none has a stand-in", where=study.name)
    runs = tuple(stand_in(config, k) if config.privacy.private else config for config in study.runs)
    return replace(study, runs=runs)
