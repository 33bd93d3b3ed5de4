"""What a site refuses in a session: whatever could show more of it, or of others, than a sum."""

import stat

import pytest

from client.secagg import stages
from client.secagg.session import (
    HeldShares,
    close_session,
    load_session,
    locked_sessions,
    note_sum,
    open_session,
    save_session,
)
from wardlaw.errors import CheckpointError, PolicyError
from wardlaw.privacy.keystream import new_key
from wardlaw.secagg.keys import new_private_key, public_key
from wardlaw.secagg.roster import agreement, introduce, receipt
from wardlaw.secagg.signing import sign

NAMES = ("ash", "birch", "cedar", "elm")
SIGNING = {name: new_key() for name in NAMES}


@pytest.fixture(scope="module")
def begun():
    """Sessions of four sites after stage 1, and the roster."""
    begun = {name: stages.set_up(name, "s", SIGNING[name]) for name in NAMES}
    return {name: kept for name, (kept, _) in begun.items()}, {
        name: member for name, (_, member) in begun.items()
    }


@pytest.fixture(scope="module")
def shared(begun):
    """After stage 2 with t = 2, and what they wrote to one another."""
    sessions, roster = begun
    made = {name: stages.share(kept, roster, 3, 2) for name, kept in sessions.items()}
    return {name: kept for name, (kept, _) in made.items()}, {
        name: letters for name, (_, letters) in made.items()
    }


def letters_to(site, ciphertexts):
    return {name: letters[site] for name, letters in ciphertexts.items() if name != site}


@pytest.fixture
def held(shared):
    kept, ciphertexts = shared
    return stages.hold(kept["ash"], letters_to("ash", ciphertexts))


def receipts(kept, *names, signing=SIGNING):
    return {name: sign(signing[name], *receipt(kept.digest, name)) for name in names}


def agreements(kept, survivors, *names):
    return {name: sign(SIGNING[name], *agreement(kept.digest, survivors)) for name in names}


def test_a_session_comes_back_from_its_file_whole(held, tmp_path):
    agreed, _ = stages.agree(held, receipts(held, *NAMES), SIGNING["ash"])
    save_session(tmp_path, 3, agreed)
    assert load_session(tmp_path, 3, "s") == agreed
    with pytest.raises(PolicyError, match="not this round's"):
        load_session(tmp_path, 3, "t")
    with pytest.raises(PolicyError, match="no session"):
        load_session(tmp_path, 4, "s")
    path = next(tmp_path.glob("session-*"))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="not a session"):
        load_session(tmp_path, 3, "s")
    close_session(tmp_path, 3)
    close_session(tmp_path, 3)
    assert not path.exists()


def test_no_secret_shows_in_a_text(held):
    secrets = [held.cipher_private, held.mask_private, held.seed]
    secrets += [share for shares in held.held.values() for share in (shares.key_share, shares.seed_share)]
    text = repr(held) + str(held) + repr(HeldShares(b"one", b"other"))
    assert held.digest in text
    assert not any(repr(secret)[2:-1] in text for secret in [*secrets, b"one", b"other"])


def test_a_fresh_session_leaves_no_keys_of_others_behind(held, tmp_path):
    with locked_sessions(tmp_path):
        pass
    assert stat.S_IMODE(tmp_path.stat().st_mode) & 0o700 == 0o700
    save_session(tmp_path, 1, held)
    note_sum(tmp_path, 1, ("ash",))
    # What a write that was killed leaves.
    (tmp_path / ".session-00001.json.17.tmp").write_text("keys")
    open_session(tmp_path, 2, held)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["lock", "session-00002.json", "summed-00001.json"]


def test_degrees_without_a_majority_are_refused(begun):
    sessions, roster = begun
    for degree, threshold in ((3, 4), (2, 1), (3, 1)):
        with pytest.raises(PolicyError, match="neighbours do not fit"):
            stages.share(sessions["ash"], roster, degree, threshold)


