"""Why the engine itself refuses a hot folio, in words."""

from __future__ import annotations

ENGINE_REFUSALS = {
    "threshold": "touched too long ago (threshold)",
    "rate_limit": "rate limit reached",
    "already_there": "already on the target node",
    "no_target": "the target is no online top-tier node",
    "isolation": "no room on the target node",
}
"""Reasons of the engine's own, by its names; `migration` is the host's and said in detail."""
