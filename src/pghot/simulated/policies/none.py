"""No promotion: pages stay where they were allocated (NUMAB0 of the published figures)."""

from __future__ import annotations

from pghot.simulated.policies.policy import Policy


class NoPromotion(Policy):
    """Has no verb, so nothing moves."""