def test_rosters_that_are_not_as_their_sites_signed_them_are_refused(begun):
    sessions, roster = begun
    kept, elm = sessions["ash"], roster["elm"]

    def refused(word, **changes):
        with pytest.raises(PolicyError, match=word):
            stages.share(kept, roster | changes, 3, 2)

    keys = [public_key(new_private_key()) for _ in range(3)]
    server = new_key()
    refused("keys of elm are not signed", elm=stages.Member(keys[0], keys[1], elm.identity, elm.signature))
    refused("keys of elm are not signed", elm=introduce(SIGNING["elm"], "t", "elm", *keys[:2]))
    refused("keys of elm are not signed", elm=introduce(SIGNING["elm"], "s", "oak", *keys[:2]))
    refused("keys of elm are not signed", elm=introduce(SIGNING["elm"], "s", "elm", b"no", keys[1]))
    refused("not the site's own", ash=introduce(server, "s", "ash", *keys[:2]))
    refused("not the site's own", ash=introduce(server, "s", "ash", kept.member.cipher, kept.member.mask))
    # Two sites with one key: of its masks with them, one would take the other away.
    refused("the same key", elm=introduce(SIGNING["elm"], "s", "elm", keys[0], roster["birch"].mask))
    refused("the same key", elm=introduce(SIGNING["elm"], "s", "elm", kept.member.mask, keys[1]))
    refused("the same key", elm=introduce(SIGNING["elm"], "s", "elm", keys[0], keys[0]))
    with pytest.raises(PolicyError, match="not the site's own"):
        stages.share(kept, {name: roster[name] for name in NAMES[1:]}, 3, 2)


def test_shares_are_made_once(shared):
    kept, _ = shared
    with pytest.raises(PolicyError, match="made before"):
        stages.share(kept["ash"], kept["ash"].roster, 3, 2)


def test_letters_that_are_not_the_sites_are_refused(shared):
    kept, ciphertexts = shared
    right = letters_to("ash", ciphertexts)
    wrong = {
        "cannot be read": right | {"elm": ciphertexts["elm"]["birch"]},
        "is no neighbour": right | {"fir": right["elm"]},
        "fewer than secagg.threshold": {"elm": right["elm"]},
    }
    for word, letters in wrong.items():
        with pytest.raises(PolicyError, match=word):
            stages.hold(kept["ash"], letters)


@pytest.mark.parametrize("letter", ["7", "[1, 2]", "[1, 2, 3, 4, 5]", '["a", "b", "c", "zz", "00"]', "\xff"])
def test_letters_that_are_no_letters_are_refused(shared, letter):
    """From a neighbour that lies: one that the keys fit."""
    kept, ciphertexts = shared
    key = stages.shared_key(kept["elm"].cipher_private, kept["ash"].member.cipher)
    forged = {"elm": stages.encrypt(key, letter.encode("latin-1"))}
    with pytest.raises(PolicyError, match="of 'elm' cannot be read"):
        stages.hold(kept["ash"], letters_to("ash", ciphertexts) | forged)


def test_a_letter_of_another_roster_is_refused(shared):
    """The server shows one site another session than the next: their letters name what they saw."""
    kept, ciphertexts = shared
    other = kept["ash"].model_copy(update={"digest": "t"})
    with pytest.raises(PolicyError, match="not for this site and session"):
        stages.hold(other, letters_to("ash", ciphertexts))


def test_nothing_is_masked_twice(held, shared):
    with pytest.raises(PolicyError, match="masked before"):
        stages.hold(held, letters_to("ash", shared[1]))


def test_sums_that_show_too_much_are_not_agreed_to(held, shared):
    fewer = stages.hold(
        shared[0]["ash"],
        {name: letter for name, letter in letters_to("ash", shared[1]).items() if name != "elm"},
    )

    def refused(word, given, kept=held):
        with pytest.raises(PolicyError, match=word):
            stages.agree(kept, given, SIGNING["ash"])

    refused("without the site's own", receipts(held, "birch", "cedar", "elm"))
    refused("too few neighbours of ash, birch", receipts(held, "ash", "birch"))
    refused("too few neighbours of ash", receipts(held, "ash"))
    refused("'oak' has not signed", receipts(held, *NAMES) | {"oak": bytes(64)})
    refused("'elm' has not signed", receipts(held, "ash", "birch", "cedar") | {"elm": bytes(64)})
    refused("'elm' has not signed", receipts(held, *NAMES, signing=SIGNING | {"elm": new_key()}))
    # Elm's receipt of an earlier session.
    earlier = held.model_copy(update={"digest": "earlier"})
    refused("'elm' has not signed", receipts(held, "ash", "birch", "cedar") | receipts(earlier, "elm"))
    refused("no mask is shared with elm", receipts(held, *NAMES), kept=fewer)
    refused("without the site's own", receipts(held, *NAMES), kept=shared[0]["ash"])
    assert stages.agree(fewer, receipts(held, "ash", "birch", "cedar"), SIGNING["ash"])


