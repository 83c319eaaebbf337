"""Every outcome of an access and of a candidate, once: code, name, kernel's name, words.

Names are those of files, JSON and metrics, and stay; words are what people read.  Whoever
prints or stores an outcome takes it from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pghot.engine import candidates as found
from pghot.engine.throttle_verdicts import ADMITTED, OVER_THRESHOLD, RATE_LIMITED

RECORDED, BAD_NODE, BAD_SOURCE, DISABLED, NO_PAGE = range(5)
OWN_NODE, ON_TOP, OFFLINE, NO_REFERENCE, NOT_ON_LRU, NO_HOT_MAP = range(5, 11)


class Reason(NamedTuple):
    """An outcome.

    `code` is what arrays hold, `kernel` the function or errno of the kernel that decides so
    ("" where it has none), `rule` the rule of docs/spec.  `short` are words of at most 20
    characters.
    """

    code: int
    name: str
    kernel: str
    rule: str
    words: str
    short: str = ""


ACCESS = (
    Reason(RECORDED, "recorded", "pghot_update_record()", "R2.9", "recorded"),
    Reason(
        BAD_NODE,
        "bad_node",
        "EINVAL, pghot_nid_valid()",
        "R2.2",
        "the accessing node is no online top-tier node: EINVAL",
    ),
    Reason(BAD_SOURCE, "bad_source", "EINVAL", "R2.3", "no such source: EINVAL"),
    Reason(
        DISABLED,
        "disabled_source",
        "enabled_sources",
        "R2.3",
        "its source is not enabled (enabled_sources)",
    ),
    Reason(NO_PAGE, "no_such_page", "pfn_to_online_page()", "R2.6", "no such page"),
    Reason(
        OWN_NODE,
        "own_node",
        "pghot_record_access()",
        "R2.5",
        "the page is on the node that accesses it",
    ),
    Reason(ON_TOP, "on_top_tier", "node_is_toptier()", "R2.5", "the page is on the top tier"),
    Reason(
        OFFLINE,
        "offline",
        "pfn_to_online_page()",
        "R2.6",
        "the page is offline or device memory",
    ),
    Reason(NO_REFERENCE, "unreferenced", "folio_try_get()", "R2.6", "the page is free"),
    Reason(NOT_ON_LRU, "off_lru", "folio_test_lru()", "R2.6", "the page is not on the LRU"),
    Reason(NO_HOT_MAP, "no_hot_map", "hot_map", "R2.8", "its section has no hot map"),
)
"""What becomes of an access, by code."""

CANDIDATE = (
    Reason(ADMITTED, "moved", "promote_misplaced_memcg_folios()", "R3.10", "moved"),
    Reason(
        OVER_THRESHOLD,
        "threshold",
        "kmigrated_should_migrate_memory()",
        "R4.2",
        "touched too long ago (threshold)",
        "touched long ago",
    ),
    Reason(
        RATE_LIMITED,
        "rate_limit",
        "kmigrated_promotion_rate_limit()",
        "R4.4",
        "rate limit reached",
        "rate limit",
    ),
    Reason(
        found.ALREADY_THERE,
        "already_there",
        "kmigrated_walk_zone()",
        "R3.6",
        "already on the target node",
        "already there",
    ),
    Reason(
        found.NO_TARGET,
        "no_target",
        "",
        "R3.5",
        "the target is no online top-tier node, or its process may use none",
        "no target",
    ),
    Reason(
        found.NOT_ISOLATED,
        "isolation",
        "EAGAIN, migrate_misplaced_folio_prepare()",
        "R3.7",
        "not isolated: unmovable, or no room on the target",
        "not isolated",
    ),
    Reason(
        found.NOT_MIGRATED,
        "migration",
        "EAGAIN, migrate_pages()",
        "R3.10",
        "no room on the target when the batch moved",
        "no room, batch",
    ),
)
"""What becomes of a candidate (a ready folio that kmigrated has taken), by code."""

ENGINE = {reason.name: reason.words for reason in CANDIDATE if reason.code != ADMITTED}
"""Why the engine leaves a candidate where it is: words by name."""

UNMOVABLE = "unmovable (isolation)"
NO_ROOM = "no room on the target (isolation)"

PROMOTED, NOT_SLOW, COLD, LIMITED, FULL, FIXED = range(6)
FAULT = (
    Reason(PROMOTED, "promoted", "migrate_misplaced_folio()", "", "promoted in the fault"),
    Reason(NOT_SLOW, "not slow", "should_numa_migrate_memory()", "", "not below the top tier"),
    Reason(
        COLD,
        "over the threshold",
        "numa_hint_fault_latency()",
        "",
        CANDIDATE[OVER_THRESHOLD].words,
    ),
    Reason(
        LIMITED,
        "rate limited",
        "numa_promotion_rate_limit()",
        "",
        CANDIDATE[RATE_LIMITED].words,
    ),
    Reason(FULL, "no room on the target", "migrate_balanced_pgdat()", "", NO_ROOM),
    Reason(FIXED, "cannot be isolated", "folio_isolate_lru()", "", UNMOVABLE),
)
"""What NUMA balancing's tiering mode, before the series, makes of a hint fault, by code."""

