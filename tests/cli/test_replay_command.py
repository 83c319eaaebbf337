"""What `pghot replay` says, and where (R10.1, R10.2)."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.log.made import (
    MACHINE,
    Run,
    entries,
    log_rows,
    pghot,
    pghot_command,
    write_log,
    write_machine,
)

BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""The usual: what is written to stdout shows no error before it is flushed."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "log.parquet", log_rows())


# stdout


# R10.2
def test_json_is_summary_json_and_nothing_else(log: Path, tmp_path: Path, run: Run) -> None:
    done = run("replay", log, "--json", "-o", tmp_path / "out")
    assert (done.status, done.err) == (0, "")
    assert done.out == (tmp_path / "out" / "summary.json").read_text()


def test_json_needs_no_output_directory(log: Path, tmp_path: Path, run: Run) -> None:
    assert json.loads(run("replay", log, "--json").out)["accesses"] == 240
    assert entries(tmp_path) == ["log.parquet"]


def test_a_person_reads_pages_shares_counters_and_the_busiest_batches(log: Path, run: Run) -> None:
    done = run("replay", log)
    assert (done.status, done.err) == (0, "")
    words = " ".join(done.out.split())
    for part in (
        f"{log}, default mode, v7: 240 accesses in 0.4 s",
        "pages promoted 40 160.0 KiB",
        "in batches 2",
        "Promotion does not pay against first touch: it costs ",
        "ns a fast access, 250 ns a slow one (assumed: ",
        "Not in it: demotion",
        "accesses served by the fast tier whole log second half",
        "with promotion 61.3% 100.0%",
        "as placed, nothing promoted 0.0% 0.0%",
        "by first touch 100.0% 100.0%",
        "the hottest pages that fit (bound) 100.0% 100.0%",
        "0 top 128.0 MiB 117.0 MiB 40 40 0",
        "1 lower 256.0 MiB 160.0 KiB 0 0 0",
        "pghot_recorded_accesses 93",
        "pgpromote_success 40",
        "numa_pages_migrated 40",
        "busiest batches at folios moved from to memcg",
        "0 0.1 s 27 108.0 KiB node 1 node 0 0",
        "1 0.2 s 13 52.0 KiB node 1 node 0 0",
    ):
        assert part in words


def test_names_are_not_cut_short_in_eighty_columns(log: Path) -> None:
    out = pghot("replay", log, env=os.environ | {"COLUMNS": "80"}).out
    assert "\u2026" not in out
    tables = out[out.index("pages promoted") : out.index("Next: ")]
    assert max(map(len, tables.splitlines())) <= 80


def test_the_busiest_batches_are_the_largest_five(tmp_path: Path, run: Run) -> None:
    log = write_log(tmp_path / "log.parquet", log_rows(100, 3))
    out = run("replay", log, "--set", "kmigrated_batch_nr=9").out
    table = out[out.index("busiest batches") : out.index("Next: ")].splitlines()[2:]
    moved = [line.split()[3] for line in table if line.strip()]
    assert moved == ["10"] * 5


@pytest.mark.parametrize(
    ("machine", "pages", "hint"),
    [
        (MACHINE.replace("toptier = true", "toptier = false"), 40,
         "no node is top tier"),
        (MACHINE.replace("free_pages = 30000", ""), 40, "node 0 has no free pages"),
        (MACHINE.replace("toptier = false", "toptier = true"), 40,
         "no access was to a page of a lower tier"),
        (MACHINE, 0, None),
    ],
)  # fmt: skip
def test_where_nothing_moved_a_person_is_told_where_to_look(
    tmp_path: Path, run: Run, machine: str, pages: int, hint: str | None
) -> None:
    log = write_log(tmp_path / "log.parquet", log_rows(pages, 2 if pages else 0))
    file = write_machine(tmp_path / "m.toml", machine)
    out = run("replay", log, "--machine", file, "--fidelity", "improved").out
    if hint:
        assert hint in out
    else:
        assert "--set" not in out


def test_pages_touched_once_point_to_the_threshold(tmp_path: Path, run: Run) -> None:
    log = write_log(tmp_path / "log.parquet", log_rows(40, 1))
    assert "see freq_threshold" in run("replay", log).out


def test_skipped_rows_are_told_on_stderr(tmp_path: Path, run: Run) -> None:
    rows = log_rows()
    rows["nid"][3:5] = 77
    log = write_log(tmp_path / "log.parquet", rows)
    done = run("replay", log, "--skip-bad")
    assert done.err == f"pghot: {log}: 2 bad rows skipped\n"
    assert "bad rows skipped 2" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("name", "told"),
    [(b"[bold]x[", "[bold]x["), (b"[red]", "[red]"), (b"\xff", "?"), (b"s3:a b", "s3:a b")],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_any_file_name_will_do(
    tmp_path: Path, run: Run, monkeypatch, name: bytes, told: str, suffix: str
) -> None:
    monkeypatch.chdir(tmp_path)
    machine = write_machine(tmp_path / "machine.toml")
    log = write_log(Path(os.fsdecode(name) + suffix), log_rows())
    done = run("replay", log, "--machine", machine, "-o", os.fsdecode(name))
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"{told}{suffix}, default mode")
    assert "promotions.parquet" in entries(Path(os.fsdecode(name)))


# Options


# R10.1
def test_sources_default_to_those_in_the_log(tmp_path: Path, run: Run) -> None:
    for sources, bits in ((0,), 1), ((1,), 2), ((0, 1), 3):
        rows = log_rows()
        rows["source"][:] = [sources[i % len(sources)] for i in range(240)]
        log = write_log(tmp_path / f"{bits}.parquet", rows)
        summary = json.loads(run("replay", log, "--json").out)
        assert summary["tunables"]["enabled_sources"] == bits


@pytest.mark.parametrize(("names", "bits"), [("hintfault", 1), ("hwhint,hintfault", 3)])
def test_sources_can_be_named(log: Path, run: Run, names: str, bits: int) -> None:
    summary = json.loads(run("replay", log, "--source", names, "--json").out)
    assert summary["tunables"]["enabled_sources"] == bits
    recorded = summary["vmstat"]
    assert (recorded["pghot_recorded_hwhints"] > 0) == bool(bits & 2)


@pytest.mark.parametrize("names", ["", "chameleon", "hwhint,"])
def test_a_source_that_is_none_is_one_line(log: Path, run: Run, names: str) -> None:
    line = run("replay", log, "--source", names).refusal()
    assert line.endswith(": there are hintfault, hwhint")


@pytest.mark.parametrize("mode", ["default", "precise"])
def test_the_mode_chooses_the_record(log: Path, run: Run, mode: str) -> None:
    assert json.loads(run("replay", log, "--mode", mode, "--json").out)["mode"] == mode


@pytest.mark.parametrize(
    "given",
    [(), ("replay",), ("fly",), ("replay", "x", "--mode", "fast"), ("replay", "x", "--colour")],
)
def test_usage_that_is_none_is_status_2(run: Run, given: tuple[str, ...]) -> None:
    done = run(*given)
    assert (done.status, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("pghot")
    assert done.err.endswith("--help\n")


def test_a_bug_keeps_its_traceback(log: Path, run: Run, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pghot.log.check.RowCheck.good_rows", broken)
    with pytest.raises(ZeroDivisionError):
        run("replay", log)


def test_too_little_memory_is_one_line(log: Path, run: Run, monkeypatch) -> None:
    def greedy(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pghot.log.check.RowCheck.good_rows", greedy)
    assert run("replay", log).refusal(1) == "not enough memory"


# A process of its own


def test_bad_input_is_status_2_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "log.parquet").write_bytes(b"PAR1")
    line = pghot("replay", tmp_path / "log.parquet").refusal()
    assert line.startswith(f"{tmp_path / 'log.parquet'}: not a whole Parquet file (truncated?): ")


def test_python_m_pghot_is_the_command(log: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pghot", "replay", log, "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["accesses"] == 240


@pytest.mark.parametrize("given", [("--help",), ("--version",), ("replay", "--help"), ()])
def test_help_waits_for_no_large_library(given: tuple[str, ...]) -> None:
    """What is imported is told by the interpreter itself as it ends."""
    tell = """
