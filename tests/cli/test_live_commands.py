"""`pghot run` and `pghot record` whole, on a made-up host behind real perf rings, in real time."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from pghot.log.read import open_log
from pghot.serving.client import Client
from tests.cli.live_host import LiveHost, files
from tests.linux.host_trees import write
from tests.linux.test_guard import left, line
from tests.live.world import FAST, SCAN, SLOW
from tests.log.made import Run, entries, pghot_command

HOT, COLD = range(100, 120), range(120, 160)
BALANCING = "/proc/sys/kernel/numa_balancing"
RATE_LIMIT = "/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps"
FOR_A_WHILE = ("-p", "40", "-d", "0.6")


@pytest.fixture
def loaded(live: LiveHost) -> LiveHost:
    """Twenty hot pages and forty cold ones, all slow."""
    for page in (*HOT, *COLD):
        live.map(40, page)
    live.heat(40, *HOT, times=3, each_ms=10)
    live.heat(40, *COLD, times=1)
    return live


def promoted(host: LiveHost) -> set[int]:
    return {page for page in (*HOT, *COLD) if host.nid_of(40, page) == FAST}


def test_a_run_promotes_what_is_hot_and_says_so(loaded: LiveHost, run: Run) -> None:
    before = {name: loaded.text(name) for name in (BALANCING, RATE_LIMIT, f"{SCAN}/scan_delay_ms")}
    done = run("run", *FOR_A_WHILE)
    assert done.status == 0, done.err
    assert promoted(loaded) == set(HOT)
    out = " ".join(done.out.split())
    assert "found hot 20 folios pages promoted 20 80.0 KiB" in out
    assert "samples 100 lost 0" in out
    first, *_rest, last = done.err.splitlines()
    assert first.startswith("pghot: hint faults: NUMA balancing in tiering mode; no hardware")
    assert f"{BALANCING}: 0 again" in last
    assert {name: loaded.text(name) for name in before} == before
    assert "\x1b" not in done.out + done.err


def test_a_run_as_json_says_it_on_stdout_alone(loaded: LiveHost, run: Run) -> None:
    done = run("run", *FOR_A_WHILE, "--json", "--mode", "precise", "--fidelity", "v7")
    summary = json.loads(done.out)
    live = summary["live"]
    assert (summary["mode"], live["fidelity"]) == ("precise", "v7")
    assert live["promoted_pages"] == summary["vmstat"]["pgpromote_success"] == 20
    assert live["sources"]["hintfault"]["seen"] == 100
    assert (live["ended"], live["late_rows"]) == ("the time was up", 0)
    assert promoted(loaded) == set(HOT)


def test_a_run_may_go_by_v8_and_its_tunables_have_v8s_ranges(loaded: LiveHost, run: Run) -> None:
    done = run("run", *FOR_A_WHILE, "--json", "--fidelity", "v8", "--set", "target_nid=0x0")
    summary = json.loads(done.out)
    assert (summary["live"]["fidelity"], summary["live"]["promoted_pages"]) == ("v8", 20)
    assert promoted(loaded) == set(HOT)
    refused = run("run", *FOR_A_WHILE, "--fidelity", "v8", "--set", "kmigrated_sleep_ms=10")
    assert "kmigrated_sleep_ms: '10' is not within 50..1000" in refused.refusal()


@pytest.mark.usefixtures("loaded")
def test_the_log_of_a_run_by_v8_replays_to_the_same(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    done = run("run", *FOR_A_WHILE, "--record", log, "--json", "--fidelity", "v8")
    again = run("replay", log, "--fidelity", "v8", "--json")
    assert json.loads(again.out)["vmstat"] == json.loads(done.out)["vmstat"]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("fidelity", ["v7", "v8"])
def test_one_tier_up_needs_a_fidelity_that_chooses_targets(run: Run, fidelity: str) -> None:
    words = ("--promote-to", "next", "--fidelity", fidelity)
    line = run("run", *FOR_A_WHILE, *words).refusal()
    assert line == f"--promote-to next: {fidelity} has one target for all pages; wants improved"


def test_tunables_of_the_command_line_are_those_of_the_run(loaded: LiveHost, run: Run) -> None:
    done = run("run", *FOR_A_WHILE, "--json", "--set", "freq_threshold=1")
    assert json.loads(done.out)["tunables"]["freq_threshold"] == 1
    assert promoted(loaded) == {*HOT, *COLD}


def test_a_dry_run_changes_no_page(loaded: LiveHost, run: Run) -> None:
    done = run("run", *FOR_A_WHILE, "--dry-run")
    assert "pages would be moved 20" in " ".join(done.out.split())
    assert promoted(loaded) == set()


@pytest.mark.usefixtures("loaded")
def test_a_run_writes_its_results_and_a_log_that_replays_to_the_same(
    run: Run, tmp_path: Path
) -> None:
    out, log = tmp_path / "out", tmp_path / "log.parquet"
    done = run("run", *FOR_A_WHILE, "-o", out, "--record", log, "--json")
    assert entries(out) == [
        "binned.json",
        "promotions.parquet",
        "records.npz",
        "summary.json",
    ]
    summary = json.loads((out / "summary.json").read_text())
    assert summary == json.loads(done.out)
    again = run("replay", log, "--fidelity", "improved", "-o", tmp_path / "again", "--json")
    assert json.loads(again.out)["vmstat"] == summary["vmstat"]
    one, other = (tmp_path / name / "promotions.parquet" for name in ("out", "again"))
    assert one.read_bytes() == other.read_bytes()
    assert entries(tmp_path) == ["again", "host", "log.parquet", "out", "state"]


def test_the_pace_of_the_scan_can_be_chosen_and_is_put_back(loaded: LiveHost, run: Run) -> None:
    done = run("run", *FOR_A_WHILE, "--scan-delay-ms", "7", "--scan-size-mb", "64")
    assert done.status == 0
    assert (f"{SCAN}/scan_delay_ms", "7") in loaded.writes
    assert (f"{SCAN}/scan_size_mb", "64") in loaded.writes
    assert loaded.text(f"{SCAN}/scan_delay_ms") == "1000"


def test_what_a_killed_run_left_is_put_back_first_and_told(
    loaded: LiveHost, run: Run, tmp_path: Path
) -> None:
    left(loaded.root, tmp_path / "state", line(RATE_LIMIT, "65536", "0"))
    loaded.path(RATE_LIMIT).write_text("0\n")
    done = run("run", *FOR_A_WHILE)
    assert done.err.startswith(f"pghot: put back what a killed pghot left: {RATE_LIMIT}: 65536")
    assert loaded.text(RATE_LIMIT) == "65536"


def test_it_ends_with_its_targets(loaded: LiveHost, run: Run) -> None:
    loaded.once_watched = [lambda: loaded.exit(40, told=False)]
    done = run("run", "-p", "40", "-d", "600", "--json")
    assert (done.status, json.loads(done.out)["live"]["ended"]) == (0, "the targets ended")


ELSEWHERE = """
from pathlib import Path
import pghot.linux.guard.settings_guard, pghot.linux.host, pghot.linux.guard.lock
from tests.cli.live_host import LiveHost
host = LiveHost(Path({root!r}))
host.process(40)
pghot.linux.host.Host = lambda: host
pghot.linux.guard.settings_guard.default_state_dir = lambda: Path({state!r})
pghot.linux.guard.lock.default_state_dir = lambda: Path({state!r})
"""


@pytest.mark.usefixtures("loaded")
def test_a_second_command_names_the_first_which_ends_at_a_signal_with_all_put_back(
    run: Run, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    before = ELSEWHERE.format(root=str(other), state=str(tmp_path / "state"))
    words = pghot_command("run", "-p", "40", "--json", before=before)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as first:
        try:
            wait_until_under_way(tmp_path / "state")
            assert value(other, BALANCING) == "2"
            refusal = run("record", "-p", "40", "-o", tmp_path / "log.parquet").refusal(1)
        finally:
            first.send_signal(signal.SIGTERM)
        out, _err = first.communicate(timeout=90)
    assert refusal.startswith(f"pghot runs here already: pid {first.pid}, ")
    assert "run -p 40" in refusal
    assert first.returncode == 0
    assert json.loads(out)["live"]["ended"] == "stopped by SIGTERM"
    assert value(other, BALANCING) == "0"
    assert value(other, RATE_LIMIT) == "65536"


def value(root: Path, setting: str) -> str:
    path = root / setting.lstrip("/")
    return path.read_text().strip() if path.exists() else ""


def wait_until_under_way(state: Path) -> None:
    """Wait for a state of the run after its first: until then a signal ends it as any command."""
    sockets = state / "ctl"
    wait_for(lambda: any(sockets.glob("*.sock")))
    (path,) = sockets.glob("*.sock")
    with Client(path) as client:
        assert any(state.time > state.started for state in client.watch())


def scraped(url: str) -> str:
    with urllib.request.urlopen(url, timeout=90) as answer:
        text: str = answer.read().decode()
        return text


def is_under_way(metrics: str) -> bool:
    """Whether metrics are of a state after the run's first."""
    began, now = "pghot_start_time_seconds", "pghot_state_timestamp_seconds"
    lines = (line for line in metrics.splitlines() if line.startswith((began, now)))
    times = {name: float(value) for name, value in map(str.split, lines)}
    return bool(times) and times[now] > times[began]


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_recording_is_a_log_with_pid_address_and_cpu(
    loaded: LiveHost, run: Run, tmp_path: Path
) -> None:
    log = tmp_path / "log.parquet"
    before = files(loaded.root)
    done = run("record", *FOR_A_WHILE, "-o", log)
    assert (done.status, done.out) == (0, f"{log}: 100 accesses; the time was up\n")
    assert files(loaded.root) == before
    assert promoted(loaded) == set()
    with open_log(log) as opened:
        (chunk,) = opened.chunks(("time_us", "pid", "vaddr", "cpu", "pfn"))
        assert opened.metadata.machine["node"][1]["toptier"] is False
    assert set(chunk.columns["pid"].tolist()) == {40}
    assert set((chunk.columns["vaddr"] >> 12).tolist()) == {*HOT, *COLD}
    assert {loaded.tables[40][page].pfn for page in HOT} <= set(chunk.columns["pfn"].tolist())
    assert loaded.nid_of(40, HOT[0]) == SLOW


