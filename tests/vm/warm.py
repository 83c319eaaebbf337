"""`python -m tests.vm.warm`: compile the loops that tests inside a guest use."""

from __future__ import annotations

import sys

import pghot
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS
from pghot.live.warm import warm_up


def main() -> None:
    """Go through the engine, replayed and live, in both modes and at both fidelities."""
    for layout in LAYOUTS.values():
        for fidelity in FIDELITIES.values():
            settings = pghot.Settings(layout=layout, fidelity=fidelity)
            pghot.replay("examples/sqlite.parquet", settings=settings)
            warm_up(layout, fidelity, sys.stderr.write)


if __name__ == "__main__":
    main()