import atexit, sys
large = {"numpy", "pyarrow", "msgspec", "rich"}
atexit.register(lambda: print(sorted(large & set(sys.modules)), file=sys.stderr))
"""
    done = pghot(*given, before=tell)
    assert done.status == (0 if given else 2)
    assert done.err.splitlines()[-1] == "[]"


@pytest.mark.parametrize("given", [("replay", "LOG"), ("replay", "LOG", "--json"), ("--help",)])
def test_a_reader_that_goes_away_is_no_noise(log: Path, given: tuple[str, ...]) -> None:
    """As in `pghot replay LOG | head -0`."""
    reading, writing = os.pipe()
    os.close(reading)
    command = pghot_command(*(log if word == "LOG" else word for word in given))
    done = subprocess.run(
        command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False, env=BUFFERED
    )
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode in {1, 141}


@pytest.mark.parametrize("given", [("replay", "LOG"), ("replay", "LOG", "--json"), ("--help",)])
def test_a_full_disk_under_stdout_is_one_line(log: Path, given: tuple[str, ...]) -> None:
    command = pghot_command(*(log if word == "LOG" else word for word in given))
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=BUFFERED
        )
    assert (done.returncode, done.stderr) == (1, "pghot: No space left on device\n")


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_without_a_stdout_the_files_are_written_all_the_same(
    log: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    """As in `pghot replay LOG -o DIR >&-`."""
    command = pghot_command("replay", log, "-o", tmp_path / "out", *more)
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "summary.json" in entries(tmp_path / "out")


def test_on_a_terminal_progress_is_shown_and_stdout_stays_json(log: Path) -> None:
    try:
        terminal, inner = pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal ({error}); mount devpts")
    done = subprocess.run(
        pghot_command("replay", log, "--json"), stdout=subprocess.PIPE, stderr=inner, check=True
    )
    os.close(inner)
    shown = b""
    try:
        while piece := os.read(terminal, 65536):
            shown += piece
    except OSError:  # the terminal's other end is closed
        pass
    os.close(terminal)
    assert json.loads(done.stdout)["accesses"] == 240
    assert b"replaying" in shown
