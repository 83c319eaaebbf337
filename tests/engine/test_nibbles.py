"""Numbers of four bits, two in a byte (`engine.nibbles`)."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pghot.engine.nibbles import MOST, Nibbles

PLACES = st.lists(st.integers(0, 40), min_size=1, max_size=12)


@given(st.lists(st.tuples(PLACES, st.integers(0, MOST)), max_size=12))
def test_each_index_has_what_was_set_there_last_whatever_its_neighbour_has(writes) -> None:
    nibbles, expected = Nibbles(), np.zeros(41, np.uint8)
    for indices, number in writes:
        nibbles.set(np.array(indices), np.full(len(indices), number, np.uint8))
        expected[indices] = number
    assert np.array_equal(nibbles.get(np.arange(41)), expected)


def test_of_a_index_that_comes_twice_the_last_number_stays() -> None:
    nibbles = Nibbles()
    nibbles.set(np.array([4, 5, 4]), np.array([1, 2, 3], np.uint8))
    assert nibbles.get(np.array([4, 5])).tolist() == [3, 2]


def test_a_index_that_was_never_set_has_zero_and_so_has_one_that_was_cleared() -> None:
    nibbles = Nibbles()
    nibbles.set(np.array([6, 7]), np.array([9, 8], np.uint8))
    nibbles.clear(np.array([7, 1 << 40]))
    assert nibbles.get(np.array([6, 7, 1 << 40])).tolist() == [9, 0, 0]


def test_a_index_takes_half_a_byte_of_memory_and_as_much_room_to_grow() -> None:
    nibbles = Nibbles()
    indices = np.arange(1 << 20)[::-1].copy()
    nibbles.set(indices, np.ones(len(indices), np.uint8))
    assert nibbles.nbytes <= len(indices)  # address space, twice what is needed
