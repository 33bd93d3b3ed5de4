"""A chain that grows and in no other way changes unseen."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.privacy.chain import CHAIN_FILE, CLOCK, HEAD_FILE, create_chain, locked_chain
from client.privacy.secret import Secret
from wardlaw.errors import LedgerError

SECRET = Secret(bytes(range(32)))
START = datetime(2026, 1, 1, tzinfo=UTC)


def chain_of(folder, lines, secret=SECRET):
    create_chain(folder, secret, "opened", {"site": "a"}, lambda: START)
    for number in range(1, lines):
        with locked_chain(folder, secret, lambda: START + timedelta(seconds=number)) as chain:  # noqa: B023
            chain.append("reserved", {"round": number, "sigma": 1.5})


def entries_in(folder, secret=SECRET):
    with locked_chain(folder, secret) as chain:
        return tuple(chain.entries)


@pytest.fixture
def folder(tmp_path):
    chain_of(tmp_path, 5)
    return tmp_path


def rewrite(path, change):
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))


def test_what_was_appended_is_read_back_in_order(folder):
    entries = entries_in(folder)
    assert [entry.number for entry in entries] == [0, 1, 2, 3, 4]
    assert entries[3].content == {"round": 3, "sigma": 1.5}
    assert entries[3].time == START + timedelta(seconds=3)
    assert all(entry.previous == before.hash for before, entry in pairwise(entries))


def test_hashes_need_no_secret_to_be_checked(folder):
    for line in (folder / CHAIN_FILE).read_text().splitlines():
        fields = json.loads(line)
        told = fields.pop("hash"), fields.pop("seal")
        canonical = json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n"
        assert hashlib.sha256(canonical.encode()).hexdigest() == told[0]


def test_files_are_for_their_owner_only(folder):
    assert (folder / CHAIN_FILE).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda lines: [*lines[:2], *lines[3:]], "missing or moved"),
        (lambda lines: lines[1:], "missing or moved"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "missing or moved"),
        (lambda lines: [*lines, lines[-1]], "missing or moved"),
        (lambda lines: lines[:-1], "the last 1 entries were cut off"),
        (lambda lines: lines[:2], "the last 3 entries were cut off"),
        (lambda lines: [*lines[:-1], lines[-1][:-1]], "the last 1 entries were cut off"),
        (lambda lines: [*lines[:-1], lines[-1][:40]], "the last 1 entries were cut off"),
        (lambda lines: [], "empty"),
        (lambda lines: [*lines[:2], lines[2].replace(b'"sigma":1.5', b'"sigma":9.5'), *lines[3:]], "edited"),
        (lambda lines: [*lines[:2], lines[2].replace(b":", b": ", 1), *lines[3:]], "did not seal"),
        (lambda lines: [*lines[:2], b"\n", *lines[3:]], "not an entry"),
        (lambda lines: [*lines, b"[]\n"], "not an entry"),
    ],
)
def test_lines_deleted_moved_cut_or_edited_are_refused(folder, change, why):
    rewrite(folder / CHAIN_FILE, change)
    before = (folder / CHAIN_FILE).read_bytes()
    for _ in range(2):  # A refusal mends nothing.
        with pytest.raises(LedgerError, match=why):
            entries_in(folder)
    assert (folder / CHAIN_FILE).read_bytes() == before


def test_a_chain_written_anew_without_the_secret_is_refused(folder, tmp_path_factory):
    forged = tmp_path_factory.mktemp("forged")
    chain_of(forged, 5, Secret(bytes(32)))
    for name in (CHAIN_FILE, HEAD_FILE):
        (folder / name).write_bytes((forged / name).read_bytes())
    with pytest.raises(LedgerError, match="did not seal"):
        entries_in(folder)


def test_a_head_that_is_missing_edited_or_older_is_refused(folder, tmp_path_factory):
    older = tmp_path_factory.mktemp("older")
    chain_of(older, 3)
    head = (folder / HEAD_FILE).read_bytes()
    for content, why in (
        (None, "head is missing"),
        (b"", "head was edited"),
        (b"{}", "head was edited"),
        (b'{"number":-1}', "head was edited"),
        (head.replace(b'"number":4', b'"number":3'), "does not fit"),
        (head.replace(b'"seal":"', b'"seal":"0'), "does not fit"),
        ((older / HEAD_FILE).read_bytes(), "an older one"),
    ):
        (folder / HEAD_FILE).unlink(missing_ok=True)
        if content is not None:
            (folder / HEAD_FILE).write_bytes(content)
        with pytest.raises(LedgerError, match=why):
            entries_in(folder)


def test_a_missing_file_is_refused(folder):
    (folder / CHAIN_FILE).unlink()
    with pytest.raises(LedgerError, match="ledger is missing"):
        entries_in(folder)


def test_a_whole_line_that_a_crash_left_behind_the_head_counts(folder):
    before = (folder / HEAD_FILE).read_bytes()
    with locked_chain(folder, SECRET) as chain:
        chain.append("reserved", {"round": 5})
    after = (folder / HEAD_FILE).read_bytes()
    (folder / HEAD_FILE).write_bytes(before)
    assert entries_in(folder)[-1].content == {"round": 5}
    assert (folder / HEAD_FILE).read_bytes() == after


@pytest.mark.parametrize("kept", [1, 100, -1])
def test_part_of_a_line_that_a_crash_left_goes(folder, kept):
    before, lines = (folder / HEAD_FILE).read_bytes(), (folder / CHAIN_FILE).read_bytes()
    with locked_chain(folder, SECRET) as chain:
        chain.append("reserved", {"round": 5})
    added = (folder / CHAIN_FILE).read_bytes()[len(lines) :]
    (folder / CHAIN_FILE).write_bytes(lines + added[:kept])
    (folder / HEAD_FILE).write_bytes(before)
    assert len(entries_in(folder)) == 5
    assert (folder / CHAIN_FILE).read_bytes() == lines
    with locked_chain(folder, SECRET) as chain:
        chain.append("reserved", {"round": 6})
    assert entries_in(folder)[-1].content == {"round": 6}


def test_a_clock_set_back_adds_nothing_until_the_site_says_that_it_is_right(folder):
    earlier = START - timedelta(days=400)
    before = (folder / CHAIN_FILE).read_bytes()
    with (
        locked_chain(folder, SECRET, lambda: earlier) as chain,
        pytest.raises(LedgerError, match="the clock says 2024-11-27"),
    ):
        chain.append("reserved", {})
    assert (folder / CHAIN_FILE).read_bytes() == before
    with locked_chain(folder, SECRET, lambda: earlier) as chain:
        chain.append(CLOCK, {})
        chain.append("reserved", {"round": 5})
    assert len(entries_in(folder)) == 7


def test_a_full_disk_is_one_clear_error(folder, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("client.privacy.chain.os.fsync", full)
    with locked_chain(folder, SECRET) as chain, pytest.raises(LedgerError, match="No space left"):
        chain.append("reserved", {"round": 5})
    monkeypatch.undo()
    # The line may be on the disk: it counts.
    assert len(entries_in(folder)) == 6


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_no_edit_of_bytes_passes(data):
    with TemporaryDirectory() as name:
        folder = Path(name)
        chain_of(folder, 3)
        target = folder / data.draw(st.sampled_from([CHAIN_FILE, HEAD_FILE]))
        content = bytearray(target.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["flip", "delete", "insert", "cut"]))
        byte = data.draw(st.integers(0, 255))
        match kind:
            case "flip":
                content[place] ^= byte or 1
            case "delete":
                del content[place : place + data.draw(st.integers(1, 50))]
            case "insert":
                content.insert(place, byte)
            case "cut":
                del content[place:]
        if bytes(content) == target.read_bytes():
            return
        target.write_bytes(content)
        with pytest.raises(LedgerError):
            entries_in(folder)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40, deadline=None)
@given(contents=st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=5))
def test_any_content_is_read_back_as_it_was(contents):
    with TemporaryDirectory() as name:
        folder = Path(name)
        create_chain(folder, SECRET, "opened", {}, lambda: START)
        with locked_chain(folder, SECRET) as chain:
            for content in contents:
                chain.append("any", content)
        assert [dict(entry.content) for entry in entries_in(folder)[1:]] == contents
