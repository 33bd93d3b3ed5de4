"""What the runs say about each arm: a law of size and tokens, or of size at the one budget there was."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.fits.fit import Fit, determines_exponent
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.law import ScalingLaw
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.planner.arm import Arm, fit_arm
from analysis.tables.filters import drop_duplicates
from analysis.tables.run_table import RunTable
from wardlaw.errors import RecordError

_LETTERS = ("N", "D", "C", "L")


@dataclass(frozen=True)
class Evidence:
    """Every arm's law, and what else the runs tell.

    Attributes
    ----------
    arms : dict of str to Arm
        Fitted to the runs without noise.
    refused : dict of str to str
        Arms without a law, and why.
    private : dict of str to polars.DataFrame
        All runs, with and without noise, of the arms that have private ones.
    sizes, flops_per_token : ndarray (n,)
        Sizes trained, ascending, and the FLOPs that a token cost there.
    speed : float or None
        FLOP/s of the machine that trained, median over runs.
    table : RunTable
        The runs used, and those left out.
    replicates, seed : int
        Of the bootstrap.
    """

    arms: Mapping[str, Arm]
    refused: Mapping[str, str]
    private: Mapping[str, pl.DataFrame]
    sizes: Array
    flops_per_token: Array
    speed: float | None
    table: RunTable
    replicates: int
    seed: int

    def token_cost(self, size: Array) -> Array:
        """FLOPs a token at sizes (m,): between those trained by interpolation, beyond them as N."""
        inside = np.clip(size, self.sizes[0], self.sizes[-1])
        logs = np.interp(np.log(inside), np.log(self.sizes), np.log(self.flops_per_token))
        cost: Array = np.exp(logs) * size / inside
        return cost

    def size_at_cost(self, flops: float) -> float:
        """Size between those trained whose token costs so many FLOPs; the nearer end beyond them."""
        return float(np.exp(np.interp(np.log(flops), np.log(self.flops_per_token), np.log(self.sizes))))


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
    clean = drop_duplicates(replace(table.require(_LETTERS), group=column))
    rows = {str(value): part for (value,), part in clean.rows.group_by(column, maintain_order=True)}
    plain = {name: part.filter(without_noise(part)) for name, part in rows.items()}
    all_private = {name: "all its runs are private" for name, part in plain.items() if part.is_empty()}
    joint = {name: part for name, part in plain.items() if part["D"].n_unique() > 1}
    single = {name: part for name, part in plain.items() if part["D"].n_unique() == 1}
    fits, refused = _fit_all(joint, Chinchilla, replicates, seed)
    # One law for all arms of one budget, so that they are compared under one.
    bent, unbent = _fit_all(single, PowerLaw, replicates, seed)
    if unbent or not all(map(determines_exponent, bent.values())):
        bent, unbent = _fit_all(single, PurePowerLaw, replicates, seed)
    fits, refused = fits | bent, all_private | refused | unbent
    if not fits:
        raise RecordError(
            f"no arm has a law: {'; '.join(f'{name}: {why}' for name, why in refused.items())}",
            where=table.source,
        )
    costs = clean.rows.group_by("N").agg((pl.col("C") / pl.col("D")).median()).sort("N")
    return Evidence(
        arms={name: Arm(name, fits[name], part) for name, part in plain.items() if name in fits},
        refused=refused,
        private={name: part for name, part in rows.items() if len(part) > len(plain[name])},
        sizes=costs["N"].to_numpy().astype(np.float64),
        flops_per_token=costs["C"].to_numpy().astype(np.float64),
        speed=_speed(clean.rows),
        table=clean,
        replicates=replicates,
        seed=seed,
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


def without_noise(rows: pl.DataFrame) -> pl.Expr:
    """Which rows were not trained privately: clipping without noise is no training without privacy."""
    silent = pl.col("S").fill_null(0) == 0 if "S" in rows.columns else pl.lit(value=True)
    return silent & pl.col("noise_multiplier").is_null() if "noise_multiplier" in rows.columns else silent


def _speed(rows: pl.DataFrame) -> float | None:
    if "wall_s" not in rows.columns:
        return None
    timed = rows.filter(pl.col("wall_s") > 0)
    if timed.is_empty():
        return None
    return float(np.median((timed["C"] / timed["wall_s"]).to_numpy()))
