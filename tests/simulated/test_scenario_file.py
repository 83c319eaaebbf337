"""A scenario file: what it takes, and the one line for what it refuses."""

from __future__ import annotations

import copy
import random
import re
import tomllib
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.errors import InputError
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import PRESETS, from_dict, load_scenario, presets
from pghot.simulated.scenario.scenario import Scenario

SMALL = """
title = "Two nodes"
shows = "What a test needs."
policies = ["none", "pghot-hwhint"]
[[node]]
id = 0
size = "256 MiB"
toptier = true
cpus = "0-3"
[[node]]
id = 1
size = "1 GiB"
[[link]]
cpus = [0]
memory = 0
kind = "ddr"
[[link]]
cpus = [0]
memory = 1
kind = "cxl-x8-ocp"
[[region]]
name = "memory"
size = "64 MiB"
place = [1]
[[threads]]
name = "threads"
count = 2
node = 0
region = "memory"
stream = { kind = "uniform" }
accesses = 1000
"""


def data(text: str = SMALL) -> dict[str, Any]:
    return tomllib.loads(text)


def small(**more: Any) -> Scenario:
    return from_dict(data() | more, "s", POLICIES)


def refusal(content: dict[str, Any]) -> str:
    """The line that the content is refused with, without the name."""
    with pytest.raises(InputError) as error:
        from_dict(content, "s", POLICIES)
    line = str(error.value)
    assert "\n" not in line
    assert line.startswith("s: ")
    return line.removeprefix("s: ")


def changed(*path: str | int, to: Any) -> dict[str, Any]:
    """The small scenario with one value changed, or, `to` being ..., taken out."""
    content = copy.deepcopy(data())
    inner: Any = content
    for step in path[:-1]:
        inner = inner[step]
    if to is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return content


def with_table(table: str, /, **values: Any) -> dict[str, Any]:
    """The small scenario with one more table of an array."""
    content = data()
    return content | {table: [*content.get(table, []), values]}


NODE_2 = {"id": 2, "size": "128 MiB"}
THREADS = {"name": "more", "count": 1, "node": 0, "region": "memory"}
REGION = {"name": "more", "size": "4 KiB", "place": [1]}
EVENT = {"at_s": 1.0}


