"""A state as a line: rates since the state before."""

from __future__ import annotations

from pghot.report.watch import WatchLine


def state(time, seen, found, pages, refused, lost=0):
    return {
        "started": 100.0,
        "time": time,
        "refused": {"EBUSY": refused, "isolation": 0},
        "nodes": {
            "0": {"toptier": True, "pages": 1000, "free_pages": 250},
            "1": {"toptier": False, "pages": 1000, "free_pages": 1000},
        },
        "live": {
            "real_s": time - 100,
            "found_hot": found,
            "promoted_pages": pages,
            "sources": {"hintfault": {"seen": seen, "lost": lost}},
        },
    }


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
    told = state(110.0, 0, 0, 0, 0)
    part = {"samples": 10, "fast_share": 0.4}
    later = {"samples": 10, "fast_share": 0.8}
    served = {"all": later, "before": part, "since": later, "last": later}
    told["live"]["helps"] = {"served": served, "slow_faults": None, "memory_stall": None}
    assert WatchLine().of(told).endswith("75% full  served fast 80% (before 40%)")
