"""System calls for which Python and libc have no name."""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MPOL_MF_MOVE, MPOL_MF_MOVE_ALL = 1 << 1, 1 << 2
PERF_FLAG_FD_CLOEXEC = 1 << 3

_NUMBERS = {
    "x86_64": {"move_pages": 279, "perf_event_open": 298},
    "aarch64": {"move_pages": 239, "perf_event_open": 241},
    "riscv64": {"move_pages": 239, "perf_event_open": 241},
    "loongarch64": {"move_pages": 239, "perf_event_open": 241},
    "ppc64le": {"move_pages": 301, "perf_event_open": 319},
    "s390x": {"move_pages": 310, "perf_event_open": 331},
}
"""Numbers by machine: the kernel's syscall tables; aarch64 and the newer ones share one."""


def move_pages(
    pid: int,
    addresses: npt.NDArray[np.uint64],
    nodes: npt.NDArray[np.int32] | None,
    flags: int = MPOL_MF_MOVE,
) -> npt.NDArray[np.int32]:
    """Move the pages of `pid` at `addresses` to `nodes`, or ask where they are (None).

    Gives a status a page: the node it is on, or a negative errno.  OSError where the call
    as a whole fails.  A positive return value (pages that were not tried) leaves its mark
    in the statuses: those pages keep -EAGAIN, which the kernel itself never writes there.
    """
    import numpy as np  # noqa: PLC0415 - this call alone needs it

    addresses = np.ascontiguousarray(addresses, np.uint64)
    status = np.full(len(addresses), -errno.EAGAIN, np.int32)
    targets = None if nodes is None else np.ascontiguousarray(nodes, np.int32)
    if targets is not None and len(targets) != len(addresses):
        raise ValueError(f"{len(addresses)} addresses and {len(targets)} nodes")
    _call(
        "move_pages",
        ctypes.c_int(pid),
        ctypes.c_ulong(len(addresses)),
        ctypes.c_void_p(addresses.ctypes.data),
        ctypes.c_void_p(None if targets is None else targets.ctypes.data),
        ctypes.c_void_p(status.ctypes.data),
        ctypes.c_int(flags),
    )
    return status


def node_of_page(address: int) -> int:
    """The node of a page of our own, or a negative errno; OSError where the call fails."""
    page, status = ctypes.c_void_p(address), ctypes.c_int(-errno.EAGAIN)
    _call(
        "move_pages",
        ctypes.c_int(0),
        ctypes.c_ulong(1),
        ctypes.byref(page),
        ctypes.c_void_p(None),
        ctypes.byref(status),
        ctypes.c_int(MPOL_MF_MOVE),
    )
    return status.value


def perf_event_open(attr: bytes, pid: int, cpu: int, group: int = -1) -> int:
    """Open a perf event by its perf_event_attr; OSError where the kernel refuses."""
    buffer = ctypes.create_string_buffer(attr, len(attr))
    return _call(
        "perf_event_open",
        ctypes.byref(buffer),
        ctypes.c_int(pid),
        ctypes.c_int(cpu),
        ctypes.c_int(group),
        ctypes.c_ulong(PERF_FLAG_FD_CLOEXEC),
    )


def _call(name: str, *arguments: object) -> int:
    number = _number(name)
    if number is None:
        raise OSError(errno.ENOSYS, f"{name} has no known number on {os.uname().machine}")
    result: int = _libc().syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


@cache
def _number(name: str) -> int | None:
    return _NUMBERS.get(os.uname().machine, {}).get(name)


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc
