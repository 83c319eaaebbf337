"""Which columns a line of `perf script` has.

Its columns stand in a fixed order, whatever the order of `-F`: comm, pid/tid, [cpu], misc,
time, period, event, addr, data_src, weights, cgroup, ip, phys_addr, page sizes.  Numbers
are hex without 0x; what they are, the text does not say.  So either the list is known that
`-F` was given, or only layouts are taken that can be read in one way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pghot.errors import InputError

_BEFORE_ADDR = ("flags", "trace", "synth", "bpf-output")
_AFTER_PHYS = ("ipc", "srccode")
FIELDS = (
    *("comm", "tid", "pid", "time", "cpu", "event", "trace", "ip", "sym", "dso", "dsoff"),
    *("addr", "symoff", "srcline", "period", "iregs", "uregs", "brstack", "brstacksym"),
    *("brstackoff", "brstackinsn", "brstackinsnlen", "brstackdisasm", "flags", "bpf-output"),
    *(
        "insn",
        "insnlen",
        "disasm",
        "synth",
        "phys_addr",
        "metric",
        "misc",
        "ipc",
        "tod",
        "srccode",
    ),
    *("data_src", "weight", "data_page_size", "code_page_size", "ins_lat", "retire_lat"),
    *("cgroup", "machine_pid", "vcpu", "callindent"),
)
"""What `perf script -F` knows."""

_ALIASES = {"mem": "data_src", "local_weight": "weight"}
EXAMPLE = "comm,pid,tid,cpu,time,event,addr,phys_addr,data_src"


def parse_fields(text: str) -> tuple[str, ...]:
    """The names in a list as `perf script -F` takes it; InputError where one is none."""
    names = []
    for part in text.split(","):
        name = part.strip().rpartition(":")[2]
        if name.startswith(("+", "-")):
            raise InputError(f"--fields {part}: give the whole list, such as {EXAMPLE}")
        if not name:
            continue
        if name not in FIELDS:
            near = get_close_matches(name, FIELDS, n=1)
            hint = f"; perhaps {near[0]}" if near else ""
            raise InputError(f"--fields {name!r}: no field of perf script -F{hint}")
        names.append(name)
    return tuple(names)


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the columns of numbers, None where that may be or not."""

    event: bool | None = None
    period: bool = False
    time: bool = True


@dataclass(frozen=True, slots=True)
class Body:
    """Which of the numbers are addresses."""

    virtual: bool
    physical: bool
    certain: bool = True
    """Whether --fields said so; else every line is held against it."""
    hidden: bool = False
    """Whether there is a column that may be phys_addr and is 0 throughout."""
    why: str = ""
    """Why there is no address, where there is none."""

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """Groups: virtual address, what stands between, physical address."""
        virtual = rb"([0-9a-f]{1,16}+)(?![^ \t\r\n])" if self.virtual else rb"()"
        if not self.physical:
            return re.compile(rb"^" + virtual + rb"([^\n]*)()$", re.MULTILINE)
        return re.compile(
            rb"^"
            + virtual
            + rb"([^\n]*(?<![^ \t\n]))([0-9a-f]{1,16}+)"
            + rb"(?:[ \t]++(?:[0-9]{1,4}[BKMGT]|N/A)){0,2}+[ \t\r]*$",
            re.MULTILINE,
        )


def of_fields(name: str, fields: Sequence[str], *, ordered: bool) -> tuple[Head, Body]:
    """The columns that a list says are there; InputError where it gives no log."""
    has = {_ALIASES.get(field, field) for field in fields}
    if "addr" not in has and "phys_addr" not in has:
        raise InputError(f"{name}: --fields has neither addr nor phys_addr, so no data address")
    if "time" not in has and not ordered:
        raise InputError(
            f"{name}: --fields has no time; print it too, or give --order-as-time RATE"
        )
    for field in (*_BEFORE_ADDR, *_AFTER_PHYS, "tod"):
        if field in has:
            raise InputError(
                f"{name}: --fields {field}: its text cannot be told from numbers; print without it"
            )
    head = Head(event="event" in has, period="period" in has, time="time" in has)
    return head, Body(virtual="addr" in has, physical="phys_addr" in has)


