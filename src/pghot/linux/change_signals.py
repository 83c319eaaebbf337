"""What the kernel says of changes of a host, as files for poll(2): each may be missing.

Memory blocks, nodes and CPUs: uevents (lib/kobject_uevent.c), netlink messages that any
process may hear.  A control group: inotify on its directory and its `cgroup.events`
(Documentation/admin-guide/cgroup-v2.rst).  A process's end: its pidfd.
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import socket
from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from pghot.linux.closing import Closing

PROCESSES, HOST = "processes", "host"
"""What changed, as `wait` says it."""

NETLINK_KOBJECT_UEVENT = 15
_KERNEL_GROUP = 1
_SUBSYSTEMS = ("memory", "node", "cpu", "memory_tiering")
_RECEIVE_BYTES = 1 << 20

IN_MODIFY, IN_CREATE, IN_DELETE, IN_DELETE_SELF = 0x2, 0x100, 0x200, 0x400
_IN_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # IN_NONBLOCK and IN_CLOEXEC are these

MOST_PIDFDS = 64
"""Processes whose end is waited for: those that were named, as a rule."""


class ChangeSignals(Closing):
    """Waits for changes of this machine; `blocks` are memory blocks that changed, by name."""

    def __init__(self, pids: Iterable[int] = (), group: str | None = None) -> None:
        """`pids`: processes whose end counts.  `group`: the directory of a control group."""
        self._poll = select.poll()
        self._what: dict[int, str] = {}
        self._closers: list[socket.socket | int] = []
        self._blocks: set[str] = set()
        self._uevents = _uevent_socket()
        if self._uevents is not None:
            self._add(self._uevents.fileno(), HOST)
            self._closers.append(self._uevents)
        if group is not None:
            self._watch_group(group)
        for pid in list(pids)[:MOST_PIDFDS]:
            with suppress(OSError, AttributeError):  # gone, or not on this kernel
                self._own(os.pidfd_open(pid), PROCESSES)
        self._stop_read, self._stop_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._own(self._stop_read, "")
        self._closers.append(self._stop_write)

    @property
    def kinds(self) -> set[str]:
        """What changes of can be told of here."""
        return {what for what in self._what.values() if what}

    def wait(self, timeout_s: float) -> set[str]:
        """Wait so long at the most: what changed (PROCESSES, HOST), nothing after a time-out."""
        changed = set()
        for descriptor, _event in self._poll.poll(max(timeout_s, 0) * 1000):
            what = self._what[descriptor]
            if self._drained(descriptor) and what:
                changed.add(what)
        return changed

    def take_blocks(self) -> frozenset[str]:
        """The memory blocks that were told of since the last call."""
        blocks, self._blocks = frozenset(self._blocks), set()
        return blocks

    def interrupt(self) -> None:
        """End a `wait` in another thread."""
        with suppress(OSError):
            os.write(self._stop_write, b"x")

    def close(self) -> None:
        """Close all; again does nothing."""
        while self._closers:
            one = self._closers.pop()
            if isinstance(one, socket.socket):
                one.close()
            else:
                os.close(one)

    def _own(self, descriptor: int, what: str) -> None:
        self._closers.append(descriptor)
        self._add(descriptor, what)

    def _add(self, descriptor: int, what: str) -> None:
        self._poll.register(descriptor, select.POLLIN)
        self._what[descriptor] = what

    def _watch_group(self, directory: str) -> None:
        try:
            descriptor = _inotify(directory)
        except (OSError, AttributeError):  # no inotify here, or no more of them
            return
        self._own(descriptor, PROCESSES)

    def _drained(self, descriptor: int) -> bool:
        """Take what a descriptor has; whether it told of a change that counts."""
        if self._uevents is not None and descriptor == self._uevents.fileno():
            return self._hear(self._uevents)
        try:
            os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return False
        except OSError:  # a pidfd cannot be read: it has told all it can
            self._poll.unregister(descriptor)
        return True

    def _hear(self, uevents: socket.socket) -> bool:
        """Take all uevents; whether any is of what is followed."""
        heard = False
        while True:
            try:
                message, (sender, _groups) = uevents.recvfrom(1 << 14)
            except BlockingIOError:
                return heard
            except OSError as error:  # there were more than it could hold: something changed
                if error.errno != errno.ENOBUFS:
                    self._poll.unregister(uevents)
                    return heard
                heard = True
                continue
            if sender == 0:  # the kernel
                event = parse_uevent(message)
                heard |= event.subsystem in _SUBSYSTEMS
                if event.subsystem == "memory":
                    self._blocks.add(event.name)


class Uevent(NamedTuple):
    """A uevent's subsystem (`memory`) and the name of what it is about (`memory32`)."""

    subsystem: str
    name: str


def parse_uevent(message: bytes) -> Uevent:
    """Read a message of the kernel's: `online@/devices/...`, then KEY=value, NULs between."""
    path, *fields = message.decode(errors="replace").split("\0")
    values = dict(field.partition("=")[::2] for field in fields)
    return Uevent(values.get("SUBSYSTEM", ""), path.rpartition("/")[2])


def _uevent_socket() -> socket.socket | None:
    """A socket that hears the kernel's uevents; None where there can be none."""
    try:
        opened = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT
        )
    except OSError:
        return None
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        opened.bind((0, _KERNEL_GROUP))
    except OSError:
        opened.close()
        return None
    return opened


def _inotify(directory: str) -> int:
    """A descriptor that tells of groups made and removed in a group, and of its `events`."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor: int = libc.inotify_init1(_IN_FLAGS)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    for name, events in (
        (directory, IN_CREATE | IN_DELETE | IN_DELETE_SELF),
        (f"{directory}/cgroup.events", IN_MODIFY),
    ):
        libc.inotify_add_watch(descriptor, os.fsencode(name), events)
    return descriptor
