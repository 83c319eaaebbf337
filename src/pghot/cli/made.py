"""Who makes a result: this version, by this command line."""

from __future__ import annotations

import argparse
import shlex

from pghot.results.provenance import Made


def made(args: argparse.Namespace) -> Made:
    """The version and the command line, as a shell takes it; its text is UTF-8."""
    from pghot import __version__

    command = shlex.join(["pghot", *args.command_line]) if hasattr(args, "command_line") else None
    return Made(__version__, command and command.encode(errors="replace").decode())
