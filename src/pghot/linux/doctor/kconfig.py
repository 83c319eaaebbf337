"""The options that the running kernel was built with, where it or its package tells them."""

from __future__ import annotations

import gzip
import re
import zlib

from pghot.linux.host import Host

_LARGEST = 1 << 22
_RELEASE = re.compile(r"[\w.+~-]+")
"""What a release is called, as a part of a path."""


def read_kconfig(host: Host) -> dict[str, str] | None:
    """The CONFIG_ options that are set, by name; None where the host does not tell.

    From /proc/config.gz (CONFIG_IKCONFIG_PROC), else from the file of the kernel's package.
    """
    lines = _text(host).splitlines()
    options = (line.partition("=") for line in lines if line.startswith("CONFIG_"))
    return {name: value.strip('"') for name, _, value in options} or None


def read_hz(host: Host) -> int | None:
    """CONFIG_HZ, which user space sees nowhere else, or None where it is not told."""
    found = re.search(r"^CONFIG_HZ=([0-9]+)$", _text(host), re.MULTILINE)
    return int(found[1]) if found else None


def _text(host: Host) -> str:
    release = host.text_or("/proc/sys/kernel/osrelease")
    text = _packed(host, "/proc/config.gz")
    for name in (f"/boot/config-{release}", f"/lib/modules/{release}/config"):
        text = text or (host.text_or(name) if _RELEASE.fullmatch(release) else "")
    return text


def _packed(host: Host, name: str) -> str:
    try:
        return gzip.decompress(host.read_at(name, 0, _LARGEST)).decode(errors="replace")
    except (OSError, EOFError, zlib.error):
        return ""
