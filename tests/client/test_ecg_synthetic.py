"""Generated ECG: labels by the stated rule, leads by Einthoven's law, the same under one seed."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.signal import find_peaks
from scipy.special import ndtr

from client.ecg.classes import CLASSES, SINUS, labels_of
from client.ecg.record import LEADS
from client.ecg.sources.synthetic import list_synthetic, read_synthetic
from client.ecg.synthetic import record as record_module
from client.ecg.synthetic.oracle import label_probabilities, oracle_scores
from client.ecg.synthetic.patient import Patient, draw_patient
from client.ecg.synthetic.physiology import physiology_of
from client.ecg.synthetic.record import patient_number, synthetic_record
from client.ecg.synthetic.rhythm import draw_rhythm
from client.ecg.synthetic.rule import FINDINGS, INDEX, NAMES, is_sinus, labelled, paired
from client.ecg.synthetic.signal import LEAD_FIELD, heart_vector
from client.ecg.synthetic.site import Device, SyntheticSite, save_site
from client.ecg.synthetic.waves import draw_build, waves_of
from client.evaluation.metrics import weighted_auroc
from wardlaw.errors import ConfigError, DataError
from wardlaw.seeds import generator

SITE = SyntheticSite(seed=3, site="hospital-00", patients=40)
QUIET = SITE.model_copy(update={"device": Device(noise=0.0)})


def severities(**chosen):
    severity = np.full(len(FINDINGS), -2.5)
    for name, value in chosen.items():
        severity[INDEX[name]] = value
    return severity


@pytest.fixture
def record_of(monkeypatch):
    """A noiseless record of a patient with chosen severities."""

    def make(site=QUIET, **chosen):
        patient = Patient(60, "male", severities(**chosen), ())
        monkeypatch.setattr(record_module, "draw_patient", lambda site, number: patient)
        return synthetic_record(site, 0)

    return make


def lead(record, name):
    return record.millivolts()[:, LEADS.index(name)]


def test_a_record_follows_from_its_reference_alone():
    first, again = synthetic_record(SITE, 5), synthetic_record(SITE.model_copy(update={"patients": 9}), 5)
    np.testing.assert_array_equal(first.digital, again.digital)
    assert (first.age, first.sex, first.diagnoses) == (again.age, again.sex, again.diagnoses)
    for other in (
        synthetic_record(SITE, 6),
        synthetic_record(SITE.model_copy(update={"seed": 4}), 5),
        synthetic_record(SITE.model_copy(update={"site": "hospital-01"}), 5),
    ):
        assert not np.array_equal(first.digital, other.digital)
    assert patient_number(first.name) == 5


def test_leads_obey_einthoven_and_goldberger_to_the_step():
    digital = synthetic_record(SITE, 1).digital
    one, two, three, right, left, foot = digital[:, :6].T
    np.testing.assert_array_equal(two, one + three)
    for augmented, twice in ((right, -(one + two)), (left, 2 * one - two), (foot, 2 * two - one)):
        assert np.abs(2 * augmented - twice).max() <= 1


def test_the_heart_vector_is_the_sum_of_all_kernels():
    rng = generator(0, "waves")
    physiology = physiology_of(severities(PVC=1.0, CLBBB=0.5))
    waves = waves_of(physiology, draw_build("female", rng), draw_rhythm(physiology, 4.0, rng))
    time = np.arange(1000)[:, None] / 250
    expected = np.zeros((1000, 3))
    for centres, widths, amplitudes in zip(waves.centre, waves.width, waves.amplitude, strict=True):
        for centre, width, amplitude in zip(centres, widths, amplitudes, strict=True):
            expected += np.exp(-((time - centre) ** 2) / (2 * width**2)) * amplitude
    # Kernels end at 3.5 standard deviations, where they are 0.2 % of their height.
    np.testing.assert_allclose(heart_vector(waves, 250, 1000), expected, atol=0.01)


def test_the_precordial_leads_of_the_lead_field_turn_from_the_back_to_the_front():
    main = np.array([0.9, 0.6, 0.35])  # a normal QRS: left, down, a little back
    one, two, v1, *_, v5, v6 = LEAD_FIELD @ main
    assert one > 0
    assert two > 0
    assert v1 < 0 < min(v5, v6)


def test_labels_are_as_frequent_as_asked_and_as_the_oracle_says():
    asked = {"AF": 0.2, "SB": 0.1, "TInv": 0.3, "IAVB": 0.15, "CRBBB": 0.12}
    site = SyntheticSite(site="a", patients=6000, prevalence=asked, sinus_reported=0.5)
    labels = np.array([labels_of(draw_patient(site, number).diagnoses) for number in range(6000)])
    scores = oracle_scores(site, range(6000))
    error = 4 * np.sqrt(labels.mean(axis=0) / 6000) + 1e-9
    assert (np.abs(scores.mean(axis=0) - labels.mean(axis=0)) <= error).all()
    for name, share in asked.items():
        column = CLASSES.index(FINDINGS[INDEX[name]].code)
        assert labels[:, column].mean() == pytest.approx(share, abs=0.02)
    never = [c for c in range(len(CLASSES)) if CLASSES[c] not in {SINUS, *(f.code for f in FINDINGS)}]
    assert not labels[:, never].any()
    assert not scores[:, never].any()


def test_oracle_scores_are_calibrated():
    site = SyntheticSite(site="a", patients=6000)
    labels = np.array([labels_of(draw_patient(site, number).diagnoses) for number in range(6000)])
    scores = oracle_scores(site, range(6000))
    for low in (0.05, 0.3, 0.6, 0.85):
        chosen = (scores > low) & (scores <= low + 0.15)
        difference = labels[chosen].mean() - scores[chosen].mean()
        assert abs(difference) < 4 * np.sqrt(0.25 / chosen.sum())


def test_probabilities_are_those_of_repeated_readings():
    severity = severities(AF=-0.1, STach=0.1, SA=-0.4, IAVB=0.2, CLBBB=-0.2, CRBBB=0.1, RAD=0.05)
    severity[INDEX["SB"]] = -1.0
    errors = np.array([paired(e) for e in np.random.default_rng(0).normal(size=(20_000, len(FINDINGS)))])
    seen = np.mean([labelled(severity, error) for error in errors], axis=0)
    sinus = np.mean([is_sinus(severity, error) for error in errors])
    probabilities = label_probabilities(severity[None], sinus_reported=1.0)[0]
    columns = [CLASSES.index(finding.code) for finding in FINDINGS]
    np.testing.assert_allclose(seen, probabilities[columns], atol=0.015)
    assert sinus == pytest.approx(probabilities[CLASSES.index(SINUS)], abs=0.015)


def test_the_auroc_the_rule_allows_is_that_of_the_integral():
    """One label alone: AUROC by quadrature over the severity's density."""
    site = SyntheticSite(site="a", patients=1, prevalence={"TAb": 0.3})
    scores = oracle_scores(site, range(6000))[:, CLASSES.index("164934002")]
    labels = np.array([float("164934002" in draw_patient(site, n).diagnoses) for n in range(6000)])
    sampled = weighted_auroc(labels, scores, np.ones((1, 6000)))[0]
    ambiguity = FINDINGS[INDEX["TAb"]].ambiguity
    x = np.linspace(-6, 6, 24001)
    density = np.exp(-0.5 * ((x + 0.5244005) / np.sqrt(1 - ambiguity**2)) ** 2)
    positive, negative = density * ndtr(x / ambiguity), density * ndtr(-x / ambiguity)
    below = np.cumsum(negative) / negative.sum()
    assert sampled == pytest.approx((positive * below).sum() / positive.sum(), abs=0.015)
    assert 0.8 < sampled < 0.95


