import numpy as np
import pytest

from client.ecg.checks import CHECKS, MISSING, checked, limb_errors, longest_rest
from client.ecg.record import LEADS, EcgRecord, Quarantined


def twelve_leads(samples=5000):
    """Signals in mV whose limb leads keep their relations."""
    one, two, *chest = np.random.default_rng(0).normal(0, 0.3, (8, samples))
    three = two - one
    return np.stack([one, two, three, -(one + two) / 2, (one - three) / 2, (two + three) / 2, *chest], axis=1)


def record(signals=None, steps=1000.0, rate=500.0, gain=None, baseline=None):
    """A record of signals in mV, digitised at ``steps`` a mV; its gain and baseline as told, if they are."""
    signals = twelve_leads() if signals is None else signals
    many = signals.shape[1]
    gain = np.full(many, steps) if gain is None else gain
    baseline = np.full(many, 7.0) if baseline is None else baseline
    return EcgRecord("r", "p", np.rint(signals * steps + 7).astype(np.int32), gain, baseline, rate)


def with_lead(lead, change):
    signals = twelve_leads()
    signals[:, LEADS.index(lead)] = change(signals[:, LEADS.index(lead)])
    return signals


def clipped(lead):
    return np.clip(lead, -0.4, 0.4)


def mostly_dead(lead):
    return np.where(np.arange(len(lead)) < 0.52 * len(lead), 0, lead)


def swapped(one, other):
    signals = twelve_leads()
    places = [LEADS.index(one), LEADS.index(other)]
    signals[:, places] = signals[:, places[::-1]]
    return signals


def holed():
    bad = record()
    bad.digital[17, 6] = MISSING
    return bad


def one_gain(value):
    return np.where(np.arange(12) == 3, value, 1000.0)


BAD = {
    "eleven leads": (record(twelve_leads()[:, :11]), "lead-count", ""),
    "gains of another count": (record(baseline=np.zeros(11)), "lead-count", ""),
    "no rate": (record(rate=0.0), "impossible-rate", "0"),
    "a rate that is no number": (record(rate=float("nan")), "impossible-rate", "nan"),
    "no samples": (record(twelve_leads(0)), "too-short", "0.00 s"),
    "one second": (record(twelve_leads(500)), "too-short", "1.00 s"),
    "a hole": (holed(), "missing-samples", "V1"),
    "gain zero": (record(gain=one_gain(0.0)), "impossible-gain", "aVR"),
    "gain negative": (record(gain=one_gain(-5.0)), "impossible-gain", "aVR"),
    "gain infinite": (record(gain=one_gain(np.inf)), "impossible-gain", "aVR"),
    "gain no number": (record(gain=one_gain(np.nan)), "impossible-gain", "aVR"),
    "flat": (record(with_lead("V2", np.zeros_like)), "flat-lead", "V2"),
    "dead for most": (record(with_lead("V2", mostly_dead)), "flat-lead", "V2"),
    "volts as mV": (record(1000 * twelve_leads()), "impossible-amplitude", "I, II"),
    "mV as volts": (record(twelve_leads() / 1000, steps=1e6), "impossible-amplitude", "mV"),
    "clipped": (record(with_lead("V3", clipped)), "saturated", "V3"),
    "arms swapped": (record(with_lead("I", np.negative)), "lead-order", "II = I + III"),
    "I and II swapped": (record(swapped("I", "II")), "lead-order", "II = I + III"),
    "I and III swapped": (record(swapped("I", "III")), "lead-order", "aVR"),
    "aVR and aVF swapped": (record(swapped("aVR", "aVF")), "lead-order", "aVF"),
    "aVR upside down": (record(with_lead("aVR", np.negative)), "lead-order", "aVR"),
    "another gain for III": (record(with_lead("III", lambda v: 1.2 * v)), "lead-order", "aVL"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_each_fault_has_its_reason(name):
    bad, reason, detail = BAD[name]
    found = checked(bad)
    assert isinstance(found, Quarantined)
    assert found.name == "r"
    assert found.reason == reason
    assert detail in found.detail


def test_every_check_is_met():
    assert {reason for _, reason, _ in BAD.values()} == set(CHECKS)


@pytest.mark.parametrize("gain", [20.0, 200.0, 1000.0, 4880.0])
def test_good_records_pass_however_coarse_their_adc(gain):
    good = record(steps=gain)
    assert checked(good) is good


def test_a_lead_may_rest_and_touch_its_rail_for_a_while():
    resting = with_lead("V4", lambda v: np.where(np.arange(5000) < 1000, v[0], v))
    touching = with_lead("V5", lambda v: np.clip(v, None, np.quantile(v, 0.96)))
    for signals in (resting, touching):
        assert isinstance(checked(record(signals)), EcgRecord)


def test_limb_errors_are_those_of_a_loop():
    wild = record(np.random.default_rng(1).normal(size=(1000, 12)))
    errors = limb_errors(wild)
    for sample, (one, two, three, right, left, foot) in enumerate(wild.millivolts()[:, :6]):
        missed = [
            two - (one + three),
            right + (one + two) / 2,
            left - (one - three) / 2,
            foot - (two + three) / 2,
        ]
        np.testing.assert_allclose(errors[sample], np.abs(missed), atol=1e-12)


def test_longest_rest_counts_samples():
    assert longest_rest(np.array([5], np.int32)) == 1
    assert longest_rest(np.array([], np.int32)) == 0
    assert longest_rest(np.array([1, 2, 2, 2, 3, 3], np.int32)) == 3
    assert longest_rest(np.array([1, 2, 3, 3], np.int32)) == 2
