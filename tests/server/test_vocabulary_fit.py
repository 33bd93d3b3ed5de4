from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from client.ehr.cells import form_cells
from client.ehr.summarise import summarise
from server.vocabulary import fit_vocabulary
from wardlaw.sketches import RANK_ERROR, VALUES_PER_ITEM, Cells, Counts, SiteSketch

NOON = datetime(2020, 1, 1, 12)  # noqa: DTZ001 (MEDS times have no zone)
SIZES = {"east": 15, "north": 40, "south": 120, "west": 300}
Row = tuple[int, datetime, str, float | None]


def _site_rows(site: str, first: int, patients: int) -> list[Row]:
    """Patients of a site: labs whose values shift with the site, and codes of all frequencies."""
    rng = np.random.default_rng(len(site) + patients)
    shift = {"east": 3.0, "north": 0.0, "south": -1.0, "west": 1.0}[site]
    rows: list[Row] = []
    for patient in range(first, first + patients):
        codes = [f"DIAGNOSIS//ICD//10//{'ABC'[number % 3]}{number:02}" for number in range(30)]
        rows += [(patient, NOON, c, None) for place, c in enumerate(codes) if rng.random() < 1 / (1 + place)]
        for number in range(5):
            times = int(rng.integers(0, 12))
            values = shift + rng.normal(number, 1, times)
            stated = values if number else np.round(values)
            rows += [(patient, NOON + timedelta(hours=h), f"LAB//{number}", v) for h, v in enumerate(stated)]
    return rows


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory, write_meds: Callable[..., Path]) -> dict[str, list[Row]]:
    first, found = 0, {}
    for site, patients in SIZES.items():
        found[site] = _site_rows(site, first, patients)
        first += patients
    return found


def _sketch(write_meds: Callable[..., Path], folder: Path, rows: list[Row], scheme: str) -> SiteSketch:
    root = write_meds(folder, [rows], dict.fromkeys({row[0] for row in rows}, "train"))
    content = summarise(root, scheme, count_rounding=1).to_bytes()  # type: ignore[arg-type]
    return SiteSketch.from_bytes(content, site="x", scheme=scheme)  # type: ignore[arg-type]


@pytest.mark.parametrize("scheme", ["ethos", "fused"])
def test_federated_is_pooled_but_for_what_the_floor_keeps(
    tmp_path: Path, write_meds: Callable[..., Path], sites: dict[str, list[Row]], scheme: str
) -> None:
    sketches = [_sketch(write_meds, tmp_path / site, rows, scheme) for site, rows in sorted(sites.items())]
    everything = [row for rows in sites.values() for row in rows]
    federated = fit_vocabulary(sketches, scheme)  # type: ignore[arg-type]
    pooled = fit_vocabulary([_sketch(write_meds, tmp_path / "all", everything, scheme)], scheme)  # type: ignore[arg-type]

    patients = {
        code: [len({row[0] for row in rows if row[2] == code}) for rows in sites.values()]
        for code in {row[2] for row in everything}
    }
    by_floor = {code for code, counts in patients.items() if max(counts) >= 10}
    by_pool = {code for code, counts in patients.items() if sum(counts) >= 10}
    assert set(federated.codes) & patients.keys() == by_floor
    assert set(pooled.codes) & patients.keys() == by_pool
    assert by_floor < by_pool  # codes of few patients everywhere are lost, and only those
    assert federated.edges.keys() == pooled.edges.keys() == {f"LAB//{number}" for number in range(5)}


def test_edges_ranks_among_pooled_values_are_within_the_stated_error(
    tmp_path: Path, write_meds: Callable[..., Path], sites: dict[str, list[Row]]
) -> None:
    sketches = [_sketch(write_meds, tmp_path / site, rows, "fused") for site, rows in sorted(sites.items())]
    vocabulary = fit_vocabulary(sketches, "fused")
    for code, edges in vocabulary.edges.items():
        pooled, off = [], 0.0
        for rows in sites.values():
            own = [(row[0], row[3]) for row in rows if row[2] == code]
            values = np.array([value for _, value in own], dtype=np.float32)
            cells = form_cells(values, np.array([patient for patient, _ in own]), 10, 1)
            assert cells is not None
            told = np.repeat(cells.values, cells.items * VALUES_PER_ITEM)
            off += len(values) * _greatest_rank_error(values, told)
            pooled.append(values)
        together = np.sort(np.concatenate(pooled))
        allowed = off / len(together) + RANK_ERROR
        assert allowed < 0.03
        rank_of = {
            side: [np.searchsorted(together, np.float32(edge), side=side) / len(together) for edge in edges]
            for side in ("left", "right")
        }
        for below, up_to in zip(rank_of["left"], rank_of["right"], strict=True):
            assert any(below - allowed <= decile / 10 <= up_to + allowed for decile in range(1, 10))
        if code != "LAB//0":
            assert len(edges) == 9
            np.testing.assert_allclose(rank_of["right"], np.arange(1, 10) / 10, atol=allowed)


def _greatest_rank_error(values: np.ndarray, told: np.ndarray) -> float:
    places = np.unique(np.concatenate([values, told]))
    ranks = [
        np.searchsorted(np.sort(sample), places, side="right") / len(sample) for sample in (values, told)
    ]
    return float(np.abs(ranks[0] - ranks[1]).max())


def test_a_code_below_the_floor_at_every_site_is_lost() -> None:
    told = [SiteSketch("fused", {"LAB//a": Counts(10, 10)}, {}), SiteSketch("fused", {}, {})]
    assert fit_vocabulary(told, "fused").codes == ("LAB//a",)
    assert fit_vocabulary(told, "fused", minimum_patients=11).codes == ()
    assert fit_vocabulary(told * 2, "fused", minimum_patients=11).codes == ("LAB//a",)


def _only(values: list[float], items: list[int]) -> SiteSketch:
    cells = Cells(np.array(values, dtype=np.float32), np.array(items))
    return SiteSketch("fused", {"LAB//a": Counts(10, 10)}, {"LAB//a": cells})


def test_deciles_are_those_of_all_values() -> None:
    sketch = _only(list(range(1, 101)), [1] * 100)
    assert fit_vocabulary([sketch], "fused").edges["LAB//a"] == tuple(range(10, 100, 10))
    assert len([t for t in fit_vocabulary([sketch], "fused").tokens if t.startswith("LAB//a//_Q")]) == 10


def test_discrete_values_have_as_many_bins_as_they_can_fill() -> None:
    assert fit_vocabulary([_only([3, 4, 15], [5, 3, 12])], "fused").edges["LAB//a"] == (3.0, 4.0)
    assert fit_vocabulary([_only([3.0], [50])], "fused").edges == {}


def test_edges_are_written_as_short_as_they_can_be() -> None:
    assert fit_vocabulary([_only([36.6, 37.2], [9, 1])], "fused").edges["LAB//a"] == (36.6,)
