"""Owners of pages (`live.rmap`); the table that they are in: tests/engine/test_recent_pages.py."""

from __future__ import annotations

import numpy as np

from pghot.live.rmap import Owner, Rmap


def known(owner: Owner) -> list[tuple[int, int]]:
    return list(zip(owner.pid.tolist(), owner.vaddr.tolist(), strict=True))


def test_a_page_is_owned_by_the_last_that_was_seen_at_it_until_it_moves() -> None:
    rmap = Rmap(1 << 20)
    pages = np.array([5, 9, 5], np.int64)
    rmap.see(pages, np.array([7, 8, 4], np.int32), np.array([4096, 8192, 12288], np.uint64))
    assert known(rmap.of(np.array([5, 9, 6]))) == [(4, 12288), (8, 8192), (0, 0)]
    rmap.forget(np.array([5]))
    assert known(rmap.of(np.array([5, 9]))) == [(0, 0), (8, 8192)]
    assert (rmap.kept, rmap.let_go) == (1, 0)


def test_all_owners_take_an_eighth_of_a_byte_for_each_page_at_most() -> None:
    pages = 1 << 23
    rmap = Rmap(pages)
    indices = np.arange(pages, dtype=np.int64)
    rmap.see(indices, np.ones(pages, np.int32), indices.astype(np.uint64) << np.uint64(12))
    assert pages // 16 <= rmap.nbytes <= pages // 8
    assert rmap.kept + rmap.let_go == pages
