"""Numbers of linux/perf_event.h and perf.data-file-format.txt that tell how a sample lies.

perf_layout.pxd has the same for the loops.
"""

from __future__ import annotations

# Bits of perf_event_attr.sample_type.
IP, TID, TIME, ADDR, READ, CALLCHAIN, ID, CPU, PERIOD, STREAM_ID = range(10)
RAW, BRANCH_STACK, REGS_USER, STACK_USER, WEIGHT, DATA_SRC, IDENTIFIER = range(10, 17)
TRANSACTION, REGS_INTR, PHYS_ADDR = range(17, 20)
WEIGHT_STRUCT = 24

# Bits of read_format and of branch_sample_type that change what a field takes.
READ_ENABLED, READ_RUNNING, READ_ID, READ_GROUP, READ_LOST = range(5)
BRANCH_HW_INDEX, BRANCH_COUNTERS = 17, 19

# Types of records.  The payload of AUXTRACE follows it and is not in its size.
RECORD_SAMPLE = 9
RECORD_AUXTRACE = 71
RECORD_COMPRESSED, RECORD_COMPRESSED2 = 81, 83

# Why the records cannot be gone through.
CORRUPT, COMPRESSED = 1, 2

# What is tallied of samples that are not decoded.
BAD, FIRST_BAD, USELESS, UNKNOWN = range(4)

# Words of an event: its sample_type and what else tells the length of a field; then where
# the fields stand that come before READ, -1 for none, and where these end.
EVENT_TYPE, EVENT_READ, EVENT_BRANCH, EVENT_REGS_USER, EVENT_REGS_INTR, EVENT_USABLE = range(6)
EVENT_TID, EVENT_TIME, EVENT_ADDR, EVENT_CPU, EVENT_HEAD, EVENT_WORDS = range(6, 12)
