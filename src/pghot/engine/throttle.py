"""The throttle of promotion, one state a target node (behaviour.md 4; patch 5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pghot.engine.jit import compiled
from pghot.engine.memory import Memory
from pghot.engine.units import MSEC_PER_SEC, NID_MAX, PAGE_SHIFT
from pghot.engine.vmstat import PGDAT

KMIGRATED_MIGRATION_ADJUST_STEPS = 16
KMIGRATED_PROMOTION_THRESHOLD_WINDOW = 60_000
"""Milliseconds between two adjustments of the dynamic threshold."""

ENOUGH_PAGES = (1 << 30) >> PAGE_SHIFT
"""Pages of 1 GiB: free room is at least this much above the promo watermark."""

ADMITTED, OVER_THRESHOLD, RATE_LIMITED = range(3)
"""What `judge` finds of a folio."""

U32 = 0xFFFF_FFFF


def make_pgdat() -> npt.NDArray[np.void]:
    """Give the throttle state and counters of every node id, all zero."""
    return np.zeros(NID_MAX + 1, PGDAT)


@compiled
def has_free_room(free_pages: int, promo_wmark: int, present_pages: int) -> bool:
    """Tell whether a zone of a node of so many pages has free room (rule 4, "Free room")."""
    return free_pages > promo_wmark + max(ENOUGH_PAGES, present_pages >> 4)


def free_space_enough(memory: Memory, nid: int) -> bool:
    """Tell whether some zone of the node has free room."""
    present = memory.present_pages(nid)
    return any(
        has_free_room(free_pages, promo_wmark, present)
        for free_pages, promo_wmark in memory.zones(nid)
    )


def reset(pgdat: npt.NDArray[np.void], now_ms: int) -> None:
    """Forget the adjusted thresholds, as switching memory tiering on does (patch 5)."""
    pgdat["nbp_threshold"] = 0
    pgdat["nbp_th_nr_cand"] = pgdat["pgpromote_candidate"]
    pgdat["nbp_th_start"] = now_ms


@compiled
def adjust_threshold(node: Any, rate_limit: int, window_ms: int, now_ms: int) -> None:
    """Move the node's threshold by a step where 60 s have passed (rule 4).

    Unsigned 32-bit arithmetic, as in the kernel: a window made longer while the threshold
    is shorter than the new step wraps below zero there, and here.
    """
    if (now_ms - node.nbp_th_start) & U32 <= KMIGRATED_PROMOTION_THRESHOLD_WINDOW:
        return
    node.nbp_th_start = now_ms
    expected = rate_limit * KMIGRATED_PROMOTION_THRESHOLD_WINDOW // MSEC_PER_SEC
    candidates = node.pgpromote_candidate - node.nbp_th_nr_cand
    step = ((window_ms * 2) & U32) // KMIGRATED_MIGRATION_ADJUST_STEPS
    threshold = node.nbp_threshold or window_ms
    if candidates > expected * 11 // 10:
        threshold = max((threshold - step) & U32, step)
    elif candidates < expected * 9 // 10:
        threshold = min((threshold + step) & U32, (window_ms * 2) & U32)
    node.nbp_th_nr_cand = node.pgpromote_candidate
    node.nbp_threshold = threshold


@compiled
def rate_limited(node: Any, rate_limit: int, pages: int, now_ms: int, count_refused: bool) -> bool:
    """Count a candidate, then tell whether the period's limit is reached (rule 4).

    Where `count_refused` is off, one that finds the limit reached is not counted: the
    improved engine looks at it again and again, and it is still one candidate.
    """
    fresh = (now_ms - node.nbp_rl_start) & U32 > MSEC_PER_SEC
    counted = node.pgpromote_candidate + pages
    if not (fresh or count_refused) and counted - node.nbp_rl_nr_cand >= rate_limit:
        return True
    node.pgpromote_candidate = counted
    if fresh:
        node.nbp_rl_start = now_ms
        node.nbp_rl_nr_cand = counted
    return counted - node.nbp_rl_nr_cand >= rate_limit


@compiled
def judge(
    node: Any,
    enough: int,
    pages: int,
    latency_ms: int,
    window_ms: int,
    rate_limit: int,
    now_ms: int,
    count_refused: bool,
) -> int:
    """Judge one folio: the series' kmigrated_should_migrate_memory(), saying why not.

    `node` is the target's PGDAT record, `enough` whether it has free room, `pages` the
    folio's, `latency_ms` from its record's time to now, `rate_limit` in pages a second.
    """
    if enough:
        node.nbp_threshold = 0
        node.pgpromote_candidate_nrl += pages
        return ADMITTED
    adjust_threshold(node, rate_limit, window_ms, now_ms)
    threshold = node.nbp_threshold or window_ms
    if latency_ms >= threshold:
        return OVER_THRESHOLD
    if rate_limited(node, rate_limit, pages, now_ms, count_refused):
        return RATE_LIMITED
    return ADMITTED
