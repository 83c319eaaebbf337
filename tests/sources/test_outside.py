"""Sources of somebody's own package: found by name, and imported only where one is named."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import numpy as np
import pytest

from pghot.errors import InputError
from pghot.linux.host import Host
from pghot.sources import registry
from pghot.sources.choose import choose
from pghot.sources.hint_faults import NUMA_BALANCING, RATE_LIMIT
from pghot.sources.live_source import LiveSource, Samples, SourceCounts
from tests.linux.perf_rig import machine, put


class Monitor(LiveSource):
    """The least that a source is."""

    name = "hwhint"

    def __init__(self) -> None:
        self.counts = SourceCounts()

    def drain(self) -> Samples:
        none = np.zeros(0, np.int64)
        return Samples(*[none] * 7)


def module(**names) -> ModuleType:
    made = ModuleType("monitor")
    had = {
        "NAME": "monitor",
        "TITLE": "hotness monitoring",
        "REPORTS_AS": "hwhint",
        "why_not": lambda _host: None,
        "uses": lambda _host: "hmu0",
        "open_source": lambda _host, **_follow: Monitor(),
    }
    vars(made).update(had | names)
    return made


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch):
    """Have a module installed under the group's entry point of the name `monitor`."""

    def put_in(made: ModuleType) -> None:
        point = EntryPoint("monitor", "monitor", registry.GROUP)
        found = {registry.GROUP: (point,)}
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: found[group])
        monkeypatch.setitem(sys.modules, "monitor", made)

    return put_in


@pytest.fixture
def host(tmp_path) -> Host:
    put(tmp_path, NUMA_BALANCING, "0")
    put(tmp_path, RATE_LIMIT, "65536")
    return Host(machine(tmp_path, "amd_zen4"))


def test_one_that_is_named_is_chosen_and_opened(install, host) -> None:
    install(module())
    choice = choose(host, ["monitor"])
    assert choice.names == ("monitor",)
    assert choice.reason.endswith("hotness monitoring: hmu0")
    source = registry.find("monitor").open_source(host, follow=True)
    assert source.name == "hwhint"


def test_what_it_does_not_say_does_nothing() -> None:
    source = Monitor()
    source.enable()
    source.disable()
    source.close()
    assert (source.notes, source.descriptors, source.follow_cpus()) == ([], [], False)
    assert {len(column) for column in source.take_tasks()} == {0}


def test_one_that_is_not_named_is_not_even_looked_for(monkeypatch, host) -> None:
    def looked(group):
        raise AssertionError(group)

    monkeypatch.setattr("importlib.metadata.entry_points", looked)
    assert choose(host).names == ("hintfault", "hwhint")


def test_two_that_report_as_the_same_are_refused(install, host) -> None:
    install(module())
    with pytest.raises(
        InputError, match=r"^--source: hwhint and monitor both report as hwhint; name one$"
    ):
        choose(host, ["hwhint", "monitor"])


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (module(REPORTS_AS="chmu"), "REPORTS_AS is 'chmu', not one of hintfault, hwhint"),
        (ModuleType("monitor"), "monitor has no NAME, TITLE, REPORTS_AS"),
        (None, "ModuleNotFoundError"),
    ],
    ids=["another report", "no names", "no module"],
)
def test_one_that_cannot_be_used_is_one_line_that_names_it(install, host, made, line) -> None:
    install(made)
    with pytest.raises(InputError, match=f"^source monitor of monitor: {line}"):
        choose(host, ["monitor"])
