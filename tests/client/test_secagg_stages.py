"""What a site refuses in a session: whatever could show more of it, or of others, than a sum."""

import numpy as np
import pytest

from client.privacy.secret import new_secret
from client.secagg import stages
from client.secagg.session import close_session, load_session, note_sum, save_session
from client.secagg.update import levels, require_bounded, weight_level
from wardlaw.errors import CheckpointError, PolicyError, TrainingError
from wardlaw.secagg.counts import COUNTS, Counts
from wardlaw.secagg.keys import PublicKeys
from wardlaw.secagg.quantisation import Quantisation

NAMES = ("ash", "birch", "cedar", "elm")
QUANTISATION = Quantisation(0.5, 16)


@pytest.fixture(scope="module")
def shared():
    """Sessions of four sites after stage 2 with t = 2, and what they wrote to one another."""
    begun = {name: stages.set_up(name, "s") for name in NAMES}
    keys = {name: public for name, (_, public) in begun.items()}
    kept, ciphertexts = {}, {}
    for name, (session, _) in begun.items():
        others = {other: keys[other] for other in NAMES if other != name}
        kept[name], ciphertexts[name] = stages.share(session, others, 2)
    return kept, ciphertexts


def letters_to(site, ciphertexts):
    return {name: letters[site] for name, letters in ciphertexts.items() if name != site}


@pytest.fixture
def held(shared):
    kept, ciphertexts = shared
    return stages.hold(kept["ash"], letters_to("ash", ciphertexts))


def test_a_session_comes_back_from_its_file_whole(held, tmp_path):
    save_session(tmp_path, 3, held)
    assert load_session(tmp_path, 3, "s") == held
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


def test_graphs_without_a_majority_are_refused():
    kept, _ = stages.set_up("ash", "s")
    keys = {name: stages.set_up(name, "s")[1] for name in NAMES}
    others = {name: keys[name] for name in NAMES if name != "ash"}
    for neighbours, threshold in ((others, 4), ({**others, "fir": keys["ash"]}, 2), (keys, 3)):
        with pytest.raises(PolicyError, match="neighbours do not fit"):
            stages.share(kept, neighbours, threshold)
    twice = others | {"elm": others["birch"]}
    with pytest.raises(PolicyError, match="the same key"):
        stages.share(kept, twice, 2)
    own = PublicKeys(keys["elm"].cipher, stages.public_key(kept.mask_private))
    with pytest.raises(PolicyError, match="the same key"):
        stages.share(kept, others | {"elm": own}, 2)


def test_shares_are_made_once(shared):
    kept, _ = shared
    with pytest.raises(PolicyError, match="made before"):
        stages.share(kept["ash"], kept["ash"].neighbours, 2)


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


def test_a_letter_of_another_session_is_refused(shared):
    """The same keys could serve a server twice; the letter's own heading tells."""
    kept, ciphertexts = shared
    other = kept["ash"].model_copy(update={"session": "t"})
    with pytest.raises(PolicyError, match="not for this site and session"):
        stages.hold(other, letters_to("ash", ciphertexts))


def test_nothing_is_masked_twice(held, shared):
    with pytest.raises(PolicyError, match="masked before"):
        stages.hold(held, letters_to("ash", shared[1]))


@pytest.mark.parametrize(
    "survivors", [["ash"], ["ash", "birch"], ["birch", "cedar", "elm"], ["ash", "x", "y", "z"]]
)
def test_sums_of_too_few_are_not_helped_with(held, survivors):
    with pytest.raises(PolicyError, match="a sum with"):
        stages.shares_for_unmasking(held, survivors)


def test_before_masking_there_is_nothing_to_help_with(shared):
    with pytest.raises(PolicyError, match="a sum with"):
        stages.shares_for_unmasking(shared[0]["ash"], NAMES)


def test_of_each_neighbour_one_share_is_given(held):
    shares = stages.shares_for_unmasking(held, ["ash", "birch", "elm"])
    assert shares == {
        "birch": held.held["birch"].seed_share,
        "cedar": held.held["cedar"].key_share,
        "elm": held.held["elm"].seed_share,
    }


def test_a_round_has_one_sum(tmp_path):
    note_sum(tmp_path, 1, ["ash", "birch"])
    note_sum(tmp_path, 1, ["ash", "birch"])
    note_sum(tmp_path, 2, ["ash"])
    with pytest.raises(PolicyError, match="other sites before"):
        note_sum(tmp_path, 1, ["ash"])


def test_updates_out_of_bounds():
    require_bounded(np.array([0.6, -0.8]), 1.0001, 0.8)
    for update, word in (
        ([0.6, -0.8], "norm 1 is above"),
        ([0.1, -0.81], "coordinate"),
        ([0.1, np.inf], "not finite"),
        ([np.nan], "not finite"),
    ):
        with pytest.raises(TrainingError, match=word):
            require_bounded(np.array(update), 0.999 if word.startswith("norm") else 2.0, 0.8)


def test_weights_are_shares_of_the_cap():
    largest = QUANTISATION.largest
    assert weight_level(10, 5, QUANTISATION) == weight_level(5, 5, QUANTISATION) == largest
    assert weight_level(1, 4, QUANTISATION) == round(largest / 4)
    assert weight_level(1, 10**12, QUANTISATION) == 1


def test_levels_are_of_the_weighted_update_and_its_weight():
    update = np.linspace(-0.5, 0.5, 101)
    half = round(QUANTISATION.largest / 2)
    found = levels(update, Counts(half, 70_000), QUANTISATION, 0.0, new_secret(), "run")
    assert Counts.of(found[-COUNTS:]) == Counts(half, 70_000)
    expected = update * half / QUANTISATION.largest
    assert np.abs(QUANTISATION.real(found[:-COUNTS]) - expected).max() <= QUANTISATION.step


def test_noise_is_the_same_for_the_same_update_only():
    secret, update = new_secret(), np.zeros(5000)
    first = levels(update, Counts(1, 10), QUANTISATION, 0.1, secret, "run")
    assert np.array_equal(first, levels(update, Counts(1, 10), QUANTISATION, 0.1, secret, "run"))
    assert QUANTISATION.real(first[:-COUNTS]).std() == pytest.approx(0.1, rel=0.05)
    other = update.copy()
    other[0] = 1e-9
    for changed in (
        levels(other, Counts(1, 10), QUANTISATION, 0.1, secret, "run"),
        levels(update, Counts(1, 10), QUANTISATION, 0.1, secret, "other run"),
        levels(update, Counts(1, 10), QUANTISATION, 0.1, new_secret(), "run"),
    ):
        assert (changed[1:-COUNTS] != first[1:-COUNTS]).mean() > 0.9
