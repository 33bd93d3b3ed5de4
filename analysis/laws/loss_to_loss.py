"""One loss from another: of the same runs on other data, or of matched runs trained otherwise."""

from collections.abc import Collection
from itertools import product

import numpy as np
from scipy.special import expit, logit

from analysis.arrays import Array
from analysis.laws.law import ScalingLaw

_FLOORS = (0.1, 0.5, 0.9)
_POWERS = (0.6, 1.0, 1.5)


class LossToLoss(ScalingLaw):
    """L_y = K (L_x - E_x)^kappa + E_y (Brandfonbrener et al. 2024, arXiv 2411.12925).

    Free parameters: E_x between 0 and the smallest L_x, K and E_y > 0, kappa unbounded. Both floors may
    be given as ``fixed`` from two fits of ``chinchilla``, as the paper does: losses alone leave them
    loose, and a good fit says little about losses below those fitted. Where L_x does not exceed E_x the
    law is not defined and predicts NaN.

    The solver sees L_x as a multiple of its smallest value, and E_x by the logit of its share of that.
    """

    name = "loss-to-loss"
    formula = "L_y = K (L_x - E_x)^kappa + E_y"
    source = "Brandfonbrener et al. 2024, arXiv 2411.12925"
    inputs = ("L_x",)
    target = "L_y"
    parameters = ("K", "E_x", "kappa", "E_y")
    exponents = ("kappa",)
    bounds = "K and E_y positive, E_x between 0 and the smallest L_x, kappa unbounded"

    @staticmethod
    def features(inputs: Array) -> Array:
        """Logs of L_x, and a column that carries the unit in which K is counted."""
        return np.column_stack([np.log(inputs[:, 0]), np.zeros(len(inputs))])

    @classmethod
    def centre(cls, features: Array, fixed: Collection[str] = ()) -> Array:
        """The smallest log L_x: the unit of losses, and of K's unless K itself is given."""
        smallest = features[:, 0].min()
        return np.array([smallest, -smallest if "K" in fixed else 0.0])

    # Below the floor there is no power to take: NaN is the answer there.
    @staticmethod
    @np.errstate(invalid="ignore")
    def curve(features: Array, theta: Array) -> tuple[Array, Array]:
        """Log of L_y, theta = (log K in the unit, logit of E_x over the smallest L_x, kappa, log E_y)."""
        log_k, floor, kappa, log_e = (theta[:, [place]] for place in range(4))
        share = expit(floor)
        above = np.exp(features[:, 0]) - share
        distance = np.log(np.where(above > 0, above, np.nan))
        power = log_k + kappa * (features[:, 1] + distance)
        prediction = np.logaddexp(power, log_e)
        part = np.exp(power - prediction)
        columns = (
            part,
            -part * kappa * share * (1 - share) / above,
            part * (features[:, 1] + distance),
            np.exp(log_e - prediction),
        )
        return prediction, np.stack(columns, axis=-1)

    @staticmethod
    def start_grid(features: Array, target: Array) -> Array:
        """Shares of the smallest losses that the floors take, and powers between, through the mean."""
        smallest, level = target.min(), target.mean()
        starts = []
        for x_share, y_share, kappa in product(_FLOORS, _FLOORS, _POWERS):
            distance = features[:, 1] + np.log(np.exp(features[:, 0]) - x_share)
            log_k = np.log(level - y_share * smallest) - kappa * distance.mean()
            starts.append((log_k, logit(x_share), kappa, np.log(y_share * smallest)))
        return np.array(starts)

    @staticmethod
    def natural(theta: Array, centre: Array) -> Array:
        """K, E_x, kappa, E_y."""
        log_k, floor, kappa, log_e = np.moveaxis(theta, -1, 0)
        k = np.exp(log_k - kappa * centre.sum())
        return np.stack([k, np.exp(centre[0]) * expit(floor), kappa, np.exp(log_e)], axis=-1)

    @staticmethod
    def internal(natural: Array, centre: Array) -> Array:
        """The inverse; NaN for an E_x that is not below the smallest L_x."""
        k, e_x, kappa, e_y = np.moveaxis(natural, -1, 0)
        share = e_x / np.exp(centre[0])
        log_k = np.log(k) + kappa * centre.sum()
        return np.stack([log_k, logit(np.where(share < 1, share, np.nan)), kappa, np.log(e_y)], axis=-1)
