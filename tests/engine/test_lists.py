from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.engine.lists import format_list, parse_list


@given(st.sets(st.integers(0, 300)))
def test_what_is_written_reads_back(numbers: set[int]) -> None:
    assert parse_list(format_list(numbers)) == tuple(sorted(numbers))


def test_lists_are_written_as_the_kernel_writes_them() -> None:
    assert format_list([8, 0, 1, 2, 3]) == "0-3,8"
    assert format_list([]) == ""


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("", ()),
        (" \n", ()),
        ("0", (0,)),
        ("0-3,8\n", (0, 1, 2, 3, 8)),
        ("3, 1, 1-2", (1, 2, 3)),
        ("1048576", (1 << 20,)),
    ],
)
def test_lists_are_read_in_any_order(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_list(text) == numbers


@pytest.mark.parametrize(
    "text",
    ["a", ",", "0,", "3-1", "1,,2", "-1", "1-", "0-3-5", "0-99999999", "1048577", "1 2", "\u0661"],
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wants a list such as 0-3,8"):
        parse_list(text)
