import pytest

from pghot.errors import InputError, PghotError
from pghot.linux.host import Host
from pghot.sources.choose import Choice, choose
from pghot.sources.hint_faults import NUMA_BALANCING, RATE_LIMIT
from tests.linux.perf_rig import machine, put


def host(tmp_path, name, *, balancing=True):
    if balancing:
        put(tmp_path, NUMA_BALANCING, "0")
        put(tmp_path, RATE_LIMIT, "65536")
    return Host(machine(tmp_path, name))


def test_a_virtual_machine_falls_back_to_hint_faults(tmp_path):
    assert choose(host(tmp_path, "virtual")) == Choice(
        ("hintfault",),
        "hint faults: NUMA balancing in tiering mode; no hardware sampling: "
        "no PMU with memory events (a virtual machine usually has none)",
    )


def test_all_that_is_there_is_taken_unless_told_otherwise(tmp_path):
    assert choose(host(tmp_path, "intel_hybrid")) == Choice(
        ("hintfault", "hwhint"),
        "hint faults: NUMA balancing in tiering mode; hardware sampling: "
        "cpu_atom mem-loads and mem-stores and cpu_core mem-loads and mem-stores",
    )


def test_what_was_not_asked_for_is_left_out(tmp_path):
    assert choose(host(tmp_path, "amd_zen4"), ["hwhint"]) == Choice(
        ("hwhint",),
        "no hint faults: not asked for; hardware sampling: AMD IBS, misses of the last cache",
    )


def test_a_kernel_without_numa_balancing_is_named(tmp_path):
    assert choose(host(tmp_path, "amd_zen4", balancing=False)).reason.startswith(
        "no hint faults: this kernel has no NUMA balancing (CONFIG_NUMA_BALANCING); "
    )


def test_numa_balancing_without_a_rate_limit_would_promote_by_itself(tmp_path):
    put(tmp_path, NUMA_BALANCING, "0")
    with pytest.raises(PghotError, match="no tiering mode with a rate limit"):
        choose(host(tmp_path, "virtual", balancing=False), ["hintfault"])


def test_a_source_that_is_wanted_and_not_there_is_an_error(tmp_path):
    with pytest.raises(PghotError, match="source hwhint: no PMU"):
        choose(host(tmp_path, "virtual"), ["hintfault", "hwhint"])


def test_a_host_that_shows_nothing_says_both_reasons(tmp_path):
    with pytest.raises(PghotError, match=r"no NUMA balancing.*no PMU"):
        choose(host(tmp_path, "virtual", balancing=False))


def test_a_name_that_is_no_source_is_refused(tmp_path):
    with pytest.raises(InputError, match="there are hintfault, hwhint, external:PATH"):
        choose(host(tmp_path, "virtual"), ["damon"])
