"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pghot.engine.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("7B", 7), ("1KiB", 1 << 10), ("512 MiB", 512 << 20),
     (" 8GiB ", 8 << 30), ("2TiB", 2 << 40)],
)  # fmt: skip
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "1GB", "-1", "1.5GiB", "1 GiB x", "\u0661GiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wants a number and"):
        parse_size(text)


@given(st.integers(0, 1 << 49))
def test_sizes_make_the_round_trip(size: int) -> None:
    assert parse_size(format_size(size)) == size


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (1, "1 B"), (4096, "4 KiB"), (3 << 29, "1536 MiB"), (8 << 30, "8 GiB")],
)
def test_a_size_is_written_in_the_largest_whole_unit(size: int, text: str) -> None:
    assert format_size(size) == text