@pytest.mark.usefixtures("loaded")
def test_a_recording_as_json(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "log.parquet"
    log.write_text("an earlier one")
    done = run("record", *FOR_A_WHILE, "-o", log, "--force", "--json")
    assert json.loads(done.out) == {
        "log": str(log), "accesses": 100, "ended": "the time was up",
    }  # fmt: skip
    assert run("replay", log, "--json").status == 0


def test_advice_on_live_processes_is_on_stdout_alone_and_its_recording_goes(
    loaded: LiveHost, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    write(loaded.root, "/proc/40/maps", f"{min(HOT) << 12:x}-{1 << 40:x} rw-p 0 0 0 [heap]\n")
    before = files(loaded.root)
    done = run("advise", "--live", "-p", "40", "--for", "0.6s", "--json")
    advice = json.loads(done.out)
    assert done.status == 0
    assert advice["size"]["footprint"] == len(HOT) + len(COLD)
    assert [region["name"] for region in advice["regions"]] == ["heap of process 40"]
    assert "hint faults" in advice["untold"]["promote"]
    assert "100 accesses recorded; the time was up" in done.err
    assert files(loaded.root) == before
    assert not entries(tmp_path / "tmp")


def test_of_a_process_that_accessed_nothing_there_is_no_advice(live: LiveHost, run: Run) -> None:
    del live  # process 40 has no memory
    refusal = run("advise", "--live", "-p", "40", "--for", "0.2s").err.splitlines()[-1]
    assert refusal == "pghot: no access was recorded: there is nothing to advise on"
