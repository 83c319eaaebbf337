"""Where other threads meet a run: what they are told, and what their writes do."""

from __future__ import annotations

import json
import re
import threading
import time
from pathlib import Path

import pytest

from pghot.driving.run_state import read_state
from pghot.engine.reasons import LIVE
from pghot.errors import PghotError
from pghot.live import mailbox as mailboxes
from pghot.live.mailbox import Mailbox
from pghot.live.options import LiveOptions
from tests.live.world import FAST, MS, PAGE, SLOW, Asker, run

HOT = range(100, 120)
REGION = 2 << 20

STATES_OWN = {"nodes", "version", "time", "refused"}
"""Keys of a summary that in a state say something else (docs/ctl.md)."""


class Listener(Mailbox):
    """A mailbox that keeps every state."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[dict] = []

    def publish(self, state) -> None:
        self.states.append(state.to_dict())
        super().publish(state)


@pytest.fixture
def loaded(world):
    for page in HOT:
        world.map(40, page)
    world.heat(40, *HOT)
    return world


def test_a_state_comes_at_the_start_then_once_a_second_and_at_the_end(loaded):
    mailbox = Listener()
    result, _heard, _status = run(loaded, LiveOptions(pids=(40,), duration=3), mailbox=mailbox)
    assert [int(state["live"]["real_s"]) for state in mailbox.states] == [0, 1, 2, 3, 3]
    assert [state["live"]["ended"] for state in mailbox.states][-2:] == ["", "the time was up"]
    assert mailbox.closed
    last = mailbox.states[-1]
    assert read_state(json.loads(json.dumps(last))) == mailbox.state()
    summary = result.summary()
    shared = (summary.keys() & last.keys()) - STATES_OWN
    assert shared >= {"accesses", "vmstat", "tunables", "live"}
    assert {key: last[key] for key in shared} == {key: summary[key] for key in shared}


def test_the_manual_names_every_key_of_a_state_and_no_other(loaded):
    mailbox = Listener()
    result, _heard, _status = run(loaded, mailbox=mailbox)
    text = (Path(__file__).parents[2] / "docs/ctl.md").read_text().partition("## The state")[2]
    named = {
        key
        for line in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", line)
    }
    ours = mailbox.states[-1].keys() - (result.summary().keys() - STATES_OWN)
    assert named == ours


def test_a_state_says_what_each_node_is(loaded):
    mailbox = Listener()
    run(loaded, mailbox=mailbox)
    nodes = mailbox.states[-1]["nodes"]
    assert {nid: node["toptier"] for nid, node in nodes.items()} == {"0": True, "1": False}
    assert nodes["1"]["pages"] == 0x40000
    assert nodes["0"]["free_pages"] == loaded.free[FAST]
    assert (nodes["0"]["found_hot"], nodes["1"]["found_hot"]) == (0, len(HOT))


def test_a_state_names_the_hottest_processes_and_regions(loaded):
    loaded.process(41)
    loaded.map(41, 1000)
    loaded.map(41, 1600)
    loaded.heat(41, 1000, times=1)
    loaded.heat(41, 1600, times=2, each_ms=300)
    mailbox = Listener()
    run(loaded, LiveOptions(pids=(40, 41), duration=1), mailbox=mailbox)
    first, second = mailbox.states[-1]["processes"]
    accesses = first.pop("accesses")
    assert first == {"pid": 40, "name": "load", "hot": len(HOT), "promoted": len(HOT)}
    assert len(HOT) * 2 <= accesses <= len(HOT) * 4
    assert (second["pid"], second["accesses"]) == (41, 3)
    assert mailbox.states[-1]["regions"] == [
        {"pid": 40, "start": 0, "end": REGION, "accesses": accesses},
        {"pid": 41, "start": 3 * REGION, "end": 4 * REGION, "accesses": 2},
        {"pid": 41, "start": REGION, "end": 2 * REGION, "accesses": 1},
    ]
    assert 1600 * PAGE // REGION == 3


def test_accesses_of_more_than_ten_seconds_ago_make_nobody_hot(loaded):
    mailbox = Listener()
    run(loaded, LiveOptions(pids=(40,), duration=12), mailbox=mailbox)
    assert mailbox.states[2]["regions"]
    assert mailbox.states[-1]["regions"] == []
    assert mailbox.states[-1]["processes"][0]["promoted"] == len(HOT)


def test_a_state_counts_every_reason_of_a_refusal_those_of_none_too(loaded):
    loaded.busy = {(40, HOT[0])}
    mailbox = Listener()
    run(loaded, mailbox=mailbox)
    refused = mailbox.states[-1]["refused"]
    assert refused.keys() == LIVE.keys()
    assert refused["EBUSY"] >= 1
    assert refused["rate_limit"] == 0


def test_a_state_counts_calls_by_how_long_they_took(loaded):
    loaded.ns_a_page = 200_000  # a call of twenty pages takes 4 ms
    mailbox = Listener()
    result, _heard, _status = run(loaded, mailbox=mailbox)
    seconds = mailbox.states[-1]["batch_seconds"]
    assert seconds["count"] == result.running.mover.budget.latencies.count == 1
    assert seconds["sum"] == pytest.approx(len(HOT) * 200e-6)
    assert next(bound for bound, count in seconds["within"] if count) == 0.005


def test_a_write_takes_effect_while_the_run_goes_on_and_is_in_the_state_at_once(loaded):
    for page in range(200, 210):
        loaded.map(40, page)
    loaded.heat(40, *range(200, 210), start_ms=500, times=1)
    asker = Asker(mailbox=Listener())
    asker.at(loaded, 320, "freq_threshold", "1\n")
    run(loaded, mailbox=asker.mailbox)
    assert {loaded.nid_of(40, page) for page in range(200, 210)} == {FAST}
    (found,) = asker.answered().states
    assert found.tunables["freq_threshold"] == 1
    states = asker.mailbox.states
    first = next(state for state in states if state["tunables"]["freq_threshold"] == 1)
    assert first["live"]["real_s"] < 1  # not only in that of the next second


def test_a_write_that_the_kernel_would_refuse_changes_nothing_and_tells_its_asker(loaded):
    asker = Asker()
    asker.at(loaded, 100, "freq_threshold", "9")
    asker.at(loaded, 100, "no_such", "1")
    result, _heard, _status = run(loaded, mailbox=asker.mailbox)
    refused = asker.answered().refused
    assert refused["freq_threshold", "9"] == "freq_threshold: '9' is not within 1..3"
    assert refused["no_such", "1"].startswith("no_such: no such tunable")
    assert result.engine.tunables["freq_threshold"] == 2


def test_after_the_run_nothing_is_written_any_more(loaded):
    mailbox = Mailbox()
    run(loaded, mailbox=mailbox)
    with pytest.raises(PghotError, match="the run is over"):
        mailbox.write("freq_threshold", "1")
    assert mailbox.state().live.ended == "the time was up"
    assert mailbox.next_state(10**6, 1) is None


def test_a_run_that_fails_closes_the_mailbox_and_lets_go_of_who_waits(loaded):
    asker = Asker()

    def fails():
        asker._ask("freq_threshold", "1")
        raise RuntimeError("in the middle")

    loaded.clock.at(300 * MS, fails)
    with pytest.raises(RuntimeError, match="in the middle"):
        run(loaded, mailbox=asker.mailbox)
    assert asker.answered().refused["freq_threshold", "1"] == "the run is over"


def test_a_run_that_never_begins_closes_the_mailbox_too(world):
    mailbox = Mailbox()
    with pytest.raises(PghotError):
        run(world, LiveOptions(pids=(4711,)), mailbox=mailbox)
    assert mailbox.closed


def test_a_write_that_nobody_did_in_time_is_not_done_later(monkeypatch):
    monkeypatch.setattr(mailboxes, "PATIENCE_S", 0.05)
    mailbox, done = Mailbox(), []
    with pytest.raises(PghotError, match="freq_threshold: the run did not answer"):
        mailbox.write("freq_threshold", "1")
    mailbox.attend(lambda name, text: done.append((name, text)))
    assert done == []


def test_a_write_that_breaks_the_run_lets_its_asker_go():
    asker = Asker()
    asker._ask("freq_threshold", "1")

    def breaks(_name, _text):
        raise MemoryError

    with pytest.raises(MemoryError):
        asker.mailbox.attend(breaks)
    assert asker.answered().refused["freq_threshold", "1"] == "the run is over"


def test_who_waits_for_a_state_gets_the_next_one():
    mailbox, got = Mailbox(), []
    waiting = threading.Thread(target=lambda: got.append(mailbox.next_state(0, 90)))
    waiting.start()
    time.sleep(0.01)
    mailbox.publish({"n": 1})
    waiting.join(90)
    assert got == [(1, {"n": 1})]
    assert mailbox.next_state(1, 0.01) is None


def test_without_a_mailbox_nothing_is_tallied(loaded):
    result, _heard, _status = run(loaded)
    assert result.running.metadata._tally is None
    assert loaded.nid_of(40, HOT[0]) != SLOW
