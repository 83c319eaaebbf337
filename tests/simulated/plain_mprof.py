"""The profiler's driver on one CPU, register by register, in plain Python."""

from __future__ import annotations

from collections import Counter

from pghot.simulated.ibs import registers as ibs

NR_SAMPLES = 150
NMI_DONE, NMI_HANDLED = range(2)


class PlainCpu:
    """Registers, ring and work of a CPU; `recorded` is what its drains handed on."""

    def __init__(self, nid, delay_us):
        self.msr = dict.fromkeys(
            range(ibs.MSR_AMD64_IBS_MPROF_CTL, ibs.MSR_AMD64_IBS_MPROF_PHYADDR + 1), 0
        )
        self.nid, self.delay_us = nid, delay_us
        self.counts: Counter[str] = Counter()
        self.slots = [None] * NR_SAMPLES
        self.head = self.tail = 0
        self.work_pending = False
        self.work_at = None
        self.recorded = []

    def startup(self):
        self.msr[ibs.MSR_AMD64_IBS_MPROF_CTL] = (
            ibs.encode_period(ibs.IBS_MPROF_SAMPLE_PERIOD)
            | ibs.MPROF_CTL["IBS_MPROF_CTL_CNT_CTL"]
            | ibs.MPROF_CTL["IBS_MPROF_CTL_ENABLE"]
            | ibs.MPROF_CTL["IBS_MPROF_CTL_L3MISSONLY"]
        )
        self.msr[ibs.MSR_AMD64_IBS_MPROF_CTL2] = ibs.CTL2_EXCLUDE_KERNEL

    def disable(self, ctl):
        ctl &= ~ibs.CTL_ENABLE
        ctl &= ~ibs.CTL_VAL
        self.msr[ibs.MSR_AMD64_IBS_MPROF_CTL] = ctl
        self.msr[ibs.MSR_AMD64_IBS_MPROF_CTL2] = ibs.CTL2_DISABLE

    def teardown(self):
        self.disable(self.msr[ibs.MSR_AMD64_IBS_MPROF_CTL])
        self.work_at = None

    def hardware(self, data2, data3, phyaddr):
        """Tag an access, if the registers say that this is wanted."""
        if not self.msr[ibs.MSR_AMD64_IBS_MPROF_CTL] & ibs.CTL_ENABLE:
            return
        if self.msr[ibs.MSR_AMD64_IBS_MPROF_CTL2] & ibs.CTL2_DISABLE:
            return
        self.msr[ibs.MSR_AMD64_IBS_MPROF_CTL] |= ibs.CTL_VAL
        self.msr[ibs.MSR_AMD64_IBS_MPROF_DATA2] = data2
        self.msr[ibs.MSR_AMD64_IBS_MPROF_DATA3] = data3
        self.msr[ibs.MSR_AMD64_IBS_MPROF_PHYADDR] = phyaddr

    def nmi(self, time_us, jiffies, online):
        ctl = self.msr[ibs.MSR_AMD64_IBS_MPROF_CTL]
        if not ctl & ibs.CTL_VAL:
            return NMI_DONE
        self.disable(ctl)
        self.counts["hwhint_total_events"] += 1
        self.check(time_us, jiffies, online)
        self.startup()
        return NMI_HANDLED

    def check(self, time_us, jiffies, online):
        data2 = self.msr[ibs.MSR_AMD64_IBS_MPROF_DATA2]
        source = (data2 & 0x7) | ((data2 >> 6 & 0x3) << 3)
        if source == 3:
            self.counts["hwhint_dram_accesses"] += 1
        if source == 8:
            self.counts["hwhint_extmem_accesses"] += 1
        data3 = ibs.decode(self.msr[ibs.MSR_AMD64_IBS_MPROF_DATA3], ibs.MPROF_DATA3)
        if not data3["IBS_MPROF_DATA3_LADDR_VALID"]:
            return
        if not data3["IBS_MPROF_DATA3_PADDR_VALID"]:
            return
        pfn = self.msr[ibs.MSR_AMD64_IBS_MPROF_PHYADDR] // 4096
        if not online or not self.push((pfn, self.nid, jiffies)):
            return
        if not self.work_pending:
            self.work_pending = True
            self.work_at = time_us + self.delay_us
        self.counts["hwhint_useful_events"] += 1

    def push(self, sample):
        following = self.head + 1
        if following >= NR_SAMPLES:
            following = 0
        if following == self.tail:
            self.counts["dropped"] += 1
            return False
        self.slots[self.head] = sample
        self.head = following
        return True

    def work(self, now_us):
        if self.work_at is None or self.work_at > now_us:
            return
        while self.tail != self.head:
            self.recorded.append(self.slots[self.tail])
            self.tail += 1
            if self.tail >= NR_SAMPLES:
                self.tail = 0
        self.work_pending, self.work_at = False, None