def test_fast_and_slow_never_come_together():
    site = SyntheticSite(site="a", patients=1, prevalence={"SB": 0.45, "STach": 0.45})
    for number in range(500):
        assert not {"427084000", "426177001"} <= set(draw_patient(site, number).diagnoses)


@pytest.mark.parametrize(("chosen", "rate"), [({"STach": 0.0}, 100), ({"SB": 0.0}, 60), ({}, 80)])
def test_heart_rate_follows_its_severity(record_of, chosen, rate):
    peaks, _ = find_peaks(lead(record_of(**chosen), "II"), height=0.5, distance=150)
    assert 60 / np.median(np.diff(peaks) / 500) == pytest.approx(rate, rel=0.03)


def test_properties_at_their_thresholds():
    at = physiology_of(np.zeros(len(FINDINGS)))
    assert (at.pr, at.qtc, at.voltage, at.t_factor, at.breathing) == (200, 460, 0.5, 0, 0.15)
    degrees = (at.fibrillation, at.early_atrial, at.early_ventricular, at.left_delay, at.right_delay)
    assert {*degrees, at.inferior_loss, at.t_late} == {0.5}


def test_fibrillation_has_irregular_intervals_and_no_p_wave(record_of):
    def intervals(record):
        peaks, _ = find_peaks(lead(record, "II"), height=0.5, distance=120)
        return np.diff(peaks) / np.diff(peaks).mean()

    assert intervals(record_of()).std() < 0.05 < 0.1 < intervals(record_of(AF=2.5)).std()


