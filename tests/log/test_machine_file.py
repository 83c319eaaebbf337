"""The machine file: what it takes, what it refuses and how (R8)."""

from __future__ import annotations

import random
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pghot.engine.memory import Folio, Node
from pghot.errors import InputError
from pghot.log.machine import MAX_PFN, Machine
from tests.log.made import Run, log_rows, write_csv, write_machine

SPEC = Path(__file__).resolve().parents[2] / "docs" / "spec" / "log.md"
(EXAMPLE,) = re.findall(r"```toml\n(.*?)```", SPEC.read_text(), re.DOTALL)


def node(nid: int, start: int = 0, pages: int = 32768, **more: Any) -> dict[str, Any]:
    return {"id": nid, "start_pfn": start, "pages": pages} | more


def machine(
    *nodes: dict[str, Any], folio: tuple[dict[str, Any], ...] = (), **more: Any
) -> Machine:
    return Machine.from_dict({"node": [*nodes], "folio": [*folio]} | more, "m")


def refusal(data: Any) -> str:
    """Give the line that a machine file's content is refused with, without the name."""
    with pytest.raises(InputError) as error:
        Machine.from_dict(data, "m")
    line = str(error.value)
    assert line.startswith("m: ")
    assert "\n" not in line
    return line.removeprefix("m: ")


def test_the_example_of_the_specification_loads(tmp_path: Path) -> None:
    assert Machine.load(write_machine(tmp_path / "m.toml", EXAMPLE)) == Machine(
        nodes=(
            Node(0, 0, 262144, True, (0, 1, 2, 3), 200000, 1000),
            Node(1, 262144, 8 << 18, False),
        ),
        folios=(Folio(294912, 512, 7, True),),
        hz=1000,
    )


# R8.3
def test_what_is_not_given_has_the_values_of_an_ordinary_machine() -> None:
    made = machine(node(0), folio=({"pfn": 5},))
    assert made == Machine((Node(0, 0, 32768, False, (), 0, 0),), (Folio(5, 1, 0, True),), 1000)


def test_a_machine_file_is_replayed_by_the_command(tmp_path: Path, run: Run) -> None:
    log = write_csv(tmp_path / "log.csv", log_rows(1, 1))
    example = write_machine(tmp_path / "m.toml", EXAMPLE)
    assert run("replay", log, "--machine", example).status == 0


def test_a_log_without_a_machine_asks_for_one(tmp_path: Path, run: Run) -> None:
    log = write_csv(tmp_path / "log.csv", log_rows(1, 1))
    line = run("replay", log, "-o", tmp_path / "out").refusal()
    assert line == (
        f"{log}: says nothing of the machine it was taken on; name one with --machine FILE "
        "(pghot topology -o FILE writes the host's), or convert again with --machine FILE"
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[node]\n", "not TOML: "),
        ("\xff\xfe", "not TOML: "),
        ("id = " + "9" * 5000, "not TOML: "),
        ("x = " + "[" * 100_000, "not TOML: "),
        ("", "missing key 'node'"),
        ("hz = 1000\n", "missing key 'node'"),
        ("node = []\n", "node: "),
    ],
)
def test_a_file_that_is_no_machine_is_one_line(
    tmp_path: Path, run: Run, text: str, why: str
) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(text.encode("latin-1"))
    log = write_csv(tmp_path / "log.csv", log_rows(1, 1))
    line = run("replay", log, "--machine", path).refusal()
    assert line.startswith(f"{path}: {why}")


@pytest.mark.parametrize("make", [Path.exists, Path.mkdir], ids=["missing", "directory"])
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "m.toml")
    with pytest.raises(InputError, match=r"m\.toml: (No such file|Is a directory)"):
        Machine.load(tmp_path / "m.toml")


# R8.1
@pytest.mark.parametrize(
    ("data", "line"),
    [
        ({"node": [node(0)], "colour": 1}, "unknown key 'colour'"),
        ({"node": [node(0), node(1, 32768, colour=1)]}, "[[node]] no. 2: unknown key 'colour'"),
        (
            {"node": [node(0)], "folio": [{"pfn": 1, "order": 9}]},
            "[[folio]] no. 1: unknown key 'order'",
        ),
        ({"node": [node(0)], "nodes": []}, "unknown key 'nodes'"),
        ({"node": [{"id": 0, "pages": 32768}]}, "[[node]] no. 1: missing key 'start_pfn'"),
        ({"node": [{"start_pfn": 0, "pages": 32768}]}, "[[node]] no. 1: missing key 'id'"),
        ({"node": [node(0)], "folio": [{}]}, "[[folio]] no. 1: missing key 'pfn'"),
    ],
)
def test_unknown_and_missing_keys_are_named(data: dict[str, Any], line: str) -> None:
    assert refusal(data) == line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "0"), ("id", 1.0), ("id", True), ("id", -1), ("id", 1024), ("id", 2**70),
        ("start_pfn", "0"), ("start_pfn", -32768), ("start_pfn", 2**64),
        ("pages", 32768.0), ("pages", "1GiB"), ("toptier", 1), ("toptier", "yes"),
        ("cpus", 3), ("cpus", [0, 1]), ("free_pages", -1), ("free_pages", None),
        ("promo_wmark", "low"), ("tier", "fast"), ("tier", 1.5),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_named_by_node_and_key(key: str, value: Any) -> None:
    assert refusal({"node": [node(0) | {key: value}]}).startswith(f"[[node]] no. 1.{key}: ")


