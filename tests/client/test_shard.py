from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from client.ehr.shard import TokenShard, shard_folder
from client.ehr.shard_writer import Piece, write_shard
from wardlaw.errors import ShardError
from wardlaw.vocabulary import Vocabulary

VOCABULARY = Vocabulary("fused", ("LAB//a",), {})


def _piece(split: str, subjects: list[int]) -> Piece:
    patients = len(subjects)
    return Piece(
        split=split,
        tokens=np.tile([2, 4, 4, 3], patients),
        minutes=np.tile(np.array([0, 0, 7, 7], dtype=np.int32), patients),
        starts_event=np.tile(np.array([1, 0, 1, 0], dtype=np.uint8), patients),
        subject_ids=np.array(subjects),
        lengths=np.full(patients, 4),
        events=np.full(patients, 2),
        origin=np.full(patients, np.datetime64("2020-01-01T00:00", "us")),
        counts=Counter(unknown_codes=1),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pieces = [_piece("train", [1, 2]), _piece("tuning", [9]), _piece("train", [3])]
    write_shard(tmp_path, VOCABULARY, pieces, site="a", source="b", synthetic=True)
    return shard_folder(tmp_path, VOCABULARY.fingerprint)


def test_pieces_are_put_together_by_split(folder: Path) -> None:
    shard = TokenShard.open(folder, tokenizer=VOCABULARY.fingerprint)
    train = shard.split("train")
    assert train.subject_ids.tolist() == [1, 2, 3]
    assert train.first_token.tolist() == [0, 4, 8]
    assert train.lengths.tolist() == [4, 4, 4]
    assert train.tokens.tolist() == [2, 4, 4, 3] * 3
    assert train.minutes.tolist() == [0, 0, 7, 7] * 3
    assert train.starts_event.tolist() == [1, 0, 1, 0] * 3
    assert train.origin[0] == np.datetime64("2020-01-01")
    assert (train.tokens.dtype, train.minutes.dtype) == (np.uint16, np.int32)
    assert (train.starts_event.dtype, train.origin.dtype) == (np.uint8, np.dtype("datetime64[us]"))
    assert len(shard.split("held_out").tokens) == len(shard.split("held_out").origin) == 0
    counts = shard.manifest.splits["train"]
    assert (counts.patients, counts.tokens, counts.events, counts.unknown_codes) == (3, 12, 6, 2)
    assert shard.vocabulary() == VOCABULARY


def test_arrays_are_views_of_the_file_and_not_to_be_written(folder: Path) -> None:
    tokens = TokenShard.open(folder).split("train").tokens
    assert not tokens.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 0


def test_nothing_is_left_of_the_making(folder: Path) -> None:
    names = {"manifest.json", "vocabulary.json"}
    for split in ("train", "tuning", "held_out"):
        names |= {f"{split}.tokens.arrow", f"{split}.patients.arrow"}
    assert {path.name for path in folder.iterdir()} == names
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_another_tokeniser_is_refused_by_both_names(folder: Path) -> None:
    other = Vocabulary("fused", ("LAB//b",), {}).fingerprint
    with pytest.raises(ShardError) as caught:
        TokenShard.open(folder, tokenizer=other)
    assert VOCABULARY.fingerprint in str(caught.value)
    assert other in str(caught.value)


def test_an_altered_truncated_or_absent_file_is_named(folder: Path) -> None:
    path = folder / "train.tokens.arrow"
    content = path.read_bytes()
    path.write_bytes(content[:-40] + bytes([content[-40] ^ 1]) + content[-39:])
    with pytest.raises(ShardError, match=r"train\.tokens\.arrow: the shard's file is truncated or altered"):
        TokenShard.open(folder)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ShardError, match="truncated"):
        TokenShard.open(folder, verify=False).split("train")
    path.unlink()
    with pytest.raises(ShardError, match="absent"):
        TokenShard.open(folder)
    with pytest.raises(ShardError, match="absent"):
        TokenShard.open(folder, verify=False).split("train")


def test_rows_must_be_as_many_as_the_manifest_says(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"tokens": 12', '"tokens": 13'))
    with pytest.raises(ShardError, match="12 rows where the manifest says 13"):
        TokenShard.open(folder).split("train")


def test_a_folder_that_is_no_shard_is_one_error(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ShardError, match="not a token shard"):
        TokenShard.open(tmp_path / "absent")
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace("wardlaw-shard-1", "wardlaw-shard-0"))
    with pytest.raises(ShardError, match="not a shard manifest: format"):
        TokenShard.open(folder)


def test_a_missing_split_is_named(folder: Path) -> None:
    with pytest.raises(ShardError, match="no split 'test'"):
        TokenShard.open(folder).split("test")


@pytest.mark.parametrize("second", ["train", "held_out"])
def test_a_subject_may_not_come_twice(tmp_path: Path, second: str) -> None:
    pieces = [_piece("train", [1, 2]), _piece(second, [2])]
    with pytest.raises(ShardError, match="subject 2 comes twice"):
        write_shard(tmp_path, VOCABULARY, pieces, site="a", source="b", synthetic=True)
    assert list(tmp_path.iterdir()) == []


def test_a_large_vocabulary_has_wide_tokens(tmp_path: Path) -> None:
    vocabulary = Vocabulary("fused", tuple(f"LAB//{number:06}" for number in range(70_000)), {})
    write_shard(tmp_path, vocabulary, [_piece("train", [1])], site="a", source="b", synthetic=True)
    shard = TokenShard.open(shard_folder(tmp_path, vocabulary.fingerprint))
    assert shard.split("train").tokens.dtype == np.uint32
