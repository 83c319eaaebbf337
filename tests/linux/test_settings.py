from __future__ import annotations

import pytest

from pghot.linux.guard.settings import CHANGED, check_allowed, same_value
from pghot.sources.hint_faults import Pace, settings


@pytest.mark.parametrize(
    ("left", "right"),
    [("1", "true"), ("0", "false"), ("N", "0"), ("Y", "1"), ("0x10", "16"), ("010", "10"),
     ("1  2\t3", "1 2 3"), ("on", "1"), ("madvise", "madvise"), ("", " ")],
)  # fmt: skip
def test_a_value_may_read_back_in_another_form(left: str, right: str) -> None:
    assert same_value(left, right)
    assert same_value(right, left)


@pytest.mark.parametrize(("left", "right"), [("0", "1"), ("2", "true"), ("1 2", "12"), ("", "0")])
def test_other_values_are_not_the_same(left: str, right: str) -> None:
    assert not same_value(left, right)


@pytest.mark.parametrize("pace", [Pace(), Pace(1, 2, 3, 4)])
def test_what_a_run_sets_may_be_changed(pace: Pace) -> None:
    for name, _value in settings(pace):
        check_allowed(name)


def test_no_setting_may_be_changed_that_no_run_sets() -> None:
    assert {name for name, _value in settings(Pace(1, 2, 3, 4))} == set(CHANGED)


@pytest.mark.parametrize(
    "name",
    ["/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds", "/sys/kernel/debug/damon/attrs",
     "/sys/module/damon_reclaim/parameters/enabled", "/proc/sys/vm/DAMON",
     "/proc/sys/../../etc/passwd", "/etc/passwd", "proc/sys/kernel/numa_balancing",
     "/sys/kernel/debug/sched/damon", "/proc/sys//kernel/numa_balancing",
     "/proc/sys/kernel/core_pattern", "/sys/kernel/debug/sched/features",
     "/sys/kernel/mm/numa/demotion_enabled"],
)  # fmt: skip
def test_anything_else_is_never_written_least_of_all_damon(name: str) -> None:
    with pytest.raises(ValueError, match="not among the host settings that may be changed"):
        check_allowed(name)
