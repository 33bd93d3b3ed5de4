"""A server that does not keep to the protocol, and gets from honest sites no more than a sum."""

import itertools
import threading

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict

from client.secagg import handlers, stages
from client.secagg.identity import identity
from client.site import Site
from server.secagg.round import SecureRound
from tests.simulations.secagg_grid import SecureSites, plain_mean, start
from wardlaw import protocol
from wardlaw.arrays import array_record
from wardlaw.config.secagg import SecAggSection
from wardlaw.errors import PolicyError, RoundError
from wardlaw.privacy.keystream import new_key
from wardlaw.secagg import words
from wardlaw.secagg.keys import new_private_key, public_key
from wardlaw.secagg.roster import introduce

NAMES = ("ash", "birch", "cedar", "elm", "fir", "oak")
SETTINGS = SecAggSection(enabled=True, clip_range=0.1, norm_bound=1.0)


def sites_of(folder, **changes):
    return SecureSites(NAMES, folder, SecAggSection(**(SETTINGS.model_dump() | changes)))


def own_error(sites):
    """The one thing that all who refused have said."""
    assert all(isinstance(error, PolicyError) for error in sites.errors)
    (what,) = {error.what for error in sites.errors}
    return what


def test_a_repeated_round_cannot_be_passed_off_as_the_same_sum(tmp_path):
    """The sum of six, and then that of five under the six's names: their difference were an update."""
    sites, receipts = sites_of(tmp_path), {}

    class Keeping(SecureRound):
        def _agreements(self, announced, summed):
            receipts.update(summed.receipts)
            return super()._agreements(announced, summed)

    class Passing(SecureRound):
        def _agreements(self, announced, summed):
            summed.receipts["ash"] = receipts["ash"]
            return super()._agreements(announced, summed)

    sites.round(server=Keeping).run(array_record(start()))
    sites.lost = {words.MASK: ["ash"], words.AGREE: ["ash"]}
    with pytest.raises(RoundError, match="0 sites agreed to the sum, fewer than 4"):
        sites.round(server=Passing).run(array_record(start()))
    assert own_error(sites) == "'ash' has not signed that it sent an update"


def test_a_round_that_was_not_unmasked_may_lose_a_site(tmp_path):
    """To agree is not yet to help: a round that failed in between is open to other sites."""
    sites = sites_of(tmp_path)
    sites.lost = {words.UNMASK: NAMES}
    with pytest.raises(RoundError, match="0 of its neighbours helped"):
        sites.round().run(array_record(start()))
    sites.lost = {words.MASK: ["ash"]}
    assert sites.round().run(array_record(start())).sites == 5


@pytest.mark.parametrize("told_less", [1, 3, 5])
def test_two_sums_of_one_session_are_not_both_unmasked(tmp_path, told_less):
    """Some are told of six sites and some of four: for whom would elm's and oak's keys be given out?"""
    sites, told, helped = sites_of(tmp_path), {}, {}

    class Forked(SecureRound):
        def _agreements(self, announced, summed):
            agreements = {}
            for place, participant in enumerate(self.cohort):
                less = sorted({*NAMES[:3], participant.site, "fir"})
                told[participant.site] = NAMES if place >= told_less else tuple(less)
                record = ConfigRecord({name: summed.receipts[name] for name in told[participant.site]})
                asked = {participant: RecordDict({words.RECEIPTS: record})}
                for content in self._stage(words.AGREE, asked, lambda content, *_: content):
                    agreements |= dict(content[words.AGREEMENTS])
            assert len(agreements) == 6
            helped.update(self._shares(agreements))
            return agreements

    with pytest.raises(RoundError):
        sites.round(server=Forked).run(array_record(start()))
    assert len({told[site] for site in helped}) == (0 if told_less == 3 else 1)
    # All who helped were told the same, and no site's seed and key are both out.
    assert set(helped) in (set(), set(NAMES[:3]) | {"fir"}, set(NAMES[1:]))


def test_masks_of_a_session_are_put_on_once_even_if_asked_for_twice_at_a_time(tmp_path, monkeypatch):
    check_at_one_time(tmp_path, monkeypatch, words.MASK, "hold")


def test_shares_of_a_session_are_given_once_even_if_asked_for_twice_at_a_time(tmp_path, monkeypatch):
    check_at_one_time(tmp_path, monkeypatch, words.UNMASK, "shares_for_unmasking")


