"""An estimate with its interval."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, t

from analysis.arrays import Array

LEVEL = 0.95
DEFAULT_REPLICATES, DEFAULT_SEED = 2000, 42
"""Of every bootstrap, unless others are asked for."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; ``low`` and ``high`` are None where nothing supports one."""

    estimate: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside; False without an interval."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def magnitude(self) -> "Interval":
        """The same without the estimate's sign."""
        if self.estimate >= 0:
            return self
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return Interval(-self.estimate, low, high)

    def covers(self, value: float) -> bool:
        """Whether a value lies inside; False without an interval."""
        return self.low is not None and self.high is not None and self.low <= value <= self.high


def tails(degrees: float) -> tuple[float, float]:
    """Quantiles at which a 95 % interval ends, expanded for few degrees of freedom (Hesterberg 2015)."""
    tail = float(norm.cdf(t.ppf((1 - LEVEL) / 2, degrees)))
    return tail, 1 - tail


def percentile_interval(estimate: float, replicates: Array, degrees: float) -> Interval:
    """95 % percentile interval at the levels of ``tails``."""
    low, high = np.quantile(replicates, tails(degrees))
    return Interval(estimate, float(low), float(high))
