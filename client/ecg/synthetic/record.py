"""One generated record."""

import numpy as np

from client.ecg.record import LEADS, EcgRecord
from client.ecg.synthetic.patient import draw_patient
from client.ecg.synthetic.physiology import physiology_of
from client.ecg.synthetic.rhythm import draw_rhythm
from client.ecg.synthetic.signal import (
    digitise,
    electrode_noise,
    fibrillation_waves,
    heart_vector,
    project,
)
from client.ecg.synthetic.site import SyntheticSite
from client.ecg.synthetic.waves import draw_build, waves_of
from wardlaw.seeds import generator


def record_name(site: SyntheticSite, number: int) -> str:
    """Name of a patient's record, and of the patient.

    Examples
    --------
    >>> record_name(SyntheticSite(site="hospital-00", patients=20), 7)
    'hospital-00-0000007'
    """
    return f"{site.site}-{number:07d}"


def patient_number(name: str) -> int:
    """Patient's number, from the name of the record."""
    return int(name.rpartition("-")[2])


def synthetic_record(site: SyntheticSite, number: int) -> EcgRecord:
    """Record of patient ``number``: a pure function of the site's settings and the number."""
    patient = draw_patient(site, number)
    physiology = physiology_of(patient.severity)
    rng = generator(site.seed, "synthetic-ecg", site.site, number, "signal")
    device = site.device
    samples = round(site.seconds * device.rate)
    rhythm = draw_rhythm(physiology, site.seconds, rng)
    waves = waves_of(physiology, draw_build(patient.sex, rng), rhythm)
    vector = heart_vector(waves, device.rate, samples)
    vector += fibrillation_waves(physiology.fibrillation, device.rate, samples, rng)
    chest = np.exp(rng.normal(scale=0.1, size=6))
    leads = project(vector, chest) + electrode_noise(device, samples, rng)
    name = record_name(site, number)
    return EcgRecord(
        name=name,
        patient=name,
        digital=digitise(leads, device),
        gain=np.full(len(LEADS), float(device.steps)),
        baseline=np.zeros(len(LEADS)),
        rate=float(device.rate),
        age=float(patient.age),
        sex=patient.sex,
        diagnoses=patient.diagnoses,
        site=site.site,
    )
