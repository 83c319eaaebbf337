"""A bad row is refused by file, row and column, or skipped (R7.4, R7.5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pghot.log import read
from tests.log.made import (
    END,
    Run,
    entries,
    log_rows,
    write_csv,
    write_log,
    write_machine,
    write_table,
)

BAD = {
    "time going backwards": ("time_us", 7, "time goes backwards"),
    "a PFN above the machine": ("pfn", END, "no such PFN on this machine"),
    "a PFN far above the machine": ("pfn", 2**64 - 1, "no such PFN on this machine"),
    "a node that does not exist": ("nid", 2, "no such node on this machine"),
    "a node above all nodes": ("nid", 32767, "no such node on this machine"),
    "node -2": ("nid", -2, "no such node on this machine"),
    "an unknown source": ("source", 2, "no such source"),
    "a negative source": ("source", -1, "no such source"),
    "a null time": ("time_us", None, "missing"),
    "a null PFN": ("pfn", None, "missing"),
    "a null node": ("nid", None, "missing"),
    "a null source": ("source", None, "missing"),
    "a negative time": ("time_us", -1, "not a number that fits"),
    "a PFN of 65 bits": ("pfn", 2**64, "not a number that fits"),
    "a node of 17 bits": ("nid", 2**16, "not a number that fits"),
    "a source of 9 bits": ("source", 2**8, "no such source"),
    "text for a time": ("time_us", "soon", "not a number that fits"),
    "text for a PFN": ("pfn", "0xfrog", "not a number that fits"),
    "text for a node": ("nid", "1.5", "not a number that fits"),
    "an unknown source by name": ("source", "chameleon", "no such source"),
}
Bad = tuple[str, Any, str]
CASES = pytest.mark.parametrize(
    ("name", "bad"),
    [
        pytest.param(name, bad, id=f"{name}-{what}")
        for what, bad in BAD.items()
        for name in ("log.parquet", "log.csv")
        if name == "log.csv" or bad[1] != 2**64  # no integer of Parquet's holds that
    ],
)
ROW = 150
"""The row that is made bad, in the second chunk; rows count from 1."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "ROWS_A_CHUNK", 100)
    monkeypatch.setattr(read, "CSV_BLOCK", 1000)


def spoilt(path: Path, column: str, value: Any, *others: int) -> Path:
    """Write the log with this value in row ROW and in others."""
    rows = log_rows()
    at = (ROW, *others)
    if path.suffix == ".csv":
        text = "" if value is None else str(value)
        return write_csv(path, rows, {(row, column): text for row in at})
    values = rows[column].tolist()
    for row in at:
        values[row - 1] = value
    if isinstance(value, str):
        values = [str(number) for number in values]
    large = isinstance(value, int) and value >= 2**63
    return write_table(path, rows | {column: pa.array(values, pa.uint64() if large else None)})


# R7.4
@CASES
def test_a_bad_row_is_named_by_file_row_and_column(
    tmp_path: Path, run: Run, name: str, bad: Bad
) -> None:
    column, value, why = bad
    log = spoilt(tmp_path / name, column, value)
    machine = write_machine(tmp_path / "machine.toml")
    before = entries(tmp_path)
    line = run("replay", log, "--machine", machine, "-o", tmp_path / "out").refusal()
    assert line.startswith(f"{log}: row {ROW}, column {column}: ")
    assert why in line
    assert line.endswith(" (--skip-bad skips such rows)")
    assert entries(tmp_path) == before


# R7.5
@CASES
def test_skip_bad_gives_what_the_log_without_those_rows_gives(
    tmp_path: Path, run: Run, name: str, bad: Bad
) -> None:
    column, value, why = bad
    others = (ROW + 1, 230)
    machine = write_machine(tmp_path / "machine.toml")
    log = spoilt(tmp_path / name, column, value, *others)
    keep = np.ones(len(log_rows()["pfn"]), np.bool_)
    keep[[row - 1 for row in (ROW, *others)]] = False
    clean = write_log(
        tmp_path / "clean.parquet", {name: v[keep] for name, v in log_rows().items()}
    )
    files = {}
    for path in log, clean:
        output = tmp_path / f"{path.name}.out"
        done = run("replay", path, "--machine", machine, "-o", output, "--skip-bad", "--json")
        assert done.status == 0
        said = f"pghot: {log}: 3 bad rows skipped\n" if path == log else ""
        assert done.err == said, why
        files[path] = {file.name: file.read_bytes() for file in output.iterdir()}
        summary = json.loads(files[path].pop("summary.json"))
        assert summary.pop("log")["rows"] == 237
        del summary["command"]
        files[path]["summary"] = json.dumps(summary).encode()
    assert files[log] == files[clean]


def test_the_first_bad_row_is_the_one_named(tmp_path: Path, run: Run) -> None:
    log = spoilt(tmp_path / "log.parquet", "nid", 9, 12, 200)
    assert f"{log}: row 12, column nid: 9: " in run("replay", log).refusal()


def test_time_goes_backwards_after_a_skipped_row_too(tmp_path: Path, run: Run) -> None:
    """A skipped row's time is no time: the next is measured by the last good one."""
    rows = log_rows(1, 5)
    rows["time_us"][:] = [10, 9, 9, 10, 11]
    log = write_log(tmp_path / "log.parquet", rows)
    done = run("replay", log, "--skip-bad", "--json")
    assert json.loads(done.out)["accesses"] == 3
    assert "2 bad rows skipped" in done.err


