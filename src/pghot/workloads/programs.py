"""Weights of pages that come of what lies in them: a key-value store, a graph.

Objects are laid out by the byte, each with how often it is read; a page's weight is the
sum over what it holds.
"""

from __future__ import annotations

from typing import NamedTuple

import cython
import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.workloads.shapes import zipf_weights
from pghot.workloads.table import Weights, WeightTable

if cython.compiled:
    from cython.cimports.pghot.engine.arrays import f32, f64, i64
else:
    from pghot.engine.arrays import f32, f64, i64

Degrees = npt.NDArray[np.float32]

CACHE_LINE = 64
"""Bytes of one access."""

MOST_OBJECTS = 1 << 28
"""Keys or vertices, at the most: each takes four bytes while weights are made."""

_SOME = 1 << 20
"""Keys that are given their popularity at a time."""


class KeyValueStore(NamedTuple):
    """A key-value store: its index first, then slabs of values.

    A get reads the key's entry of `index_bytes` in a hash table (at a random place) and its
    value of `value_bytes`, a cache line an access.  Values lie side by side from the start
    of the slabs, in an order that has nothing to do with how popular they are: Zipf, `s`.
    """

    s: float = 0.99
    value_bytes: int = 512
    index_bytes: int = 64
    folio_bytes: int = 4096


