"""Design-space studies on made-up runs whose causes are known, and each statistic against another way."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.stats import false_discovery_control, pearsonr, spearmanr
from typer.testing import CliRunner

from analysis import analyse_importance, read_runs
from analysis.cli import app
from analysis.importance.configurations import number_nearly_equal
from analysis.importance.forest import deal_folds, fit_forests
from analysis.importance.from_table import take_design_space
from analysis.importance.pareto import on_front
from analysis.importance.permutation import REPEATS, permutation_importances, shuffles
from analysis.importance.rank_correlation import holm, rank_correlations
from wardlaw.errors import RecordError
from wardlaw.seeds import generator

FEATURES = ["optimizer", "depth", "learning_rate", "colour"]


def synthetic_space(runs: int = 180) -> pl.DataFrame:
    """SYNTHETIC: the optimiser sets the score; depth adds a little; learning rate and colour nothing."""
    random = np.random.default_rng(7)
    optimizer = np.array(["sgd", "sgdm", "adamw"])[np.arange(runs) % 3]
    base = {"sgd": 0.40, "sgdm": 0.55, "adamw": 0.66}
    depth = random.integers(4, 21, runs)
    score = (
        np.array([base[name] for name in optimizer]) + 0.002 * depth + random.normal(scale=0.015, size=runs)
    )
    return pl.DataFrame(
        {
            "optimizer": optimizer,
            "depth": depth,
            # No two within 1 %: each run is a configuration of its own.
            "learning_rate": np.geomspace(1e-4, 1e-2, runs)[random.uniform(size=runs).argsort()],
            "colour": random.choice(["red", "green", "blue", "grey"], runs),
            "flops": 10 ** random.uniform(8, 10, runs),
            "score": score,
        }
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("synthetic") / "space.csv"
    synthetic_space().write_csv(path)
    return read_runs(path)


@pytest.fixture(scope="module")
def study(table):
    return analyse_importance(table, "score", FEATURES, within="optimizer", flops="flops", maximise=True)


def test_a_high_r_over_all_runs_does_not_hide_a_low_one_within(study):
    pooled, about, *groups = study.agreement
    assert (pooled.scope, about.scope) == ("all", "within")
    assert [one.group for one in groups] == ["sgd", "sgdm", "adamw"]
    assert pooled.pearson.estimate > 0.95
    assert pooled.pearson.low > 0.9
    assert max(one.pearson.estimate for one in (about, *groups)) < 0.7
    assert all(one.pearson.low < one.pearson.estimate < one.pearson.high for one in groups)
    assert study.warnings[0].startswith("r = 0.9")
    assert "within optimizer = adamw" in study.warnings[0]


def test_agreement_is_that_of_scipy_on_the_predictions(study):
    rows = study.predictions
    for one in study.agreement:
        if one.scope == "within":
            mean = pl.col("measured", "predicted") - pl.col("measured", "predicted").mean().over("group")
            chosen = rows.with_columns(mean)
        else:
            chosen = rows if one.group is None else rows.filter(group=one.group)
        measured, predicted = chosen["measured"].to_numpy(), chosen["predicted"].to_numpy()
        assert one.pearson.estimate == pytest.approx(pearsonr(measured, predicted).statistic, abs=1e-12)
        assert one.explained == pytest.approx(1 - np.mean((measured - predicted) ** 2) / measured.var())


def test_the_interval_of_r_is_near_fishers_where_that_holds(study):
    """Within one optimiser metric and predictions are near normal, so Fisher's z must be close."""
    one = study.agreement[-1]
    z, half = np.arctanh(one.pearson.estimate), 1.96 / np.sqrt(one.runs - 3)
    fisher = np.tanh([z - half, z + half])
    assert (one.pearson.low, one.pearson.high) == pytest.approx(fisher, abs=0.1)


def test_permutation_finds_what_matters_and_not_what_does_not(study):
    rows = study.importance_table.filter(pl.col("group").is_null())
    found = {row["feature"]: row for row in rows.to_dicts()}
    assert found["optimizer"]["permutation"] > 1
    assert found["optimizer"]["impurity"] > 0.9
    assert found["depth"]["low"] > 0
    for name in ("learning_rate", "colour"):
        assert abs(found[name]["permutation"]) < 0.02
        assert found[name]["low"] < found["depth"]["low"]
    assert rows["impurity"].sum() == pytest.approx(1.0)
    assert set(rows["feature"]) == set(FEATURES)


def test_within_one_optimiser_depth_comes_first(study):
    rows = study.importance_table.filter(group="adamw")
    best = rows.sort("permutation", descending=True, nulls_last=True).row(0, named=True)
    assert best["feature"] == "depth"
    assert best["permutation"] > 0.2
    assert rows.filter(feature="optimizer")["permutation"].to_list() == [None]


