# Constants of perf_layout.py as loops take them: known to the C compiler.  A test holds the two equal.

cdef enum:
    IP = 0
    TID = 1
    TIME = 2
    ADDR = 3
    READ = 4
    CALLCHAIN = 5
    ID = 6
    CPU = 7
    PERIOD = 8
    STREAM_ID = 9
    RAW = 10
    BRANCH_STACK = 11
    REGS_USER = 12
    STACK_USER = 13
    WEIGHT = 14
    DATA_SRC = 15
    IDENTIFIER = 16
    TRANSACTION = 17
    REGS_INTR = 18
    PHYS_ADDR = 19
    WEIGHT_STRUCT = 24

    READ_ENABLED = 0
    READ_RUNNING = 1
    READ_ID = 2
    READ_GROUP = 3
    READ_LOST = 4
    BRANCH_HW_INDEX = 17
    BRANCH_COUNTERS = 19

    RECORD_SAMPLE = 9
    RECORD_AUXTRACE = 71
    RECORD_COMPRESSED = 81
    RECORD_COMPRESSED2 = 83

    CORRUPT = 1
    COMPRESSED = 2

    BAD = 0
    FIRST_BAD = 1
    USELESS = 2
    UNKNOWN = 3

    EVENT_TYPE = 0
    EVENT_READ = 1
    EVENT_BRANCH = 2
    EVENT_REGS_USER = 3
    EVENT_REGS_INTR = 4
    EVENT_USABLE = 5
    EVENT_TID = 6
    EVENT_TIME = 7
    EVENT_ADDR = 8
    EVENT_CPU = 9
    EVENT_HEAD = 10
    EVENT_WORDS = 11
