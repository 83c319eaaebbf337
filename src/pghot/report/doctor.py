"""What the doctor found, as a table that a person reads."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pghot.linux.doctor.checks import CheckState
from pghot.linux.doctor.doctor import Diagnosis

_STYLES = {CheckState.WORKS: "green", CheckState.MISSING: "red", CheckState.NOTE: "yellow"}
_NAMES = {"fault": "hint faults", "hardware": "hardware samples"}


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Print every check, the commands that would help, and the verdict, to stdout."""
    console = Console(highlight=False, soft_wrap=False)
    table = Table("", "", "", box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    for check in diagnosis.checks:
        state = Text(check.state.value, _STYLES[check.state])
        table.add_row(Text(check.name), state, Text(check.detail))
    console.print(table)
    for check in diagnosis.checks:
        if check.fix:
            console.print(Text(f"{check.name}: {check.fix}"), soft_wrap=True)
    console.print(Text(_verdict(diagnosis)), soft_wrap=True)


def _verdict(diagnosis: Diagnosis) -> str:
    first = diagnosis.first_missing
    if first:
        return f"pghot run cannot work here; first missing: {first.name}: {first.detail}"
    sources = " and ".join(_NAMES[source] for source in diagnosis.sources)
    return f"pghot run can work here, by {sources}"
