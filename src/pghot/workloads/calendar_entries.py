"""Loops over a calendar's entries: a run in order, a heap of four children, and the rest.

An entry that is of no use has a clock which is no longer that of its folio in `due`.
"""

from __future__ import annotations

from typing import NamedTuple

import cython

from pghot.workloads.stream import NEVER, Clocks, Folios

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import f64, i64, prefetch
else:
    from pghot.engine.arrays import f64, i64, prefetch

AHEAD = 16
"""Entries of the run between the one being taken and the one whose clock is asked for."""

_AHEAD = cython.declare(cython.long, AHEAD)
_NEVER = cython.declare(cython.double, NEVER)


class Entries(NamedTuple):
    """Folios with the clock that each is due at; arrays may be longer than what is in them."""

    clocks: Clocks
    folios: Folios


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _rise(
    keys: cython.p_double,
    heap: cython.p_long,
    at: cython.long,
    clock: cython.double,
    folio: cython.long,
) -> cython.void:
    """Put an entry at the free place `at`, or as far above it as it has to go."""
    above: cython.long
    while at > 0:
        above = (at - 1) >> 2
        if clock >= keys[above]:
            break
        keys[at] = keys[above]
        heap[at] = heap[above]
        at = above
    keys[at] = clock
    heap[at] = folio


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _first_child(keys: cython.p_double, held: cython.long, at: cython.long) -> cython.long:
    """Find the earliest of up to four children; `held` where there is none."""
    first: cython.long = 4 * at + 1
    best: cython.long
    other: cython.long
    child: cython.long
    if first + 4 <= held:  # no branch on what none could foretell
        best = first + (keys[first + 1] < keys[first])
        other = first + 2 + (keys[first + 3] < keys[first + 2])
        return best if keys[best] <= keys[other] else other
    best = min(first, held)
    for child in range(first + 1, held):
        if keys[child] < keys[best]:
            best = child
    return best


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _replace_first(
    keys: cython.p_double,
    heap: cython.p_long,
    held: cython.long,
    clock: cython.double,
    folio: cython.long,
) -> cython.void:
    """Take the first entry out and put another in: down to the leaves, then up.

    The other comes from the leaves, so it seldom rises far.
    """
    at: cython.long = 0
    child: cython.long = _first_child(keys, held, at)
    while child < held:
        keys[at] = keys[child]
        heap[at] = heap[child]
        at = child
        child = _first_child(keys, held, at)
    _rise(keys, heap, at, clock, folio)


def put_all(
    heap: Entries,
    far: Entries,
    in_heap: cython.long,
    in_far: cython.long,
    horizon: cython.double,
    due: Clocks,
    more: Entries,
) -> tuple[int, int]:
    """Add folios that are not in `due` yet: the numbers of entries (heap, far) then."""
    heap_clock: cython.p_double = f64(heap.clocks)
    heap_folio: cython.p_long = i64(heap.folios)
    far_clock: cython.p_double = f64(far.clocks)
    far_folio: cython.p_long = i64(far.folios)
    due_at: cython.p_double = f64(due)
    clocks: cython.p_double = f64(more.clocks)
    folios: cython.p_long = i64(more.folios)
    count: cython.long = len(more.folios)
    i: cython.long
    folio: cython.long
    clock: cython.double
    with cython.nogil:
        for i in range(count):
            folio = folios[i]
            clock = clocks[i]
            if due_at[folio] < _NEVER or clock == _NEVER:
                continue
            due_at[folio] = clock
            if clock <= horizon:
                _rise(heap_clock, heap_folio, in_heap, clock, folio)
                in_heap += 1
            else:
                far_clock[in_far] = clock
                far_folio[in_far] = folio
                in_far += 1
    return in_heap, in_far


