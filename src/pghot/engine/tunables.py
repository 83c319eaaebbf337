"""Tunables with the kernel's names, defaults, ranges and parsing (R5; patches 3-5; v8: R12).

Three parsers, each the one that the kernel uses behind the file:
- pghot's own debugfs files: at most 15 characters, then kstrtouint;
- debugfs u32 files: kstrtoull, any base;
- sysctls: proc_dointvec_minmax, any base, 0 to INT_MAX.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from errno import EINVAL, ENOENT, EOPNOTSUPP
from typing import TYPE_CHECKING, Protocol

from pghot.engine.did_you_mean import perhaps
from pghot.engine.errors import TunableError
from pghot.engine.fidelity import Fidelity
from pghot.engine.units import MSEC_PER_SEC, NID_MAX

if TYPE_CHECKING:
    from pghot.engine.layout import Layout

NUMA_BALANCING_MEMORY_TIERING = 2
INT_MAX = (1 << 31) - 1
UINT_MAX = (1 << 32) - 1
ALL_SOURCES = 0b11
EXPIRY_SLACK = 3 << 7
"""Jiffies that the improved engine keeps free between a window and the wrap: three buckets,
one for the sweep's period and two for the rounding of an age's ends (see `ageing`)."""


@dataclass(frozen=True, slots=True)
class Tunable:
    """One tunable: where the kernel shows it, how its text is read, what it accepts."""

    name: str
    where: str
    parse: Callable[[str], int]
    accepts: str


def kstrtouint(text: str, base: int) -> int:
    """Read an unsigned 32-bit number as the kernel's kstrtouint; ValueError otherwise.

    A leading plus and one trailing newline are allowed; base 0 knows 0x and a leading 0.
    """
    digits = text.removeprefix("+").removesuffix("\n")
    value = _parse_integer(digits, base)
    if value > UINT_MAX:
        raise ValueError("does not fit in 32 bits")
    return value


def debugfs_text(base: int) -> Callable[[str], int]:
    """The parser of pghot's own debugfs files: 15 characters count, the rest is cut."""
    return lambda text: kstrtouint(text[:15], base)


def dointvec(text: str) -> int:
    """Read a sysctl as proc_dointvec_minmax with a minimum of 0 does; ValueError otherwise.

    White space may surround the number; what follows further on is ignored.
    """
    match = re.match(r"[ \t\n\v\f\r]*(-?)([0-9][^ \t\n]*)(?:[ \t\n]|$)", text)
    if not match or len(match[0].strip()) > 20:
        raise ValueError("is no number")
    value = _parse_integer(match[2], 0)
    if value > INT_MAX or (match[1] and value):
        raise ValueError(f"is not within 0..{INT_MAX}")
    return value


def _parse_integer(digits: str, base: int) -> int:
    if base == 0:
        hexadecimal = re.match(r"0[xX][0-9a-fA-F]", digits)
        base = 16 if hexadecimal else 8 if digits.startswith("0") else 10
    if base == 16:
        digits = re.sub(r"^0[xX]", "", digits)
    allowed = {8: "[0-7]+", 10: "[0-9]+", 16: "[0-9a-fA-F]+"}[base]
    if not re.fullmatch(allowed, digits, re.ASCII) or len(digits) > 64:
        raise ValueError("is no number")
    return int(digits, base)