def test_a_scenario_is_read() -> None:
    scenario = small()
    assert [node.id for node in scenario.node] == [0, 1]
    assert scenario.threads[0].stream == {"kind": "uniform"}
    assert scenario.policies == ("none", "pghot-hwhint")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        # What a table names and takes.
        (changed("title", to=...), "missing key 'title'"),
        (changed("title", to=3), "title: Expected 'str', got 'int'"),
        (changed("node", to=[]), "node: Expected 'array' of length >= 1"),
        (changed("node", 0, "colour", to=1), "[[node]] no. 1: unknown key 'colour'"),
        (changed("threads", 0, "mlp", to=0), "[[threads]] no. 1.mlp: Expected 'float' > 0.0"),
        (changed("hz", to=7), "hz: Expected 'int' >= 12"),
        # Quantities.
        (changed("seconds", to=float("inf")), "seconds: inf is no quantity"),
        (changed("threads", 0, "think_ns", to=float("nan")),
         "threads no. 1.think_ns: nan is no quantity"),
        (changed("threads", 0, "accesses", to=10**30),
         f"threads no. 1.accesses: {10**30} is too large"),
        # Nodes.
        (changed("node", 1, "id", to=0), "[[node]] no. 2.id: 0 is taken already"),
        (changed("node", 0, "size", to="much"),
         "[[node]] no. 1.size: size 'much': wants a number and KiB, MiB, GiB or TiB"),
        (changed("node", 0, "size", to="4097"),
         "[[node]] no. 1.size: '4097' is no number of 4 KiB pages"),
        (changed("node", 0, "size", to="0"),
         "[[node]] no. 1.size: '0' is no number of 4 KiB pages"),
        (changed("node", 0, "size", to="99999 TiB"),
         "node: 102398977 GiB of memory is more than hardware addresses"),
        (changed("node", 0, "cpus", to="3-0"),
         "[[node]] no. 1.cpus: '3-0': wants a list such as 0-3,8"),
        (changed("node", 1, "cpus", to="2"), "[[node]] no. 2.cpus: CPU 2 is on node 0 already"),
        (changed("node", 0, "min_wmark", to=65537),
         "[[node]] no. 1.min_wmark: 65537 is not within 0..65536"),
        (changed("node", 0, "low_wmark", to=9) | {}, None),
        (changed("absent", to=[3]), "absent: there is no node 3"),
        (changed("absent", to=[0, 1]), "absent: no node is left to start with"),
        # Links.
        (changed("link", 0, "memory", to=3), "[[link]] no. 1.memory: no node 3; there are 0, 1"),
        (changed("link", 1, "memory", to=0),
         "[[link]] no. 2.cpus: node 0 has a link to 0 already"),
        (changed("link", 0, "kind", to=...),
         "[[link]] no. 1.read_latency_ns: missing, and no kind gives it"),
        (changed("link", 0, "cpus", to=[1]),
         "[[threads]] no. 1.node: no link goes from the CPUs of node 0 to the memory of node 0"),
        # Regions.
        (changed("region", 0, "size", to="2 GiB"),
         "[[region]] no. 1.size: 2 GiB do not fit 1 GiB"),
        (changed("region", 0, "order", to=3), "[[region]] no. 1.order: 3 is neither 0 nor 9"),
        (changed("region", 0, "place", to=[1, 1]),
         "[[region]] no. 1.place: a node is named twice"),
        (changed("region", 0, "place", to=[7]),
         "[[region]] no. 1.place: no node 7; there are 0, 1"),
        (changed("region", 0, "name", to="other"),
         "[[region]] no. 1.name: no threads use region 'other'"),
        # Threads.
        (changed("threads", 0, "node", to=4), "[[threads]] no. 1.node: no node 4; there are 0, 1"),
        (changed("threads", 0, "count", to=5),
         "[[threads]] no. 1.count: node 0 has too few CPUs for 5"),
        (changed("threads", 0, "end_s", to=1.0) | {}, None),
        (with_table("threads", **THREADS, start_s=2.0, end_s=2.0),
         "[[threads]] no. 2.end_s: 2.0 is not after start_s"),
        (with_table("threads", **THREADS, stream_of="nobody"),
         "[[threads]] no. 2.stream_of: no threads 'nobody' have a stream"),
        (with_table("threads", **THREADS, stream_of="more"),
         "[[threads]] no. 2.stream_of: no threads 'more' have a stream"),
        (with_table("threads", **THREADS, stream_of="threads", stream={"kind": "uniform"}),
         "[[threads]] no. 2.stream: give stream or stream_of, not both"),
        (changed("threads", 0, "accesses", to=...),
         "seconds: missing, and no threads have a number of accesses to end with"),
        # Policies and what is published of them.
        (changed("policies", to=[]), "policies: names none"),
        (changed("policies", to=["none", "none"]), "policies: one is named twice"),
        (changed("published", to={"none": {"counters": {"pgfault": 1}}}),
         "published.none.counters: no vmstat counter 'pgfault'; there are "),
        (changed("published", to={"none": {"run_s": 1.0, "fitted": ["runs"]}}),
         "published.none.fitted: no figure 'runs'; perhaps run_s? there are run_s"),
        # Tunables, costs.
        (changed("tunables", to={"freq_treshold": "1"}),
         "tunables.freq_treshold: no such tunable"),
        (changed("tunables", to={"freq_threshold": 9}),
         "tunables.freq_threshold: '9' is not within"),
        (changed("tunables", to={"target_nid": "1"}),
         "tunables.target_nid: '1' is not an online top-tier node"),
        (changed("costs", to={"hint_fault": 1.0}), "costs: no cost is named 'hint_fault'"),
        (changed("costs", to={"hint_fault_us": -1.0}), "costs: cost hint_fault_us must be"),
        # Streams, the scanner.
        (changed("threads", 0, "stream", to={"kind": "random"}),
         "[[threads]] no. 1.stream: stream kind 'random': there are "),
        (changed("threads", 0, "stream", to={"kind": "zipf", "theta": 1}),
         "[[threads]] no. 1.stream: stream zipf: unknown option 'theta'"),
        (changed("scanner", to={"scan_size_mb": 0.5}),
         "scanner: scan_size_mb of the scanner must"),
        (changed("scanner", to={"scale": 0}), "scanner: the scanner's scale must be above 0"),
        # Events.
        (with_table("event", **EVENT, do="dance"), "[[event]] no. 1.do: no event 'dance'"),
        (with_table("event", **EVENT, do="add_node"),
         "[[event]] no. 1.node: missing; add_node wants it"),
        (with_table("event", **EVENT, do="offline_cpu", cpu=1, node=0),
         "[[event]] no. 1.node: offline_cpu takes none"),
        (with_table("event", **EVENT, do="add_node", node=1),
         "[[event]] no. 1.node: node 1 is not absent at the start"),
        (with_table("event", **EVENT, do="offline_cpu", cpu=9),
         "[[event]] no. 1.cpu: no node has CPU 9"),
        (with_table("event", **EVENT, do="write", name="freq_threshold", value="x"),
         "[[event]] no. 1.freq_threshold: 'x' is no number"),
    ],
)  # fmt: skip
def test_what_cannot_be_run_is_refused_by_table_and_key(
    content: dict[str, Any], line: str | None
) -> None:
    if line is None:
        from_dict(content, "s", POLICIES)
    else:
        assert refusal(content).startswith(line)


