"""Draws `pghot top` without a terminal.  Usage: top_picture.py OUT.svg."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from pathlib import Path

from pghot.top.app import TopApp
from pghot.top.replay_feed import ReplayFeed
from pghot.top.state import TopState

EXAMPLES = Path("examples")
SIZE = (100, 40)
AT_S = 32.0
SPEED = 10.0
PATIENCE_S = 120.0


class Still(ReplayFeed):
    """A replay that has been brought to a time: gives that state and the one before."""

    def __init__(self) -> None:
        log, machine = EXAMPLES / "sqlite.parquet", None
        super().__init__(log, machine, speed=SPEED, until_s=AT_S)
        self.start()
        last = self.next_state(PATIENCE_S)
        self.states = [state for state in (self.before, last) if state is not None]

    over = False

    def next_state(self, timeout_s: float) -> TopState | None:
        """The next one; none where both are given."""
        if not hasattr(self, "states"):
            return super().next_state(timeout_s)
        if self.states:
            return self.states.pop(0)
        time.sleep(min(timeout_s, 0.05))
        return None


async def drawn() -> str:
    """Draw it, and give the SVG."""
    feed = Still()
    app = TopApp(feed)
    async with app.run_test(size=SIZE) as pilot:
        while feed.states:
            await pilot.pause(0.05)
        await pilot.pause(0.2)
        return app.export_screenshot(title="pghot top")


def self_contained(svg: str) -> str:
    """Leave out fonts that would be fetched, and what is random: it draws the same file."""
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    return re.sub(r"terminal-\d+", "terminal-top", svg)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(self_contained(asyncio.run(drawn())))
