"""One arm of the runs with the law fitted to it."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from analysis.arrays import Array
from analysis.fits.fit import Fit, fit_sample
from analysis.laws.law import ScalingLaw
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.sample import take_sample


@dataclass(frozen=True)
class Arm:
    """One arm's law.

    Attributes
    ----------
    name : str
    fit : Fit
        Of L(N, D), or of L(N) where all runs have one token budget.
    rows : polars.DataFrame
        The runs fitted, by letters.
    """

    name: str
    fit: Fit
    rows: pl.DataFrame

    @property
    def sizes(self) -> tuple[float, float]:
        """Smallest and largest N trained."""
        return _ends(self.rows["N"])

    @property
    def tokens(self) -> tuple[float, float]:
        """Smallest and largest D trained."""
        return _ends(self.rows["D"])

    @property
    def passes(self) -> float | None:
        """Most passes over their unique tokens that the runs made; None where they do not say."""
        if "U" not in self.rows.columns or self.rows["U"].null_count() == len(self.rows):
            return None
        return float((self.rows["D"] / self.rows["U"]).drop_nulls().to_numpy().max())

    @property
    def is_joint(self) -> bool:
        """Whether its law says what tokens are worth."""
        return "D" in self.fit.law.inputs

    def knows(self, tokens: float) -> bool:
        """Whether the arm's law speaks of a token budget at all."""
        return self.is_joint or bool(np.isclose(tokens, self.tokens[0], rtol=0.02))

    def points(self, size: Array, tokens: Array) -> Array:
        """The law's inputs (m, K) at sizes and tokens (m,)."""
        return np.stack([size, tokens], axis=1) if self.is_joint else size[:, None]

    def losses(self, size: Array, tokens: Array) -> Array:
        """Losses (m,) of the law."""
        return self.fit.law.predict(self.points(size, tokens))

    def replicates(self, size: Array, tokens: Array) -> Array | None:
        """The same of each replicate (R, m), where there are any."""
        theta = self.fit.theta
        return None if theta is None else self.fit.law.predict(self.points(size, tokens), theta)


def fit_arm(rows: pl.DataFrame, name: str, law: type[ScalingLaw], *, replicates: int, seed: int) -> Fit:
    """One arm's runs under one law, by least squares of the logs.

    Between two seeds of a size Huber's loss at its usual threshold is flat, and an exponent anybody's
    guess. Rows are put in the order of N, D and seed, since a bootstrap of whole runs draws by their places:
    equal draws are then the same seeds in every arm.

    Raises
    ------
    RecordError
        If the runs cannot determine the law.
    """
    order = [name for name in ("N", "D", "seed") if name in rows.columns]
    sample = take_sample(rows.sort(order, maintain_order=True), law.inputs, "L", name)
    return fit_sample(law(LOG_SQUARES), sample, replicates=replicates, seed=seed)


def _ends(values: pl.Series) -> tuple[float, float]:
    numbers = values.to_numpy()
    return float(numbers.min()), float(numbers.max())