def check_at_one_time(folder, monkeypatch, kind, stage):
    """Two threads with the same message, of whom neither has been slow to look."""
    sites, asked = sites_of(folder), []
    honest = getattr(stages, stage)

    def slow(*arguments):
        outcome = honest(*arguments)
        threading.Event().wait(0.05)
        return outcome

    def twice(handle):
        def both(content, site, *more):
            if site.name != "ash":
                return handle(content, site, *more)
            outcomes = []

            def answer():
                try:
                    outcomes.append(handle(content, site, *more))
                except PolicyError as error:
                    asked.append(error)

            threads = [threading.Thread(target=answer) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            (outcome,) = outcomes
            return outcome

        return both

    monkeypatch.setattr(stages, stage, slow)
    name = {words.MASK: "mask_update", words.UNMASK: "help_unmask"}[kind]
    monkeypatch.setattr("tests.simulations.secagg_grid." + name, twice(getattr(handlers, name)))
    SecureSites(NAMES, folder, sites.config.secagg).round().run(array_record(start()))
    assert len(asked) == 1


class Meddling(SecureRound):
    """Stands between elm and the others, with keys of its own."""

    signing_key = new_key()

    def _announce(self):
        announced = super()._announce()
        keys = (public_key(new_private_key()) for _ in range(2))
        announced.roster["elm"] = introduce(self.signing_key, announced.session, "elm", *keys)
        return announced


def test_a_key_in_the_place_of_a_peer_is_refused_by_name(tmp_path):
    sites = sites_of(tmp_path)
    sites.peers = {name: identity(sites.policy(name)) for name in NAMES}
    assert sites.round(1).run(array_record(start())).sites == 6
    with pytest.raises(RoundError, match="0 valid replies"):
        sites.round(2, Meddling).run(array_record(start()))
    by_others = {str(error) for error in sites.errors if "secagg-peers" in str(error)}
    assert len(by_others) == 1
    assert "the keys of 'elm' are signed by" in by_others.pop()
    # Elm itself does not know the roster's elm.
    assert sum("not the site's own keys" in str(error) for error in sites.errors) <= 1
    assert len(sites.errors) == 6


def test_a_site_that_is_no_peer_is_refused_by_name(tmp_path):
    sites = sites_of(tmp_path)
    sites.peers = {name: identity(sites.policy(name)) for name in NAMES[:5]}
    with pytest.raises(RoundError, match="0 of its neighbours made shares"):
        sites.round().run(array_record(start()))
    assert "not by anyone named there" in own_error(sites)


def test_without_peers_the_server_is_believed(tmp_path):
    """What the page says is not covered: but elm itself finds out."""
    sites = sites_of(tmp_path)
    with pytest.raises(RoundError):
        sites.round(1, Meddling).run(array_record(start()))
    assert {str(error.what) for error in sites.errors} >= {"the roster has not the site's own keys"}


def test_noise_is_not_short_for_a_server_that_does_not_mind(tmp_path):
    class Careless(SecureRound):
        def _require_noise(self):
            pass

    changes = {"noise_multiplier": 1.0, "norm_bound": 0.5, "dropouts": 1, "bits": 20}
    sites = sites_of(tmp_path, **changes)
    sites.lost = {words.MASK: ["ash", "oak"]}
    with pytest.raises(RoundError, match="0 sites agreed"):
        sites.round(1, Careless).run(array_record(start()))
    assert own_error(sites) == "2 sites are lost, and the noise on the sum would be short"


@pytest.mark.parametrize("stage", ["_share", "_sum", "_agreements", "_shares", "unmask"])
def test_a_server_killed_at_a_stage_gets_the_same_bits_when_it_is_back(tmp_path, monkeypatch, stage):
    sites, sent = sites_of(tmp_path), {name: [] for name in NAMES}
    honest = stages.masked

    def watched(kept, numbers):
        sent[kept.site].append(numbers)
        return honest(kept, numbers)

    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "masked", watched)
    with monkeypatch.context() as patch:
        if stage == "unmask":
            patch.setattr("server.secagg.round.unmask", dies)
        else:
            patch.setattr(SecureRound, stage, dies)
        with pytest.raises(KeyboardInterrupt):
            sites.round(2).run(array_record(start()))
    mean = sites.round(2).run(array_record(start()))
    expected = plain_mean(NAMES, 1)
    assert all(np.abs(model - expected[name]).max() <= mean.error for name, model in mean.models.items())
    for tries in sent.values():
        assert len(tries) == (1 if stage in ("_share", "_sum") else 2)
        assert np.array_equal(tries[0], tries[-1])


@pytest.mark.parametrize(
    ("place", "done"),
    [*itertools.product(["save_session", "open_session", "note_sum", "close_session"], [False, True])],
)
def test_a_site_killed_at_any_write_takes_part_in_the_next_round(tmp_path, monkeypatch, place, done):
    sites = sites_of(tmp_path)
    write = getattr(handlers, place)

    def killed(folder, *rest):
        if "cedar" not in str(folder):
            return write(folder, *rest)
        if done:
            write(folder, *rest)
        raise SystemError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(handlers, place, killed)
        sites.round(1).run(array_record(start()))
    assert any(str(error) == "killed" for error in sites.errors)
    second = sites.round(2)
    assert second.run(array_record(start())).sites == 6
    assert second.report.rejected == {}
    assert not list(tmp_path.rglob("session-*"))


def test_one_site_that_lies_of_its_keys_or_letters_is_lost_alone(tmp_path, monkeypatch):
    sites = sites_of(tmp_path)
    honest = stages.set_up, stages.share

    def no_key(site, *rest):
        kept, member = honest[0](site, *rest)
        return kept, stages.Member(b"no key", *member.parts()[1:]) if site == "ash" else member

    def one_letter_less(kept, *rest):
        told, letters = honest[1](kept, *rest)
        if kept.site == "oak":
            del letters["fir"]
        return told, letters

    monkeypatch.setattr(stages, "set_up", no_key)
    monkeypatch.setattr(stages, "share", one_letter_less)
    round_ = sites.round()
    assert round_.run(array_record(start())).sites == 4
    assert round_.report.rejected == {"ash": "malformed", "oak": "malformed"}


def test_a_run_without_sums_has_no_sessions(tmp_path):
    sites = sites_of(tmp_path)
    config = sites.config.model_copy(update={"secagg": SecAggSection()})
    content = RecordDict({protocol.CONFIG: ConfigRecord({words.SESSION: "s", protocol.SERVER_ROUND: 1})})
    with pytest.raises(PolicyError, match="no secure aggregation"):
        handlers.set_up_session(content, Site(sites.policy("ash"), config))
