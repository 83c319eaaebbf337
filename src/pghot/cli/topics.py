"""What `pghot help` knows, and where in docs/ it stands: there is no second text."""

from __future__ import annotations

import re
from typing import NamedTuple

from pghot.cli.parser import COMMANDS
from pghot.cli.shipped import shipped
from pghot.engine.did_you_mean import perhaps
from pghot.errors import InputError


class Topic(NamedTuple):
    """A heading of a document, or a whole one, and what is there in a few words."""

    words: str
    document: str
    heading: str = ""


TOPICS = {
    "tunables": Topic("names, ranges and what each does", "topics.md", "Tunables"),
    "counters": Topic("what is counted, as metrics name it", "metrics.md", "Counters"),
    "capacity": Topic(
        "how much fast memory, which settings, is it worth it", "capacity.md", "Five questions"
    ),
    "recipes": Topic("how to take a log with other tools", "recipes.md"),
    "sources": Topic("hint faults and hardware hints", "topics.md", "Sources"),
    "tiers": Topic("which node is top tier, and --tiers", "hosts.md", "Which memory is fast"),
    "hosts": Topic("what is made of HBM, GPUs, CXL that is offline, lockdown", "hosts.md"),
    "external": Topic("accesses from other programs", "external.md", "What it takes"),
    "modes": Topic("record layouts and fidelities", "topics.md", "Modes"),
    "defects": Topic("defects of the series, and what is done with each", "defects.md"),
    "safety": Topic(
        "what a run changes on the host, and how it comes back",
        "live.md",
        "What is changed on the host, and how it comes back",
    ),
    "trial": Topic("does it help: promotion on and off in turn", "trial.md", "A trial"),
    "latency": Topic("how soon a hot page can be known", "live.md", "How soon"),
    "logs": Topic("access logs and machine files", "topics.md", "Access logs"),
    "events": Topic("the log of --events", "why.md", "The log"),
    "scenarios": Topic("scenario files of pghot sim", "model.md", "Scenario files"),
    "service": Topic("pghot run under systemd, and its configuration", "service.md"),
    "reload": Topic("what SIGHUP changes", "service.md", "Reload"),
    "keys": Topic("keys of pghot top", "top.md", "Keys"),
    "json": Topic("what --json promises", "topics.md", "JSON"),
    "colour": Topic("when there is colour", "topics.md", "Colour"),
    "exit-status": Topic("0, 1, 2 and others", "topics.md", "Exit status"),
}
"""Topics by the word that `pghot help` takes."""


def text_of(name: str) -> str:
    """The Markdown of a command or topic; InputError with near names where it is none."""
    if name in COMMANDS:
        return document(f"commands/{name}.md")
    if name not in TOPICS:
        hint = perhaps(name, [*TOPICS, *COMMANDS], most=3)
        raise InputError(f"help {name}: no such command or topic; {hint}pghot help lists them")
    topic = TOPICS[name]
    return section(document(topic.document), topic.heading)


def document(name: str) -> str:
    """The text of a file of docs/."""
    return shipped(name, "docs").read_text(encoding="utf-8")


def section(text: str, heading: str) -> str:
    """What stands below a heading, with all that is below it; all where there is none."""
    if not heading:
        return text
    start = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    if start is None:
        raise LookupError(heading)
    end = re.search(rf"^#{{1,{len(start[1])}}} ", text[start.end() :], re.MULTILINE)
    return text[start.start() : start.end() + end.start() if end else None]
