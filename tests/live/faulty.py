"""Runs of which one step fails: `python -m tests.live.faulty KIND PLACE` tells of each.

A whole `pghot run` in virtual time, with a recording, an event log, results, a control socket
and metrics, is begun again and again in a process of its own.  Each time another step of KIND
fails, each time in another way, or the process is killed there.  A line of JSON says what
came of it.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import random
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet

import pghot.live.run as live_run
from pghot.cli import main
from pghot.linux import host
from pghot.linux.guard import lock, settings_guard
from pghot.linux.guard.settings import CHANGED
from pghot.linux.guard.settings_guard import recover
from pghot.linux.host import Host
from pghot.live.session import open_session
from pghot.log.read import open_log
from tests.live.world import World

LOG, OUT, EVENTS = "log.parquet", "out", "events"
SOME = 12
"""Steps of a kind that fail in turn, unless everything is asked for (PGHOT_VM_ALL=1)."""

FILES = ("binned.json", "promotions.parquet", "records.npz", "summary.json")
KILL = 0
NO_ROOM, BROKEN, MANY, AGAIN, INTERRUPTED = (
    errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EAGAIN, errno.EINTR,
)  # fmt: skip
STEPS: dict[str, tuple[tuple[tuple[Any, str], ...], tuple[int, ...]]] = {
    "write": (((os, "write"), (os, "pwrite")), (NO_ROOM, BROKEN, AGAIN, INTERRUPTED)),
    "fsync": (((os, "fsync"),), (BROKEN, NO_ROOM)),
    "rename": (((os, "replace"),), (NO_ROOM, BROKEN)),
    "make": (((os, "mkdir"), (os, "posix_fallocate")), (NO_ROOM, BROKEN)),
    "open": (((os, "open"),), (MANY,)),
    "socket": (
        ((socket.socket, "bind"), (socket.socket, "listen"), (socket.socket, "accept")),
        (MANY, AGAIN),
    ),
    "thread": (((threading.Thread, "start"),), (AGAIN,)),
}
"""Where a step of each kind is, and how it fails."""


class SettledWorld(World):
    """A world whose settings are written as the kernel's are: by the descriptor, in one write."""

    def write(self, name: str, text: str) -> None:
        Host.write(self, name, text.ljust(24))


class Fault:
    """The `at`th step of a kind fails, once; it counts all of them."""

    def __init__(self, kind: str, number: int, at: int) -> None:
        self.places, _numbers = STEPS[kind]
        self.number = number
        self.at = at
        self.steps = 0
        self.hit = False

    def set(self) -> None:
        for owner, name in self.places:
            setattr(owner, name, partial(self._step, getattr(owner, name)))
        for owner, name in self.places:  # methods want their instance
            if isinstance(owner, type):
                step = getattr(owner, name)
                setattr(owner, name, _method(step))

    def _step(self, real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self.steps += 1
        if self.steps != self.at or self.hit:
            return real(*arguments, **options)
        self.hit = True
        if self.number == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if isinstance(arguments[0], threading.Thread):
            raise RuntimeError("can't start new thread")  # noqa: TRY004 - as it is
        raise OSError(self.number, os.strerror(self.number))


def _method(step: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Any, *arguments: Any, **options: Any) -> Any:
        return step(self, *arguments, **options)

    return method


def world_in(place: Path) -> SettledWorld:
    world = SettledWorld(place / "host")
    world.process(40)
    for page in range(100, 130):
        world.map(40, page)
    world.heat(40, *range(100, 130), times=36, each_ms=80)
    return world


def without(kind: str, root: Path) -> int:
    """Run once without a fault; give how many steps of the kind there are."""
    place = root / "first"
    place.mkdir()
    child = os.fork()
    if child == 0:
        one(place, Fault(kind, BROKEN, -1))
    os.waitpid(child, 0)
    for name in (place / "modules").read_text().split():
        importlib.import_module(name)  # once for all runs, which are forked
    return int((place / "count").read_text().split()[0])


def one(place: Path, fault: Fault) -> None:
    """Run once, in this process, and leave it."""
    world = world_in(place)
    state = place / "state"
    host.Host = lambda: world  # type: ignore[misc,assignment]
    settings_guard.default_state_dir = lock.default_state_dir = lambda: state
    live_run.run_engine = partial(
        live_run.run_engine,
        opened=partial(open_session, open_source=world.open_source),
        clock=world.clock,
    )
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(place / name, os.O_WRONLY | os.O_CREAT, 0o600), number)
    words = [
        "run", "-p", "40", "-d", "3", "--json", "--metrics", ":0",
        "--control", place / "a.sock", "--record", place / LOG,
        "--events", place / EVENTS, "-o", place / OUT,
    ]  # fmt: skip
    status = 70
    try:
        fault.set()
        status = main([str(word) for word in words])
    except SystemExit as stop:
        status = int(stop.code or 0)
    except BaseException:  # noqa: BLE001 - told as it is
        traceback.print_exc()
    finally:
        fault.at = -1
        (place / "count").write_text(f"{fault.steps} {int(fault.hit)}")
        (place / "modules").write_text(" ".join(n for n in sys.modules if n.startswith("pghot.")))
        os._exit(status)


