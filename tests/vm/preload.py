"""All that `pghot` loads as it starts: imported by the process that `forked` forks.

`python -m tests.vm.preload` on the host leaves what Numba compiles for the guest to find.
"""

from __future__ import annotations

import importlib
import sys

import pghot
from pghot.cli.parser import build_parser
from pghot.engine.fidelity import FIDELITIES
from pghot.engine.layout import LAYOUTS
from pghot.live.warm import warm_up

COMMANDS = ("record", "replay", "restore", "run")
LATER = (
    *("pghot.linux.restoring", "pghot.live.run", "pghot.log.parts", "pghot.replaying.output"),
    *(
        "pghot.report.live",
        "pghot.report.live_table",
        "pghot.report.progress",
        "pghot.report.table",
    ),
)
"""What the commands import once they run."""

for _name in (*(f"pghot.cli.{command}" for command in COMMANDS), *LATER):
    importlib.import_module(_name)
build_parser()
for _layout in LAYOUTS.values():
    for _fidelity in FIDELITIES.values():
        warm_up(_layout, _fidelity, sys.stderr.write)
        pghot.replay(
            "examples/sqlite.parquet",
            settings=pghot.Settings(layout=_layout, fidelity=_fidelity),
        )
