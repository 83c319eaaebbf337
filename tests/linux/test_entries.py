"""Files of 64-bit entries are read for many indices with few reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.linux.pages import entries
from pghot.linux.pages.entries import EntryFile

LENGTH = 1000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("entries") / "file"
    path.write_bytes((np.arange(LENGTH, dtype=np.uint64) * 3 + 7).tobytes())
    return path


INDICES = st.lists(st.integers(0, LENGTH + 200) | st.integers(0, 2**64 - 1), max_size=60)


@given(indices=INDICES, gap=st.integers(0, 300), longest=st.integers(1, 300))
@settings(max_examples=200, deadline=None)
def test_entries_are_those_of_one_read_each(
    path: Path, indices: list[int], gap: int, longest: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, EntryFile(path) as file:
        patch.setattr(entries, "GAP", gap)
        patch.setattr(entries, "LONGEST_READ", longest)
        values, there = file.gather(np.array(indices, np.uint64))
    assert there.tolist() == [index < LENGTH for index in indices]
    assert values.tolist() == [index * 3 + 7 if index < LENGTH else 0 for index in indices]


def reads(wanted: list[int], gap: int, longest: int) -> list[tuple[int, int]]:
    """The first and the last entry of each read."""
    indices, at, runs = np.array(wanted, np.uint64), 0, []
    while at < len(indices):
        end = entries.run_end(indices, gap, longest, at)
        runs.append((wanted[at], wanted[end - 1]))
        at = end
    return runs


def test_near_entries_share_a_read_and_far_ones_do_not() -> None:
    assert reads([3, 4, 20, 37, 500, 700], 16, 1 << 16) == [
        (3, 20),
        (37, 37),
        (500, 500),
        (700, 700),
    ]


def test_a_long_run_is_read_in_bounded_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reads(list(range(300)), 16, 128) == [(0, 127), (128, 255), (256, 299)]
    monkeypatch.setattr(entries, "LONGEST_READ", 128)
    with EntryFile(path) as file:
        values, there = file.gather(np.arange(LENGTH, dtype=np.uint64))
    assert there.all()
    assert values.tolist() == [index * 3 + 7 for index in range(LENGTH)]


def test_an_error_of_the_kernel_is_told_as_it_is(path: Path, tmp_path: Path) -> None:
    with EntryFile(tmp_path) as directory, pytest.raises(IsADirectoryError):
        directory.gather(np.arange(3, dtype=np.uint64))
    file = EntryFile(path)
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.gather(np.arange(3, dtype=np.uint64))