@pytest.mark.parametrize(
    ("key", "value"),
    [("pfn", "1"), ("pfn", -1), ("pages", 0), ("pages", 1.5), ("memcg", 2**32), ("lru", 1)],
)
def test_a_folio_value_of_the_wrong_type_is_named(key: str, value: Any) -> None:
    line = refusal({"node": [node(0)], "folio": [{"pfn": 1}, {"pfn": 9} | {key: value}]})
    assert line.startswith(f"[[folio]] no. 2.{key}: ")


@pytest.mark.parametrize("hz", [0, 11, 12288, -1, 2**70])
def test_hz_for_which_no_kernel_builds_is_refused(hz: int) -> None:
    assert "hz" in refusal({"node": [node(0)], "hz": hz})


@pytest.mark.parametrize("hz", [12, 100, 250, 300, 1000, 12287])
def test_hz_for_which_kernels_build_is_taken(hz: int) -> None:
    assert machine(node(0), hz=hz).hz == hz


@pytest.mark.parametrize(
    ("nodes", "line"),
    [
        ((node(0, 1),), "node 0: start_pfn 1 is no multiple of a section (32768 pages)"),
        ((node(0, 0, 32769),), "node 0: pages 32769 is no multiple of a section (32768 pages)"),
        ((node(3, free_pages=32769),), "node 3: free_pages 32769 of 32768 pages"),
        ((node(0), node(0, 32768)), "node 0 is given twice"),
        ((node(0, cpus="0-3"), node(1, 32768, cpus="2")), "CPU 2 is on two nodes"),
        ((node(0, 0, 65536), node(1, 32768)),
         "nodes 0 and 1 overlap from PFN 32768 on: [0, 65536) and [32768, 65536)"),
        ((node(1), node(0)), "nodes 0 and 1 overlap from PFN 0 on: [0, 32768) and [0, 32768)"),
        ((node(0, MAX_PFN),),
         f"node 0: ends above PFN {MAX_PFN}, the most that hardware addresses"),
        ((node(0, toptier=True, tier=4),), "node 0: give toptier or tier, not both"),
        ((node(0, size="128MiB"),), "node 0: give pages or size, one of them"),
        (({"id": 0, "start_pfn": 0},), "node 0: give pages or size, one of them"),
        (({"id": 0, "start_pfn": 0, "size": "many"},),
         "node 0: size 'many': wants a number and KiB, MiB, GiB or TiB"),
        (({"id": 0, "start_pfn": 0, "size": "134217729"},),
         "node 0: size 134217729 is no whole number of sections (128 MiB)"),
        ((node(0, cpus="3-0"),), "node 0: cpus '3-0': wants a list such as 0-3,8"),
    ],
)  # fmt: skip
def test_nodes_that_cannot_be_are_refused(nodes: tuple[dict[str, Any], ...], line: str) -> None:
    got = refusal({"node": [*nodes]})
    assert got.replace("nodes 1 and 0", "nodes 0 and 1") == line


# R8.4
def test_a_node_may_be_any_ranges_of_pfns() -> None:
    made = machine({"id": 0, "ranges": [[5, 40], [65536, 98309]]}, node(1, 32768))
    first, second = made.nodes
    assert [(one.start, one.end) for one in first.ranges] == [(5, 40), (65536, 98309)]
    assert (first.pages, second.pages) == (35 + 32773, 32768)
    assert Machine.from_dict(made.to_dict()) == made


def test_nodes_may_touch_leave_holes_and_come_in_any_order() -> None:
    made = machine(node(2, 131072), node(0, 32768), node(1, 0))
    assert [(n.id, n.start_pfn) for n in made.nodes] == [(0, 32768), (1, 0), (2, 131072)]


