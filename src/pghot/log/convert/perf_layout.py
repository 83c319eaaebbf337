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

# Types of records.  The payloads of AUXTRACE and TRACING_DATA follow and are not in their sizes.
RECORD_LOST, RECORD_COMM, RECORD_THROTTLE, RECORD_FORK = 2, 3, 5, 7
RECORD_SAMPLE = 9
RECORD_LOST_SAMPLES = 13
RECORD_ATTR = 64
RECORD_TRACING_DATA = 66
RECORD_AUXTRACE_INFO, RECORD_AUXTRACE = 70, 71
RECORD_EVENT_UPDATE, RECORD_TIME_CONV = 78, 79
RECORD_COMPRESSED, RECORD_COMPRESSED2 = 81, 83
RECORD_KINDS = 256

# Whose code ran, in the lowest bits of a record's misc.
CPU_MODE, GUEST_KERNEL, GUEST_USER = 7, 4, 5

# Why the records cannot be gone through.
CORRUPT = 1

# What is told of all records.
LOST, THROTTLED, GUESTS, TOLD = range(4)

# What is tallied of samples that are not decoded.
BAD, FIRST_BAD, USELESS, UNKNOWN = range(4)

# Words of an event: its sample_type and what else tells the length of a field; then where
# the fields stand that come before READ, -1 for none, and where these end.
EVENT_TYPE, EVENT_READ, EVENT_BRANCH, EVENT_REGS_USER, EVENT_REGS_INTR, EVENT_USABLE = range(6)
EVENT_TID, EVENT_TIME, EVENT_ADDR, EVENT_CPU, EVENT_HEAD, EVENT_WORDS = range(6, 12)
