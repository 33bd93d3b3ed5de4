"""Made-up run records that follow a known law, for tests of the analysis only."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from wardlaw.config import RunConfig
from wardlaw.records import RunResult, finish, open_record, write_table
from wardlaw.seeds import generator

SITES = ("north", "east", "south", "west")
HELD_OUT_TOKENS = 20_000
# Parameters of each rung; the records need no model.
RUNGS = {"xs": 10_000, "40k": 40_000, "150k": 150_000, "330k": 330_000, "1m": 1_000_000}


def trained_tokens(budget: int, topology: str, seed: int) -> int:
    """What packing leaves of a token budget: a little less, by topology and seed."""
    return budget - 64 * len(topology) - seed


def write_run(
    runs: Path,
    *,
    loss: float,
    size: str = "xs",
    seed: int = 0,
    topology: str = "federated",
    strategy: str = "fedavg",
    tokens: int = 409_600,
    local_steps: int = 10,
    learning_rate: float = 0.01,
    digest: str = "",
    finished: bool = True,
    privacy: dict | None = None,
    drawn: int | None = None,
    unique: int = 200_000,
) -> Path:
    """One record whose pooled loss per token is ``loss``; ``drawn`` tokens where its privacy draws them."""
    config = RunConfig.model_validate(
        {
            "run": {"name": f"{topology}-{strategy}-{size}-{seed}", "seed": seed, "topology": topology},
            "data": {"digest": digest},
            "model": {"size": size, "context": 256},
            "train": {"tokens": tokens, "batch-tokens": 4096, "learning-rate": learning_rate},
            "federation": {"replicas": 4, "local-steps": local_steps},
            "strategy": {"name": strategy} | ({"proximal-mu": 0.01} if strategy == "fedprox" else {}),
            "privacy": privacy or {},
        }
    )
    folder = open_record(runs, config)
    replicas = SITES if topology == "local" else ("union",)
    drift = generator(seed, size, topology, strategy).normal(scale=0.01, size=(config.steps, 2))
    start, end = np.log(6.0), np.log(loss)
    trained = range(config.steps)
    write_table(
        folder,
        "steps",
        [
            {
                "replica": replica,
                "round": step // local_steps + 1,
                "step": step,
                "tokens": config.replica_batch_tokens * (step + 1),
                "loss": float(
                    np.exp(end + (start - end) * np.exp(-5 * step / config.steps) + drift[step, 0])
                ),
                "learning_rate": 0.01,
                "gradient_norm": 1.0,
            }
            for replica in (replicas if topology != "federated" else SITES)
            for step in trained
        ],
    )
    if not finished:
        return folder
    # A local replica is better at home; offsets cancel over a replica's sites.
    rows = [
        {
            "replica": replica,
            "site": site,
            "split": "held_out",
            "nats": HELD_OUT_TOKENS
            * loss
            * (1 + 0.02 * (place - 1.5) + (0.01 - 0.04 * (replica == site)) * (topology == "local")),
            "tokens": HELD_OUT_TOKENS,
            "events": HELD_OUT_TOKENS // 4,
            "patients": 25,
        }
        for replica in replicas
        for place, site in enumerate(SITES)
    ]
    write_table(folder, "evaluation", rows)
    finish(
        folder,
        RunResult(
            loss_per_token=loss,
            loss_per_event=4 * loss,
            parameters=RUNGS[size],
            non_embedding_parameters=int(0.8 * RUNGS[size]),
            flops=6.0 * RUNGS[size] * tokens,
            tokens=drawn or trained_tokens(tokens, topology, seed),
            unique_tokens=unique,
            wall_s=12.5,
            bytes_down=RUNGS[size] * 40 if topology == "federated" else 0,
            bytes_up=RUNGS[size] * 40 if topology == "federated" else 0,
            sites=len(SITES),
            synthetic=True,
        ),
    )
    return folder


# Arm: topology, strategy, and (E, A, alpha) of its law.
ARMS = {
    "Centralised": ("centralised", "fedavg", (1.40, 40.0, 0.35)),
    "Local": ("local", "fedavg", (1.70, 30.0, 0.30)),
    "FedAvg": ("federated", "fedavg", (1.44, 42.0, 0.35)),
    "FedProx": ("federated", "fedprox", (1.45, 42.0, 0.35)),
}


def write_study(
    runs: Path,
    *,
    seeds: Sequence[int] = (0, 1),
    sizes: Sequence[str] = tuple(RUNGS),
    arms: Sequence[str] = tuple(ARMS),
    noise: float = 0.002,
    draw: int = 0,
) -> Path:
    """Records of a grid arm x size x seed; arms of one seed share part of their noise."""
    for seed in seeds:
        for size in sizes:
            shared = generator(draw, "shared", size, seed).normal()
            for arm in arms:
                topology, strategy, (floor, a, alpha) = ARMS[arm]
                own = generator(draw, arm, size, seed).normal()
                loss = (floor + a * RUNGS[size] ** -alpha) * np.exp(noise * (0.8 * shared + 0.6 * own))
                write_run(runs, loss=float(loss), size=size, seed=seed, topology=topology, strategy=strategy)
    return runs


@pytest.fixture(scope="session")
def make_study() -> Callable[..., Path]:
    """``write_study``: records of a made-up study."""
    return write_study


@pytest.fixture(scope="session")
def make_run() -> Callable[..., Path]:
    """``write_run``: one made-up record."""
    return write_run


@pytest.fixture(scope="session")
def study(tmp_path_factory) -> Path:
    """Four arms, five sizes, two seeds."""
    return write_study(tmp_path_factory.mktemp("study") / "runs")


@pytest.fixture(scope="session")
def laws() -> dict[str, tuple[float, float, float]]:
    """(E, A, alpha) of each made-up arm."""
    return {arm: law for arm, (_, _, law) in ARMS.items()}


# E, A, B, C, alpha, beta, gamma1 and gamma2 of the made-up surface L(N, D, S).
PRIVATE_LAW = (1.40, 40.0, 60.0, 0.5, 0.35, 0.40, 0.95, -0.07)
PRIVATE_PATIENTS = 32


def private_loss(size: float, tokens: float, ratio: float) -> float:
    """McKenna et al. 2025, arXiv 2501.18914, appendix E, written out."""
    floor, a, b, c, alpha, beta, gamma1, gamma2 = PRIVATE_LAW
    harm = c * (1 / (1 + np.exp(-(np.log(ratio) + 8) / 1.6))) ** gamma1 * size**-gamma2 if ratio else 0.0
    return floor + a * size**-alpha + b * tokens**-beta + harm


def write_private_study(
    runs: Path,
    *,
    ratios: Sequence[float | None] = (None, 0.003, 0.01, 0.03),
    topologies: Sequence[str] = ("federated",),
    sizes: Sequence[str] = tuple(RUNGS),
    budgets: Sequence[int] = (204_800, 819_200),
    noise: float = 0.0,
    shift: float = 0.0,
    scale: float = 1.0,
    **privacy: float,
) -> Path:
    """Records on the surface, at each noise-batch ratio; None is training without privacy.

    A private run draws 10 tokens of 32 patients at each replica's step, a few more or fewer by seed.
    """
    for topology in topologies:
        above = scale * (1 + shift * (topology == "federated"))
        for size in sizes:
            for seed in (0, 1):
                for budget in budgets:
                    for ratio in ratios:
                        replicas = 1 if topology == "centralised" else 4
                        expected = budget // 4096 * replicas * 10 * PRIVATE_PATIENTS
                        tokens = budget if ratio is None else expected
                        off = noise * generator(0, size, seed, budget, str(ratio)).normal()
                        loss = above * private_loss(RUNGS[size], tokens, ratio or 0.0) * np.exp(off)
                        setting = {
                            "mechanism": "dp-sgd",
                            "patients": PRIVATE_PATIENTS,
                            "noise-multiplier": (ratio or 0.0) * PRIVATE_PATIENTS,
                            **privacy,
                        }
                        write_run(
                            runs,
                            loss=float(loss),
                            size=size,
                            seed=seed,
                            topology=topology,
                            tokens=budget,
                            privacy=None if ratio is None else setting,
                            drawn=None if ratio is None else expected + (-1) ** seed * len(size) * 97,
                        )
    return runs


@pytest.fixture(scope="session")
def make_private_study() -> Callable[..., Path]:
    """``write_private_study``: records on a made-up private surface."""
    return write_private_study


@pytest.fixture(scope="session")
def private_study(tmp_path_factory) -> Path:
    """Five sizes, two seeds, two budgets, three noise-batch ratios and none; losses are exact."""
    return write_private_study(tmp_path_factory.mktemp("private") / "runs")


@pytest.fixture(scope="session")
def private_law() -> tuple[float, ...]:
    """E, A, B, C, alpha, beta, gamma1, gamma2 of the private surface."""
    return PRIVATE_LAW


@pytest.fixture(scope="session")
def private_surface() -> Callable[[float, float, float], float]:
    """``private_loss``: the surface itself."""
    return private_loss