@pytest.mark.parametrize(("chosen", "angle"), [({}, 40), ({"LAD": 0.0}, -30), ({"RAD": 0.0}, 90)])
def test_the_frontal_axis_follows_its_severity(chosen, angle):
    physiology = physiology_of(severities(**chosen))
    waves = waves_of(physiology, draw_build("male", generator(0)), draw_rhythm(physiology, 2, generator(0)))
    x, y, _ = waves.amplitude[0, 2]  # the main part of the QRS
    assert np.rad2deg(np.arctan2(y, x)) == pytest.approx(angle, abs=0.5)


def test_waves_change_as_they_are_named(record_of):
    plain = record_of()
    assert np.ptp(lead(record_of(LQRSV=2.0), "II")) < 0.5 * np.ptp(lead(plain, "II"))
    turned = lead(record_of(TInv=2.5), "II") - lead(plain, "II")
    assert turned.min() < -0.3
    assert turned.max() < 0.02
    assert lead(record_of(CRBBB=2.0), "V1").max() > lead(plain, "V1").max() + 0.3  # R'
    assert lead(record_of(CLBBB=2.0), "V1").min() < lead(plain, "V1").min() - 0.1
    assert lead(record_of(QAb=2.0), "aVF").min() < lead(plain, "aVF").min() - 0.2
    assert np.abs(lead(record_of(PVC=2.0), "III")).max() > np.abs(lead(plain, "III")).max() + 0.3


def test_every_finding_changes_the_signal(record_of):
    plain = record_of().digital
    for name in NAMES:
        assert np.abs(record_of(**{name: 1.0}).digital - plain).max() > 50, name  # 0.05 mV


def test_devices_differ_as_they_say(record_of):
    def on(**settings):
        return record_of(SITE.model_copy(update={"device": Device(**settings)}))

    exact = on(noise=0)
    np.testing.assert_allclose(on(noise=0, gain_error=0.1).millivolts(), 1.1 * exact.millivolts(), atol=2e-3)
    assert on(rate=250).digital.shape == (2500, 12)
    np.testing.assert_allclose(on(noise=0, rate=1000).millivolts()[::2], exact.millivolts(), atol=2e-3)
    hum = np.abs(np.fft.rfft(on(mains=60, noise=5).millivolts()[:, 6]))
    assert hum[600] > 5 * np.median(hum[500:700])


def test_sources_list_and_make_records(tmp_path):
    for name in ("a", "b"):
        save_site(tmp_path / name, SyntheticSite(site=name, patients=3, seconds=2))
    references = list_synthetic(tmp_path)
    assert [reference.name for reference in references] == [f"{s}-000000{n}" for s in "ab" for n in range(3)]
    record = read_synthetic(references[4])
    assert (record.name, record.site, record.digital.shape) == ("b-0000001", "b", (1000, 12))
    assert [reference.number for reference in list_synthetic(tmp_path / "b")] == [0, 1, 2]


def test_what_is_no_hospital_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no generator\.json here.*ecg-hospitals"):
        list_synthetic(tmp_path)
    (tmp_path / "generator.json").write_text('{"settings": {"site": "a", "patients": 0}}')
    with pytest.raises(DataError, match=r"generator\.json.*patients"):
        list_synthetic(tmp_path)
    (tmp_path / "generator.json").write_text("[]")
    with pytest.raises(DataError, match="not a synthetic ECG hospital"):
        list_synthetic(tmp_path)
    with pytest.raises(ConfigError, match="--patients"):
        list_synthetic(tmp_path, tmp_path / "patients.csv")
    with pytest.raises(ConfigError, match=r"--site-column.*site"):
        list_synthetic(tmp_path, site_column="device")
    for prevalence in ({"XYZ": 0.1}, {"AF": 0.0}, {"AF": 1.0}):
        with pytest.raises(ValidationError, match=r"XYZ|AF"):
            SyntheticSite(site="a", patients=1, prevalence=prevalence)
