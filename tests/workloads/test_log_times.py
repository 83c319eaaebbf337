"""When the rows of a log are due, and a machine that keeps to it or does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pghot.errors import InputError
from pghot.log.machine import Machine
from pghot.log.schema import Metadata
from pghot.replaying.as_scenario import scenario_of_log
from pghot.simulated.policies.simulate import simulate
from pghot.workloads import log_times
from pghot.workloads.log_times import read_schedule
from tests.log.made import LOWER, write_log, write_machine


def log_at(path: Path, times_us, pages: int = 8) -> Path:
    count = len(times_us)
    rows = {
        "time_us": np.array(times_us, np.uint64),
        "pfn": np.uint64(LOWER) + np.arange(count, dtype=np.uint64) % np.uint64(pages),
        "nid": np.zeros(count, np.int16),
        "source": np.ones(count, np.int8),
    }
    return write_log(path, rows, Metadata())


def test_rows_are_due_at_their_times_from_the_first_on(tmp_path: Path) -> None:
    path = log_at(tmp_path / "log.parquet", [5_000_000, 5_500_000, 7_000_000, 7_000_000])
    schedule = read_schedule(path)
    assert schedule.due(0) == 0
    assert schedule.due(0.3) == pytest.approx(1, abs=0.01)
    assert schedule.due(1) == pytest.approx(2, abs=0.01)
    assert schedule.due(2.1) == 4
    assert schedule.late_s(4, 3.0) == pytest.approx(1.0, abs=0.01)
    assert schedule.late_s(4, 1.0) == 0


def test_a_long_log_is_kept_more_coarsely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_times, "BINS", 8)
    path = log_at(tmp_path / "log.parquet", np.arange(100) * 10_000)
    schedule = read_schedule(path)
    assert len(schedule.times) <= 9
    assert schedule.due(0.5) == pytest.approx(50, abs=3)
    assert schedule.due(1.0) == 100


def test_time_that_goes_back_is_refused(tmp_path: Path) -> None:
    path = log_at(tmp_path / "log.parquet", [5, 9, 7])
    with pytest.raises(InputError, match="row 3, column time_us: time goes backwards"):
        read_schedule(path)


def test_a_log_takes_its_own_time_and_a_closed_loop_takes_the_machines(tmp_path: Path) -> None:
    path = log_at(tmp_path / "log.parquet", np.arange(4000) * 1000)
    machine = Machine.load(write_machine(tmp_path / "machine.toml"))
    open_loop, facts = scenario_of_log(path, machine)
    outcome = simulate(open_loop, "none")
    assert outcome.run_s == pytest.approx(facts.span_s, abs=0.02)
    assert outcome.late_s is not None
    assert outcome.late_s < 0.02
    assert outcome.accesses == pytest.approx(4000)
    closed = simulate(scenario_of_log(path, machine, closed_loop=True)[0], "none")
    assert closed.run_s < 0.01
    assert closed.late_s is None
    assert closed.busy_s == pytest.approx(outcome.busy_s, rel=0.05)


def test_a_machine_that_is_too_slow_is_late_and_says_how_much(tmp_path: Path) -> None:
    """4,000 accesses within 40 us, by one thread of 200 ns and more an access."""
    path = log_at(tmp_path / "log.parquet", np.arange(4000) // 100)
    text = Path(write_machine(tmp_path / "machine.toml")).read_text().replace("0-3", "0")
    machine = Machine.load(write_machine(tmp_path / "one.toml", text))
    machine = Machine(machine.nodes, latency_ns={0: 200.0, 1: 400.0})
    outcome = simulate(scenario_of_log(path, machine)[0], "none")
    assert outcome.late_s is not None
    assert outcome.run_s >= 4000 * 200e-9
    assert outcome.late_s == pytest.approx(outcome.run_s - 40e-6, rel=0.2)


def test_a_machine_without_cpus_is_refused(run, tmp_path: Path) -> None:
    path = log_at(tmp_path / "log.parquet", [1, 2])
    text = Path(write_machine(tmp_path / "machine.toml")).read_text().replace("0-3", "")
    machine = write_machine(tmp_path / "none.toml", text)
    assert "no node has CPUs" in run("sim", "--log", path, "--machine", machine).refusal()
    assert "go with --log" in run("sim", "gups", "--closed-loop").refusal()
    assert "takes no SCENARIO" in run("sim", "gups", "--log", path).refusal()
