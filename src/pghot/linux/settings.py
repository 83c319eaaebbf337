"""Which host settings may be changed, and when two readings of one are the same value."""

from __future__ import annotations

import posixpath

ALLOWED = ("/proc/sys/", "/sys/kernel/debug/sched/", "/sys/kernel/mm/numa/")
"""Below these lies all that is ever written: sysctls, the scan's pace, demotion."""

NUMA_BALANCING = "/proc/sys/kernel/numa_balancing"
RATE_LIMIT = "/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps"
SCAN = "/sys/kernel/debug/sched/numa_balancing"
SCAN_SYSCTL = "/proc/sys/kernel/numa_balancing_"
"""Where kernels before 5.13 have the scan's pace: a prefix of sysctls."""

_WORDS = {"y": "1", "true": "1", "on": "1", "n": "0", "false": "0", "off": "0"}


def check_allowed(name: str) -> None:
    """Refuse a file that is no setting of ours, or is DAMON's; ValueError.

    Other tools drive DAMON: nothing of it is ever written.
    """
    if posixpath.normpath(name) != name or not name.startswith(ALLOWED):
        raise ValueError(f"{name}: not among the host settings that may be changed")
    if "damon" in name.lower():
        raise ValueError(f"{name}: DAMON's settings are never changed")


def same_value(left: str, right: str) -> bool:
    """Tell whether two texts say the same: `1` and `true`, `0x10` and `16`, spaces apart."""
    return _plain(left) == _plain(right)


def _plain(text: str) -> list[str]:
    return [_plain_word(word) for word in text.split()]


def _plain_word(word: str) -> str:
    word = _WORDS.get(word.lower(), word)
    try:
        return str(int(word, 10 if word.lstrip("+-").isdecimal() else 0))
    except ValueError:
        return word
