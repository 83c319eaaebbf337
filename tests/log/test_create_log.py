"""A log takes its name once it is whole, or never."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow.parquet
import pytest

from pghot.errors import InputError, PghotError
from pghot.files.parquet_pages import check_pages
from pghot.files.whole import whole_file
from pghot.log.read import ROWS_A_CHUNK, open_log
from pghot.log.schema import REQUIRED
from pghot.log.write import create_log
from tests.log.made import entries, log_rows, pghot, somebody_else, write_log

NAMES = pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.csv.zst"])


@NAMES
@pytest.mark.parametrize("reason", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_nothing_is_left_where_the_writer_stops(
    tmp_path: Path, name: str, reason: type[BaseException]
) -> None:
    expected = PghotError if reason is OSError else reason

    def write() -> None:
        with create_log(tmp_path / name) as writer:
            writer.write(log_rows())
            writer.flush()
            assert not (tmp_path / name).exists()
            raise reason

    with pytest.raises(expected):
        write()
    assert entries(tmp_path) == []


@NAMES
def test_an_existing_file_is_refused_and_stays(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("mine")
    with pytest.raises(InputError, match="exists already") as refused, create_log(path):
        pytest.fail("went on")
    assert refused.value.exit_status == 2
    assert path.read_text() == "mine"
    assert entries(tmp_path) == [name]


def test_an_existing_file_is_replaced_by_force_and_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    path.write_text("mine")
    with create_log(path, force=True) as writer:
        writer.write(log_rows(40, 6))
        assert path.read_text() == "mine"
    with open_log(path) as log:
        assert log.rows == 240


def test_an_existing_file_survives_a_forced_writer_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    path.write_text("mine")
    with pytest.raises(ZeroDivisionError), create_log(path, force=True):
        raise ZeroDivisionError
    assert path.read_text() == "mine"
    assert entries(tmp_path) == ["log.parquet"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_its_owner_alone_reads_a_log_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = write_log(tmp_path / "log.parquet", log_rows())
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_directory_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "log.parquet"
    with pytest.raises(InputError) as refused, create_log(path):
        pytest.fail("went on")
    assert str(refused.value) == f"{path}: cannot be written: No such file or directory"


def test_a_directory_that_may_not_be_written_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    path = tmp_path / "log.parquet"
    with (
        somebody_else(),
        pytest.raises(InputError, match="Permission denied"),
        create_log(path),
    ):
        pytest.fail("went on")


def test_a_column_that_the_contract_does_not_know_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="no such log column: colour"),
        create_log(tmp_path / "log.parquet", optional=("colour",)),
    ):
        pytest.fail("went on")


def test_a_finished_file_that_cannot_take_its_name_is_removed(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with (
        pytest.raises(PghotError, match="cannot be written"),
        whole_file(tmp_path / "taken", force=True),
    ):
        pass
    assert entries(tmp_path) == ["taken"]


FULL_DISK = """
import numpy as np, sys
sys.path.insert(0, {root!r})
from pghot.errors import PghotError
from pghot.log.write import create_log
from tests.log.made import log_rows
try:
    with create_log({path!r}) as writer:
        for _ in range(40):
            writer.write(log_rows(1000, 10))
            writer.flush()
except PghotError as error:
    print(error.exit_status, error)
sys.exit()
"""


@NAMES
@pytest.mark.parametrize("room", [0, 1000, 10_000])
def test_nothing_is_left_on_a_full_disk(tmp_path: Path, name: str, room: int) -> None:
    path = tmp_path / name
    root = str(Path(__file__).parents[2])
    done = pghot(before=FULL_DISK.format(root=root, path=str(path)), limit=room)
    assert done.err == ""
    assert done.out.startswith(f"1 {path}: cannot be written: ")
    assert done.out.endswith("File too large\n")
    assert done.out.count("\n") == 1
    assert entries(tmp_path) == []


class Seeks:
    """A file that counts how often a reader goes elsewhere in it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def seek(self, at: int) -> int:
        self.count += 1
        return self._stream.seek(at)

    def read(self, size: int) -> bytes:
        return self._stream.read(size)


def test_a_page_of_a_long_log_holds_as_many_rows_as_a_reader_asks_for(tmp_path: Path) -> None:
    path, rows = tmp_path / "log.parquet", 4 * ROWS_A_CHUNK
    with create_log(path) as writer:
        writer.write({name: np.zeros(rows, kind) for name, kind in REQUIRED.items()})
    with path.open("rb") as stream:
        metadata = pyarrow.parquet.ParquetFile(stream).metadata
        seeks = Seeks(stream)
        check_pages(path, seeks, metadata, tuple(REQUIRED))
    dictionaries = 2  # of node and source
    assert seeks.count == len(REQUIRED) * rows // ROWS_A_CHUNK + dictionaries
