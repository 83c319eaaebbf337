"""States of a run (docs/ctl.md), a line each: rates since the state before."""

from __future__ import annotations

from pghot.driving.run_state import RunState
from pghot.report.helps import short_line
from pghot.report.sizes import size


class WatchLine:
    """Makes lines of states that come in order; the first has no rates but since the start."""

    def __init__(self) -> None:
        self._before: dict[str, float] = {}

    def of(self, state: RunState) -> str:
        """The line of a state."""
        now = _figures(state)
        before = self._before or dict.fromkeys(now, 0.0) | {"time": state.started}
        self._before = now
        elapsed = max(now["time"] - before["time"], 1e-3)
        rate = {name: (value - before[name]) / elapsed for name, value in now.items()}
        line = (
            f"{state.live.real_s:6.0f} s  samples {rate['samples']:,.0f}/s  "
            f"hot {rate['hot']:,.0f}/s  promoted {size(round(rate['promoted']))}/s  "
            f"refused {rate['refused']:,.0f}/s  top tier {_full(state)} full"
        )
        if helps := short_line(state.live.helps):
            line += f"  {helps}"
        return f"{line}  lost {rate['lost']:,.0f}/s" if now["lost"] else line


def _figures(state: RunState) -> dict[str, float]:
    """What rates are made of: the time in seconds, and counts since the start."""
    live = state.live
    return {
        "time": state.time,
        "samples": live.samples,
        "lost": live.lost,
        "hot": live.found_hot,
        "promoted": live.promoted_pages,
        "refused": sum(live.refused.values()),
    }


def _full(state: RunState) -> str:
    """How full the top tier is."""
    nodes = [node for node in state.nodes.values() if node.toptier]
    pages = sum(node.pages for node in nodes)
    free = sum(node.free_pages for node in nodes)
    return f"{1 - free / pages:.0%}" if pages else "?"
