"""What a replay writes: all three files, or none (R10)."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pghot import __version__
from pghot.errors import InputError, PghotError
from pghot.log import read
from pghot.replaying import output as output_module
from pghot.replaying.output import output_directory
from tests.log.made import (
    LOWER,
    MACHINE,
    Run,
    entries,
    log_rows,
    pghot,
    pghot_command,
    somebody_else,
    write_log,
    write_machine,
    write_table,
)

FILES = ["binned.json", "promotions.parquet", "records.npz", "summary.json"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "log.parquet", log_rows())


def contents(directory: Path) -> dict[str, bytes]:
    """Give the files, without what names the command and the log's own file."""
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    if "summary.json" not in files:
        return files
    summary = json.loads(files["summary.json"])
    del summary["command"], summary["log"]["name"], summary["log"]["sha256"]
    return files | {"summary.json": json.dumps(summary).encode()}


# The contract


# R10.4
def test_the_summary_has_the_names_of_the_contract(log: Path, tmp_path: Path, run: Run) -> None:
    run("replay", log, "-o", tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    contract = {
        "mode", "hz", "tunables", "vmstat", "nodes", "batches", "accesses", "elapsed_s",
    }  # fmt: skip
    assert set(summary) >= contract
    assert set(summary["nodes"]) == {"0", "1"}
    for node in summary["nodes"].values():
        assert set(node) == {
            "pgpromote_success", "pgpromote_candidate", "pgpromote_candidate_nrl",
            "free_pages", "nbp_threshold",
        }  # fmt: skip
    assert summary["mode"] == "default"
    assert summary["hz"] == 1000
    assert summary["accesses"] == 240
    assert summary["elapsed_s"] == 0.4
    assert summary["tunables"]["freq_threshold"] == 2
    assert summary["vmstat"]["pgpromote_success"] == 40
    assert summary["nodes"]["0"]["free_pages"] == 30000 - 40


# R10.8
def test_the_summary_says_what_it_is_of(log: Path, tmp_path: Path, run: Run) -> None:
    words = ("replay", str(log), "--start", "first-touch", "-o", str(tmp_path / "out"))
    run(*words)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["version"] == __version__
    assert summary["command"] == shlex.join(["pghot", *words])
    assert (summary["kind"], summary["fidelity"]) == ("replay", "v7")
    assert summary["start"] == "first-touch"
    digest = hashlib.sha256(log.read_bytes()).hexdigest()
    assert summary["log"] == {
        "name": str(log), "sha256": digest, "rows": 240, "span_s": 0.3585, "taken_by": None,
    }  # fmt: skip
    assert summary["machine"] == {
        "name": str(log),
        "nodes": [
            {"id": 0, "toptier": True, "pages": 32768, "free_pages": 30000},
            {"id": 1, "toptier": False, "pages": 65536, "free_pages": 0},
        ],
    }
    assert summary["baselines"]["as_placed"] == summary["baselines"]["first_touch"]
    assert (summary["promoted_pages"], summary["demoted_pages"]) == (0, 0)


# R10.5, R10.6
@pytest.mark.parametrize("mode", ["default", "precise"])
def test_the_files_have_the_columns_and_types_of_the_contract(
    log: Path, tmp_path: Path, run: Run, mode: str
) -> None:
    run("replay", log, "--mode", mode, "-o", tmp_path / "out")
    assert entries(tmp_path / "out") == FILES
    table = pq.read_table(tmp_path / "out" / "promotions.parquet")
    assert {name: str(table.schema.field(name).type) for name in table.column_names} == {
        "time_us": "uint64", "pfn": "uint64", "pages": "uint32", "from_nid": "int16",
        "to_nid": "int16", "memcg": "uint32", "batch": "uint32",
    }  # fmt: skip
    with np.load(tmp_path / "out" / "records.npz") as records:
        assert {name: str(records[name].dtype) for name in records} == {
            "pfn": "uint64",
            "record": {"default": "uint8", "precise": "uint32"}[mode],
            "hot_sections": "uint32",
        }


def test_promotions_stand_in_the_order_migrated(log: Path, tmp_path: Path, run: Run) -> None:
    """Batches count from 0; in a batch the last folio isolated goes first."""
    run("replay", log, "-o", tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "promotions.parquet").to_pydict()
    assert rows["batch"] == [0] * 27 + [1] * 13
    assert rows["pfn"] == [LOWER + 7 * i for i in (*range(26, -1, -1), *range(39, 26, -1))]
    assert rows["time_us"] == [100_000] * 27 + [200_000] * 13
    for name, value in {"pages": 1, "from_nid": 1, "to_nid": 0, "memcg": 0}.items():
        assert set(rows[name]) == {value}


# R10.6
def test_records_are_those_that_are_not_zero_in_pfn_order(tmp_path: Path, run: Run) -> None:
    rows = log_rows(10, 1)
    rows["pfn"][:] = np.array([9, 3, 5, 1, 7, 0, 40000, 2, 4, 6]) + LOWER
    log = write_log(tmp_path / "log.parquet", rows)
    run("replay", log, "-o", tmp_path / "out")
    with np.load(tmp_path / "out" / "records.npz") as records:
        assert records["pfn"].tolist() == sorted(rows["pfn"].tolist())
        assert np.all(records["record"] > 0)
        assert records["hot_sections"].tolist() == []


@pytest.mark.parametrize(("fidelity", "hot"), [("v7", []), ("improved", [LOWER >> 15])])
def test_hot_sections_are_section_numbers(
    tmp_path: Path, run: Run, fidelity: str, hot: list[int]
) -> None:
    """Where there is no room, only the improved engine keeps what it refused."""
    log = write_log(tmp_path / "log.parquet", log_rows())
    machine = write_machine(tmp_path / "m.toml", MACHINE.replace("free_pages = 30000", ""))
    run("replay", log, "--machine", machine, "--fidelity", fidelity, "-o", tmp_path / "out")
    with np.load(tmp_path / "out" / "records.npz") as records:
        assert records["hot_sections"].tolist() == hot


def test_a_replay_without_promotions_writes_the_same_files(tmp_path: Path, run: Run) -> None:
    log = write_log(tmp_path / "log.parquet", log_rows(0, 0))
    assert run("replay", log, "-o", tmp_path / "out").status == 0
    assert entries(tmp_path / "out") == FILES
    assert pq.read_metadata(tmp_path / "out" / "promotions.parquet").num_rows == 0


# The same log gives the same bytes


# R10.7
@pytest.mark.parametrize("mode", ["default", "precise"])
@pytest.mark.parametrize("fidelity", ["v7", "improved"])
def test_the_same_log_gives_the_same_bytes(
    tmp_path: Path, run: Run, monkeypatch, mode: str, fidelity: str
) -> None:
    log = write_log(tmp_path / "log.parquet", log_rows(700, 9))
    given = ("replay", log, "--mode", mode, "--fidelity", fidelity, "-o")
    for name, size in ("once", None), ("twice", None), ("by 7", 7), ("by 1000", 1000):
        if size:
            monkeypatch.setattr(read, "ROWS_A_CHUNK", size)
        assert run(*given, tmp_path / name).status == 0
    first = contents(tmp_path / "once")
    assert pq.read_metadata(tmp_path / "once" / "promotions.parquet").num_rows > 0
    for name in "twice", "by 7", "by 1000":
        assert contents(tmp_path / name) == first, name


def test_the_form_of_the_log_changes_no_byte(tmp_path: Path, run: Run) -> None:
    """The machine comes from a file, as CSV names none."""
    machine = write_machine(tmp_path / "machine.toml")
    for name in "a.parquet", "a.csv", "a.csv.zst":
        write_log(tmp_path / name, log_rows())
        run("replay", tmp_path / name, "--machine", machine, "-o", tmp_path / f"{name}.out")
    first = contents(tmp_path / "a.parquet.out")
    assert contents(tmp_path / "a.csv.out") == contents(tmp_path / "a.csv.zst.out") == first


def test_the_row_groups_of_the_log_change_no_byte(tmp_path: Path, run: Run) -> None:
    """The recorder takes 128 rows together."""
    rows = log_rows(70, 9)
    for size in 1, 127, 128, 129, 630:
        write_table(tmp_path / "log.parquet", rows, row_group_size=size)
        run("replay", tmp_path / "log.parquet", "-o", tmp_path / f"by {size}")
        assert contents(tmp_path / f"by {size}") == contents(tmp_path / "by 1"), size


def test_no_file_tells_when_it_was_written(log: Path, tmp_path: Path, run: Run) -> None:
    run("replay", log, "-o", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out" / "records.npz") as records:
        assert {item.date_time[0] for item in records.infolist()} == {1980}


# A directory that is in use


# R10.3
def test_a_directory_that_is_not_empty_is_refused(log: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    line = run("replay", log, "-o", tmp_path / "out").refusal()
    assert line == f"{tmp_path / 'out'}: is not empty; choose another -o or give --force"
    assert contents(tmp_path / "out") == {"mine": b"mine"}


def test_an_empty_directory_is_taken(log: Path, tmp_path: Path, run: Run) -> None:
    (tmp_path / "out").mkdir()
    assert run("replay", log, "-o", tmp_path / "out").status == 0
    assert entries(tmp_path / "out") == FILES


def test_force_replaces_the_three_files_and_leaves_others_alone(
    log: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "out").mkdir()
    for name in (*FILES, "mine"):
        (tmp_path / "out" / name).write_text("old")
    assert run("replay", log, "-o", tmp_path / "out", "--force").status == 0
    run("replay", log, "-o", tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh") | {"mine": b"old"}


def test_a_file_in_the_place_of_the_directory_is_refused(
    log: Path, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "out").write_text("mine")
    line = run("replay", log, "-o", tmp_path / "out", "--force").refusal()
    assert line == f"{tmp_path / 'out'}: is not a directory"


def test_a_directory_is_not_made_below_one_that_is_missing(
    log: Path, tmp_path: Path, run: Run
) -> None:
    line = run("replay", log, "-o", tmp_path / "no" / "out").refusal()
    assert line == f"{tmp_path / 'no' / 'out'}: cannot be made: No such file or directory"


def test_a_directory_in_use_by_another_replay_is_refused(
    log: Path, tmp_path: Path, run: Run
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    other = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        (out / ".pghot-unfinished").mkdir()
        for extra in (), ("--force",):
            line = run("replay", log, "-o", out, *extra).refusal()
            assert line == f"{out}: another pghot is writing there; choose another -o"
            assert entries(out) == [".pghot-unfinished"]
    finally:
        os.close(other)


def test_what_a_killed_replay_left_is_cleared_away(log: Path, tmp_path: Path, run: Run) -> None:
    staging = tmp_path / "out" / ".pghot-unfinished"
    staging.mkdir(parents=True)
    (staging / "promotions.parquet").write_text("half")
    assert run("replay", log, "-o", tmp_path / "out").status == 0
    assert entries(tmp_path / "out") == FILES


def test_a_directory_that_may_not_be_read_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    (tmp_path / "out").mkdir(mode=0o711)
    with (
        somebody_else(),
        pytest.raises(InputError, match=r"(cannot be|is not a)") as refused,
        output_directory(tmp_path / "out"),
    ):
        pytest.fail("went on")
    assert "\n" not in str(refused.value)


# Nothing is left after a failure


@contextmanager
def there_before(path: Path, there: bool) -> Iterator[None]:
    """Make the directory first, or not; it must be empty or gone afterwards."""
    if there:
        path.mkdir()
    yield
    assert path.exists() == there
    if there:
        assert entries(path) == []


THERE = pytest.mark.parametrize("there", [False, True], ids=["made by us", "there before"])


# R10.3
@THERE
@pytest.mark.parametrize("reason", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_nothing_is_left_where_a_replay_stops(
    tmp_path: Path, there: bool, reason: type[BaseException]
) -> None:
    def work() -> None:
        with output_directory(tmp_path / "out"):
            raise reason

    with (
        there_before(tmp_path / "out", there),
        pytest.raises(PghotError if reason is OSError else reason),
    ):
        work()


@THERE
@pytest.mark.parametrize("given", [("--set", "freq_threshold=9"), ("--machine", "missing.toml")])
def test_nothing_is_left_after_input_that_cannot_be_used(
    log: Path, tmp_path: Path, run: Run, there: bool, given: tuple[str, ...]
) -> None:
    with there_before(tmp_path / "out", there):
        run("replay", log, "-o", tmp_path / "out", *given).refusal()


@THERE
@pytest.mark.parametrize("room", [0, 100, 6000, 30_000])
def test_a_full_disk_is_one_line_and_nothing_half_written(
    tmp_path: Path, there: bool, room: int
) -> None:
    """The limit comes after a first replay: compiled code may want to be stored as well.

    Room is short for the promotions, their end, or the records, which take 72,000 bytes.
    """
    once = log_rows(8000, 1)
    once["time_us"] += np.uint64(10**6)
    log = write_log(
        tmp_path / "log.parquet",
        {name: np.concatenate([values, once[name]]) for name, values in log_rows().items()},
    )
    before = f"""
import contextlib, io, resource
from pghot.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    assert main(["replay", {str(log)!r}]) == 0
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
"""
    out = tmp_path / "out"
    with there_before(out, there):
        line = pghot("replay", log, "-o", out, before=before).refusal(1)
    assert line.startswith(f"{out}: cannot be written: ")
    assert "File too large" in line


def test_a_disk_that_fills_in_the_middle_is_no_fault_of_the_log(
    log: Path, tmp_path: Path, run: Run, monkeypatch
) -> None:
    monkeypatch.setattr(output_module, "ROWS_A_GROUP", 1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    out = tmp_path / "out"
    line = run("replay", log, "-o", out).refusal(1)
    assert line == f"{out}: cannot be written: No space left on device"
    assert not out.exists()


@pytest.fixture
def long_log(tmp_path: Path) -> Path:
    """A log that, with a wake-up every jiffy, is replayed for a good while."""
    rows = log_rows(1000, 1000)
    rows["time_us"][:] = np.arange(10**6) * 1000
    return write_log(tmp_path / "long.parquet", rows)


@THERE
@pytest.mark.parametrize(
    ("number", "status", "said"),
    [
        (signal.SIGINT, 130, "pghot: interrupted; nothing was written\n"),
        (signal.SIGTERM, 143, ""),
        (signal.SIGHUP, 129, ""),
    ],
)
def test_a_replay_that_is_stopped_leaves_no_output(
    long_log: Path, tmp_path: Path, there: bool, number: int, status: int, said: str
) -> None:
    out = tmp_path / "out"
    with there_before(out, there):
        command = pghot_command("replay", long_log, "-o", out, "--set", "kmigrated_sleep_ms=0")
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as child:
            while not (out / ".pghot-unfinished" / "promotions.parquet").exists():
                assert child.poll() is None, child.communicate()
                time.sleep(0.01)
            child.send_signal(number)
            told = child.communicate(timeout=90)
        assert (child.returncode, *told) == (status, "", said)


def test_a_killed_replay_leaves_nothing_under_a_final_name(
    long_log: Path, tmp_path: Path, run: Run
) -> None:
    out = tmp_path / "out"
    command = pghot_command("replay", long_log, "-o", out, "--set", "kmigrated_sleep_ms=0")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        while not (out / ".pghot-unfinished").exists():
            assert child.poll() is None
            time.sleep(0.01)
        child.kill()
        child.communicate()
    assert entries(out) == [".pghot-unfinished"]
    log = write_log(tmp_path / "log.parquet", log_rows())
    assert run("replay", log, "-o", out).status == 0
    assert entries(out) == FILES


def test_promotions_are_written_in_groups(tmp_path: Path, run: Run, monkeypatch) -> None:
    monkeypatch.setattr(output_module, "ROWS_A_GROUP", 10)
    log = write_log(tmp_path / "log.parquet", log_rows())
    run("replay", log, "-o", tmp_path / "out")
    metadata = pq.read_metadata(tmp_path / "out" / "promotions.parquet")
    groups = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert groups == [27, 13]
    assert pa.types.is_uint64(pq.read_schema(tmp_path / "out" / "promotions.parquet")[0].type)