def test_permutation_importance_is_that_of_a_loop(table):
    """One fold and one permutation at a time, with the permutations that the study draws."""
    space = take_design_space(table, "score", ["optimizer", "depth"])
    forests = fit_forests(space, 3, seed=1)
    found = {one.feature: one.rise.estimate for one in permutation_importances(space, forests, 100, seed=1)}
    y = space.metric

    def squared_error(design):
        total = 0.0
        for fold, forest in enumerate(forests.forests):
            held = forests.fold == fold
            total += ((y[held] - forest.predict(design[held])) ** 2).sum()
        return total / len(y)

    for name, columns in {"optimizer": [0, 1, 2], "depth": [3]}.items():
        order = shuffles(np.zeros(len(y), dtype=int), REPEATS, generator(1, "shuffle", name))
        rises = []
        for permutation in order:
            design = space.design.copy()
            design[:, columns] = design[permutation][:, columns]
            rises.append(squared_error(design) - squared_error(space.design))
        assert found[name] == pytest.approx(np.mean(rises) / y.var(), rel=1e-9)


def test_shuffles_stay_within_their_label():
    labels = np.array([0, 1, 0, 2, 1, 0, 2, 2])
    order = shuffles(labels, 50, np.random.default_rng(0))
    assert (labels[order] == labels).all()
    assert (np.sort(order, axis=1) == np.arange(8)).all()
    assert len(np.unique(order, axis=0)) > 20


def test_rank_correlations_are_those_of_scipy(study, table):
    rows = table.rows
    for one in study.correlations:
        chosen = rows if one.group is None else rows.filter(optimizer=one.group)
        column, _, level = one.label.partition(" = ")
        values = (chosen[column].cast(pl.String) == level) if level else chosen[column]
        if values.n_unique() == 1:
            assert np.isnan(one.rho.estimate)
            continue
        reference = spearmanr(values.to_numpy(), chosen["score"].to_numpy())
        assert one.rho.estimate == pytest.approx(reference.statistic, abs=1e-12)
        assert one.p == pytest.approx(reference.pvalue, rel=1e-6, abs=1e-300)
        assert one.adjusted_p >= one.p
        assert one.rho.low < one.rho.estimate < one.rho.high


def test_a_feature_of_many_decades_is_taken_by_its_log_and_keeps_its_ranks(tmp_path):
    rate = 10 ** np.random.default_rng(3).uniform(-6, -1, 50)
    rows = pl.DataFrame({"learning_rate": rate, "loss": 3 + (np.log10(rate) + 3) ** 2 + rate})
    rows.write_csv(tmp_path / "space.csv")
    space = take_design_space(read_runs(tmp_path / "space.csv"), "loss", ["learning_rate"])
    np.testing.assert_allclose(space.features[0].values[:, 0], np.log(rate), rtol=1e-12)
    (found,) = rank_correlations(space)
    assert found.rho.estimate == pytest.approx(spearmanr(rate, rows["loss"]).statistic, abs=1e-12)


def repeated_space(*, counted: float) -> pl.DataFrame:
    """SYNTHETIC: 24 designs of two seeds. FLOPs set the loss; each design has an error that seeds share.

    ``counted`` is by what share the FLOPs of a design differ between its seeds.
    """
    random = np.random.default_rng(5)
    flops, error = np.geomspace(1e9, 1e11, 24), random.normal(scale=0.3, size=24)
    seeds = [
        pl.DataFrame(
            {
                "flops": flops * (1 + counted * random.uniform(size=24)),
                "seed": seed,
                "loss": 4 - 0.05 * np.log(flops) + error + random.normal(scale=0.01, size=24),
            }
        )
        for seed in (0, 1)
    ]
    return pl.concat(seeds)


@pytest.mark.parametrize("counted", [0.0, 5e-4])
def test_a_seed_does_not_give_away_the_other_by_its_counted_flops(tmp_path, counted):
    repeated_space(counted=counted).write_csv(tmp_path / "space.csv")
    found = analyse_importance(read_runs(tmp_path / "space.csv"), "loss", ["flops"], replicates=100)
    assert found.space.configurations == 24
    # The forests could know a design's error only from its other seed, which explains 90 % of the variance.
    assert found.agreement[0].explained < 0.2
    assert not any("seeds are" in warning for warning in found.warnings)


def test_seeds_that_features_tell_apart_are_a_warning(tmp_path):
    repeated_space(counted=0.1).write_csv(tmp_path / "space.csv")
    found = analyse_importance(read_runs(tmp_path / "space.csv"), "loss", ["flops"], replicates=100)
    assert any("48 runs of 2 seeds are 4" in warning for warning in found.warnings)


