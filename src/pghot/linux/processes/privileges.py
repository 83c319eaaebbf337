"""What a command may not: gain rights that it does not start with, outlive us (prctl(2))."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38  # include/uapi/linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)


def no_new_privileges() -> None:
    """Let no set-user-ID bit and no file capability hold for this process; OSError."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """Have this process killed when the thread that forked it ends, however that is; OSError."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    if _LIBC.prctl(option, value, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
