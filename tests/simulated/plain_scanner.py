"""One step of task_numa_work() over pages, one after the other, in plain Python."""

from __future__ import annotations

SCAN_ALIGN = 512
GAP = 1 << 20
"""Pages from one region's start to the next one's: more than any region here has."""


class PlainScan:
    """Regions at made-up addresses (in pages), each a list of (folio, pages a folio)."""

    def __init__(self, regions, scan_pages):
        self.vmas = [
            (GAP * (at + 1), GAP * (at + 1) + (folios << order), first, order)
            for at, (first, folios, order) in enumerate(regions)
        ]
        self.scan_pages = scan_pages
        self.offset = 0
        self.sequence = 0

    def after(self, address):
        return [vma for vma in self.vmas if vma[1] > address]

    def protect(self, vma, start, end, nid, marked, toptier):
        begin, _end, first, order = vma
        updates, page = [], start
        while page < end:
            folio = first + ((page - begin) >> order)
            if nid[folio] >= 0 and not toptier[nid[folio]] and not marked[folio]:
                updates.append(folio)
            page += 1 << order
        return updates

    def step(self, nid, marked, toptier):
        pages, virtual = self.scan_pages, self.scan_pages * 8
        found, updates, looked_at = [], 0, 0
        start = self.offset
        vmas = self.after(start)
        if not vmas:
            self.sequence, start = self.sequence + 1, 0
            vmas = self.after(start)
        for vma in vmas:
            start = max(start, vma[0])
            while True:
                end = start + pages
                while end % SCAN_ALIGN:
                    end += 1
                end = min(end, vma[1])
                folios = self.protect(vma, start, end, nid, marked, toptier)
                found += folios
                updates += len(folios) * (1 << vma[3])
                if folios:
                    pages -= end - start
                virtual -= end - start
                looked_at += end - start
                start = end
                if pages <= 0 or virtual <= 0:
                    self.offset = start
                    return found, updates, looked_at
                if end == vma[1]:
                    break
        self.sequence, self.offset = self.sequence + 1, 0
        return found, updates, looked_at
