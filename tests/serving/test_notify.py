"""What a service manager hears of a run, on a real socket."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pghot.driving.run_state import RunState
from pghot.live.mailbox import Mailbox
from pghot.serving.notify import Notifier, announced
from tests.published import published_state


class Manager:
    """The socket of a service manager."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(90)

    def hear(self) -> list[str]:
        """The lines of the next message."""
        return self.socket.recv(4096).decode().split("\n")


@pytest.fixture(params=["a file", "an abstract name"])
def manager(request, tmp_path: Path) -> Iterator[tuple[Manager, str]]:
    if request.param == "a file":
        name = address = str(tmp_path / "notify")
    else:
        name, address = f"@pghot-test-{os.getpid()}", f"\0pghot-test-{os.getpid()}"
    manager = Manager(address)
    yield manager, name
    manager.socket.close()


def state(seconds: float = 1, ended: str = "") -> RunState:
    live = {"real_s": seconds, "found_hot": 3, "promoted_pages": 512, "ended": ended}
    return published_state(live=live)


def test_a_run_says_that_it_is_ready_how_it_goes_and_that_it_stops(manager):
    hearer, name = manager
    mailbox = Mailbox()
    with announced(mailbox, Notifier({"NOTIFY_SOCKET": name})):
        mailbox.publish(state())
        assert hearer.hear() == ["READY=1"]
        line = "STATUS=1 s: 3 folios found hot, 512 pages promoted (2.0 MiB)"
        assert hearer.hear() == [line]
        mailbox.publish(state(2))
        assert hearer.hear()[0].startswith("STATUS=2 s: ")
        mailbox.publish(state(3, ended="stopped by SIGTERM"))
        assert hearer.hear() == ["STOPPING=1"]


def test_a_run_that_fails_says_that_it_stops_and_never_that_it_was_ready(manager):
    hearer, name = manager
    mailbox = Mailbox()
    with announced(mailbox, Notifier({"NOTIFY_SOCKET": name})):
        mailbox.close()
    assert hearer.hear() == ["STOPPING=1"]


def test_signs_of_life_come_with_every_state_and_only_when_asked_for(manager):
    hearer, name = manager
    asked = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}
    notifier = Notifier(asked)
    notifier.status("fine")
    assert hearer.hear() == ["STATUS=fine", "WATCHDOG=1"]
    for other in (asked | {"WATCHDOG_PID": "1"}, asked | {"WATCHDOG_USEC": "0"}):
        Notifier(dict(other) | {"NOTIFY_SOCKET": name}).status("fine")
        assert hearer.hear() == ["STATUS=fine", "WATCHDOG=1"][:1]


def test_without_a_new_state_there_is_no_sign_of_life(manager):
    hearer, name = manager
    mailbox = Mailbox()
    with announced(mailbox, Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"})):
        mailbox.publish(state())
        assert [hearer.hear()[-1] for _ in range(2)] == ["READY=1", "WATCHDOG=1"]
        hearer.socket.settimeout(1.5)
        with pytest.raises(TimeoutError):
            hearer.hear()


def test_a_reload_is_said_with_its_time_and_ends_with_ready(manager):
    hearer, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    reloading, stamp = hearer.hear()
    assert reloading == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    notifier.ready("reloaded\nwell")
    assert hearer.hear() == ["READY=1", "STATUS=reloaded well"]


def test_the_managers_variables_are_not_handed_on_to_a_command(manager):
    _hearer, name = manager
    environ = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    Notifier(environ)
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("name", ["", "relative", "/nowhere/socket", "@nobody-listens-here"])
def test_nobody_to_tell_is_no_error(name):
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.ready()
    with announced(Mailbox(), notifier):
        pass
