"""Moving pages costs no more of a CPU than it may, by folios and pages times prices."""

from __future__ import annotations

import numpy as np
import pytest

from pghot.live.move_budget import FOLIO_NS, PAGE_NS, SAVED_NS, MoveBudget

SECOND_NS = 1_000_000_000
SHARE = 0.01


def singles(count: int) -> np.ndarray:
    return np.ones(count, np.uint64)


def moved(budget: MoveBudget, pages: np.ndarray, now_ns: int) -> int:
    count = budget.fits(pages, now_ns)
    budget.spend(pages[:count])
    return count


def test_in_the_long_run_moves_cost_the_share_that_they_may() -> None:
    budget = MoveBudget(SHARE)
    seconds = 50
    total = sum(
        moved(budget, singles(3000), tenth * SECOND_NS // 10) for tenth in range(10 * seconds)
    )
    assert total * (FOLIO_NS + PAGE_NS) == pytest.approx(
        SHARE * SECOND_NS * (seconds + 1), rel=0.02
    )
    assert budget.spent_ns == total * (FOLIO_NS + PAGE_NS)


def test_a_pause_of_an_hour_lets_no_more_through_than_a_second() -> None:
    budget = MoveBudget(SHARE)
    moved(budget, singles(100_000), 0)
    after = moved(budget, singles(100_000), 3600 * SECOND_NS)
    assert after == pytest.approx(SHARE * SAVED_NS / (FOLIO_NS + PAGE_NS), abs=2)


def test_a_page_of_a_large_folio_costs_less_than_a_page_by_itself() -> None:
    huge = MoveBudget(SHARE).fits(np.full(1000, 512, np.uint64), 0) * 512
    assert huge > 5 * MoveBudget(SHARE).fits(singles(100_000), 0)


def test_a_folio_that_costs_more_than_is_left_goes_and_the_next_waits_the_longer() -> None:
    budget = MoveBudget(1e-5)
    huge = np.full(3, 512, np.uint64)
    assert [moved(budget, huge, second * SECOND_NS) for second in range(3)] == [1, 0, 0]
