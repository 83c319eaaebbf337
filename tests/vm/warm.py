"""`python -m tests.vm.warm`: compile the loops that tests inside a guest use."""

from __future__ import annotations

import pghot
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS


def main() -> None:
    """Go through the engine in both modes, and at both fidelities."""
    for layout in LAYOUTS.values():
        for fidelity in FIDELITIES.values():
            settings = pghot.Settings(layout=layout, fidelity=fidelity)
            pghot.replay("examples/sqlite.parquet", settings=settings)


if __name__ == "__main__":
    main()
