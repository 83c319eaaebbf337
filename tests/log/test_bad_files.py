"""Files that are no logs are refused in one line, and nothing is written (R7.4)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pghot.errors import InputError
from pghot.log.read import open_log
from tests.log.made import (
    Run,
    entries,
    log_rows,
    somebody_else,
    write_csv,
    write_log,
    write_machine,
)

NAMES = pytest.mark.parametrize("name", ["log.parquet", "log.csv", "log.csv.zst"])


def refused(run: Run, log: Path) -> str:
    """Replay a log that is none; give the line without the file's name."""
    machine = log.parent / "machine.toml"
    machine.exists() or write_machine(machine)
    before = entries(log.parent)
    line = run("replay", log, "--machine", machine, "-o", log.parent / "out").refusal()
    assert entries(log.parent) == before
    assert line.startswith(f"{log}: ")
    return line.removeprefix(f"{log}: ")


def read_through(path: Path) -> None:
    with open_log(path) as log:
        for _ in log.chunks():
            pass


@NAMES
def test_a_missing_file(tmp_path: Path, run: Run, name: str) -> None:
    assert refused(run, tmp_path / name) == "No such file or directory"


@NAMES
def test_a_directory_instead_of_a_file(tmp_path: Path, run: Run, name: str) -> None:
    (tmp_path / name).mkdir()
    assert refused(run, tmp_path / name) == "Is a directory"


@NAMES
def test_a_file_that_may_not_be_read(tmp_path: Path, name: str) -> None:
    path = write_log(tmp_path / name, log_rows())
    path.chmod(0)
    with somebody_else(), pytest.raises(InputError) as error:
        read_through(path)
    assert str(error.value) == f"{path}: Permission denied"


@NAMES
def test_an_empty_file(tmp_path: Path, run: Run, name: str) -> None:
    (tmp_path / name).touch()
    assert refused(run, tmp_path / name).startswith("not a ")


@pytest.mark.parametrize("name", ["log.parquet", "log.csv.zst", "log"])
def test_text_under_a_name_that_promises_another_form(tmp_path: Path, run: Run, name: str) -> None:
    write_csv(tmp_path / name, log_rows())
    assert refused(run, tmp_path / name).startswith(("not a ", "is no access log in Parquet"))


@pytest.mark.parametrize(
    ("head", "kind"),
    [(b"\x1f\x8b\x08", "gzip"), (b"<svg ", "an SVG picture"), (b"PK\x03\x04", "a zip archive")],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, run: Run, head: bytes, kind: str) -> None:
    (tmp_path / "log").write_bytes(head + b"x" * 100)
    assert refused(run, tmp_path / "log").startswith(f"is {kind}")


def test_a_parquet_log_is_known_by_its_content(tmp_path: Path, run: Run) -> None:
    path = write_log(tmp_path / "log.parquet", log_rows()).rename(tmp_path / "log.csv")
    assert run("replay", path).status == 0


def test_a_parquet_log_cut_short_at_any_length(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "whole.parquet", log_rows()).read_bytes()
    path = tmp_path / "log.parquet"
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="not a whole Parquet file") as error:
            read_through(path)
        assert "\n" not in str(error.value)


def test_a_zstd_log_cut_short_at_any_length(tmp_path: Path) -> None:
    whole = write_log(tmp_path / "whole.csv.zst", log_rows()).read_bytes()
    path = tmp_path / "log.csv.zst"
    for length in range(0, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as error:
            read_through(path)
        assert "\n" not in str(error.value)


# R7.4
@NAMES
def test_a_file_cut_in_the_middle_leaves_no_output(tmp_path: Path, run: Run, name: str) -> None:
    path = write_log(tmp_path / name, log_rows(1000, 10))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(run, path)


def test_a_parquet_page_with_a_flipped_byte_is_found_by_its_checksum(
    tmp_path: Path, run: Run
) -> None:
    path = write_log(tmp_path / "log.parquet", log_rows(1000, 10))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    assert refused(run, path).startswith("truncated or corrupt: ")


def test_a_zstd_log_with_flipped_bytes_is_refused_or_read_as_other_rows(tmp_path: Path) -> None:
    """The zstd frames of Arrow carry no checksum: not every flip can be found."""
    whole = write_log(tmp_path / "whole.csv.zst", log_rows()).read_bytes()
    path = tmp_path / "log.csv.zst"
    chance = random.Random(5)
    found = 0
    for _ in range(100):
        content = bytearray(whole)
        for _ in range(20):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(content)
        try:
            read_through(path)
        except InputError:
            found += 1
    assert found > 50


def test_a_csv_log_that_is_no_text(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(b"time_us,pfn,nid,source\n1,\xff\xfe,0,0\n")
    assert "row 1, column pfn: missing, or not a number" in refused(run, path)


def test_an_error_of_the_reader_is_not_taken_for_an_error_of_the_log(tmp_path: Path) -> None:
    """Who reads the log may fail for reasons of his own."""
    path = write_log(tmp_path / "log.parquet", log_rows())
    with pytest.raises(FileNotFoundError), open_log(path):
        (tmp_path / "nothing").read_text()
