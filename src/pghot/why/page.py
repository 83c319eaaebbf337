"""Which page is meant, by PFN or by a process's address, and its rows in an event log.

An address is followed through the frames it has: what happens to a frame is the page's from
the first time its process was seen there to the last, and on to the next judgement.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pghot.engine.units import PAGE_SHIFT
from pghot.errors import InputError
from pghot.log.event_read import EventReader, Part
from pghot.log.event_schema import ACCESSES, CANDIDATES

Mask = npt.NDArray[np.bool_]
Masks = tuple[Mask, Mask]
"""Which accesses, and which candidates."""

_SOUGHT = {
    ACCESSES: ("pfn", "tail", "pages", "pid", "vaddr"),
    CANDIDATES: ("pfn", "pages", "pid", "vaddr"),
}
"""Columns that tell the rows of a page."""

_NUMBER = r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}"
_PFN = re.compile(rf"({_NUMBER})")
_ADDRESS = re.compile(rf"([0-9]{{1,10}}):({_NUMBER})")
_U64_MAX = (1 << 64) - 1
_PID_MAX = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its PFN, or a process and the address of the page (bytes) in it."""

    pid: int | None
    at: int

    def __str__(self) -> str:
        return f"PFN {self.at:#x}" if self.pid is None else f"{self.pid}:{self.at:#x}"

    def rows(self, reader: EventReader) -> list[dict[str, Any]]:
        """The rows of the folios that the page was in, of both tables, by `seq`."""
        seen = _rows(reader, self._of_part)
        if self.pid is None or not seen:
            return seen
        spans = _spans(seen)
        return _within(_rows(reader, lambda part: _of_folios(part, spans)), spans)

    def _of_part(self, part: Part) -> Masks:
        accesses, candidates = part.accesses, part.candidates
        if self.pid is None:
            starts = _column(accesses, "pfn") - _column(accesses, "tail")
            folios = _column(candidates, "pfn")
            shift = 0
        else:
            page = _column(accesses, "vaddr") >> np.uint64(PAGE_SHIFT)
            starts = page - _column(accesses, "tail")
            folios = _column(candidates, "vaddr") >> np.uint64(PAGE_SHIFT)
            shift = PAGE_SHIFT
        wanted = np.uint64(self.at >> shift)
        return (
            self._mask(accesses, starts, wanted),
            self._mask(candidates, folios, wanted),
        )

    def _mask(self, table: pa.Table, starts: npt.NDArray[Any], wanted: np.uint64) -> Mask:
        # Unsigned: what starts behind the page is very far before it.
        mask = (wanted - starts) < _column(table, "pages")
        if self.pid is not None:
            mask &= _column(table, "pid") == self.pid
        return mask


def parse_page(text: str) -> Page:
    """Read `PFN` or `PID:ADDRESS`, decimal or with 0x; InputError where it is neither."""
    if found := _PFN.fullmatch(text):
        page = Page(None, _whole(found[1]))
    elif found := _ADDRESS.fullmatch(text):
        address = _whole(found[2])
        page = Page(int(found[1]), address >> PAGE_SHIFT << PAGE_SHIFT)
    else:
        raise InputError(f"{text}: wants a PFN or PID:ADDRESS, decimal or 0x...")
    if page.at > _U64_MAX or page.pid == 0 or (page.pid or 0) > _PID_MAX:
        raise InputError(f"{text}: there is no such number of a page or process")
    return page


class _Span(NamedTuple):
    """A folio that was the page's, by first PFN, and from which call of the engine to which."""

    folio: int
    first: int
    last: int


def _rows(reader: EventReader, masks_of: Callable[[Part], Masks]) -> list[dict[str, Any]]:
    """The rows that masks choose; whole parts are read only where some are chosen."""
    found: list[dict[str, Any]] = []
    for narrow in reader.parts(_SOUGHT):
        masks = masks_of(narrow)
        part = reader.part(narrow.number) if any(mask.any() for mask in masks) else None
        if part is not None:
            for table, mask in zip((part.accesses, part.candidates), masks, strict=True):
                found += table.filter(pa.array(mask)).to_pylist()
    return sorted(found, key=itemgetter("seq"))


def _spans(seen: list[dict[str, Any]]) -> list[_Span]:
    """Which folio the page was in, and from when to when it was seen there."""
    spans: list[_Span] = []
    for row in seen:
        folio, seq = row["pfn"] - row.get("tail", 0), row["seq"]
        if spans and spans[-1].folio == folio:
            spans[-1] = spans[-1]._replace(last=seq)
        else:
            spans.append(_Span(folio, seq, seq))
    return spans


def _of_folios(part: Part, spans: list[_Span]) -> Masks:
    folios = np.array(sorted({span.folio for span in spans}), np.uint64)
    starts = _column(part.accesses, "pfn") - _column(part.accesses, "tail")
    return np.isin(starts, folios), np.isin(_column(part.candidates, "pfn"), folios)


def _within(rows: list[dict[str, Any]], spans: list[_Span]) -> list[dict[str, Any]]:
    """Keep what happened to each folio in its span, and the next judgement after it."""
    kept = {}
    for number, span in enumerate(spans):
        end = spans[number + 1].first if number + 1 < len(spans) else None
        for place, row in enumerate(rows):
            if row["pfn"] - row.get("tail", 0) != span.folio or row["seq"] < span.first:
                continue
            if end is not None and row["seq"] >= end:
                break
            if row["seq"] <= span.last:
                kept[place] = row
            elif "outcome" in row:
                kept[place] = row
                break
    return [kept[place] for place in sorted(kept)]


def _whole(text: str) -> int:
    return int(text, 16) if text[:2] in {"0x", "0X"} else int(text)


def _column(table: pa.Table, name: str) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = table.column(name).to_numpy()
    return values.astype(np.uint64) if name in {"tail", "pages"} else values
