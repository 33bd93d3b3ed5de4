"""What a privacy requirement costs in loss, where private runs were made."""

import numpy as np
import polars as pl

from analysis.fits.fit import fit_sample
from analysis.fits.predictions import predict_at
from analysis.laws.private import Private
from analysis.planner.evidence import Arm
from analysis.planner.noise import USEFUL_RATIO
from analysis.planner.outlook import Outlook
from analysis.planner.size import SizeChoice
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.sample import take_sample
from wardlaw.errors import RecordError

_NAME = "federated and private"


def private_outlook(arm: Arm, choice: SizeChoice, ratio: float) -> Outlook:
    """Predicted loss of an arm at a noise-batch ratio.

    Parameters
    ----------
    arm : Arm
        Whose rows have the letter S where private runs were made.
    choice : SizeChoice
    ratio : float
        S that the privacy requirement asks for.

    Returns
    -------
    Outlook
        Without a loss, and with the reason, where no private run supports one.
    """
    notes = []
    if ratio > USEFUL_RATIO:
        notes.append(
            f"the noise-batch ratio {ratio:.2g} is above {USEFUL_RATIO:g}, beyond which arXiv 2501.18914 "
            "found no useful training"
        )
    if "S" not in arm.rows.columns or not (arm.rows["S"].fill_null(0) > 0).any():
        reason = "no run was private: what the noise costs in loss cannot be told from these runs"
        return Outlook(_NAME, None, None, (reason, *notes))
    rows = arm.rows.with_columns(pl.col("S").fill_null(0.0))
    try:
        sample = take_sample(rows, Private.inputs, "L", arm.name)
        fit = fit_sample(Private(LOG_SQUARES), sample)
    except RecordError as error:
        return Outlook(_NAME, None, None, (error.what, *notes))
    prediction = predict_at(fit, np.array([[choice.size, choice.tokens, ratio]]))[0]
    return Outlook(_NAME, prediction.mean, prediction.run, (*notes, *prediction.warnings), Private.name)
