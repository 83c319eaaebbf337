"""Putting changed settings back, and what there is to tell of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pghot.linux.guard.journal import JournalEntry
from pghot.linux.guard.settings import same_value
from pghot.linux.host import Host


@dataclass(slots=True)
class Restored:
    """What became of each setting, by path.

    `back`: its old value, written now.  `left_alone`: what somebody else set meanwhile.
    `gone`: files that are no longer there.  `failed`: why it could not be put back.
    `unmounted`: directories on which a killed run's tree lay.  `still_mounted`: why one could
    not be taken away; that keeps no run from starting.
    """

    back: dict[str, str] = field(default_factory=dict)
    left_alone: dict[str, str] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unmounted: list[str] = field(default_factory=list)
    still_mounted: dict[str, str] = field(default_factory=dict)

    def then(self, later: Restored) -> Restored:
        """What became of them after another try, at those that had failed."""
        return Restored(
            self.back | later.back,
            self.left_alone | later.left_alone,
            [*self.gone, *later.gone],
            later.failed,
            [*self.unmounted, *later.unmounted],
            later.still_mounted,
        )

    def lines(self) -> list[str]:
        """A line for each setting that was put back or left."""
        return [
            *(f"{path}: {value} again" for path, value in self.back.items()),
            *(
                f"{path}: left at {value}, which somebody else set"
                for path, value in self.left_alone.items()
            ),
            *(f"{path}: no longer there" for path in self.gone),
            *(f"{path}: unmounted" for path in self.unmounted),
        ]

    def failures(self) -> list[str]:
        """A line for each setting that could not be put back, and each mount that stays."""
        return [
            *(f"{path}: not put back: {why}" for path, why in self.failed.items()),
            *(f"{path}: not unmounted: {why}" for path, why in self.still_mounted.items()),
        ]

    def line(self) -> str:
        """All of it in one line; the empty string for nothing."""
        return "; ".join([*self.lines(), *self.failures()])


@dataclass(frozen=True, slots=True)
class _Chain:
    """What of a path's changes is to be undone: to `target`, from the last of `entries`."""

    path: str
    target: str
    entries: tuple[JournalEntry, ...]


def put_back(host: Host, entries: Sequence[JournalEntry]) -> tuple[Restored, list[JournalEntry]]:
    """Put settings back, the last one changed first; give also the entries that failed.

    A setting is written only where it still reads as the last change left it.  Doing it
    twice, or again after a crash half-way, does no more than doing it once.
    """
    restored = Restored()
    again: list[JournalEntry] = []
    for chain in _chains(entries):
        try:
            now = host.text(chain.path)
        except FileNotFoundError:
            restored.gone.append(chain.path)
            continue
        except OSError as error:
            now, why = "", error.strerror or str(error)
        else:
            if same_value(now, chain.target):
                continue
            # The last change may have been written down but not made.
            if not chain.entries[-1].left(now) and not same_value(now, chain.entries[-1].old):
                restored.left_alone[chain.path] = now
                continue
            why = _write(host, chain)
        if why:
            restored.failed[chain.path] = why
            again = [*chain.entries, *again]
        else:
            restored.back[chain.path] = chain.target
    return restored, again


def _write(host: Host, chain: _Chain) -> str:
    """Write the old value; why it is not there afterwards, or the empty string."""
    try:
        host.write(chain.path, chain.target)
        now = host.text(chain.path)
    except OSError as error:
        return error.strerror or str(error)
    return "" if same_value(now, chain.target) else f"reads {now} after {chain.target} was written"


def _chains(entries: Sequence[JournalEntry]) -> list[_Chain]:
    """One chain for each path, the path changed first at the end.

    A path's changes are followed back as long as each found what the one before had left;
    where it found something else, somebody had set that, and it is what comes back.
    """
    by_path: dict[str, list[JournalEntry]] = {}
    for entry in entries:
        by_path.setdefault(entry.path, []).append(entry)
    chains = []
    for path, changes in by_path.items():
        first = len(changes) - 1
        while first and changes[first - 1].left(changes[first].old):
            first -= 1
        chains.append(_Chain(path, changes[first].old, tuple(changes[first:])))
    return chains[::-1]
