"""The order of what says which memory is fast (docs/hosts.md, "Which memory is fast")."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pghot.linux.nodes.hmat import Access
from pghot.linux.nodes.tier_rule import TierFacts, place_nodes
from pghot.linux.nodes.tiers import places_by_tier, places_by_user

IDS = (0, 1, 2, 3, 7)
some = st.frozensets(st.sampled_from(IDS))
figure = st.one_of(st.none(), st.integers(1, 500_000))
accesses = st.builds(Access, st.just((0,)), figure, figure, figure, figure)


@st.composite
def evidence(draw: st.DrawFn) -> TierFacts:
    memory = draw(st.frozensets(st.sampled_from(IDS), min_size=1))
    tier_of = {nid: draw(st.sampled_from([None, 3, 4, 22, 60])) for nid in memory}
    kernel: dict[int, tuple[int, ...]] = {}
    for nid, tier in sorted(tier_of.items()):
        if tier is not None:
            kernel[tier] = (*kernel.get(tier, ()), nid)
    return TierFacts(
        ids=IDS,
        memory=memory,
        cpus=draw(some),
        kernel=dict(sorted(kernel.items())),
        access=draw(st.dictionaries(st.sampled_from(IDS), accesses)),
        distances={nid: {to: draw(st.integers(10, 99)) for to in IDS} for nid in IDS},
        gpus=draw(st.dictionaries(st.sampled_from(IDS), st.just("0000:04:00.0"), max_size=2)),
    )


@given(evidence())
def test_every_node_has_a_place_and_what_has_memory_is_not_all_slow(given_: TierFacts) -> None:
    places, lines = place_nodes(given_, None)
    assert places.keys() == set(IDS)
    left_out = {nid for nid, place in places.items() if place.left_out}
    assert left_out == given_.gpus.keys()
    with_memory = given_.memory - left_out
    if with_memory and (given_.kernel or not given_.cpus):
        assert any(places[nid].toptier for nid in with_memory)
    assert all("\n" not in line for line in lines)
    assert all(place.why for place in places.values())


@given(evidence(), st.sampled_from(["0/1,2,3,7", "7/0-3", "0-1,7/2/3"]))
def test_the_users_tiers_win_over_all(given_: TierFacts, tiers: str) -> None:
    assert place_nodes(given_, tiers) == (places_by_user(tiers, IDS), ())


@given(evidence())
def test_several_tiers_of_the_kernel_win_over_hmat_which_is_told(given_: TierFacts) -> None:
    rest = given_.without_gpus()
    if len(rest.kernel) < 2:
        return
    places, lines = place_nodes(given_, None)
    by_kernel = places_by_tier(rest.kernel, rest.cpus, rest.ids)
    assert {nid: places[nid] for nid in rest.ids} == by_kernel
    for line in lines:
        assert " tier by the kernel (" in line
        assert " but HMAT: " in line