def test_a_policy_that_is_none_is_told_which_there_are() -> None:
    line = refusal(changed("policies", to=["chameleon"]))
    assert line == f"policies: no policy 'chameleon'; there are {', '.join(POLICIES)}"


def test_marks_stand_in_their_order() -> None:
    content = changed("node", 0, "low_wmark", to=9)
    content["node"][0]["high_wmark"] = 8
    assert refusal(content) == "[[node]] no. 1.high_wmark: 8 is not within 9..65536"


def test_a_stream_is_shared_within_a_region_only() -> None:
    content = with_table("region", **REGION)
    content["threads"].append(THREADS | {"region": "more", "stream_of": "threads"})
    line = "[[threads]] no. 2.stream_of: 'threads' goes to region 'memory'"
    assert refusal(content) == line


def test_all_regions_together_fit_the_machine() -> None:
    content = changed("region", 0, "size", to="1 GiB")
    content["region"].append(REGION | {"size": "512 MiB", "place": [0, 1]})
    content["threads"].append(THREADS | {"region": "more", "stream": {"kind": "uniform"}})
    assert refusal(content) == "region: 1536 MiB in all are more than the nodes have"


def test_a_tunable_may_be_a_number_or_text() -> None:
    scenario = small(tunables={"freq_threshold": 1, "enabled_sources": "0x3"})
    assert scenario.tunables == {"freq_threshold": "1", "enabled_sources": "0x3"}


def test_a_text_that_v8_alone_takes_for_a_number_is_one() -> None:
    scenario = small(tunables={"freq_threshold": "0x2"})
    assert scenario.tunables == {"freq_threshold": "0x2"}
    why = refusal(changed("tunables", to={"freq_threshold": "0x9"}))
    assert why.startswith("tunables.freq_threshold: '0x9'")


def test_a_node_that_comes_later_is_added_by_an_event() -> None:
    content = with_table("node", **NODE_2) | {"absent": [2]}
    content["link"].append({"cpus": [0], "memory": 2, "kind": "ddr"})
    content["event"] = [EVENT | {"do": "add_node", "node": 2}]
    assert from_dict(content, "s", POLICIES).absent == [2]


# Files


