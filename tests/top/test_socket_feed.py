"""A run seen through its control socket: the real server, the real client, made-up states."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from pghot.driving.run_state import read_state
from pghot.engine.errors import TunableError
from pghot.errors import PghotError
from pghot.live.mailbox import Mailbox
from pghot.live.options import LiveOptions
from pghot.serving.client import Client
from pghot.serving.control import control
from pghot.top.app import refusal
from pghot.top.published import state_of_run
from pghot.top.socket_feed import SocketFeed
from tests.live.world import World, run, state_in
from tests.published import published, published_state
from tests.top.feeds import run_state

PATIENCE_S = 90.0


@contextmanager
def serving(path: Path, mailbox: Mailbox) -> Iterator[None]:
    """Serve a mailbox, and attend to it as a run would."""
    going_on = True

    def refuse(name: str, text: str) -> None:
        if text != "1":
            raise TunableError(22, f"{name}: {text!r} is not within 1..3")

    def attend() -> None:
        while going_on:
            mailbox.attend(refuse)
            time.sleep(0.005)

    thread = Thread(target=attend)
    thread.start()
    try:
        with control(mailbox, path, {"pid": 1, "version": "0", "command": "pghot run"}):
            yield
            mailbox.close()
    finally:
        going_on = False
        thread.join()


@contextmanager
def feed_of(path: Path) -> Iterator[SocketFeed]:
    feed = SocketFeed(lambda: Client(path), again_s=0.05)
    try:
        yield feed
    finally:
        feed.close()
        feed._thread.join(PATIENCE_S)
        assert not feed._thread.is_alive()


def wait_for(what) -> None:
    until = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_states_come_as_the_run_publishes_them(tmp_path: Path) -> None:
    mailbox, path = Mailbox(), tmp_path / "ctl"
    with serving(path, mailbox), feed_of(path) as feed:
        mailbox.publish(published_state(1))
        assert feed.next_state(PATIENCE_S) == run_state(1)
        mailbox.publish(published_state(2))
        assert feed.next_state(PATIENCE_S) == run_state(2)
        assert feed.said == ""


def test_a_write_is_the_runs_and_so_is_its_refusal(tmp_path: Path) -> None:
    mailbox, path = Mailbox(), tmp_path / "ctl"
    with serving(path, mailbox), feed_of(path) as feed:
        mailbox.publish(published_state(1))
        feed.write("freq_threshold", "1")
        with pytest.raises(PghotError, match="EINVAL") as refused:
            feed.write("freq_threshold", "9")
        assert refused.value.errno == 22


def test_it_says_that_no_run_is_there_and_finds_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "ctl"
    with feed_of(path) as feed:
        wait_for(lambda: "waiting for a run" in feed.said)
        assert feed.next_state(0) is None
        first = Mailbox()
        with serving(path, first):
            first.publish(published_state(1))
            assert feed.next_state(PATIENCE_S) == run_state(1)
        wait_for(lambda: feed.said)
        assert not feed.over
        second = Mailbox()
        with serving(path, second):
            second.publish(published_state(1, pid=12))
            state = feed.next_state(PATIENCE_S)
            assert state is not None
            assert state.pid == 12
            wait_for(lambda: not feed.said)


def test_states_of_another_version_are_refused() -> None:
    with pytest.raises(PghotError, match="version 2"):
        read_state(published(1, version=2))


def test_keys_that_are_not_known_are_passed_over() -> None:
    plain = published(1, live={"of_tomorrow": 1}, of_tomorrow={"a": 1})
    assert read_state(plain) == published_state(1)


def test_what_an_older_run_does_not_say_yet_is_unknown() -> None:
    live = published_state(1).live
    assert (live.helps, live.trial_progress, live.looked_at_after_a_minute) == (None, "", 0)


@pytest.mark.parametrize("plain", [7, [], None, "state"])
def test_what_is_no_object_is_no_state(plain: object) -> None:
    with pytest.raises(PghotError, match="no state"):
        read_state(plain)


@pytest.mark.parametrize("key", ["nodes", "live", "processes", "pid", "targets"])
def test_what_is_no_state_is_said_to_be_none(key: str) -> None:
    plain = published(1)
    with pytest.raises(PghotError, match="no state"):
        read_state(plain | {key: 1.5 if key == "pid" else 7})
    del plain[key]
    with pytest.raises(PghotError, match="no state"):
        read_state(plain)


def test_what_a_run_publishes_is_read_whole(tmp_path, monkeypatch) -> None:
    """The engine on a host of files: its own states, not made-up ones."""
    state_in(tmp_path / "state", monkeypatch)
    world = World(tmp_path / "host")
    world.process(40)
    for page in range(100, 120):
        world.map(40, page)
    world.heat(40, *range(100, 120))
    mailbox = Mailbox()
    result, _heard, _status = run(world, LiveOptions(pids=(40,), duration=3), mailbox=mailbox)
    last = mailbox.state()
    assert read_state(json.loads(json.dumps(last.to_dict()))) == last == result.state
    state = state_of_run(last)
    assert (state.kind, state.name) == ("run", "pids 40")
    live = result.state.live
    assert (state.promoted, state.found) == (live.promoted_pages, live.found_hot)
    assert state.promoted > 0
    assert [node.toptier for node in state.nodes] == [True, False]
    assert state.processes[0].pid == 40
    assert state.ended == "the time was up"
    assert state.tunables == result.engine.tunables.as_dict()


def test_a_refusal_opens_with_its_errno_whoever_says_it(tmp_path: Path) -> None:
    mailbox, path = Mailbox(), tmp_path / "ctl"
    ours = TunableError(22, "freq_threshold: '9' is not within 1..3")
    with serving(path, mailbox), feed_of(path) as feed:
        mailbox.publish(published_state(1))
        with pytest.raises(PghotError) as theirs:
            feed.write("freq_threshold", "9")
    line = "EINVAL: freq_threshold: '9' is not within 1..3"
    assert refusal(ours) == refusal(theirs.value) == line
