"""Synthetic hospitals: sound MEDS roots, the process that was asked for, the same under one seed."""

import json

import meds.schema as meds
import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from client.ehr.meds_root import RootScan, checked_batches, is_synthetic, open_root
from client.evaluation.tasks import TASKS, label_task
from simulations.cli import app
from simulations.synthetic import hospitals as module
from simulations.synthetic.build import build_generator
from simulations.synthetic.concepts import Move, Place, all_concepts
from simulations.synthetic.gaps import gap_distribution, sample_gaps
from simulations.synthetic.hospitals import write_hospitals
from simulations.synthetic.parameters import HospitalParameters, parameters_of
from simulations.synthetic.process import NEXT_PLACE, load_generator
from simulations.synthetic.sample import sample_timelines
from wardlaw.errors import ConfigError, DataError
from wardlaw.files import file_sha256
from wardlaw.seeds import generator as stream
from wardlaw.vocabulary.hierarchy import encodings


def silent(site, patients):
    pass


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic") / "out"
    generator = build_generator(HospitalParameters(sites=3, patients=120, states=40))
    return folder, generator, write_hospitals(folder, generator, silent)


def events_of(folder):
    return pl.read_parquet(folder / "data" / "*.parquet")


def test_roots_keep_every_promise_of_meds(written):
    folder, generator, counts = written
    seen = set()
    for name in generator.sites:
        root, scan = open_root(folder / name), RootScan()
        for table in checked_batches(root, scan):
            meds.DataSchema.validate(table)
        assert scan.events == counts[name]
        assert len(scan.subjects) == 120
        assert scan.codes == set(root.codes["code"])
        assert set(root.splits["subject_id"]) == scan.subjects
        assert is_synthetic(root.dataset)
        extra = json.loads((folder / name / "metadata" / "extraction.json").read_text())
        assert extra["synthetic"] is True
        assert extra["parameters"] == generator.parameters.model_dump(by_alias=True)
        assert not seen & scan.subjects
        seen |= scan.subjects


def test_no_two_events_of_a_patient_share_a_minute(written):
    folder, generator, _ = written
    for name in generator.sites:
        timed = events_of(folder / name).filter(pl.col("time").is_not_null(), pl.col("code") != "MEDS_BIRTH")
        gaps = (
            timed.select(pl.col("time").diff().over("subject_id").dt.total_seconds()).to_series().drop_nulls()
        )
        assert gaps.min() >= 60
        assert (gaps % 60 == 0).all()


def test_the_same_seed_gives_the_same_files_and_another_other_ones(written, tmp_path):
    folder, generator, _ = written
    again, other = tmp_path / "again", tmp_path / "other"
    write_hospitals(again, build_generator(generator.parameters), silent)
    changed = generator.parameters.model_copy(update={"seed": 1})
    write_hospitals(other, build_generator(changed), silent)
    for name in generator.sites:
        files = [path / name / "data" / "00000.parquet" for path in (folder, again, other)]
        digests = [file_sha256(path) for path in files]
        assert digests[0] == digests[1] != digests[2]


def test_a_site_is_written_a_file_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FILE_PATIENTS", 16)
    told = []
    generator = build_generator(HospitalParameters(sites=1, patients=40, states=5))
    write_hospitals(tmp_path / "out", generator, lambda site, patients: told.append(patients))
    files = sorted((tmp_path / "out" / "hospital-00" / "data").iterdir())
    assert told == [16, 16, 8]
    subjects = [set(pl.read_parquet(file)["subject_id"]) for file in files]
    assert [len(some) for some in subjects] == told
    assert len(set.union(*subjects)) == 40


def test_the_generator_is_read_back_to_the_bit(written):
    folder, generator, _ = written
    read = load_generator(folder)
    assert read.parameters == generator.parameters
    assert read.codes == generator.codes
    for name, table in vars(generator.process).items():
        assert np.array_equal(getattr(read.process, name), table), name


