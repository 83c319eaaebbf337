"""What the engine refuses, as the kernel does."""

from __future__ import annotations


class TunableError(ValueError):
    """A write to a tunable was refused.

    `errno` is the kernel's (EINVAL, EOPNOTSUPP; ENOENT for a name that is none).  Carries
    status 2 for the command line.
    """

    exit_status = 2

    def __init__(self, errno: int, message: str) -> None:
        super().__init__(message)
        self.errno = errno
