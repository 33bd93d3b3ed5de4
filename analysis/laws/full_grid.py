"""Rows of private training curves as a full grid of sizes, steps and noise-batch ratios."""

import numpy as np

from analysis.arrays import Array
from wardlaw.errors import RecordError

AXES = {"N": "sizes", "T": "training steps", "S": "noise-batch ratios"}


def full_grid(size: Array, steps: Array, noise: Array, loss: Array) -> tuple[dict[str, Array], Array]:
    """Values of N, T and S, and the losses (N, T, S) at all of their combinations.

    Parameters
    ----------
    size, steps, noise, loss : ndarray (n,)
        A row a logged loss.

    Raises
    ------
    RecordError
        If a value is not a positive number (S may be 0), there is one size or ratio alone, a combination
        is missing, or one is there twice.
    """
    for name, values in (*zip(AXES, (size, steps, noise), strict=True), ("loss", loss)):
        allowed = values >= 0 if name == "S" else values > 0
        if wrong := int((~(np.isfinite(values) & allowed)).sum()):
            raise RecordError(
                f"{wrong} of {values.size} values of {name} are not positive numbers", where=name
            )
    found = [np.unique(column, return_inverse=True) for column in (size, steps, noise)]
    axes = {name: values for name, (values, _) in zip(AXES, found, strict=True)}
    for name, values in axes.items():
        if len(values) < 2:
            raise RecordError(f"the table has {len(values)} {AXES[name]}, fewer than 2", where=name)
    cube = np.full([len(values) for values in axes.values()], np.nan)
    cube[tuple(place for _, place in found)] = loss
    if np.isnan(cube).any():
        n, t, s = np.argwhere(np.isnan(cube))[0]
        raise RecordError(
            f"the grid has {int(np.isnan(cube).sum())} holes, the first at N = {axes['N'][n]:g}, "
            f"T = {axes['T'][t]:g}, S = {axes['S'][s]:g}",
            remedy="Every size needs every noise-batch ratio, logged at the same steps; leave the others out",
        )
    if cube.size != loss.size:
        raise RecordError(
            f"{loss.size - cube.size} rows repeat another's N, T and S",
            remedy="Average the seeds of a run first",
        )
    return axes, cube
