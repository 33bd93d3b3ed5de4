"""What the runs say about each arm: a law of size and tokens, or of size at the one budget there was."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.fits.fit import Fit, determines_exponent, fit_sample
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.law import ScalingLaw
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.solvers.damped_newton import Array
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.run_table import RunTable
from analysis.tables.sample import take_sample
from wardlaw.errors import RecordError


@dataclass(frozen=True)
class Arm:
    """One arm's law.

    Attributes
    ----------
    name : str
    fit : Fit
        Of L(N, D), or of L(N) where all runs have one token budget.
    rows : polars.DataFrame
        The runs, by letters.
    """

    name: str
    fit: Fit
    rows: pl.DataFrame

    @property
    def sizes(self) -> tuple[float, float]:
        """Smallest and largest N trained without noise."""
        return _ends(without_noise(self.rows)["N"])

    @property
    def tokens(self) -> tuple[float, float]:
        """Smallest and largest D trained without noise."""
        return _ends(without_noise(self.rows)["D"])

    @property
    def is_joint(self) -> bool:
        """Whether its law says what tokens are worth."""
        return "D" in self.fit.law.inputs

    def knows(self, tokens: float) -> bool:
        """Whether the arm's law speaks of a token budget at all."""
        return self.is_joint or bool(np.isclose(tokens, self.tokens[0], rtol=0.02))

    def losses(self, size: Array, tokens: Array) -> tuple[Array, Array | None]:
        """Losses (m,) at points (m,), and the replicates' (R, m) where there are any."""
        points = np.stack([size, tokens], axis=1) if self.is_joint else size[:, None]
        replicates = None if self.fit.theta is None else self.fit.law.predict(points, self.fit.theta)
        return self.fit.law.predict(points), replicates


@dataclass(frozen=True)
class Evidence:
    """Every arm's law, and what else the runs tell.

    Attributes
    ----------
    arms : dict of str to Arm
    refused : dict of str to str
        Arms without a law, and why.
    sizes, flops_per_token : ndarray (n,)
        Sizes trained, ascending, and the FLOPs that a token cost there.
    speed : float or None
        FLOP/s of the machine that trained, median over runs.
    """

    arms: Mapping[str, Arm]
    refused: Mapping[str, str]
    sizes: Array
    flops_per_token: Array
    speed: float | None

    def token_cost(self, size: Array) -> Array:
        """FLOPs a token at sizes (m,): between those trained by interpolation, beyond them as N."""
        inside = np.clip(size, self.sizes[0], self.sizes[-1])
        logs = np.interp(np.log(inside), np.log(self.sizes), np.log(self.flops_per_token))
        cost: Array = np.exp(logs) * size / inside
        return cost


def gather_evidence(table: RunTable, column: str, *, replicates: int, seed: int) -> Evidence:
    """Fit each arm of a table.

    Parameters
    ----------
    table : RunTable
    column : str
        Whose values are the arms.
    replicates, seed : int
        Of the bootstrap.

    Raises
    ------
    RecordError
        If no arm has a law.
    """
    clean = table.require(("N", "D", "C", "L"))
    rows = {str(value): part for (value,), part in clean.rows.group_by(column, maintain_order=True)}
    plain = {name: without_noise(part) for name, part in rows.items()}
    joint = {name: part for name, part in plain.items() if part["D"].n_unique() > 1}
    single = {name: part for name, part in plain.items() if name not in joint}
    fits, refused = _fit_all(joint, Chinchilla, replicates, seed)
    # One law for all arms of one budget, so that they are compared under one.
    bent, unbent = _fit_all(single, PowerLaw, replicates, seed)
    if unbent or not all(map(determines_exponent, bent.values())):
        bent, unbent = _fit_all(single, PurePowerLaw, replicates, seed)
    fits, refused = fits | bent, refused | unbent
    if not fits:
        raise RecordError(
            f"no arm has a law: {'; '.join(f'{name}: {why}' for name, why in refused.items())}",
            where=table.source,
        )
    arms = {name: Arm(name, fits[name], part) for name, part in rows.items() if name in fits}
    costs = clean.rows.group_by("N").agg((pl.col("C") / pl.col("D")).median()).sort("N")
    return Evidence(
        arms,
        refused,
        costs["N"].to_numpy().astype(np.float64),
        costs["C"].to_numpy().astype(np.float64),
        _speed(clean.rows),
    )


def fit_arm(rows: pl.DataFrame, name: str, law: type[ScalingLaw], *, replicates: int, seed: int) -> Fit:
    """One arm's runs under one law, by least squares of the logs.

    Between two seeds of a size Huber's loss at its usual threshold is flat, and an exponent anybody's guess.
    """
    return fit_sample(
        law(LOG_SQUARES), take_sample(rows, law.inputs, "L", name), replicates=replicates, seed=seed
    )


def _fit_all(
    arms: Mapping[str, pl.DataFrame], law: type[ScalingLaw], replicates: int, seed: int
) -> tuple[dict[str, Fit], dict[str, str]]:
    fits: dict[str, Fit] = {}
    refused: dict[str, str] = {}
    for name, rows in arms.items():
        try:
            fits[name] = fit_arm(rows, name, law, replicates=replicates, seed=seed)
        except RecordError as error:
            refused[name] = error.what
    return fits, refused


def without_noise(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that were not trained privately."""
    return rows.filter(pl.col("S").fill_null(0) == 0) if "S" in rows.columns else rows


def _speed(rows: pl.DataFrame) -> float | None:
    if "wall_s" not in rows.columns:
        return None
    timed = rows.filter(pl.col("wall_s") > 0)
    if timed.is_empty():
        return None
    return float(np.median((timed["C"] / timed["wall_s"]).to_numpy()))


def _ends(values: pl.Series) -> tuple[float, float]:
    numbers = values.to_numpy()
    return float(numbers.min()), float(numbers.max())
