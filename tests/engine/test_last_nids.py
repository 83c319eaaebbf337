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


def test_nodes_of_all_pages_take_a_sixteenth_of_a_byte_each_at_most_and_some_are_let_go() -> None:
    pages = 1 << 23
    ours = LastNids()
    ours.grow(pages)
    indices = np.arange(pages)
    ours.remember(indices, (indices % 700).astype(np.int16))
    assert ours.nbytes <= pages // 16
    last = indices[-1000:]
    assert ours.of(last).tolist() == (last % 700).tolist()
    assert set(ours.of(indices[:1000]).tolist()) == {-1}
