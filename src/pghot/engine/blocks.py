"""What the recorder's paths say to each other of sections, pages and blocks of records."""

from __future__ import annotations

BLOCK = 128
"""Rows that are recorded together."""

AHEAD = 64
"""Accesses between the one being recorded and the one whose cache line is asked for."""

FACTS, TOP, NO_MAP, ABSENT = 1, 2, 4, 8
"""What may be said of a section: some page of it is, or was, of another kind than 0; its
node is top tier; it has no hot map; it is not present."""

SECTION_KIND, SECTION_KIND_BITS = 15, 4
"""Where an item of `Scratch.sections` has that; its slot stands above."""

TOUCHED, READY = 1, 128
"""Marks on a block of records: one was updated; one is ready."""

PAGE_MOVED, PAGE_ON_TOP, PAGE_NOT_PLAIN = 1, 2, 4
"""What can be said of a page: it has moved; it has moved to the top tier; any other flag."""

FATE_ON_TOP, FATE_INITIALLY, FATE_OTHER = 1, 2, 4
"""What R2.5 to R2.8 say of the pages of a row in a section: they are on the top tier; they would
be had none moved; something else is to be said."""

SOURCES = 2
"""How many sources there are; a number from here on names none."""

REFUSE, DISABLED, TAKE = 0, 1, 2
"""What an access says of itself: refused with EINVAL, of a disabled source, to be taken."""

U32 = 0xFFFF_FFFF

KEPT = 0xF800_0000
"""Bits of a precision record that an update leaves (v8's leaves none): ready, and those of no
use yet."""

SLOT_BITS = 0xFFFF_FFF0
"""Where an item of `Scratch.sections` has the section's slot."""

EVERY_BYTE, EVERY_WORD = 0x0101_0101_0101_0101, 0x0000_0001_0000_0001
"""Times a mask: the mask in every record, of one byte or four, of a 64-bit word."""
