"""What an event log costs: a replay without one, with one, and how large it gets.

The log and the machines are those of bench/replay.py.  Times are CPU time of all threads
(Arrow compresses in its own), per row of the log.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _measure import Row, interleave, one_core, parser, rows, show
from pghot.driving.event_observer import EventObserver
from pghot.engine.fidelity import FIDELITIES
from pghot.log.events import create_events
from pghot.replaying.replay import Settings, replay
from replay import FEW, PAGES, machine, write_log

LIMIT = 1 << 40
"""No part is dropped, so that the size of all is known."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--rows", type=int, help="rows of the log (default: 20 M)")
    args = options.parse_args()
    one_core()
    count = args.rows or (1 << 20 if args.quick else 20_000_000)
    found: list[Row] = []
    bytes_a_row: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log.parquet"
        write_log(log, count)
        for room, free in {"few promoted": FEW, "all promoted": PAGES}.items():
            for fidelity in FIDELITIES:
                case = f"{room}, {fidelity}"
                events = Path(directory) / "events"
                found += measure(log, events, count, fidelity, free, case)
                size = sum(part.stat().st_size for part in events.iterdir())
                bytes_a_row[case] = round(size / count, 2)
                shutil.rmtree(events)
    more = {"bytes of events a row": bytes_a_row}
    show(f"replay of {count} rows, ns a row", found, as_json=args.json, more=more)


def measure(
    log: Path, directory: Path, count: int, fidelity: str, free: int, case: str
) -> list[Row]:
    """Time a replay without and with events."""
    known, settings = machine(free), Settings(fidelity=FIDELITIES[fidelity])

    def off() -> None:
        replay(log, known, settings)

    def on() -> None:
        with create_events(directory, LIMIT, force=True) as events:
            replay(log, known, settings, observer=EventObserver(events))

    timing = interleave({"off": off, "on": on}, 3, clock=cpu_of_all_threads)
    return rows(case, timing, count, {"on": "off", "off": "off"})


def cpu_of_all_threads(work: Callable[[], object]) -> float:
    """The CPU time of this process that goes by in `work`."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
