"""Which host settings may be changed, and when two readings of one are the same value."""

from __future__ import annotations

NUMA_BALANCING = "/proc/sys/kernel/numa_balancing"
RATE_LIMIT = "/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps"
TIERING, BOTH = "2", "3"
"""Values of numa_balancing: NUMA_BALANCING_MEMORY_TIERING, alone and beside _NORMAL (1), which
moves pages between sockets."""

SCAN = "/sys/kernel/debug/sched/numa_balancing"
SCAN_SYSCTL = "/proc/sys/kernel/numa_balancing_"
"""Where kernels before 5.13 have the scan's pace: a prefix of sysctls."""

CHANGED = (
    NUMA_BALANCING,
    RATE_LIMIT,
    f"{SCAN}/scan_delay_ms",
    f"{SCAN}/scan_period_min_ms",
    f"{SCAN}/scan_period_max_ms",
    f"{SCAN}/scan_size_mb",
)
"""All settings of a host that are ever written, by a run or by `pghot restore`."""

_WORDS = {"y": "1", "true": "1", "on": "1", "n": "0", "false": "0", "off": "0"}


def check_allowed(name: str) -> None:
    """Refuse a file that is no setting of ours; ValueError."""
    if name not in CHANGED:
        raise ValueError(f"{name}: not among the host settings that may be changed")


def same_value(left: str, right: str) -> bool:
    """Whether two texts say the same: `1` and `true`, `0x10` and `16`, spaces apart."""
    return _plain(left) == _plain(right)


def _plain(text: str) -> list[str]:
    return [_plain_word(word) for word in text.split()]


def _plain_word(word: str) -> str:
    word = _WORDS.get(word.lower(), word)
    try:
        return str(int(word, 10 if word.lstrip("+-").isdecimal() else 0))
    except ValueError:
        return word
