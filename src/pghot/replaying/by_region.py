"""What a replay did for each region that its log can name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pghot.binning.forms import NamedRegionHeat
from pghot.engine.distinct import distinct
from pghot.engine.memory import U64Array
from pghot.errors import InputError
from pghot.log.read import open_log
from pghot.log.regions import RegionNames, regions_of

COLUMNS = ("pfn", "pid", "vaddr")

MOST = 64
"""Regions that are told of."""


def region_heats(log: Path, moved: Sequence[U64Array]) -> list[NamedRegionHeat]:
    """Accesses and promoted folios by region, most accesses first, from a pass over a log.

    `moved` are first PFNs of folios; a folio counts for the region of the last access to its
    first page.  None where the log does not say what was mapped where, or is not there any more.
    """
    try:
        with open_log(log) as opened:
            regions = regions_of(opened.metadata)
            if not regions or not set(COLUMNS) <= set(opened.columns):
                return []
            names = RegionNames(regions)
            accesses = np.zeros(len(names.names), np.int64)
            folios = distinct(np.concatenate(moved)) if moved else np.zeros(0, np.uint64)
            owner = np.zeros(len(folios), np.int64)
            for chunk in opened.chunks(COLUMNS):
                rows = chunk.columns
                found = names.of(rows["pid"], rows["vaddr"])
                accesses += np.bincount(found, minlength=len(accesses))
                at = np.searchsorted(folios, rows["pfn"])
                known = at < len(folios)
                known[known] = folios[at[known]] == rows["pfn"][known]
                owner[at[known]] = found[known]
    except InputError:
        return []
    promoted = np.bincount(owner, minlength=len(accesses))
    order = np.argsort(-accesses, kind="stable")[:MOST].tolist()
    return [
        NamedRegionHeat(
            name=names.names[at], accesses=int(accesses[at]), promoted=int(promoted[at])
        )
        for at in order
        if accesses[at]
    ]
