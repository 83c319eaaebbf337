"""Lines of text matched in bulk: what the perf script and the CSV reader share."""

from __future__ import annotations

import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pghot.errors import InputError
from pghot.log.convert.samples import BoolArray, ConvertTally, U64Array
from pghot.log.convert.source import Source

Fields = tuple[bytes, ...]
_HEX_DIGITS = 16
NOT_BAD = "--skip-bad leaves such lines out"


def printable(text: bytes, most: int = 60) -> str:
    """Text of a file as it can be shown in one line: escaped where it is not printable, cut."""
    shown = text[:most].decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


@dataclass(frozen=True, slots=True)
class LineKind:
    """Which lines are samples and which may stand between them.

    Both patterns are of bytes, with re.MULTILINE, anchored at both ends, and never match
    across a newline.  `wants` says in words what a sample line is.
    """

    sample: re.Pattern[bytes]
    chatter: re.Pattern[bytes]
    wants: str
    other: re.Pattern[bytes] | None = None
    """Lines that are samples of other events: they are counted and left out."""


def other_events(own: bytes) -> re.Pattern[bytes]:
    """Lines as perf, ftrace and trace-cmd print events; `own` is a pattern of those not meant."""
    return re.compile(
        rb"^[^\n]*?[ \t][0-9]{1,11}+\.[0-9]{6}(?:[0-9]{3})?+:[ \t]++(?:[0-9]{1,20}+[ \t]++)?+"
        rb"(?!" + own + rb")[^ \t\n]{1,256}+(?<=:)(?:[ \t][^\n]*+)?+\r?$",
        re.MULTILINE,
    )


def match_block(
    source: Source,
    first_line: int,
    block: bytes,
    kind: LineKind,
    tally: ConvertTally,
    *,
    skip_bad: bool,
) -> list[Fields]:
    """The fields of every sample line of a block.

    InputError names the first line that is neither sample nor chatter; with `skip_bad`
    such lines are counted.
    """
    found: list[Fields] = kind.sample.findall(block)
    if len(found) < block.count(b"\n"):
        others = len(kind.other.findall(block)) if kind.other else 0
        tally.rows_in += others
        tally.leave_out("another event", others)
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
        if not kind.sample.match(line)
        and not kind.chatter.match(line)
        and not (kind.other and kind.other.match(line))
    ]


def hex_numbers(texts: Sequence[bytes]) -> U64Array:
    """Turn up to 16 hex digits each, without 0x, into numbers."""
    padded = b"".join([text.rjust(_HEX_DIGITS, b"0") for text in texts])
    return np.frombuffer(binascii.unhexlify(padded), dtype=">u8").astype(np.uint64)


def decimal_numbers(texts: Sequence[bytes], width: int) -> U64Array:
    """Turn up to `width` decimal digits each into numbers below 2**64; none is 0."""
    padded = b"".join([text.rjust(width, b"0") for text in texts])
    digits = np.frombuffer(padded, dtype=np.uint8).reshape(-1, width) - np.uint8(ord("0"))
    numbers = np.zeros(len(texts), dtype=np.uint64)
    for column in digits.T:
        numbers = numbers * np.uint64(10) + column
    return numbers


class SmallIntegers(dict[bytes, int]):
    """Texts to numbers, for columns with few different values; no text is -1."""

    def __missing__(self, text: bytes) -> int:
        number = self[text] = int(text or b"-1")
        return number


class TimeOrder:
    """Sees to it that time never falls, across blocks."""

    def __init__(
        self, source: Source, kind: LineKind, tally: ConvertTally, *, skip_bad: bool
    ) -> None:
        self._source = source
        self._kind = kind
        self._tally = tally
        self._skip_bad = skip_bad
        self._last = np.uint64(0)

    def keep(self, first_line: int, block: bytes, times: U64Array) -> BoolArray | None:
        """Which rows to keep; None for all.

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
