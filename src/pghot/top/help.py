"""The help screen."""

from __future__ import annotations

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import Static

from pghot.top.keys import help_lines

_WORDS = """
Rates are a second of the run's own time.  Accesses of processes and
regions are those of the last ten seconds.
Any key closes this."""


class Help(ModalScreen[None]):
    """Shows what each key does; any key leaves it."""

    def compose(self) -> ComposeResult:
        """Make the one box."""
        box = Static("\n".join([*help_lines(), *_WORDS.splitlines()]), id="help", markup=False)
        box.border_title = "pghot top: keys"
        yield box

    def on_key(self, event: events.Key) -> None:
        """Close, and let the key do nothing else."""
        event.stop()
        event.prevent_default()
        self.dismiss()

    def on_click(self) -> None:
        """Close."""
        self.dismiss()
