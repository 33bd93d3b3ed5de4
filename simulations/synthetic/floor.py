"""The irreducible loss of synthetic hospitals: the oracle's nats, with their standard errors."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulations.synthetic.observe import observe_site
from simulations.synthetic.oracle import Oracle
from simulations.synthetic.process import Floats, Generator, Ints
from wardlaw.errors import DataError
from wardlaw.vocabulary import Vocabulary


@dataclass(frozen=True)
class PatientNats:
    """The oracle's nats of each held-out patient, to be compared with a model's, patient by patient.

    Attributes
    ----------
    site, subject_ids, tokens, events : (n,) int64
        Tokens without the start; events with the static ones.
    site_unknown, site_known : (n,)
        Summed over all tokens of the patient but the start, the end included.
    """

    site: Ints
    subject_ids: Ints
    tokens: Ints
    events: Ints
    site_unknown: Floats
    site_known: Floats


@dataclass(frozen=True)
class Floor:
    """Estimate of an irreducible loss.

    Attributes
    ----------
    per_event, per_token : float
        Nats over events or tokens, both summed over patients.
    per_event_error, per_token_error : float
        Standard errors over patients.
    """

    per_event: float
    per_event_error: float
    per_token: float
    per_token_error: float


def patient_nats(hospitals: Path, generator: Generator, vocabulary: Vocabulary, split: str) -> PatientNats:
    """Score each patient of a split of all sites, by the true process.

    Parameters
    ----------
    hospitals : Path
        Folder that ``wardlaw simulate hospitals`` wrote.
    generator : Generator
        Read from it by ``load_generator``.
    vocabulary : Vocabulary
        The tokeniser's: the floor is that of the tokens it makes.
    split : str

    Raises
    ------
    DataError
        If the folder's data are not the generator's, or the split is empty.
    """
    oracle = Oracle.of(generator, vocabulary)
    parts: list[tuple[Ints | Floats, ...]] = []
    for site, name in enumerate(generator.sites):
        for patients in observe_site(hospitals / name, split, generator, oracle):
            nats = oracle.nats(patients.seen)
            unknown, known = nats.site_unknown.sum(axis=1), nats.site_known[:, :, site].sum(axis=1)
            ids = patients.subject_ids
            parts.append((np.full(len(ids), site), ids, patients.tokens, patients.events, unknown, known))
    if not parts:
        raise DataError(f"no patient in split {split}", where=str(hospitals), remedy="Generate more patients")
    return PatientNats(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def estimate_floor(nats: Floats, tokens: Ints, events: Ints) -> Floor:
    """Nats per event and token of some patients.

    The standard error is that of a ratio of sums over independent patients, by
    linearisation (Cochran, Sampling Techniques, 1977, eq. 6.4).
    """
    return Floor(*_ratio(nats, events), *_ratio(nats, tokens))


def _ratio(numerator: Floats, denominator: Ints) -> tuple[float, float]:
    count, total = len(numerator), float(denominator.sum())
    ratio = float(numerator.sum()) / total
    if count < 2:
        return ratio, float("nan")
    residuals = numerator - ratio * denominator
    return ratio, float(np.sqrt(count / (count - 1) * np.sum(residuals**2)) / total)
