"""Loops over records alone, without a machine around them."""

from __future__ import annotations

import numpy as np

from pghot.engine.fast_path import AccessArrays, RecordRules
from pghot.engine.fast_path import update as update_rows
from pghot.engine.hot_map_arrays import Maps
from pghot.engine.hotmap import MapArrays
from pghot.engine.layout import Layout, Rules
from pghot.engine.recorder import Accesses


def maps_of(records: np.ndarray) -> Maps:
    """A hot map of nothing but these records, a multiple of eight bytes of them."""
    flags = np.zeros(len(records) // 4096 + 1, np.uint8)
    return Maps(MapArrays(records, flags, flags, flags, flags, flags.copy()))


def update(
    records: np.ndarray,
    indices: np.ndarray,
    now: np.ndarray,
    nids: np.ndarray,
    layout: Layout,
    rules: Rules,
) -> None:
    """Update records at indices, one access each at its time for its node."""
    accesses = Accesses(indices.astype(np.uint64), nids, np.zeros(len(indices), np.int8), now)
    record_rules = RecordRules(layout.table(rules), 3, 0, rules.window, rules.ready_stays)
    update_rows(maps_of(records), record_rules, AccessArrays(accesses))
