"""What a check of the doctor says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SUDO = "sudo pghot run"


class CheckState(StrEnum):
    """How a check came out; a note neither works nor stands in the way."""

    WORKS = "works"
    MISSING = "missing"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    `detail` says what is there or what is missing, `fix` the command that would grant it,
    empty where none would.  `needed_by` is the source that cannot do without it (`fault`,
    `hardware`), `step` where no run can, or empty where it only helps.
    """

    name: str
    state: CheckState
    detail: str
    fix: str = ""
    needed_by: str = ""

    @property
    def missing(self) -> bool:
        """Whether something is missing."""
        return self.state is CheckState.MISSING


def works(name: str, detail: str, needed_by: str = "") -> Check:
    """A check that came out well."""
    return Check(name, CheckState.WORKS, detail, "", needed_by)


def missing(name: str, detail: str, fix: str = "", needed_by: str = "") -> Check:
    """A check that found something missing."""
    return Check(name, CheckState.MISSING, detail, fix, needed_by)


def note(name: str, detail: str, fix: str = "") -> Check:
    """A remark."""
    return Check(name, CheckState.NOTE, detail, fix)
