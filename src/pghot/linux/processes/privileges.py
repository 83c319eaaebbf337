"""A command gains no rights that it does not start with (no_new_privs of prctl(2))."""

from __future__ import annotations

import ctypes
import os

_PR_SET_NO_NEW_PRIVS = 38  # include/uapi/linux/prctl.h
_LIBC = ctypes.CDLL(None, use_errno=True)


def no_new_privileges() -> None:
    """Let no set-user-ID bit and no file capability hold for this process; OSError."""
    if _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
