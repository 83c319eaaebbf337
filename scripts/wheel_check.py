"""Whether an installed pghot works: its loops are compiled, and a hot page is promoted."""

from __future__ import annotations

import pghot
import pghot.compiled

pghot.compiled.require("this check")
fast = pghot.Node(id=0, start_pfn=0, pages=1 << 18, toptier=True, free_pages=1 << 17)
slow = pghot.Node(id=1, start_pfn=1 << 18, pages=1 << 20, toptier=False)
engine = pghot.Engine(pghot.ArrayMemory([fast, slow]), pghot.PRECISE, hz=1000)
engine.write("enabled_sources", "0x3")
engine.start()
engine.record_many(pfn=[300_000, 300_001, 300_000], nid=0, source=1, now=[10, 12, 15])
(batch,) = engine.look(now=100)
if batch.pfns[batch.moved].tolist() != [300_000]:
    raise SystemExit(f"promoted: {batch.pfns[batch.moved]}")
