"""What is on the screen, as lines of text, and screens to compare it with."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from html import unescape
from pathlib import Path

from textual.pilot import Pilot

from pghot.top.app import TopApp
from pghot.top.feed import Feed
from tests.top.feeds import Given

SNAPSHOTS = Path(__file__).parent / "snapshots"
WRITE = "PGHOT_SNAPSHOTS"
"""Set to `write`, this writes the snapshots anew; look at them before they are kept."""

_CELL, _LINE = 12.2, 24.4
"""Width and height of a cell in Textual's SVG."""
_TEXT = re.compile(r'<text class="[^"]*-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>')

Doing = Callable[[Pilot[None]], Awaitable[None]]


def text_of(app: TopApp) -> list[str]:
    """The lines of the screen, as Textual's own screenshot shows them."""
    width, height = app.size
    lines = [[" "] * width for _ in range(height)]
    for x, y, raw in _TEXT.findall(app.export_screenshot()):
        row, column = round((float(y) - 20) / _LINE), round(float(x) / _CELL)
        for at, letter in enumerate(unescape(raw).rstrip("\n")):
            lines[row][column + at] = letter.replace("\xa0", " ")
    return ["".join(line).rstrip() for line in lines]


def drive(feed: Feed, doing: Doing, size: tuple[int, int] = (80, 24)) -> TopApp:
    """Run the view on a feed, without a terminal, and do something with it."""

    async def main() -> TopApp:
        app = TopApp(feed)
        async with app.run_test(size=size) as pilot:
            await settle(pilot)
            await doing(pilot)
        return app

    return asyncio.run(main())


async def settle(pilot: Pilot[None]) -> None:
    """Wait until all that the feed has is on the screen."""
    feed = pilot.app._feed
    while isinstance(feed, Given) and feed.states:
        await pilot.pause(0.01)
    await pilot.pause(0.05)
    await pilot.pause()


async def press(pilot: Pilot[None], *keys: str) -> list[str]:
    """Press keys, and give the screen after that."""
    await pilot.press(*keys)
    writes = [worker for worker in pilot.app.workers if worker.name == "_write"]
    if writes:
        await pilot.app.workers.wait_for_complete(writes)
    await pilot.pause()
    return text_of(pilot.app)


def same_as_snapshot(name: str, lines: list[str]) -> bool:
    """Compare with tests/top/snapshots/NAME.txt, or write it where that is asked for."""
    path = SNAPSHOTS / f"{name}.txt"
    text = "\n".join(lines) + "\n"
    if os.environ.get(WRITE) == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    shown = path.read_text()
    assert text == shown
    return True
