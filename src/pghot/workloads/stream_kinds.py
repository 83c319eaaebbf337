"""The kinds of streams and what each can be told, as a scenario writes it.

Another kind is one more class here, with `phases` where it is random and `stream` where it
is not, and one more line in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np

from pghot.engine.did_you_mean import perhaps
from pghot.errors import InputError
from pghot.workloads import shapes
from pghot.workloads.cyclic import pointer_chase, sequential
from pghot.workloads.log_rows import LogRows
from pghot.workloads.logged import LoggedStream
from pghot.workloads.programs import Graph, KeyValueStore, key_value, traversal
from pghot.workloads.stream import Stream
from pghot.workloads.table import Phase
from pghot.workloads.weighted import RandomStream

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Accesses = Annotated[float, msgspec.Meta(ge=1)]
Exponent = Annotated[float, msgspec.Meta(ge=0, le=10)]
Bytes = Annotated[int, msgspec.Meta(ge=1, le=1 << 30)]
Rng = np.random.Generator


class StreamOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a kind takes; what it does not name is refused."""

    def stream(self, folios: int, rng: Rng) -> Stream:
        """Make the stream over so many folios."""
        raise NotImplementedError


class RandomOptions(StreamOptions, frozen=True):
    """What a random kind takes."""

    def phases(self, folios: int, rng: Rng) -> Iterator[Phase]:
        """The weights, phase after phase; the last goes on for good."""
        raise NotImplementedError

    def stream(self, folios: int, rng: Rng) -> Stream:
        """Make the stream over so many folios."""
        return RandomStream(self.phases(folios, rng), rng)


class Uniform(RandomOptions, frozen=True):
    """Every folio as often as any other.  No options."""

    def phases(self, folios: int, rng: Rng) -> Iterator[Phase]:  # noqa: ARG002
        """The weights, phase after phase; the last goes on for good."""
        return shapes.steady(shapes.uniform(folios))


class Zipf(RandomOptions, frozen=True):
    """Popularity falls with rank**-s; `permuted`: ranks are scattered over the region."""

    s: Exponent = 0.99
    permuted: bool = True

    def phases(self, folios: int, rng: Rng) -> Iterator[Phase]:
        """The weights, phase after phase; the last goes on for good."""
        return shapes.steady(shapes.zipf(folios, self.s, rng if self.permuted else None))


class HotCold(RandomOptions, frozen=True):
    """A hot set of a share of the folios takes a share of the accesses.

    `scattered` over the region, or in one piece at a random place.  It moves every
    `move_every` accesses, and keeps a share of itself then.
    """

    hot_share: Share = 0.1
    hot_accesses: Share = 0.9
    scattered: bool = True
    move_every: Accesses | None = None
    keep: Share = 0.0

    _everywhere: ClassVar[bool] = False

    def phases(self, folios: int, rng: Rng) -> Iterator[Phase]:
        """The weights, phase after phase; the last goes on for good."""
        order = rng.permutation(folios) if self.scattered else shapes.once_around(folios, rng)
        table = shapes.hot_cold(
            folios, self.hot_share, self.hot_accesses, everywhere=self._everywhere, order=order
        )
        if self.move_every is None:
            return shapes.steady(table)
        by = round((1 - self.keep) * shapes.hot_folios(folios, self.hot_share))
        return shapes.moving(table, self.move_every, by)


class Gups(HotCold, frozen=True):
    """GUPS with a hot set, in one piece unless `scattered`; other updates go everywhere."""

    scattered: bool = False

    _everywhere: ClassVar[bool] = True


class KeyValue(RandomOptions, frozen=True):
    """Index and slabs with Zipf keys, see `programs.Store`."""

    s: Exponent = KeyValueStore().s
    value_bytes: Bytes = KeyValueStore().value_bytes
    index_bytes: Bytes = KeyValueStore().index_bytes
    folio_bytes: Bytes = KeyValueStore().folio_bytes

    def phases(self, folios: int, rng: Rng) -> Iterator[Phase]:
        """The weights, phase after phase; the last goes on for good."""
        store = KeyValueStore(**msgspec.structs.asdict(self))
        return shapes.steady(key_value(folios, store, rng))


class GraphTraversal(RandomOptions, frozen=True):
    """Records and edge lists of a power-law graph, see `programs.Graph`."""

    degree: Annotated[float, msgspec.Meta(ge=1, le=1 << 20)] = Graph().degree
    exponent: Annotated[float, msgspec.Meta(gt=2, le=10)] = Graph().exponent
    vertex_bytes: Bytes = Graph().vertex_bytes
    edge_bytes: Bytes = Graph().edge_bytes
    folio_bytes: Bytes = Graph().folio_bytes
    sorted_by_degree: bool = Graph().sorted_by_degree

    def phases(self, folios: int, rng: Rng) -> Iterator[Phase]:
        """The weights, phase after phase; the last goes on for good."""
        graph = Graph(**msgspec.structs.asdict(self))
        return shapes.steady(traversal(folios, graph, rng))