def key_value(folios: int, store: KeyValueStore, rng: np.random.Generator) -> WeightTable:
    """The weights of a store with as many keys as fit; InputError where none does."""
    keys = folios * store.folio_bytes // (store.index_bytes + store.value_bytes)
    index = _folios_for(keys * store.index_bytes, store.folio_bytes)
    keys = min(keys, (folios - index) * store.folio_bytes // store.value_bytes)
    _check_count("keys", keys)
    slab_at = np.arange(keys, dtype=np.int32)
    rng.shuffle(slab_at)
    weights = np.zeros(folios)
    lines = -(-store.value_bytes // CACHE_LINE)
    index_lines = -(-store.index_bytes // CACHE_LINE)
    for first in range(0, keys, _SOME):
        gets = zipf_weights(min(_SOME, keys - first), store.s, first + 1)
        bucket = rng.integers(0, index, len(gets))
        weights[:index] += np.bincount(bucket, gets * index_lines, index)
        at = slab_at[first : first + _SOME] * np.int64(store.value_bytes)
        _lay_out(weights[index:], at, store.value_bytes, gets * lines, store.folio_bytes)
    return WeightTable(weights)


class Graph(NamedTuple):
    """A graph in compressed rows: records of vertices first, then edge lists by vertex.

    Degrees follow a power law, P(d) ~ d**-exponent, and are drawn for each vertex, those
    near each other alike or not; ends of edges are vertices in proportion to their degree
    (F. Chung and L. Lu, "Connected components in random graphs with given expected degree
    sequences", 2002).
    """

    degree: float = 16
    exponent: float = 2.5
    vertex_bytes: int = 64
    edge_bytes: int = 8
    folio_bytes: int = 4096
    sorted_by_degree: bool = False


def traversal(folios: int, graph: Graph, rng: np.random.Generator) -> WeightTable:
    """The weights of a traversal of a graph with as many vertices as fit.

    It comes to a vertex along an edge, so in proportion to degree.  A visit reads the
    vertex's record, its edge list (a cache line an access), and the record of each vertex
    that an edge leads to, to see whether it has been visited.
    """
    per_vertex = graph.vertex_bytes + graph.degree * graph.edge_bytes
    vertices = int(folios * graph.folio_bytes / per_vertex)
    head = _folios_for(vertices * graph.vertex_bytes, graph.folio_bytes)
    _check_count("vertices", vertices if head < folios else 0)
    degrees = power_law(vertices, graph.degree, graph.exponent, rng)
    if graph.sorted_by_degree:
        degrees = np.sort(degrees)[::-1].copy()
    weights = np.zeros(folios)
    edges = float(degrees.sum(dtype=np.float64))
    # The lists fill what is left: their bytes an edge are about `edge_bytes`.
    bytes_an_edge = (folios - head) * graph.folio_bytes / edges
    total = squares = 0.0
    for first in range(0, vertices, _SOME):
        some = degrees[first : first + _SOME]
        total, squares = _added(some, total), _added(some * some, squares)
    visited_degree = squares / total  # of a vertex come to along an edge
    _lay_out_graph(
        weights, head, degrees, total, 1 + visited_degree, bytes_an_edge,
        graph.edge_bytes / CACHE_LINE, graph.vertex_bytes, graph.folio_bytes,
    )  # fmt: skip
    return WeightTable(weights)


def power_law(count: int, mean: float, exponent: float, rng: np.random.Generator) -> Degrees:
    """Draw expected degrees of so many vertices, with this mean but for chance, by a power law.

    No degree exceeds sqrt(count * mean), above which edges would have to be drawn twice
    (Chung and Lu's condition), nor falls below that of the law without it.
    """
    tail = 1 / (exponent - 1)
    degrees: Degrees = np.empty(count, np.float32)
    for first in range(0, count, _SOME):
        some = degrees[first : first + _SOME]
        some[:] = (1 - rng.random(len(some))) ** -tail
    degrees *= mean * (1 - tail)
    np.minimum(degrees, np.sqrt(count * mean), out=degrees)
    return degrees


def _folios_for(size: int, folio_bytes: int) -> int:
    return -(-size // folio_bytes)


def _check_count(what: str, count: int) -> None:
    if count < 1:
        raise InputError(f"the region is too small to hold any {what}")
    if count > MOST_OBJECTS:
        raise InputError(f"the region would hold {count} {what}; at most {MOST_OBJECTS} are made")


@cython.cfunc
@cython.inline
@cython.nogil
@cython.exceptval(check=False)
def _spread(
    weights: cython.p_double,
    folios: cython.long,
    first: cython.double,
    size: cython.double,
    weight: cython.double,
    folio_bytes: cython.long,
) -> cython.void:
    """Add an object's weight to the folios it lies in, to each by its part.

    `first` is a byte of the first folio or later; the last folio takes what lies beyond.
    """
    end: cython.double = first + size
    boundary: cython.double
    folio: cython.long = cython.cast(cython.long, first / folio_bytes)
    if folio * cython.cast(cython.double, folio_bytes) > first:  # the quotient was rounded up
        folio -= 1
    while True:
        boundary = (folio + 1.0) * folio_bytes
        if end <= boundary or folio >= folios - 1:
            weights[min(folio, folios - 1)] += weight * (end - first) / size
            break
        weights[folio] += weight * (boundary - first) / size
        first = boundary
        folio += 1


def _lay_out(
    slabs: Weights,
    at: npt.NDArray[np.int64],
    size: cython.long,
    object_weights: Weights,
    folio_bytes: cython.long,
) -> None:
    """Add objects of one size, each at byte `at` of the folios."""
    weights: cython.p_double = f64(slabs)
    folios: cython.long = len(slabs)
    first: cython.p_long = i64(at)
    weight: cython.p_double = f64(object_weights)
    objects: cython.long = len(at)
    i: cython.long
    with cython.nogil:
        for i in range(objects):
            _spread(weights, folios, first[i], size, weight[i], folio_bytes)


def _added(values: Degrees, to: cython.double) -> float:
    """Add values up, one after the other."""
    value: cython.p_float = f32(values)
    count: cython.long = len(values)
    i: cython.long
    with cython.nogil:
        for i in range(count):
            to += value[i]
    return to


def _lay_out_graph(
    weights: Weights,
    head: cython.long,
    degrees: Degrees,
    total: cython.double,
    record_accesses: cython.double,
    bytes_an_edge: cython.double,
    lines_an_edge: cython.double,
    vertex_bytes: cython.long,
    folio_bytes: cython.long,
) -> None:
    """Add records to the first `head` folios and edge lists to the rest, vertex by vertex.

    `total` of the degrees; `record_accesses` that a visit brings.
    """
    records: cython.p_double = f64(weights)
    lists: cython.p_double = f64(weights[head:])
    folios: cython.long = len(weights) - head
    degree: cython.p_float = f32(degrees)
    vertices: cython.long = len(degrees)
    at: cython.double = 0.0
    visits: cython.double
    d: cython.double
    record: cython.double
    i: cython.long
    with cython.nogil:
        for i in range(vertices):
            d = degree[i]
            visits = d / total
            record = cython.cast(cython.double, i) * vertex_bytes
            _spread(records, head, record, vertex_bytes, visits * record_accesses, folio_bytes)
            _spread(lists, folios, at, d * bytes_an_edge, visits * d * lines_an_edge, folio_bytes)
            at += d * bytes_an_edge
