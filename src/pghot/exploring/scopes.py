"""A log as a whole, and by process, control group or region: who each row is of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from pghot.errors import InputError
from pghot.exploring.tally import AccessTally
from pghot.log.read import Log
from pghot.log.regions import RegionNames, regions_of
from pghot.log.schema import Columns

MOST = 32
"""Processes, control groups or regions that get a curve; what comes later is `others`."""

PAGES_EACH = 1 << 20
"""Pages of each that are counted one by one: 4 GiB of them."""

SAMPLED_EACH = 1 << 12

OTHERS = "others"

Keys = npt.NDArray[np.int64]
NameOf = Callable[[int], str]


class Scopes:
    """Tallies by what `keys` of the rows give; `name_of` names a key."""

    def __init__(self, keys: Callable[[Columns], Keys], name_of: NameOf) -> None:
        self._keys = keys
        self._name_of = name_of
        self._tallies: dict[int | None, AccessTally] = {}

    def add(self, columns: Columns, part: int, odd: npt.NDArray[np.bool_]) -> None:
        """Take rows."""
        keys = self._keys(columns)
        found, which = np.unique(keys, return_inverse=True)
        for number, key in enumerate(found.tolist()):
            mine = which == number
            self._tally(key).add(columns["pfn"][mine], part, odd[mine])

    def _tally(self, key: int) -> AccessTally:
        own = key if key in self._tallies or len(self._tallies) < MOST else None
        if own not in self._tallies:
            self._tallies[own] = AccessTally(PAGES_EACH, SAMPLED_EACH)
        return self._tallies[own]

    def __iter__(self) -> Iterator[tuple[str, AccessTally]]:
        """Names and tallies, those with most accesses first."""
        order = sorted(self._tallies.items(), key=lambda item: -item[1].accesses)
        for key, tally in order:
            yield OTHERS if key is None else self._name_of(key), tally


BY: Mapping[str, tuple[str, ...]] = {
    "process": ("pid",),
    "memcg": ("memcg",),
    "region": ("pid", "vaddr"),
}
"""What curves may be by, and the columns of the log that tell."""


def scopes_by(by: str, log: Log) -> Scopes:
    """Scopes of a log; InputError where it does not tell."""
    for column in BY[by]:
        if column not in log.columns:
            raise InputError(f"{log.path}: has no column {column}, so nothing is known by {by}")
    if by == "region":
        return _by_region(log)
    (column,) = BY[by]
    return Scopes(lambda rows: rows[column].astype(np.int64), lambda key: f"{by} {key}")


def _by_region(log: Log) -> Scopes:
    regions = regions_of(log.metadata)
    if not regions:
        raise InputError(
            f"{log.path}: does not hold what was mapped where; perf.data does "
            "(perf record -d), and pghot convert keeps it"
        )
    names = RegionNames(regions)
    return Scopes(lambda rows: names.of(rows["pid"], rows["vaddr"]), names.names.__getitem__)