class Scan(StreamOptions, frozen=True):
    """Folios in order, `accesses_per_unit` each, round and round."""

    accesses_per_unit: Annotated[int, msgspec.Meta(ge=1, le=1 << 30)] = 64

    def stream(self, folios: int, rng: Rng) -> Stream:  # noqa: ARG002
        """Make the stream over so many folios."""
        return sequential(folios, self.accesses_per_unit)


class Chase(StreamOptions, frozen=True):
    """A random cycle through all folios, one access each.  No options."""

    def stream(self, folios: int, rng: Rng) -> Stream:
        """Make the stream over so many folios."""
        return pointer_chase(folios, rng)


class LogKind(StreamOptions, frozen=True):
    """The rows of an access log; see `log_rows.LogRows` for how pages become folios."""

    path: str
    first_pfn: Annotated[int, msgspec.Meta(ge=0, lt=1 << 52)] | None = None
    order: Annotated[int, msgspec.Meta(ge=0, le=18)] = 0
    wraps: bool = True

    def stream(self, folios: int, rng: Rng) -> Stream:  # noqa: ARG002
        """Make the stream over so many folios."""
        rows = LogRows(self.path, folios, first_pfn=self.first_pfn, order=self.order)
        return LoggedStream(rows, folios, wraps=self.wraps)


class Phases(RandomOptions, frozen=True):
    """Random kinds one after the other: each `phase` has `accesses`, `kind` and its options.

    They `repeat` from the first, or the last goes on for good.
    """

    phase: Annotated[list[dict[str, Any]], msgspec.Meta(min_length=1)]
    repeat: bool = False

    def phases(self, folios: int, rng: Rng) -> Iterator[Phase]:
        """The weights, phase after phase; the last goes on for good."""
        made: list[Phase] = []
        for number, table in enumerate(self.phase, 1):
            accesses, inner = _part(number, table)
            made += _cut(inner.phases(folios, rng), accesses)
        return cycle(made) if self.repeat else iter(made)


def _part(number: int, table: dict[str, Any]) -> tuple[float, RandomOptions]:
    """Read one of the phases."""
    named = dict(table)
    try:
        accesses = msgspec.convert(named.pop("accesses", None), Accesses)
    except msgspec.ValidationError as error:
        raise InputError(f"phase {number}: accesses: {_plain(error)}") from error
    inner = parse(named.pop("kind", None), named)
    if not isinstance(inner, RandomOptions):
        raise InputError(f"phase {number}: {table['kind']} is not a random kind")
    return accesses, inner


def _cut(phases: Iterator[Phase], accesses: float) -> Iterator[Phase]:
    """End phases after so many accesses."""
    left = accesses
    for phase in phases:
        yield phase._replace(length=min(phase.length, left))
        left -= phase.length
        if left <= 0:
            return


KINDS: dict[str, type[StreamOptions]] = {
    "uniform": Uniform,
    "zipf": Zipf,
    "hot-cold": HotCold,
    "gups": Gups,
    "key-value": KeyValue,
    "graph": GraphTraversal,
    "scan": Scan,
    "chase": Chase,
    "log": LogKind,
    "phases": Phases,
}


def parse(kind: object, options: Mapping[str, Any]) -> StreamOptions:
    """A kind's options, checked; InputError, one line, where they are none of its."""
    if not isinstance(kind, str) or kind not in KINDS:
        near = perhaps(str(kind), KINDS)
        raise InputError(f"stream kind {kind!r}: {near}there are {', '.join(KINDS)}")
    try:
        return msgspec.convert(dict(options), KINDS[kind])
    except msgspec.ValidationError as error:
        known = ", ".join(KINDS[kind].__struct_fields__) or "none"
        raise InputError(f"stream {kind}: {_plain(error)} (options: {known})") from error


def _plain(error: msgspec.ValidationError) -> str:
    """Turn msgspec's message into ours: what is wrong, then where."""
    what, _, where = str(error).partition(" - at ")
    what = what.replace("Object contains unknown field", "unknown option")
    what = what.replace("Object missing required field", "missing option").replace("`", "'")
    where = where.strip("`").removeprefix("$").lstrip(".")
    return f"{where}: {what}" if where else what
