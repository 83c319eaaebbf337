"""From addresses to the PFNs and nodes of a machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pghot.engine.memory import Node
from pghot.engine.units import NID_MAX, NUMA_NO_NODE, PAGE_SHIFT, PAGES_PER_SECTION
from pghot.errors import InputError
from pghot.log.convert.pages import PageTable
from pghot.log.convert.samples import Tally
from pghot.log.machine import MAX_PFN, Machine
from pghot.log.schema import Columns


def two_tier(pages: int) -> Machine:
    """Give a machine whose slow node just holds so many pages, and a free top tier as large.

    Promotion is then never held back by room; the top tier has the one CPU.
    """
    size = -(-max(pages, 1) // PAGES_PER_SECTION) * PAGES_PER_SECTION
    return Machine(
        (
            Node(0, 0, size, toptier=True, cpus=(0,), free_pages=size),
            Node(1, size, size, toptier=False),
        )
    )


@dataclass(slots=True)
class Placement:
    """Gives rows their `pfn` and `nid`.  Made by `plan`.

    Where `machine` is None and addresses are virtual, PFNs count from 0: the start of the
    slow node is to be added once the last page is known.
    """

    name: str
    physical: bool
    machine: Machine | None
    nid: int
    slow: Node | None
    pages: PageTable
    node_of_cpu: npt.NDArray[np.int16]
    skip_bad: bool
    tally: Tally

    def pfns(self, rows: Columns) -> Columns:
        """Turn `address` into `pfn`, without the rows that the machine has no place for."""
        if not self.physical:
            pfn = self.pages.place(rows.get("pid"), rows["address"])
            if self.slow:
                self._check_room(self.slow)
                pfn += np.uint64(self.slow.start_pfn)
            return {**rows, "pfn": pfn}
        pfn = rows["address"] >> np.uint64(PAGE_SHIFT)
        rows = self._inside({**rows, "pfn": pfn})
        self.pages.place(None, rows["pfn"] << np.uint64(PAGE_SHIFT))  # to count them
        return rows

    def nids(self, rows: Columns) -> npt.NDArray[np.int16]:
        """Give the node of each row's CPU, or the one to take where it is not known."""
        count = len(rows["address"])
        if "cpu" not in rows or not len(self.node_of_cpu):
            return np.full(count, self.nid, dtype=np.int16)
        cpu = rows["cpu"].astype(np.int64)
        known = (cpu >= 0) & (cpu < len(self.node_of_cpu))
        nids = self.node_of_cpu[np.where(known, cpu, 0)]
        return np.where(known & (nids != NUMA_NO_NODE), nids, np.int16(self.nid))

    def _check_room(self, slow: Node) -> None:
        if self.pages.count > slow.pages:
            raise InputError(
                f"{self.name}: touches more than the {slow.pages} pages of node {slow.id}; give "
                f"a machine file with a larger slow node, or none"
            )

    def _inside(self, rows: Columns) -> Columns:
        """Leave only PFNs that the machine has; InputError at others unless they are skipped."""
        pfn = rows["pfn"]
        nodes = self.machine.nodes if self.machine else (Node(0, 0, MAX_PFN, toptier=True),)
        inside = np.zeros(len(pfn), dtype=np.bool_)
        for node in nodes:
            inside |= (pfn >= node.start_pfn) & (pfn < node.end_pfn)
        if inside.all():
            return rows
        if not self.skip_bad:
            at = int(np.argmin(inside))
            where = "in no node of the machine file" if self.machine else "beyond 52 bits"
            raise InputError(
                f"{self.name}: address 0x{int(rows['address'][at]):x} (PFN {int(pfn[at])}) is "
                f"{where}; --skip-bad leaves such samples out"
            )
        self.tally.leave_out("PFN outside the machine", int(np.count_nonzero(~inside)))
        return {name: array[inside] for name, array in rows.items()}


def plan(
    name: str,
    machine: Machine | None,
    nid: int | None,
    tally: Tally,
    *,
    physical: bool,
    skip_bad: bool,
) -> Placement:
    """Choose where the pages of a file go; InputError where the machine has no place."""
    if nid is not None and not NUMA_NO_NODE <= nid <= NID_MAX:
        raise InputError(f"--nid {nid}: wants -1 to {NID_MAX}")
    slow = _slow_node(machine) if machine and not physical else None
    synthetic = machine is None and not physical
    nodes = {0, 1} if synthetic else {node.id for node in machine.nodes} if machine else None
    if nid is not None and nid != NUMA_NO_NODE and nodes is not None and nid not in nodes:
        raise InputError(f"--nid {nid}: the machine has no such node")
    if nid is None:
        nid = 0 if synthetic else NUMA_NO_NODE
    cpus = _nodes_of_cpus(machine)
    return Placement(name, physical, machine, nid, slow, PageTable(), cpus, skip_bad, tally)


def _slow_node(machine: Machine) -> Node:
    for node in machine.nodes:
        if not node.toptier and node.pages:
            return node
    raise InputError("the machine file has no lower-tier node to place virtual pages on")


def _nodes_of_cpus(machine: Machine | None) -> npt.NDArray[np.int16]:
    """Give the node of every CPU that the machine lists, -1 for those between."""
    # A log holds CPUs as 16 bits; a machine file may name more.
    pairs = [
        (cpu, node.id)
        for node in (machine.nodes if machine else ())
        for cpu in node.cpus
        if cpu < 1 << 15
    ]
    nodes = np.full(max((cpu + 1 for cpu, _nid in pairs), default=0), NUMA_NO_NODE, np.int16)
    for cpu, nid in pairs:
        nodes[cpu] = nid
    return nodes
