"""The laws of private training. All data are synthetic: no published table is at hand."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from analysis.laws.private import Private, PrivatePower
from analysis.laws.private_table import PrivateTable
from analysis.planner.private_optimum import private_optimum
from wardlaw.errors import RecordError

# The exponents of McKenna et al. 2025; their amplitudes are not published, these are plausible ones.
AMPLITUDES = {"E": 1.7, "A": 3000.0, "B": 20.0, "C": 0.5}
PUBLISHED = AMPLITUDES | {"alpha": 0.47, "beta": 0.12, "gamma1": 0.95, "gamma2": -0.07}
CHINCHILLA = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
OTHER = CHINCHILLA | {"C": 5.0, "gamma1": 0.6, "gamma2": 0.1}
PLAIN = CHINCHILLA | {"C": 9.0, "gamma": 0.4}
RATIOS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
RUNS = np.array(
    [(n, d, s) for n in np.geomspace(4e6, 8e8, 4) for d in np.geomspace(1e8, 1e11, 3) for s in RATIOS]
)


def response(noise):
    with np.errstate(divide="ignore"):
        return expit((np.log(noise) + 8) / 1.6)


def private_loss(size, tokens, noise, p):
    harm = p["C"] * response(noise) ** p["gamma1"] * size ** -p["gamma2"]
    return p["E"] + p["A"] * size ** -p["alpha"] + p["B"] * tokens ** -p["beta"] + harm


def plain_loss(size, tokens, noise, p):
    harm = p["C"] * noise ** p["gamma"]
    return p["E"] + p["A"] * size ** -p["alpha"] + p["B"] * tokens ** -p["beta"] + harm


@pytest.mark.parametrize("fitter", ["fit", "fit_projected"])
@pytest.mark.parametrize(
    ("law", "surface", "truth"),
    [(Private, private_loss, PUBLISHED), (Private, private_loss, OTHER), (PrivatePower, plain_loss, PLAIN)],
)
def test_noise_free_surfaces_are_recovered_with_runs_that_have_no_noise(law, surface, truth, fitter):
    fitted = getattr(law(), fitter)(RUNS, surface(*RUNS.T, truth))
    for name, value in truth.items():
        assert fitted.params_[name] == pytest.approx(value, rel=1e-6)
    assert fitted.convergence_.reached_best > 0.5


@pytest.mark.parametrize(
    ("law", "surface", "truth"), [(Private, private_loss, PUBLISHED), (PrivatePower, plain_loss, PLAIN)]
)
def test_without_noise_the_term_is_absent_to_the_last_digit(law, surface, truth):
    fitted = law().fit(RUNS, surface(*RUNS.T, truth))
    p = fitted.params_
    size, tokens = 3e8, 7e9
    without = p["E"] + p["A"] * size ** -p["alpha"] + p["B"] * tokens ** -p["beta"]
    assert fitted.predict([[size, tokens, 0.0]])[0] == pytest.approx(without, rel=1e-14)
    assert fitted.predict([[size, tokens, 1e-300]])[0] == pytest.approx(without, rel=1e-14)


def test_private_data_that_cannot_determine_the_law_are_refused():
    loss = private_loss(*RUNS.T, PUBLISHED)
    silent = RUNS * (1, 1, 0)
    with pytest.raises(RecordError, match=r"same S \(0\)"):
        Private().fit(silent, loss)
    with pytest.raises(RecordError, match="values of S are not positive numbers"):
        Private().fit(RUNS * (1, 1, -1), loss)


def test_a_power_of_the_ratio_misses_the_s_shape():
    loss = private_loss(*RUNS.T, PUBLISHED)
    plain = PrivatePower().fit(RUNS, loss)
    assert np.abs(plain.predict(RUNS) / loss - 1).max() > 0.02
    assert np.abs(Private().fit(RUNS, loss).predict(RUNS) / loss - 1).max() < 1e-9


@pytest.mark.parametrize("amplitudes", [(3000, 20, 0.5), (1000, 40, 0.2), (9000, 10, 1.0)])
def test_noise_makes_the_fitted_laws_optimal_model_smaller_by_the_first_order_condition(amplitudes):
    truth = PUBLISHED | dict(zip("ABC", amplitudes, strict=True))
    law = Private().fit(RUNS, private_loss(*RUNS.T, truth))
    compute, sizes = 1e22, []
    for noise in (0.0, 1e-5, 1e-4, 1e-3):

        def slope(log_size, noise=noise):
            """Of the true loss in log N at C = 6 N D."""
            size, p = np.exp(log_size), truth
            harm = p["gamma2"] * p["C"] * response(noise) ** p["gamma1"] * size ** -p["gamma2"]
            of_tokens = p["beta"] * p["B"] * (compute / (6 * size)) ** -p["beta"]
            return of_tokens - p["alpha"] * p["A"] * size ** -p["alpha"] - harm

        size = np.geomspace(1e6, 1e13, 20_001)
        points = np.column_stack([size, compute / (6 * size), np.full_like(size, noise)])
        sizes.append(size[np.argmin(law.predict(points))])
        assert sizes[-1] == pytest.approx(np.exp(brentq(slope, np.log(1e6), np.log(1e13))), rel=2e-3)
    assert (np.diff(sizes) < 0).all()


SIZES, STEPS = np.geomspace(4e6, 8e8, 7), np.arange(1000, 128_001, 1000.0)
LEVELS = np.array([0.0, *np.geomspace(1e-6, 1e-2, 7)])


def curve_loss(size, steps, noise):
    """Synthetic: a tail E + A / T^alpha at each size and ratio."""
    return 1.7 + 30 * size**-0.25 + 15 * steps**-0.35 + 0.5 * response(noise) ** 0.95 * size**0.07


def rows(sizes=SIZES, steps=STEPS, levels=LEVELS):
    return [axis.ravel() for axis in np.meshgrid(sizes, steps, levels, indexing="ij")]


def table_of(sizes=SIZES, steps=STEPS, levels=LEVELS, **settings):
    points = rows(sizes, steps, levels)
    return PrivateTable(**settings).fit(*points, curve_loss(*points))


@pytest.fixture(scope="module")
def table():
    return table_of()


def between(count=300, steps=(5e3, 1.2e5)):
    random = np.random.default_rng(2)
    ends = ((SIZES[0], SIZES[-1]), steps, (LEVELS[1], LEVELS[-1]))
    return [np.exp(random.uniform(*np.log(end), count)) for end in ends]


def test_the_table_is_exact_at_its_points_and_close_where_it_is_averaged(table):
    points = rows(steps=STEPS[STEPS > 3e4][:-10])
    np.testing.assert_allclose(table_of(window=1).predict(*points).loss, curve_loss(*points), rtol=1e-12)
    np.testing.assert_allclose(table.predict(*points).loss, curve_loss(*points), rtol=3e-4)
    assert table.moved_ < 1e-12


def test_between_its_points_the_error_of_the_table_is_of_second_order():
    points = between()

    def mean_error(sizes, levels):
        table = table_of(
            np.geomspace(4e6, 8e8, sizes), STEPS, np.array([0.0, *np.geomspace(1e-6, 1e-2, levels)]), window=1
        )
        error = np.abs(table.predict(*points).loss / curve_loss(*points) - 1)
        assert error.max() < 0.03
        return error.mean()

    assert mean_error(7, 9) < mean_error(4, 5) / 3


def test_the_tail_continues_the_curves_and_says_so(table):
    points = rows(steps=table.last_step_ * np.array([2.0, 5.0, 10.0]))
    read = table.predict(*points)
    np.testing.assert_allclose(read.loss, curve_loss(*points), rtol=1e-3)
    assert read.extrapolated.all()
    assert "fitted tails" in read.warnings[0]
    assert not table.predict(1e7, 1e5, 1e-4).warnings


def test_noisy_curves_become_monotone_as_an_independent_regression_makes_them():
    points = rows(steps=STEPS[:60])
    noisy = curve_loss(*points) * np.exp(0.02 * np.random.default_rng(3).normal(size=len(points[0])))
    table = PrivateTable(window=1).fit(*points, noisy)
    assert (np.diff(table.loss_, axis=1) <= 0).all()
    assert (np.diff(table.loss_, axis=2) >= 0).all()
    assert table.moved_ > 0.005
    falling = table.predict(1.3e7, np.geomspace(1100, 5.9e5, 200), 3e-5).loss
    rising = table.predict(1.3e7, 2e4, np.geomspace(1e-7, 1e-2, 200)).loss
    assert (np.diff(falling) <= 1e-12).all()
    assert (np.diff(rising) >= -1e-12).all()
    # The tails take part in the regression; far from them the measured losses decide alone.
    cube = noisy.reshape(len(SIZES), 60, len(LEVELS))[:, :30]
    for size, sheet in zip(range(len(SIZES)), cube, strict=True):
        expected = np.stack(
            [IsotonicRegression(increasing=False).fit_transform(STEPS[:30], column) for column in sheet.T], -1
        )
        expected = np.stack([IsotonicRegression().fit_transform(range(len(LEVELS)), row) for row in expected])
        np.testing.assert_allclose(table.loss_[size, :15], expected[:15], rtol=1e-9)


def test_flat_curves_stay_flat():
    points = rows(SIZES[:2], STEPS, LEVELS[:3])
    table = PrivateTable().fit(*points, np.full(len(points[0]), 2.5))
    np.testing.assert_allclose(table.predict(SIZES[0], [2e4, 1e6], 0.0).loss, 2.5, rtol=1e-9)
    assert table.summary()["largest_change_for_monotonicity"] < 1e-9


def test_no_noise_lies_one_step_below_the_smallest_ratio(table):
    step = LEVELS[2] / LEVELS[1]
    silent = table.predict(SIZES[2], 5e4, 0.0).loss
    assert silent == table.predict(SIZES[2], 5e4, LEVELS[1] / step).loss
    assert silent == table.predict(SIZES[2], 5e4, 1e-12).loss
    halfway = table.predict(SIZES[2], 5e4, LEVELS[1] / np.sqrt(step)).loss
    lowest = table.predict(SIZES[2], 5e4, LEVELS[1]).loss
    assert halfway == pytest.approx((silent + lowest) / 2, rel=1e-12)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ((1e6, 1e4, 1e-4), "N = 1e.06 lies outside the sizes"),
        ((1e7, 1e4, 0.1), "S = 0.1 lies outside the noise-batch ratios"),
        ((1e7, 10.0, 1e-4), "T = 10 lies outside the training steps"),
        ((1e7, 1e8, 1e-4), "T = 1e.08 lies outside the training steps"),
    ],
)
def test_points_outside_the_table_are_refused(table, point, message):
    with pytest.raises(RecordError, match=message):
        table.predict(*point)


def test_a_table_without_silent_runs_has_no_loss_there():
    with pytest.raises(RecordError, match="S = 0 lies outside"):
        table_of(levels=LEVELS[1:]).predict(1e7, 1e4, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda *columns: [column[1:] for column in columns],
            "1 holes, the first at N = 4e.06, T = 1000, S = 0",
        ),
        (lambda *columns: [np.append(column, column[0]) for column in columns], "1 rows repeat"),
        (lambda n, t, s, loss: (n, t, s, loss - 10), "values of loss are not positive"),
        (lambda n, t, s, loss: [c[s == 0] for c in (n, t, s, loss)], "1 noise-batch ratios"),
        (lambda n, t, s, loss: [c[t < 10_000] for c in (n, t, s, loss)], "9 steps a curve are too few"),
    ],
)
def test_incomplete_tables_are_refused(change, message):
    points = rows()
    with pytest.raises(RecordError, match=message):
        PrivateTable().fit(*change(*points, curve_loss(*points)))


def test_the_optimum_of_a_table_is_that_of_its_surface(table):
    """Against a fine grid of the surface itself; the privacy budget is a made-up S(B, T)."""
    compute = 1e21

    def ratio(batch, steps):
        return 30 * np.sqrt(steps) / batch

    size, steps = (
        axis.ravel() for axis in np.meshgrid(np.geomspace(4e6, 8e8, 300), np.geomspace(3e3, 1e6, 300))
    )
    noise = ratio(compute / (6 * size * steps), steps)
    allowed = noise <= LEVELS[-1]
    exact = curve_loss(size, steps, noise)[allowed].min()
    found = private_optimum(table, compute, ratio)
    assert found.loss == pytest.approx(exact, rel=0.01)
    assert curve_loss(found.size, found.steps, found.noise) == pytest.approx(exact, rel=0.01)
    assert 6 * found.size * found.steps * found.batch_tokens == pytest.approx(compute)
    assert found.smallest_size < found.size
    assert not found.warnings
    louder = private_optimum(table, compute, lambda batch, steps: 10 * ratio(batch, steps))
    assert louder.size < found.size
    assert louder.loss > found.loss
    loudest = private_optimum(table, compute, lambda batch, steps: 30 * ratio(batch, steps))
    assert "at the edge of the table" in loudest.warnings[0]
    with pytest.raises(RecordError, match="covers no size"):
        private_optimum(table, compute, lambda batch, steps: np.ones_like(batch))