def outcome(place: Path, code: int) -> dict[str, Any]:
    """Say how things are after a run."""
    world = Host(place / "host")
    said = (place / "stderr").read_text() if (place / "stderr").exists() else ""
    back = settings(world)
    recovered = {}
    if (place / "state").exists():
        recovered = {"lines": recover(world, place / "state").failures()}
    names = sorted(entry.name for entry in place.iterdir())
    return {
        "code": code,
        "hit": not (place / "count").exists() or (place / "count").read_text().endswith(" 1"),
        "stderr": said,
        "settings": back,
        "settings_after": settings(world),
        "recovered": recovered,
        "journal": (place / "state" / "journal").exists(),
        "hidden": [name for name in names if name.startswith(".") and LOG in name],
        "log": rows_of(place / LOG),
        "parts": rows_of(place / f"{LOG}.parts"),
        "out": results(place / OUT),
        "unfinished": (place / OUT / ".pghot-unfinished").exists(),
        "events": events(place / EVENTS),
    }


def settings(world: Host) -> dict[str, str]:
    return {name: world.text(name) for name in CHANGED if world.exists(name)}


def rows_of(path: Path) -> int | str | None:
    """The rows of a log; None where there is none, a text where it is not whole."""
    if not path.exists() or (path.is_dir() and not any(path.glob("[0-9]*.parquet"))):
        return None
    try:
        with open_log(path) as log:
            return sum(len(chunk) for chunk in log.chunks())
    except Exception as error:  # noqa: BLE001 - told
        return str(error)


def results(path: Path) -> list[str] | str:
    """The names of the results that are there; a text where one is not whole."""
    if not path.exists():
        return []
    names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    try:
        for name in names:
            if name.endswith(".json"):
                json.loads((path / name).read_text())
            if name.endswith(".parquet"):
                pyarrow.parquet.read_table(path / name)
    except Exception as error:  # noqa: BLE001 - told
        return f"{name}: {error}"
    return names


def events(path: Path) -> str:
    """Say what is wrong with files that have a final name; empty where nothing is."""
    for name in path.glob("*-*.parquet"):
        try:
            pyarrow.parquet.read_table(name)
        except Exception as error:  # noqa: BLE001 - told
            return f"{name.name}: {error}"
    return ""


def chosen(count: int, seed: int) -> list[int]:
    """The steps that fail: all where everything is asked for, else some by chance."""
    every = range(1, count + 1)
    if os.environ.get("PGHOT_VM_ALL") == "1" or count <= SOME:
        return [*every]
    return sorted(random.Random(seed).sample(every, SOME))


def tell() -> None:
    kind, root, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    ways = STEPS[kind][1]
    for at in chosen(without(kind, root), seed):
        for number in (ways[at % len(ways)], KILL):
            place = root / f"{kind}-{number}-{at}"
            place.mkdir()
            pid = os.fork()
            if pid == 0:
                signal.alarm(100)
                one(place, Fault(kind, number, at))
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            told = outcome(place, code) | {"kind": kind, "number": number, "at": at}
            print(json.dumps(told), flush=True)


if __name__ == "__main__":
    tell()