@pytest.mark.parametrize(
    ("folios", "line"),
    [
        (({"pfn": 65536},), "folio at PFN 65536: not within one node"),
        (({"pfn": 32767, "pages": 2},), "folio at PFN 32767: not within one node"),
        (({"pfn": 65535, "pages": 2},), "folio at PFN 65535: not within one node"),
        (({"pfn": 32768 * 3 - 1},), "folio at PFN 98303: not within one node"),
        (({"pfn": 8, "pages": 8}, {"pfn": 15}), "folio at PFN 15: overlaps the folio before it"),
        (({"pfn": 9}, {"pfn": 9}), "folio at PFN 9: overlaps the folio before it"),
    ],
)
def test_folios_outside_a_node_or_on_each_other_are_refused(
    folios: tuple[dict[str, Any], ...], line: str
) -> None:
    nodes = [node(0), node(1, 32768), node(2, 98304)]
    assert refusal({"node": nodes, "folio": [*folios]}) == line


def test_folios_may_touch_and_come_in_any_order() -> None:
    made = machine(node(0), folio=({"pfn": 24, "pages": 8}, {"pfn": 16, "pages": 8}))
    assert [folio.pfn for folio in made.folios] == [16, 24]


# R8.2
@pytest.mark.parametrize(
    ("tiers", "top"),
    [
        ([(4, "0-3"), (5, "")], [True, False]),
        ([(4, "0"), (5, "1"), (6, "")], [True, True, False]),  # at or above the slowest with CPUs
        ([(3, ""), (4, "0"), (6, "")], [True, True, False]),  # HBM without CPUs is top tier
        ([(5, ""), (4, ""), (4, "")], [False, True, True]),  # no CPUs: the fastest
    ],
)
def test_tier_is_the_abstract_distance(tiers: list[tuple[int, str]], top: list[bool]) -> None:
    made = machine(
        *(node(i, i << 15, tier=tier, cpus=cpus) for i, (tier, cpus) in enumerate(tiers))
    )
    assert [n.toptier for n in made.nodes] == top


def test_nodes_with_cpus_are_top_tier_where_nothing_else_is_said() -> None:
    made = machine(node(0, cpus="0-3"), node(1, 32768), node(2, 65536, cpus="4", toptier=False))
    assert [n.toptier for n in made.nodes] == [True, False, False]


def test_a_machine_makes_the_round_trip() -> None:
    made = Machine.from_dict(tomllib.loads(EXAMPLE))
    assert Machine.from_dict(made.to_dict()) == made


def ranged(nid: int, *ranges: tuple[int, int], **more: Any) -> dict[str, Any]:
    return {"id": nid, "ranges": [[*one] for one in ranges]} | more


def test_a_node_of_ranges_has_their_pages_and_no_others(tmp_path: Path) -> None:
    text = """
    [[node]]
    id = 0
    ranges = [[0, 0xa0], [0x100, 0x80000], [0x100000, 0x108000]]
    toptier = true
    [[node]]
    id = 1
    ranges = [[0x80000, 0x100000]]
    """
    made = Machine.load(write_machine(tmp_path / "m.toml", text))
    pages = 0xA0 + 0x80000 - 0x100 + 0x8000
    assert [(n.start_pfn, n.pages, n.end_pfn) for n in made.nodes] == [
        (0, pages, 0x108000),
        (0x80000, 0x80000, 0x100000),
    ]
    assert made.nodes[0].ranges == ((0, 0xA0), (0x100, 0x80000), (0x100000, 0x108000))


def test_ranges_that_touch_are_one_and_one_range_is_a_node_of_old() -> None:
    split = machine(ranged(0, (0, 32768), (32768, 98304)), ranged(1, (98304, 131072)))
    assert split == machine(node(0, 0, 98304), node(1, 98304))
    assert split.to_dict() == machine(node(0, 0, 98304), node(1, 98304)).to_dict()
    assert all("ranges" not in table for table in split.to_dict()["node"])


def test_nodes_may_lie_in_each_others_holes() -> None:
    made = machine(ranged(0, (0, 32768), (65536, 98304)), ranged(1, (32768, 65536)))
    assert [n.pages for n in made.nodes] == [65536, 32768]
    assert Machine.from_dict(made.to_dict()) == made


