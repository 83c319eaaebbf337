"""Draws `pghot top` without a terminal.  Usage: top_picture.py OUT.svg."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

from pghot.top.app import TopApp
from pghot.top.replay_feed import ReplayFeed
from pghot.top.state import State

EXAMPLES = Path("examples")
SIZE = (100, 40)
AT_S = 30.0
SPEED = 10.0
PATIENCE_S = 120.0


class Still(ReplayFeed):
    """A replay that has been brought to a time: gives that state and the one before."""

    def __init__(self) -> None:
        log, machine = EXAMPLES / "sqlite.parquet", EXAMPLES / "two-tier.toml"
        super().__init__(log, machine, speed=SPEED, until_s=AT_S)
        self.start()
        last = self.next_state(PATIENCE_S)
        self.states = [state for state in (self.before, last) if state is not None]

    over = False

    def next_state(self, timeout_s: float) -> State | None:
        """Give the next one; none where both are given."""
        if not hasattr(self, "states"):
            return super().next_state(timeout_s)
        if self.states:
            return self.states.pop(0)
        time.sleep(min(timeout_s, 0.05))
        return None


async def draw(out: Path) -> None:
    """Draw it."""
    feed = Still()
    app = TopApp(feed)
    async with app.run_test(size=SIZE) as pilot:
        while feed.states:
            await pilot.pause(0.05)
        await pilot.pause(0.2)
        svg = app.export_screenshot(title="pghot top")
    # Names in it are random; the same picture is to be the same file.
    out.write_text(re.sub(r"terminal-\d+", "terminal-top", svg))


if __name__ == "__main__":
    asyncio.run(draw(Path(sys.argv[1])))
