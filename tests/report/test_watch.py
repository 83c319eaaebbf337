"""A state as a line: rates since the state before."""

from __future__ import annotations

from pghot.report.watch import WatchLine
from tests.published import helps, published, published_state, spans


def state(time, seen, found, pages, refused, lost=0, told=None):
    live = {
        "real_s": time - 100,
        "found_hot": found,
        "promoted_pages": pages,
        "refused": {"EBUSY": refused},
        "sources": {"hintfault": {"seen": seen, "lost": lost}},
        "helps": told,
    }
    figures = published()["nodes"]["0"] | {"pages": 1000}
    nodes = {
        "0": figures | {"free_pages": 250},
        "1": figures | {"free_pages": 1000, "toptier": False},
    }
    return published_state(live=live, started=100.0, time=time, nodes=nodes)


def test_the_first_line_has_the_rates_since_the_start_and_the_next_those_since_the_first():
    line = WatchLine()
    assert line.of(state(110.0, 10_000, 20, 512, 10)) == (
        "    10 s  samples 1,000/s  hot 2/s  promoted 204.0 KiB/s  refused 1/s  top tier 75% full"
    )
    assert line.of(state(112.0, 10_000, 24, 1536, 10)) == (
        "    12 s  samples 0/s  hot 2/s  promoted 2.0 MiB/s  refused 0/s  top tier 75% full"
    )


def test_lost_samples_are_told_once_there_are_any():
    line = WatchLine()
    assert "lost" not in line.of(state(110.0, 0, 0, 0, 0))
    assert line.of(state(111.0, 0, 0, 0, 0, lost=5)).endswith("  lost 5/s")


def test_two_states_of_one_moment_are_two_lines():
    line = WatchLine()
    line.of(state(110.0, 0, 0, 0, 0))
    assert " samples 0/s" in line.of(state(110.0, 0, 0, 0, 0))


def test_what_the_top_tier_served_lately_and_before_is_told_where_samples_say_it():
    part = {"samples": 10, "fast": 4, "fast_share": 0.4}
    later = {"samples": 10, "fast": 8, "fast_share": 0.8}
    served = spans(later, before=part) | {"by_node": {}}
    line = WatchLine().of(state(110.0, 0, 0, 0, 0, told=helps(served=served)))
    assert line.endswith("75% full  served fast 80% (before 40%)")
