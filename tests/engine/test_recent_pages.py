"""Facts of pages in bounded memory: what a plain dictionary knows, or nothing."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.recent_pages import LEAST_MOST, LEAST_SETS, TAG_BITS, WAYS, RecentPages

PLACE = st.one_of(
    st.integers(0, 40),
    st.integers(0, 1 << 16),
    st.sampled_from([(1 << 42) - 2, 1 << 40, 1 << 29]),
)
ROW = st.tuples(PLACE, st.integers(1, (1 << TAG_BITS) - 1), st.integers(0, (1 << 64) - 1))
ROWS = st.lists(st.lists(ROW, max_size=60), max_size=8)
PAGES = st.sampled_from([0, 1 << 10, 1 << 12, 1 << 14, 1 << 20])


SET_BYTES = 16 * WAYS


def a_table(pages: int, least: int = LEAST_MOST, *, with_words: bool = True) -> RecentPages:
    return RecentPages(pages, least, with_words=with_words)


def see(table: RecentPages, rows: list[tuple[int, int, int]]) -> None:
    indices, tags, words = zip(*rows, strict=True) if rows else ((), (), ())
    table.see(np.array(indices, np.int64), np.array(tags, np.int32), np.array(words, np.uint64))


def of(table: RecentPages, *indices: int) -> list[tuple[int, int]]:
    facts = table.of(np.array(indices, np.int64))
    return list(zip(facts.tag.tolist(), facts.word.tolist(), strict=True))


@settings(deadline=None)
@given(pages=PAGES, calls=ROWS, gone=st.lists(st.sets(st.integers(0, 59)), max_size=8))
def test_what_was_forgotten_is_not_known_and_all_others_keep_theirs(pages, calls, gone) -> None:
    table = a_table(pages, LEAST_SETS)
    for rows, places in zip(calls, gone, strict=False):
        see(table, rows)
        seen = sorted({index for index, *_ in rows})
        moved = [seen[place] for place in places if place < len(seen)]
        others = [index for index in seen if index not in moved]
        before, kept = of(table, *others), table.kept
        there = sum(tag > 0 for tag, _ in of(table, *moved))
        table.forget(np.array(moved, np.int64))
        assert of(table, *moved) == [(0, 0)] * len(moved)
        assert of(table, *others) == before
        assert table.kept == kept - there


@settings(deadline=None)
@given(pages=PAGES, calls=ROWS, gone=st.lists(st.sets(st.integers(0, 40)), max_size=8))
def test_a_table_of_tags_alone_knows_the_tags_that_one_with_words_does(pages, calls, gone) -> None:
    both = [a_table(pages, LEAST_SETS, with_words=words) for words in (True, False)]
    seen = np.array(sorted({index for rows in calls for index, *_ in rows}), np.int64)
    for rows, forgotten in zip_longest(calls, gone, fillvalue=()):
        for table in both:
            see(table, list(rows))
            table.forget(np.array(sorted(forgotten), np.int64))
        one, other = both
        assert np.array_equal(one.of(seen).tag, other.of(seen).tag)
        assert (one.kept, one.let_go) == (other.kept, other.let_go)
        assert one.nbytes == 2 * other.nbytes


@settings(deadline=None)
@given(pages=PAGES, calls=ROWS, grown=st.integers(0, 8))
def test_what_is_known_is_what_was_seen_last_or_the_page_was_let_go(pages, calls, grown) -> None:
    table, plain = a_table(pages, LEAST_SETS), {}
    for number, rows in enumerate(calls):
        if number == grown:
            table.grow(16 * pages)
        see(table, rows)
        plain |= {index: facts for index, *facts in rows}
        known = of(table, *plain)
        assert all(
            mine in (tuple(theirs), (0, 0))
            for mine, theirs in zip(known, plain.values(), strict=True)
        )
        there = sum(tag > 0 for tag, _ in known)
        assert there == table.kept
        assert len(plain) <= there + table.let_go
        if rows:  # what was seen last is there
            assert of(table, rows[-1][0]) == [tuple(rows[-1][1:])]
    assert table.nbytes <= max(8 * SET_BYTES, pages // 8, 2 * pages * (grown < len(calls)))


@pytest.mark.parametrize("step", [1, 16, 512, 1 << 15, 1 << 18, 12_345])
def test_with_room_for_all_none_is_let_go(step) -> None:
    table = a_table(1 << 24)
    indices = np.arange(10_000, dtype=np.int64) * step
    words = indices.astype(np.uint64) << np.uint64(12)
    order = np.random.default_rng(step).permutation(len(indices))
    for part in np.split(order, [0, 99, 5000]):
        table.see(indices[part], part.astype(np.int32) + 1, words[part])
    facts = table.of(indices)
    assert np.array_equal(facts.tag, np.arange(1, len(indices) + 1))
    assert np.array_equal(facts.word, words)
    assert (table.kept, table.let_go) == (len(indices), 0)


def test_the_smallest_machine_has_room_for_all_that_a_scan_makes_ready_at_once() -> None:
    table = a_table(0)
    indices = np.arange(LEAST_MOST * WAYS // 2, dtype=np.int64)
    table.see(indices, np.ones(len(indices), np.int32), indices.astype(np.uint64))
    assert table.let_go * 100 <= len(indices)


def test_few_pages_take_little_memory_of_a_large_machine() -> None:
    table = a_table(1 << 29)
    indices = np.arange(512, dtype=np.int64) << 18  # one a GiB
    table.see(indices, np.ones(512, np.int32), indices.astype(np.uint64) << np.uint64(12))
    assert table.nbytes <= 512 * 256


def test_nothing_is_known_of_pages_that_were_not_seen() -> None:
    table = a_table(1 << 20)
    assert of(table, 0, 5, (1 << 42) - 2) == [(0, 0)] * 3
    see(table, [(5, 7, 9)])
    assert of(table, 0, 5, 6) == [(0, 0), (7, 9), (0, 0)]
    see(table, [])
    assert table.kept == 1


def set_of(index: int) -> int:
    """The set of the smallest table in which an index is kept."""
    table = a_table(0, LEAST_SETS)
    see(table, [(index, 1, 1)])
    return int(np.flatnonzero(table._table)[0]) // (SET_BYTES // 8)


def test_of_a_full_set_the_page_seen_least_recently_is_let_go() -> None:
    *indices, last = [index for index in range(1000) if set_of(index) == 3][: WAYS + 1]
    table = a_table(0, LEAST_SETS)
    see(table, [(index, 1, 1) for index in indices])
    see(table, [(indices[0], 77, 2)])  # seen again: it is not the oldest any more
    see(table, [(last, 78, 3)])
    assert of(table, *indices[:3], last) == [(77, 2), (0, 0), (1, 1), (78, 3)]
    assert (table.kept, table.let_go) == (WAYS, 1)


def test_what_was_forgotten_makes_room_before_any_other_is_let_go() -> None:
    *indices, last = [index for index in range(1000) if set_of(index) == 3][: WAYS + 1]
    table = a_table(0, LEAST_SETS)
    see(table, [(index, 1, 1) for index in indices])
    table.forget(np.array([indices[4]], np.int64))
    see(table, [(last, 78, 3)])
    assert of(table, indices[4], *indices[:4], last) == [(0, 0), *[(1, 1)] * 4, (78, 3)]
    assert (table.kept, table.let_go) == (WAYS, 0)


@pytest.mark.parametrize("gibibytes", [32, 96])
def test_where_every_page_is_seen_an_entry_for_128_pages_is_taken_at_most(gibibytes) -> None:
    pages = gibibytes << 18
    table = a_table(pages)
    step = 1 << 14
    for start in range(0, pages, 128 * step):  # every 128th run of pages
        indices = np.arange(start, start + step, dtype=np.int64)
        table.see(indices, np.ones(step, np.int32), indices.astype(np.uint64) << np.uint64(12))
    assert pages // 32 < table.nbytes <= pages // 8
    last = table.of(indices)
    assert np.count_nonzero(last.tag) > 0.99 * step
    assert table.kept + table.let_go == pages // 128
