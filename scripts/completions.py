#!/usr/bin/env python3
"""Make share/completions, for bash, zsh and fish, from the parsers themselves.

With --check nothing is written; status 1 where a file is stale.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import shtab

from pghot.cli.completion import FILES
from pghot.cli.parser import COMMANDS, build_parser, subparsers_of
from pghot.cli.topics import TOPICS
from pghot.engine.tunables import TUNABLES
from pghot.engine.vmstat import ORDER
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import presets

SHARE = Path(__file__).resolve().parents[1] / "share" / "completions"

SETTINGS = [f"{name}=" for name in TUNABLES]
WORDS = {
    "settings": SETTINGS,
    "names": [*TUNABLES, *ORDER],
    "policies": list(POLICIES),
    "presets": list(presets()),
    "topics": [*TOPICS, *COMMANDS],
    "sources": ["hintfault", "hwhint"],
    "formats": ["perf-data", "perf-script", "lackey", "csv"],
}
LISTS = ("policies", "sources")
"""What commas may put together."""

BY_METAVAR = {
    "NAME=VALUE": "settings",
    "TOPIC": "topics",
    "SCENARIO": "presets",
    "FORMAT": "formats",
}
PATHS = {"FILE", "LOG", "IN", "OUT", "PATH"}
DIRECTORIES = {"DIR", "RESULT", "CGROUP"}


def words_of(prog: str, action: argparse.Action) -> str:
    """Name the words that an argument takes; empty where there are none to choose from."""
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if "--policy" in action.option_strings:
        return "policies"
    if "--source" in action.option_strings:
        return "" if action.choices else "sources"
    if metavar == "NAME" and prog.endswith(" get"):
        return "names"
    return BY_METAVAR.get(metavar, "")


def mark(parser: argparse.ArgumentParser) -> None:
    """Tell shtab what each argument takes."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
        words = words_of(parser.prog, action)
        if words:
            action.complete = {  # type: ignore[attr-defined]
                "bash": f"_pghot_{words}",
                "zsh": f"_pghot_{words}",
                "fish": f"(_pghot_{words})",
            }
        elif metavar in PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif metavar in DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    for below in subparsers_of(parser).values():
        mark(below)


def bash_functions() -> str:
    """A function for each kind of words, which prints those that fit."""
    lines = []
    for kind, words in WORDS.items():
        text = " ".join(words)
        if kind in LISTS:
            body = f'compgen -P "${{1%"${{1##*,}}"}}" -W "{text}" -- "${{1##*,}}"'
        elif kind == "presets":
            body = f'compgen -W "{text}" -- "$1"; compgen -f -X "!*.toml" -- "$1"'
        else:
            body = f'compgen -W "{text}" -- "$1"'
        lines.append(f"_pghot_{kind}() {{ {body}; }}")
    return "\n".join(lines)


def zsh_functions() -> str:
    """A function for each kind of words, which adds them."""
    lines = []
    for kind, words in WORDS.items():
        text = " ".join(words)
        if kind in LISTS:
            body = f"compset -P '*,'; compadd -S '' -- {text}"
        elif kind == "presets":
            body = f"compadd -- {text}; _files -g '*.toml'"
        elif kind == "settings":
            body = f"compadd -S '' -- {text}"
        else:
            body = f"compadd -- {text}"
        lines.append(f"_pghot_{kind}() {{ {body} }}")
    return "\n".join(lines)


def fish_functions() -> str:
    """A function for each kind of words, which prints them."""
    lines = []
    for kind, words in WORDS.items():
        text = " ".join(words)
        body = f"printf '%s\\n' {text}"
        if kind in LISTS:
            head = "(string replace -r '[^,]*$' '' -- (commandline -ct))"
            body = f"printf '%s\\n' {head}{{{','.join(words)}}}"
        elif kind == "presets":
            body += "; __fish_complete_suffix .toml"
        lines.append(f"function _pghot_{kind}; {body}; end")
    return "\n".join(lines)


# A shell adds a space after the only word that fits; after NAME= a value has to follow.
BASH_END = """
_pghot_without_space() {
  _shtab_pghot "$@"
  if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then compopt -o nospace; fi
}
complete -o filenames -F _pghot_without_space pghot
"""


def completion(shell: str) -> str:
    """The text for a shell."""
    parser = build_parser()
    mark(parser)
    functions = {"bash": bash_functions, "zsh": zsh_functions, "fish": fish_functions}[shell]()
    text = shtab.complete(parser, shell, preamble={shell: functions})
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    return text + (BASH_END if shell == "bash" else "")


def main(check: bool) -> int:
    """Make all files."""
    stale = []
    for shell, name in FILES.items():
        path, new = SHARE / name, completion(shell)
        if not path.exists() or path.read_text() != new:
            stale.append(name)
            if not check:
                path.write_text(new)
    print("\n".join(stale))
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
