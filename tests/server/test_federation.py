"""Whole runs over sites in this process: what the record says, and what an interruption changes."""

import json

import numpy as np
import pytest
from flwr.app import Error, Message
from safetensors.numpy import load_file

from server import federation, rounds
from server.federation import run_federation
from tests.server.sites import NAMES, Sites, failing, run_config, sites_of, with_arrays
from wardlaw import protocol
from wardlaw.errors import CheckpointError, RoundError
from wardlaw.records import is_finished, load_record, read_rows, record_folder

STRATEGIES = {
    "fedavg": {},
    "fedprox": {"strategy__proximal_mu": 0.1},
    "fedavgm": {"strategy__server_momentum": 0.9},
    "fedadam": {"strategy__server_learning_rate": 0.01},
    "fednesterov": {"strategy__server_momentum": 0.9, "strategy__server_learning_rate": 0.7},
}


def run(sites, records):
    return run_federation(sites.grid(), sites.config, records)


def final_weights(folder):
    newest = max((folder / "checkpoints").glob("*.safetensors"))
    return {name: array for name, array in load_file(newest).items() if name.startswith("model/")}


def assert_same_weights(found, expected):
    assert found.keys() == expected.keys()
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)


def test_a_run_leaves_a_whole_record(tmp_path):
    sites = sites_of(evaluation__every_rounds=2)
    record = load_record(run(sites, tmp_path))
    rows = record.table("rounds").to_pylist()
    assert [row["round"] for row in rows] == [1, 2, 3, 4]
    assert all(row["sites"] == list(NAMES) and row["rejected"] == [] for row in rows)
    assert [row["tuning_loss"] is None for row in rows] == [True, False, True, False]
    assert {row["training_s"] for row in rows} == {1.5}
    result = record.result
    assert (result.tokens, result.unique_tokens, result.sites) == (4 * 3 * 100, 100 + 200 + 300, 3)
    assert result.synthetic
    assert result.wall_s == pytest.approx(sum(row["wall_s"] for row in rows))
    assert result.bytes_up == sum(row["bytes_up"] for row in rows) == result.bytes_down
    scores = record.table("evaluation").to_pylist()
    assert [(row["site"], row["split"], row["replica"]) for row in scores] == [
        (site, "held_out", "global") for site in NAMES
    ]
    assert result.loss_per_token == sum(row["nats"] for row in scores) / sum(row["tokens"] for row in scores)
    assert result.loss_per_event == sum(row["nats"] for row in scores) / sum(row["events"] for row in scores)


def test_a_finished_run_is_not_computed_again(tmp_path):
    sites = sites_of()
    folder = run(sites, tmp_path)
    asked = len(sites.asked)
    assert run(sites, tmp_path) == folder
    assert len(sites.asked) == asked


def test_the_average_is_that_of_the_sites_models(tmp_path):
    """The first round by hand, from what the sites sent."""
    sites = sites_of(train__tokens=3 * 8 * 4)
    sent = []
    for site in NAMES:
        sites.tamper[site] = lambda message, content: (
            (sent.append(content.copy()) if protocol.ARRAYS in content else None) or content
        )
    folder = run(sites, tmp_path)
    weights = [content[protocol.METRICS][protocol.NUM_EXAMPLES] for content in sent]
    for name, array in final_weights(folder).items():
        models = [content[protocol.ARRAYS][name.removeprefix("model/")].numpy() for content in sent]
        mean = sum(w * model.astype(np.float64) for w, model in zip(weights, models, strict=True)) / sum(
            weights
        )
        np.testing.assert_array_equal(array, mean.astype(np.float32))


class KilledError(Exception):
    """The server's process ends here."""


@pytest.fixture(scope="module")
def straight_runs(tmp_path_factory):
    """Uninterrupted runs, one a strategy."""
    records = tmp_path_factory.mktemp("straight")
    return {
        name: run(sites_of(strategy__name=name, **options), records) for name, options in STRATEGIES.items()
    }


@pytest.mark.parametrize(
    ("strategy", "at", "victim"),
    [(strategy, "after", 2) for strategy in STRATEGIES]
    + [("fedadam", "before", 1), ("fedadam", "before", 3), ("fedadam", "after", 1), ("fedadam", "after", 4)],
)
def test_a_killed_server_resumes_to_the_same_weights(
    tmp_path, monkeypatch, straight_runs, strategy, at, victim
):
    options = {"strategy__name": strategy} | STRATEGIES[strategy]
    straight = straight_runs[strategy]
    sites = sites_of(**options)
    save = federation.save_snapshot

    def killed_save(folder, fingerprint, snapshot):
        if snapshot.progress.server_round == victim and at == "before":
            raise KilledError
        save(folder, fingerprint, snapshot)
        if snapshot.progress.server_round == victim:
            raise KilledError

    monkeypatch.setattr(federation, "save_snapshot", killed_save)
    with pytest.raises(KilledError):
        run(sites, tmp_path / "killed")
    monkeypatch.setattr(federation, "save_snapshot", save)
    resumed = run(sites, tmp_path / "killed")
    assert_same_weights(final_weights(resumed), final_weights(straight))
    trained, again = load_record(straight).result, load_record(resumed).result
    same = ("loss_per_token", "tokens", "unique_tokens", "bytes_down", "bytes_up", "flops")
    assert all(getattr(trained, name) == getattr(again, name) for name in same)
    assert [row["round"] for row in read_rows(resumed, "rounds")] == [1, 2, 3, 4]


