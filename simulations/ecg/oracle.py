"""The AUROC that the rule of synthetic hospitals allows, on their patients or on a split of a shard."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from client.ecg.classes import ABBREVIATIONS, CLASSES, labels_of
from client.ecg.shard import SignalShard
from client.ecg.sources.synthetic import list_synthetic
from client.ecg.synthetic.oracle import oracle_scores
from client.ecg.synthetic.patient import draw_patient
from client.ecg.synthetic.record import patient_number
from client.ecg.synthetic.site import SyntheticSite
from client.evaluation.metrics import weighted_auroc
from wardlaw.errors import DataError


def best_auroc(hospitals: Path, shard: SignalShard | None, split: str) -> dict[str, float]:
    """AUROC of the oracle's scores, by the Challenge's abbreviation.

    Parameters
    ----------
    hospitals : Path
        Folder of ``wardlaw simulate ecg-hospitals``, or one hospital in it.
    shard : SignalShard or None
        A shard of their records; all patients if None.
    split : str
        Of the shard.

    Returns
    -------
    dict of str to float
        Classes without a positive or without a negative are left out.

    Raises
    ------
    DataError
        If a record of the shard is of none of the hospitals.
    """
    references = list_synthetic(hospitals)
    sites = {reference.site.site: reference.site for reference in references}
    names = [reference.name for reference in references]
    if shard is not None:
        names = shard.split(split).records.tolist()
    numbers: dict[str, list[int]] = {}
    for name in names:
        numbers.setdefault(name.rpartition("-")[0], []).append(patient_number(name))
    if unknown := numbers.keys() - sites.keys():
        raise DataError(f"no hospital is called {min(unknown)}", where=str(hospitals))
    return _aurocs(sites, numbers)


def _aurocs(sites: Mapping[str, SyntheticSite], numbers: Mapping[str, list[int]]) -> dict[str, float]:
    scores = np.concatenate([oracle_scores(sites[name], mine) for name, mine in numbers.items()])
    labels = np.array(
        [
            labels_of(draw_patient(sites[name], number).diagnoses)
            for name, mine in numbers.items()
            for number in mine
        ]
    )
    everyone = np.ones((1, len(labels)))
    values = {
        ABBREVIATIONS[c]: float(weighted_auroc(labels[:, c].astype(float), scores[:, c], everyone)[0])
        for c in range(len(CLASSES))
    }
    return {name: value for name, value in values.items() if np.isfinite(value)}