def test_sums_that_fall_apart_are_not_agreed_to():
    """Twenty sites on a circle with five neighbours, of whom eight are lost: two sums of six."""
    places = range(20)
    graph = {f"{place}": tuple(f"{(place + step) % 20}" for step in (1, 2, 10, 18, 19)) for place in places}
    left = {f"{place}" for place in places if place % 5 < 3}
    keys = {name: new_key() for name in graph}
    sessions = {name: stages.set_up(name, "s", keys[name]) for name in graph}
    kept = sessions["0"][0].model_copy(
        update={
            "threshold": 3,
            "digest": "d",
            "graph": graph,
            "roster": {name: member for name, (_, member) in sessions.items()},
            "held": {name: HeldShares(b"", b"") for name in graph["0"]},
        }
    )
    with pytest.raises(PolicyError, match="fall apart into several sums"):
        stages.agree(kept, {name: sign(keys[name], *receipt("d", name)) for name in left}, keys["0"])


def test_a_site_agrees_to_one_sum_in_a_session(held):
    agreed, signature = stages.agree(held, receipts(held, "ash", "birch", "cedar"), SIGNING["ash"])
    again = stages.agree(agreed, receipts(held, "cedar", "birch", "ash"), SIGNING["ash"])
    assert again == (agreed, signature)
    with pytest.raises(PolicyError, match="agreed to a sum over other sites"):
        stages.agree(agreed, receipts(held, *NAMES), SIGNING["ash"])


def test_without_an_agreement_nobody_is_helped(held, shared):
    survivors = ("ash", "birch", "elm")
    agreed, _ = stages.agree(held, receipts(held, *survivors), SIGNING["ash"])
    right = agreements(held, survivors, *survivors)
    for kept, signed in (
        (held, right),
        (shared[0]["ash"], right),
        (agreed, {}),
        (agreed, agreements(held, survivors, "ash", "birch")),
        # Some were told of another sum, or are not in the session, or have not signed themselves.
        (agreed, right | agreements(held, NAMES, "elm")),
        (agreed, agreements(held, survivors, "ash", "birch") | {"oak": right["elm"]}),
        (agreed, right | {"elm": right["ash"]}),
    ):
        with pytest.raises(PolicyError, match="sites agree to the sum, which are too few"):
            stages.shares_for_unmasking(kept, signed)
    assert stages.shares_for_unmasking(agreed, right).keys() == {"birch", "cedar", "elm"}


def test_of_each_neighbour_one_share_is_given(held):
    survivors = ("ash", "birch", "elm")
    agreed, _ = stages.agree(held, receipts(held, *survivors), SIGNING["ash"])
    shares = stages.shares_for_unmasking(agreed, agreements(held, survivors, *survivors))
    assert shares == {
        "birch": held.held["birch"].seed_share,
        "cedar": held.held["cedar"].key_share,
        "elm": held.held["elm"].seed_share,
    }


def test_a_round_has_one_sum(tmp_path):
    note_sum(tmp_path, 1, ("ash", "birch"))
    note_sum(tmp_path, 1, ("ash", "birch"))
    note_sum(tmp_path, 2, ("ash",))
    with pytest.raises(PolicyError, match="other sites before"):
        note_sum(tmp_path, 1, ("ash",))
    (tmp_path / "summed-00001.json").write_text("[")
    with pytest.raises(CheckpointError, match="not a note"):
        note_sum(tmp_path, 1, ("ash", "birch"))
