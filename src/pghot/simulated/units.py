"""Every folio of every region: which frames it has, and how it moves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.engine.mem_map import COMPOUND, UNREFERENCED, place_of
from pghot.engine.units import PFN_SECTION_SHIFT
from pghot.simulated.frames import NONE, give_back, take

Units = npt.NDArray[np.int64]


class UnitArrays(NamedTuple):
    """Facts of units, by their number in the whole machine.

    `pfn`: first PFN, -1 before allocation.  `nid`: node, -1 before.  `pages` of the folio.
    `memcg`.  `flags`: of `mem_map`, that go with the folio wherever it moves.
    """

    pfn: npt.NDArray[np.int64]
    nid: npt.NDArray[np.int16]
    pages: npt.NDArray[np.int32]
    memcg: npt.NDArray[np.uint32]
    flags: npt.NDArray[np.uint8]


def no_units() -> UnitArrays:
    """Give the arrays of a machine without regions."""
    return UnitArrays(
        np.zeros(0, np.int64),
        np.zeros(0, np.int16),
        np.zeros(0, np.int32),
        np.zeros(0, np.uint32),
        np.zeros(0, np.uint8),
    )


@compiled
def _set_frames(
    slot_of: Any,
    has_compound: Any,
    has_facts: Any,
    flags: Any,
    compound: Any,
    memcg: Any,
    pfn: int,
    pages: int,
    of_folio: int,
    of_memcg: int,
) -> None:
    """Write what a folio is at its frames."""
    head = place_of(slot_of, np.uint64(pfn))
    memcg[head] = of_memcg
    flags[head] = of_folio
    if of_folio:
        has_facts[head >> PFN_SECTION_SHIFT] = 1
    if pages > 1:
        has_compound[head >> PFN_SECTION_SHIFT] = has_facts[head >> PFN_SECTION_SHIFT] = 1
        for i in range(pages):  # a block never straddles sections
            compound[head + i] = -i
            flags[head + i] |= COMPOUND
        compound[head] = pages


@compiled
def _clear_frames(
    slot_of: Any, has_facts: Any, flags: Any, compound: Any, pfn: int, pages: int
) -> None:
    """Make frames free ones: nobody holds a reference."""
    head = place_of(slot_of, np.uint64(pfn))
    has_facts[head >> PFN_SECTION_SHIFT] = 1
    for i in range(pages):
        flags[head + i] = UNREFERENCED
        compound[head + i] = 0


@compiled
def move_units(
    units: Any, nid: int, reserve: int, arrays: Any, pages: Any, lists: Any, unit_of: Any
) -> Any:
    """Give units frames of node `nid`, in this order; say which found room.

    The old frames, if any, are free then.  `reserve`: frames that must stay free there.
    """
    unit_pfn, unit_nid, unit_pages, unit_memcg, unit_flags = arrays
    slot_of, _section, _nid, has_compound, has_facts, flags, compound, _page_nid, memcg = pages
    moved = np.zeros(len(units), np.bool_)
    for i in range(len(units)):
        unit = units[i]
        size = np.int64(unit_pages[unit])
        if lists.free[nid] - size < reserve:
            continue
        pfn = take(lists, nid, size)
        if pfn == NONE:
            continue
        old, old_nid = unit_pfn[unit], np.int64(unit_nid[unit])
        if old != NONE:
            _clear_frames(slot_of, has_facts, flags, compound, old, size)
            unit_of[old] = NONE
            give_back(lists, old_nid, old, size)
        _set_frames(
            slot_of,
            has_compound,
            has_facts,
            flags,
            compound,
            memcg,
            pfn,
            size,
            unit_flags[unit],
            unit_memcg[unit],
        )
        unit_of[pfn] = unit
        unit_pfn[unit] = pfn
        unit_nid[unit] = nid
        moved[i] = True
    return moved
