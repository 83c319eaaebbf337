"""Metrics of a run: names, units, values, and that only what grows is a counter."""

from __future__ import annotations

import copy
import re
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pghot.driving.run_state import read_state
from pghot.engine.reasons import LIVE
from pghot.engine.vmstat import EVENTS, NODE_COUNTERS
from pghot.errors import InputError, PghotError
from pghot.live.mailbox import Mailbox
from pghot.serving.families import COUNTERS, GAUGES
from pghot.serving.metrics import metrics, parse_address
from tests.live.world import HUGE, World, run, state_in
from tests.published import spans
from tests.serving.server import tool

HOT = range(100, 120)
PAGE = 4096


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """The last state of a run in virtual time: 20 small folios and a large one promoted."""
    with pytest.MonkeyPatch.context() as patch:
        state_in(tmp_path_factory.mktemp("state"), patch)
        world = World(tmp_path_factory.mktemp("host"))
        world.process(40)
        for page in HOT:
            world.map(40, page)
        world.map(40, 1024, pages=HUGE)
        world.busy = {(40, 119)}
        world.heat(40, *HOT, 1024)
        mailbox = Mailbox()
        run(world, mailbox=mailbox)
    return mailbox.state().to_dict()


@pytest.fixture
def mailbox(state):
    mailbox = Mailbox()
    mailbox.publish(read_state(state))
    return mailbox


def scraped(url: str) -> str:
    with urllib.request.urlopen(url, timeout=90) as answer:
        assert answer.status == 200
        text: str = answer.read().decode()
        return text


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(text)
        for one in family.samples
    }


@pytest.fixture
def exposed(mailbox):
    with metrics(mailbox, ":0", "0.1.0") as url:
        yield scraped(url)


def test_every_counter_of_the_kernel_has_its_value(exposed, state):
    found = samples(exposed)
    for name in EVENTS:
        metric = f"pghot_{name.removeprefix('pghot_')}_total"
        assert found[metric, ()] == state["vmstat"][name], name
    for name in NODE_COUNTERS:
        for nid in ("0", "1"):
            value = found[f"pghot_{name}_total", (("node", nid),)]
            assert value == state["nodes"][nid][name], name


def test_sizes_are_bytes_and_times_are_seconds(exposed, state):
    found = samples(exposed)
    fast = (("node", "0"),)
    assert state["vmstat"]["pgpromote_success"] == 19 + HUGE
    assert found["pghot_promoted_bytes_total", fast] == (19 + HUGE) * PAGE
    size = found["pghot_node_memory_bytes", (("node", "1"), ("tier", "lower"))]
    assert size == 0x40000 * PAGE
    assert found["pghot_kmigrated_sleep_seconds", ()] == pytest.approx(0.1)
    assert found["pghot_promote_freq_window_seconds", ()] == pytest.approx(3)
    assert found["pghot_promote_rate_limit_bytes_per_second", ()] == 65536 << 20


def test_refusals_are_by_reason_those_of_none_too(exposed, state):
    found = samples(exposed)
    refused = "pghot_refused_folios_total"
    assert {dict(labels)["reason"] for name, labels in found if name == refused} == {*LIVE}
    busy = found[refused, (("reason", "EBUSY"),)]
    assert busy == state["refused"]["EBUSY"] >= 1


def test_each_source_says_what_it_saw_lost_and_was_throttled(exposed, state):
    found = samples(exposed)
    hints = (("source", "hintfault"),)
    assert found["pghot_source_samples_total", hints] == 21 * 4
    assert found["pghot_source_lost_samples_total", hints] == 0
    assert found["pghot_source_throttled_total", hints] == 0
    assert found["pghot_accesses_total", ()] == state["accesses"] > 0


def test_whether_it_helps_is_told_by_node_span_and_kind(state):
    part = {"samples": 8, "fast": 2, "fast_share": 0.25}
    served = spans(part, since=None, last=part | {"fast_share": None})
    stalled = {"some": 0.5, "full": 0.0, "some_us": 2_500_000, "full_us": 0}
    told = copy.deepcopy(state)
    told["live"]["helps"] |= {
        "served": served | {"by_node": {"0": 2, "1": 6, "9": 1}},
        "memory_stall": spans(stalled) | {"of": "/proc/pressure/memory"},
    }
    mailbox = Mailbox()
    mailbox.publish(read_state(told))
    with metrics(mailbox, "127.0.0.1:0", "0.1.0") as url:
        found = samples(scraped(url))
    nodes = "pghot_served_samples_total"
    assert found[nodes, (("node", "0"), ("tier", "top"))] == 2
    assert found[nodes, (("node", "1"), ("tier", "lower"))] == 6
    assert found["pghot_served_fast_ratio", (("span", "before"),)] == 0.25
    assert ("pghot_served_fast_ratio", (("span", "since"),)) not in found
    assert found["pghot_memory_stall_seconds_total", (("kind", "some"),)] == 2.5
    faults = state["live"]["helps"]["slow_faults"]["all"]["faults"]
    assert found["pghot_slow_faults_total", ()] == faults > 0