_ITEM = re.compile(
    rb"[ \t]*+(?:"
    rb"(?P<d>[0-9a-f]{1,16}[ \t]+\|OP [^\n]*\|[A-Z]+[ \t]++"
    rb"(?:N/A|[^ \t\n]*[^0-9a-f \t\n][^ \t\n]*)"
    rb"(?:[ \t](?:or|Addr|Data|hit|miss)\b)*)"
    rb"|(?P<p>(?:[0-9]{1,4}[BKMGT]|N/A)(?![^ \t\r]))"
    rb"|(?P<n>[0-9a-f]{1,16}+)(?![^ \t\r])"
    rb"|(?P<c>/[^ \t]*)(?![^ \t\r])"
    rb"|(?P<s>(?:\[unknown\]|[^ \t\n][^\n]*?\+0x[0-9a-f]+)(?:[ \t]*\([^\n]*?\))?(?![^ \t\r]))"
    rb"|(?P<q>[^\n]*?\([^\n]*?\)(?=[ \t]+[0-9a-f]{1,16}(?:[ \t\r]|$)|[ \t\r]*$))"
    rb")[ \t\r]*+"
)
TRACEPOINT = re.compile(rb"[^ :/]+:(?![ukhGHpPSDIWeb]*:?$)[^ :/]+:?")
_OFFSET = 0xFFF
_NOT_PHYSICAL = 1 << 46
"""No machine has memory there; programs have most of theirs beyond."""


def items(body: bytes) -> list[tuple[str, bytes]] | None:
    """The columns of a line by kind; None where one is of no known kind.

    n a number, d a data_src with its words, s a symbol, c a control group, p a page size.
    """
    found = []
    at = 0
    while at < len(body):
        match = _ITEM.match(body, at)
        if not match or match.end() == at:
            return None
        kind = match.lastgroup or ""
        found.append(("s" if kind == "q" else kind, match[kind].strip()))
        at = match.end()
    return found


def inferred(event: bytes, bodies: Sequence[bytes], addresses: str) -> Body | None:
    """What the columns of an event's samples are; None where they can be read two ways."""
    rows = [items(body.rstrip(b"\r \t")) for body in bodies]
    shapes = {
        "".join(kind for kind, _text in row if kind != "p") for row in rows if row is not None
    }
    why = _without_address(event, shapes, readable=None not in rows)
    if why:
        return Body(virtual=False, physical=False, why=why)
    known = [row for row in rows if row and row[0][0] == "n"]
    if len(known) < len(rows):  # perf prints no page size before an address
        return None
    first = [int(row[0][1], 16) for row in known]
    letters = any(not row[0][1].isdigit() for row in known)
    if not letters and not any(shape.startswith("nd") for shape in shapes):
        return None
    last, is_last = _last_numbers(known)
    if shapes == {"n"}:
        return _single(first, addresses)
    return _several(shapes, first, last, is_last=is_last)


def _without_address(event: bytes, shapes: set[str], *, readable: bool) -> str:
    """Why samples have no data address; nothing where they may have one."""
    if TRACEPOINT.fullmatch(event) and shapes != {""}:
        return "trace text"
    if not readable:
        return ""
    if shapes <= {""}:
        return "no address"
    if all(shape.startswith("d") for shape in shapes):
        return "data_src is not an address"
    return (
        "instruction pointers, or addresses that print the same" if shapes <= {"ns", "s"} else ""
    )


def _single(first: list[int], addresses: str) -> Body | None:
    """A number alone is perf's addr, or its phys_addr, and an address of 32 bits is either's."""
    if addresses != "auto":
        return Body(virtual=addresses == "virtual", physical=addresses == "physical")
    if 1 << 32 <= max(first) < _NOT_PHYSICAL:
        return None
    return Body(virtual=True, physical=False)


def _several(shapes: set[str], first: list[int], last: list[int], *, is_last: bool) -> Body | None:
    pairs = [(one, two) for one, two in zip(first, last, strict=True) if two]
    may_be_ip = shapes <= {"n", "nn", "nsn", "ns"}
    if not is_last:
        return None if may_be_ip else Body(virtual=True, physical=False, certain=False)
    if not pairs:
        return Body(virtual=True, physical=False, certain=False, hidden=True)
    same = all(one == two for one, two in pairs)
    frames = not any(
        (one ^ two) & _OFFSET or one == two or two >= _NOT_PHYSICAL for one, two in pairs
    )
    if frames:
        return Body(virtual=True, physical=True, certain=False)
    beyond = any(two >= _NOT_PHYSICAL for _one, two in pairs)
    if may_be_ip and not same and not beyond:
        return None
    return Body(virtual=True, physical=False, certain=False)


def _last_numbers(rows: list[list[tuple[str, bytes]]]) -> tuple[list[int], bool]:
    """The last number of every row but its first; whether phys_addr may stand there."""
    last = []
    for row in rows:
        rest = [item for item in row if item[0] != "p"]
        if len(rest) < 2 or rest[-1][0] != "n":
            return [0] * len(rows), False
        last.append(int(rest[-1][1], 16))
    return last, True
