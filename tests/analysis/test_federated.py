"""The federated law, and the optimal size by the number of sites that follows from it."""

import numpy as np
import polars as pl
import pytest

from analysis.fits.fit import fit_sample
from analysis.fits.optimal_sites import optimal_sizes
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.federated import Federated
from analysis.laws.replicas import ReplicasPower
from analysis.tables.sample import take_sample
from wardlaw.errors import RecordError

TRUTH = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28, "mu": 0.01, "nu": 0.03}
SITES, COMPUTE = (1, 2, 4, 8, 16), 1e20


def loss(size, tokens, sites, steps, p=TRUTH):
    drift = np.log(sites) * np.log(steps)
    return (
        p["E"]
        + p["A"] * size ** -p["alpha"] * np.exp(p["mu"] * drift)
        + p["B"] * tokens ** -p["beta"] * np.exp(p["nu"] * drift)
    )


def design(steps=(1, 10, 100)):
    rows = [
        (n, d, m, h)
        for n in np.geomspace(1e7, 1e10, 4)
        for d in np.geomspace(1e9, 1e12, 4)
        for m in (1, 4, 16)
        for h in steps
    ]
    return np.array(rows, dtype=float)


def noisy_fit(truth, *, noise=1e-3, replicates=120):
    inputs = design()
    random = np.random.default_rng(0)
    table = pl.DataFrame(dict(zip("NDMH", inputs.T, strict=True))).with_columns(
        run=pl.int_range(len(inputs)),
        L=pl.Series(loss(*inputs.T, truth) * np.exp(noise * random.normal(size=len(inputs)))),
    )
    return fit_sample(Federated(), take_sample(table, Federated.inputs, "L"), replicates=replicates, seed=0)


@pytest.fixture(scope="module")
def fitted():
    return noisy_fit(TRUTH)


def test_noise_free_surface_is_recovered():
    inputs = design()
    for law in (
        Federated().fit(inputs, loss(*inputs.T)),
        Federated().fit_projected(inputs, loss(*inputs.T)),
    ):
        assert law.params_ == pytest.approx(TRUTH, rel=1e-6)


def test_one_site_or_one_step_is_chinchilla():
    inputs = design()
    federated = Federated().fit(inputs, loss(*inputs.T))
    chinchilla = Chinchilla().fit(inputs[:, :2], loss(inputs[:, 0], inputs[:, 1], 1.0, 1.0))
    here = inputs[:4, :2]
    for sites, steps in ((1.0, 1.0), (1.0, 50.0), (8.0, 1.0)):
        points = np.column_stack([here, np.full((4, 2), (sites, steps))])
        np.testing.assert_allclose(federated.predict(points), chinchilla.predict(here), rtol=1e-8)
    apart = np.column_stack([here, np.full((4, 2), (8.0, 50.0))])
    assert (federated.predict(apart) > chinchilla.predict(here) * 1.001).all()


def test_a_single_number_of_local_steps_is_enough_for_drift_there():
    inputs = design(steps=(30,))
    law = Federated().fit(inputs, loss(*inputs.T))
    assert law.params_["nu"] == pytest.approx(TRUTH["nu"], rel=1e-6)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (design(steps=(1,)), r"same M\^log H"),
        (design() * (1, 1, 0, 1) + (0, 0, 1, 0), r"same M\^log H"),
        (design()[:, [0, 0, 2, 3]] * (1, 20, 1, 1), "N and D grow together"),
        (design() * (1, 1, 1, 0), "values of H are not positive"),
    ],
)
def test_designs_that_cannot_show_drift_are_refused(inputs, message):
    with pytest.raises(RecordError, match=message):
        Federated().fit(inputs, np.full(len(inputs), 2.0))


def test_without_drift_the_law_is_fitted_to_one_site_with_its_exponents_held():
    inputs = design(steps=(1,))
    law = Federated().fit(inputs, loss(*inputs.T), fixed={"mu": 0.0, "nu": 0.0})
    assert law.params_ == pytest.approx(TRUTH | {"mu": 0.0, "nu": 0.0}, rel=1e-6)


def test_optimal_sizes_are_those_of_the_closed_form(fitted):
    """N_opt = (alpha A' / (beta B'))^(1/(alpha+beta)) (C/6)^(beta/(alpha+beta)) with the raised A', B'."""
    found = optimal_sizes(fitted, COMPUTE, SITES, H=30)
    p, drift = fitted.law.params_, np.log(SITES) * np.log(30)
    both = p["alpha"] + p["beta"]
    ratio = p["alpha"] * p["A"] * np.exp((p["mu"] - p["nu"]) * drift) / (p["beta"] * p["B"])
    expected = ratio ** (1 / both) * (COMPUTE / 6) ** (p["beta"] / both)
    assert [one.estimate for one in found.sizes] == pytest.approx(expected, rel=1e-6)
    assert found.exponent.estimate == pytest.approx((p["mu"] - p["nu"]) * np.log(30) / both, rel=1e-6)
    slopes = fitted.law.named(fitted.theta)
    drawn = (slopes["mu"] - slopes["nu"]) * np.log(30) / (slopes["alpha"] + slopes["beta"])
    ends = fitted.resamples.interval(found.exponent.estimate, drawn)
    assert (found.exponent.low, found.exponent.high) == pytest.approx((ends.low, ends.high), rel=1e-5)


def test_sign_is_compared_with_the_theory_and_follows_from_what_drift_costs(fitted):
    data_costs = optimal_sizes(fitted, COMPUTE, SITES, H=30)
    assert data_costs.exponent.high < 0
    assert data_costs.agrees_with_theory is True
    assert data_costs.exponent.covers(-0.02 * np.log(30) / 0.62)
    size_costs = optimal_sizes(noisy_fit(TRUTH | {"mu": 0.03, "nu": 0.01}), COMPUTE, SITES, H=30)
    assert size_costs.agrees_with_theory is False
    none = optimal_sizes(noisy_fit(TRUTH | {"mu": 0.02, "nu": 0.02}, noise=0.01), COMPUTE, SITES, H=30)
    assert none.agrees_with_theory is None


def test_without_local_steps_sites_do_not_move_the_optimum(fitted):
    found = optimal_sizes(fitted, COMPUTE, SITES, H=1)
    assert found.exponent.estimate == pytest.approx(0.0, abs=1e-6)


def test_optima_outside_the_runs_are_told_or_refused(fitted):
    far = optimal_sizes(fitted, 1e26, SITES, H=30)
    assert any("outside those fitted" in warning for warning in far.warnings)
    with pytest.raises(RecordError, match="no optimal size between"):
        optimal_sizes(fitted, 1e40, SITES, H=30)
    with pytest.raises(RecordError, match="needs H"):
        optimal_sizes(fitted, COMPUTE, SITES)
    with pytest.raises(RecordError, match="two numbers of sites"):
        optimal_sizes(fitted, COMPUTE, (4, 4), H=30)


def test_a_law_without_tokens_has_no_optimal_size():
    grid = np.array([(n, m) for n in np.geomspace(1e7, 1e9, 4) for m in (1, 2, 4)], dtype=float)
    rows = pl.DataFrame({"run": range(12), "N": grid[:, 0], "M": grid[:, 1], "L": grid[:, 0] ** -0.1})
    fit = fit_sample(ReplicasPower(), take_sample(rows, ("N", "M"), "L"), seed=0)
    with pytest.raises(RecordError, match="does not see D"):
        optimal_sizes(fit, COMPUTE, SITES)
