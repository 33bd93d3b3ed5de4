"""The private laws with a free sigmoid, and with the noise of who is drawn. All data are synthetic."""

import numpy as np
import polars as pl
import pytest

from analysis.fits.fit import fit_sample
from analysis.fits.table_fit import Request, fit_table
from analysis.laws.private import Private
from analysis.laws.private_draws import PrivateDraws
from analysis.laws.private_sigmoid import PrivateSigmoid
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.run_table import read_runs
from analysis.tables.sample import take_sample
from wardlaw.errors import RecordError

SIGMOID = {
    "E": 3.0,
    "A": 40.0,
    "B": 20.0,
    "C": 0.16,
    "alpha": 0.3,
    "beta": 0.6,
    "gamma1": 1.6,
    "gamma2": -0.2,
    "S0": 0.0016,
}
DRAWS = SIGMOID | {"c": 0.0081}
RATIOS = (0.0, 0.0002, 0.0008, 0.0064, 0.0256)
RUNS = np.array(
    [
        (n, t, s, p)
        for n in (5e4, 1.3e5, 3.3e5, 1.6e6)
        for t in (50.0, 150.0, 600.0)
        for s in RATIOS
        for p in (8.0, 128.0, 2048.0)
    ]
)


def sigmoid_loss(size, budget, noise, p):
    response = noise ** p["gamma1"] / (noise ** p["gamma1"] + p["S0"] ** p["gamma1"])
    plain = p["E"] + p["A"] * size ** -p["alpha"] + p["B"] * budget ** -p["beta"]
    return plain + p["C"] * response * size ** -p["gamma2"]


def draws_loss(size, steps, noise, patients, p):
    return sigmoid_loss(size, steps, np.sqrt(noise**2 + p["c"] ** 2 / patients), p)


def table(points=RUNS, seeds=(0, 1), noise=0.005, truth=None):
    """Runs drawn about the law, a row a point and seed."""
    random = np.random.default_rng(5)
    exact = draws_loss(*points.T, truth or DRAWS)
    rows = [
        {
            "run": f"{place}-{seed}",
            **dict(zip("NTSP", point, strict=True)),
            "D": point[1] * point[3],
            "seed": seed,
            "L": float(loss * np.exp(noise * random.normal())),
        }
        for place, (point, loss) in enumerate(zip(points, exact, strict=True))
        for seed in seeds
    ]
    return pl.DataFrame(rows)


@pytest.mark.parametrize(("law", "columns"), [(PrivateSigmoid, 3), (PrivateDraws, 4)])
def test_slopes_are_those_of_differences(law, columns):
    random = np.random.default_rng(1)
    features = law.features(RUNS[::7, :columns])
    centred = features - law.centre(features)
    theta = random.normal(size=(4, len(law.parameters)))
    step = 1e-6 * np.eye(theta.shape[1])
    _, jacobian = law.curve(centred, theta)
    numeric = [
        (law.curve(centred, theta + one)[0] - law.curve(centred, theta - one)[0]) / 2e-6 for one in step
    ]
    np.testing.assert_allclose(jacobian, np.stack(numeric, axis=-1), atol=1e-7)


@pytest.mark.parametrize("held", [{}, {"C": 0.16}, {"S0": 0.0016, "E": 3.0}, {"A": 40.0, "B": 20.0}])
def test_noise_free_losses_are_those_of_the_written_law_whatever_is_held(held):
    sigmoid = PrivateSigmoid().fit(RUNS[:, :3], sigmoid_loss(*RUNS.T[:3], SIGMOID), fixed=held)
    drawn = PrivateDraws().fit(RUNS, draws_loss(*RUNS.T, DRAWS), fixed=held)
    for fitted, truth in ((sigmoid, SIGMOID), (drawn, DRAWS)):
        assert fitted.params_ == pytest.approx(truth, rel=1e-5)
        assert fitted.convergence_.reached_best > 0.2


def test_mckennas_sigmoid_is_the_case_of_its_centre_and_slope():
    points = RUNS[:, :3] * (1, 1e4, 1)
    paper = {"S0": np.exp(-8.0), "gamma1": 1 / 1.6}
    truth = SIGMOID | paper
    loss = sigmoid_loss(*points.T, truth)
    published = Private(LOG_SQUARES).fit(points, loss, fixed={"gamma1": 1.0})
    ours = PrivateSigmoid(LOG_SQUARES).fit(points, loss, fixed=paper)
    assert {name: published.params_[name] for name in ("C", "alpha", "gamma2")} == pytest.approx(
        {name: truth[name] for name in ("C", "alpha", "gamma2")}, rel=1e-5
    )
    np.testing.assert_allclose(ours.predict(points), published.predict(points), rtol=1e-7)


