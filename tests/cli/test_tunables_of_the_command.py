"""`--set NAME=VALUE`: the kernel's names, ranges and parsing (R10.1)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.log.made import Run, entries, log_rows, write_log


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "log.parquet", log_rows())


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("enabled_sources=0x3", 3),
        ("enabled_sources=2", 2),
        ("target_nid=0", 0),
        ("freq_threshold=3", 3),
        ("kmigrated_sleep_ms=0x64", 100),
        ("kmigrated_batch_nr=4294967295", 2**32 - 1),
        ("pghot_promote_freq_window_ms=010", 8),
        ("pghot_promote_rate_limit_MBps=0", 0),
        ("numa_balancing_promote_rate_limit_MBps=7", 7),
        ("numa_balancing=2", 2),
    ],
)
def test_a_tunable_is_set_by_its_kernel_name(log: Path, run: Run, given: str, value: int) -> None:
    summary = json.loads(run("replay", log, "--set", given, "--json").out)
    assert summary["tunables"][given.partition("=")[0]] == value


def test_several_tunables_are_set_and_the_last_of_a_name_wins(log: Path, run: Run) -> None:
    done = run(
        "replay", log, "--json", "--set", "freq_threshold=1", "--set", "kmigrated_batch_nr=5",
        "--set", "freq_threshold=3",
    )  # fmt: skip
    tunables = json.loads(done.out)["tunables"]
    assert (tunables["freq_threshold"], tunables["kmigrated_batch_nr"]) == (3, 5)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("enabled_sources=4", "enabled_sources: '4' has bits other than 0x1"),
        ("enabled_sources=all", "enabled_sources: 'all' is no number"),
        ("target_nid=1", "target_nid: '1' is not an online top-tier node"),
        ("target_nid=5", "target_nid: '5' is not an online top-tier node"),
        ("target_nid=4096", "target_nid: '4096' is not an online top-tier node"),
        ("freq_threshold=0", "freq_threshold: '0' is not within 1..3"),
        ("freq_threshold=4", "freq_threshold: '4' is not within 1..3"),
        ("freq_threshold=", "freq_threshold: '' is no number"),
        ("kmigrated_sleep_ms=-1", "kmigrated_sleep_ms: '-1' is no number"),
        ("kmigrated_batch_nr=4294967296", "does not fit in 32 bits"),
        ("pghot_promote_freq_window_ms=-1", "is not within 0..2147483647"),
        ("numa_balancing=5", "numa_balancing: '5' is not within 0..4"),
        ("freq_treshold=2", "freq_treshold: no such tunable; perhaps freq_threshold? "),
        ("=2", ": no such tunable; there are "),
        ("freq_threshold", "--set freq_threshold: wants NAME=VALUE; see pghot help tunables"),
    ],
)
def test_a_tunable_that_is_refused_is_one_line(
    log: Path, tmp_path: Path, run: Run, given: str, why: str
) -> None:
    line = run("replay", log, "--set", given, "-o", tmp_path / "out").refusal()
    assert why in line
    assert entries(tmp_path) == ["log.parquet"]


def test_the_threshold_may_be_higher_in_precision_mode(log: Path, run: Run) -> None:
    assert run("replay", log, "--mode", "precise", "--set", "freq_threshold=7").status == 0
    line = run("replay", log, "--mode", "precise", "--set", "freq_threshold=8").refusal()
    assert "is not within 1..7" in line


def test_a_window_longer_than_a_record_can_tell_is_refused_where_records_expire(
    log: Path, run: Run
) -> None:
    given = ("replay", log, "--set", "pghot_promote_freq_window_ms=60000")
    assert run(*given).status == 0
    assert "is longer than a default record" in run(*given, "--fidelity", "improved").refusal()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("pghot_promote_freq_window_ms=500", "is not within 1000..3968"),
        ("kmigrated_sleep_ms=1001", "is not within 50..1000"),
        ("kmigrated_batch_nr=7", "is not within 64..1024"),
    ],
)
def test_v8_takes_less_and_says_what(log: Path, run: Run, given: str, why: str) -> None:
    assert run("replay", log, "--set", given).status == 0
    assert why in run("replay", log, "--set", given, "--fidelity", "v8").refusal()


def test_v8_reads_a_number_of_any_base(log: Path, run: Run) -> None:
    given = ("replay", log, "--set", "freq_threshold=0x3")
    assert "freq_threshold" in run(*given).refusal()
    done = run(*given, "--fidelity", "v8", "--json")
    assert json.loads(done.out)["tunables"]["freq_threshold"] == 3


def test_sources_are_given_one_way_only(log: Path, run: Run) -> None:
    line = run("replay", log, "--source", "hwhint", "--set", "enabled_sources=1").refusal()
    assert line == "give the sources by --source or by enabled_sources, not both"
