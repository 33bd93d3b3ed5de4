"""The 26 classes against the Challenge's own tables."""

import csv
from pathlib import Path

import numpy as np
import pytest

from client.ecg.classes import (
    ABBREVIATIONS,
    CLASSES,
    EQUIVALENTS,
    NAMES,
    SINUS,
    challenge_weights,
    class_of,
    labels_of,
)


@pytest.fixture(scope="module")
def scoring(shared_data: Path) -> Path:
    return shared_data / "ecg" / "scoring"


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_weights_and_their_order_are_the_challenges(scoring: Path) -> None:
    header, *body = rows(scoring / "weights.csv")
    assert ["|".join(codes) for codes in EQUIVALENTS] == header[1:] == [row[0] for row in body]
    published = np.array([[float(cell) for cell in row[1:]] for row in body])
    np.testing.assert_allclose(challenge_weights(), published, rtol=0, atol=1e-12)


def test_abbreviations_and_names_are_the_challenges(scoring: Path) -> None:
    assert list(ABBREVIATIONS) == rows(scoring / "weights_abbreviations.csv")[0][1:]
    header, *body = rows(scoring / "dx_mapping_scored.csv")
    scored = [dict(zip(header, row, strict=False)) for row in body]
    assert {row["SNOMEDCTCode"] for row in scored} == {code for codes in EQUIVALENTS for code in codes}
    for row in scored:
        number = class_of(row["SNOMEDCTCode"])
        assert number is not None
        assert row["Abbreviation"] in ABBREVIATIONS[number].split("|")


def test_no_unscored_code_has_a_class(scoring: Path) -> None:
    header, *body = rows(scoring / "dx_mapping_unscored.csv")
    assert {class_of(row[header.index("SNOMEDCTCode")]) for row in body} == {None}


def test_classes_are_26_and_distinct() -> None:
    assert len(CLASSES) == len(set(CLASSES)) == len(set(ABBREVIATIONS)) == len(set(NAMES)) == 26
    assert CLASSES[14] == SINUS


def test_weights_are_symmetric_and_own_class_is_best() -> None:
    weights = challenge_weights()
    np.testing.assert_array_equal(weights, weights.T)
    assert (weights.argmax(axis=1) == np.arange(26)).all()


def test_labels_merge_equivalents_and_leave_unscored_codes_out() -> None:
    one, other = labels_of(["733534002"]), labels_of(["164909002", "733534002", "164884008"])
    np.testing.assert_array_equal(one, other)
    assert one.dtype == np.uint8
    assert one.sum() == 1
    assert labels_of([]).sum() == 0
