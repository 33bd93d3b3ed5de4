"""Graphs are regular and mutual, and what is lost of them leaves one sum or none."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components

from wardlaw.secagg.graph import connected, draw_neighbours, majority, uncovered


@given(st.integers(2, 30), st.integers(1, 12), st.text("ab"))
def test_graphs_are_regular_and_mutual(count, degree, session):
    sites = [f"site-{number}" for number in range(count)]
    neighbours = draw_neighbours(sites, degree, session)
    expected = min(degree, count - 1)
    expected -= expected * count % 2
    assert sorted(neighbours) == sorted(sites)
    for site, others in neighbours.items():
        assert len(set(others)) == len(others) == expected
        assert site not in others
        assert all(site in neighbours[other] for other in others)


def test_graphs_follow_from_the_session():
    sites = [f"site-{number}" for number in range(20)]
    assert draw_neighbours(sites, 4, "a") == draw_neighbours(reversed(sites), 4, "a")
    assert draw_neighbours(sites, 4, "a") != draw_neighbours(sites, 4, "b")


def parts(graph, left):
    """Into which the sites that are left fall, by SciPy."""
    sites = sorted(left)
    edges = np.array([[other in graph[site] for other in sites] for site in sites], dtype=int)
    return connected_components(edges, directed=False)[0]


@given(st.integers(3, 16), st.integers(2, 6), st.data())
def test_connected_is_one_part(count, degree, data):
    sites = [f"site-{number}" for number in range(count)]
    graph = draw_neighbours(sites, degree, "s")
    left = data.draw(st.sets(st.sampled_from(sites), min_size=1))
    assert connected(graph, left) == (parts(graph, left) == 1)


@given(st.integers(5, 16), st.sampled_from([2, 4, 6]), st.data())
def test_an_even_degree_holds_all_that_are_covered_together(count, degree, data):
    sites = [f"site-{number}" for number in range(count)]
    graph = draw_neighbours(sites, degree, "s")
    lost = data.draw(st.sets(st.sampled_from(sites), max_size=count - 1))
    left = set(sites) - lost
    threshold = max(len(others) for others in graph.values()) // 2 + 1
    if not uncovered(graph, left, left, threshold):
        assert connected(graph, left)


def test_an_odd_degree_does_not():
    """Four arcs of three with gaps of two, bound only to the arc opposite: all covered, and two sums."""
    places = range(20)
    graph = {f"{place}": tuple(f"{(place + step) % 20}" for step in (1, 2, 10, 18, 19)) for place in places}
    left = {f"{place}" for place in places if place % 5 < 3}
    assert not uncovered(graph, left, left, 3)
    assert parts(graph, left) == 2
    assert not connected(graph, left)


def test_uncovered_sites_are_counted():
    graph = {"a": ("b", "c"), "b": ("a", "c"), "c": ("a", "b")}
    assert uncovered(graph, ["a", "c"], {"b", "c"}, 2) == {"c": 1}
    assert uncovered(graph, ["a"], {"b", "c"}, 2) == {}


@given(st.integers(4, 40), st.integers(2, 8), st.data())
def test_two_majorities_have_a_site_in_common(count, degree, data):
    graph = draw_neighbours([f"site-{number}" for number in range(count)], degree, "s")
    actual = max(len(others) for others in graph.values())
    threshold = data.draw(st.integers(actual // 2 + 1, actual))
    assert count < 2 * majority(graph, threshold) <= 2 * count
    if actual == count - 1:
        assert majority(graph, threshold) == min(threshold + 1, count)