def test_near_numbers_are_one_value_and_no_chain_joins_two():
    counted = np.array([100.0, 100.9, 101.8, 0.99, 0.999, 0.9, np.nan, 0.0, np.nan, -5.0, -4.99, 1.0, 1.001])
    assert number_nearly_equal(counted).tolist() == [7, 7, 8, 3, 4, 2, 9, 1, 9, 0, 0, 5, 6]


def test_seeds_of_one_configuration_are_no_further_evidence(tmp_path):
    once = synthetic_space(40)
    once.write_csv(tmp_path / "once.csv")
    pl.concat([once] * 5).write_csv(tmp_path / "five.csv")
    spaces = [
        take_design_space(read_runs(tmp_path / f"{name}.csv"), "score", FEATURES) for name in ("once", "five")
    ]
    for single, repeated in zip(*(rank_correlations(space) for space in spaces), strict=True):
        assert (single.runs, repeated.runs) == (40, 200)
        assert repeated.rho.estimate == pytest.approx(single.rho.estimate)
        assert repeated.p == pytest.approx(single.p)
        assert repeated.rho.high == pytest.approx(single.rho.high)


def test_holm_by_its_definition():
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, np.nan, 0.06, 0.02])
    # Never less strict than control of the false discovery rate alone.
    tested = p[~np.isnan(p)]
    assert (holm(tested) >= false_discovery_control(tested) - 1e-15).all()


def test_folds_do_not_split_a_configuration(tmp_path):
    rows = pl.concat([synthetic_space(30)] * 4)
    rows.write_csv(tmp_path / "space.csv")
    space = take_design_space(read_runs(tmp_path / "space.csv"), "score", FEATURES)
    assert space.configurations == 30
    fold = deal_folds(space.configuration, 5, seed=3)
    by_configuration = pl.DataFrame({"c": space.configuration, "fold": fold})
    assert (by_configuration.group_by("c").agg(pl.col("fold").n_unique())["fold"] == 1).all()
    assert np.bincount(fold).tolist() == [24] * 5
    assert (deal_folds(space.configuration, 5, seed=4) != fold).any()


@pytest.mark.parametrize("maximise", [False, True])
def test_the_front_is_that_of_a_loop_over_pairs(maximise):
    random = np.random.default_rng(5)
    for _ in range(20):
        # Few distinct values, so that there are ties in one and in both.
        cost, metric = random.integers(1, 8, 40).astype(float), random.integers(0, 8, 40).astype(float)
        value = -metric if maximise else metric
        expected = [
            not any(
                cost[j] <= cost[i] and value[j] <= value[i] and (cost[j] < cost[i] or value[j] < value[i])
                for j in range(40)
            )
            for i in range(40)
        ]
        assert on_front(cost, metric, maximise=maximise).tolist() == expected


def test_the_front_of_a_study_marks_every_run(study, table):
    assert len(study.pareto) == len(table.rows)
    front = study.pareto.filter("on_front")
    assert front["metric"].is_sorted()
    assert front["metric"][-1] == table.rows["score"].max()
    assert front["cost"][0] == table.rows["flops"].min()


def test_the_same_seed_gives_the_same_numbers(table):
    first, second = (
        analyse_importance(table, "score", ["depth", "colour"], folds=2, replicates=100, seed=1).to_json()
        for _ in range(2)
    )
    assert first == second


def test_a_missing_number_is_a_value_of_its_own(tmp_path):
    """SYNTHETIC: with the feature or without it decides the metric; its size adds a little."""
    random = np.random.default_rng(11)
    ratio = random.choice([0.25, 0.5, np.nan], 90)
    rows = pl.DataFrame({"se_ratio": ratio, "other": random.normal(size=90)}).with_columns(
        pl.col("se_ratio").fill_nan(None),
        loss=pl.Series(np.isnan(ratio) * 1.0 + np.nan_to_num(ratio) + random.normal(scale=0.05, size=90)),
    )
    rows.write_csv(tmp_path / "space.csv")
    found = analyse_importance(
        read_runs(tmp_path / "space.csv"), "loss", ["se_ratio", "other"], replicates=100
    )
    assert found.agreement[0].pearson.estimate > 0.95
    assert any(warning.startswith("se_ratio is missing in") for warning in found.warnings)
    assert found.correlations[0].runs == int((~np.isnan(ratio)).sum())
    assert any("of other cannot be told from 0" in warning for warning in found.warnings)


