"""Groups against a reference: exponents, efficiencies at equal loss, and what is refused."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize_scalar
from typer.testing import CliRunner

from analysis import compare, read_runs
from analysis.cli import app
from analysis.comparison.bands import ratio_band
from analysis.comparison.efficiency import input_efficiencies
from analysis.comparison.slopes import transfer_efficiency
from analysis.fits.fit import fit_sample
from analysis.fits.table_fit import Request
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.kaplan import Kaplan
from analysis.laws.law import ScalingLaw
from analysis.laws.loss_to_loss import LossToLoss
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.tables.run_table import RunTable
from analysis.tables.sample import take_sample
from bench.coverage import CHINCHILLA, DESIGNS, draw, needs, outcomes, surface
from wardlaw.errors import RecordError

SIZES, BUDGETS = np.geomspace(1e7, 1e9, 5), np.geomspace(2e8, 2e10, 4)


def fitted(law, columns, target, group="A", replicates=100):
    """A law fitted to runs without noise, or with the noise that the target has."""
    rows = pl.DataFrame({"run": np.arange(len(target)), **columns, law.target: target})
    return fit_sample(law, take_sample(rows, law.inputs, law.target, group), replicates=replicates)


def exact_surfaces(law=Chinchilla, sizes=(SIZES, SIZES)):
    fits = []
    for truth, grid, name in zip(CHINCHILLA, sizes, ("Centralised", "Federated"), strict=True):
        size, tokens = (values.ravel() for values in np.meshgrid(grid, BUDGETS))
        fits.append(fitted(law(), {"N": size, "D": tokens}, surface(truth, size, tokens), name))
    return fits


def runs(rows, group="arm"):
    return RunTable(pl.DataFrame(rows).with_row_index("run"), (), (), "made up", group)


def test_parameter_efficiency_of_power_laws_is_their_closed_form():
    size = np.geomspace(1e4, 1e6, 6)
    laws = {PurePowerLaw: ((0.0, 8.0, 0.12), (0.0, 9.0, 0.12)), PowerLaw: ((1.4, 40, 0.35), (1.44, 36, 0.33))}
    for law, truths in laws.items():
        reference, group = (
            fitted(law(), {"N": size}, e + a * size**-alpha, name)
            for (e, a, alpha), name in zip(truths, "ab", strict=True)
        )
        (found,) = input_efficiencies(group, reference)
        level = found.curve["level"].to_numpy()
        of_reference, of_group = ((a / (level - e)) ** (1 / alpha) for e, a, alpha in truths)
        np.testing.assert_allclose(found.curve["of_group"], of_group, rtol=1e-5)
        np.testing.assert_allclose(found.curve["efficiency"], of_reference / of_group, rtol=1e-5)
        assert level[0] == pytest.approx(min(one.law.predict(size)[0] for one in (reference, group)))
        assert level[-1] == pytest.approx(max(one.law.predict(size)[-1] for one in (reference, group)))
        assert set(found.curve["extrapolates"]) == {""}
        assert found.held == {}


def test_efficiencies_of_a_joint_law_are_their_closed_forms_at_the_largest_common_inputs():
    reference, group = exact_surfaces(sizes=(SIZES, SIZES[:-1]))
    design = DESIGNS["grid-2-seeds"]
    found = {one.kind: one for one in input_efficiencies(group, reference, levels=[design.level])}
    assert found["parameter"].held == {"D": BUDGETS[-1]}
    assert found["data"].held == {"N": SIZES[-2]}
    assert found["compute"].held == {}
    for kind, one in found.items():
        row = one.curve.row(by_predicate=pl.col("level") == design.level, named=True)
        of_reference, of_group = (needs(design, truth, kind, one.held) for truth in CHINCHILLA)
        assert row["of_reference"] == pytest.approx(of_reference, rel=1e-4)
        assert row["efficiency"] == pytest.approx(of_reference / of_group, rel=1e-4)


def test_compute_of_a_law_that_is_no_sum_of_powers_is_the_lowest_of_all_splits():
    size, tokens = (values.ravel() for values in np.meshgrid(SIZES, BUDGETS))
    loss = 1.7 + ((1e7 / size) ** (0.34 / 0.28) + 1e7 / tokens) ** 0.28
    fit = fitted(Kaplan(), {"N": size, "D": tokens}, loss)
    curve = input_efficiencies(fit, fit)[-1].curve
    np.testing.assert_allclose(curve["efficiency"], 1.0)
    for level, compute in curve.select("level", "of_group").rows():

        def split(log_size, compute=compute):
            size = np.exp(log_size)
            return float(fit.law.predict([[size, compute / (6 * size)]])[0])

        lowest = minimize_scalar(split, bounds=np.log([1e4, 1e12]), options={"xatol": 1e-9})
        assert lowest.fun == pytest.approx(level, rel=1e-6)


def test_a_loss_below_the_irreducible_one_has_no_efficiency_and_says_why():
    reference, group = exact_surfaces()
    levels = [2.0, 1.72]
    found = {
        one.kind: one.curve.filter(pl.col("level").is_in(levels))
        for one in input_efficiencies(group, reference, levels=levels)
    }
    far, never = found["compute"].iter_rows(named=True)
    assert far["efficiency"] > 0
    assert far["extrapolates"] == "Federated and Centralised"
    assert far["reason"] == ""
    assert never["efficiency"] is None
    assert never["of_group"] is None
    assert never["of_reference"] > far["of_reference"]
    assert never["reason"] == "Federated never gets so low, however large its C"


def test_bands_count_replicates_without_an_efficiency():
    ratios = np.array([[1.0, 0.0, np.nan], [2.0, 3.0, 2.0], [np.inf, 4.0, 2.0]] * 100)
    band = ratio_band(ratios, 1000)
    np.testing.assert_array_equal(band.low, [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(band.high, [np.inf, 4.0, np.inf])
    np.testing.assert_allclose(band.defined, [2 / 3, 2 / 3, 2 / 3])
    smooth = np.random.default_rng(0).normal(10, 1, size=(100_000, 1))
    assert ratio_band(smooth, 10_000).low[0] == pytest.approx(10 - 1.96, abs=0.03)


def test_transfer_efficiency_is_the_ratio_of_slopes():
    losses = np.linspace(2.0, 4.0, 9)
    fits = [
        fitted(LossToLoss(), {"L_x": losses}, k * (losses - 1.2) ** kappa + 0.8, name)
        for k, kappa, name in ((0.7, 1.1, "self-supervised"), (0.5, 0.8, "supervised"))
    ]
    found = transfer_efficiency(*fits, levels=[1.0])
    within = found.curve.filter(pl.col("level") >= 2)
    above = within["level"].to_numpy() - 1.2
    np.testing.assert_allclose(within["of_group"], 0.7 * 1.1 * above**0.1, rtol=1e-4)
    np.testing.assert_allclose(within["efficiency"], 0.77 * above**0.1 / (0.4 * above**-0.2), rtol=1e-4)
    outside = found.curve.row(-1, named=True)
    assert outside["efficiency"] is None
    assert "not defined below its E_x" in outside["reason"]


def test_replicates_with_inputs_of_their_own_are_predicted_one_by_one():
    fit = exact_surfaces()[0]
    random = np.random.default_rng(0)
    theta = fit.law.theta_ + 0.01 * random.normal(size=(7, 5))
    inputs = np.exp(random.uniform(15, 20, size=(7, 3, 2)))
    np.testing.assert_allclose(
        fit.law.predict_each(inputs, theta), ScalingLaw.predict_each(fit.law, inputs, theta), rtol=1e-13
    )


@pytest.mark.parametrize("name", ["sizes-2-seeds-pure", "24-single-runs"])
def test_pairing_does_not_depend_on_the_order_of_the_table(name):
    table = draw(DESIGNS[name], 0)
    shuffled = RunTable(table.rows.sample(fraction=1, shuffle=True, seed=1), (), (), "made up", "arm")
    request = Request(DESIGNS[name].law, replicates=200)
    first, second = (
        compare(one, reference="Centralised", law=request).contrasts[0] for one in (table, shuffled)
    )
    assert first.paired == len(table.rows) // 2
    assert second.exponents["alpha"].low == pytest.approx(first.exponents["alpha"].low, rel=1e-6)
    assert second.exponents["alpha"].high == pytest.approx(first.exponents["alpha"].high, rel=1e-6)


def test_groups_of_one_truth_and_noise_do_not_differ():
    rows = draw(DESIGNS["sizes-2-seeds-pure"], 0).rows.filter(pl.col("arm") == "Centralised")
    twice = pl.concat([rows.with_columns(arm=pl.lit(name)) for name in ("a", "b")])
    found = compare(RunTable(twice, (), (), "made up", "arm"), reference="a", law="pure-power")
    difference = found.contrasts[0].exponents["alpha"]
    assert difference.low == pytest.approx(0, abs=1e-9)
    assert difference.high == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(found.curves["low"], 1.0, rtol=1e-6)
    np.testing.assert_allclose(found.curves["efficiency"], 1.0, rtol=1e-6)


def test_intervals_hold_a_known_shift_in_enough_of_a_few_draws():
    """At 95 % coverage fewer than 34 of 40 have probability 0.3 %."""
    assert held_shifts("sizes-2-seeds-pure", 40)["difference in alpha"] >= 34


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["grid-2-seeds", "48-single-runs", "48-single-runs-uneven", "grid-2-seeds-heavy"]
)
def test_intervals_hold_a_known_shift_in_93_of_100_draws(name):
    held = held_shifts(name, 100)
    assert held["difference in alpha"] >= 93
    assert held["difference in beta"] >= 93


def held_shifts(name, draws):
    found = [outcome for number in range(draws) for outcome in outcomes(DESIGNS[name], number, 400)]
    return {quantity: sum(holds for one, holds, _ in found if one == quantity) for quantity, *_ in found}


def test_records_are_compared_by_the_command(study, tmp_path):
    written = tmp_path / "comparison.json"
    arguments = ["compare", str(study), "--reference", "Centralised", "--law", "power", "--bootstrap", "200"]
    result = CliRunner().invoke(app, [*arguments, "--against", "FedAvg", "--json", str(written)])
    assert result.exit_code == 0, result.output
    assert "arm, against Centralised" in result.output
    assert "our definition" in result.output
    content = json.loads(written.read_text())
    (contrast,) = content["contrasts"]
    assert contrast["group"] == "FedAvg"
    difference = contrast["exponent_differences"]["alpha"]
    assert difference["low"] < 0 < difference["high"]
    assert contrast["paired_runs"] == 10
    (efficiency,) = contrast["efficiencies"]
    assert 0.3 < efficiency["curve"][0]["efficiency"] < 1
    assert set(content["fits"]) == {"Centralised", "FedAvg"}


def test_curves_are_one_tidy_table(study):
    found = compare(read_runs(study), reference="Centralised", law=Request("power", replicates=200))
    assert [contrast.group for contrast in found.contrasts] == ["Local", "FedAvg", "FedProx"]
    assert found.curves.columns[:4] == ["group", "reference", "kind", "level"]
    assert set(found.curves["reference"]) == {"Centralised"}
    assert "efficiency" in found.summary()


def test_numbers_name_groups_however_they_are_written():
    size, seed = np.repeat(np.geomspace(1e4, 1e6, 4), 2), np.tile([0, 1], 4)
    groups = [
        pl.DataFrame({"epsilon": epsilon, "N": size, "seed": seed, "L": a * size**-0.1 * (1 + 0.01 * seed)})
        for epsilon, a in ((np.inf, 8.0), (8.0, 9.0))
    ]
    table = runs(pl.concat(groups), "")
    found = compare(table, group="epsilon", reference="inf", against=["8"], law="pure-power")
    assert found.contrasts[0].group == "8.0"


def test_no_common_losses_and_no_intervals_are_said():
    size = np.geomspace(1e4, 1e6, 5)
    groups = [
        pl.DataFrame({"arm": arm, "N": size, "L": a * size**-0.1}) for arm, a in (("a", 8.0), ("b", 30.0))
    ]
    found = compare(runs(pl.concat(groups)), reference="a", law="pure-power")
    (contrast,) = found.contrasts
    assert contrast.exponents["alpha"].low is None
    assert contrast.efficiencies[0].curve.is_empty()
    text = found.summary()
    assert "no common losses for parameter efficiency" in text
    assert "no interval of a difference" in text


def test_an_objective_that_is_flat_between_seeds_is_said():
    """Two seeds far apart at each of four sizes: every curve between them has one sum of absolute errors."""
    size, seed = np.repeat(np.geomspace(1e4, 1e6, 4), 2), np.tile([0, 1], 4)
    groups = [
        pl.DataFrame({"arm": arm, "N": size, "seed": seed, "L": (1.4 + 40 * size**-0.35) * (1 + 0.02 * seed)})
        for arm in ("a", "b")
    ]
    table = runs(pl.concat(groups))
    absolute, squares = (
        compare(table, reference="a", law=Request("power", objective=name, replicates=100))
        for name in ("huber-log", "squares-log")
    )
    told = "alpha could be 10 % larger or smaller at the same objective"
    for name in ("a", "b"):
        assert any(told in warning for warning in absolute.to_json()["fits"][name]["warnings"])
    assert not any("larger or smaller" in one for contrast in absolute.contrasts for one in contrast.warnings)
    assert absolute.summary().count("! a, b: alpha could be 10 %") == 1
    assert "larger or smaller" not in squares.summary()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"group": "model", "reference": "a"}, "no column 'model'"),
        ({"reference": "c"}, "no run has arm = 'c'"),
        ({"reference": "a", "against": ["d"]}, "no run has arm = 'd'"),
        ({"reference": "a", "against": ["a"]}, "is the reference itself"),
        ({"reference": "a", "held": {"D": 1e6}}, "has no input D to hold"),
        ({"reference": "a", "held": {"N": -1.0}}, "N must be positive"),
        ({"reference": "a", "law": "chinchilla"}, "there is no column for D"),
        ({"reference": "a", "law": "power"}, "the runs with arm = 'b' cannot be compared"),
    ],
)
def test_what_cannot_be_compared_is_refused(settings, message):
    size = [1e4, 1e5, 1e6, 1e7, 1e4, 1e5]
    loss = [3.0, 2.5, 2.1, 1.9, 3.1, 2.6]
    table = runs({"arm": list("aaaabb"), "N": size, "L": loss})
    with pytest.raises(RecordError, match=message):
        compare(table, **{"law": "pure-power", **settings})


def test_a_table_without_groups_is_refused():
    table = runs({"N": [1e4, 1e5], "L": [3.0, 2.5], "kind": ["a", "a"]}, "")
    with pytest.raises(RecordError, match="no column tells the groups apart"):
        compare(table, reference="a", law="pure-power")
    with pytest.raises(RecordError, match="only value of kind"):
        compare(table, group="kind", reference="a", law="pure-power")
