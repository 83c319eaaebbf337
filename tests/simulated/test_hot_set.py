"""The true hot set: the fewest folios that get nine tenths of all accesses."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.simulated.hot_set import hottest

FOLIOS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from([1, 512])), min_size=1)


@settings(deadline=None)
@given(FOLIOS.filter(lambda folios: any(accesses for accesses, _ in folios)), st.booleans())
def test_it_is_what_is_found_by_going_through_folios_from_the_hottest(folios, one_size) -> None:
    accesses = [count for count, _ in folios]
    pages = [512 if one_size else size for _, size in folios]
    total = sum(accesses)
    by_page = sorted(range(len(folios)), key=lambda i: -accesses[i] / pages[i])
    got, least = 0, 0.0
    for i in by_page:
        got, least = got + accesses[i], accesses[i] / pages[i]
        if 10 * got >= 9 * total:
            break
    found = hottest(np.array(accesses) / total, np.array(pages, np.int32)).tolist()
    if 10 * got != 9 * total:  # else rounding decides
        assert found == [
            bool(count) and count / size >= least
            for count, size in zip(accesses, pages, strict=True)
        ]