def test_without_the_noise_of_draws_the_law_is_the_sigmoid_in_steps():
    loss = sigmoid_loss(*RUNS.T[:3], SIGMOID)
    drawn = PrivateDraws().fit(RUNS, loss, fixed={"c": 0.0})
    assert drawn.params_ == pytest.approx(SIGMOID | {"c": 0.0}, rel=1e-5)
    assert drawn.predict([[1e5, 100, 0.0, 8]])[0] == pytest.approx(
        drawn.predict([[1e5, 100, 0.0, 4096]])[0], rel=1e-15
    )


def test_parameters_lie_within_their_intervals_and_a_law_of_the_ratio_alone_is_rejected():
    rows = table()
    drawn = fit_sample(
        PrivateDraws(LOG_SQUARES), take_sample(rows, ("N", "T", "S", "P"), "L"), replicates=100
    )
    off = {
        name: (value - DRAWS[name]) / drawn.standard_errors[name] for name, value in drawn.law.params_.items()
    }
    assert max(map(abs, off.values())) < 3.5, off
    assert drawn.law.params_["c"] == pytest.approx(DRAWS["c"], rel=0.1)
    assert drawn.law.params_["S0"] == pytest.approx(DRAWS["S0"], rel=0.1)
    assert drawn.misfit > 1e-4
    alone = fit_sample(PrivateSigmoid(LOG_SQUARES), take_sample(rows, ("N", "D", "S"), "L"), replicates=100)
    assert alone.misfit < 1e-6


def test_batches_and_sizes_that_were_held_out_are_predicted(tmp_path):
    path = tmp_path / "runs.csv"
    table(seeds=(0,)).write_csv(path)
    for held in ("P > 1000", "N > 1e6"):
        request = Request("private-draws", objective="squares-log", holdout=held, replicates=100)
        found = fit_table(read_runs(path), request).holdout
        assert found.mean_relative_error < 0.01
        assert found.covered > 0.7
    alone = Request("private-sigmoid", objective="squares-log", holdout="P > 1000", replicates=100)
    assert fit_table(read_runs(path), alone).holdout.mean_relative_error > 0.03


def test_one_batch_cannot_tell_the_noise_of_a_draw():
    one = RUNS[RUNS[:, 3] == 128]
    with pytest.raises(RecordError, match=r"same P \(128\)"):
        PrivateDraws().fit(one, draws_loss(*one.T, DRAWS))
    held = PrivateDraws().fit(one, draws_loss(*one.T, DRAWS), fixed={"c": DRAWS["c"]})
    assert held.params_["S0"] == pytest.approx(DRAWS["S0"], rel=1e-5)


def test_where_privacys_noise_hides_the_draws_c_has_no_lower_end():
    loud = RUNS[(RUNS[:, 2] >= 0.0064) & (RUNS[:, 3] > 8)]
    found = fit_sample(
        PrivateDraws(LOG_SQUARES),
        take_sample(table(loud), ("N", "T", "S", "P"), "L"),
        replicates=100,
        fixed={"S0": DRAWS["S0"], "gamma1": DRAWS["gamma1"]},
    )
    low, high = found.intervals["c"].low, found.intervals["c"].high
    assert low < DRAWS["c"] / 3
    assert high > DRAWS["c"]


def test_runs_below_the_centre_tell_the_harm_and_not_the_centre():
    ratios = (0.0, 0.0001, 0.0002, 0.0004, 0.0008)
    quiet = np.array([(n, t, s, 1e9) for n in (5e4, 1.3e5, 3.3e5) for t in (50.0, 600.0) for s in ratios])
    found = fit_sample(
        PrivateSigmoid(LOG_SQUARES),
        take_sample(table(quiet).with_columns(D=pl.col("T")), ("N", "D", "S"), "L"),
        replicates=100,
    )
    ends = found.intervals["S0"]
    assert ends.high / ends.low > 100
    point = np.array([[1.3e5, 150.0, 0.0008], [1.3e5, 150.0, 0.0]])
    told = found.law.predict(point)
    exact = sigmoid_loss(*point.T, DRAWS)
    assert told[0] / told[1] == pytest.approx(exact[0] / exact[1], abs=0.01)
