"""Who takes part: waited for, checked, named, and found again under another node."""

import pytest

from server.federation import run_federation
from server.roster import draw_cohort, rejoin, wait_for_sites
from tests.server.sites import NAMES, Sites, run_config, sites_of
from wardlaw import protocol
from wardlaw.errors import AdmissionError, RoundError
from wardlaw.records import load_record


def test_the_roster_is_by_name_whatever_the_nodes():
    sites = sites_of(names=("cedar", "ash", "birch"))
    roster, _ = wait_for_sites(sites.grid(), sites.config)
    assert roster.sites == ("ash", "birch", "cedar")
    assert roster.nodes == {"cedar": 0, "ash": 1, "birch": 2}
    assert (roster.tokenizer, roster.vocabulary_size, roster.synthetic) == ("tokenizer-a", 16, True)


def test_a_site_that_does_not_come_is_named():
    sites = sites_of(data__sites="ash,birch,cedar")
    grid = sites.grid()
    grid.away = {"birch"}
    with pytest.raises(AdmissionError, match=r"2 of 3 sites.*Start birch"):
        wait_for_sites(grid, sites.config)


def test_a_stranger_does_not_stand_in_for_a_named_site():
    sites = sites_of(names=("ash", "birch", "yew"), data__sites="ash,birch,cedar")
    with pytest.raises(AdmissionError, match=r"2 of 3 sites.*Start cedar"):
        wait_for_sites(sites.grid(), sites.config)


def test_a_site_that_comes_late_is_waited_for(monkeypatch):
    sites = sites_of()
    grid = sites.grid()
    grid.away = {"birch"}
    monkeypatch.setattr("server.roster.time.sleep", lambda _: grid.away.clear())
    roster, _ = wait_for_sites(grid, sites.config)
    assert roster.sites == NAMES


def test_only_the_named_sites_take_part():
    sites = sites_of(names=("ash", "birch", "cedar", "yew"), data__sites="ash,birch,cedar")
    roster, _ = wait_for_sites(sites.grid(), sites.config)
    assert roster.sites == ("ash", "birch", "cedar")


def test_fewer_named_sites_than_replicas_are_refused():
    sites = sites_of(data__sites="ash,birch")
    with pytest.raises(AdmissionError, match=r"fewer than federation\.replicas"):
        wait_for_sites(sites.grid(), sites.config)


def test_two_nodes_of_one_site_are_refused():
    sites = sites_of(names=("ash", "birch", "cedar", "birch"))
    with pytest.raises(AdmissionError, match="birch: 2 nodes"):
        wait_for_sites(sites.grid(), sites.config)


def test_tokenisers_that_differ_are_refused_by_name():
    sites = sites_of()
    sites.tokenizer["cedar"] = "tokenizer-b"
    with pytest.raises(AdmissionError, match=r"tokenizer-a: ash, birch; tokenizer-b: cedar"):
        wait_for_sites(sites.grid(), sites.config)


def test_a_pinned_tokeniser_excludes_a_site_with_another(caplog):
    sites = sites_of(names=("ash", "birch", "cedar", "yew"), data__tokenizer="tokenizer-a")
    sites.tokenizer["yew"] = "tokenizer-b"
    roster, _ = wait_for_sites(sites.grid(), sites.config)
    assert roster.sites == NAMES
    assert "yew: its shard's fingerprint is 'tokenizer-b', the run's 'tokenizer-a'" in caplog.text


def test_a_site_with_other_settings_is_not_admitted(caplog):
    sites = sites_of()

    def other(message, content):
        content[protocol.ORIGIN][protocol.FINGERPRINT] = "e" * 64
        return content

    sites.tamper["birch"] = other
    with pytest.raises(AdmissionError, match="2 of 3"):
        wait_for_sites(sites.grid(), sites.config)
    assert "birch: it has the settings of another run" in caplog.text


def test_the_cohort_depends_on_seed_and_round_alone():
    names = tuple("abcdefgh")
    draws = [draw_cohort(names, 3, 5, server_round) for server_round in range(200)]
    assert draws == [draw_cohort(names, 3, 5, server_round) for server_round in range(200)]
    assert all(len(set(draw)) == 3 and draw == tuple(sorted(draw)) for draw in draws)
    counts = {name: sum(name in draw for draw in draws) for name in names}
    assert all(45 < count < 105 for count in counts.values())  # 75 +- 4.4 standard deviations


def test_a_site_that_comes_back_under_another_node_is_found_again():
    sites = sites_of(names=("ash", "birch", "cedar", "cedar"))
    grid = sites.grid()
    gone = {3}
    grid.get_node_ids = lambda: [node for node in range(4) if node not in gone]
    roster, census = wait_for_sites(grid, sites.config)
    assert roster.nodes["cedar"] == 2
    gone.clear()
    gone.add(2)
    assert rejoin(roster, census, sites.config).nodes == {"ash": 0, "birch": 1, "cedar": 3}


def test_a_site_that_went_away_is_absent_and_the_round_goes_on(tmp_path):
    sites = sites_of(evaluation__every_rounds=0)
    grid = sites.grid()

    def leave(message, content):
        if message.metadata.message_type == "train":
            grid.away = {"cedar"} if message.metadata.group_id == "2" else set()
        return content

    sites.tamper["ash"] = leave
    rows = load_record(run_federation(grid, sites.config, tmp_path)).table("rounds").to_pylist()
    assert rows[2]["rejected"] == ["cedar: absent"]
    assert rows[3]["rejected"] == []


def test_below_the_quorum_the_run_waits_and_then_stops_resumable(tmp_path):
    sites = sites_of(federation__quorum=3)
    grid = sites.grid()

    def leave(message, content):
        if message.metadata.group_id == "2":
            grid.away = {"cedar"}
        return content

    sites.tamper["ash"] = leave
    with pytest.raises(RoundError, match=r"fewer than federation\.quorum"):
        run_federation(grid, sites.config, tmp_path)
    sites.tamper.clear()
    record = load_record(run_federation(sites.grid(), sites.config, tmp_path))
    assert [row["round"] for row in record.table("rounds").to_pylist()] == [1, 2, 3, 4]


def test_a_run_that_resumes_keeps_its_roster(tmp_path):
    """A site that is new since the start has no part, and one that is gone may stay away."""
    sites = sites_of(names=("ash", "birch", "cedar"))
    grid = sites.grid()

    def leave(message, content):
        if message.metadata.group_id == "2":
            grid.away = set(NAMES)
        return content

    sites.tamper["ash"] = leave
    with pytest.raises(RoundError):
        run_federation(grid, sites.config, tmp_path)
    again = Sites((*NAMES, "yew"), run_config())
    record = load_record(run_federation(again.grid(), again.config, tmp_path))
    assert {site for row in record.table("rounds").to_pylist() for site in row["sites"]} == set(NAMES)


def test_a_silent_site_is_missing_at_the_deadline(tmp_path):
    sites = sites_of(federation__round_deadline_s=0.3, train__tokens=3 * 8 * 4 * 1)
    grid = sites.grid()

    def hush(message, content):
        grid.silent = {"cedar"} if message.metadata.message_type == "train" else set()
        return content

    def speak(message, content):
        grid.silent = set()
        return content

    sites.tamper["ash"], sites.tamper["birch"] = hush, hush
    rows = load_record(run_federation(grid, sites.config, tmp_path)).table("rounds").to_pylist()
    assert rows[0]["rejected"] == ["cedar: missing"]
