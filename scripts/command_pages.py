#!/usr/bin/env python3
"""Write the table of options of every page in docs/commands, from the parsers themselves.

The rest of a page is by hand.  With --check nothing is written; status 1 where a page is stale.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from pghot.cli.parser import build_parser, subparsers_of

PAGES = Path(__file__).resolve().parents[1] / "docs" / "commands"
_OPTIONS = re.compile(r"(?<=^## Options\n).*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def page_of(name: str) -> Path:
    """Where a command's page is."""
    return PAGES / f"{name}.md"


def option_rows(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """How each argument is written, and its help."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):  # noqa: SLF001
            continue
        if action.choices:
            value = "|".join(str(choice) for choice in action.choices)
        else:
            value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        words = (action.help or "").replace("%%", "%")
        if not action.option_strings:
            yield value, words
        elif action.nargs == 0:
            yield ", ".join(action.option_strings), words
        else:
            yield f"{', '.join(action.option_strings)} {value}", words


def options(parser: argparse.ArgumentParser) -> str:
    """The table of a parser, and one for each of its verbs."""
    text = ""
    rows = list(option_rows(parser))
    if rows:
        text += "| | |\n|---|---|\n"
        for written, words in rows:
            cells = (cell.replace("|", "\\|") for cell in (f"`{written}`", words))
            text += f"| {' | '.join(cells)} |\n"
        text += "\n"
    for verb, below in subparsers_of(parser).items():
        text += f"### {verb}\n{options(below)}"
    return text


def with_options(page: str, parser: argparse.ArgumentParser) -> str:
    """A page with its table made anew."""
    return _OPTIONS.sub(lambda _: options(parser), page, count=1)


def main(check: bool) -> int:
    """Go through all pages."""
    stale = []
    for name, parser in subparsers_of(build_parser()).items():
        path = page_of(name)
        old = path.read_text() if path.exists() else f"# pghot {name}\n## Options\n"
        new = with_options(old, parser).rstrip("\n") + "\n"
        if new != old or not path.exists():
            stale.append(path.name)
            if not check:
                path.write_text(new)
    print("\n".join(stale))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
