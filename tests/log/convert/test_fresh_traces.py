from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.log.convert.trace_files import converted

PERF = ["perf", "record", "-e", "minor-faults", "-c", "1", "-d", "--phys-data", "--sample-cpu"]
PROGRAM = ["true"]


def run(*command, **options):
    return subprocess.run(
        command, capture_output=True, check=False, timeout=120, text=True, **options
    )


@pytest.fixture
def record(tmp_path):
    if not shutil.which("perf"):
        pytest.skip("perf is not installed (apt-get install linux-perf)")

    def record(*more):
        trace = tmp_path / "fresh.data"
        done = run(*PERF, *more, "-B", "-N", "-o", str(trace), "--", *PROGRAM)
        if done.returncode or not trace.exists():
            reason = (done.stderr.strip() or "no word of it").splitlines()[0]
            pytest.skip(f"perf record is not possible here: {reason}")
        return trace

    return record


@pytest.mark.parametrize(
    "more", [[], ["-g"], ["-W", "--data-page-size"], ["-e", "page-faults"], ["-z"]]
)
def test_a_fresh_perf_data_and_its_text_give_the_same_log(tmp_path, record, more):
    trace = record(*more)
    fields = "comm,pid,tid,cpu,time,event,addr,phys_addr,data_src"
    text = run("perf", "script", "-i", str(trace), "--ns", "-F", fields)
    assert text.returncode == 0, text.stderr
    (tmp_path / "fresh.txt").write_text(text.stdout)
    for addresses in "auto", "virtual":
        binary, log = converted(trace, tmp_path / "a.parquet", addresses=addresses)
        _report, same = converted(
            tmp_path / "fresh.txt", tmp_path / "b.parquet", addresses=addresses
        )
        assert log == same
        assert len(log["pfn"]) > 10
        assert binary.rows_in == binary.rows_out + sum(binary.left_out.values())


def test_what_perf_writes_to_a_pipe_is_read(tmp_path, record):
    record()  # or skip
    trace = tmp_path / "pipe.data"
    with trace.open("wb") as stream:
        subprocess.run([*PERF, "-o", "-", "--", *PROGRAM], stdout=stream, check=True, timeout=120)
    report, log = converted(trace, tmp_path / "out.parquet")
    assert len(log["pfn"]) > 10
    assert set(log["source"]) == {0}
    assert report.rows_in == report.rows_out + sum(report.left_out.values())


def test_a_fresh_lackey_trace_is_converted(tmp_path):
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed (apt-get install valgrind)")
    trace = tmp_path / "lackey.out"
    done = run("valgrind", "--tool=lackey", "--trace-mem=yes", f"--log-file={trace}", *PROGRAM)
    if done.returncode:
        pytest.skip(f"valgrind cannot run here: {done.stderr.strip()[:200]}")
    report, log = converted(trace, tmp_path / "out.parquet")
    assert report.format == "lackey"
    assert 10 < len(log["pfn"]) < report.rows_in
    assert report.pages == len(set(log["pfn"]))
