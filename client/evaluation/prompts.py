"""What a model may see when a task asks its question: the record up to the prediction time."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from client.ehr.shard import TokenSplit
from wardlaw.errors import ShardError


@dataclass(frozen=True, eq=False)
class Prompts:
    """Labelled questions, and where in a split's tokens each is asked.

    Attributes
    ----------
    labels : DataFrame
        Rows of the MEDS label schema whose patients are in the split.
    first, stop : (n,) arrays
        The patient's tokens that may be seen are ``split.tokens[first:stop]``.
    """

    labels: pl.DataFrame
    first: NDArray[np.int64]
    stop: NDArray[np.int64]


def place_prompts(split: TokenSplit, labels: pl.DataFrame) -> Prompts:
    """Find each label's last visible token: the last one not later than its prediction time.

    Times are compared in whole minutes, as the shard has them. A patient's last token, which says
    that the record ends, is never visible: it would tell that nothing comes after.

    Parameters
    ----------
    split : TokenSplit
    labels : DataFrame
        ``subject_id``, ``prediction_time``, ``boolean_value``. Patients of other splits
        are left out.

    Raises
    ------
    ShardError
        If a prediction time comes before all of its patient's tokens.
    """
    patients = pl.DataFrame({"subject_id": split.subject_ids, "patient": np.arange(len(split.subject_ids))})
    known = labels.join(patients, on="subject_id", how="inner", maintain_order="left")
    owner = known["patient"].to_numpy()
    asked = known["prediction_time"].to_numpy().astype("datetime64[us]") - split.origin[owner]
    minutes = asked // np.timedelta64(1, "m")
    first = split.first_token[owner]
    # A patient's minutes never descend, so the visible tokens are a prefix.
    visible = [
        np.searchsorted(split.minutes[start : start + length - 1], minute, side="right")
        for start, length, minute in zip(first, split.lengths[owner], minutes, strict=True)
    ]
    stop = first + np.array(visible, dtype=np.int64)
    if (stop == first).any():
        raise ShardError(
            "a prediction time comes before the patient's record", remedy="Check the task's labels"
        )
    return Prompts(known.select("subject_id", "prediction_time", "boolean_value"), first, stop)


def visible_tokens(split: TokenSplit, prompts: Prompts, question: int, most: int) -> NDArray[np.int64]:
    """The last ``most`` tokens that one question may see."""
    stop = prompts.stop[question]
    start = max(prompts.first[question], stop - most)
    return split.tokens[start:stop].astype(np.int64)
