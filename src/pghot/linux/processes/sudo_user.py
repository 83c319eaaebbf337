"""Whose command it is: under sudo, the user's who called it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass

from pghot.errors import InputError

_SUDO = "SUDO_"


@dataclass(frozen=True, slots=True)
class SudoUser:
    """A user to become."""

    uid: int
    gid: int
    groups: tuple[int, ...]

    def become(self) -> None:
        """Drop root for good by setgroups, setgid, setuid, in that order; OSError as they do."""
        os.setgroups(self.groups)
        os.setgid(self.gid)
        os.setuid(self.uid)


def sudo_account(environ: Mapping[str, str]) -> tuple[SudoUser | None, dict[str, str]]:
    """The user who called sudo, and the environment of a command run as that user.

    HOME, USER and LOGNAME are the user's, SUDO_* are left out, all else is kept: PATH, too,
    is the one that sudo made.  None and the environment as it is where we are not root, or
    sudo did not start us, or root called it.  InputError where SUDO_UID or SUDO_GID is no
    number.
    """
    if os.geteuid() != 0 or "SUDO_UID" not in environ or "SUDO_GID" not in environ:
        return None, dict(environ)
    uid, gid = (_number(environ, name) for name in ("SUDO_UID", "SUDO_GID"))
    if uid == 0:
        return None, dict(environ)
    name, home = environ.get("SUDO_USER", ""), "/"
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:  # a user of a directory service that is out of reach
        groups = [gid]
    else:
        name, home = entry.pw_name, entry.pw_dir
        groups = os.getgrouplist(name, gid)
    kept = {key: value for key, value in environ.items() if not key.startswith(_SUDO)}
    kept |= {"HOME": home, "USER": name, "LOGNAME": name}
    return SudoUser(uid, gid, tuple(groups)), kept


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ[name]
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{name}={text}: not a number; sudo sets it, unset it otherwise")
    return int(text)
