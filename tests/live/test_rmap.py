"""Owners of pages in bounded memory: what a plain dictionary knows, or nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.live.rmap import LEAST_MOST, LEAST_SETS, SET_BYTES, WAYS, Rmap

PLACE = st.one_of(
    st.integers(0, 40),
    st.integers(0, 1 << 16),
    st.sampled_from([(1 << 42) - 2, 1 << 40, 1 << 29]),
)
ROW = st.tuples(PLACE, st.integers(1, (1 << 22) - 1), st.integers(0, (1 << 45) - 1))
ROWS = st.lists(st.lists(ROW, max_size=60), max_size=8)
PAGES = st.sampled_from([0, 1 << 10, 1 << 12, 1 << 14, 1 << 20])


def see(owners: Rmap, rows: list[tuple[int, int, int]]) -> None:
    indices, pids, pages = zip(*rows, strict=True) if rows else ((), (), ())
    owners.see(
        np.array(indices, np.int64),
        np.array(pids, np.int32),
        np.array(pages, np.uint64) << np.uint64(12),
    )


def of(owners: Rmap, *indices: int) -> list[tuple[int, int]]:
    owner = owners.of(np.array(indices, np.int64))
    return list(zip(owner.pid.tolist(), (owner.vaddr >> np.uint64(12)).tolist(), strict=True))


@settings(deadline=None)
@given(pages=PAGES, calls=ROWS, gone=st.lists(st.sets(st.integers(0, 59)), max_size=8))
def test_what_has_moved_has_no_owner_and_all_others_keep_theirs(pages, calls, gone) -> None:
    owners = Rmap(pages, LEAST_SETS)
    for rows, places in zip(calls, gone, strict=False):
        see(owners, rows)
        seen = sorted({index for index, *_ in rows})
        moved = [seen[place] for place in places if place < len(seen)]
        others = [index for index in seen if index not in moved]
        before, kept = of(owners, *others), owners.kept
        there = sum(pid > 0 for pid, _ in of(owners, *moved))
        owners.forget(np.array(moved, np.int64))
        assert of(owners, *moved) == [(0, 0)] * len(moved)
        assert of(owners, *others) == before
        assert owners.kept == kept - there


@settings(deadline=None)
@given(pages=PAGES, calls=ROWS, grown=st.integers(0, 8))
def test_an_owner_is_the_last_that_accessed_the_page_or_was_let_go(pages, calls, grown) -> None:
    owners, plain = Rmap(pages, LEAST_SETS), {}
    for number, rows in enumerate(calls):
        if number == grown:
            owners.grow(16 * pages)
        see(owners, rows)
        plain |= {index: owner for index, *owner in rows}
        known = of(owners, *plain)
        assert all(
            mine in (tuple(theirs), (0, 0))
            for mine, theirs in zip(known, plain.values(), strict=True)
        )
        there = sum(pid > 0 for pid, _ in known)
        assert there == owners.kept
        assert len(plain) <= there + owners.let_go
        if rows:  # what was accessed last is there
            assert of(owners, rows[-1][0]) == [tuple(rows[-1][1:])]
    assert owners.nbytes <= max(8 * SET_BYTES, pages // 4, 4 * pages * (grown < len(calls)))


@pytest.mark.parametrize("step", [1, 16, 512, 1 << 15, 1 << 18, 12_345])
def test_with_room_for_all_none_is_let_go(step) -> None:
    owners = Rmap(1 << 24)
    indices = np.arange(10_000, dtype=np.int64) * step
    vaddrs = indices.astype(np.uint64) << np.uint64(12)
    order = np.random.default_rng(step).permutation(len(indices))
    for part in np.split(order, [0, 99, 5000]):
        owners.see(indices[part], part.astype(np.int32) + 1, vaddrs[part])
    owner = owners.of(indices)
    assert np.array_equal(owner.pid, np.arange(1, len(indices) + 1))
    assert np.array_equal(owner.vaddr, vaddrs)
    assert (owners.kept, owners.let_go) == (len(indices), 0)


def test_the_smallest_machine_keeps_the_owners_of_all_that_a_scan_makes_ready_at_once() -> None:
    owners = Rmap(0)
    indices = np.arange(LEAST_MOST * WAYS // 2, dtype=np.int64)
    owners.see(indices, np.ones(len(indices), np.int32), indices.astype(np.uint64))
    assert owners.let_go * 100 <= len(indices)


def test_few_owners_take_little_memory_of_a_large_machine() -> None:
    owners = Rmap(1 << 29)
    indices = np.arange(512, dtype=np.int64) << 18  # one a GiB
    owners.see(indices, np.ones(512, np.int32), indices.astype(np.uint64) << np.uint64(12))
    assert owners.nbytes <= 512 * 256


def test_nobody_is_known_where_nobody_accessed() -> None:
    owners = Rmap(1 << 20)
    assert of(owners, 0, 5, (1 << 42) - 2) == [(0, 0)] * 3
    see(owners, [(5, 7, 9)])
    assert of(owners, 0, 5, 6) == [(0, 0), (7, 9), (0, 0)]
    see(owners, [])
    assert owners.kept == 1


def set_of(index: int) -> int:
    """The set of the smallest table in which an index is kept."""
    owners = Rmap(0, LEAST_SETS)
    see(owners, [(index, 1, 1)])
    return int(np.flatnonzero(owners._table)[0]) // (SET_BYTES // 8)


def test_of_a_full_set_the_page_accessed_least_recently_is_let_go() -> None:
    *indices, last = [index for index in range(1000) if set_of(index) == 3][: WAYS + 1]
    owners = Rmap(0, LEAST_SETS)
    see(owners, [(index, 1, 1) for index in indices])
    see(owners, [(indices[0], 77, 2)])  # accessed again: it is not the oldest any more
    see(owners, [(last, 78, 3)])
    assert of(owners, *indices[:3], last) == [(77, 2), (0, 0), (1, 1), (78, 3)]
    assert (owners.kept, owners.let_go) == (WAYS, 1)


def test_what_has_moved_makes_room_before_any_other_is_let_go() -> None:
    *indices, last = [index for index in range(1000) if set_of(index) == 3][: WAYS + 1]
    owners = Rmap(0, LEAST_SETS)
    see(owners, [(index, 1, 1) for index in indices])
    owners.forget(np.array([indices[4]], np.int64))
    see(owners, [(last, 78, 3)])
    assert of(owners, indices[4], *indices[:4], last) == [(0, 0), *[(1, 1)] * 4, (78, 3)]
    assert (owners.kept, owners.let_go) == (WAYS, 0)


@pytest.mark.parametrize("gibibytes", [16, 48])
def test_where_every_page_is_ready_a_quarter_of_a_byte_a_page_is_taken_at_most(gibibytes) -> None:
    pages = gibibytes << 18
    owners = Rmap(pages)
    step = 1 << 14
    for start in range(0, pages, 64 * step):  # every 64th run of pages
        indices = np.arange(start, start + step, dtype=np.int64)
        owners.see(indices, np.ones(step, np.int32), indices.astype(np.uint64) << np.uint64(12))
    assert pages // 16 < owners.nbytes <= pages // 4
    last = owners.of(indices)
    assert np.count_nonzero(last.pid) > 0.99 * step
    assert owners.kept + owners.let_go == pages // 64
