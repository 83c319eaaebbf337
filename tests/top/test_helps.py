"""What the view shows of whether a run helps."""

from __future__ import annotations

from pghot.top.lines import rates
from pghot.top.rates import rates_between
from pghot.top.state import TopState
from tests.published import helps, spans
from tests.top.feeds import run_state


def state(second: int, **parts: object) -> TopState:
    return run_state(second, live={"helps": helps(**parts)})


def shown(before: TopState, after: TopState) -> list[str]:
    text = rates(after, rates_between(before, after)).plain
    return [" ".join(line.split()) for line in text.splitlines()]


def served(since: float | None) -> dict[str, object]:
    part = {"samples": 10, "fast": 4, "fast_share": 0.4}
    later = None if since is None else part | {"fast_share": since}
    return spans(part, since=later, last=part | {"fast_share": 0.9}) | {"by_node": {}}


def test_with_hardware_samples_the_share_lately_since_and_before() -> None:
    lines = shown(state(1), state(2, served=served(0.75)))
    at = lines.index("served fast 90.0% 75.0%")
    assert lines[at + 1] == "before promotion 40.0%"


def test_before_anything_is_promoted_the_share_of_the_whole() -> None:
    lines = shown(state(1), state(2, served=served(None)))
    assert "served fast 40.0%" in lines
    assert not any("before promotion" in line for line in lines)


def test_with_hint_faults_alone_those_on_slow_pages() -> None:
    faults = [spans({"faults": count, "per_s": 1.0}) for count in (100, 150)]
    lines = shown(state(1, slow_faults=faults[0]), state(2, slow_faults=faults[1]))
    assert "slow faults 50 150" in lines


def test_a_run_that_says_nothing_of_it_shows_nothing() -> None:
    lines = shown(run_state(1), run_state(2))
    assert not any(line.startswith(("served fast", "slow faults")) for line in lines)
