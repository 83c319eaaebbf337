"""`pghot topology`, `pghot doctor` and `pghot restore` on recorded hosts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pghot.linux.guard.lock import default_state_dir
from pghot.linux.nodes.topology import Topology
from pghot.log.machine import Machine
from tests.linux import host_trees as trees
from tests.linux import made_hosts
from tests.linux.test_guard import left, line
from tests.log.made import Run

RATE_LIMIT = "/proc/sys/kernel/numa_balancing_promote_rate_limit_MBps"
On = Callable[[Callable[[Path], None]], trees.RecordedHost]


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> On:
    """Let commands find themselves on a recorded host, with a state directory of its own."""

    def on(make: Callable[[Path], None]) -> trees.RecordedHost:
        host = trees.host(make, tmp_path / "host")
        monkeypatch.setattr("pghot.linux.host.Host", lambda: host)
        monkeypatch.setattr("pghot.linux.guard.lock.STATE_DIR", tmp_path / "state")
        for module in ("lock", "settings_guard"):
            monkeypatch.setattr(
                f"pghot.linux.guard.{module}.default_state_dir", lambda: tmp_path / "state"
            )
        return host

    monkeypatch.setenv("COLUMNS", "80")
    return on


def become_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("pghot.linux.guard.lock.default_state_dir", default_state_dir)


def words(text: str) -> str:
    return " ".join(text.split())


def test_topology_writes_a_machine_file_that_reads_back(on: On, run: Run, tmp_path: Path) -> None:
    on(trees.two_tier)
    path = tmp_path / "machine.toml"
    assert run("topology", "-o", path).status == 0
    machine = Machine.load(path)
    assert [node.toptier for node in machine.nodes] == [True, False]
    assert machine.hz == 250
    assert machine.latency_ns[1] == 400
    assert "exists already" in run("topology", "-o", path).refusal()


def test_topology_shows_nodes_tiers_and_why(on: On, run: Run) -> None:
    on(trees.two_tier)
    done = run("topology")
    assert (done.status, done.err) == (0, "")
    for part in (
        "0 top 0-1 1,023.6 MiB 511.8 MiB 10 50",
        "1 lower none 2.0 GiB 1.0 GiB 50 10",
        "node 0: top tier: memory_tier4, the slowest with CPUs",
        "node 1: lower tier: memory_tier112, below memory_tier4, the slowest with CPUs",
        "ns ns MB/s MB/s",
        "1 0 400 400 20,480 20,480",
        "demotion off; pages of 4 KiB; CONFIG_HZ 250",
    ):
        assert part in words(done.out)
    assert max(map(len, done.out.splitlines())) <= 80


def test_topology_of_a_host_that_tells_little(on: On, run: Run) -> None:
    on(trees.old)
    out = words(run("topology").out)
    assert "demotion not in this kernel; pages of 4 KiB; CONFIG_HZ not told here" in out
    assert "MB/s" not in out


def test_topology_shows_what_a_speed_lacks_and_both_classes_where_they_differ(
    on: On, run: Run
) -> None:
    host = on(trees.cxl)
    trees.remove(host.root, "/sys/devices/system/node/node5/access0/initiators/write_latency")
    out = words(run("topology").out)
    assert "4 0 250 250 30,000 30,000 4 0 255 255 30,000 30,000" in out
    assert "5 1 250 not told 30,000 30,000" in out


def test_topology_suggests_tiers_where_the_kernel_sees_one(on: On, run: Run) -> None:
    on(made_hosts.one_tier)
    assert "pghot topology --tiers 0/1" in run("topology").out
    assert "node 1: lower tier: group 2 of --tiers" in run("topology", "--tiers", "0/1").out


def test_topology_tells_what_contradicts_itself(on: On, run: Run) -> None:
    on(made_hosts.hbm_as_dax_kmem_has_it)
    out = words(run("topology").out)
    assert "contradiction: node 2: lower tier by the kernel (memory_tier22" in out


def test_topology_leaves_gpus_out(on: On, run: Run) -> None:
    on(made_hosts.grace_hopper_with_cxl)
    assert "node 1: no tier: memory of the GPU 0000:04:00.0: left out" in run("topology").out


def test_topology_names_offline_memory_and_the_command(on: On, run: Run) -> None:
    on(made_hosts.cxl_partly_offline)
    assert (
        "node 1: memory block 130 offline; to bring online: echo online_movable | sudo tee "
        "/sys/devices/system/memory/memory130/state"
    ) in run("topology").out


def test_topology_as_json_is_the_topology(on: On, run: Run) -> None:
    on(trees.cxl)
    done = run("topology", "--json")
    topology = Topology.from_dict(json.loads(done.out))
    assert topology.slow == (4, 5)


@pytest.mark.parametrize("command", ["topology", "doctor"])
def test_wrong_tiers_are_one_line(command: str, on: On, run: Run) -> None:
    on(trees.cxl)
    refusal = run(command, "--tiers", "0,1/2").refusal()
    assert refusal == "--tiers 0,1/2: there is no node 2; nodes here: 0-1,4-5"


def test_doctor_gives_0_where_a_run_can_work(on: On, run: Run) -> None:
    on(trees.two_tier)
    done = run("doctor")
    assert (done.status, done.err) == (0, "")
    assert done.out.endswith("pghot run can work here, by hint faults\n")
    assert "hardware samples missing this virtual machine has no PMU" in words(done.out)


def test_doctor_gives_1_and_the_first_missing_thing_and_commands(on: On, run: Run) -> None:
    host = on(trees.two_tier)
    trees.write(host.root, "/proc/self/status", trees.USER_STATUS)
    host.pfn = 0
    done = run("doctor")
    assert (done.status, done.err) == (1, "")
    assert "NUMA balancing: sudo pghot run\n" in done.out
    assert done.out.splitlines()[-1] == (
        "pghot run cannot work here; first missing: NUMA balancing: numa_balancing is 0; "
        "only root with CAP_SYS_ADMIN may set it"
    )


def test_doctor_as_json(on: On, run: Run) -> None:
    on(trees.plain)
    done = run("doctor", "--json")
    assert done.status == 1
    assert json.loads(done.out)["first_missing"] == "a slow node"


def test_restore_puts_back_and_says_so(on: On, run: Run, tmp_path: Path) -> None:
    host = on(trees.two_tier)
    left(host.root, tmp_path / "state", line(RATE_LIMIT, "65536", "0"))
    host.write(RATE_LIMIT, "0    ")
    assert run("restore").out == f"{RATE_LIMIT}: 65536 again\n"
    assert host.text(RATE_LIMIT) == "65536"
    done = run("restore")
    assert (done.status, done.out, done.err) == (0, "nothing to put back\n", "")


def test_restore_as_json(on: On, run: Run) -> None:
    on(trees.two_tier)
    done = run("restore", "--json")
    assert json.loads(done.out) == {
        "back": {}, "left_alone": {}, "gone": [], "failed": {}, "unmounted": [],
        "still_mounted": {},
    }  # fmt: skip


def test_restore_gives_1_and_one_line_where_something_could_not_be_put_back(
    on: On, run: Run, tmp_path: Path
) -> None:
    host = on(trees.two_tier)
    left(host.root, tmp_path / "state", line(RATE_LIMIT, "65536", "0"))
    host.write(RATE_LIMIT, "0    ")
    host.write = lambda *_: None  # type: ignore[method-assign]
    assert run("restore").refusal(1) == (
        f"{RATE_LIMIT}: not put back: reads 0 after 65536 was written"
    )


def test_a_user_is_told_that_root_left_something(
    on: On, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = on(trees.two_tier)
    left(host.root, tmp_path / "state", line(RATE_LIMIT, "65536", "0"))
    become_a_user(monkeypatch)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    assert run("restore").refusal(1).endswith("/journal: left by root: sudo pghot restore")


def test_a_user_without_a_session_is_told_to_be_root(
    on: On, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    on(trees.two_tier)
    become_a_user(monkeypatch)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert run("restore").refusal(1).endswith("run as root (sudo)")


def test_state_lies_in_run_for_root_and_in_the_session_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_state_dir() == Path("/run/pghot")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert default_state_dir() == Path("/run/user/1000/pghot")
