"""`pghot doctor` never says that a run can work where it then fails, on any host there is."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from pghot.errors import PghotError
from pghot.linux.doctor.doctor import diagnose
from pghot.linux.perf import ring
from pghot.live.cautions import cautions
from pghot.live.machine import HostMachine
from pghot.live.options import LiveOptions
from pghot.live.session import open_session
from pghot.sources.hint_faults import NAME
from tests.linux.host_trees import remove, write
from tests.linux.made_hosts import DEBUGFS, KINDS, MadeHost, made
from tests.live.world import state_in

STATES: dict[str, Callable[[Path], None]] = {
    "as it is": lambda _root: None,
    "no NUMA balancing": lambda root: _without(root, "/proc/sys/kernel/numa_balancing"),
    "no tiering mode": lambda root: _without(
        root, "/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps"
    ),
    "no pace": lambda root: _without(root, f"{DEBUGFS}/sched/numa_balancing/scan_size_mb"),
    "balancing is on": lambda root: write(root, "/proc/sys/kernel/numa_balancing", "3"),
    "no demotion": lambda root: _without(root, "/sys/kernel/mm/numa/demotion_enabled"),
    "a zone without its start": lambda root: write(
        root, "/proc/zoneinfo", "Node 0, zone Normal\n  present 5"
    ),
}


def _without(root: Path, name: str) -> None:
    if (root / name.lstrip("/")).exists():
        remove(root, name)


@pytest.fixture(autouse=True)
def _state_of_the_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state_in(tmp_path / "state", monkeypatch)


def limit_rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no ring be mapped, as the kernel does where the limits leave no page."""

    def refused(_descriptor: int, _length: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(ring.mmap, "mmap", refused)


def can_run(host: MadeHost, tiers: str | None = None) -> bool:
    try:
        return diagnose(host, tiers).can_run
    except PghotError:
        return False


def runs(host: MadeHost, tiers: str | None = None) -> tuple[str, list[str]]:
    """Do what a run does before it waits for accesses: what it failed for, and what it told."""
    try:
        with open_session(host, LiveOptions(everything=True, tiers=tiers)) as session:
            machine = HostMachine(host, session.topology, None)  # type: ignore[arg-type]
            assert machine.lower_tier_pages
            told = cautions(host, session.topology, session.choice, session.targets)
            told += session.take_settings()
            session.guard.restore()
            return "", list(map(str, told))
    except PghotError as error:
        return str(error), []


@pytest.mark.parametrize("state", STATES, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("kind", KINDS)
def test_where_the_doctor_says_that_a_run_can_work_it_does(
    kind: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = made(kind, tmp_path / "host")
    STATES[state](host.root)
    if kind == "locked_memory":
        limit_rings(monkeypatch)
    says = can_run(host)
    host.opened.clear()
    failed, _told = runs(host)
    assert says == (not failed), failed
    assert "\n" not in failed


@pytest.mark.parametrize("kind", ["one_tier", "hbm_as_dax_kmem_has_it", "three_tiers"])
def test_with_tiers_of_the_user_too(kind: str, tmp_path: Path) -> None:
    host = made(kind, tmp_path / "host")
    tiers = {"one_tier": "0/1", "hbm_as_dax_kmem_has_it": "2-3/0-1", "three_tiers": "0-1/2/3"}
    says = can_run(host, tiers[kind])
    host.opened.clear()
    assert says == (not runs(host, tiers[kind])[0])


def test_under_lockdown_a_run_goes_on_at_the_kernels_pace_and_says_so(tmp_path: Path) -> None:
    host = made("secure_boot", tmp_path / "host")
    failed, told = runs(host)
    assert failed == ""
    (line,) = [line for line in told if "pace" in line]
    assert line == (
        f"{DEBUGFS}/sched/numa_balancing/scan_delay_ms: cannot be set to 100: Operation not "
        "permitted (kernel lockdown: integrity): the kernel's own pace, so hot pages are known "
        "later"
    )


def test_a_run_whose_ring_is_refused_says_which_limit_and_who_raises_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_rings(monkeypatch)
    failed, _told = runs(made("locked_memory", tmp_path / "host"))
    assert failed == (
        "no memory for a perf ring (Operation not permitted): kernel.perf_event_mlock_kb is 4 "
        "(root raises it by sysctl), the limit on locked memory 0 KiB (ulimit -l, or "
        "LimitMEMLOCK= of a unit); with CAP_IPC_LOCK neither counts"
    )


def test_a_run_without_descriptors_says_how_many_it_needs(tmp_path: Path) -> None:
    failed, _told = runs(made("few_descriptors", tmp_path / "host"))
    assert failed.startswith("Too many open files: perf events need 400 descriptors, the hard")


def test_a_run_on_a_patched_kernel_says_which_right_it_wants(tmp_path: Path) -> None:
    failed, _told = runs(made("paranoid_4", tmp_path / "host"))
    assert "wants CAP_SYS_ADMIN, not CAP_PERFMON: sudo sysctl" in failed


def test_balancing_between_sockets_goes_on_during_a_run(tmp_path: Path) -> None:
    host = made("balancing_between_sockets", tmp_path / "host")
    name = "/proc/sys/kernel/numa_balancing"
    with open_session(host, LiveOptions(everything=True)) as session:
        session.take_settings()
        assert host.text(name) == "3"
    assert host.text(name) == "1"


def test_hint_faults_are_no_source_where_the_kernel_takes_none(tmp_path: Path) -> None:
    failed, _told = runs(made("one_tier_with_hmat", tmp_path / "one"))
    assert failed.startswith("nothing shows accesses here: no hint faults: the kernel has node 1")
    host = made("one_tier_with_a_pmu", tmp_path / "two")
    with open_session(host, LiveOptions(everything=True)) as session:
        assert session.choice.names == ("hwhint",)
        assert session.take_settings() == []
    with (
        pytest.raises(PghotError, match="source hintfault: the kernel has node 1 in its top tier"),
        open_session(host, LiveOptions(everything=True, sources=(NAME,))),
    ):
        pass


def test_a_target_that_runs_a_guest_is_told(tmp_path: Path) -> None:
    _failed, told = runs(made("kvm_host", tmp_path / "host"))
    assert [line for line in told if line.startswith("process 4711 runs a KVM guest")]
    _failed, told = runs(made("two_tier", tmp_path / "other"))
    assert not [line for line in told if "KVM" in line]


def test_what_contradicts_itself_is_told_before_a_run(tmp_path: Path) -> None:
    _failed, told = runs(made("hbm_as_dax_kmem_has_it", tmp_path / "host"))
    assert [line for line in told if line.startswith("node 2: lower tier by the kernel")]


def test_rings_of_64_kib_pages_are_as_large_in_bytes(tmp_path: Path) -> None:
    with open_session(made("arm64", tmp_path / "host"), LiveOptions(everything=True)) as session:
        (source,) = session.sources
        rings = [on.ring for on in source._rings._on.values()]  # type: ignore[attr-defined]
        assert {ring.pages for ring in rings} == {16}