def test_the_file_opens_the_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace("count = 2", "count = 9"))
    with pytest.raises(InputError) as error:
        load_scenario(str(path), POLICIES)
    assert str(error.value) == f"{path}: [[threads]] no. 1.count: node 0 has too few CPUs for 9"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("missing.toml", "missing.toml: No such file or directory"),
        ("missing", "missing: no such preset or file; pghot sim --list shows them"),
        ("", ": no such preset or file; pghot sim --list shows them"),
        ("../presets/zipf", "../presets/zipf: no such preset or file; pghot sim --list shows"),
    ],
)
def test_a_name_that_is_neither_preset_nor_file_is_one_line(name: str, line: str) -> None:
    with pytest.raises(InputError) as error:
        load_scenario(name, POLICIES)
    assert str(error.value).startswith(line)


def test_a_preset_has_its_name_before_any_file(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("zipf").write_text("not a scenario")
    assert load_scenario("zipf", POLICIES).title.startswith("Zipf")


# Presets


def test_there_is_a_preset_for_each_question_of_the_issue() -> None:
    assert len(presets()) >= 14
    assert "published-1" in presets()


@pytest.mark.parametrize("name", presets())
def test_every_preset_loads_and_says_what_it_shows_and_whence_its_values_are(name: str) -> None:
    scenario = load_scenario(name, POLICIES)
    assert scenario.title
    assert len(scenario.shows) > 20
    assert "none" in scenario.policies
    assert (PRESETS / f"{name}.toml").read_text().count("#") >= 1


def test_at_most_two_published_figures_are_fitted() -> None:
    published = load_scenario("published-1", POLICIES).published
    assert sum(len(table.fitted) for table in published.values()) <= 2


def test_published_scenario_1_is_the_machine_and_workload_of_the_series() -> None:
    scenario = load_scenario("published-1", POLICIES)
    assert [(node.size, node.toptier, node.cpus) for node in scenario.node] == [
        ("515563 MiB", True, "0-255"),
        ("258034 MiB", False, ""),
    ]
    assert [link.distance for link in scenario.link] == [10, 50]
    (threads,), (region,) = scenario.threads, scenario.region
    assert (threads.count, threads.store_share, region.size) == (64, 0.5, "8 GiB")
    assert (region.place, scenario.demotion) == ([1], False)


# Any content


LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from([0, 1, 2, "1 GiB", "0-3", "uniform", "ddr", "memory", "none", [0], [0, 1]])
)  # fmt: skip


def places(content: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of every value."""
    inner = content.items() if isinstance(content, dict) else enumerate(content)
    found = []
    for key, value in inner:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


@st.composite
def nearly(draw: Callable[..., Any]) -> dict[str, Any]:
    """Draw a scenario with some values changed, taken out or put in."""
    content = data(SMALL + "[[event]]\nat_s = 1\ndo = 'write'\nname = 'hz'\nvalue = '1'\n")
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(places(content)))
        inner: Any = content
        for step in path:
            inner = inner[step]
        keys = Scenario.__struct_fields__
        if isinstance(inner, dict) and draw(st.booleans()):
            last = draw(st.sampled_from([last, *keys, "order", "absent", "stream_of"]))
        value = draw(LEAF | st.dictionaries(st.text(max_size=4), LEAF, max_size=2))
        inner[last] = deepcopy(value)  # a list of LEAF is the same one each time
    return content


@given(nearly())
@settings(max_examples=300, deadline=None)
def test_any_content_is_a_scenario_or_one_line(content: dict[str, Any]) -> None:
    try:
        from_dict(content, "s", POLICIES)
    except InputError as error:
        assert re.match("s: .", str(error))  # noqa: PT017 - either is right


@given(st.randoms(use_true_random=False), st.integers(1, 6))
@settings(max_examples=200, deadline=None)
def test_any_damage_to_a_scenario_file_is_one_line_or_none(
    tmp_path_factory, chance: random.Random, times: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.toml"
    text = bytearray(SMALL.encode())
    for _ in range(times):
        at = chance.randrange(len(text))
        text[at : at + chance.randrange(3)] = bytes(
            chance.choice(b'0123456789=[]{}"#\n\\ .-x\xff\x00') for _ in range(chance.randrange(3))
        )
    path.write_bytes(text)
    try:
        load_scenario(str(path), POLICIES)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - either is right
