"""A probe of a kernel function samples its arguments, or what it returns, by its registers."""

from __future__ import annotations

import pytest

from pghot.errors import PghotError
from pghot.linux.host import Host
from pghot.linux.perf import kprobe
from tests.linux.host_trees import write

SI, DX, AX = 4, 3, 0
"""Numbers of registers (arch/x86/include/uapi/asm/perf_regs.h)."""


@pytest.fixture
def host(tmp_path, monkeypatch) -> Host:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    write(tmp_path, kprobe.PMU, "8")
    return Host(tmp_path)


def test_at_the_entry_two_arguments_stand_as_its_addresses(host) -> None:
    probe = kprobe.at_entry(host, "change_prot_numa", 1, 2)
    assert (probe.event.type, probe.event.config) == (8, 0)
    assert probe.event.sample_regs_intr == 1 << SI | 1 << DX
    assert probe.layout.addr == probe.layout.phys + 1 == probe.layout.words - 1


def test_at_the_return_what_is_returned_stands_as_its_address(host) -> None:
    probe = kprobe.at_return(host, "change_prot_numa")
    assert probe.event.config == kprobe.RETPROBE
    assert probe.event.sample_regs_intr == 1 << AX
    assert probe.layout.addr == probe.layout.words - 1


def test_where_it_is_not_known_which_registers_those_are_there_is_none(host, monkeypatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    for make in (lambda: kprobe.at_entry(host, "f", 0, 1), lambda: kprobe.at_return(host, "f")):
        with pytest.raises(PghotError, match="riscv64"):
            make()
