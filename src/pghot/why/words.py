"""What the names in an event log mean, in words."""

from __future__ import annotations

FATES = {
    "bad_node": "the accessing node is no online top-tier node: EINVAL",
    "bad_source": "no such source: EINVAL",
    "disabled_source": "its source is not enabled (enabled_sources)",
    "no_such_page": "no such page",
    "own_node": "the page is on the node that accesses it",
    "on_top_tier": "the page is on the top tier",
    "offline": "the page is offline or device memory",
    "unreferenced": "the page is free",
    "off_lru": "the page is not on the LRU",
    "no_hot_map": "its section has no hot map",
}
"""Why an access is not recorded."""

OUTCOMES = {
    "threshold": "not touched lately enough (threshold)",
    "rate_limit": "rate limit reached",
    "already_there": "already on the target node",
    "no_target": "the target is no online top-tier node",
    "isolation": "could not be isolated",
    "migration": "did not move with its batch",
}
"""Why a ready folio does not move."""

NO_ROOM = "no room on the target (isolation)"
UNMOVABLE = "unmovable (isolation)"


def refusal(outcome: str, status: str, *, movable: bool) -> str:
    """Say why a folio did not move, in a few words."""
    if outcome == "isolation":
        return NO_ROOM if movable else UNMOVABLE
    if outcome == "migration":
        return f"move_pages: {status}" if status else "no room on the target when it moved"
    return OUTCOMES[outcome]
