"""The noise-batch ratio S of runs: what lies along it, and how much runs at one point of it train on."""

from collections import defaultdict
from collections.abc import Mapping

import polars as pl

from wardlaw.config import RunConfig, to_flat
from wardlaw.config.flat import Scalar

ALONG_NOISE = frozenset({"privacy.mechanism", "privacy.noise-multiplier", "privacy.patients"})
"""Settings that place a run on a surface L(N, D, S): S is the noise multiplier over the patients a step."""

WITHOUT_EFFECT = frozenset({"privacy.delta", "privacy.stands-for"})
"""Settings that say what a run's privacy is worth, and change nothing of its training."""

# Digits to which sigma / B of equal runs agree, whatever floats made them.
_DIGITS = 9
_DRAWN_BY = ("data.", "privacy.patients", "privacy.windows", "model.context", "run.topology")


def noise_ratio(config: RunConfig) -> float:
    """S = sigma / B of a replica's step (arXiv 2501.18914, section 3); 0 without privacy."""
    return float(f"{config.privacy.noise_batch_ratio:.{_DIGITS}g}")


def noise_name(config: RunConfig) -> str:
    """``S = 0.01`` of a private run, and so of one that clips without noise; else empty."""
    return f"S = {noise_ratio(config):.4g}" if config.privacy.private else ""


def on_the_surface() -> pl.Expr:
    """Which rows of run records lie on their surface L(N, D, S).

    At S = 0 these are runs that clip without noise, of which the noisy ones differ in nothing else. Runs
    without privacy train otherwise (no clipping, whole batches): they stand for S = 0 only where none
    clip without noise.
    """
    clips_quietly = (pl.col("noise") == "S = 0").any().over("surface")
    return ~((pl.col("noise") == "") & clips_quietly)


def curve_name(surface: str, noise: str) -> str:
    """Name of the runs of a surface that have one S.

    Examples
    --------
    >>> curve_name("FedAvg", "S = 0.01")
    'FedAvg, S = 0.01'
    >>> curve_name("Centralised", "")
    'Centralised'
    """
    return ", ".join(filter(None, (surface, noise)))


def token_budgets(configs: Mapping[str, RunConfig], trained: Mapping[str, int]) -> dict[str, int]:
    """Token budget D of every run.

    That of a private run is a number of steps and of patients a step; how many tokens these hold is a
    matter of draws, which differ between seeds, sizes and ratios. Runs that draw alike have one budget:
    the mean of what they trained on.

    Parameters
    ----------
    configs : dict of str to RunConfig
        By run.
    trained : dict of str to int
        Tokens that each run trained on.
    """
    alike: dict[tuple[Scalar, ...], list[str]] = defaultdict(list)
    for run, config in configs.items():
        if config.privacy.private:
            alike[_draws(config)].append(run)
    private = {
        run: round(sum(trained[one] for one in runs) / len(runs)) for runs in alike.values() for run in runs
    }
    return {run: private.get(run, config.train.tokens) for run, config in configs.items()}


def _draws(config: RunConfig) -> tuple[Scalar, ...]:
    """What the number of tokens that a private run draws follows from, but for chance."""
    settings = to_flat(config)
    federated = config.federation.replicas if config.run.topology != "centralised" else 1
    named = (settings[key] for key in sorted(settings) if key.startswith(_DRAWN_BY))
    return config.steps, federated, *named
