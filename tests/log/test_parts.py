"""A recording is in parts while it is made; what ended before a crash is there after it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pghot.log.parts
import pghot.log.write
from pghot.errors import InputError, PghotError
from pghot.files.directory import open_directory
from pghot.log.parts import PartsWriter, create_parts, merge_parts
from pghot.log.read import open_log
from pghot.log.schema import Columns, Metadata
from tests.log.made import (
    METADATA,
    Run,
    entries,
    log_rows,
    optional_columns,
    write_log,
)
from tests.log.made import (
    pghot as run_alone,
)

ROOT = str(Path(__file__).parents[2])
ROWS = log_rows() | optional_columns(240)
OPTIONAL = tuple(optional_columns(1))


def piece(start: int, stop: int, rows: Columns = ROWS) -> Columns:
    return {name: values[start:stop] for name, values in rows.items()}


def read(path: Path) -> tuple[Columns, Metadata | None]:
    """All rows and the metadata of a log."""
    with open_log(path) as log:
        chunks = [chunk.columns for chunk in log.chunks(log.columns)]
        rows = {name: np.concatenate([c[name] for c in chunks] or [[]]) for name in log.columns}
        assert log.rows == len(rows["time_us"])
        return rows, log.metadata


def same(one: Columns, other: Columns) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(values, other[name]) for name, values in one.items()
    )


def record(writer: PartsWriter) -> None:
    """Record ROWS in three parts, the last not ended, with answers between."""
    writer.write(piece(0, 100))
    writer.add_tape("a")
    writer.add_tape("b")
    writer.end_part()
    writer.write(piece(100, 170))
    writer.end_part()
    writer.write(piece(170, 240))
    writer.add_tape("c")


def left_behind(tmp_path: Path) -> Path:
    """A directory of three parts, as a crash leaves it."""
    path = tmp_path / "log"
    directory = tmp_path / "log.parts"
    directory.mkdir()
    writer = PartsWriter(open_directory(directory), tuple(ROWS), METADATA)
    record(writer)
    writer.end_part()
    assert not path.exists()
    return directory


# What is there at the end


def test_a_recording_is_one_log_at_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with create_parts(path, METADATA, optional=OPTIONAL) as writer:
        record(writer)
        assert entries(tmp_path) == ["log.parts"]
        assert entries(tmp_path / "log.parts") == ["000001.parquet", "000002.parquet"]
        writer.metadata = replace(METADATA, taken="at its end")
        assert writer.rows == 240
    rows, metadata = read(path)
    assert same(rows, ROWS)
    assert metadata == replace(METADATA, taken="at its end", extra={"tape": ["a", "b", "c"]})
    assert entries(tmp_path) == ["log"]


def test_a_merged_log_is_what_its_parts_were_and_what_one_writer_writes(tmp_path: Path) -> None:
    directory = left_behind(tmp_path)
    assert merge_parts(directory, tmp_path / "merged") == 240
    (merged, merged_says), (parts, parts_say) = read(tmp_path / "merged"), read(directory)
    assert same(merged, parts)
    assert merged_says == parts_say
    assert same(merged, read(write_log(tmp_path / "whole", ROWS))[0])
    assert len(entries(directory)) == 3


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.one_of(st.integers(1, 60), st.text(max_size=4), st.none()), max_size=12),
    st.integers(10, 50),
)
def test_rows_and_tape_stay_in_order_however_they_are_cut_into_parts(
    steps: list[int | str | None], rows_a_part: int
) -> None:
    rows = log_rows(40, 20)
    done = 0
    with (
        tempfile.TemporaryDirectory() as name,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(pghot.log.write, "ROWS_A_GROUP", rows_a_part)
        patched.setattr(os, "fsync", lambda _: None)
        path = Path(name, "log")
        with create_parts(path, METADATA) as writer:
            for step in steps:
                if isinstance(step, int):
                    writer.write(piece(done, done + step, rows))
                    done += step
                elif step is not None:
                    writer.add_tape(step)
                else:
                    writer.end_part()
        got, metadata = read(path)
        assert same(got, piece(0, done, rows))
        assert metadata is not None
        assert metadata.answers == [step for step in steps if isinstance(step, str)]


def test_a_part_ends_by_itself_when_it_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pghot.log.write, "ROWS_A_GROUP", 100)
    with create_parts(tmp_path / "log", METADATA) as writer:
        writer.write(log_rows())
        assert read(tmp_path / "log.parts")[0]["pfn"].size == writer.rows_in_parts == 200


def test_a_part_without_rows_or_tape_is_not_written(tmp_path: Path) -> None:
    with create_parts(tmp_path / "log", METADATA) as writer:
        writer.end_part()
        assert entries(tmp_path / "log.parts") == []
        writer.add_tape("no rows yet")
        writer.end_part()
        writer.end_part()
        assert entries(tmp_path / "log.parts") == ["000001.parquet"]
        assert read(tmp_path / "log.parts")[1] == METADATA.with_answers(["no rows yet"])


def test_every_part_has_the_metadata_of_its_moment_and_its_own_tape(tmp_path: Path) -> None:
    with create_parts(tmp_path / "log", METADATA) as writer:
        for number in "12":
            writer.metadata = replace(METADATA, taken=f"part {number}")
            writer.write(log_rows())
            writer.add_tape(f"tape {number}")
            writer.end_part()
        for number in "12":
            _, metadata = read(tmp_path / "log.parts" / f"00000{number}.parquet")
            assert metadata == replace(
                METADATA, taken=f"part {number}", extra={"tape": [f"tape {number}"]}
            )


def test_a_recording_without_rows_is_an_empty_log(tmp_path: Path) -> None:
    with create_parts(tmp_path / "log", METADATA):
        pass
    rows, metadata = read(tmp_path / "log")
    assert (rows["pfn"].size, metadata) == (0, METADATA)
    assert entries(tmp_path) == ["log"]


def test_progress_is_told_the_rows_merged(tmp_path: Path) -> None:
    told: list[int] = []
    with create_parts(tmp_path / "log", METADATA, optional=OPTIONAL, progress=told.append) as w:
        record(w)
    assert told == [100, 170, 240]


# What is refused before anything is recorded


def refusal(path: Path, *, optional: tuple[str, ...] = (), force: bool = False) -> str:
    before = entries(path.parent) if path.parent.exists() else []
    with (
        pytest.raises(InputError) as refused,
        create_parts(path, METADATA, optional=optional, force=force),
    ):
        pytest.fail("went on")
    assert (entries(path.parent) if path.parent.exists() else []) == before
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", ["log.csv", "log.csv.zst"])
def test_a_live_recording_is_parquet(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert refusal(path) == f"{path}: live recordings are Parquet; choose a name without .csv"


def test_an_existing_log_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("mine")
    assert refusal(path) == f"{path}: exists already; choose another name or give --force"
    assert path.read_text() == "mine"


def test_an_existing_log_is_replaced_by_force_and_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("mine")
    with create_parts(path, METADATA, force=True) as writer:
        writer.write(log_rows())
        writer.end_part()
        assert path.read_text() == "mine"
    assert same(read(path)[0], log_rows())


def test_a_recording_left_behind_is_refused_with_the_way_to_read_it(tmp_path: Path) -> None:
    directory = left_behind(tmp_path)
    assert refusal(tmp_path / "log") == (
        f"{directory}: a recording was left here: pghot replay {directory} reads it; "
        "move it away, or give --force to lose it"
    )
    assert same(read(directory)[0], ROWS)


def test_a_recording_left_behind_is_lost_by_force(tmp_path: Path) -> None:
    directory = left_behind(tmp_path)
    (directory / ".000004.parquet.abc").touch()
    with create_parts(tmp_path / "log", METADATA, force=True) as writer:
        assert entries(directory) == []
        writer.write(log_rows(10, 1))
    assert same(read(tmp_path / "log")[0], log_rows(10, 1))
    assert entries(tmp_path) == ["log"]


def test_force_removes_no_directory_that_holds_something_else(tmp_path: Path) -> None:
    directory = left_behind(tmp_path)
    (directory / "thesis.txt").touch()
    assert refusal(tmp_path / "log", force=True) == (
        f"{directory}: holds thesis.txt, which is no part of a recording"
    )
    assert len(entries(directory)) == 4


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to(path.parent)])
def test_force_removes_nothing_that_is_no_directory(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "log.parts")
    assert "is in the way" in refusal(tmp_path / "log", force=True)


def test_force_does_not_take_a_recording_away_that_is_under_way(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with create_parts(path, METADATA) as writer:
        writer.write(log_rows())
        assert "another recording is writing here" in refusal(path, force=True)
    assert same(read(path)[0], log_rows())


def test_a_missing_directory_is_one_line(tmp_path: Path) -> None:
    assert "cannot be written: No such file" in refusal(tmp_path / "nowhere" / "log")


def test_a_directory_in_the_place_of_the_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    assert refusal(tmp_path / "log", force=True) == f"{tmp_path / 'log'}: is a directory"


def test_a_column_that_the_contract_does_not_know_is_refused(tmp_path: Path) -> None:
    assert "no such log column: colour" in refusal(tmp_path / "log", optional=("colour",))


# What an end that is no clean one leaves


def record_and(path: Path, then: Callable[[], BaseException | None]) -> None:
    """Record ROWS, then let something happen; what it gives is raised."""
    with create_parts(path, METADATA, optional=OPTIONAL) as writer:
        record(writer)
        if stop := then():
            raise stop


@pytest.mark.parametrize("reason", [KeyboardInterrupt, SystemExit, ValueError, PghotError])
def test_a_recording_that_is_stopped_is_merged(
    tmp_path: Path, reason: type[BaseException]
) -> None:
    path = tmp_path / "log"
    with pytest.raises(reason):
        record_and(path, reason)
    rows, metadata = read(path)
    assert same(rows, ROWS)
    assert metadata == METADATA.with_answers(["a", "b", "c"])
    assert entries(tmp_path) == ["log"]


def test_nothing_is_left_of_a_recording_that_is_stopped_before_its_first_row(
    tmp_path: Path,
) -> None:
    def stopped() -> None:
        with create_parts(tmp_path / "log", METADATA) as writer:
            writer.add_tape("no rows yet")
            writer.end_part()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert entries(tmp_path) == []


@pytest.mark.parametrize("reason", [KeyboardInterrupt, SystemExit])
def test_the_parts_stay_when_the_merging_is_stopped(
    tmp_path: Path, reason: type[BaseException]
) -> None:
    def stop(_: int) -> None:
        raise reason

    path, directory = tmp_path / "log", tmp_path / "log.parts"
    with (
        pytest.raises(PghotError) as stopped,
        create_parts(path, METADATA, optional=OPTIONAL, progress=stop) as writer,
    ):
        record(writer)
    assert str(stopped.value) == (
        f"{path}: stopped before it was whole; what was recorded is in {directory}: "
        f"pghot replay {directory}"
    )
    assert entries(tmp_path) == ["log.parts"]
    assert same(read(directory)[0], ROWS)


@pytest.mark.parametrize("at", [".000002.parquet.", "000002.parquet"])
def test_ctrl_c_while_a_part_takes_its_name_neither_loses_nor_doubles_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    replaced = os.replace

    def interrupted(name: str, target: str, **where: int) -> None:
        if not name.startswith(".000002."):
            return replaced(name, target, **where)
        monkeypatch.setattr(os, "replace", replaced)
        if not at.startswith("."):
            replaced(name, target, **where)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    path = tmp_path / "log"
    with (
        pytest.raises(KeyboardInterrupt),
        create_parts(path, METADATA, optional=OPTIONAL) as writer,
    ):
        record(writer)
    assert same(read(path)[0], piece(0, 170))
    assert entries(tmp_path) == ["log"]


def test_a_log_that_came_up_meanwhile_is_not_replaced_and_the_parts_stay(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with pytest.raises(PghotError, match=r"exists already.*pghot replay"):
        record_and(path, lambda: path.write_text("theirs") and None)
    assert path.read_text() == "theirs"
    assert same(read(tmp_path / "log.parts")[0], ROWS)


def test_parts_that_do_not_read_back_as_recorded_are_kept(tmp_path: Path) -> None:
    path, directory = tmp_path / "log", tmp_path / "log.parts"
    with pytest.raises(PghotError, match="100 rows recorded could not be read back"):
        record_and(path, (directory / "000001.parquet").unlink)
    assert entries(directory) == ["000002.parquet", "000003.parquet"]


RECORDING = """
import sys
sys.path.insert(0, {root!r})
from pghot.cli import main
from pghot.log.parts import create_parts
from tests.log.made import END, LOWER, METADATA, log_rows
import numpy as np
def record(turns):
    rows = log_rows(1000, 10)
    with create_parts({path!r}, METADATA) as writer:
        for turn in range(turns):
            rows["pfn"] = np.random.default_rng(turn).integers(LOWER, END, 10_000, np.uint64)
            writer.write({{**rows, "time_us": rows["time_us"] + turn * 600_000}})
            writer.add_tape(str(turn))
            if turn % 3 == 2:
                writer.end_part()
                print(writer.rows, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_everything_up_to_the_last_part_survives_a_kill(
    tmp_path: Path, run: Run, number: signal.Signals
) -> None:
    path, directory = tmp_path / "log", tmp_path / "log.parts"
    code = RECORDING.format(root=ROOT, path=str(path)) + "record(1_000_000)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(3)]
        process.send_signal(number)
        said += map(int, process.stdout.read().split())
    killed = number == signal.SIGKILL
    there = directory if killed else path
    rows, metadata = read(there)
    turns = len(rows["pfn"]) // 10_000
    assert said[-1] <= len(rows["pfn"])
    assert np.all(np.diff(rows["time_us"].astype(np.int64)) >= 0)
    assert metadata is not None
    assert metadata.answers[:turns] == [str(turn) for turn in range(turns)]
    assert run("replay", there).status == 0
    assert [name for name in entries(tmp_path) if name[0] != "."] == [there.name]


@pytest.mark.parametrize(("room", "parts"), [(0, False), (1000, False), (300_000, True)])
def test_a_full_disk_keeps_the_parts_and_says_where(
    tmp_path: Path, room: int, parts: bool
) -> None:
    """Files that cannot grow: every part fits or none does; the merged log does not fit."""
    path, directory = tmp_path / "log", tmp_path / "log.parts"
    code = RECORDING.format(root=ROOT, path=str(path)) + (
        "from pghot.errors import PghotError\n"
        "try:\n    record(30)\n"
        "except PghotError as error:\n    print(error.exit_status, error)\n"
        "sys.exit()"
    )
    done = run_alone(before=code, limit=room)
    assert done.err == ""
    said = done.out.splitlines()[-1]
    assert "cannot be written: " in said
    assert said.startswith(f"1 {tmp_path}/log")
    if not parts:
        assert entries(tmp_path) == []
        return
    assert said.endswith(f"; what was recorded is in {directory}: pghot replay {directory}")
    assert entries(tmp_path) == ["log.parts"]
    assert len(read(directory)[0]["pfn"]) == 300_000


def test_a_part_that_finds_the_disk_full_leaves_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, directory = tmp_path / "log", tmp_path / "log.parts"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def record_until_full() -> None:
        with create_parts(path, METADATA, optional=OPTIONAL) as writer:
            writer.write(piece(0, 100))
            writer.end_part()
            monkeypatch.setattr(pghot.log.parts, "open_part", full)
            writer.write(piece(100, 200))
            writer.end_part()

    with pytest.raises(PghotError) as error:
        record_until_full()
    assert error.value.exit_status == 1
    assert str(error.value) == (
        f"{directory / '000002.parquet'}: cannot be written: No space left on device; "
        f"what was recorded is in {directory}: pghot replay {directory}"
    )
    assert entries(directory) == ["000001.parquet"]
    assert same(read(directory)[0], piece(0, 100))


def test_nothing_is_left_where_no_part_could_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(pghot.log.parts, "open_part", full)
    with (
        pytest.raises(PghotError, match=r"cannot be written: No space left on device$"),
        create_parts(tmp_path / "log", METADATA) as writer,
    ):
        writer.write(log_rows())
    assert entries(tmp_path) == []


# How parts are read


def test_parts_are_replayed_as_the_log_they_make(tmp_path: Path, run: Run) -> None:
    directory = left_behind(tmp_path)
    whole = run("replay", write_log(tmp_path / "whole", ROWS), "--json")
    parts = run("replay", directory, "--json")
    assert (whole.status, parts.status) == (0, 0)
    told = [json.loads(one.out) for one in (whole, parts)]
    for one in told:  # what it is of, by name
        del one["command"], one["log"], one["machine"]["name"]
    assert told[0] == told[1]


def test_a_directory_of_parts_may_have_any_name(tmp_path: Path) -> None:
    moved = left_behind(tmp_path).rename(tmp_path / "saved")
    assert same(read(moved)[0], ROWS)


@pytest.mark.parametrize("cut", [0, 4, 1000, -1])
def test_a_last_part_that_is_not_whole_is_ignored_and_those_before_are_not(
    tmp_path: Path, cut: int
) -> None:
    directory = left_behind(tmp_path)
    last = directory / "000003.parquet"
    last.write_bytes(last.read_bytes()[:cut])
    (directory / ".000004.parquet.abc").write_bytes(b"PAR1")
    rows, metadata = read(directory)
    assert same(rows, piece(0, 170))
    assert metadata == METADATA.with_answers(["a", "b"])


def problem(path: Path) -> str:
    with pytest.raises(InputError) as error:
        read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_part_that_is_not_whole_is_an_error_that_names_it(tmp_path: Path) -> None:
    directory = left_behind(tmp_path)
    part = directory / "000002.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    assert problem(directory).startswith(f"{part}: not a whole Parquet file")


def test_a_corrupt_part_is_an_error_that_names_it(tmp_path: Path) -> None:
    directory = left_behind(tmp_path)
    part = directory / "000002.parquet"
    content = bytearray(part.read_bytes())
    content[len(content) // 10] ^= 1
    part.write_bytes(content)
    assert problem(directory).startswith(f"{part}: truncated or corrupt: ")


def test_a_part_that_is_missing_in_the_middle_is_an_error(tmp_path: Path) -> None:
    directory = left_behind(tmp_path)
    (directory / "000002.parquet").unlink()
    assert problem(directory) == f"{directory}: part 000002.parquet is missing"


def test_a_part_with_other_columns_is_an_error(tmp_path: Path) -> None:
    directory = left_behind(tmp_path)
    write_log(tmp_path / "plain.parquet", log_rows()).rename(directory / "000004.parquet")
    assert problem(directory) == (
        f"{directory / '000004.parquet'}: has not the columns of 000001.parquet"
    )


def test_a_directory_without_parts_is_one_line(tmp_path: Path, run: Run) -> None:
    directory = tmp_path / "log.parts"
    directory.mkdir()
    (directory / ".000001.parquet.abc").touch()
    assert run("replay", directory).refusal() == f"{directory}: holds no part of a recording"


def test_tape_that_is_no_list_of_texts_is_one_line(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log", log_rows(), replace(METADATA, extra={"tape": [1]}))
    assert problem(path) == f"{path}: its metadata holds 'tape' that is no list of texts"


def test_a_tape_longer_than_arrows_limit_is_read(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log", log_rows(), METADATA.with_answers(["x" * 100_000_001]))
    _, metadata = read(path)
    assert metadata is not None
    assert len(metadata.answers[0]) == 100_000_001
