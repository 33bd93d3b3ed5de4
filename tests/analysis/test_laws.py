"""The fitters against published values, exact surfaces and an independent minimiser."""

import numpy as np
import pytest

from analysis.laws.chinchilla import Chinchilla
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.laws.registry import LAWS
from wardlaw.errors import RecordError


@pytest.mark.parametrize(
    ("law", "truth", "inputs"),
    [
        (PurePowerLaw(), {"A": 18.129, "alpha": 0.0953}, np.geomspace(3.5e7, 2.4e9, 7)),
        (PowerLaw(), {"E": 1.4, "A": 60.0, "alpha": 0.31}, np.geomspace(1e4, 1e7, 6)),
        (PowerLaw(), {"E": 0.02, "A": 9.0, "alpha": 0.11}, np.geomspace(1e5, 1e9, 8)),
        (
            Chinchilla(),
            {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28},
            np.array([(n, d) for n in np.geomspace(1e7, 1e10, 6) for d in np.geomspace(1e9, 1e12, 5)]),
        ),
        (
            Chinchilla(),
            {"E": 0.5, "A": 30.0, "B": 5000.0, "alpha": 0.2, "beta": 0.62},
            np.array([(n, d) for n in np.geomspace(1e4, 1e6, 5) for d in np.geomspace(1e6, 1e8, 4)]),
        ),
    ],
)
def test_noise_free_surfaces_are_recovered(law, truth, inputs):
    columns = np.atleast_2d(inputs.T).T.reshape(len(inputs), -1)
    loss = truth.get("E", 0.0) + truth["A"] * columns[:, 0] ** -truth["alpha"]
    if "B" in truth:
        loss = loss + truth["B"] * columns[:, 1] ** -truth["beta"]
    law.fit(inputs, loss)
    for name, value in truth.items():
        assert law.params_[name] == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(law.predict(inputs), loss, rtol=1e-10)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_jacobian_against_central_differences(law):
    random = np.random.default_rng(0)
    features = law.features(np.exp(random.normal(size=(9, len(law.inputs)))))
    features = features - law.centre(features)
    theta = random.normal(size=(4, len(law.parameters)))
    value, jacobian = law.curve(features, theta)
    assert np.isfinite(value).all()
    assert np.isfinite(jacobian).all()
    h = np.finfo(float).eps ** (1 / 3)
    for p, shift in enumerate(h * np.eye(theta.shape[1])):
        difference = (law.curve(features, theta + shift)[0] - law.curve(features, theta - shift)[0]) / (2 * h)
        np.testing.assert_allclose(jacobian[..., p], difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_natural_parameters_are_the_solvers_in_other_words(law):
    random = np.random.default_rng(1)
    centre = law.centre(law.features(np.exp(random.normal(2.0, 1.0, size=(9, len(law.inputs))))))
    theta = random.normal(size=(4, len(law.parameters)))
    np.testing.assert_allclose(law.internal(law.natural(theta, centre), centre), theta, atol=1e-10)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_law_names_its_exponents(law):
    assert law.exponents
    assert set(law.exponents) <= set(law.parameters)
    assert {"alpha", "mu", "kappa", "gamma2"} & set(law.parameters) <= set(law.exponents)


def test_units_of_the_inputs_do_not_matter():
    size = np.geomspace(1e4, 1e7, 6)
    loss = 1.4 + 60 * size**-0.31
    millions = PowerLaw().fit(size / 1e6, loss)
    assert millions.params_["alpha"] == pytest.approx(0.31, rel=1e-6)
    assert millions.params_["A"] == pytest.approx(60 * 1e6**-0.31, rel=1e-6)


def test_data_without_a_floor_give_a_vanishing_floor():
    size = np.geomspace(1e4, 1e7, 6)
    law = PowerLaw().fit(size, 8 * size**-0.1)
    assert law.params_["E"] < 1e-3
    assert law.params_["alpha"] == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize(
    ("law", "inputs", "loss", "message"),
    [
        (PowerLaw(), [1e4, 1e5, 1e6], [3.0, np.nan, 2.0], "1 of 3 values of loss"),
        (PowerLaw(), [1e4, 1e5, 1e6], [3.0, -1.0, 0.0], "2 of 3 values of loss"),
        (PowerLaw(), [1e4, 0.0, 1e6], [3.0, 2.5, 2.0], "1 of 3 values of N"),
        (PowerLaw(), [1e4] * 5, [3.0] * 5, "same N"),
        (
            PowerLaw(),
            [1e4, 1e5, 1e4, 1e5],
            [3.0, 2.5, 3.1, 2.4],
            "3 parameters to fit but the 4 runs have only 2",
        ),
        (PowerLaw(), [], [], "0 runs have only 0"),
        (Chinchilla(), [[1e4, 1e6], [1e5, 1e6]] * 3, [3.0] * 6, "same D"),
        (Chinchilla(), [[n, 20 * n] for n in np.geomspace(1e4, 1e7, 8)], [3.0] * 8, "grow together"),
        (Chinchilla(), [1e4, 1e5], [3.0, 2.0], "takes the columns N, D"),
        (PowerLaw(), [1e4, 1e5, 1e6], [3.0, 2.0], "3 inputs but losses"),
    ],
)
def test_data_that_cannot_determine_the_law_are_refused(law, inputs, loss, message):
    with pytest.raises(RecordError, match=message):
        law.fit(inputs, loss)