_TABLE = (
    Tunable(
        "enabled_sources",
        "debugfs pghot/",
        debugfs_text(0),
        "bits 0x1 (hint faults) and 0x2 (hardware hints)",
    ),
    Tunable("target_nid", "debugfs pghot/", debugfs_text(10), "an online top-tier node"),
    Tunable("freq_threshold", "debugfs pghot/", debugfs_text(10), ""),
    Tunable("kmigrated_sleep_ms", "debugfs pghot/", lambda text: kstrtouint(text, 0), "u32"),
    Tunable("kmigrated_batch_nr", "debugfs pghot/", lambda text: kstrtouint(text, 0), "u32"),
    Tunable("pghot_promote_freq_window_ms", "sysctl vm.", dointvec, f"0..{INT_MAX}"),
    Tunable("pghot_promote_rate_limit_MBps", "sysctl vm.", dointvec, f"0..{INT_MAX}"),
    Tunable("numa_balancing_promote_rate_limit_MBps", "sysctl vm.", dointvec, f"0..{INT_MAX}"),
    Tunable("numa_balancing", "sysctl kernel.", dointvec, "0..4"),
)
TUNABLES = {tunable.name: tunable for tunable in _TABLE}
_V8_TABLE = (
    Tunable(
        "enabled_sources",
        "sysctl vm.pghot_",
        dointvec,
        "bits 0x1 (hint faults) and 0x2 (hardware hints)",
    ),
    Tunable("target_nid", "sysctl vm.pghot_", dointvec, "an online top-tier node"),
    Tunable("freq_threshold", "sysctl vm.pghot_", dointvec, ""),
    Tunable("kmigrated_sleep_ms", "debugfs pghot/", debugfs_text(0), "50..1000"),
    Tunable("kmigrated_batch_nr", "debugfs pghot/", debugfs_text(0), "64..1024"),
    Tunable("pghot_promote_freq_window_ms", "sysctl vm.", dointvec, ""),
    Tunable("pghot_promote_rate_limit_MBps", "sysctl vm.", dointvec, f"0..{INT_MAX}"),
    Tunable("numa_balancing_promote_rate_limit_MBps", "sysctl kernel.", dointvec, f"0..{INT_MAX}"),
    Tunable("numa_balancing", "sysctl kernel.", dointvec, "0..4"),
)
V8_TUNABLES = {tunable.name: tunable for tunable in _V8_TABLE}
"""The same by v8's files; `where` and the name together are the name that v8 has (R12.5)."""

V8_SLEEP_MS = (50, 1000)
V8_BATCH_NR = (64, 1024)
V8_LEAST_WINDOW_MS = 1000
ALIASES = {"numa_balancing_promote_rate_limit_MBps": "pghot_promote_rate_limit_MBps"}
"""Second names of tunables."""


def tunables_of(fidelity: Fidelity) -> Mapping[str, Tunable]:
    """The tunables of a fidelity by name; all have the same names in the same order."""
    return V8_TUNABLES if fidelity.v8_files else TUNABLES


def v8_window_ms(layout: Layout) -> tuple[int, int]:
    """The shortest and the longest window that v8 takes (PGHOT_FREQ_WINDOW_MIN, _MAX).

    The longest is the largest time of a record taken for milliseconds, whatever HZ is.
    """
    return V8_LEAST_WINDOW_MS, layout.time_max << layout.time_bucket_shift


class Tiers(Protocol):
    """What tunables ask of a machine; any `memory.Memory` answers it."""

    def nodes(self) -> Sequence[int]:
        """Ids of the nodes that have memory (N_MEMORY), ascending."""

    def node_online(self, nid: int) -> bool:
        """Whether the node is online; False for an id that names none."""

    def node_is_toptier(self, nid: int) -> bool:
        """Whether the node is in the top tier; False for an id that names none."""


