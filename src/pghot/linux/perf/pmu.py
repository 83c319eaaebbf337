"""Performance monitoring units as sysfs describes them, and their events' encodings.

Documentation/ABI/testing/sysfs-bus-event_source-devices-format and -events.  No encoding is
known here: which bits a term goes to, and which terms make an event, the PMU's files say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pghot.engine.lists import parse_list
from pghot.errors import InputError, PghotError
from pghot.linux.host import Host

DEVICES = "/sys/bus/event_source/devices"

WORDS = ("config", "config1", "config2", "config3")
"""The words of perf_event_attr that a PMU's format files may name."""

_FORMAT = re.compile(r"(config[123]?):([0-9,-]+)", re.ASCII)
_RANGE = re.compile(r"([0-9]{1,2})(?:-([0-9]{1,2}))?", re.ASCII)
_EVENT_NAME = re.compile(r"[\w-]+", re.ASCII)


class Bits(NamedTuple):
    """Where a term's value goes: bits of one word, the value's lowest first."""

    word: str
    positions: tuple[int, ...]


class Config(NamedTuple):
    """The config words that encode an event."""

    config: int = 0
    config1: int = 0
    config2: int = 0
    config3: int = 0


@dataclass(frozen=True)
class Pmu:
    """A PMU: its `type` for perf_event_attr, and the content of its files by name.

    `cpus` are those that its events may be opened on, None where any.
    """

    name: str
    type: int
    cpus: tuple[int, ...] | None = None
    format: Mapping[str, Bits] = field(default_factory=dict)
    events: Mapping[str, str] = field(default_factory=dict)
    caps: Mapping[str, str] = field(default_factory=dict)


def pmu_names(host: Host) -> list[str]:
    """The names of all PMUs, sorted."""
    return host.names(DEVICES)


def read_pmu(host: Host, name: str) -> Pmu | None:
    """Read a PMU; None where there is none of that name, PghotError where it makes no sense."""
    base = f"{DEVICES}/{name}"
    number = host.text_or(f"{base}/type")
    if not number:
        return None
    try:
        return Pmu(
            name,
            int(number),
            _cpus(host, base),
            {term: parse_format(text) for term, text in _texts(host, f"{base}/format").items()},
            {
                event: text
                for event, text in _texts(host, f"{base}/events").items()
                if _EVENT_NAME.fullmatch(event)  # leaves out NAME.scale, NAME.unit
            },
            _texts(host, f"{base}/caps"),
        )
    except ValueError as error:
        raise PghotError(f"{base}: {error}") from None


def _texts(host: Host, directory: str) -> dict[str, str]:
    found = {name: host.text_or(f"{directory}/{name}") for name in host.names(directory)}
    return {name: text for name, text in found.items() if text}


def _cpus(host: Host, base: str) -> tuple[int, ...] | None:
    """The CPUs of a core type of a hybrid machine, or those that speak for a package."""
    for name in ("cpus", "cpumask"):
        text = host.text_or(f"{base}/{name}")
        if text:
            return parse_list(text)
    return None


def parse_format(text: str) -> Bits:
    """Read a format file, such as `config:0-7,32-35` or `config1:19`; ValueError."""
    match = _FORMAT.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text.strip()!r}: wants a format such as config:0-7,32-35")
    positions: list[int] = []
    for part in match[2].split(","):
        span = _RANGE.fullmatch(part)
        first, last = (int(span[1]), int(span[2] or span[1])) if span else (1, 0)
        if not first <= last < 64:
            raise ValueError(f"{text.strip()!r}: {part!r} is no range of bits 0-63")
        positions += range(first, last + 1)
    if len(set(positions)) < len(positions):
        raise ValueError(f"{text.strip()!r}: the ranges overlap")
    return Bits(match[1], tuple(positions))


def parse_event(text: str) -> dict[str, int]:
    """Read an event string, such as `event=0xcd,umask=0x1,ldlat=3`; InputError.

    A term without a value is 1.
    """
    terms: dict[str, int] = {}
    for term in text.strip().split(","):
        name, equals, value = (part.strip() for part in term.partition("="))
        try:
            number = int(value, 0) if equals else 1
        except ValueError:
            number = -1
        if not _EVENT_NAME.fullmatch(name) or number < 0:
            raise InputError(f"{text.strip()!r}: {term!r} is no term such as event=0xcd")
        terms[name] = number
    return terms


def encode(pmu: Pmu, terms: Mapping[str, int]) -> Config:
    """Put terms where the PMU's format has them; InputError for one it cannot hold.

    The words themselves are terms too, as perf has it: `config=0x1cd`.
    """
    words = dict.fromkeys(WORDS, 0)
    for term, value in terms.items():
        if term in pmu.format:
            word, positions = pmu.format[term]
        elif term in WORDS:
            word, positions = term, tuple(range(64))
        else:
            known = ", ".join(sorted(pmu.format)) or "nothing"
            raise InputError(f"{pmu.name} has no {term!r}; it has {known}")
        if not 0 <= value < 1 << len(positions):
            raise InputError(f"{pmu.name}: {term}={value:#x} does not fit {len(positions)} bits")
        for bit, position in enumerate(positions):
            words[word] |= (value >> bit & 1) << position
    return Config(**words)
