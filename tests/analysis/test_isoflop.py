"""Compute-optimal allocation: exact parabolas and surfaces, published optima, coverage, refusals."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from analysis import analyse_isoflop as study_of
from analysis.cli import app
from analysis.fits.table_fit import Request, fit_groups
from analysis.isoflop.budgets import group_budgets, near_the_lowest
from analysis.isoflop.envelope import fit_envelope
from analysis.isoflop.frames import curve_frame, line_frame, optimum_frame, point_frame
from analysis.isoflop.noise import estimate_noise
from analysis.isoflop.optima import find_optima
from analysis.isoflop.parabola import design_parabolas
from analysis.isoflop.power_laws import through_optima
from analysis.isoflop.study import UNWEIGHTED, WEIGHTED, IsoFlopRequest, isoflop_groups
from analysis.tables.run_table import RunTable, read_runs
from wardlaw.errors import RecordError

CHINCHILLA = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
BUDGETS = np.geomspace(1e17, 1e20, 5)
EVERY_SIZE = 1e9
CONFIGURATION = "hparams,warmup,decay,param_count"


def table_of(compute, size, loss, **more):
    rows = pl.DataFrame({"C": compute, "N": size, "D": compute / (6 * size), "L": loss, **more})
    if "run" not in more:
        rows = rows.with_row_index("run").with_columns(pl.col("run").cast(pl.String))
    return RunTable(rows, (), (), "made up")


def optimal_size(surface, compute):
    """Closed form of arXiv 2203.15556, equation 4, written out anew."""
    alpha, beta = surface["alpha"], surface["beta"]
    g = (alpha * surface["A"] / (beta * surface["B"])) ** (1 / (alpha + beta))
    return g * (compute / 6) ** (beta / (alpha + beta))


def on_surface(surface, *, points, reach, drift=0.0, noise=0.0, random=None, budgets=BUDGETS):
    """Sizes within ``reach`` (natural log) of the optimum, whose centre drifts by so much from end to end."""
    compute = np.repeat(budgets, points)
    shift = np.repeat(np.linspace(-drift, drift, len(budgets)), points)
    off = np.tile(np.linspace(-reach, reach, points), len(budgets)) + shift
    size = optimal_size(surface, compute) * np.exp(off)
    tokens = compute / (6 * size)
    loss = surface["E"] + surface["A"] * size ** -surface["alpha"] + surface["B"] * tokens ** -surface["beta"]
    error = 0.0 if random is None else noise * random.normal(size=len(loss))
    return table_of(compute, size, loss * (1 + error))


def on_parabolas(*, a=0.55, k=0.02, points=9, noise=0.0, random=None, budgets=BUDGETS):
    compute = np.repeat(budgets, points)
    off = np.tile(np.linspace(-1.3, 1.5, points), len(budgets))
    loss = (2 + (compute / 1e17) ** -0.1) * (1 + 0.03 * off**2)
    error = 0.0 if random is None else noise * random.normal(size=len(loss))
    return table_of(compute, k * compute**a * np.exp(off), loss * (1 + error))


def optima_of(table, *, window=EVERY_SIZE, scale="raw", replicates=0, seed=0):
    budgets = group_budgets(table.rows, 0.01)
    return find_optima(budgets, near_the_lowest(budgets, window), scale, replicates=replicates, seed=seed)


def approach(study, name):
    return next(law for law in study.laws if law.approach == name)


def test_exact_parabolas_are_recovered():
    optima = optima_of(on_parabolas())
    np.testing.assert_allclose(optima.minima.log_size, np.log(0.02 * BUDGETS**0.55), rtol=1e-9)
    np.testing.assert_allclose(optima.minima.loss, 2 + (BUDGETS / 1e17) ** -0.1, rtol=1e-9)
    laws = through_optima("", optima, np.ones(len(BUDGETS)))
    assert laws.size.slope == pytest.approx(0.55, abs=1e-9)
    assert laws.tokens.slope == pytest.approx(0.45, abs=1e-9)
    assert laws.tied.slope == pytest.approx(0.55, abs=1e-9)
    assert laws.size.coefficient.estimate == pytest.approx(0.02, rel=1e-7)


def test_batched_fits_equal_a_loop_of_polyfit():
    random = np.random.default_rng(1)
    log_size = np.sort(random.uniform(10, 20, size=(4, 8)), axis=1)
    used = random.random((4, 8)) < 0.75
    used[:, :4] = True
    design = design_parabolas(log_size, used)
    measured = random.normal(size=(6, 4, 8))
    coefficients = design.fit(np.where(used, measured, 0.0))
    ends = log_size[:, 0], log_size[:, -1]
    lowest, value = design.minimum(coefficients, ends)
    for replicate in range(6):
        for budget in range(4):
            kept = used[budget]
            x, y = log_size[budget, kept] - 15, measured[replicate, budget, kept]
            fitted = np.polynomial.Polynomial.fit(x, y, 2)
            vertex = np.clip(fitted.deriv().roots().real, x[0], log_size[budget, -1] - 15)
            candidates = np.array([*(ends[i][budget] - 15 for i in (0, 1)), *vertex])
            best = candidates[fitted(candidates).argmin()]
            assert lowest[replicate, budget] == pytest.approx(best + 15, abs=1e-8)
            assert value[replicate, budget] == pytest.approx(fitted(best), abs=1e-8)
            np.testing.assert_allclose(
                np.polyval(np.polyfit(x, y, 2), x),
                design.at(coefficients, log_size)[replicate, budget, kept],
                atol=1e-9,
            )


def test_a_symmetric_surface_has_exact_optima_and_no_bias():
    symmetric = CHINCHILLA | {"alpha": 0.31, "beta": 0.31}
    study = study_of(
        on_surface(symmetric, points=15, reach=np.log(16)), IsoFlopRequest(window=EVERY_SIZE, replicates=100)
    )
    law = approach(study, UNWEIGHTED)
    assert law.size.slope == pytest.approx(0.5, abs=1e-9)
    np.testing.assert_allclose(
        np.exp(study.optima.minima.log_size), optimal_size(symmetric, BUDGETS), rtol=1e-9
    )
    assert study.bias.tokens_percent == pytest.approx(0.0, abs=1e-4)
    assert study.bias.tokens_intercept == pytest.approx(study.bias.true_tokens_intercept, abs=1e-6)


@pytest.mark.parametrize(
    ("alpha", "beta", "true", "inferred", "percent"),
    [(0.34, 0.28, -0.555357, -0.57812, -5.1), (0.465, 0.155, -1.345791, -1.46012, -23.0)],
)
def test_published_bias_of_parabolas_on_asymmetric_surfaces(alpha, beta, true, inferred, percent):
    """arXiv 2603.22339: 15 sizes over W = 2.41 decades (a factor 16 to each side), losses not their logs."""
    surface = CHINCHILLA | {"alpha": alpha, "beta": beta}
    table = on_surface(surface, points=15, reach=2.41 / 2 * np.log(10))
    study = study_of(table, IsoFlopRequest(window=EVERY_SIZE, replicates=100))
    assert study.bias.true_tokens_intercept == pytest.approx(true, abs=2e-6)
    assert study.bias.tokens_intercept == pytest.approx(inferred, abs=2e-5)
    assert study.bias.a == pytest.approx(beta / (alpha + beta), abs=1e-6)
    assert study.bias.tokens_percent == pytest.approx(percent, abs=0.3)
    assert study.bias.size_percent == pytest.approx(
        100 / (1 + study.bias.tokens_percent / 100) - 100, abs=0.1
    )
    measured = np.log10(approach(study, UNWEIGHTED).tokens.coefficient.estimate)
    assert measured == pytest.approx(study.bias.tokens_intercept, abs=1e-6)


def test_grids_that_drift_from_the_optimum_bias_the_exponent_and_narrow_windows_less():
    table = on_surface(CHINCHILLA, points=15, reach=np.log(16), drift=np.log(3))
    wide, narrow = (
        study_of(table, IsoFlopRequest(window=factor, replicates=100)).bias for factor in (EVERY_SIZE, 4.0)
    )
    assert abs(wide.a - wide.true_a) > 0.002
    assert abs(narrow.a - narrow.true_a) < 0.5 * abs(wide.a - wide.true_a)


def test_the_three_approaches_agree_on_a_surface():
    sizes = np.geomspace(1e7, 3e9, 24)
    compute, size = (grid.ravel() for grid in np.meshgrid(np.geomspace(1e18, 1e20, 7), sizes))
    surface = CHINCHILLA
    loss = surface["E"] + surface["A"] * size**-0.34 + surface["B"] * (compute / (6 * size)) ** -0.28
    study = study_of(table_of(compute, size, loss), IsoFlopRequest(replicates=200))
    assert not study.refused
    true = 0.28 / 0.62
    assert approach(study, "3: surface").size.slope == pytest.approx(true, abs=1e-6)
    assert approach(study, UNWEIGHTED).size.slope == pytest.approx(true, abs=0.02)
    envelope = approach(study, "1: envelope")
    assert envelope.size.slope == pytest.approx(true, abs=0.03)
    assert envelope.size.exponent.covers(true)
    assert envelope.size.slope + envelope.tokens.slope == pytest.approx(1.0, abs=1e-3)


def test_the_envelope_follows_checkpoints_and_needs_curves():
    sizes = np.repeat(np.geomspace(1e7, 1e9, 12), 40)
    tokens = np.tile(np.geomspace(1e8, 1e11, 40), 12)
    loss = 1.69 + 406.4 * sizes**-0.34 + 410.7 * tokens**-0.28
    runs = np.repeat(np.arange(12).astype(str), 40)
    law = fit_envelope(table_of(6 * sizes * tokens, sizes, loss, run=runs).rows, replicates=100, seed=0)
    assert law.size.slope == pytest.approx(0.28 / 0.62, abs=0.03)
    with pytest.raises(RecordError, match="0 sizes were trained at two computes or more"):
        fit_envelope(on_parabolas().rows, replicates=100, seed=0)


def test_intervals_of_the_envelope_are_as_wide_as_its_exponents_scatter():
    """Twelve runs whose seeds move whole curves; drawn with replacement, curves gave five times the width."""
    sizes, tokens = np.repeat(np.geomspace(1e7, 1e9, 12), 40), np.tile(np.geomspace(1e8, 1e11, 40), 12)
    exact = 1.69 + 406.4 * sizes**-0.34 + 410.7 * tokens**-0.28
    runs = np.repeat(np.arange(12), 40)
    random = np.random.default_rng(11)
    found = []
    for draw in range(20):
        loss = exact * np.exp(0.003 * random.normal(size=12))[runs]
        table = table_of(6 * sizes * tokens, sizes, loss, run=runs.astype(str))
        found.append(fit_envelope(table.rows, replicates=200, seed=draw).size.exponent)
    width = np.median([one.high - one.low for one in found])
    assert 0.7 < width / (4 * np.std([one.estimate for one in found], ddof=1)) < 1.8
    assert sum(one.covers(0.28 / 0.62) for one in found) >= 16


@pytest.mark.parametrize(("made", "true"), [(on_parabolas, 0.55), (on_surface, 0.28 / 0.62)])
def test_intervals_cover_the_truth_in_nine_of_ten_draws(made, true):
    """Seven sizes a budget; at 95 % coverage fewer than 132 of 150 draws has probability 0.05 %.

    Parabolas on the asymmetric surface find the exponent without bias; the sizes themselves they miss.
    """
    random = np.random.default_rng(7)
    surface = {} if made is on_parabolas else {"surface": CHINCHILLA, "reach": 1.5}
    covered, sizes = {"plain": 0, "weighted": 0}, []
    for draw in range(150):
        table = made(points=7, noise=0.003, random=random, **surface)
        optima = optima_of(table, window=4.0, replicates=300, seed=draw)
        for name, weight in (("plain", np.ones(len(BUDGETS))), ("weighted", optima.precision)):
            covered[name] += through_optima("", optima, weight).size.exponent.covers(true)
        if made is on_parabolas:
            truth = 0.02 * BUDGETS**0.55
            sizes += [optima.interval(number, "size").covers(truth[number]) for number in range(5)]
    assert covered["plain"] >= 132
    assert covered["weighted"] >= 129
    assert not sizes or np.mean(sizes) > 0.89


def test_noise_of_like_budgets_is_pooled_and_of_unlike_ones_kept_apart():
    random = np.random.default_rng(3)
    used, leverage = np.ones((8, 10), dtype=bool), np.full((8, 10), 0.3)
    like = 0.01 * random.normal(size=(8, 10)) * np.sqrt(0.7)
    spread = np.geomspace(0.001, 1, 8)[:, None]
    pooled = estimate_noise(like, leverage, used, 3)
    apart = estimate_noise(spread * like / 0.01, leverage, used, 3)
    np.testing.assert_allclose(pooled.deviation, 0.01, rtol=0.3)
    assert pooled.deviation.std() < 0.1 * pooled.deviation.mean()
    assert np.abs(np.log(apart.deviation / spread[:, 0])).max() < np.log(2.5)
    assert pooled.degrees.min() > 20 > apart.degrees.max()
    assert pooled.shape.std() == pytest.approx(1.0)
    used[0, 3:] = False
    assert estimate_noise(spread * like, leverage, used, 3).deviation[0] > 0.1 * spread.max() * 0.01


def test_optima_at_the_edge_are_refused_with_a_reason():
    low, high, few, flat, good = (1e17 * 10**step for step in range(5))
    x = np.linspace(-1, 1, 7)
    parts = [
        (low, x, (x + 2) ** 2),
        (high, x, (x - 1.2) ** 2),
        (few, x[:2], x[:2] ** 2),
        (flat, x, -(x**2)),
        (good, x, x**2),
    ]
    compute, off, bowl = (
        np.concatenate([np.broadcast_to(part[i], part[1].shape) for part in parts]) for i in range(3)
    )
    study = study_of(table_of(compute, 1e8 * np.exp(off), 3 + 0.1 * bowl), IsoFlopRequest(replicates=100))
    reasons = optimum_frame(study.optima)["reason"].to_list()
    assert "below the smallest" in reasons[0]
    assert "above the largest" in reasons[1]
    assert reasons[2] == "2 sizes: a parabola needs 3"
    assert reasons[3] == "the losses do not curve upwards: no minimum"
    assert reasons[4] == ""
    assert {one.approach for one in study.refused} >= {UNWEIGHTED, WEIGHTED}
    assert "1 of 5 budgets have an optimum inside their sizes; a power law needs 2" in study.summary()
    assert any("4 of 5 budgets" in warning for warning in study.warnings)
    assert optimum_frame(study.optima)["size"].to_list()[:4] == [None] * 4


def test_a_vertex_that_nothing_brackets_is_refused():
    x = np.linspace(0, 2, 8)
    loss = 3 + 0.1 * (x - 0.3) ** 2
    loss[0] -= 0.02
    table = table_of(np.full(8, 1e18), 1e8 * np.exp(x), loss)
    assert "nothing beyond brackets it" in optima_of(table).refused[0]


def test_bad_rows_are_left_out_and_stand_in_the_result():
    table = on_parabolas(noise=1e-3, random=np.random.default_rng(0))
    rows = pl.concat([table.rows, table.rows[:1], table.rows[:2].with_columns(L=pl.Series([-1.0, None]))])
    study = study_of(table_of(*(rows[name].to_numpy() for name in "CNL")), IsoFlopRequest(replicates=100))
    reasons = {one.reason.partition(":")[0] for one in study.table.dropped}
    assert reasons == {"L is not positive", "L is not a number", "duplicate"}
    assert "3 rows were left out" in study.warnings
    assert study.optima.budgets.present.sum() == len(table.rows)


def test_one_budget_and_three_sizes_a_budget_say_what_is_missing():
    x = np.array([-1.0, 0.1, 1.0])
    one = study_of(table_of(np.full(3, 1e18), 1e8 * np.exp(x), 3 + x**2))
    assert not one.laws
    assert {refused.approach for refused in one.refused} == {
        "1: envelope",
        UNWEIGHTED,
        WEIGHTED,
        "3: surface",
    }
    compute = np.repeat([1e18, 1e19], 3)
    two = study_of(table_of(compute, np.tile(1e8 * np.exp(x), 2), np.tile(3 + x**2, 2)))
    assert approach(two, UNWEIGHTED).size.exponent.low is None
    assert any("nothing has an interval" in warning for warning in two.warnings)
    assert any("two optima" in warning for warning in two.warnings)
    assert "no known uncertainty" in next(r.reason for r in two.refused if r.approach == WEIGHTED)


def test_compute_within_the_tolerance_is_one_budget_and_chains_are_cut():
    compute = np.array([1.0, 1.008, 1.016, 1.02, 2.0])
    table = table_of(1e18 * compute, np.geomspace(1e7, 1e8, 5), np.full(5, 3.0))
    assert group_budgets(table.rows, 0.01).present.sum(axis=1).tolist() == [2, 2, 1]
    assert group_budgets(table.rows, 0.05).present.sum(axis=1).tolist() == [4, 1]
    assert group_budgets(table.rows, 0.0).present.sum(axis=1).tolist() == [1] * 5


def test_measured_tokens_need_not_add_up_and_tying_them_takes_the_mean():
    table = on_parabolas(noise=1e-3, random=np.random.default_rng(2))
    rows = table.rows.with_columns(D=pl.col("D") * (pl.col("C") / 1e18) ** 0.05)
    study = study_of(RunTable(rows, (), (), "made up"), IsoFlopRequest(replicates=100))
    law = approach(study, UNWEIGHTED)
    assert law.size.slope + law.tokens.slope == pytest.approx(1.05, abs=1e-6)
    assert law.tied.slope == pytest.approx(law.size.slope - 0.025, abs=1e-6)
    assert any("need not be 1" in note for note in study.table.notes)


def test_optima_off_the_line_are_noticed():
    table = on_parabolas(noise=3e-4, random=np.random.default_rng(4))
    bent = np.repeat([1.0, 1.3, 0.8, 1.3, 1.0], 9)
    rows = table.rows.with_columns(N=pl.col("N") * bent, D=pl.col("D") / bent)
    straight, crooked = (
        study_of(one, IsoFlopRequest(replicates=400)) for one in (table, RunTable(rows, (), (), "bent"))
    )
    assert approach(straight, UNWEIGHTED).excess_p > 0.05
    law = approach(crooked, UNWEIGHTED)
    assert law.excess_p < 0.01
    assert law.scatter.high - law.scatter.low > 3 * (law.size.exponent.high - law.size.exponent.low)
    assert any("believe the interval by scatter" in warning for warning in crooked.warnings)


def test_frames_have_what_figures_need():
    study = study_of(
        on_parabolas(noise=1e-3, random=np.random.default_rng(5)), IsoFlopRequest(replicates=100)
    )
    points, curves, optima = (frame(study.optima) for frame in (point_frame, curve_frame, optimum_frame))
    assert len(points) == 45
    nearest = points.filter(pl.col("used"))
    fitted = curves.filter(pl.col("compute") == curves["compute"][0])
    assert fitted["loss"].min() == pytest.approx(optima["loss"][0], rel=1e-3)
    assert nearest["size"].min() == pytest.approx(curves["size"].min())
    lines = line_frame(study.laws, BUDGETS)
    assert set(lines["approach"]) == {law.approach for law in study.laws}
    plain = lines.filter(pl.col("approach") == UNWEIGHTED)
    assert (plain["size_low"] < plain["size"]).all()
    assert (plain["size"] < plain["size_high"]).all()


@pytest.fixture(scope="module")
def porian(shared_data):
    folder = shared_data / "scaling" / "porian_isoflop"
    if not folder.is_dir():
        pytest.skip(f"no IsoFLOP tables at {folder}")
    expected = json.loads((folder.parent / "EXPECTED.json").read_text())["porian_isoflop_N*_exponents"]
    del expected["cols"]
    return folder, {name.replace("kaplan-count", "kaplan"): pair for name, pair in expected.items()}


@pytest.mark.parametrize(("error", "column"), [("", 0), ("n_star_std", 1)])
def test_published_optima_give_the_published_exponents(porian, error, column):
    folder, expected = porian
    table = read_runs(folder / "optimal_pairs.csv", {"C": "flops", "N*": "n_star"})
    fits = fit_groups(table, Request("allocation", error=error), CONFIGURATION)
    assert {fit.fit.group for fit in fits} == set(expected)
    for fit in fits:
        assert fit.params["a"] == pytest.approx(expected[fit.fit.group][column], abs=1e-4)
        assert fit.fit.intervals["a"].covers(fit.params["a"])


@pytest.mark.slow
def test_own_parabolas_come_near_the_published_exponents(porian):
    """Porian et al. interpolate and add seed noise; parabolas through 5 to 9 sizes differ by up to 0.03."""
    folder, expected = porian
    table = read_runs(folder / "isoflop_points.csv", {"C": "flops", "N": "n", "D": "t", "L": "loss"})
    for study in isoflop_groups(table, IsoFlopRequest(replicates=200), CONFIGURATION):
        law = approach(study, UNWEIGHTED)
        assert law.size.slope == pytest.approx(expected[study.group][0], abs=0.03)


def test_command_prints_and_writes_a_study(tmp_path):
    table = on_surface(CHINCHILLA, points=7, reach=1.5, noise=1e-3, random=np.random.default_rng(6))
    path = tmp_path / "runs.csv"
    table.rows.rename({"C": "compute", "L": "nats"}).drop("D").write_csv(path)
    found = CliRunner().invoke(
        app,
        [
            "isoflop",
            str(path),
            "--columns",
            "C=compute,L=nats",
            "--bootstrap",
            "100",
            "--json",
            str(tmp_path / "a.json"),
        ],
    )
    assert found.exit_code == 0, found.output
    assert "optimum of each budget" in found.output
    content = json.loads((tmp_path / "a.json").read_text())
    assert len(content["budgets"]) == len(BUDGETS)
    law = next(one for one in content["approaches"] if one["approach"] == UNWEIGHTED)
    assert law["a"]["low"] < 0.28 / 0.62 < law["a"]["high"]
    assert law["a_plus_b"] == pytest.approx(1.0)
    assert any("a + b = 1 by construction" in note for note in content["notes"])
    assert content["bias"]["true_a"] == pytest.approx(0.45, abs=0.1)
