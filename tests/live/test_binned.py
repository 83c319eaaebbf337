"""A run on a made-up host leaves what a report needs, and is reported."""

from __future__ import annotations

import pytest

from pghot.replaying.output import output_directory
from pghot.report.page.page import render
from pghot.report.page.read import read_result
from tests.live.world import HUGE, run

HOT = range(100, 140)


@pytest.fixture
def result(world, tmp_path):
    """The run and the directory of its result."""
    for page in HOT:
        world.map(40, page)
    world.map(40, 512, pages=HUGE)
    world.heat(40, *HOT, 512)
    with output_directory(tmp_path / "out") as output:
        result, _heard, _status = run(world, observer=output)
        output.finish(result)
    return result, tmp_path / "out"


def test_the_map_of_a_process_has_its_virtual_addresses(result) -> None:
    live, directory = result
    (read,) = read_result(directory)
    heat = read.heat[-1]
    assert (heat.place, heat.unit, heat.first) == ("pid 40", "virtual page", 100)
    assert sum(heat.counts) == live.state.accesses > 0
    assert heat.first + heat.rows * heat.pages_a_row > 512


def test_every_call_of_move_pages_is_in_the_latencies(result) -> None:
    live, directory = result
    (read,) = read_result(directory)
    assert read.latency_ms is not None
    assert sum(read.latency_ms.counts) == live.running.mover.budget.latencies.count > 0
    assert max(read.latency_ms.upto) * 1.125 >= live.running.mover.budget.latencies.max_ns / 1e6


def test_the_report_says_why_the_share_of_fast_accesses_is_not_known(result) -> None:
    live, directory = result
    runs = read_result(directory)
    assert runs[0].promoted == live.state.live.promoted_pages
    html = render(runs, "t", "")
    assert "No share of fast accesses: hint faults show accesses to slow memory alone" in html
    assert "cannot be told" in html
    assert "What the top tier served is not known" in html
    assert "the kernel demotes on its own" in html
