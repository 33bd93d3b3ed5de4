"""The fitters against published values, exact surfaces and an independent minimiser."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from analysis.laws.chinchilla import Chinchilla
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.laws.registry import LAWS
from analysis.solvers.damped_newton import huber, minimise_huber
from wardlaw.errors import RecordError

# Hoffmann et al.'s parameters as their TeX source has them (a, b, e, alpha, beta).
HOFFMANN = (6.0073404, 6.0179186, 0.5267228, 0.33917084, 0.2849083)


@pytest.fixture(scope="module")
def epoch(shared_data):
    folder = shared_data / "scaling"
    if not (folder / "epoch_chinchilla").is_dir():
        pytest.skip(f"no scaling tables at {folder}")
    table = pl.read_csv(folder / "epoch_chinchilla" / "svg_extracted_data.csv")
    size, flops, loss = (table[name].to_numpy() for name in ("Model Size", "Training FLOP", "loss"))
    kept = loss < np.sort(loss)[-5]
    inputs = np.column_stack([size, flops / (6 * size)])[kept]
    expected = json.loads((folder / "EXPECTED.json").read_text())["epoch_chinchilla"]
    return inputs, loss[kept], expected


def test_chinchilla_reaches_the_true_minimum_of_the_published_table(epoch):
    inputs, loss, expected = epoch
    law = Chinchilla().fit(inputs, loss)
    assert law.n_ == 240
    assert law.objective_ == pytest.approx(expected["min_sum_huber"], abs=1e-10)
    assert law.params_["alpha"] == pytest.approx(0.3473, abs=0.002)
    assert law.params_["beta"] == pytest.approx(0.3672, abs=0.003)
    assert law.params_["E"] == pytest.approx(expected["theta"]["E"], abs=1e-4)
    assert law.params_["A"] == pytest.approx(expected["theta"]["A"], rel=1e-3)
    assert law.convergence_.reached_best > 0.9
    assert law.convergence_.converged
    assert law.convergence_.gradient_norm < 1e-8


def test_scale_of_the_objective_and_sum_or_mean_change_nothing(epoch):
    inputs, loss, _ = epoch
    reference = Chinchilla().fit(inputs, loss)
    for factor in (1e-3, 1e3, 1 / 240):
        scaled = Chinchilla().fit(inputs, loss, weight=factor)
        assert scaled.objective_ == pytest.approx(factor * reference.objective_, rel=1e-9)
        for name, value in reference.params_.items():
            assert scaled.params_[name] == pytest.approx(value, rel=1e-6)


def test_does_not_stop_where_the_published_fit_stopped(epoch):
    """L-BFGS-B at its default tolerance halts near the start; ours goes on from the same start."""
    inputs, loss, expected = epoch
    logs, log_loss = np.log(inputs), np.log(loss)
    a, b, e, alpha, beta = HOFFMANN
    centre = logs.mean(0)
    features = Chinchilla.features(inputs)
    features = features - Chinchilla.centre(features)
    start = np.array([[e, a - alpha * centre[0], b - beta * centre[1], alpha, beta]])

    def objective(theta):
        prediction, jacobian = Chinchilla.curve(features, theta[None])
        residual = prediction[0] - log_loss
        return huber(residual, 1e-3).mean(), np.clip(residual, -1e-3, 1e-3) @ jacobian[0] / len(loss)

    premature = minimize(objective, start[0], jac=True, method="L-BFGS-B")
    assert premature.success
    assert premature.fun * 240 > 1.1 * expected["min_sum_huber"]
    ours = minimise_huber(lambda theta: Chinchilla.curve(features, theta), start, log_loss, 1 / 240)
    assert ours.objective[0] * 240 == pytest.approx(expected["min_sum_huber"], rel=1e-8)


def test_bootstrap_over_points_gives_the_published_standard_errors(epoch):
    """Besiroglu et al. drew 4000 resamples with NumPy's seed 42; the first 1000 are enough for 10 %."""
    inputs, loss, expected = epoch
    law = Chinchilla().fit(inputs, loss)
    random = np.random.RandomState(42)
    weight = np.stack([np.bincount(random.choice(np.arange(240), 240), minlength=240) for _ in range(1000)])
    replicates = law.named(law.refit(loss, weight, guards=0))
    for name, published in expected["bootstrap4000_BFGS_seed42"]["SE"].items():
        assert np.std(replicates[name]) == pytest.approx(published, rel=0.12)


def test_replicates_are_true_minima(epoch):
    """A few replicates against scipy with tight tolerances."""
    inputs, loss, _ = epoch
    law = Chinchilla().fit(inputs, loss)
    features, log_loss = Chinchilla.features(inputs) - law.centre_, np.log(loss)
    random = np.random.default_rng(3)
    weight = random.multinomial(240, np.full(240, 1 / 240), size=4).astype(float)
    solutions = law.refit(loss, weight)
    for solution, weights in zip(solutions, weight, strict=True):

        def objective(theta, weights=weights):
            prediction, jacobian = Chinchilla.curve(features, theta[None])
            residual = prediction[0] - log_loss
            slope = weights * np.clip(residual, -1e-3, 1e-3)
            return 1e3 * (weights * huber(residual, 1e-3)).sum(), 1e3 * slope @ jacobian[0]

        reference = minimize(objective, law.theta_, jac=True, method="BFGS", options={"gtol": 1e-9})
        assert objective(solution)[0] <= reference.fun * (1 + 1e-6)


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
    theta = random.normal(size=(4, len(law.parameters)))
    _, jacobian = law.curve(features, theta)
    h = np.finfo(float).eps ** (1 / 3)
    for p in range(theta.shape[1]):
        shift = np.zeros(theta.shape[1])
        shift[p] = h
        difference = (law.curve(features, theta + shift)[0] - law.curve(features, theta - shift)[0]) / (2 * h)
        np.testing.assert_allclose(jacobian[..., p], difference, atol=1e-8)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_natural_parameters_are_the_solvers_in_other_words(law):
    random = np.random.default_rng(1)
    centre = law.centre(law.features(np.exp(random.normal(2.0, 1.0, size=(9, len(law.inputs))))))
    theta = random.normal(size=(4, len(law.parameters)))
    np.testing.assert_allclose(law.internal(law.natural(theta, centre), centre), theta, atol=1e-10)


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
