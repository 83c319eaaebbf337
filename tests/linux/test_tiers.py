from __future__ import annotations

import pytest

from pghot.errors import InputError
from pghot.linux.nodes.tiers import (
    NodeTier,
    check_tiers,
    parse_tiers,
    places_by_cpus,
    places_by_tier,
    places_by_user,
)


def test_tiers_are_node_lists_fastest_first() -> None:
    assert parse_tiers("0-1/2,4/5") == ((0, 1), (2, 4), (5,))
    assert parse_tiers("0") == ((0,),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0/x", "--tiers 0/x: 'x': wants a list such as 0-3,8"),
        ("0//1", "--tiers 0//1: wants node lists, fastest first, such as 0/1,2"),
        ("", "--tiers : wants node lists, fastest first, such as 0/1,2"),
        ("0-1/1", "--tiers 0-1/1: node 1 is named twice"),
    ],
)
def test_wrong_tiers_are_one_line(text: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_tiers(text)
    assert str(caught.value) == says


def test_every_node_with_memory_is_named_and_no_node_that_is_not_there() -> None:
    check_tiers("0/4", {0, 1, 4}, {0, 4})
    with pytest.raises(InputError, match=r"^--tiers 0/7: there is no node 7; nodes here: 0-1,4$"):
        check_tiers("0/7", {0, 1, 4}, {0, 4})
    with pytest.raises(InputError, match=r"^--tiers 0: node 4 has memory and is not named$"):
        check_tiers("0", {0, 1, 4}, {0, 4})


def test_the_first_group_is_top_and_an_unnamed_node_comes_last() -> None:
    places = places_by_user("1/0", [0, 1, 2])
    assert [(p.rank, p.toptier) for p in places.values()] == [(1, False), (0, True), (2, False)]
    assert places[2].why == "not named in --tiers"
    assert places[0].why == "group 2 of --tiers"


def test_tiers_down_to_the_slowest_with_cpus_are_top() -> None:
    places = places_by_tier({2: (8,), 4: (0,), 30: (1,), 112: (2,)}, {0, 1}, [0, 1, 2, 8])
    assert [place.toptier for place in places.values()] == [True, True, False, True]
    assert [place.rank for place in places.values()] == [1, 2, 3, 0]
    assert places[8].why == "memory_tier2, above memory_tier30, the slowest with CPUs"
    assert places[1].why == "memory_tier30, the slowest with CPUs"
    assert places[2].why == "memory_tier112, below memory_tier30, the slowest with CPUs"


def test_a_node_without_cpus_in_a_tier_with_cpus_is_top_and_it_is_told() -> None:
    place = places_by_tier({4: (0, 1)}, {0}, [0, 1])[1]
    assert place == NodeTier(
        0, True, "no CPUs, but the kernel has it in memory_tier4 with nodes that have some"
    )


def test_where_no_tier_has_cpus_the_fastest_is_top() -> None:
    places = places_by_tier({4: (1,), 9: (2,)}, {0}, [0, 1, 2])
    assert [place.toptier for place in places.values()] == [True, True, False]
    assert places[0] == NodeTier(None, True, "in no memory tier")
    assert places[2].why == "memory_tier9, below memory_tier4, the fastest (no tier has CPUs)"


def test_without_memory_tiers_nodes_with_cpus_are_top() -> None:
    places = places_by_cpus({0}, [0, 1])
    assert [place.toptier for place in places.values()] == [True, False]
    assert places[1].why == "has no CPUs (this kernel shows no memory tiers)"