@pytest.mark.parametrize("damage", ["flip", "truncate", "garbage manifest", "no weights"])
def test_a_damaged_checkpoint_costs_a_round_and_no_bit(tmp_path, monkeypatch, straight_runs, damage, caplog):
    straight = straight_runs["fedadam"]
    sites = sites_of(strategy__name="fedadam", **STRATEGIES["fedadam"])
    monkeypatch.setattr(federation, "final_evaluation", lambda *_: (_ for _ in ()).throw(KilledError))
    with pytest.raises(KilledError):
        run(sites, tmp_path / "damaged")
    monkeypatch.undo()
    checkpoints = record_folder(tmp_path / "damaged", sites.config) / "checkpoints"
    weights, manifest = checkpoints / "round-000004.safetensors", checkpoints / "round-000004.json"
    content = bytearray(weights.read_bytes())
    match damage:
        case "flip":
            content[-5] ^= 1
            weights.write_bytes(content)
        case "truncate":
            weights.write_bytes(content[:-100])
        case "garbage manifest":
            manifest.write_text("{")
        case "no weights":
            weights.unlink()
    resumed = run(sites, tmp_path / "damaged")
    assert "round-000004 is damaged" in caplog.text
    assert_same_weights(final_weights(resumed), final_weights(straight))


def test_where_no_checkpoint_is_whole_the_run_is_refused(tmp_path):
    sites = sites_of()
    sites.tamper = dict.fromkeys(
        NAMES,
        lambda message, content: (
            failing(message, content) if message.metadata.message_type == "evaluate" else content
        ),
    )
    with pytest.raises(RoundError, match="not scored"):
        run(sites, tmp_path)
    checkpoints = record_folder(tmp_path, sites.config) / "checkpoints"
    for path in checkpoints.glob("*.safetensors"):
        path.write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match="no checkpoint of the run is whole"):
        run(sites, tmp_path)


def test_another_runs_checkpoint_is_refused(tmp_path):
    sites = sites_of()
    folder = run(sites, tmp_path)
    (folder / "result.json").unlink()
    for path in (folder / "checkpoints").glob("*.json"):
        manifest = json.loads(path.read_text()) | {"fingerprint": "e" * 64}
        path.write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="eeee"):
        run(sites, tmp_path)


@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_a_site_that_is_broken_in_one_round_is_left_out_of_it(tmp_path, fault):
    sites = sites_of()

    def broken(message, content):
        if message.metadata.message_type == "train" and message.metadata.group_id == "2":
            return with_arrays(
                content, lambda arrays: {name: array * fault for name, array in arrays.items()}
            )
        return content

    sites.tamper["birch"] = broken
    rows = load_record(run(sites, tmp_path)).table("rounds").to_pylist()
    assert [row["rejected"] for row in rows] == [[], ["birch: non-finite"], [], []]
    assert rows[1]["sites"] == ["ash", "cedar"]


def test_rounds_that_all_fail_end_the_run_with_its_model_kept(tmp_path, straight_runs):
    """The site's trouble passes, the run is started again, and ends as if nothing had been."""
    straight = straight_runs["fedavg"]
    sites = sites_of()

    def from_round_3(message, content):
        late = message.metadata.message_type == "train" and int(message.metadata.group_id) >= 3
        return failing(message, content) if late else content

    sites.tamper = dict.fromkeys(NAMES, from_round_3)
    with pytest.raises(RoundError, match="failed 3 times") as caught:
        run(sites, tmp_path / "broken")
    assert caught.value.exit_status == 8
    assert "patient" not in str(caught.value)
    folder = record_folder(tmp_path / "broken", sites.config)
    assert not is_finished(folder)
    kept = final_weights(folder)
    assert all(np.isfinite(array).all() and array.size for array in kept.values())
    assert len([asked for asked in sites.asked if asked[0] == "train"]) == 3 * (2 + 3)
    sites.tamper.clear()
    again = run(sites, tmp_path / "broken")
    assert_same_weights(final_weights(again), final_weights(straight))
    rows = read_rows(again, "rounds")
    assert [row["round"] for row in rows] == [1, 2, 3, 3, 3, 3, 4]
    assert rows[3]["rejected"] == [f"{site}: failed" for site in NAMES]