def test_noise_alone_is_called_so(tmp_path):
    random = np.random.default_rng(2)
    rows = pl.DataFrame({name: random.normal(size=60) for name in ("width", "depth", "loss")})
    rows.with_columns(flops=pl.col("width") * 2).write_csv(tmp_path / "noise.csv")
    table = read_runs(tmp_path / "noise.csv")
    found = analyse_importance(table, "loss", ["width", "flops", "depth"], flops="flops", replicates=200)
    said = " | ".join(found.warnings)
    assert "hardly better than the mean" in said
    assert "width and flops go together (rank correlation 1.00)" in said
    assert "have no positive cost" in said


def test_runs_without_a_metric_are_listed(tmp_path):
    rows = synthetic_space(40).with_row_index("i")
    worse = pl.when(pl.col("i") == 3).then(None).when(pl.col("i") == 5).then(float("nan"))
    rows.with_columns(score=worse.otherwise("score")).write_parquet(tmp_path / "space.parquet")
    found = analyse_importance(
        read_runs(tmp_path / "space.parquet"), "score", ["depth", "optimizer"], replicates=100
    )
    reasons = {run.run: run.reason for run in found.space.table.dropped}
    assert reasons == {"row 4": "score is missing", "row 6": "score is not a number"}
    assert len(found.predicted) == 38
    assert "2 rows were left out" in found.warnings
    assert "--within optimizer shows whether r holds" in " ".join(found.warnings)
    assert "left out: 1, score is missing: row 4" in found.summary()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"metric": "accuracy"}, r"--metric: there is no column 'accuracy'\. Use one of"),
        ({"features": ["depth", "dpth"]}, "--features: there is no column 'dpth'"),
        ({"features": []}, "--features: no feature was named"),
        ({"features": ["depth", "depth"]}, "depth is named twice"),
        ({"features": ["score"]}, "cannot explain itself"),
        ({"features": ["depth", "constant"]}, r"the same constant \(1\)\. Leave it out"),
        ({"features": ["name"]}, r"name has another value in each of the 30 runs\. It names runs"),
        ({"metric": "constant"}, r"all 30 runs have the same constant \(1\), so nothing can"),
        ({"metric": "name"}, "name is not a column of numbers"),
        ({"within": "kind"}, "--within: there is no column 'kind'"),
        ({"within": "depth"}, "--within: depth has 1[0-9] values in 30 runs: too few runs of each"),
        ({"features": ["optimizer"]}, r"3 distinct configurations cannot make 5 folds\. Use from 2 to 3"),
        ({"flops": "cost"}, "--flops: there is no column 'cost'"),
        ({"flops": "optimizer"}, "--flops: optimizer is not a column of numbers"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path, asked, message):
    rows = synthetic_space(30).with_columns(
        constant=pl.lit(1), name=pl.format("run {}", pl.int_range(pl.len()))
    )
    rows.write_csv(tmp_path / "space.csv")
    options = {"metric": "score", "features": ["depth", "optimizer"]} | asked
    with pytest.raises(RecordError, match=message):
        analyse_importance(read_runs(tmp_path / "space.csv"), **options)


def test_a_small_group_has_no_interval_and_is_named(tmp_path):
    rows = synthetic_space(60)
    rare = rows.with_columns(
        optimizer=pl.when(pl.int_range(pl.len()) < 4).then(pl.lit("lion")).otherwise("optimizer")
    )
    rare.write_csv(tmp_path / "space.csv")
    found = analyse_importance(
        read_runs(tmp_path / "space.csv"), "score", ["optimizer", "depth"], within="optimizer", replicates=100
    )
    (lion,) = [one for one in found.agreement if one.group == "lion"]
    assert (lion.runs, lion.pearson.low) == (4, None)
    assert any("4 within optimizer = lion" in warning for warning in found.warnings)


def test_command_on_run_records_says_what_python_says(study_records, tmp_path):
    out = tmp_path / "importance.json"
    arguments = ["importance", str(study_records), "--metric", "L", "--features", "parameters,arm"]
    result = CliRunner().invoke(
        app, [*arguments, "--flops", "C", "--folds", "4", "--bootstrap", "100", "--json", str(out)]
    )
    assert result.exit_code == 0, result.output
    found = analyse_importance(
        read_runs(study_records), "L", ["parameters", "arm"], flops="C", folds=4, replicates=100
    )
    written = json.loads(out.read_text())
    assert written == json.loads(json.dumps(found.to_json()))
    assert written["within"] == "arm"
    assert written["n"] == 24
    assert "Pareto front: least cost, smallest L" in found.summary()
    assert "parameters (number), arm (category)" in found.summary()


@pytest.fixture(scope="module")
def study_records(make_study, tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("records"), sizes=("xs", "40k", "150k"))
