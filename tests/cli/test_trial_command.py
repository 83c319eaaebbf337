"""`pghot run --trial` whole: in virtual time, and killed in real time."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pghot.linux.host import Host
from pghot.linux.processes.metric_command import Numbers
from pghot.live import trial as trials
from pghot.live.run import run_engine
from pghot.live.session import open_session
from pghot.live.trial_plan import TrialPlan
from pghot.sources.choose import Choice
from tests.cli.live_host import LiveHost
from tests.cli.test_live_commands import BALANCING, ELSEWHERE, RATE_LIMIT, value, wait_for
from tests.live.test_trial import COLD_FAST, HOT, Metric, busy
from tests.live.world import FAST, SLOW, Source, World
from tests.log.made import Run, pghot_command
from tests.test_schemas import check

TRIAL = ("-p", "40", "--trial", "36", "--trial-block", "3", "--trial-seed", "7")


@pytest.fixture
def world(tmp_path: Path, at: Callable[[Host], Host], monkeypatch: pytest.MonkeyPatch) -> World:
    """A host in virtual time on which commands find themselves, with hardware samples."""
    world = World(tmp_path / "host")
    world.process(40)
    for page in HOT:
        world.map(40, page)
    for page in COLD_FAST:
        world.map(40, page, nid=FAST)
    busy(world)
    world.source = Source("hwhint")
    choice = Choice(("hwhint",), "hardware")
    monkeypatch.setattr("pghot.live.session.choose", lambda *_arguments: choice)
    monkeypatch.setattr("pghot.live.run.Clock", lambda: world.clock)
    opened = partial(open_session, open_source=world.open_source)
    monkeypatch.setitem(run_engine.__kwdefaults__, "opened", opened)
    at(world)
    return world


@pytest.fixture
def metric(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Numbers]], tuple[str, ...]]:
    """Options of a metric that a function gives."""

    def metric(number: Callable[[], Numbers]) -> tuple[str, ...]:
        monkeypatch.setattr(trials, "MetricCommand", lambda _command: Metric(number))
        return "--metric-command", "measure", "--better", "lower"

    return metric


def slow(world: World) -> Numbers:
    return Numbers(2, 100.0 + sum(world.nid_of(40, page) == SLOW for page in HOT))


def test_its_last_lines_answer_with_an_interval(world: World, run: Run, metric) -> None:
    done = run("run", *TRIAL, *metric(partial(slow, world)))
    assert done.status == 0, done.err
    out = " ".join(done.out.split())
    assert "trial, 6 pairs on off difference interval" in out
    assert "metric 100 120 -20 -20 .. -20" in out
    assert (
        "Trial: promotion on is better than promotion off, by the metric: 100 against 120, a "
        "difference of -20 (-16.7 %), between -20 and -20 with 96.9 % confidence (6 pairs)."
    ) in out
    assert "trial: order 12, 21, 12, 12, 21, 12 (--trial-seed 7)" in done.err


@pytest.mark.usefixtures("world")
def test_without_a_metric_it_says_that_what_is_served_fast_is_no_run_time(run: Run) -> None:
    out = " ".join(run("run", *TRIAL).out.split())
    assert "better than promotion off, by the share of accesses served fast: 100 %" in out
    assert "Whether the program is faster, its own metric alone says." in out


@pytest.mark.usefixtures("world")
def test_an_interval_with_zero_in_it_is_told_as_that(run: Run, metric) -> None:
    numbers = iter([5.0, 4.0, 4.5, 5.5] * 3)
    out = " ".join(run("run", *TRIAL, *metric(lambda: Numbers(1, next(numbers)))).out.split())
    assert "Trial: cannot be told, by the metric" in out
    assert "(6 pairs): that includes zero." in out


def test_one_that_is_stopped_says_how_far_it_came(world, run, metric) -> None:
    world.clock.at(20_000_000, lambda: signal.raise_signal(signal.SIGINT))
    out = " ".join(run("run", *TRIAL, *metric(partial(slow, world))).out.split())
    assert "Trial: cannot be told: 3 pairs have the metric, 6 are needed." in out
    assert "It ended early (stopped by SIGINT), after 3 of 6 pairs" in out


def test_the_json_and_the_results_have_it(world, run, metric, tmp_path: Path) -> None:
    words = (*TRIAL, *metric(partial(slow, world)), "--json", "-o", tmp_path / "out")
    summary = check("run", run("run", *words).out)
    assert summary == json.loads((tmp_path / "out" / "summary.json").read_text())
    trial = summary["trial"]
    assert (trial["verdict"], trial["by"], trial["seed"]) == ("better", "metric", 7)
    assert [block["arm"] for block in trial["blocks"]] == trial["order"]
    assert summary["live"]["helps"]["served"]["by_node"].keys() == {"0", "1"}
    assert 0 < summary["fast_share"] < 1
    page = tmp_path / "report.html"
    assert run("report", tmp_path / "out", "-o", page).status == 0
    text = page.read_text()
    assert "Does it help? A trial" in text
    assert "promotion on is better than promotion off, by the metric" in text


WHO = ("run", "-p", "40")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("--trial", "soon"), "--trial soon: wants a time such as 90s, 10m or 1h"),
        (("--trial", "0"), "--trial 0: wants a time such as"),
        (("--trial", "5"), "--trial 5: blocks of 0.3125 s; a block wants 1 s, better a minute"),
        (("--trial", "5m", "--trial-block", "1m"), "--trial 5m: 2 pairs of blocks of 60 s; wants"),
        (("--trial", "9h", "--trial-block", "30s"), "wants 6 to 60 pairs"),
        (("--trial", "5m", "--trial-warm-up", "1m"), "60 s leave nothing of a block of 18.75 s"),
        (("--trial", "5m", "--trial-seed", "-1"), "--trial-seed -1: wants 0 to"),
        (("--trial", "5m", "-d", "60"), "--trial and -d: the trial says how long"),
        (("--trial", "5m", "--dry-run"), "--trial and --dry-run: nothing would differ"),
        (("--trial", "5m", "--record", "l.parquet"), "--trial and --record: a log would have"),
        (("--trial", "5m", "--metric-command", "x"), "--metric-command and --better"),
        (("--trial", "5m", "--better", "lower"), "--metric-command and --better"),
        (
            ("--trial", "5m", "--metric-command", " ", "--better", "lower"),
            "--metric-command: is empty",
        ),
        (
            ("--trial", "5m", "--against", "freq_threshold"),
            "--against freq_threshold: wants NAME=",
        ),
        (("--trial", "5m", "--against", "a=1", "--against", "a=2"), "each name once"),
        (("--trial", "5m", "--against", "no_such=2"), "--against: no tunable 'no_such'"),
        (("--trial", "5m", "--against", "freq_threshold=9"), "freq_threshold: '9' is not within"),
        (("--trial", "5m", "--against", "freq_threshold=2"), "the run has these values already"),
        (("--better", "lower"), "--better: wants --trial TIME"),
        (("--trial-seed", "0"), "--trial-seed: wants --trial TIME"),
        (("--against", "freq_threshold=3"), "--against: wants --trial TIME"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_tried_is_one_line_and_leaves_the_host(live, run, given, line) -> None:
    done = run(*WHO, *given)
    assert (done.status, done.out) == (2, "")
    *told, last = done.err.splitlines()
    assert line in last
    assert all(text.startswith("pghot: ") for text in told)
    assert live.text(BALANCING) == "0"
    assert live.text(RATE_LIMIT) == "65536"


def test_a_metric_command_that_is_wrong_ends_it_in_its_first_block(
    live: LiveHost, run: Run
) -> None:
    """In real time: the command is a real one."""
    done = run(
        *WHO, "--trial", "12", "--trial-block", "1", "--trial-warm-up", "0.1",
        "--metric-command", "echo ten", "--better", "lower",
    )  # fmt: skip
    assert done.status == 1
    assert done.out == ""
    last = done.err.splitlines()[-1]
    assert last.startswith("pghot: --metric-command: ")
    assert last.endswith("in the first block of the trial: nothing was measured")
    assert live.text(BALANCING) == "0"


def first_on() -> int:
    """A seed whose first block is one with promotion."""
    return next(seed for seed in range(100) if TrialPlan(6, 300, 100, seed).order()[0] == 0)


def test_an_environment_that_sudo_does_not_make_is_refused_before_the_trial(
    live: LiveHost, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_UID", "me")
    monkeypatch.setenv("SUDO_GID", "0")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    line = run(*WHO, "--trial", "5m", "--metric-command", "true", "--better", "lower").refusal()
    assert line.startswith("SUDO_UID=me: not a number")
    assert live.writes == []


@pytest.mark.usefixtures("live")
def test_what_a_killed_trial_leaves_is_put_back_by_restore(
    run: Run, at: Callable[[Host], Host], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    before = ELSEWHERE.format(root=str(other), state=str(tmp_path / "state"))
    words = pghot_command(
        "run",
        "-p",
        "40",
        "--trial",
        "1h",
        "--trial-seed",
        str(first_on()),
        "--metric-command",
        "echo 1",
        "--better",
        "lower",
        before=before,
    )
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as ours:
        wait_for(lambda: value(other, BALANCING) == "2")
        ours.kill()
        ours.communicate(timeout=90)
    assert value(other, BALANCING) == "2"
    at(Host(other))
    done = run("restore")
    assert done.status == 0, done.err
    assert f"{BALANCING}: 0 again" in done.out
    assert value(other, BALANCING) == "0"
    assert value(other, RATE_LIMIT) == "65536"
