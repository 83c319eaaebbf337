"""Reuse distances are those of an LRU stack, exactly or from a sample of the pages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.exploring.lru import PAGES, LruShares
from pghot.exploring.reuse import ReuseSample, hashed

WHOLE, STEADY = slice(0, 2), slice(1, 2)


def stack_distances(rows):
    """The distance of each access but the first ones, from a list kept in order of use."""
    stack, found = [], []
    for row in rows:
        if row in stack:
            found.append(stack.index(row) + 1)
            stack.remove(row)
        stack.insert(0, row)
    return found


def zipf(rows, pages, exponent, seed=1):
    rng = np.random.default_rng(seed)
    heat = np.cumsum(1 / np.arange(1, pages + 1) ** exponent)
    drawn = np.searchsorted(heat / heat[-1], rng.random(rows))
    return rng.permutation(pages)[drawn].astype(np.uint64)


def lru_of(rows, pages, piece=1 << 14):
    lru = LruShares(pages)
    for start in range(0, len(rows), piece):
        lru.add(rows[start : start + piece], int(start >= len(rows) // 2))
    return lru


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 40), max_size=300), st.integers(1, 50))
def test_distances_are_those_of_a_stack_whatever_the_pieces(pages, piece):
    sample = ReuseSample(64, 7)
    rows = hashed(np.array(pages, np.uint64))
    for start in range(0, len(rows), piece):
        sample.add(rows[start : start + piece], 0)
    distances = stack_distances(pages)
    assert sample.weights[0][:64].tolist() == np.bincount(distances, minlength=64).tolist()
    assert sample.first[0] == len(set(pages))
    assert sample.shift == 0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=400))
def test_a_full_sample_halves_its_rate_and_counts_its_pages_as_many(pages):
    sample = ReuseSample(16, 5)
    rows = hashed(np.array(pages, np.uint64))
    sample.add(rows, 0)
    mine = (
        [
            page
            for page, row in zip(pages, rows.tolist(), strict=True)
            if row >> (64 - sample.shift) == 0
        ]
        if sample.shift
        else pages
    )
    assert len(set(mine)) <= 16
    assert sample.shift == 0 or len({*pages}) > 16


def test_no_two_pages_have_one_hash():
    hashes = hashed(np.arange(1 << 16, dtype=np.uint64))
    assert len(np.unique(hashes)) == 1 << 16


@pytest.mark.parametrize(("pages", "exponent"), [(60_000, 0.8), (90_000, 1.1), (40_000, 0.0)])
def test_sampled_shares_are_within_a_hundredth_of_the_exact_ones(pages, exponent):
    rows = zipf(400_000, pages, exponent)
    sizes = np.arange(1, 101) * pages // 100
    exact = lru_of(rows, 1 << 16)
    sampled = lru_of(rows, PAGES)
    assert (exact.rate, sampled.rate < 1) == (1.0, True)
    for parts in (WHOLE, STEADY):
        known, none = exact.shares(sizes, parts)
        share, _error = sampled.shares(sizes, parts)
        assert not none.any()
        assert np.mean(np.abs(share - known)) < 0.01


def test_the_error_covers_what_the_sample_is_off():
    sizes = np.arange(1, 51) * 400
    covered = []
    for seed in range(6):
        rows = zipf(100_000, 20_000, 0.9, seed)
        share, error = lru_of(rows, 1 << 11).shares(sizes, WHOLE)
        known, _none = lru_of(rows, 1 << 15).shares(sizes, WHOLE)
        covered.append(np.mean(np.abs(share - known) <= error))
    assert np.mean(covered) > 0.85


def test_a_loop_longer_than_the_memory_is_never_served_and_a_shorter_one_always_is():
    rows = np.tile(np.arange(1000, dtype=np.uint64), 50)
    share, _error = lru_of(rows, 1 << 11).shares(np.array([999, 1000]), WHOLE)
    assert share.tolist() == [0.0, 0.98]


def test_no_memory_serves_nothing():
    share, _error = lru_of(np.zeros(9, np.uint64), 1 << 11).shares(np.array([0, 1]), WHOLE)
    assert share.tolist() == [0.0, 8 / 9]
