"""A run's log as JSON: what a line holds, and how often there is one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from pghot.errors import Caution
from pghot.live.options import LiveOptions
from pghot.report.log_lines import JsonLines
from tests.live.world import MS, World, run, state_in


def logged(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_caution_is_a_warning_and_other_lines_are_not():
    stream = io.StringIO()
    lines = JsonLines(stream=stream)
    lines.say("a line\nin two")
    lines.say(Caution("amiss"))
    assert stream.getvalue().count("\n") == 2
    assert [(line["level"], line["message"]) for line in logged(stream)] == [
        ("info", "a line\nin two"), ("warning", "amiss"),
    ]  # fmt: skip


def test_how_things_are_comes_once_a_period_with_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    state_in(tmp_path / "state", monkeypatch)
    world = World(tmp_path / "host")
    world.process(40)
    for page in range(100, 110):
        world.map(40, page)
    world.heat(40, *range(100, 110), start_ms=2500)
    stream = io.StringIO()
    lines = JsonLines(period_s=2, stream=stream)
    result, _heard, _status = run(world, LiveOptions(pids=(40,), duration=7), status=lines.show)
    lines.ended(result)
    seen = logged(stream)
    assert [line["message"] for line in seen] == ["running"] * 3 + ["ended: the time was up"]
    assert [round(line["elapsed_s"]) for line in seen] == [2, 4, 6, 7]
    assert [line["promoted_pages"] for line in seen] == [0, 10, 10, 10]
    assert seen[1]["samples"] == 40
    assert seen[1]["refused"] == {}


def test_a_setting_that_somebody_else_changed_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    state_in(tmp_path / "state", monkeypatch)
    world = World(tmp_path / "host")
    world.process(40)
    balancing = "/proc/sys/kernel/numa_balancing"
    world.clock.at(1000 * MS, lambda: world.path(balancing).write_text("1\n"))
    _result, heard, _status = run(world, LiveOptions(pids=(40,), duration=12))
    (line,) = heard.said("by somebody else")
    assert isinstance(line, Caution)
