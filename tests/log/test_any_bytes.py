"""Whatever bytes a log is made of, it is read or refused in one line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.log.check import RowCheck
from pghot.log.machine import Machine
from pghot.log.read import open_log
from pghot.log.schema import DTYPES
from tests.log.made import METADATA, log_rows, optional_columns, write_log

NAMES = pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.csv.zst"])
MACHINE = Machine.from_dict(METADATA.machine)
HEADER = b"time_us,pfn,nid,source\n"


def read_or_refused(path: Path) -> bool:
    """Read a file as a replay does, and every optional column: False where it is refused."""
    try:
        with open_log(path) as log:
            check = RowCheck(path, MACHINE, skip_bad=True)
            for chunk in log.chunks(tuple(DTYPES)):
                good = check.good_rows(chunk)
                assert {len(values) for values in good.values()} == {len(good["pfn"])}
    except InputError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - either is right
        return False
    return True


@NAMES
@given(content=st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_random_bytes(tmp_path_factory, name: str, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    read_or_refused(path)


@given(
    content=st.binary(max_size=200)
    | st.text("0123456789,-\n\"' hwint", max_size=200).map(str.encode)
)
@settings(max_examples=200, deadline=None)
def test_random_rows_under_a_header(tmp_path_factory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "rows.csv"
    path.write_bytes(HEADER + content)
    read_or_refused(path)


@NAMES
@given(chance=st.randoms(use_true_random=False), times=st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_a_real_log_with_damage(
    tmp_path_factory, name: str, chance: random.Random, times: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged-{name}"
    content = bytearray(real_log(tmp_path_factory, name))
    for _ in range(times):
        at = chance.randrange(len(content) + 1)
        content[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(4))
    path.write_bytes(content)
    read_or_refused(path)


@NAMES
def test_a_real_log_without_damage(tmp_path_factory, name: str) -> None:
    path = tmp_path_factory.mktemp("whole") / name
    path.write_bytes(real_log(tmp_path_factory, name))
    assert read_or_refused(path)


def real_log(tmp_path_factory, name: str) -> bytes:
    """A log with all columns, made once a run."""
    path = tmp_path_factory.getbasetemp() / f"real-{name}"
    if not path.exists():
        rows = log_rows(10, 3)
        write_log(path, rows | optional_columns(len(rows["pfn"])))
    return path.read_bytes()