def test_samples_follow_the_tables():
    process = build_generator(HospitalParameters(sites=2, states=6)).process
    timelines = sample_timelines(process, 1, 3000, stream(0, "check"))
    move = process.code_move[timelines.code]
    first = np.flatnonzero(np.diff(timelines.patient, prepend=-1))
    place = np.full(len(move), Place.NEW)
    for row in range(len(move)):
        if row > 0 and timelines.patient[row] == timelines.patient[row - 1]:
            place[row] = NEXT_PLACE[place[row - 1], move[row - 1]]
    assert (NEXT_PLACE[place, move] >= 0).all()
    prevalence = np.bincount(timelines.state[first], minlength=6) / len(first)
    np.testing.assert_allclose(prevalence, process.prevalence[1], atol=4 * np.sqrt(0.25 / len(first)))
    for state in range(6):
        chosen = (place == Place.WARD) & (timelines.state == state)
        expected = process.moves[Place.WARD, state, Move.CLINICAL]
        error = np.sqrt(expected * (1 - expected) / chosen.sum())
        assert (move[chosen] == Move.CLINICAL).mean() == pytest.approx(expected, abs=4.5 * error)
        clinical = chosen & (move == Move.CLINICAL)
        concepts = np.bincount(
            process.code_concept[timelines.code[clinical]], minlength=process.concepts.shape[1]
        )
        shares = np.where(process.concept_move == Move.CLINICAL, process.concepts[state], 0)
        expected_counts = shares * clinical.sum()
        often = expected_counts > 10
        squares = (concepts[often] - expected_counts[often]) ** 2 / expected_counts[often]
        degrees = often.sum()
        assert squares.sum() < degrees + 5 * np.sqrt(2 * degrees)


def test_values_are_shifted_by_the_state():
    process = build_generator(HospitalParameters(sites=1, states=3, specificity=1.0)).process
    timelines = sample_timelines(process, 0, 2000, stream(0, "values"))
    shifts = process.shift[timelines.state, process.code_concept[timelines.code]]
    valued = process.spread[timelines.code] > 0
    assert np.isfinite(timelines.value[valued]).all()
    assert np.isnan(timelines.value[~valued]).all()
    code, value = timelines.code[valued], timelines.value[valued].astype(float)
    noise = (np.log(value) - process.log_median[code]) / process.spread[code] - shifts[valued]
    # Standard logistic: median 0, quartiles at -ln 3 and ln 3.
    np.testing.assert_allclose(np.quantile(noise, [0.25, 0.5, 0.75]), [-np.log(3), 0, np.log(3)], atol=0.03)


def test_gaps_follow_their_distribution():
    shape = (200_000,)
    settings = [np.full(shape, number) for number in (0.4, 50.0, 1.5, 3000.0)]
    gaps = sample_gaps(stream(0, "gaps"), *settings)
    assert gaps.min() == 1
    assert gaps.max() <= 3000
    for minutes in (1, 2, 4, 5, 14, 59, 600, 2999, 3000):
        expected = float(gap_distribution(np.array(float(minutes)), *(np.array(s[0]) for s in settings)))
        assert (gaps <= minutes).mean() == pytest.approx(expected, abs=4 * np.sqrt(0.25 / shape[0]))


def test_prevalence_is_zipf_and_sites_differ_in_mix_and_habits():
    plain = build_generator(HospitalParameters(case_mix=0.0, states=50, prevalence_exponent=1.2)).process
    ranks = np.arange(1, 51)
    np.testing.assert_allclose(plain.prevalence[0] / plain.prevalence[0, 0], ranks**-1.2)
    generator = build_generator(HospitalParameters())
    process = generator.process
    assert 0.1 < 0.5 * np.abs(process.prevalence[0] - process.prevalence[1]).sum() < 0.9
    distance = 0.5 * np.abs(process.habits[0] - process.habits[1]).sum() / len(process.concept_move)
    alike = build_generator(HospitalParameters(coding_concentration=1000.0)).process
    assert distance > 5 * 0.5 * np.abs(alike.habits[0] - alike.habits[1]).sum() / len(alike.concept_move)