def part(
    far: Entries, in_far: cython.long, horizon: cython.double, near: Entries
) -> tuple[int, int]:
    """Move what is due by the horizon out of `far`: the numbers of entries (far, near) then."""
    far_clock: cython.p_double = f64(far.clocks)
    far_folio: cython.p_long = i64(far.folios)
    near_clock: cython.p_double = f64(near.clocks)
    near_folio: cython.p_long = i64(near.folios)
    left: cython.long = 0
    found: cython.long = 0
    i: cython.long
    folio: cython.long
    clock: cython.double
    is_near: cython.long
    with cython.nogil:
        for i in range(in_far):  # both are written to, so that no branch is foretold wrongly
            clock = far_clock[i]
            folio = far_folio[i]
            near_clock[found] = clock
            near_folio[found] = folio
            far_clock[left] = clock
            far_folio[left] = folio
            is_near = clock <= horizon
            found += is_near
            left += 1 - is_near
    return left, found


def drop_stale(far: Entries, in_far: cython.long, due: Clocks) -> int:
    """Leave entries of no use out: how many there are then."""
    clocks: cython.p_double = f64(far.clocks)
    folios: cython.p_long = i64(far.folios)
    due_at: cython.p_double = f64(due)
    kept: cython.long = 0
    i: cython.long
    with cython.nogil:
        for i in range(in_far):
            if due_at[folios[i]] == clocks[i]:
                clocks[kept] = clocks[i]
                folios[kept] = folios[i]
                kept += 1
    return kept


def rebuild(heap: Entries, held: cython.long, due: Clocks) -> int:
    """Leave entries of no use out of the heap: how many there are then."""
    clocks: cython.p_double = f64(heap.clocks)
    folios: cython.p_long = i64(heap.folios)
    due_at: cython.p_double = f64(due)
    kept: cython.long = 0
    i: cython.long
    with cython.nogil:
        for i in range(held):
            if due_at[folios[i]] == clocks[i]:
                _rise(clocks, folios, kept, clocks[i], folios[i])
                kept += 1
    return kept


def take_due(
    heap: Entries,
    run: Entries,
    in_heap: cython.long,
    taken: cython.long,
    due: Clocks,
    end: cython.double,
    out: Entries,
) -> tuple[int, int, int]:
    """Take entries up to `end` until `out` is full: (left in the heap, taken of the run, found).

    Entries of no use go by the way.
    """
    heap_clock: cython.p_double = f64(heap.clocks)
    heap_folio: cython.p_long = i64(heap.folios)
    run_clock: cython.p_double = f64(run.clocks)
    run_folio: cython.p_long = i64(run.folios)
    due_at: cython.p_double = f64(due)
    clocks: cython.p_double = f64(out.clocks)
    folios: cython.p_long = i64(out.folios)
    in_run: cython.long = len(run.folios)
    room: cython.long = len(out.folios)
    found: cython.long = 0
    folio: cython.long
    clock: cython.double
    of_run: cython.double
    of_heap: cython.double
    with cython.nogil:
        while found < room:
            of_run = run_clock[taken] if taken < in_run else _NEVER
            of_heap = heap_clock[0] if in_heap else _NEVER
            clock = min(of_run, of_heap)
            if clock > end or clock == _NEVER:
                break
            if of_run <= of_heap:
                folio = run_folio[taken]
                taken += 1
                if taken + _AHEAD < in_run:
                    prefetch(due_at, run_folio[taken + _AHEAD], 8)
            else:
                folio = heap_folio[0]
                in_heap -= 1
                if in_heap:
                    _replace_first(
                        heap_clock, heap_folio, in_heap, heap_clock[in_heap], heap_folio[in_heap]
                    )
            if due_at[folio] == clock:
                due_at[folio] = _NEVER
                clocks[found] = clock
                folios[found] = folio
                found += 1
    return in_heap, taken, found


def forget(due: Clocks, folios: Folios) -> int:
    """Have folios due never: how many were due."""
    due_at: cython.p_double = f64(due)
    folio: cython.p_long = i64(folios)
    count: cython.long = len(folios)
    removed: cython.long = 0
    i: cython.long
    with cython.nogil:
        for i in range(count):
            if due_at[folio[i]] < _NEVER:
                due_at[folio[i]] = _NEVER
                removed += 1
    return removed
