"""Random machines, logs and tunables that reach the corners of the specification."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from hypothesis import strategies as st

from pghot.engine.memory import Folio, Node
from pghot.log.machine import Machine
from tests.twin.engine import SECTION
from tests.twin.replay import Row

GIB = 262144
HZ = (100, 250, 300, 1000)
MODES = ("default", "precise")
WRAP_MS = 1 << 32

WINDOWS = (0, 1, 7, 8, 100, 1000, 1024, 3000, 3967, 3968, 5000, 16383, 20000)
SLEEPS = (0, 1, 10, 37, 100, 333, 1000, 3000)
BATCHES = (0, 1, 2, 3, 7, 512)
RUNS = (1, 63, 64, 127, 128, 129, 256, 257, 384, 511, 512, 513)
LIMITS = (0, 1, 2, 65536, 65536, (1 << 24) - 1)


@dataclass(frozen=True)
class Case:
    """All that a replay is given."""

    mode: str
    machine: Machine
    rows: tuple[Row, ...] = field(repr=False)
    tunables: dict[str, int]
    sources: tuple[str, ...] | None = None
    v8: bool = False
    """Whether it is v8's engine, with v8's tunables, that does it."""


V8_RANGES = {"kmigrated_sleep_ms": (50, 1000), "kmigrated_batch_nr": (64, 1024)}
V8_WINDOWS = {"default": (1000, 3968), "precise": (1000, 16383)}


def in_v8s_range(name: str, value: int, mode: str) -> int:
    """The value that v8 takes which is the nearest to one that v7 takes (R12.8 to R12.10)."""
    ranges = V8_RANGES | {"pghot_promote_freq_window_ms": V8_WINDOWS[mode]}
    least, most = ranges.get(name, (value, value))
    return min(max(value, least), most)


def as_v8(case: Case) -> Case:
    """The same for v8's engine."""
    tunables = {
        name: in_v8s_range(name, value, case.mode) for name, value in case.tunables.items()
    }
    return replace(case, v8=True, tunables=tunables)


def make_machine(rng: Random, *, big_folios: bool = False) -> Machine:
    kinds = [True] * rng.choice((1, 1, 2)) + [False] * rng.choice((1, 1, 2, 3))
    rng.shuffle(kinds)
    if rng.random() < 0.8:  # node 0, the default target, is seldom a lower tier
        kinds.sort(key=lambda toptier: not toptier)
    ids = sorted(rng.sample(range(1, 12), len(kinds) - 1))
    rooms = [_room(rng, toptier=toptier) for toptier in kinds]
    places = (_one_each if rng.random() < 0.5 else _scattered)(rng, [room[0] for room in rooms])
    nodes = []
    for nid, toptier, place, (_, free, wmark) in zip([0, *ids], kinds, places, rooms, strict=True):
        node = Node.of_ranges(nid, place, toptier=toptier, promo_wmark=wmark)
        nodes.append(replace(node, free_pages=min(free, node.pages)))
    folios = [folio for node in nodes for folio in make_folios(rng, node, big=big_folios)]
    return Machine(nodes=tuple(nodes), folios=tuple(folios), hz=rng.choice(HZ))


Ranges = list[tuple[int, int]]


def _one_each(rng: Random, sizes: list[int]) -> list[Ranges]:
    """One range a node, some of them with a hole between."""
    at, places = SECTION * rng.choice((0, 0, 1, 5)), []
    for pages in sizes:
        places.append([(at, at + pages)])
        at += pages + SECTION * rng.choice((0, 0, 1, 3))
    return places


