"""Batches of candidates: which folios go together, and moving them (patches 2 and 5)."""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import i64, items, u8
    from cython.cimports.pghot.engine.candidates import (
        ALREADY_THERE,
        NO_TARGET,
        NOT_ISOLATED,
        NOT_MIGRATED,
        Candidate,
        MovedBatch,
    )
    from cython.cimports.pghot.engine.pass_mover import PassMover
    from cython.cimports.pghot.engine.throttle import (
        Limits,
        Pgdat,
        has_headroom,
        judge,
        pgdat_items,
    )
    from cython.cimports.pghot.engine.throttle_verdicts import ADMITTED
    from cython.cimports.pghot.engine.units import MSEC_PER_SEC, NUMA_NO_NODE
else:
    from pghot.engine.arrays import Structs, i64, u8
    from pghot.engine.candidates import (
        ALREADY_THERE,
        NO_TARGET,
        NOT_ISOLATED,
        NOT_MIGRATED,
    )
    from pghot.engine.pass_mover import PassMover
    from pghot.engine.throttle import Limits, has_headroom, judge, pgdat_items
    from pghot.engine.throttle_verdicts import ADMITTED
    from pghot.engine.units import MSEC_PER_SEC, NUMA_NO_NODE

AHEAD = 8
"""Folios between one that is looked for in memory and the one that moves."""

_AHEAD = cython.declare(cython.long, AHEAD)


@cython.cclass
class TargetNodes:
    """What is known of nodes as targets, by id (`candidates.TargetArrays`)."""

    arrays: object
    enough: cython.p_long
    headroom: cython.p_long
    promotable: cython.p_uchar

    def __init__(self, arrays: Any) -> None:
        """Take pointers from the arrays, which are kept."""
        self.arrays = arrays
        self.enough = i64(arrays.enough)
        self.headroom = i64(arrays.headroom)
        self.promotable = u8(arrays.promotable)