def test_codes_are_split_as_those_of_a_hospital():
    codes = [code for concept in all_concepts() for code in concept.codes]
    assert len(set(codes)) == len(codes)
    for code in codes:
        units = encodings("ethos", code)[0]
        if "//ICD//10//" in code or "//ATC//" in code:
            assert len(units) > 1 or len(code.rpartition("//")[2]) == 3, code
        else:
            assert units == (code,)


def test_outcomes_of_the_clinical_tasks_occur_both_ways(written):
    folder, generator, _ = written
    events = pl.concat([events_of(folder / name) for name in generator.sites])
    for task in TASKS.values():
        labels = label_task(events, task)["boolean_value"]
        assert len(labels) > 100
        assert 0.01 < labels.mean() < 0.6


def test_bad_settings_are_one_clear_error():
    with pytest.raises(ConfigError, match="'case-mix' = -1"):
        parameters_of({"case-mix": -1}, "--set")
    with pytest.raises(ConfigError, match="unknown key 'casemix'"):
        parameters_of({"casemix": 1}, "--set")


def test_an_occupied_folder_is_left_alone(tmp_path):
    (tmp_path / "old").write_text("kept")
    with pytest.raises(DataError, match="not empty"):
        write_hospitals(tmp_path, build_generator(HospitalParameters(sites=1, patients=1, states=1)), silent)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_damaged_generator_is_one_clear_error(written, tmp_path):
    folder, _, _ = written
    with pytest.raises(DataError, match="not a folder of synthetic hospitals"):
        load_generator(tmp_path)
    (tmp_path / "generator.json").write_bytes((folder / "generator.json").read_bytes())
    (tmp_path / "process.safetensors").write_bytes((folder / "process.safetensors").read_bytes()[:1000])
    with pytest.raises(DataError, match="not a folder of synthetic hospitals"):
        load_generator(tmp_path)


def test_commands_generate_and_score(tmp_path):
    runner, out = CliRunner(), tmp_path / "h"
    arguments = [
        "hospitals",
        "--out",
        str(out),
        "--sites",
        "2",
        "--patients",
        "60",
        "--set",
        "states=4",
        "--json",
    ]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["sites"]["hospital-01"]["patients"] == 60
    generator = load_generator(out)
    codes = {unit for code in generator.codes for unit in encodings("fused", code)[0]}
    vocabulary = tmp_path / "vocabulary.json"
    content = {"format": "wardlaw-vocabulary-1", "scheme": "fused", "codes": sorted(codes), "edges": {}}
    vocabulary.write_text(json.dumps(content))
    arguments = [
        "oracle",
        "--hospitals",
        str(out),
        "--vocabulary",
        str(vocabulary),
        "--split",
        "train",
        "--json",
    ]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    floors = json.loads(result.stdout)["floors"]
    assert set(floors) == {"pooled", "hospital-00", "hospital-01"}
    pooled = floors["pooled"]
    assert pooled["tokens"] == sum(floors[site]["tokens"] for site in generator.sites)
    assert 0 < pooled["site_known"]["per_event"] < pooled["site_unknown"]["per_event"] < 6
    assert 0 < pooled["site_unknown"]["per_event_error"] < 0.5


def test_shares_of_the_splits_are_a_parameter(tmp_path):
    usual = {"sites": 1, "patients": 2000}
    held_out = []
    for name, shares in (("usual", {}), ("fewer", {"train-share": 0.95, "tuning-share": 0.01})):
        write_hospitals(tmp_path / name, build_generator(parameters_of(usual | shares, "test")), silent)
        (folder,) = (path for path in (tmp_path / name).iterdir() if path.is_dir())
        splits = pl.read_parquet(folder / "metadata" / "subject_splits.parquet")
        held_out.append(set(splits.filter(pl.col("split") == "held_out")["subject_id"]))
    assert held_out[1] < held_out[0]
    assert 0.02 < len(held_out[1]) / 2000 < 0.06


def test_shares_that_leave_nobody_to_be_held_out_are_refused():
    with pytest.raises(ConfigError, match="no patient to be held out"):
        parameters_of({"train-share": 0.9, "tuning-share": 0.1}, "test")
