"""Files of 64-bit entries are read for many indices with few reads."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.linux import entries
from pghot.linux.entries import EntryFile

LENGTH = 1000


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("entries") / "file"
    path.write_bytes((np.arange(LENGTH, dtype=np.uint64) * 3 + 7).tobytes())
    return path


INDICES = st.lists(st.integers(0, LENGTH + 200) | st.integers(0, 2**64 - 1), max_size=60)


@given(indices=INDICES, gap=st.integers(0, 300), longest=st.integers(1, 300))
@settings(max_examples=200)
def test_entries_are_those_of_one_read_each(
    path: Path, indices: list[int], gap: int, longest: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, EntryFile(path) as file:
        patch.setattr(entries, "GAP", gap)
        patch.setattr(entries, "LONGEST_READ", longest)
        values, there = file.gather(np.array(indices, np.uint64))
    assert there.tolist() == [index < LENGTH for index in indices]
    assert values.tolist() == [index * 3 + 7 if index < LENGTH else 0 for index in indices]


def test_near_entries_share_a_read_and_far_ones_do_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    pread = os.pread

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        reads.append((offset // 8, size // 8))
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    with EntryFile(path) as file:
        file.gather(np.array([500, 3, 4, 3, 3 + entries.GAP, 700], np.uint64))
    assert reads == [(3, entries.GAP + 1), (500, 1), (700, 1)]


def test_a_long_run_is_read_in_bounded_pieces(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    pread = os.pread

    def counted(descriptor: int, size: int, offset: int) -> bytes:
        sizes.append(size // 8)
        return pread(descriptor, size, offset)

    monkeypatch.setattr(os, "pread", counted)
    monkeypatch.setattr(entries, "LONGEST_READ", 128)
    with EntryFile(path) as file:
        values, _ = file.gather(np.arange(LENGTH, dtype=np.uint64))
    assert max(sizes) == 128
    assert sum(sizes) == LENGTH
    assert values[-1] == (LENGTH - 1) * 3 + 7
