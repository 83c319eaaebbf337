"""From addresses to the PFNs and nodes of a machine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pghot.engine.distinct import distinct
from pghot.engine.memory import Node
from pghot.engine.pfn_arrays import contained, nth_pfns
from pghot.engine.pfn_ranges import merge
from pghot.engine.units import NID_MAX, NUMA_NO_NODE, PAGE_SHIFT, PAGES_PER_SECTION
from pghot.errors import InputError
from pghot.log.convert.pages import PageTable
from pghot.log.convert.samples import ConvertTally, U64Array
from pghot.log.machine import MAX_PFN, Machine
from pghot.log.schema import Columns

STARTS = ("first-touch", "slow")
FAST_SHARE = 1 / 3


def two_tier(fast: int, slow: int, *, full: bool) -> Machine:
    """A machine whose nodes have so many pages, rounded up to sections; the fast one has the CPU.

    `full` leaves no page of the fast node free; else all are.
    """
    fast_size, slow_size = (
        -(-max(pages, 1) // PAGES_PER_SECTION) * PAGES_PER_SECTION for pages in (fast, slow)
    )
    free = 0 if full else fast_size
    return Machine(
        (
            Node(0, 0, fast_size, toptier=True, cpus=(0,), free_pages=free),
            Node(1, fast_size, slow_size, toptier=False),
        )
    )


@dataclass(slots=True)
class FramePlacement:
    """Assigns rows their `pfn` and `nid`.  Made by `plan`.

    Where `machine` is None and addresses are virtual, PFNs count from 0 in the order of
    first touch; `placed` makes them those of the machine that `made` makes, once the last
    page is known.
    """

    name: str
    physical: bool
    machine: Machine | None
    nid: int
    fast: Node | None
    slow: Node | None
    start: str
    fast_share: float
    page_shift: int
    pages: PageTable
    node_of_cpu: npt.NDArray[np.int16]
    skip_bad: bool
    tally: ConvertTally

    @property
    def fast_pages(self) -> int:
        """Pages that start on the fast node: on a machine that is made, its share of all."""
        if self.start == "slow" or self.physical:
            return 0
        if self.machine is None:
            return int(self.fast_share * self.pages.count)
        return min(self.pages.count, _first_touch_headroom(self.fast) if self.fast else 0)

    def made(self) -> Machine:
        """A machine for the pages that there are: full from the start, or with all slow."""
        fast = self.fast_pages
        if self.start == "slow":
            return two_tier(self.pages.count, self.pages.count, full=False)
        return two_tier(fast, self.pages.count - fast, full=True)

    def started(self) -> Machine:
        """The machine that was given, the pages placed on its fast node no longer free."""
        nodes = (
            tuple(
                replace(node, free_pages=node.free_pages - self.fast_pages)
                if self.fast and node.id == self.fast.id
                else node
                for node in self.machine.nodes
            )
            if self.machine
            else ()
        )
        return replace(self.machine, nodes=nodes) if self.machine else self.made()

    def placed(self, numbers: U64Array) -> U64Array:
        """PFNs of pages by the number of their first touch, on the machine that is made."""
        fast = np.uint64(self.fast_pages)
        slow = np.uint64(self.made().nodes[1].start_pfn)
        return np.where(numbers < fast, numbers, numbers - fast + slow)

    def pfns(self, rows: Columns) -> Columns:
        """Turn `address` into `pfn`, without the rows that the machine has no place for."""
        if not self.physical:
            owners = rows.get("owner", rows.get("pid"))
            pfn = self.pages.place(owners, self._whole_pages(rows["address"]))
            if self.slow:
                fast = np.uint64(self.fast_pages)
                self._check_headroom(self.slow)
                on_fast = pfn < fast
                placed = nth_pfns(self.slow.ranges, np.where(on_fast, 0, pfn - fast))
                if self.fast:
                    placed[on_fast] = nth_pfns(self.fast.ranges, pfn[on_fast])
                pfn = placed
            return {**rows, "pfn": pfn}
        pfn = self._whole_pages(rows["address"]) >> np.uint64(PAGE_SHIFT)
        rows = self._inside({**rows, "pfn": pfn})
        self.pages.place(None, rows["pfn"] << np.uint64(PAGE_SHIFT))  # to count them
        return rows

    def _whole_pages(self, addresses: U64Array) -> U64Array:
        """Addresses of the first 4 KiB of the pages that the trace's machine has."""
        if self.page_shift == PAGE_SHIFT:
            return addresses
        shift = np.uint64(self.page_shift)
        return addresses >> shift << shift

    def remark(self) -> None:
        """A note that says where pages were put."""
        if self.physical:
            if self.machine is None:
                self.tally.note(
                    "physical addresses are of the traced machine, which the log does not name: "
                    "convert with --machine FILE, or give it to replay (there, pghot topology "
                    "-o FILE writes it)"
                )
            return
        fast, pages = self.fast_pages, self.pages.count
        if self.start == "slow":
            self.tally.note(f"all {pages} pages start on the slow node, and the fast one is free")
        elif self.machine is None:
            self.tally.note(
                f"pages have PFNs by first touch: {fast} on the fast node, which is full then, "
                f"and {pages - fast} on the slow one; a replay demotes nothing, so it makes no "
                f"room there (pghot sim does; --start slow leaves the fast node free)"
            )
        else:
            self.tally.note(
                f"pages have PFNs by first touch: {fast} on the fast node as far as its "
                f"free_pages go above its promo_wmark, {pages - fast} on the slow one"
            )

    def nids(self, rows: Columns) -> npt.NDArray[np.int16]:
        """The node of each row's CPU, or the one to take where it is not known."""
        count = len(rows["address"])
        if "nid" in rows:
            self._check_nids(rows["nid"])
            return rows["nid"]
        if "cpu" not in rows or not len(self.node_of_cpu):
            return np.full(count, self.nid, dtype=np.int16)
        cpu = rows["cpu"].astype(np.int64)
        known = (cpu >= 0) & (cpu < len(self.node_of_cpu))
        nids = self.node_of_cpu[np.where(known, cpu, 0)]
        return np.where(known & (nids != NUMA_NO_NODE), nids, np.int16(self.nid))

    def _check_nids(self, nids: npt.NDArray[np.int16]) -> None:
        """Refuse nodes that the machine does not have."""
        if self.physical and not self.machine:
            return
        has = {node.id for node in self.machine.nodes} if self.machine else {0, 1}
        unknown = sorted(set(distinct(nids).tolist()) - has - {NUMA_NO_NODE})
        if unknown:
            raise InputError(
                f"{self.name}: node {unknown[0]}: the machine has no such node; give its machine "
                f"file with --machine"
            )

    def _check_headroom(self, slow: Node) -> None:
        if self.pages.count - self.fast_pages > slow.pages:
            raise InputError(
                f"{self.name}: touches more than the {slow.pages} pages of node {slow.id}; give "
                f"a machine file with a larger slow node, or none"
            )

    def _inside(self, rows: Columns) -> Columns:
        """Leave only PFNs that the machine has; InputError at others unless they are skipped."""
        pfn = rows["pfn"]
        nodes = self.machine.nodes if self.machine else (Node(0, 0, MAX_PFN, toptier=True),)
        inside = contained(merge(one for node in nodes for one in node.ranges), pfn)
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
    tally: ConvertTally,
    *,
    physical: bool,
    skip_bad: bool,
    start: str,
    fast_share: float,
    page_size: int,
) -> FramePlacement:
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
    fast = _fast_node(machine) if machine and not physical else None
    return FramePlacement(
        name=name,
        physical=physical,
        machine=machine,
        nid=nid,
        fast=fast,
        slow=slow,
        start=start,
        fast_share=fast_share,
        page_shift=page_size.bit_length() - 1,
        pages=PageTable(),
        node_of_cpu=cpus,
        skip_bad=skip_bad,
        tally=tally,
    )


def _first_touch_headroom(node: Node) -> int:
    """Pages that first touch takes of a node: kswapd keeps its promo watermark free."""
    return max(node.free_pages - node.promo_wmark, 0)


def _slow_node(machine: Machine) -> Node:
    for node in machine.nodes:
        if not node.toptier and node.pages:
            return node
    raise InputError("the machine file has no lower-tier node to place virtual pages on")


def _fast_node(machine: Machine) -> Node | None:
    return next((node for node in machine.nodes if node.toptier and node.pages), None)


def _nodes_of_cpus(machine: Machine | None) -> npt.NDArray[np.int16]:
    """The node of every CPU that the machine lists, -1 for those between."""
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
