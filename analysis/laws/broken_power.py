"""The broken power law: two slopes with a smooth break between them."""

from collections.abc import Collection
from itertools import product

import numpy as np

from analysis.arrays import Array
from analysis.laws.law import ScalingLaw

# Where the grid starts: the limit and how much of the smallest target it is, the break and its width as
# parts of the range of log N, the slopes as multiples of the mean slope of log (L - a).
_LIMITS, _BREAKS, _WIDTHS = (0.1, 0.6, 0.95), (0.25, 0.5, 0.75), (0.03, 0.15)
_SLOPES = ((0.1, 2.0), (0.5, 1.0), (2.0, -1.5), (-0.5, 3.0))


class BrokenPower(ScalingLaw):
    """L(N) = a + b N^-c0 (1 + (N / d1)^(1 / f1))^(-c1 f1): one break (arXiv 2210.14891).

    Well below d1 the slope of log (L - a) in log N is -c0, well above it -(c0 + c1); f1 is the width of
    the change in log N, sharp where it is small. The size may be any other quantity that is scaled.

    Free parameters: a > 0 in nats, b > 0 in nats (unit of N)^c0, d1 > 0 in the unit of N, f1 > 0, c0 and
    c1 unbounded. The solver sees logs of a, b, d1 and f1, b and d1 at the centre. Six parameters ask for
    many sizes on both sides of the break; where c1 is 0 there is none, and d1 and f1 are undetermined.
    """

    name = "broken-power"
    formula = "L(N) = a + b N^-c0 (1 + (N / d1)^(1 / f1))^(-c1 f1)"
    source = "Caballero et al. 2022, arXiv 2210.14891"
    inputs = ("N",)
    parameters = ("a", "b", "c0", "c1", "d1", "f1")
    exponents = ("c0", "c1")
    bounds = "a, b, d1 and f1 positive, c0 and c1 unbounded"

    @classmethod
    def centre(cls, features: Array, fixed: Collection[str] = ()) -> Array:
        """Mean log N; zero where b is fixed."""
        return super().centre(features, {"b"} & set(fixed))

    @staticmethod
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """Log of the law, theta = (log a, log b, c0, c1, log d1, log f1) with b and d1 at the centre."""
        limit, level, before, change, place, log_width = theta.T[:, :, None]
        width = np.exp(log_width)
        along = (features[:, 0] - place) / width
        passed = np.logaddexp(0.0, along)
        falling = level - before * features[:, 0] - change * width * passed
        prediction = np.logaddexp(limit, falling)
        share = np.exp(falling - prediction)
        beyond = np.exp(along - passed)
        slopes = (
            np.exp(limit - prediction),
            share,
            -share * features[:, 0],
            -share * width * passed,
            share * change * beyond,
            share * change * width * (along * beyond - passed),
        )
        return prediction, np.stack(slopes, axis=-1)

    @staticmethod
    def start_grid(features: Array, target: Array) -> Array:
        """All combinations of limits, breaks, widths and slopes, each at the targets' mean level."""
        size, lowest = features[:, 0], float(target.min())
        reach = np.ptp(size)
        starts = []
        for limit, part, share, multiples in product(_LIMITS, _BREAKS, _WIDTHS, _SLOPES):
            above = np.log(target - limit * lowest)
            before, change = np.ptp(above) / reach * np.array(multiples)
            place, width = size.min() + part * reach, share * reach
            falling = before * size + change * width * np.logaddexp(0.0, (size - place) / width)
            level = (above + falling).mean()
            starts.append((np.log(limit * lowest), level, before, change, place, np.log(width)))
        return np.array(starts)

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """Exponentials of the logs, b and d1 back from the centre."""
        limit, level, before, change, place, log_width = np.moveaxis(theta, -1, 0)
        logs = (limit, level + before * centre[0], place + centre[0], log_width)
        a, b, d1, f1 = map(np.exp, logs)
        return np.stack([a, b, before, change, d1, f1], axis=-1)

    @staticmethod
    def internal(natural: Array, centre: Array) -> Array:
        """Logs, b and d1 at the centre."""
        a, b, c0, c1, d1, f1 = np.moveaxis(natural, -1, 0)
        level, place = np.log(b) - c0 * centre[0], np.log(d1) - centre[0]
        return np.stack([np.log(a), level, c0, c1, place, np.log(f1)], axis=-1)