class Tunables:
    """The present values, and writes that are checked as the kernel checks them.

    `tiering` False stands for a kernel without CONFIG_NUMA_BALANCING_TIERING.
    """

    def __init__(
        self,
        memory: Tiers,
        layout: Layout,
        hz: int,
        fidelity: Fidelity,
        *,
        tiering: bool = True,
    ) -> None:
        self._memory = memory
        self._layout = layout
        self._hz = hz
        self._fidelity = fidelity
        self._tiering = tiering
        self._values = {
            "enabled_sources": 1 if fidelity.v8_files else 0,
            "target_nid": self._default_target(),
            "freq_threshold": 2,
            "kmigrated_sleep_ms": 100,
            "kmigrated_batch_nr": 512,
            "pghot_promote_freq_window_ms": self._default_window(),
            "pghot_promote_rate_limit_MBps": 65536,
            "numa_balancing": 0,
        }
        self._checks: dict[str, Callable[[int], None]] = {
            "enabled_sources": self._check_sources,
            "target_nid": self._check_target,
            "freq_threshold": self._check_threshold,
            "pghot_promote_freq_window_ms": self._check_window,
            "numa_balancing": self._check_numa_balancing,
        }
        self._tunables = tunables_of(fidelity)
        if fidelity.v8_files:
            self._checks |= {
                "kmigrated_sleep_ms": _within(*V8_SLEEP_MS),
                "kmigrated_batch_nr": _within(*V8_BATCH_NR),
                "pghot_promote_freq_window_ms": _within(*v8_window_ms(layout)),
            }

    def __getitem__(self, name: str) -> int:
        return self._values[ALIASES.get(name, name)]

    def __iter__(self) -> Iterator[str]:
        return iter(TUNABLES)

    def as_dict(self) -> dict[str, int]:
        """Every tunable's value, aliases too."""
        return {name: self[name] for name in TUNABLES}

    def read(self, name: str) -> str:
        """What a read of the file gives, newline and all; TunableError for no such name."""
        return f"{self[self._tunable(name).name]}\n"

    def write(self, name: str, text: str) -> None:
        """Set a tunable from text as the kernel does; TunableError says why it refuses."""
        tunable = self._tunable(name)
        try:
            value = tunable.parse(text)
            check = self._checks.get(name)
            if check:
                check(value)
        except TunableError:
            raise
        except ValueError as error:
            shown = text if len(text) <= 40 else text[:40] + "..."
            raise TunableError(EINVAL, f"{name}: {shown!r} {error}") from error
        self._values[ALIASES.get(name, name)] = value

    def _tunable(self, name: str) -> Tunable:
        if name not in TUNABLES:
            known = f"{perhaps(name, TUNABLES)}there are {', '.join(TUNABLES)}"
            raise TunableError(ENOENT, f"{name:.60}: no such tunable; {known}")
        return self._tunables[name]

    def _default_target(self) -> int:
        """PGHOT_DEFAULT_NODE is node 0, whatever its tier (defect 16)."""
        if not self._fidelity.check_target:
            return 0
        return next((nid for nid in self._memory.nodes() if self._promotable(nid)), 0)

    def _default_window(self) -> int:
        if not self._fidelity.expire_records:
            return self._layout.default_window_ms
        return min(self._layout.default_window_ms, self._longest_window())

    def _longest_window(self) -> int:
        """Milliseconds of the longest window whose end a record can tell."""
        return (self._layout.wrap - EXPIRY_SLACK) * MSEC_PER_SEC // self._hz

    def _promotable(self, nid: int) -> bool:
        return self._memory.node_online(nid) and self._memory.node_is_toptier(nid)

    def _check_sources(self, value: int) -> None:
        if value & ~ALL_SOURCES:
            raise ValueError("has bits other than 0x1 (hint faults) and 0x2 (hardware hints)")

    def _check_target(self, nid: int) -> None:
        if nid > NID_MAX or not self._promotable(nid):
            raise ValueError("is not an online top-tier node")

    def _check_threshold(self, value: int) -> None:
        if not 1 <= value <= self._layout.freq_max:
            raise ValueError(f"is not within 1..{self._layout.freq_max}")

    def _check_window(self, value: int) -> None:
        """Refuse, where records expire, a window that the time field cannot tell apart."""
        if self._fidelity.expire_records and value > self._longest_window():
            raise ValueError(
                f"is longer than a {self._layout.name} record can tell: "
                f"{self._longest_window()} ms at HZ={self._hz}"
            )

    def _check_numa_balancing(self, value: int) -> None:
        if value > 4:
            raise ValueError("is not within 0..4")
        if value & NUMA_BALANCING_MEMORY_TIERING and not self._tiering:
            raise TunableError(
                EOPNOTSUPP, "numa_balancing: memory tiering is not built in (EOPNOTSUPP)"
            )


def _within(least: int, most: int) -> Callable[[int], None]:
    """A check that refuses what is outside of a range."""

    def check(value: int) -> None:
        if not least <= value <= most:
            raise ValueError(f"is not within {least}..{most}")

    return check
