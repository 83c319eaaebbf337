"""A log that is decoded once and replayed many times."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pghot.log.read import Chunk, Log, open_log
from pghot.log.schema import JUDGED, REQUIRED

MOST_ROWS = 1 << 24
"""Rows that are kept, at most 27 bytes each; a longer log is decoded for every replay."""

MANY = 1 << 30
"""Replays of a log, where nobody knows how many there will be."""

KEPT = (*REQUIRED, *JUDGED)
"""Columns that a replay reads."""


class LastLog:
    """The log that was decoded last: most groups that a worker gets are of one log.

    For processes that do nothing else, as the rows stay in memory until another log comes.
    """

    def __init__(self) -> None:
        self._content = ""
        self._stack = ExitStack()
        self._log: Log | Path = Path()

    def get(self, path: Path, content: str) -> Log | Path:
        """The log with this digest of its content, for many replays (`kept_log`)."""
        if content != self._content:
            self._stack.close()
            self._content = ""
            self._log = self._stack.enter_context(kept_log(path, MANY))
            self._content = content
        return self._log


class KeptLog(Log):
    """The chunks of a log, in memory."""

    def __init__(self, log: Log, chunks: list[Chunk]) -> None:
        super().__init__(log.path, log._form)  # noqa: SLF001 - the same log, with its rows
        self._chunks = chunks
        self._last_us = log.last_us()

    def chunks(self, columns: tuple[str, ...] = tuple(REQUIRED)) -> Iterator[Chunk]:
        """Go through the rows; columns that are not kept are read anew (`Log`)."""
        asked = set(columns) & set(self.columns)
        yield from self._chunks if asked <= set(KEPT) else super().chunks(columns)

    def last_us(self) -> int | None:
        """The time of the last row (`Log`)."""
        return self._last_us


@contextmanager
def kept_log(path: Path, replays: int) -> Iterator[Log | Path]:
    """A log for so many replays: its rows decoded, or its path where they are too many.

    InputError where it is no log.
    """
    with open_log(path) as log:
        if replays < 2 or (log.rows or 0) > MOST_ROWS:
            yield path
            return
        chunks: list[Chunk] = []
        rows = 0
        for chunk in log.chunks(KEPT):
            chunks.append(chunk)
            rows += len(chunk)
            if rows > MOST_ROWS:
                break
        yield path if rows > MOST_ROWS else KeptLog(log, chunks)
