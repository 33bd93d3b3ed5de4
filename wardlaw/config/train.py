"""[train]: the optimiser, its schedule and the token budget."""

from typing import Literal

from pydantic import Field

from wardlaw.config.base import Section, added


class TrainSection(Section):
    """Local training, the same in every topology.

    Attributes
    ----------
    tokens : int
        Token budget D of the whole run, all replicas together.
    batch_tokens : int
        Tokens of one optimiser step over all replicas: each of M replicas takes
        ``batch-tokens / M``, so that every topology makes the same number of
        sequential steps on the same number of tokens (arXiv 2503.09799, section 3).
    learning_rate : float
        Peak rate at the ladder's base width; other widths follow by muP.
    warmup_fraction, floor_fraction : float
        Share of the steps spent warming up; final rate as a share of the peak.
    decay : {"cosine", "linear", "constant"}
        Shape of the schedule over the run's whole budget, also across rounds.
    optimiser : {"adamw", "sgd", "sgd-momentum"}
    momentum : float
        Of ``sgd-momentum``.
    weight_decay, beta_1, beta_2, epsilon : float
        AdamW (arXiv 1711.05101); weight decay multiplies the scheduled base rate.
    clip_norm : float
        Global gradient norm above which a step's gradient is scaled down.
    precision : {"fp32", "bf16"}
        Of activations; weights and optimiser state are always fp32.
    compile : bool
        Whether blocks are compiled (torch.compile) with static shapes.
    device : {"auto", "cpu", "cuda"}
        ``auto`` takes a GPU where there is one.
    threads : int
        Intra-op threads of a replica; part of a result's identity because the
        order of floating-point sums depends on it.
    inner_state : {"keep", "reset"}
        Whether a site's AdamW moments outlive a round.
    checkpoint_steps : int
        Steps between checkpoints of centralised and local training.
    """

    tokens: int = Field(default=1_000_000, gt=0)
    batch_tokens: int = Field(default=8192, gt=0)
    learning_rate: float = Field(default=0.01, gt=0)
    warmup_fraction: float = Field(default=0.05, ge=0, le=1)
    floor_fraction: float = Field(default=0.1, ge=0, le=1)
    decay: Literal["cosine", "linear", "constant"] = "cosine"
    optimiser: Literal["adamw", "sgd", "sgd-momentum"] = added("adamw")
    momentum: float = added(0.9, ge=0, lt=1)
    weight_decay: float = Field(default=0.1, ge=0)
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    beta_2: float = Field(default=0.95, ge=0, lt=1)
    epsilon: float = Field(default=1e-8, gt=0)
    clip_norm: float = Field(default=1.0, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(default=1, ge=1)
    inner_state: Literal["keep", "reset"] = "keep"
    checkpoint_steps: int = Field(default=100, ge=1)