def test_only_failures_in_a_row_end_a_run(tmp_path):
    sites = sites_of(federation__quorum=3)
    tries = dict.fromkeys("1234", 2)

    def twice_a_round(message, content):
        server_round = message.metadata.group_id
        if message.metadata.message_type != "train" or not tries[server_round]:
            return content
        tries[server_round] -= 1
        return failing(message, content)

    sites.tamper["birch"] = twice_a_round
    rows = read_rows(run(sites, tmp_path), "rounds")
    assert [row["round"] for row in rows] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]


def test_a_run_whose_first_round_fails_is_resumable(tmp_path, straight_runs):
    sites = sites_of()
    sites.tamper = dict.fromkeys(
        NAMES,
        lambda message, content: (
            failing(message, content) if message.metadata.message_type == "train" else content
        ),
    )
    with pytest.raises(RoundError, match="round 1"):
        run(sites, tmp_path)
    sites.tamper.clear()
    assert_same_weights(final_weights(run(sites, tmp_path)), final_weights(straight_runs["fedavg"]))


def refusing(message, content):
    refused = message.metadata.message_type == "evaluate"
    return Message(Error(2, "POL"), reply_to=message) if refused else content


def test_a_site_whose_policy_refuses_evaluation_is_left_out_of_it(tmp_path):
    sites = sites_of()
    sites.tamper["birch"] = refusing
    scores = load_record(run(sites, tmp_path)).table("evaluation").to_pylist()
    assert [row["site"] for row in scores] == ["ash", "cedar"]


def test_a_site_that_fails_in_the_evaluation_is_asked_again(tmp_path):
    sites = sites_of()
    failures = iter([True, True])

    def twice(message, content):
        scored = message.metadata.message_type == "evaluate"
        return failing(message, content) if scored and next(failures, False) else content

    sites.tamper["birch"] = twice
    scores = load_record(run(sites, tmp_path)).table("evaluation").to_pylist()
    assert [row["site"] for row in scores] == list(NAMES)


def test_a_round_that_failed_once_is_tried_again_with_the_same_steps(tmp_path):
    straight = run(sites_of(federation__quorum=3), tmp_path / "straight")
    sites = sites_of(federation__quorum=3)
    failures = iter([True])

    def once(message, content):
        train = message.metadata.message_type == "train" and message.metadata.group_id == "2"
        return failing(message, content) if train and next(failures, False) else content

    sites.tamper["cedar"] = once
    folder = run(sites, tmp_path / "retried")
    rows = read_rows(folder, "rounds")
    assert [row["round"] for row in rows] == [1, 2, 2, 3, 4]
    assert rows[1]["sites"] == []
    assert rows[1]["rejected"] == ["cedar: failed"]
    assert_same_weights(final_weights(folder), final_weights(straight))


def test_more_sites_than_replicas_take_turns_by_the_seed(tmp_path):
    names = tuple(f"site-{letter}" for letter in "abcdef")
    cohorts = []
    for folder in ("first", "second"):
        sites = sites_of(names=names)
        rows = load_record(run(sites, tmp_path / folder)).table("rounds").to_pylist()
        cohorts.append([row["sites"] for row in rows])
    assert cohorts[0] == cohorts[1]
    assert all(len(cohort) == 3 and cohort == sorted(cohort) for cohort in cohorts[0])
    assert len({tuple(cohort) for cohort in cohorts[0]}) > 1


def test_sites_learn_the_oldest_round_that_they_may_be_asked_for_again(tmp_path):
    sites = sites_of()
    run(sites, tmp_path)
    oldest = {order[protocol.SERVER_ROUND]: order[protocol.OLDEST_ROUND] for order in sites.orders}
    assert oldest == {1: 1, 2: 1, 3: 2, 4: 3}
    assert {order[protocol.TOKENIZER] for order in sites.orders} == {"tokenizer-a"}


def test_node_numbers_do_not_matter(tmp_path, straight_runs):
    """Random node ids change the order of nodes and no bit of the model."""
    straight = straight_runs["fedavg"]
    turned = Sites(NAMES[::-1], run_config())
    turned.examples = lambda site: 100 * (1 + NAMES.index(site))
    assert_same_weights(final_weights(run(turned, tmp_path / "turned")), final_weights(straight))


def test_the_replies_of_a_round_are_never_together_in_memory(tmp_path, monkeypatch):
    """A Grid in this process answers when it is asked, so training and adding take turns."""
    sites, events = sites_of(), []
    add = rounds.GuardedStrategy.aggregate_train

    def counted(self, server_round, replies):
        def seen():
            for reply in replies:
                events.append(("pulled", len([asked for asked in sites.asked if asked[0] == "train"])))
                yield reply

        return add(self, server_round, seen())

    monkeypatch.setattr(rounds.GuardedStrategy, "aggregate_train", counted)
    run(sites, tmp_path)
    assert [trained for _, trained in events] == list(range(1, 13))
