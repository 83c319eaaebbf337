"""The throttle of promotion, folio by folio (R4; patch 5)."""

from __future__ import annotations

from typing import Any

import cython

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import items
    from cython.cimports.pghot.engine.throttle_verdicts import (
        ADMITTED,
        ENOUGH_PAGES,
        KMIGRATED_MIGRATION_ADJUST_STEPS,
        KMIGRATED_PROMOTION_THRESHOLD_WINDOW,
        OVER_THRESHOLD,
        RATE_LIMITED,
    )
    from cython.cimports.pghot.engine.units import MSEC_PER_SEC
else:
    from pghot.engine.arrays import Structs
    from pghot.engine.throttle_verdicts import (
        ADMITTED,
        ENOUGH_PAGES,
        KMIGRATED_MIGRATION_ADJUST_STEPS,
        KMIGRATED_PROMOTION_THRESHOLD_WINDOW,
        OVER_THRESHOLD,
        RATE_LIMITED,
    )
    from pghot.engine.units import MSEC_PER_SEC

_U32 = cython.declare(cython.long, 0xFFFF_FFFF)


@cython.cclass
class Limits:
    """Limits of a pass.

    Folios in a batch, the window and now in ms, pages a second that may pass, jiffies a
    second, and whether a folio refused by the rate limit counts.
    """

    def __init__(
        self,
        batch_max: cython.long,
        window_ms: cython.long,
        rate_limit: cython.long,
        now_ms: cython.long,
        hz: cython.long,
        count_refused: cython.bint,
    ) -> None:
        """As the fields."""
        self.batch_max = batch_max
        self.window_ms = window_ms
        self.rate_limit = rate_limit
        self.now_ms = now_ms
        self.hz = hz
        self.count_refused = count_refused


@cython.cfunc
def pgdat_items(pgdat: Any) -> cython.pointer[Pgdat]:
    """Throttle state by node id (`vmstat.PGDAT`); the caller keeps the array."""
    if cython.compiled:
        return cython.cast(cython.pointer(Pgdat), items(pgdat, cython.sizeof(Pgdat)))
    return Structs(pgdat)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def has_headroom(
    free_pages: cython.long, promo_wmark: cython.long, present_pages: cython.long
) -> cython.bint:
    """Whether a zone of a node of so many pages has headroom (R4.1)."""
    return free_pages > promo_wmark + max(ENOUGH_PAGES, present_pages >> 4)


def headroom_is_free(
    free_pages: cython.long, promo_wmark: cython.long, present_pages: cython.long
) -> bool:
    """`has_headroom` for Python."""
    return bool(has_headroom(free_pages, promo_wmark, present_pages))


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _adjust_threshold(
    pgdat: cython.pointer[Pgdat],
    nid: cython.long,
    limits: Limits,
) -> cython.void:
    """Move the node's threshold by a step where 60 s have passed (R4.5).

    Unsigned 32-bit arithmetic, as in the kernel: a window made longer while the threshold
    is shorter than the new step wraps below zero there, and here.
    """
    expected: cython.long
    candidates: cython.long
    step: cython.long
    threshold: cython.long
    most: cython.long
    if (limits.now_ms - pgdat[nid].nbp_th_start) & _U32 <= KMIGRATED_PROMOTION_THRESHOLD_WINDOW:
        return
    pgdat[nid].nbp_th_start = limits.now_ms
    expected = limits.rate_limit * KMIGRATED_PROMOTION_THRESHOLD_WINDOW // MSEC_PER_SEC
    candidates = pgdat[nid].pgpromote_candidate - pgdat[nid].nbp_th_nr_cand
    most = (limits.window_ms * 2) & _U32
    step = most // KMIGRATED_MIGRATION_ADJUST_STEPS
    threshold = pgdat[nid].nbp_threshold or limits.window_ms
    if candidates > expected * 11 // 10:
        threshold = max((threshold - step) & _U32, step)
    elif candidates < expected * 9 // 10:
        threshold = min((threshold + step) & _U32, most)
    pgdat[nid].nbp_th_nr_cand = pgdat[nid].pgpromote_candidate
    pgdat[nid].nbp_threshold = threshold


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _rate_limited(
    pgdat: cython.pointer[Pgdat],
    nid: cython.long,
    pages: cython.long,
    limits: Limits,
) -> cython.bint:
    """Count a candidate, then tell whether the period's limit is reached (R4.3, R4.4).

    Where `count_refused` is off, one that finds the limit reached is not counted: the
    improved engine looks at it again and again, and it is still one candidate.
    """
    fresh: cython.bint = (limits.now_ms - pgdat[nid].nbp_rl_start) & _U32 > MSEC_PER_SEC
    counted: cython.long = pgdat[nid].pgpromote_candidate + pages
    over: cython.bint = counted - pgdat[nid].nbp_rl_nr_cand >= limits.rate_limit
    if over and not fresh and not limits.count_refused:
        return True
    pgdat[nid].pgpromote_candidate = counted
    if fresh:
        pgdat[nid].nbp_rl_start = limits.now_ms
        pgdat[nid].nbp_rl_nr_cand = counted
    return counted - pgdat[nid].nbp_rl_nr_cand >= limits.rate_limit


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def judge(
    pgdat: cython.pointer[Pgdat],
    nid: cython.long,
    enough: cython.bint,
    pages: cython.long,
    latency_ms: cython.long,
    limits: Limits,
) -> cython.int:
    """Judge one folio: the series' kmigrated_should_migrate_memory(), saying why not.

    `nid` is the target, `enough` whether it has headroom, `pages` the folio's,
    `latency_ms` from its record's time to now.
    """
    if enough:
        pgdat[nid].nbp_threshold = 0
        pgdat[nid].pgpromote_candidate_nrl += pages
        return ADMITTED
    _adjust_threshold(pgdat, nid, limits)
    if latency_ms >= (pgdat[nid].nbp_threshold or limits.window_ms):
        return OVER_THRESHOLD
    if _rate_limited(pgdat, nid, pages, limits):
        return RATE_LIMITED
    return ADMITTED


def judge_folio(
    pgdat: Any,
    nid: cython.long,
    enough: cython.bint,
    pages: cython.long,
    latency_ms: cython.long,
    limits: Limits,
) -> int:
    """`judge` for Python; `pgdat` is the array by node id (`vmstat.PGDAT`)."""
    return int(judge(pgdat_items(pgdat), nid, enough, pages, latency_ms, limits))