def _scattered(rng: Random, sizes: list[int]) -> list[Ranges]:
    """The sections of all nodes in any order, with small and very large holes between.

    Some sections are not memory from end to end, as the first one of a PC is not.
    """
    places: list[Ranges] = [[] for _ in sizes]
    runs = [at for at, pages in enumerate(sizes) for _ in range(pages // SECTION)]
    if rng.random() < 0.7:
        rng.shuffle(runs)
    start = SECTION * rng.choice((0, 1, 5))
    for at in runs:
        end = start + SECTION
        if rng.random() < 0.2:
            first = start + rng.choice((0, 1, 0x9F, SECTION // 2))
            last = end - rng.choice((0, 1, 100, SECTION // 4))
            hole = rng.randrange(first + 1, last - 1)
            places[at] += [(first, hole), (hole + rng.choice((0, 1, 0x60)), last)]
        else:
            places[at].append((start, end))
        start = end + SECTION * rng.choice((0, 0, 0, 1, 7, 1 << 17))
    return [_joined([one for one in place if one[0] < one[1]]) for place in places]


def _joined(ranges: Ranges) -> Ranges:
    """The same PFNs, adjacent ranges made one."""
    joined = ranges[:1]
    for start, end in ranges[1:]:
        if start == joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _room(rng: Random, *, toptier: bool) -> tuple[int, int, int]:
    """Pages, free pages and watermark of a node."""
    if not toptier:
        pages = SECTION * rng.choice((1, 1, 2, 3))
        return pages, rng.choice((0, 0, 5, 1000)), rng.choice((0, 100))
    wmark = rng.choice((0, 3, 1000))
    edge = GIB + wmark + rng.choice((-1, 0, 1, 2, 30, 600))
    pages, free = rng.choice(
        (
            (SECTION, 0),
            (SECTION, rng.randrange(1, 30)),
            (SECTION, rng.randrange(60, 3000)),
            (SECTION, SECTION),
            (10 * SECTION, 10 * SECTION),  # so much that the throttle is passed by
            (10 * SECTION, edge),  # passed by for a few pages, or not at all
            (10 * SECTION, edge),
        )
    )
    return pages, free, wmark


def make_folios(rng: Random, node: Node, *, big: bool) -> list[Folio]:
    """Compound and special folios that do not overlap, some of them across sections."""
    folios: list[Folio] = []
    taken: list[range] = []
    for _ in range(rng.choice((0, 3, 12))):
        sizes = (512, 700, 2048, 5000) if big else (1, 1, 1, 2, 3, 8, 64, 512, 700, 5000, 40000)
        pages = rng.choice(sizes)
        first, end = rng.choice(node.ranges)
        edge = rng.choice(_edges(first, end))
        start = rng.choice(
            (
                edge,
                edge - pages,
                edge - pages // 2,
                edge - 1,
                edge + 1,
                rng.randrange(first, end),
                first + rng.randrange(64),
            )
        )
        span = range(start, start + pages)
        inside = first <= start and span.stop <= end
        if not inside or any(span.start < t.stop and t.start < span.stop for t in taken):
            continue
        taken.append(span)
        folios.append(Folio(start, pages, rng.choice((0, 0, 1, 2)), rng.random() < 0.9))
    if rng.random() < 0.4:  # a crowd of small folios of changing memcgs
        first, end = node.ranges[-1]
        at = max((t.stop for t in taken if t.start >= first), default=first)
        while at + 5 < end and rng.random() < 0.97:
            pages = rng.choice((1, 1, 1, 2, 5))
            folios.append(Folio(at, pages, rng.choice((0, 1)), rng.random() < 0.97))
            at += pages + rng.choice((0, 0, 0, 1))
    return sorted(folios, key=lambda folio: folio.pfn)


def _edges(start: int, end: int) -> list[int]:
    """Where a range begins and ends, and the edges of sections within it."""
    return [start, *range((start // SECTION + 1) * SECTION, end, SECTION), end]


def make_pool(rng: Random, machine: Machine, size: int) -> list[int]:
    """PFNs worth touching: mostly of lower tiers, around folios and the edges of sections."""
    pool: list[int] = []
    slow = [node for node in machine.nodes if not node.toptier]
    while len(pool) < size:
        node = rng.choice(slow if rng.random() < 0.95 else machine.nodes)
        first, end = rng.choice(node.ranges)
        near = [f for f in machine.folios if first <= f.pfn < end]
        kind = rng.randrange(6)
        if kind == 5 and near:
            pool.extend(folio.pfn for folio in near)
        elif kind == 0 and near:
            folio = rng.choice(near)
            pool.append(folio.pfn + rng.choice((0, 0, folio.pages - 1, folio.pages // 2)))
        elif kind == 1:
            edge = rng.choice(_edges(first, end)) + rng.choice((0, 1, 2, -1, -2))
            pool.append(min(max(edge, first), end - 1))
        elif kind == 2:
            start = rng.randrange(first, end)
            run = rng.choice((2, 5, 9))
            pool.extend(range(start, min(start + run, end)))
        else:
            pool.append(rng.randrange(first, end))
    return pool


def make_times(rng: Random, count: int, sleep_us: int, start: int) -> list[int]:
    """Phases of dense rows, bursts and long gaps; often just at the instant of a look."""
    times: list[int] = []
    now = start
    while len(times) < count:
        match rng.randrange(9):
            case 0 | 1:  # dense
                pace = rng.choice((1, 50, 3000, 20000))
                for _ in range(rng.randrange(1, 40)):
                    now += rng.randrange(2 * pace)
                    times.append(now)
            case 2 | 3:  # a burst
                times.extend([now] * rng.choice((2, 10, 30, 200)))
            case 4:  # exactly at, just before or just after a look
                now += (-now) % sleep_us
                now += rng.choice((0, 0, 1, max(0, sleep_us - 1)))
                times.append(now)
            case 5:  # about one turn of the default wheel
                now += 4_096_000 * rng.choice((1, 1, 2, 10)) + rng.randrange(300_000)
            case 6:  # about one turn of the precise wheel
                now += 16_384_000 * rng.choice((1, 1, 3)) + rng.randrange(300_000)
            case 7:
                now += rng.randrange(6_000_000)
            case _:
                now += rng.choice((0, 1_000_000, 1_001_000, 61_000_000))
    return times[:count]


def make_rows(
    rng: Random, machine: Machine, times: list[int], pool: list[int], *, one_source: int | None
) -> list[Row]:
    fast = [node.id for node in machine.nodes if node.toptier]
    slow = [node.id for node in machine.nodes if not node.toptier]
    rows: list[Row] = []
    last = pool[0]
    for time_us in times:
        last = last if rng.random() < 0.4 else rng.choice(pool)
        draw = rng.random()
        nid = rng.choice(fast) if draw < 0.6 else -1 if draw < 0.9 else rng.choice(slow)
        source = rng.randrange(2) if one_source is None else one_source
        rows.append((time_us, last, nid, source))
    return rows


def make_tunables(rng: Random, mode: str, machine: Machine) -> dict[str, int]:
    most = 3 if mode == "default" else 7
    choices = {
        "freq_threshold": rng.randrange(1, most + 1),
        "kmigrated_batch_nr": rng.choice(BATCHES),
        "kmigrated_sleep_ms": rng.choice(SLEEPS),
        "pghot_promote_freq_window_ms": rng.choice((*WINDOWS, rng.randrange(20001))),
        rng.choice(
            ("pghot_promote_rate_limit_MBps", "numa_balancing_promote_rate_limit_MBps")
        ): rng.choice(LIMITS),
        "target_nid": rng.choice([node.id for node in machine.nodes if node.toptier]),
    }
    return {name: value for name, value in choices.items() if rng.random() < 0.7}


def make_case(rng: Random, mode: str, count: int, pool_size: int) -> Case:
    machine = make_machine(rng)
    tunables = make_tunables(rng, mode, machine)
    sleep_us = tunables.get("kmigrated_sleep_ms", 100) * 1000 or 1
    start = rng.choice((0, 0, 0, 123_456, WRAP_MS * 1000 - 70_000_000))
    times = make_times(rng, count, sleep_us, start)
    rows = make_rows(
        rng,
        machine,
        times,
        make_pool(rng, machine, pool_size),
        one_source=rng.choice((None, None, 0, 1)),
    )
    sources = rng.choice((None, None, None, ("hintfault",), ("hwhint",), ("hintfault", "hwhint")))
    return Case(mode, machine, tuple(rows), tunables, sources)


def make_minutes(rng: Random, mode: str, count: int) -> Case:
    """Many minutes of large hot folios under a low rate limit: the threshold moves."""
    machine = make_machine(rng, big_folios=True)
    tunables = make_tunables(rng, mode, machine) | {
        "freq_threshold": rng.choice((1, 1, 2)),
        "kmigrated_sleep_ms": rng.choice((100, 333, 1000)),
        "pghot_promote_freq_window_ms": rng.choice((8, 100, 1000, 3000, 16000, 20000)),
        "pghot_promote_rate_limit_MBps": rng.choice((0, 1, 1, 2, 65536)),
    }
    tunables.pop("numa_balancing_promote_rate_limit_MBps", None)
    pool = [folio.pfn for folio in machine.folios] * 3 + make_pool(rng, machine, 5)
    now, times = 0, []
    pace = rng.choice((100_000, 500_000, 2_000_000))
    while len(times) < count:
        now += rng.randrange(2 * pace)
        times.extend([now] * rng.choice((1, 2, 2, 5)))
    rows = make_rows(rng, machine, times[:count], pool, one_source=None)
    return Case(mode, machine, tuple(rows), tunables)


def make_sweep(rng: Random, mode: str, rounds: int) -> Case:
    """Sweep every page of two or three whole sections, in order or shuffled."""
    machine = make_machine(rng)
    tunables = make_tunables(rng, mode, machine) | {
        "freq_threshold": rng.choice((1, 2)),
        "kmigrated_sleep_ms": rng.choice((100, 1000, 3000)),
        "pghot_promote_freq_window_ms": rng.choice((1000, 3000, 5000)),
    }
    node = rng.choice([node for node in machine.nodes if not node.toptier])
    pages = [pfn for start, end in node.ranges for pfn in range(start, end)][: 2 * SECTION]
    if rng.random() < 0.5:
        rng.shuffle(pages)
    now, rows = 0, []
    pace = rng.choice((1, 20, 100))
    fast = [node.id for node in machine.nodes if node.toptier]
    for _ in range(rounds):
        for pfn in pages:
            now += rng.randrange(2 * pace)
            rows.append((now, pfn, rng.choice((-1, *fast)), rng.randrange(2)))
    return Case(mode, machine, tuple(rows), tunables)


def make_crowded(rng: Random, mode: str) -> Case:
    """A crowd of small folios, memcgs in turns, for a top tier with hardly any room left.

    Batches of which little or nothing can move come of it.  Node 0, the target where none is
    known, may be a lower tier: pages then stay slow, and heat up a section they have left.
    """
    low_target = rng.random() < 0.3
    room = rng.randrange(1, 25)
    nodes = (
        Node(0, 0, SECTION, not low_target, free_pages=room),
        Node(1, SECTION, 2 * SECTION, False, free_pages=rng.randrange(9)),
        Node(2, 4 * SECTION, SECTION, low_target, free_pages=rng.randrange(1, 25)),
        Node(5, 6 * SECTION, SECTION, True, free_pages=rng.randrange(1, 25)),
    )
    folios, at = [], 2 * SECTION - rng.randrange(80)
    for _ in range(60):
        pages = rng.choice((1, 1, 2, 3))
        folios.append(Folio(at, pages, rng.choice((0, 1)), rng.random() < 0.95))
        at += pages + rng.choice((0, 0, 1))
    machine = Machine(nodes=nodes, folios=tuple(folios), hz=rng.choice(HZ))
    pool = [f.pfn for f in folios] + [4 * SECTION + rng.randrange(9) for _ in range(9)]
    tunables = {"kmigrated_batch_nr": rng.choice(BATCHES), "freq_threshold": rng.choice((1, 2))}
    times = sorted(rng.randrange(900_000) for _ in range(rng.randrange(1, 600)))
    rows = make_rows(rng, machine, times, pool, one_source=None)
    late = sorted(rng.randrange(1_000_000, 2_000_000) for _ in range(6))
    rows += make_rows(rng, machine, late, [rng.choice(pool)], one_source=None)
    return Case(mode, machine, tuple(rows), tunables)


def make_blocks(rng: Random, mode: str, count: int) -> Case:
    """Runs of rows that agree in node and source, about as long as the recorder's blocks.

    Many rows of one jiffy, few pages, and turns of the wheel between two runs; now and
    then a row that breaks its block.
    """
    machine = make_machine(rng)
    tunables = make_tunables(rng, mode, machine)
    fast = [node.id for node in machine.nodes if node.toptier]
    slow = [node.id for node in machine.nodes if not node.toptier]
    pool = make_pool(rng, machine, rng.choice((1, 5, 40, 200)))
    sleep_us = tunables.get("kmigrated_sleep_ms", 100) * 1000 or 1
    now, rows = rng.choice((0, 0, WRAP_MS * 1000 - 7_000_000)), []
    while len(rows) < count:
        nid, source = rng.choice((-1, -1, *fast, *fast, *slow)), rng.randrange(2)
        few = pool if rng.random() < 0.7 else pool[: rng.choice((1, 2, 3))]
        pace = rng.choice((0, 0, 0, 1, 10, 900, 20_000))
        turn = rng.choice((4_096_000, 16_384_000, 40_960_000)) + rng.choice((-1000, -1, 0, 1))
        now += rng.choice((0, 0, (-now) % sleep_us, rng.randrange(200_000), 1_001_000, turn))
        for _ in range(rng.choice(RUNS)):
            now += rng.randrange(2 * pace + 1)
            rows.append((now, rng.choice(few), nid, source))
        if rng.random() < 0.15:
            rows.append((now, rng.choice(pool), rng.choice(slow), 1 - source))
    return Case(mode, machine, tuple(rows[:count]), tunables)


def cases(max_rows: int = 400) -> st.SearchStrategy[Case]:
    return st.builds(
        lambda seed, mode, count, pool: make_case(Random(seed), mode, count, pool),
        st.integers(0, 1 << 48),
        st.sampled_from(MODES),
        st.integers(1, max_rows),
        st.sampled_from((1, 3, 10, 40)),
    )


def crowded() -> st.SearchStrategy[Case]:
    return st.builds(
        lambda seed, mode: make_crowded(Random(seed), mode),
        st.integers(0, 1 << 48),
        st.sampled_from(MODES),
    )


def minutes() -> st.SearchStrategy[Case]:
    return st.builds(
        lambda seed, mode, count: make_minutes(Random(seed), mode, count),
        st.integers(0, 1 << 48),
        st.sampled_from(MODES),
        st.integers(200, 1500),
    )


def blocks() -> st.SearchStrategy[Case]:
    return st.builds(
        lambda seed, mode, count: make_blocks(Random(seed), mode, count),
        st.integers(0, 1 << 48),
        st.sampled_from(MODES),
        st.sampled_from((1, 127, 128, 129, 256, 257, 700, 1500)),
    )