def test_equal_times_are_no_going_backwards(tmp_path: Path, run: Run) -> None:
    rows = log_rows()
    rows["time_us"][:] = 5
    log = write_log(tmp_path / "log.parquet", rows)
    assert json.loads(run("replay", log, "--json").out)["accesses"] == len(rows["pfn"])


def test_time_going_backwards_shows_both_times(tmp_path: Path, run: Run) -> None:
    rows = log_rows(1, 3)
    rows["time_us"][:] = [10, 20, 19]
    log = write_log(tmp_path / "log.parquet", rows)
    assert ": 19 after 20: time goes backwards" in run("replay", log).refusal()


def test_time_going_backwards_is_seen_across_chunks(tmp_path: Path, run: Run) -> None:
    rows = log_rows()
    rows["time_us"][:100] += np.uint64(10**9)
    log = write_log(tmp_path / "log.parquet", rows)
    assert f"{log}: row 101, column time_us: " in run("replay", log).refusal()


def test_a_pfn_in_a_hole_between_nodes_is_outside_the_machine(tmp_path: Path, run: Run) -> None:
    machine = write_machine(
        tmp_path / "machine.toml",
        """
        [[node]]
        id = 0
        start_pfn = 32768
        pages = 32768
        toptier = true
        [[node]]
        id = 3
        start_pfn = 98304
        pages = 32768
        """,
    )
    for pfn, good in (0, False), (32767, False), (32768, True), (65536, False), (98304, True):
        rows = log_rows(1, 1)
        rows["pfn"][0] = pfn
        log = write_log(tmp_path / f"{pfn}.parquet", rows)
        done = run("replay", log, "--machine", machine)
        assert (done.status == 0) == good, pfn
        if not good:
            assert f"row 1, column pfn: {pfn}: no such PFN" in done.refusal()


def test_the_last_instant_that_a_log_can_name_is_no_trouble(tmp_path: Path, run: Run) -> None:
    rows = log_rows(2, 2)
    rows["time_us"][:] = 2**64 - 1
    log = write_log(tmp_path / "log.parquet", rows)
    done = run("replay", log, "-o", tmp_path / "out", "--json")
    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out)["vmstat"]["pgpromote_success"] == 2


# R7.1, R7.4
@pytest.mark.parametrize("column", ["time_us", "pfn", "nid", "source"])
@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
def test_a_missing_column_is_named(tmp_path: Path, run: Run, name: str, column: str) -> None:
    rows = log_rows()
    del rows[column]
    log = tmp_path / name
    write_table(log, rows) if name == "log.parquet" else log.write_text(",".join(rows) + "\n")
    for extra in (), ("--skip-bad",):
        done = run("replay", log, "-o", tmp_path / "out", *extra)
        assert done.refusal() == f"{log}: column {column} is missing"
        assert entries(tmp_path) == [name]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1.0]),
        pa.array([b"1"]),
        pa.array([1], pa.timestamp("us")),
        pa.array([{"pfn": 1}]),
    ],
    ids=lambda values: str(values.type),
)
def test_a_column_of_a_kind_that_holds_no_whole_numbers_is_named(
    tmp_path: Path, run: Run, values: pa.Array
) -> None:
    log = write_table(tmp_path / "log.parquet", log_rows(1, 1) | {"pfn": values})
    line = run("replay", log).refusal()
    assert line == f"{log}: column pfn: holds {values.type}, wants whole numbers"


def test_a_column_of_nulls_only_is_bad_in_its_first_row(tmp_path: Path, run: Run) -> None:
    log = write_table(tmp_path / "log.parquet", log_rows(1, 1) | {"pfn": pa.nulls(1)})
    assert f"{log}: row 1, column pfn: missing" in run("replay", log).refusal()


RAGGED = "time_us,pfn,nid,source\n1,40000,0,1\n2,40000,0\n3,40000,0,1,7\n4,40000,0,1\n"


def test_a_csv_row_with_too_few_or_too_many_values_is_named(run: Run, tmp_path: Path) -> None:
    machine = write_machine(tmp_path / "machine.toml")
    log = tmp_path / "log.csv"
    log.write_text(RAGGED)
    line = run("replay", log, "--machine", machine, "-o", tmp_path / "out").refusal()
    assert f"{log}: row 2: has not as many columns as the header" in line


def test_skip_bad_counts_and_skips_ragged_csv_rows(run: Run, tmp_path: Path) -> None:
    machine = write_machine(tmp_path / "machine.toml")
    log = tmp_path / "log.csv"
    log.write_text(RAGGED)
    done = run("replay", log, "--machine", machine, "--skip-bad", "--json")
    assert json.loads(done.out)["accesses"] == 2
    assert "2 bad rows skipped" in done.err


def test_a_byte_order_mark_before_the_header_is_passed_over(run: Run, tmp_path: Path) -> None:
    machine = write_machine(tmp_path / "machine.toml")
    log = tmp_path / "log.csv"
    log.write_bytes(b"\xef\xbb\xbftime_us,pfn,nid,source\n1,40000,0,1\n")
    assert json.loads(run("replay", log, "--machine", machine, "--json").out)["accesses"] == 1
