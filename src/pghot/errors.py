"""Errors meant for a person: one line, and the exit status that goes with it.

`pghot.cli.main` alone prints them.  An exception that has no `exit_status` is a bug
and keeps its traceback.
"""

from __future__ import annotations


class PghotError(Exception):
    """The work failed; status 1 (a full disk, a file that cannot be written)."""

    exit_status = 1


class InputError(PghotError):
    """What was given cannot be used; status 2 (a bad option, file, row or value)."""

    exit_status = 2


class Caution(str):
    """A line told during the work that speaks of something amiss: a log's warning."""

    __slots__ = ()
