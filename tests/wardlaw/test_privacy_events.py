"""Events of privacy: their JSON, what they refuse, and merging."""

import json

import pytest
from pydantic import ValidationError

from wardlaw.errors import RecordError
from wardlaw.privacy.events import Gaussian, PoissonGaussian, from_json, merge


@pytest.mark.parametrize("event", [PoissonGaussian(0.01, 1.1, 20), Gaussian(5.0, 3)])
def test_json_gives_the_event_back(event):
    assert from_json(json.loads(json.dumps(event.to_json()))) == event


@pytest.mark.parametrize(
    "wrong",
    [(0, 1, 1), (1.1, 1, 1), (0.1, 0, 1), (0.1, -1, 1), (0.1, float("inf"), 1), (0.1, 1, 0), (0.1, 1, 1.5)],
)
def test_values_out_of_range_are_no_event(wrong):
    with pytest.raises(ValidationError):
        PoissonGaussian(*wrong)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"mechanism": "laplace"}, "no event"),
        ([1], "no event"),
        (PoissonGaussian(0.1, 1.0, 1).to_json() | {"weight": 2}, "weight"),
        (PoissonGaussian(0.1, 1.0, 1).to_json() | {"steps": 0}, "steps"),
        ({"mechanism": "gaussian", "noise_multiplier": float("nan"), "count": 1}, "noise_multiplier"),
    ],
)
def test_damaged_fields_are_refused_by_name(fields, field):
    with pytest.raises(RecordError, match=field):
        from_json(fields)


def test_merging_keeps_the_number_of_steps_of_each_mechanism():
    events = [PoissonGaussian(0.1, 1.0, 3), Gaussian(4.0), PoissonGaussian(0.2, 1.0, 1)] * 5
    assert merge(events) == (PoissonGaussian(0.1, 1.0, 15), PoissonGaussian(0.2, 1.0, 5), Gaussian(4.0, 5))
    assert merge([]) == ()
