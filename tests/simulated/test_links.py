"""Threads and links in balance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.simulated.machine.link_kinds import CURVES, KINDS, LinkKind, kind
from pghot.simulated.machine.links import EXTRA_MAX, LINE_BYTES, LinkSolver
from tests.simulated.plain_links import PlainBalance

FLAT = LinkKind(100.0, 100.0, 20.0, 20.0, 40.0, 0.0, 0.0)
"""No dearer under load until a cap is reached."""


def solve(kinds, groups, shares, extra=None):
    solver = LinkSolver(kinds)
    none = np.zeros((len(kinds), 2))
    return solver.solve(
        np.array(groups, float), np.array(shares, float), none if extra is None else extra
    )


def test_threads_that_wait_for_latency_make_an_access_every_think_plus_latency_over_mlp():
    load = solve([FLAT], [(2, 30.0, 4.0, 0.0)], [[1.0]])
    assert load.access_ns[0] == pytest.approx(30 + 100 / 4, rel=1e-12)
    rate = 2 / load.access_ns[0]
    assert load.utilisation[0] == pytest.approx(rate * LINE_BYTES / 20, rel=1e-9)


@pytest.mark.parametrize(
    ("stores", "bytes_an_access", "cap"),
    [(0.0, 64, 20.0), (1.0, 64, 20.0), (0.5, 64, 20.0)],
)
def test_threads_that_wait_for_bandwidth_get_the_cap_over_the_bytes_they_move(
    stores, bytes_an_access, cap
):
    load = solve([FLAT], [(64, 0.0, 8.0, stores)], [[1.0]])
    assert 64 / load.access_ns[0] == pytest.approx(cap / bytes_an_access, rel=1e-6)
    assert load.utilisation[0] == 1.0


def test_a_store_moves_its_line_twice_which_a_cap_of_both_directions_feels():
    half_duplex = dataclasses.replace(FLAT, total_GBps=20.0)
    for stores, moved in ((0.0, 64), (0.5, 96), (1.0, 128)):
        load = solve([half_duplex], [(64, 0.0, 8.0, stores)], [[1.0]])
        assert 64 / load.access_ns[0] == pytest.approx(20 / moved, rel=1e-6)


def test_loads_alone_are_the_worst_mix_of_a_link_with_two_directions():
    cxl = kind("cxl-x8-ocp")
    moved = {}
    for stores in (0.0, 1 / 3, 0.5, 1.0):
        rate = 64 / solve([cxl], [(64, 0.0, 8.0, stores)], [[1.0]]).access_ns[0]
        moved[stores] = rate * LINE_BYTES * (1 + stores)
    assert moved[0.0] == pytest.approx(17.8, rel=1e-6)
    assert moved[1.0] == pytest.approx(27.2, rel=1e-6)
    assert moved[1 / 3] == pytest.approx(23.6, rel=0.01)  # 3 reads to a write, as measured
    assert moved[0.5] == pytest.approx(25.1, rel=0.07)
    assert min(moved.values()) == moved[0.0]


@pytest.mark.parametrize("name", CURVES)
def test_loaded_latency_follows_the_curve_of_the_machine(name):
    link = kind(f"ddr-{name}")
    for threads in (1, 8, 30, 60):
        load = solve([link], [(threads, 0.0, 4.0, 0.0)], [[1.0]])
        u = load.utilisation[0]
        assert 0 < u < 1
        factor = 1 + link.a * u**0.5 / (1 - link.c * u)
        assert load.read_latency_ns[0] == pytest.approx(link.read_latency_ns * factor, rel=1e-9)
        assert u == pytest.approx(
            threads / load.access_ns[0] * LINE_BYTES / link.total_GBps, rel=1e-9
        )


def test_a_group_that_goes_over_two_links_is_held_up_by_the_slower():
    slow = dataclasses.replace(FLAT, read_GBps=2.0, total_GBps=4.0)
    load = solve([FLAT, slow], [(64, 0.0, 8.0, 0.0)], [[0.9, 0.1]])
    assert 64 / load.access_ns[0] == pytest.approx(2 / (0.1 * 64), rel=1e-6)
    assert load.utilisation[1] == 1.0
    assert load.utilisation[0] == pytest.approx(2 * 9 / 20, rel=1e-6)


def test_pages_that_move_take_bandwidth_from_threads():
    extra = np.array([[5.0, 0.0]])
    load = solve([FLAT], [(64, 0.0, 8.0, 0.0)], [[1.0]], extra)
    assert 64 / load.access_ns[0] == pytest.approx((20 - 5) / 64, rel=1e-6)


def test_extra_traffic_counts_up_to_a_share_of_the_cap_so_that_threads_go_on():
    extra = np.array([[500.0, 0.0]])
    load = solve([FLAT], [(64, 0.0, 8.0, 0.0)], [[1.0]], extra)
    left = min(20 * (1 - EXTRA_MAX), 40 * (1 - EXTRA_MAX))
    assert 64 / load.access_ns[0] == pytest.approx(left / 64, rel=1e-6)


def test_a_group_without_threads_asks_for_nothing_but_is_told_its_time():
    load = solve([FLAT], [(0, 7.0, 1.0, 0.0), (0, 3.0, 1.0, 0.0)], [[1.0], [0.0]])
    assert load.access_ns.tolist() == pytest.approx([107.0, 3.0])
    assert load.utilisation[0] == 0.0


KIND = st.builds(
    LinkKind,
    st.floats(20, 1000),
    st.floats(20, 1000),
    st.floats(1, 300),
    st.floats(1, 300),
    st.floats(1, 500),
    st.floats(0, 0.5),
    st.floats(0, 0.95),
)
GROUP = st.tuples(st.floats(0, 256), st.floats(0, 500), st.floats(0.5, 16), st.floats(0, 1))


@st.composite
def balances(draw, groups=2):
    links = draw(st.integers(1, 3))
    kinds = draw(st.lists(KIND, min_size=links, max_size=links))
    rows = draw(st.lists(GROUP, min_size=1, max_size=groups))
    shares = []
    for _row in rows:
        weights = [draw(st.floats(0, 1)) + 1e-3 for _link in kinds]
        shares.append([weight / sum(weights) for weight in weights])
    extra = [(draw(st.floats(0, 3)), draw(st.floats(0, 3))) for _link in kinds]
    return kinds, rows, shares, extra


@given(balances())
@settings(max_examples=60, deadline=None)
def test_compiled_and_plain_agree(case):
    kinds, groups, shares, extra = case
    load = solve(kinds, groups, shares, np.array(extra))
    plain = PlainBalance(kinds, groups, shares, extra)
    assert load.utilisation == pytest.approx(plain.used, rel=1e-6, abs=1e-9)
    for group in range(len(groups)):
        assert load.access_ns[group] == pytest.approx(plain.access_ns(group), rel=1e-6)


@given(balances(), balances())
@settings(max_examples=60, deadline=None)
def test_where_the_search_begins_does_not_matter(case, other):
    kinds, groups, shares, extra = case
    fresh = solve(kinds, groups, shares, np.array(extra))
    solver = LinkSolver(kinds)
    links = len(kinds)
    elsewhere = (np.resize(np.array(other[2]), (len(other[1]), links)), np.zeros((links, 2)))
    solver.solve(np.array(other[1]), *elsewhere)
    warm = solver.solve(np.array(groups, float), np.array(shares), np.array(extra))
    assert warm.access_ns == pytest.approx(fresh.access_ns, rel=1e-7)


DEARER = ["read_latency_ns", "write_latency_ns", "a", "c"]
CHEAPER = ["read_GBps", "write_GBps", "total_GBps"]


@given(balances(groups=1), st.sampled_from(DEARER + CHEAPER), st.floats(1, 3), st.data())
@settings(max_examples=150, deadline=None)
def test_a_better_link_never_makes_a_group_slower(case, name, factor, data):
    kinds, groups, shares, extra = case
    link = data.draw(st.integers(0, len(kinds) - 1))
    value = getattr(kinds[link], name)
    better = value / factor if name in DEARER else value * factor
    changed = list(kinds)
    changed[link] = dataclasses.replace(kinds[link], **{name: better})
    was = solve(kinds, groups, shares, np.array(extra)).access_ns[0]
    now = solve(changed, groups, shares, np.array(extra)).access_ns[0]
    assert now <= was * (1 + 1e-7)


@given(balances(groups=1), st.floats(1, 3))
@settings(max_examples=100, deadline=None)
def test_more_threads_do_more_altogether_and_less_each(case, factor):
    kinds, [(threads, think, mlp, stores)], shares, extra = case
    few = solve(kinds, [(threads, think, mlp, stores)], shares, np.array(extra)).access_ns[0]
    many = solve(kinds, [(threads * factor, think, mlp, stores)], shares, np.array(extra))
    assert many.access_ns[0] >= few * (1 - 1e-7)
    assert threads * factor / many.access_ns[0] >= threads / few * (1 - 1e-7)


@given(balances(groups=1), st.floats(1, 3), st.floats(0, 100), st.floats(0, 5))
@settings(max_examples=100, deadline=None)
def test_more_under_way_less_thinking_and_less_extra_traffic_never_make_a_group_slower(
    case, factor, think, more
):
    kinds, [(threads, think_ns, mlp, stores)], shares, extra = case
    base = np.array(extra)
    was = solve(kinds, [(threads, think_ns + think, mlp, stores)], shares, base + more)
    now = solve(kinds, [(threads, think_ns, mlp * factor, stores)], shares, base)
    assert now.access_ns[0] <= was.access_ns[0] * (1 + 1e-7)


def test_every_known_kind_says_where_it_is_from_and_marks_what_is_assumed():
    assert {name for name in KINDS if name.startswith("ddr-")} == {f"ddr-{c}" for c in CURVES}
    for name, link in KINDS.items():
        assert link.source, name
        if name.startswith(("cxl", "cmm")):
            assert "assumption" in link.source


def test_a_kind_that_is_not_known_and_a_figure_that_cannot_be_are_refused():
    with pytest.raises(InputError, match=r"no link kind is named 'dddr'; known: ddr, "):
        kind("dddr")
    with pytest.raises(InputError, match="read_GBps of a link must be above zero"):
        dataclasses.replace(FLAT, read_GBps=0.0)
    with pytest.raises(InputError, match="latency_ns of a link must be above zero"):
        dataclasses.replace(FLAT, write_latency_ns=float("nan"))
    with pytest.raises(InputError, match="0 <= c < 1"):
        dataclasses.replace(FLAT, c=1.0)
