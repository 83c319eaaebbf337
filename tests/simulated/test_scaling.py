"""A slice of a machine keeps its proportions and its times."""

from __future__ import annotations

import msgspec
import pytest

from pghot.engine.sizes import parse_size
from pghot.errors import InputError
from pghot.simulated.machine.costs import Costs
from pghot.simulated.machine.link_kinds import kind
from pghot.simulated.machine.watermarks import watermarks
from pghot.simulated.policies.registry import POLICIES
from pghot.simulated.scenario.file import checked, load_scenario, presets
from pghot.simulated.scenario.scaling import AS_OFTEN, scaled
from pghot.simulated.scenario.scenario import Scenario
from tests.simulated.test_scenario_file import small

SCALES = (0.5, 1 / 8, 0.03)


def fields(table: msgspec.Struct, *names: str) -> list[object]:
    return [getattr(table, name) for name in names]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", presets())
def test_every_preset_can_be_sliced(name: str, scale: float) -> None:
    whole = load_scenario(name, POLICIES)
    part = scaled(whole, scale)
    checked(part, name, POLICIES)
    for big, small_ in zip((*whole.node, *whole.region), (*part.node, *part.region), strict=True):
        assert parse_size(small_.size) == pytest.approx(parse_size(big.size) * scale, rel=0.1)
    for big, small_ in zip(whole.threads, part.threads, strict=True):
        assert small_.mlp == pytest.approx(big.mlp * scale)
        assert small_.think_ns == pytest.approx(big.think_ns / scale)
        assert small_.accesses == (big.accesses and pytest.approx(big.accesses * scale, abs=1))
        assert fields(small_, "count", "node", "start_s", "end_s", "store_share") == fields(
            big, "count", "node", "start_s", "end_s", "store_share"
        )
    assert fields(part, "hz", "seconds", "tick_ms", "policies") == fields(
        whole, "hz", "seconds", "tick_ms", "policies"
    )


def test_a_link_carries_a_slice_and_is_as_quick_when_idle() -> None:
    part = scaled(small(), 1 / 4)
    cxl = kind("cxl-x8-ocp")
    link = part.link[1]
    assert fields(link, "read_GBps", "write_GBps", "total_GBps") == [
        cxl.read_GBps / 4, cxl.write_GBps / 4, cxl.total_GBps / 4,
    ]  # fmt: skip
    assert (link.kind, link.read_latency_ns) == ("cxl-x8-ocp", None)


def test_a_links_own_bandwidth_is_sliced_not_its_kinds() -> None:
    whole = small()
    wide = msgspec.structs.replace(whole.link[1], total_GBps=10.0)
    part = scaled(msgspec.structs.replace(whole, link=[whole.link[0], wide]), 1 / 4)
    assert part.link[1].total_GBps == 2.5


def test_scanner_sampler_and_rate_limit_keep_pace_with_the_slice() -> None:
    whole = small(
        scanner={"scan_size_mb": 256}, sampler={"pace_hz": 1000},
        tunables={"pghot_promote_rate_limit_MBps": "0100"},
        event=[{"at_s": 1, "do": "write", "name": "numa_balancing_promote_rate_limit_MBps",
                "value": "800"},
               {"at_s": 2, "do": "write", "name": "freq_threshold", "value": "3"}],
    )  # fmt: skip
    part = scaled(whole, 1 / 4)
    assert (part.scanner.scan_size_mb, part.scanner.scale) == (256, 1 / 4)
    assert part.scanner.scan_period_min_ms == whole.scanner.scan_period_min_ms
    assert part.sampler.pace_hz == 250
    assert part.tunables["pghot_promote_rate_limit_MBps"] == "16"  # 0100 is octal to a sysctl
    assert [event.value for event in part.event] == ["200", "3"]


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ({}, {"pghot_promote_rate_limit_MBps": "16384"}),
        ({"pghot_promote_rate_limit_MBps": "0"}, {"pghot_promote_rate_limit_MBps": "0"}),
        ({"pghot_promote_rate_limit_MBps": "1"}, {"pghot_promote_rate_limit_MBps": "1"}),
        (
            {"numa_balancing_promote_rate_limit_MBps": "400"},
            {"numa_balancing_promote_rate_limit_MBps": "100"},
        ),
    ],
)
def test_the_rate_limit_is_scaled_from_its_default_and_nought_stays_nought(
    given: dict[str, str], limit: dict[str, str]
) -> None:
    part = scaled(small(tunables=given), 1 / 4)
    assert {name: text for name, text in part.tunables.items() if "rate_limit" in name} == limit


def test_threads_wait_as_long_for_batches_under_way_where_these_shrink_by_the_root() -> None:
    """b folios away for b/S, hit by b/S accesses, S/b times: b**2 / S."""
    assert scaled(small(), 1 / 4).tunables["kmigrated_batch_nr"] == "256"
    event = {"at_s": 1, "do": "write", "name": "kmigrated_batch_nr", "value": "0x100"}
    part = scaled(small(tunables={"kmigrated_batch_nr": "64"}, event=[event]), 1 / 16)
    assert part.tunables["kmigrated_batch_nr"] == "16"
    assert part.event[0].value == "64"
    assert part.costs["kmigrated_batch_us"] == Costs().kmigrated_batch_us * 4


def test_an_event_costs_as_much_more_as_there_are_fewer_of_it() -> None:
    part = scaled(small(costs={"hint_fault_us": 3.0}), 1 / 4)
    assert part.costs["hint_fault_us"] == 12
    assert part.costs["move_4k_GBps"] == Costs().move_4k_GBps / 4
    assert part.costs["scanner_pte_ns"] == Costs().scanner_pte_ns * 4
    for name in AS_OFTEN:
        assert part.costs[name] == getattr(Costs(), name)


def test_watermarks_are_those_of_the_whole_machine_sliced() -> None:
    """The kernel's own would not be: they grow with the root of the memory."""
    whole = small()
    pages = [parse_size(node.size) >> 12 for node in whole.node]
    marks = watermarks(pages[1], sum(pages))
    node = scaled(whole, 1 / 4).node[1]
    assert fields(node, "min_wmark", "promo_wmark") == [
        round(marks.min / 4),
        round(marks.promo / 4),
    ]


def test_published_counters_are_sliced_and_run_times_are_not() -> None:
    published = {"none": {"run_s": 9.0, "counters": {"pgpromote_success": 1000}}}
    part = scaled(small(published=published), 1 / 4)
    assert (part.published["none"].run_s, part.published["none"].counters) == (
        9.0, {"pgpromote_success": 250},
    )  # fmt: skip


def test_scale_1_is_the_scenario_itself() -> None:
    whole: Scenario = small()
    assert scaled(whole, 1) is whole


@pytest.mark.parametrize(
    ("scale", "line"),
    [
        (0, "--scale 0: wants more than 0 and at most 1"),
        (-1, "--scale -1: wants more than 0 and at most 1"),
        (2, "--scale 2: wants more than 0 and at most 1"),
        (float("nan"), "--scale nan: wants more than 0 and at most 1"),
        (1e-6, "--scale 1e-06: nothing is left of node 0, 256 MiB; take a larger one"),
    ],
)
def test_a_scale_that_is_none_is_one_line(scale: float, line: str) -> None:
    with pytest.raises(InputError) as error:
        scaled(small(), scale)
    assert str(error.value) == line