MOVED = "moved"
ELSEWHERE, CPUSET, OTHER = "elsewhere", "EACCES_CPUSET", "other"

MOVE_PAGES = {
    MOVED: "on the node asked for",
    ELSEWHERE: "still on another node, no reason given",
    "ENOENT": "no page present there any more",
    "EFAULT": "the zero page, or the address is no longer mapped",
    "EACCES": "mapped by several processes; only --move-shared moves it (MPOL_MF_MOVE_ALL)",
    "EBUSY": "cannot be isolated or is held now (pinned, or I/O under way)",
    "ENOMEM": "the target node is full",
    "EIO": "the page could not be written back",
    "EINVAL": "dirty, and its file system cannot migrate pages",
    "ESRCH": "the process has gone",
    "EPERM": "no permission to move this process's pages (CAP_SYS_PTRACE)",
    "ENODEV": "the target node is offline or has no memory",
    CPUSET: "the process's cpuset does not allow the target node",
    "EAGAIN": "not tried: the kernel stopped before it",
    OTHER: "another error",
}
"""What move_pages(2) answers for a page of a batch, by the kernel's name for it."""

NO_OWNER, NOT_TARGET, STALE = "owner not known", "not a target", "not that page"
STUCK, RESIZED, DRY_RUN = "unmovable", "not that size", "dry run"
MOVE_BUDGET = "move budget"
NOT_ASKED = {
    NO_OWNER: "whose it is was let go for other pages, or is known of another folio there",
    NOT_TARGET: "its process has gone, or is no target any more",
    STALE: "freed, moved or mapped elsewhere since it was accessed",
    STUCK: "off the LRU, hugetlb or reserved",
    RESIZED: "its folio was split or became part of a larger one since it was accessed",
    MOVE_BUDGET: "moves have cost what they may; it is tried again",
}
"""Why a live run did not ask the kernel for a folio of a batch."""

LIVE = {
    **{name: words for name, words in ENGINE.items() if name != "migration"},
    **NOT_ASKED,
    **{name: words for name, words in MOVE_PAGES.items() if name != MOVED},
}
"""Why a hot folio of a live run is where it was; `migration` there has one of the details."""

_WORDS = {
    **MOVE_PAGES,
    **NOT_ASKED,
    **{reason.name: reason.words for reason in (*ACCESS, *FAULT, *CANDIDATE)},
}


def words(name: str) -> str:
    """The words for an outcome's name; a name that is none comes back as it is."""
    return _WORDS.get(name, name)


def by_words(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts by name as counts by words; two policies may have two names for one refusal."""
    found: dict[str, int] = {}
    for name, count in counts.items():
        found[words(name)] = found.get(words(name), 0) + count
    return found


def refusal(outcome: str, status: str = "", *, movable: bool = True) -> str:
    """Why one candidate did not move, as far as its row in an event log tells.

    `outcome` is a name of CANDIDATE, `status` the answer of move_pages(2) ("" where there was
    none), `movable` whether the folio could be isolated at all.
    """
    if outcome == CANDIDATE[found.NOT_ISOLATED].name:
        return NO_ROOM if movable else UNMOVABLE
    return f"move_pages: {status}" if status else words(outcome)
