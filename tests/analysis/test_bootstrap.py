"""Intervals: their coverage on a known law, and what they say without replicates."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import t

from analysis.comparison.exponents import exponent_difference
from analysis.comparison.gaps import closed_share, gaps, size_means
from analysis.fits.fit import fit_sample
from analysis.laws.power_law import PowerLaw, PurePowerLaw
from analysis.solvers.objective import LOG_SQUARES
from analysis.tables.sample import take_sample
from analysis.uncertainty.bootstrap import POOLED_DEVIATIONS, resample, seed_noise
from analysis.uncertainty.intervals import percentile_interval

SIZES = (10_000, 40_000, 150_000, 330_000, 1_000_000)
LOSS = "loss_per_token"


def made_up(arm, truth, *, seeds=2, noise=0.003, random, sizes=SIZES, shared=None):
    """Runs of one arm; ``shared`` is noise that arms of one seed have in common, a row a run."""
    floor, a, alpha = truth
    size = np.repeat(sizes, seeds)
    own = random.normal(size=len(size))
    error = own if shared is None else 0.8 * shared + 0.6 * own
    return pl.DataFrame(
        {
            "arm": arm,
            "run": np.arange(len(size)).astype(str),
            "parameters": size,
            "tokens": 409_600,
            "N": size,
            "D": 409_600,
            "seed": np.tile(np.arange(seeds), len(sizes)),
            LOSS: (floor + a * size**-alpha) * np.exp(noise * error),
        }
    )


def sampled(table):
    return take_sample(table, ("N",), LOSS, table["arm"][0])


def test_intervals_of_the_exponent_cover_the_truth_with_two_seeds_a_size():
    """Of 40 draws 38 should be covered; fewer than 34 has probability 0.3 % at 95 % coverage."""
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(40):
        table = made_up("FedAvg", (1.4, 40.0, 0.35), random=random)
        fit = fit_sample(PowerLaw(), sampled(table), replicates=400, seed=0)
        interval = fit.intervals["alpha"]
        covered += interval.low <= 0.35 <= interval.high
    assert covered >= 34


def test_exponent_difference_covers_a_known_shift_and_pairing_narrows_it():
    random = np.random.default_rng(6)
    covered, paired, unpaired = 0, [], []
    for _ in range(20):
        shared = random.normal(size=2 * len(SIZES))
        one = made_up("Centralised", (0.0, 8.0, 0.12), random=random, shared=shared)
        two = made_up("FedAvg", (0.0, 9.0, 0.13), random=random, shared=shared)
        fits = [fit_sample(PurePowerLaw(), sampled(table), replicates=500, seed=0) for table in (one, two)]
        other = fit_sample(PurePowerLaw(), sampled(two), replicates=500, seed=1)
        difference = exponent_difference(fits[1], fits[0])
        covered += difference.low <= 0.01 <= difference.high
        paired.append(difference.high - difference.low)
        independent = exponent_difference(other, fits[0])
        unpaired.append(independent.high - independent.low)
    assert covered >= 16
    assert np.median(paired) < 0.85 * np.median(unpaired)


def test_seed_noise_is_the_pooled_deviation():
    table = made_up("Local", (1.4, 40.0, 0.35), seeds=400, random=np.random.default_rng(1))
    noise = seed_noise(sampled(table))
    assert noise.degrees == 5 * 399
    assert noise.deviation == pytest.approx(0.003, rel=0.05)
    logs = np.log(table[LOSS].to_numpy()).reshape(5, 400)
    assert noise.deviation == pytest.approx(np.sqrt(logs.var(axis=1, ddof=1).mean()))


def test_replicates_of_a_size_mean_have_the_variance_of_a_mean_of_seeds():
    """A plain bootstrap within two seeds has half of it."""
    table = made_up("Local", (1.4, 40.0, 0.35), random=np.random.default_rng(2))
    resamples = resample(sampled(table), 20_000, 0)
    deviation = seed_noise(sampled(table)).deviation
    means = size_means(table, LOSS, resamples)
    replicates = np.log(means.replicates / means.mean) / resamples.scale[:, None]
    assert replicates.std(axis=0) == pytest.approx(np.full(5, deviation / np.sqrt(2)), rel=0.03)


def test_one_seed_a_size_gives_profile_intervals_and_says_so():
    table = made_up("FedAvg", (1.4, 40.0, 0.35), seeds=1, random=np.random.default_rng(0))
    fit = fit_sample(PowerLaw(), sampled(table), replicates=50, seed=0)
    assert "profile likelihood" in fit.interval_method
    assert any("no bootstrap: no size has two seeds" in warning for warning in fit.warnings)
    assert np.isnan(fit.band(np.array([1e5]))[1]).all()


def test_many_single_runs_are_drawn_whole():
    sizes = tuple(np.geomspace(1e4, 1e7, 24).astype(int))
    table = made_up("FedAvg", (1.4, 40.0, 0.35), seeds=1, sizes=sizes, random=np.random.default_rng(0))
    fit = fit_sample(PowerLaw(), sampled(table), replicates=300, seed=0)
    assert fit.resamples.method == "bootstrap of whole runs over all sizes"
    assert fit.intervals["alpha"].low < 0.35 < fit.intervals["alpha"].high
    assert size_means(table, LOSS, fit.resamples).replicates is None


def test_a_curve_that_is_no_power_law_is_flagged():
    table = made_up("FedAvg", (1.4, 40.0, 0.35), random=np.random.default_rng(1), noise=1e-3)
    bent = table.with_columns(pl.col(LOSS) * (1 + 0.03 * (pl.col("parameters") == 150_000)))
    straight, crooked = (
        fit_sample(PowerLaw(), sampled(runs), replicates=50, seed=0) for runs in (table, bent)
    )
    assert straight.misfit > 0.05
    assert crooked.misfit < 0.05
    assert any("more than seed noise explains" in warning for warning in crooked.warnings)


def test_percentile_levels_widen_with_fewer_degrees_of_freedom():
    replicates = np.random.default_rng(0).normal(size=200_000)
    many = percentile_interval(0.0, replicates, 10_000)
    few = percentile_interval(0.0, replicates, 4)
    assert many.high == pytest.approx(1.96, abs=0.03)
    assert few.high == pytest.approx(2.776, abs=0.06)


def test_gap_and_closed_share_against_hand_computed_values():
    def exact(arm, loss):
        return made_up(arm, (loss, 0.0, 1.0), noise=1e-9, random=np.random.default_rng(0), sizes=(10, 20, 30))

    tables = {"Centralised": exact("Centralised", 2.0), "Local": exact("Local", 3.0)}
    tables["FedAvg"] = exact("FedAvg", 2.2)
    means = {arm: size_means(table, LOSS, resample(sampled(table), 100, 0)) for arm, table in tables.items()}
    gap = gaps("FedAvg", means["FedAvg"], "Centralised", means["Centralised"])[0]
    assert gap.absolute.estimate == pytest.approx(0.2)
    assert gap.percent.estimate == pytest.approx(10.0)
    assert gap.seeds == 2
    share = closed_share(means["FedAvg"], means["Local"], means["Centralised"], (10, 409_600))
    assert share.estimate == pytest.approx(80.0)
    assert share.low <= share.estimate <= share.high
    assert closed_share(means["FedAvg"], means["Centralised"], means["Local"], (10, 409_600)) is None


@pytest.mark.parametrize(("sizes", "few"), [(2, 0.85), (3, 0.9), (5, 0.93)])
def test_interval_of_a_straight_line_is_students_whatever_the_degrees_of_freedom(sizes, few):
    """Least squares of a line, whose noise is known from the seeds alone, has an exact interval."""
    ratios = []
    for draw in range(12):
        table = made_up(
            "one",
            (0.0, 8.0, 0.12),
            sizes=np.geomspace(1e4, 1e6, sizes).astype(int),
            random=np.random.default_rng([8, draw]),
        )
        fit = fit_sample(PurePowerLaw(LOG_SQUARES), sampled(table), replicates=4000, seed=draw)
        logs = np.log(table["N"].to_numpy())
        error = fit.noise.deviation / np.sqrt(((logs - logs.mean()) ** 2).sum())
        interval = fit.intervals["alpha"]
        ratios.append((interval.high - interval.low) / (2 * t.ppf(0.975, sizes) * error))
    assert few < np.median(ratios) < 1.08


def test_groups_draw_one_scale_of_the_noise():
    random = np.random.default_rng(3)
    one, two = (sampled(made_up(arm, (1.4, 40.0, 0.35), random=random)) for arm in ("one", "two"))
    np.testing.assert_array_equal(resample(one, 50, 0).scale, resample(two, 50, 0).scale)
    assert np.unique(resample(one, 50, 0).scale).size == 50


def test_rows_in_another_order_are_drawn_by_the_same_numbers():
    table = made_up("one", (1.4, 40.0, 0.35), random=np.random.default_rng(4))
    order = np.random.default_rng(5).permutation(len(table))
    in_order, shuffled = resample(sampled(table), 20, 0), resample(sampled(table[order]), 20, 0)
    np.testing.assert_allclose(shuffled.target, in_order.target[:, order])


def replicated(counts):
    """Runs at as many sizes as counts, with so many seeds each."""
    sizes = np.geomspace(1e4, 1e6, len(counts)).astype(int)
    parts = [
        made_up("one", (1.4, 40.0, 0.35), seeds=count, sizes=(size,), random=np.random.default_rng(place))
        for place, (size, count) in enumerate(zip(sizes, counts, strict=True))
    ]
    return sampled(pl.concat(parts).with_columns(run=pl.int_range(pl.len()).cast(pl.String)))


@pytest.mark.parametrize(
    ("counts", "pooled"),
    [
        ((1, 1, 1, 1, 6, 1, 1, 1, 1, 1), False),
        ((2, 2, 1, 1), False),
        ((1, 2, 2, 1), False),
        ((2, 1, 1, 2), True),
        ((2, 1, 1, 1, 2), False),
        ((2, 2, 2, 1), False),
        ((2, 1, 2), True),
        ((2, 2, 2, 2), True),
    ],
)
def test_seeds_speak_for_all_sizes_where_half_have_them_and_both_ends(counts, pooled):
    resamples = resample(replicated(counts), 10, 0)
    assert (resamples is not None and resamples.method == POOLED_DEVIATIONS) is pooled


def test_a_few_seeds_in_the_middle_are_said_to_be_too_few():
    fit = fit_sample(PowerLaw(LOG_SQUARES), replicated((1, 1, 6, 1, 1)), replicates=50)
    assert any("two seeds at 1 of 5 sizes" in warning for warning in fit.warnings)
    assert not any("no size has two seeds" in warning for warning in fit.warnings)


def test_a_sweep_is_not_taken_for_seeds():
    """Four learning rates at each of five sizes, without a column of seeds."""
    table = made_up("one", (1.4, 40.0, 0.35), seeds=4, random=np.random.default_rng(6)).drop("seed")
    rates = table.with_columns(learning_rate=pl.Series(np.tile([1e-4, 3e-4, 1e-3, 3e-3], 5)))
    fits = [fit_sample(PowerLaw(LOG_SQUARES), sampled(rows), replicates=50) for rows in (table, rates)]
    assert [fit.noise.degrees for fit in fits] == [15, 0]
    assert fits[1].noise.deviation is None
    assert fits[1].misfit is None
    assert any("differ in learning_rate: they are no seeds" in warning for warning in fits[1].warnings)
    assert not any("they are no seeds" in warning for warning in fits[0].warnings)


def test_measurements_beside_the_loss_do_not_make_a_sweep_and_equal_seeds_do():
    table = made_up("one", (1.4, 40.0, 0.35), random=np.random.default_rng(7))
    measured = table.drop("seed").with_columns(accuracy=1 - pl.col(LOSS) / 9, copy=pl.col(LOSS))
    assert sampled(measured).sweeps == ()
    assert sampled(table.with_columns(seed=pl.lit(0))).sweeps == ("nothing that is recorded",)
    assert sampled(table.with_columns(rate=pl.col("seed"))).sweeps == ()
    assert sampled(table.with_columns(rate=pl.col("seed"), seed=pl.lit(0))).sweeps == ("rate",)


def test_what_a_law_does_not_see_costs_lack_of_fit_no_degrees_of_freedom():
    """Local steps that change nothing: twice as many points as sizes, and still 5 % rejected."""
    rejected = 0
    for draw in range(40):
        random = np.random.default_rng([9, draw])
        halves = [made_up("one", (0.0, 8.0, 0.12), random=random).with_columns(H=pl.lit(h)) for h in (1, 30)]
        table = pl.concat(halves).with_columns(run=pl.int_range(pl.len()).cast(pl.String))
        rejected += fit_sample(PurePowerLaw(LOG_SQUARES), sampled(table), replicates=2).is_misfit
    assert rejected <= 7


def test_deviations_of_weighted_runs_are_standardised():
    """Noise ten times as large at half of the sizes, and weights that say so."""
    random = np.random.default_rng(10)
    size = np.repeat(np.geomspace(1e4, 1e6, 20).round(), 4)
    error = np.where(np.arange(80) % 8 < 4, 0.001, 0.01)
    loss = 8 * size**-0.12 * np.exp(error * random.normal(size=80))
    rows = pl.DataFrame({"N": size, "L": loss, "error": error, "seed": np.tile(np.arange(4), 20)})
    sample = take_sample(rows.with_row_index("run"), ("N",), "L", error="error")
    resamples = resample(sample, 4000, 0)
    means = np.log(loss).reshape(20, 4).mean(axis=1).repeat(4)
    drawn = (np.log(resamples.target) - means) / resamples.scale[:, None]
    assert drawn.std(axis=0) == pytest.approx(error, rel=0.25)
    assert seed_noise(sample).deviation * sample.weight**-0.5 == pytest.approx(error, rel=0.25)
    fit = fit_sample(PurePowerLaw(LOG_SQUARES), sample, replicates=50)
    assert fit.residuals.std() * sample.weight**-0.5 == pytest.approx(error, rel=0.25)
    assert fit.misfit > 0.001
