"""Lines of text matched in bulk: what the perf script and the CSV reader share."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from pghot.errors import InputError
from pghot.log.convert.samples import BoolArray, Tally, U64Array
from pghot.log.convert.source import Source

Fields = tuple[bytes, ...]
NOT_BAD = "--skip-bad leaves such lines out"


@dataclass(frozen=True, slots=True)
class LineKind:
    """Which lines are samples and which may stand between them.

    Both patterns are of bytes, with re.MULTILINE, anchored at both ends, and never match
    across a newline.  `wants` says in words what a sample line is.
    """

    sample: re.Pattern[bytes]
    chatter: re.Pattern[bytes]
    wants: str


def match_block(
    source: Source, first_line: int, block: bytes, kind: LineKind, tally: Tally, *, skip_bad: bool
) -> list[Fields]:
    """Give the fields of every sample line of a block.

    InputError names the first line that is neither sample nor chatter; with `skip_bad`
    such lines are counted.
    """
    found: list[Fields] = kind.sample.findall(block)
    if len(found) < block.count(b"\n"):
        bad = _bad_lines(first_line, block, kind)
        if bad and not skip_bad:
            raise InputError(f"{source.name}: line {bad[0]}: no {kind.wants}; {NOT_BAD}")
        tally.rows_in += len(bad)
        tally.leave_out("bad line", len(bad))
    tally.rows_in += len(found)
    return found


def _bad_lines(first_line: int, block: bytes, kind: LineKind) -> list[int]:
    return [
        number
        for number, line in enumerate(block[:-1].split(b"\n"), first_line)
        if not kind.sample.match(line) and not kind.chatter.match(line)
    ]


class TimeOrder:
    """Sees to it that time never falls, across blocks."""

    def __init__(self, source: Source, kind: LineKind, tally: Tally, *, skip_bad: bool) -> None:
        self._source = source
        self._kind = kind
        self._tally = tally
        self._skip_bad = skip_bad
        self._last = np.uint64(0)

    def keep(self, first_line: int, block: bytes, times: U64Array) -> BoolArray | None:
        """Tell which rows to keep; None for all.

        InputError names the line where time falls; with `skip_bad` rows earlier than one
        before them are counted and left out.
        """
        if not len(times):
            return None
        latest = np.maximum.accumulate(np.concatenate([[self._last], times]))
        self._last = latest[-1]
        keep: BoolArray = times >= latest[:-1]
        if keep.all():
            return None
        row = int(np.argmin(keep))
        if not self._skip_bad:
            line = first_line + self._line_of(block, row)
            raise InputError(
                f"{self._source.name}: line {line}: time goes backwards; sort the file by time, "
                f"or give --skip-bad to leave such lines out"
            )
        self._tally.leave_out("time goes backwards", int(np.count_nonzero(~keep)))
        return keep

    def _line_of(self, block: bytes, row: int) -> int:
        for at, found in enumerate(self._kind.sample.finditer(block)):
            if at == row:
                return block.count(b"\n", 0, found.start())
        return 0