def test_calls_of_move_pages_are_a_histogram_of_seconds(exposed, state):
    found = samples(exposed)
    buckets = {
        float(dict(labels)["le"]): value
        for (name, labels), value in found.items()
        if name == "pghot_move_duration_seconds_bucket"
    }
    values = [buckets[bound] for bound in sorted(buckets)]
    assert values == sorted(values)
    count = found["pghot_move_duration_seconds_count", ()]
    assert buckets[float("inf")] == count == state["batch_seconds"]["count"] > 0
    assert found["pghot_move_duration_seconds_sum", ()] == state["batch_seconds"]["sum"] > 0


def test_it_says_what_is_built_and_how_it_runs(exposed):
    found = samples(exposed)
    assert found["pghot_build_info", (("version", "0.1.0"),)] == 1
    how = (("dry_run", "false"), ("fidelity", "improved"), ("mode", "default"))
    assert found["pghot_run_info", how] == 1


NOT_ALWAYS = {
    "pghot_left_out_samples",
    "pghot_served_samples",  # hardware samples alone know
    "pghot_served_fast_ratio",
    "pghot_memory_stall_seconds",  # CONFIG_PSI
}


def test_every_metric_has_one_line_of_help_and_a_type(exposed):
    families = {family.name: family for family in text_string_to_metric_families(exposed)}
    assert {*(f.name for f in COUNTERS), *(f.name for f in GAUGES)} <= families.keys()
    for family in families.values():
        assert re.fullmatch(r"[A-Z][^\n]*\.", family.documentation), family.name
        assert family.type in {"counter", "gauge", "histogram"}
        assert family.samples or family.name in NOT_ALWAYS, family.name


def test_promtool_has_nothing_to_say(exposed):
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"],
        input=exposed, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_before_the_first_state_there_is_the_build_alone():
    with metrics(Mailbox(), ":0", "0.1.0") as url:
        assert samples(scraped(url)).keys() == {("pghot_build_info", (("version", "0.1.0"),))}


def test_a_counter_never_falls(mailbox, state):
    less = copy.deepcopy(state)
    less["nodes"]["1"]["found_hot"] -= 5
    key = "pghot_hot_folios_total", (("node", "1"),)
    with metrics(mailbox, ":0", "0.1.0") as url:
        before = samples(scraped(url))[key]
        mailbox.publish(read_state(less))
        assert samples(scraped(url))[key] == before == state["nodes"]["1"]["found_hot"]


def test_it_listens_on_loopback_alone_and_stops_with_the_run(mailbox):
    with metrics(mailbox, "0", "0.1.0") as url:
        assert url.startswith("http://127.0.0.1:")
        port = int(url.split(":")[2].partition("/")[0])
        assert port > 0
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", port))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9105", ("127.0.0.1", 9105)),
        (":9105", ("127.0.0.1", 9105)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),  # noqa: S104 - only parsed
        ("[::1]:9105", ("::1", 9105)),
        ("example:80", ("example", 80)),
    ],
)
def test_an_address_without_a_host_is_loopback(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", ":", "host", "host:", "host:65536", "host:-1", "::1:80", "[::1]", "a:" + "1" * 5000],
)
def test_what_is_no_address_is_one_line(text):
    with pytest.raises(InputError, match=r"--metrics .*wants"):
        parse_address(text)


def test_a_port_that_is_taken_is_one_line(mailbox):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        why = "cannot listen there: Address already in use"
        with pytest.raises(PghotError, match=why), metrics(mailbox, address, "0.1.0"):
            pass


def test_families_are_described_in_the_manual():
    text = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    for family in COUNTERS:
        assert f"`{family.name}_total" in text, family.name
    for family in (*GAUGES,):
        assert f"`{family.name}" in text, family.name
