"""A `Memory` that writes down what another answers, for a replay to answer the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pghot.driving.answer_log import AnswerLog, EntryKind
from pghot.engine.mem_map import MemMap
from pghot.engine.memory import BoolArray, I64Array, Memory, TargetChooser, U64Array, Zone


class RecordingMemory:
    """Answers what `memory` answers; what depends on more than the engine goes into `answers`."""

    def __init__(
        self, memory: Memory, answers: AnswerLog, aiming: TargetChooser | None = None
    ) -> None:
        """`aiming`: what says where folios go, where `memory` has it."""
        self._memory = memory
        self._aiming = aiming
        self._answers = answers

    @property
    def mem_map(self) -> MemMap:
        """What is known of every page, by PFN."""
        return self._memory.mem_map

    def nodes(self) -> Sequence[int]:
        """Ids of the nodes that have memory, ascending."""
        return self._memory.nodes()

    @property
    def known_nids(self) -> Sequence[int]:
        """Ids of all nodes, with memory or without."""
        return self._memory.known_nids

    def node_online(self, nid: int) -> bool:
        """Whether the node is online."""
        return self._memory.node_online(nid)

    def node_is_toptier(self, nid: int) -> bool:
        """Whether the node is in the top tier."""
        return self._memory.node_is_toptier(nid)

    def present_pages(self, nid: int) -> int:
        """Pages of the node, holes left out; written down."""
        pages = self._memory.present_pages(nid)
        self._answers.note(EntryKind.PRESENT, nid, pages)
        return pages

    def zones(self, nid: int) -> Iterable[Zone]:
        """The node's zones; written down."""
        zones = list(self._memory.zones(nid))
        self._answers.note(EntryKind.ZONES, nid, zones)
        return zones

    def headroom(self, nid: int) -> int:
        """Pages of the largest folio that the node has headroom for; written down."""
        headroom = self._memory.headroom(nid)
        self._answers.note(EntryKind.HEADROOM, nid, headroom)
        return headroom

    def migrate(self, pfns: U64Array, nid: int) -> BoolArray:
        """Move folios to the node; which moved is written down."""
        moved = self._memory.migrate(pfns, nid)
        self._answers.note(EntryKind.MOVED, nid, moved)
        return moved

    def aim(
        self, from_nid: int, pfns: U64Array, cpu_nids: I64Array, default: I64Array
    ) -> I64Array:
        """The node that each folio goes to (`TargetChooser`); written down where it is another."""
        if self._aiming is None:
            return default
        nids = self._aiming.aim(from_nid, pfns, cpu_nids, default)
        if (nids != default).any():
            self._answers.note(EntryKind.AIMED, from_nid, nids)
        return nids

    def is_target(self, nid: int) -> bool:
        """Whether folios may be promoted to the node."""
        return self.node_is_toptier(nid) if self._aiming is None else self._aiming.is_target(nid)