@pytest.mark.parametrize(
    ("nodes", "line"),
    [
        ((ranged(3, (5, 5)),),
         "node 3: range [5, 5) is empty: wants its first PFN and the one after its last"),
        ((ranged(3, (0, 9), (7, 6)),),
         "node 3: range [7, 6) is empty: wants its first PFN and the one after its last"),
        ((ranged(3, (9, 12), (0, 5)),),
         ("node 3: range [0, 5) starts below PFN 12, where the one before it ends: give ranges in "
         "ascending order, no PFN twice")),
        ((ranged(3, (0, 9), (8, 12)),),
         ("node 3: range [8, 12) starts below PFN 9, where the one before it ends: give ranges in "
         "ascending order, no PFN twice")),
        ((ranged(0, (0, 9), (65536, 98304)), ranged(1, (32768, 70000))),
         "nodes 0 and 1 overlap from PFN 65536 on: [32768, 70000) and [65536, 98304)"),
        ((ranged(0, (0, 9)), ranged(1, (100, 32768))),
         ("nodes 0 and 1: [0, 9) and [100, 32768) share the section at PFN 0; a section is one "
         "node's")),
        ((ranged(0),), "node 0: ranges has none; a node without memory has pages = 0"),
        ((ranged(0, (0, 9), start_pfn=0),),
         "node 0: give ranges, or start_pfn with pages or size, not both"),
        ((ranged(0, (0, 9), size="128MiB"),),
         "node 0: give ranges, or start_pfn with pages or size, not both"),
        ((ranged(0, (0, 9), (20, 25), free_pages=15),), "node 0: free_pages 15 of 14 pages"),
        (({"id": 0, "ranges": [[0, 9, 10]]},),
         "[[node]] no. 1.ranges[0]: Expected 'array' of length 2, got 3"),
        (({"id": 0, "ranges": [[0, MAX_PFN + 1]]},),
         f"[[node]] no. 1.ranges[0][1]: Expected 'int' <= {MAX_PFN}"),
    ],
)  # fmt: skip
def test_ranges_that_cannot_be_are_refused_by_node_and_range(
    nodes: tuple[dict[str, Any], ...], line: str
) -> None:
    got = refusal({"node": [*nodes]})
    assert got.replace("nodes 1 and 0", "nodes 0 and 1") == line


@pytest.mark.parametrize(("pfn", "pages"), [(0xA0, 1), (0x9F, 2), (0xFF, 2), (0x80000 - 1, 2)])
def test_a_folio_is_within_one_range(pfn: int, pages: int) -> None:
    nodes = [ranged(0, (0, 0xA0), (0x100, 0x80000), (0x100000, 0x108000))]
    assert refusal({"node": nodes, "folio": [{"pfn": pfn, "pages": pages}]}) == (
        f"folio at PFN {pfn}: not within one node"
    )


SECTIONS = st.integers(0, 3)
PLACES = st.integers(0, 5).map(lambda n: n << 14) | st.integers(0, 99)
LIKELY = st.sampled_from(
    ["id", "start_pfn", "pages", "size", "ranges", "toptier", "tier", "cpus", "free_pages",
     "promo_wmark", "pfn", "memcg", "lru", "hz", "node", "folio"]
)  # fmt: skip
LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
    | st.sampled_from([0, 1, 32768, 65536, 1000, "1GiB", "0-3"])
)  # fmt: skip
DATA = st.dictionaries(
    LIKELY | st.text(max_size=5),
    LEAF | st.lists(st.dictionaries(LIKELY, LEAF, max_size=8) | LEAF, max_size=4),
    max_size=5,
)
NEARLY = st.fixed_dictionaries(
    {
        "node": st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.integers(0, 3),
                    "start_pfn": SECTIONS.map(lambda n: n << 15),
                    "pages": SECTIONS.map(lambda n: n << 15),
                },
                optional={"tier": LEAF, "cpus": LEAF, "free_pages": LEAF, "toptier": LEAF},
            )
            | st.fixed_dictionaries(
                {
                    "id": st.integers(0, 3),
                    "ranges": st.lists(st.tuples(PLACES, PLACES).map(list), max_size=4),
                }
            ),
            max_size=4,
        )
    },
    optional={
        "hz": LEAF,
        "folio": st.lists(
            st.fixed_dictionaries(
                {"pfn": st.integers(0, 1 << 17)}, optional={"pages": st.integers(0, 9)}
            ),
            max_size=4,
        ),
    },
)


@given(DATA | NEARLY)
@settings(max_examples=300, deadline=None)
def test_any_content_is_a_machine_or_one_line(data: dict[str, Any]) -> None:
    try:
        made = Machine.from_dict(data, "m")
    except InputError as error:
        assert re.fullmatch("m: .+", str(error), re.DOTALL)  # noqa: PT017 - either is right
        return
    assert Machine.from_dict(made.to_dict()) == made


@given(st.randoms(use_true_random=False), st.integers(1, 6))
@settings(max_examples=300, deadline=None)
def test_any_damage_to_a_machine_file_is_one_line_or_none(
    tmp_path_factory, chance: random.Random, times: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.toml"
    text = bytearray(EXAMPLE.encode())
    for _ in range(times):
        at = chance.randrange(len(text))
        text[at : at + chance.randrange(3)] = bytes(
            chance.choice(b'0123456789=[]"#\n\\ .-x\xff\x00') for _ in range(chance.randrange(3))
        )
    path.write_bytes(text)
    try:
        Machine.load(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - either is right
