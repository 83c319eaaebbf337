"""Markdown of docs/ on a terminal or in a pipe."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")
_PART = re.compile(
    r"^#+ (?P<heading>[^\n]*)\n|^```(?P<kind>\w*)\n(?P<example>.*?)^```\n"
    r"|(?P<table>(?:^\|[^\n]*\n)+)",
    re.MULTILINE | re.DOTALL,
)
_MARGIN, _FURTHER, _GOES_ON = "  ", "    ", " \\"
_CELL = re.compile(r"(?<!\\)\|")


def print_document(text: str) -> None:
    """Print Markdown: headings bold, examples as they are, the rest fitted to the width."""
    console = Console(highlight=False)
    text = f"{text.rstrip()}\n"
    at = 0
    for part in _PART.finditer(text):
        _print_prose(console, text[at : part.start()])
        if part["heading"]:
            console.print(Text(part["heading"], "bold"))
        elif part["table"]:
            console.print(_table(part["table"]))
        else:
            _print_example(console, part["example"], shell=part["kind"] == "sh")
        at = part.end()
    _print_prose(console, text[at:])


def _print_example(console: Console, text: str, *, shell: bool) -> None:
    """Print an example; lines that are too long go on in the next, further in."""
    for line in text.rstrip("\n").splitlines():
        for piece in _fitted(line, console.width - len(_MARGIN), shell=shell):
            console.print(Text(_MARGIN + piece), soft_wrap=True)


def _fitted(line: str, width: int, *, shell: bool) -> list[str]:
    """A line in pieces of a width; those of a command end so that it can be copied."""
    if len(line) <= width:
        return [line]
    command = shell or line.startswith("$ ")
    indent = " " * (len(line) - len(line.lstrip())) + _FURTHER
    pieces = textwrap.wrap(
        line,
        width - len(_GOES_ON) * command,
        subsequent_indent=indent,
        expand_tabs=False,
        replace_whitespace=False,
        break_on_hyphens=False,
        break_long_words=not command,
    )
    if command and all(piece.count("'") % 2 == piece.count('"') % 2 == 0 for piece in pieces):
        pieces[:-1] = [piece + _GOES_ON for piece in pieces[:-1]]
    return pieces


def print_topics(commands: Mapping[str, str], topics: Mapping[str, str]) -> None:
    """Print what `pghot help` takes, in two tables."""
    console = Console(highlight=False)
    for head, words in (("command", commands), ("topic", topics)):
        table = Table(head, "", box=SIMPLE_HEAD, pad_edge=False)
        for name, what in words.items():
            table.add_row(Text(name), Text(what))
        console.print(table)
    console.print("pghot help NAME says more; pghot COMMAND --help has the options alone.")


def _table(text: str) -> Table:
    """A table whose first column, the names, is never cut."""
    head, _rule, *rows = ([_plain(cell) for cell in _CELL.split(line)[1:-1]]
                          for line in text.splitlines())  # fmt: skip
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_header=any(head))
    for place, words in enumerate(head):
        table.add_column(Text(words), no_wrap=place == 0, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _plain(cell: str) -> str:
    """A cell's words without the marks of code and links."""
    return _LINK.sub(r"\1", cell).replace("`", "").replace("\\|", "|").strip()


def _print_prose(console: Console, text: str) -> None:
    if text.strip():
        console.print(Markdown(_LINK.sub(r"\1", text), inline_code_theme="none"))
