"""A real Prometheus server scrapes a run, loads the shipped rules and answers the dashboard."""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from pghot.live.mailbox import Mailbox
from pghot.serving.families import BUILD, COUNTERS, GAUGES, LATENCY
from pghot.serving.metrics import metrics
from tests.live.world import World, run, state_in
from tests.serving.server import prometheus, tool, wait_for

EXAMPLES = Path(__file__).parents[2] / "examples/prometheus"
RULES, DASHBOARD = EXAMPLES / "pghot.rules.yml", EXAMPLES / "pghot-dashboard.json"
NAMES = {
    *(f"{family.name}_total" for family in COUNTERS),
    *(family.name for family in GAUGES),
    *(f"{LATENCY[0]}_{suffix}" for suffix in ("bucket", "sum", "count")),
    BUILD[0],
}
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*"}


def dashboard_queries() -> list[str]:
    queries = []
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in VARIABLES.items():
                query = query.replace(name, value)
            queries.append(query)
    return queries


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory):
    """The mailbox of a run that promoted twenty pages."""
    with pytest.MonkeyPatch.context() as patch:
        state_in(tmp_path_factory.mktemp("state"), patch)
        world = World(tmp_path_factory.mktemp("host"))
        world.process(40)
        for page in range(100, 120):
            world.map(40, page)
        world.heat(40, *range(100, 120))
        mailbox = Mailbox()
        run(world, mailbox=mailbox)
    return mailbox


@pytest.fixture(scope="module")
def server(mailbox, tmp_path_factory):
    with metrics(mailbox, ":0", "0.1.0") as url:
        target = url.removeprefix("http://").removesuffix("/metrics")
        with prometheus(tmp_path_factory.mktemp("prometheus"), target, RULES) as server:
            wait_for(lambda: server.value("pghot_build_info") == 1)
            yield server


def test_it_is_scraped_and_a_query_gives_its_value(server, mailbox):
    assert server.value("up") == 1
    assert server.value('pghot_pgpromote_success_total{node="0"}') == 20
    assert server.value("sum(pghot_promoted_bytes_total)") == 20 * 4096
    count = mailbox.state().batch_seconds.count
    assert server.value("pghot_move_duration_seconds_count") == count > 0
    assert server.value("count(pghot_refused_folios_total)") == len(mailbox.state().refused)


def test_every_metric_has_its_type_and_help_there(server):
    wait_for(lambda: len(server.get("metadata")) > 30)
    known = server.get("metadata")
    for family in COUNTERS:
        (about,) = known[family.name]  # OpenMetrics: a family's name has no _total
        assert (about["type"], about["help"]) == ("counter", family.help)
    (about,) = known[LATENCY[0]]
    assert about["type"] == "histogram"


def test_what_is_published_next_is_scraped_next(server, mailbox):
    state = mailbox.state()
    mailbox.publish(replace(state, tunables=state.tunables | {"freq_threshold": 3}))
    wait_for(lambda: server.value("pghot_freq_threshold") == 3)


def test_the_shipped_rules_are_loaded_and_evaluated(server):
    def rules():
        (group,) = server.get("rules")["groups"]
        return group["rules"]

    wait_for(lambda: all(rule["health"] == "ok" for rule in rules()))
    assert len(rules()) == RULES.read_text().count("alert:")


def test_every_query_of_the_dashboard_is_answered(server):
    def answered(query: str) -> bool:
        return bool(server.get("query", query=query)["result"])

    # Rates of what stands still are left out, and of those only where the panel says so.
    wanted = [query for query in dashboard_queries() if "> 0" not in query]
    assert len(wanted) > 12
    wait_for(lambda: all(map(answered, wanted)))


def test_a_bad_query_is_refused_by_the_server(server):
    """So that the tests above can fail."""
    with pytest.raises(RuntimeError, match="parse error"):
        server.get("query", query="rate(pghot_batches_total[")


@pytest.mark.parametrize(
    "words",
    [("check", "rules", "pghot.rules.yml"), ("test", "rules", "pghot.test.yml")],
    ids=["check", "test"],
)
def test_promtool_passes_the_rules(words):
    done = subprocess.run(
        [tool("promtool"), *words], cwd=EXAMPLES, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test():
    alerts = set(re.findall(r"alert: (\w+)", RULES.read_text()))
    tested = set(re.findall(r"alertname: (\w+)", (EXAMPLES / "pghot.test.yml").read_text()))
    assert alerts == tested


@pytest.mark.parametrize("path", [RULES, DASHBOARD], ids=["rules", "dashboard"])
def test_it_asks_for_metrics_that_there_are(path):
    asked = set(re.findall(r"\bpghot_\w+", path.read_text()))
    asked -= {"pghot_promote_rate_limit_MBps"}  # the tunable, in words
    assert asked <= NAMES
    assert len(asked) > 8


def test_panels_of_the_dashboard_say_what_they_show_in_what_unit():
    board = json.loads(DASHBOARD.read_text())
    places = set()
    for panel in board["panels"]:
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        x, y, w, h = (panel["gridPos"][key] for key in "xywh")
        cells = set(product(range(x, x + w), range(y, y + h)))
        assert not places & cells, panel["title"]
        places |= cells


def test_time_is_not_made_up(server):
    """What the run last told is of a moment ago: virtual time is in its rows, not here."""
    age = time.time() - (server.value("pghot_state_timestamp_seconds") or 0)
    assert 0 <= age < 600
