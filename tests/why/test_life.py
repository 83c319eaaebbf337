"""The life of a page in a replay of a few accesses, whose every step is known."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from tests.log.made import LOWER
from tests.why.made import CROWDED, HOT, life, replayed, told

FIDELITIES = ("v7", "v8", "improved")
SOON = [(10, HOT), (150, HOT)]
both = pytest.mark.parametrize("fidelity", FIDELITIES)


@both
def test_a_page_is_accessed_becomes_ready_and_moves_in_a_batch(run, tmp_path, fidelity):
    events = replayed(run, tmp_path, [*SOON, (250, HOT)], "--fidelity", fidelity)
    page = life(run, events, HOT)
    assert told(page) == [
        ("recorded", 0.01, 1, 1),
        ("recorded", 0.15, 1, 2),
        ("moved", 0.2, 1, 2),
        ("ignored", 0.25, 1, 0),
    ]
    first, second, moved, ignored = page["steps"]
    assert [step["became_ready"] for step in (first, second)] == [0, 1]
    assert (moved["from_nid"], moved["to_nid"], moved["batch"]) == (1, 0, 0)
    assert ignored["reason"] == "own_node"
    assert page["answer"] == "it moved to node 0 at 0.200 s"
    assert (page["mode"], page["fidelity"]) == ("default", fidelity)


def test_a_cold_page_was_never_ready_and_the_answer_names_the_tunables(run, tmp_path):
    page = life(run, replayed(run, tmp_path, [(10, HOT), (3500, HOT)]), HOT)
    assert told(page) == [("recorded", 0.01, 2, 1)]
    assert page["answer"].startswith("2 accesses within 3000 ms, where it had 1 at most")


def test_v7_refuses_by_the_rate_limit_and_forgets_the_heat(run, tmp_path):
    rows = [*SOON, (250, HOT), (350, HOT)]
    limit = ("--set", "pghot_promote_rate_limit_MBps=0")
    page = life(run, replayed(run, tmp_path, rows, *limit), HOT)
    assert told(page) == [
        ("recorded", 0.01, 1, 1),
        ("recorded", 0.15, 1, 2),
        ("refused", 0.2, 1, 2),
        ("recorded", 0.25, 1, 1),
        ("recorded", 0.35, 1, 2),
        ("refused", 0.4, 1, 2),
    ]
    assert {step["reason"] for step in page["steps"] if step["what"] == "refused"} == {
        "rate_limit"
    }
    assert "pghot_promote_rate_limit_MBps above 0" in page["answer"]
    assert "--fidelity improved keeps it" in page["answer"]


def test_improved_refuses_at_every_look_and_the_times_are_all_there(run, tmp_path):
    rows = [*SOON, *((200 + at * 100, LOWER) for at in range(1, 6))]
    limit = ("--set", "pghot_promote_rate_limit_MBps=0", "--fidelity", "improved")
    page = life(run, replayed(run, tmp_path, rows, *limit), HOT)
    assert [step[0] for step in told(page)] == ["recorded", "recorded", "refused"]
    refused = page["steps"][-1]
    assert refused["times_s"] == [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert refused["count"] == 6
    assert "improved" not in page["answer"]


def test_a_page_whose_age_wraps_is_hot_by_mistake_and_marked(run, tmp_path):
    page = life(run, replayed(run, tmp_path, [(10, HOT), (5000, HOT)]), HOT)
    assert told(page)[1:] == [("recorded", 5.0, 1, 2), ("moved", 5.0, 1, 2)]
    assert [step.get("wrapped") for step in page["steps"]] == [0, 1, None]
    mended = replayed(run, tmp_path, [(10, HOT), (5000, HOT)], "--fidelity", "improved", "--force")
    assert told(life(run, mended, HOT)) == [("recorded", 0.01, 2, 1)]


def test_a_record_that_the_improved_engine_cleared_was_never_taken(run, tmp_path):
    options = ("--set", "kmigrated_sleep_ms=3500", "--fidelity", "improved")
    page = life(run, replayed(run, tmp_path, SOON, *options), HOT)
    assert [step["what"] for step in page["steps"]] == ["recorded", "recorded"]
    assert "ready at 0.150 s and kmigrated never took it" in page["answer"]


def test_v8_takes_ready_away_in_a_new_window_and_the_answer_says_so(run, tmp_path):
    rows = [(1010, HOT), (1020, HOT), (1925, HOT)]  # 8 buckets of 128 ms from the second on
    options = ("--set", "kmigrated_sleep_ms=1000", "--set", "pghot_promote_freq_window_ms=1000")
    page = life(run, replayed(run, tmp_path, rows, *options, "--fidelity", "v8"), HOT)
    assert [step["what"] for step in page["steps"]] == ["recorded"] * 3
    assert [(step["heat"], step["ready"]) for step in page["steps"]] == [
        (1, False), (2, True), (1, False),
    ]  # fmt: skip
    assert "it was ready at 1.020 s, and an access that opened a new window" in page["answer"]
    series = life(run, replayed(run, tmp_path, rows, *options, "--force"), HOT)
    assert series["steps"][-1]["what"] == "moved"


def test_v8_forgets_the_heat_of_what_it_refuses_as_v7_does(run, tmp_path):
    limit = ("--set", "pghot_promote_rate_limit_MBps=0", "--fidelity", "v8")
    page = life(run, replayed(run, tmp_path, SOON, *limit), HOT)
    assert "; v8 forgets the heat of what it refuses" in page["answer"]


def test_a_page_that_was_touched_too_long_ago_is_refused_by_the_threshold(run, tmp_path):
    options = ("--set", "kmigrated_sleep_ms=3500")
    page = life(run, replayed(run, tmp_path, SOON, *options), HOT)
    refused = page["steps"][-1]
    assert (refused["what"], refused["reason"]) == ("refused", "threshold")
    assert refused["latency_ms"] >= refused["threshold_ms"] == 3000
    assert "pghot_promote_freq_window_ms above 3000" in page["answer"]


def test_a_full_target_refuses_in_the_batch_and_the_answer_asks_for_room(run, tmp_path):
    pages = [HOT + at for at in range(12)]
    rows = [(10, page) for page in pages] + [(20, page) for page in pages]
    events = replayed(run, tmp_path, rows, machine=CROWDED)
    lives = [life(run, events, page) for page in pages]
    moved = [page for page in lives if page["steps"][-1]["what"] == "moved"]
    stayed = [page for page in lives if page["steps"][-1]["what"] == "refused"]
    assert (len(moved), len(stayed)) == (10, 2)
    for page in stayed:
        assert page["steps"][-1]["reason"] in {"isolation", "migration"}
        assert "room on node 0" in page["answer"]


def test_a_batch_has_the_number_that_promotions_have(run, tmp_path):
    pages = [HOT + at for at in range(5)]
    rows = [(at, page) for at in (10, 20) for page in pages]
    out = tmp_path / "out"
    events = replayed(run, tmp_path, rows, "--set", "kmigrated_batch_nr=1", "-o", out)
    for row in pq.read_table(out / "promotions.parquet").to_pylist():
        moved = life(run, events, row["pfn"])["steps"][-1]
        assert (moved["what"], moved["batch"]) == ("moved", row["batch"])


def test_any_page_of_a_folio_has_the_life_of_the_folio(run, tmp_path):
    folio = LOWER + 512
    machine = MACHINE_WITH_FOLIO.format(folio)
    events = replayed(run, tmp_path, [(10, folio + 3), (20, folio + 5)], machine=machine)
    page = life(run, events, hex(folio + 100))
    assert told(page)[-1] == ("moved", 0.1, 1, 2)
    assert {(step["pfn"], step["pages"]) for step in page["steps"]} == {(folio, 512)}
    assert run("why", events, folio + 512).status == 1


def test_precise_mode_has_its_own_heat(run, tmp_path):
    rows = [(at, HOT) for at in (10, 20, 30, 40)]
    page = life(run, replayed(run, tmp_path, rows, "--mode", "precise"), HOT)
    assert [step["heat"] for step in page["steps"]] == [1, 2, 3, 4, 4]


def test_what_happens_again_and_again_is_one_step(run, tmp_path):
    rows = [(at, HOT) for at in range(10, 90)]
    page = life(run, replayed(run, tmp_path, rows), HOT)
    assert told(page) == [
        ("recorded", 0.01, 1, 1),
        ("recorded", 0.011, 1, 2),
        ("recorded", 0.012, 78, 3),
        ("moved", 0.1, 1, 3),
    ]


def test_accesses_that_are_refused_every_time_are_two_steps(run, tmp_path):
    rows = [(at, HOT) for at in range(10, 2000, 100)]
    options = ("--set", "freq_threshold=1", "--set", "pghot_promote_rate_limit_MBps=0")
    page = life(run, replayed(run, tmp_path, rows, *options), HOT)
    assert told(page) == [("recorded", 0.01, 20, 1), ("refused", 0.1, 20, 1)]
    assert page["steps"][0]["became_ready"] == 20


def test_a_disabled_source_is_the_answer(run, tmp_path):
    options = ("--source", "hintfault")
    page = life(run, replayed(run, tmp_path, SOON, *options), HOT)
    assert page["answer"].startswith("no access was recorded: its source is not enabled")


def test_a_long_life_is_shown_by_its_ends(run, tmp_path):
    rows = [(at * 10, HOT) for at in range(1, 1000)]
    options = ("--set", "pghot_promote_rate_limit_MBps=0")
    events = replayed(run, tmp_path, rows, *options)
    out = run("why", events, HOT).out
    assert "more steps (--json has them)" in out
    assert len(out.splitlines()) < 60
    assert len(life(run, events, HOT)["steps"]) > 200


MACHINE_WITH_FOLIO = """\
[[node]]
id = 0
start_pfn = 0
pages = 32768
toptier = true
free_pages = 30000
[[node]]
id = 1
start_pfn = 32768
pages = 65536
toptier = false
[[folio]]
pfn = {}
pages = 512
"""
