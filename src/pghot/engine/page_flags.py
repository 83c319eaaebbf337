"""Flags of pages, and numbers of the rows that hold them (`page_kinds`).

A page with no flag is online, referenced, on the LRU, of order 0, and on the node of its
section.  Flags of a compound folio stand at its first page, but for the first two.
"""

from __future__ import annotations

OFFLINE = 1
ZONE_DEVICE = 2
UNREFERENCED = 4
OFF_LRU = 8
COMPOUND = 16
MOVED = 32
UNMOVABLE = 64

NOT_ONLINE = 3
"""OFFLINE or ZONE_DEVICE."""

SHARED_ROWS = 65536
"""Rows below are shared by the pages of a kind; each from here on is of one odd page."""

ODD = 0xFFFF
"""The number that sends to a row of the page's own."""

WHOLE = 3
"""The width of codes that are the rows' numbers themselves."""

PALETTE_SHIFT = 8
"""A palette has room for 2^8 rows."""

CODES_SHIFT = 16
"""A section has 2^16 bytes of address space for its codes; memory is taken where they are."""
