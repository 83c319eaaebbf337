"""Probes of page facts and of moving pages: pagemap, kpageflags, kpagecgroup, move_pages.

Documentation/admin-guide/mm/pagemap.rst, move_pages(2).
"""

from __future__ import annotations

import ctypes
import errno
import os

from pghot.linux.doctor.checks import SUDO, Check, missing, note, works
from pghot.linux.host import Host
from pghot.linux.processes.capabilities import Rights

_PFN_MASK = (1 << 55) - 1
_MOVE = "move_pages"


def probe_pfns(host: Host) -> Check:
    """Read the PFN of a page of our own: without CAP_SYS_ADMIN the kernel says 0."""
    name = "PFNs of pages (pagemap)"
    page_size = host.sysconf("SC_PAGE_SIZE")
    page = _touched(page_size)
    try:
        entry = host.read_at("/proc/self/pagemap", ctypes.addressof(page) // page_size * 8, 8)
    except FileNotFoundError:
        return missing(name, "this kernel has no pagemap (CONFIG_PROC_PAGE_MONITOR)", "", "step")
    except OSError as error:
        return missing(name, f"/proc/self/pagemap: {_words(error)}", SUDO, "step")
    if int.from_bytes(entry, "little") & _PFN_MASK:
        return works(name, "PFNs are shown", "step")
    return missing(name, "PFNs read as 0: no CAP_SYS_ADMIN", SUDO, "step")


def probe_page_facts(host: Host) -> list[Check]:
    """Read the first entry of the files that tell of every page."""
    return [
        _page_file(host, "/proc/kpageflags", "page flags", "CONFIG_PROC_PAGE_MONITOR", "step"),
        _page_file(host, "/proc/kpagecgroup", "cgroups of pages", "CONFIG_MEMCG", ""),
    ]


def _page_file(host: Host, path: str, name: str, option: str, needed_by: str) -> Check:
    name = f"{name} ({path.rpartition('/')[2]})"
    try:
        host.read_at(path, 0, 8)
    except FileNotFoundError:
        return missing(name, f"this kernel has no {path} ({option})", "", needed_by)
    except OSError as error:
        return missing(name, f"{path}: {_words(error)}", SUDO, needed_by)
    return works(name, f"{path} is read", needed_by)


def probe_move_pages(host: Host, rights: Rights) -> list[Check]:
    """Ask where a page of our own is, and whether others' may be moved."""
    page = _touched(host.sysconf("SC_PAGE_SIZE"))
    try:
        status = host.node_of_page(ctypes.addressof(page))
    except OSError as error:
        why = _words(error)
        if error.errno == errno.ENOSYS:
            why = "this kernel moves no pages (CONFIG_NUMA, CONFIG_MIGRATION)"
        return [missing(_MOVE, why, "", "step")]
    if status < 0:
        return [missing(_MOVE, f"of a page of our own: {os.strerror(-status)}", "", "step")]
    return [
        works(_MOVE, f"tells that a page of ours is on node {status}", "step"),
        _others(rights),
    ]


def _touched(size: int) -> ctypes.Array[ctypes.c_char]:
    """Memory of our own that has been written to."""
    return ctypes.create_string_buffer(b"\1" * size, size)


def _others(rights: Rights) -> Check:
    name = f"{_MOVE} of other processes"
    if not rights.has("CAP_SYS_PTRACE"):
        return note(name, "only of your own processes: no CAP_SYS_PTRACE", SUDO)
    if not rights.has("CAP_SYS_NICE"):
        return note(name, "but no page that several processes share: no CAP_SYS_NICE", SUDO)
    return works(name, "pages that several of them share as well, where --move-shared asks for it")


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
