"""What a process has mapped is read as proc_pid_maps(5) has it."""

from __future__ import annotations

from pghot.linux.host import Host
from pghot.linux.processes.maps import Mapping, mappings_of
from tests.linux.host_trees import write

MAPS = """\
55e0c3a00000-55e0c3a28000 r--p 00000000 08:01 1835009                    /usr/bin/a program
55e0c4b1d000-55e0c4b3e000 rw-p 00000000 00:00 0                          [heap]
7f1c40000000-7f1c40021000 rw-p 00000000 00:00 0
7f1c40021000-7f1c44000000 ---p 00000000 00:00 0
7f1c46a00000-7f1c46a28000 r-xp 00000000 08:01 1835410                    /lib/libc.so.6 (deleted)
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_mappings_have_their_names_and_those_without_rights_are_left_out(tmp_path):
    write(tmp_path, "/proc/7/maps", MAPS)
    assert list(mappings_of(Host(tmp_path), 7)) == [
        Mapping(0x55E0C3A00000, 0x55E0C3A28000, "/usr/bin/a program"),
        Mapping(0x55E0C4B1D000, 0x55E0C4B3E000, "[heap]"),
        Mapping(0x7F1C40000000, 0x7F1C40021000, ""),
        Mapping(0x7F1C46A00000, 0x7F1C46A28000, "/lib/libc.so.6 (deleted)"),
        Mapping(0xFFFFFFFFFF600000, 0xFFFFFFFFFF601000, "[vsyscall]"),
    ]


def test_a_process_that_is_gone_has_none(tmp_path):
    assert list(mappings_of(Host(tmp_path), 7)) == []