@cython.cclass
class Batches:
    """Candidates of a pass, judged in order and gathered batch by batch.

    `chosen` (i64) gets the candidates' indices, `count` of them for `nid` and `memcg`.
    """

    kept: object
    candidates: cython.pointer[Candidate]
    total: cython.long
    chosen: cython.p_long
    next: cython.long
    judged: cython.bint
    walk: cython.long
    src_nid: cython.long
    pgdat: cython.pointer[Pgdat]
    nid = cython.declare(cython.long, visibility="readonly")
    memcg = cython.declare(cython.long, visibility="readonly")
    count = cython.declare(cython.long, visibility="readonly")

    def __init__(self, candidates: Any, src_nid: cython.long, pgdat: Any, chosen: Any) -> None:
        """Judge candidates of node `src_nid`; `pgdat` is `vmstat.PGDAT` by node id."""
        self.kept = (candidates, pgdat, chosen)
        if cython.compiled:
            self.candidates = cython.cast(
                cython.pointer(Candidate), items(candidates, cython.sizeof(Candidate))
            )
        else:
            self.candidates = Structs(candidates)
        self.total = len(candidates)
        self.chosen = i64(chosen)
        self.pgdat = pgdat_items(pgdat)
        self.src_nid = src_nid
        self.next = self.count = self.memcg = self.walk = 0
        self.judged = False
        self.nid = NUMA_NO_NODE

    def fill(self, targets: TargetNodes, limits: Limits) -> bool:
        """Gather the next batch, without those gathered before; whether more may come.

        A batch must go when it holds `batch_max` folios, and before a folio of another
        target, memcg or section walk.  That of another target or memcg has been judged and
        isolated by then, as in the series.
        """
        self.count = 0
        return bool(_fill(self, targets, limits))

    def promote(
        self,
        targets: TargetNodes,
        limits: Limits,
        mover: PassMover,
        as_stack: cython.bint,
        out: Any,
    ) -> tuple[int, int]:
        """Have `mover` move all batches; how many there were, and of how many folios.

        `out`: the candidates' indices in the order tried (i64), whether each moved (bool), both
        batch after batch, and what each batch was (`candidates.MOVED_BATCH`).  `as_stack`: the
        last folio isolated is migrated first.
        """
        order: cython.p_long = i64(out[0])
        moved: cython.p_uchar = u8(out[1])
        tried: cython.long = 0
        done: cython.long = 0
        more: cython.bint = True
        if cython.compiled:
            batches: cython.pointer[MovedBatch] = cython.cast(
                cython.pointer(MovedBatch), items(out[2], cython.sizeof(MovedBatch))
            )
        else:
            batches = Structs(out[2])
        while more:
            self.count = 0
            with cython.nogil:
                more = _fill(self, targets, limits)
            if not self.count:
                continue
            mover.go_to(self.nid)
            with cython.nogil:
                batches[done].pages_moved = _move(self, mover, as_stack, order, moved, tried)
                _read(targets, mover, self.nid)
                batches[done].folios = self.count
                batches[done].nid = self.nid
                batches[done].memcg = self.memcg
            tried += self.count
            done += 1
        return done, tried


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _read(targets: TargetNodes, mover: PassMover, nid: cython.long) -> cython.void:
    """Read the frames of a target again."""
    free: cython.long = mover.free[nid]
    targets.enough[nid] = has_headroom(free, mover.promo_wmark[nid], mover.present[nid])
    targets.headroom[nid] = max(free - mover.kept[nid], 0)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _fill(batches: Batches, targets: TargetNodes, limits: Limits) -> cython.bint:
    at: cython.long
    other: cython.bint
    while batches.next < batches.total:
        at = batches.next
        if batches.count and batches.candidates[at].walk != batches.walk:
            return True
        if not batches.judged:
            batches.candidates[at].outcome = _outcome(batches, at, targets, limits)
            if batches.candidates[at].outcome != ADMITTED:
                batches.next += 1
                continue
            other = (
                batches.candidates[at].nid != batches.nid
                or batches.candidates[at].memcg != batches.memcg
            )
            if batches.count and other:
                batches.judged = True
                return True
        batches.judged = False
        batches.nid = batches.candidates[at].nid
        batches.memcg = batches.candidates[at].memcg
        batches.walk = batches.candidates[at].walk
        batches.chosen[batches.count] = at
        batches.count += 1
        batches.next += 1
        if batches.count >= limits.batch_max:
            return True
    return False


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _outcome(
    batches: Batches, at: cython.long, targets: TargetNodes, limits: Limits
) -> cython.int:
    """Judge and isolate one candidate."""
    nid: cython.long = batches.candidates[at].nid
    pages: cython.long = batches.candidates[at].pages
    latency_ms: cython.long
    outcome: cython.int
    if nid == batches.src_nid:
        return ALREADY_THERE
    if not targets.promotable[nid]:
        return NO_TARGET
    latency_ms = (batches.candidates[at].latency * MSEC_PER_SEC + limits.hz - 1) // limits.hz
    outcome = judge(batches.pgdat, nid, targets.enough[nid] != 0, pages, latency_ms, limits)
    if outcome != ADMITTED:
        return outcome
    if batches.candidates[at].movable and pages <= targets.headroom[nid]:
        return ADMITTED
    return NOT_ISOLATED


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _in_turn(batches: Batches, turn: cython.long, as_stack: cython.bint) -> cython.long:
    """The candidate of a batch whose turn it is."""
    return batches.chosen[batches.count - 1 - turn if as_stack else turn]


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _move(
    batches: Batches,
    mover: PassMover,
    as_stack: cython.bint,
    order: cython.p_long,
    moved: cython.p_uchar,
    tried: cython.long,
) -> cython.long:
    """Move the folios of the batch; how many pages moved."""
    pages_moved: cython.long = 0
    index: cython.long
    size: cython.long
    i: cython.long
    for i in range(batches.count):
        if i + _AHEAD < batches.count:
            index = _in_turn(batches, i + _AHEAD, as_stack)
            mover.expect(batches.candidates[index].pfn)
        index = _in_turn(batches, i, as_stack)
        size = mover.move(batches.candidates[index].pfn)
        if size == 0:
            batches.candidates[index].outcome = NOT_MIGRATED
        order[tried + i] = index
        moved[tried + i] = size > 0
        pages_moved += size
    return pages_moved
