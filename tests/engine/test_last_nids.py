"""Where pages were accessed from last (`engine.last_nids`)."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pghot.engine.last_nids import LastNids
from pghot.engine.units import NID_MAX

nids = st.sampled_from([-2, -1, *range(12), 700, NID_MAX, NID_MAX + 1])  # 14 that there may be
rows = st.lists(st.tuples(st.integers(-1, 40), nids), max_size=40)


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    indices, nids = zip(*pairs, strict=True) if pairs else ((), ())
    return np.array(indices, np.int64), np.array(nids, np.int16)


@given(calls=st.lists(rows, max_size=6), gone=st.sets(st.integers(0, 60)))
def test_the_last_known_node_of_each_page_is_what_comes_back(calls, gone) -> None:
    ours, plain = LastNids(), {}
    for pairs in calls:
        ours.remember(*arrays(pairs))
        plain |= {index: nid for index, nid in pairs if index >= 0 and 0 <= nid <= NID_MAX}
    ours.forget(np.array(sorted(gone), np.int64))
    everywhere = np.arange(64)
    wanted = [-1 if index in gone else plain.get(index, -1) for index in everywhere.tolist()]
    assert ours.of(everywhere).tolist() == wanted


def test_beyond_15_nodes_the_rest_is_not_remembered() -> None:
    ours = LastNids()
    indices = np.arange(300)
    ours.remember(indices, indices.astype(np.int16))
    found = ours.of(indices)
    assert found[:15].tolist() == list(range(15))
    assert set(found[15:].tolist()) == {-1}


def test_it_costs_half_a_byte_for_each_page_up_to_the_last_that_was_accessed() -> None:
    ours = LastNids()
    ours.remember(np.array([1 << 30]), np.array([1], np.int16))
    assert 1 << 29 < ours._at.nbytes <= (2 << 29) + 64  # it grows to twice as much
    assert ours.of(np.array([1 << 30, (1 << 40)])).tolist() == [1, -1]
