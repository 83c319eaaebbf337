// SPDX-License-Identifier: GPL-2.0-only
/*
 * A TCG plugin of QEMU: counts a program's memory accesses by tier, and samples them.
 *
 * -plugin FILE.so,counts=PATH,data=LOW-HIGH,text=LOW-HIGH,mark=ADDRESS,fast=MIB[,low=MIB]
 *         [,samples=PATH,every=N]
 *
 * Counted are loads and stores by code at `text` to memory at `data` (virtual addresses in hex; all
 * user code and all user memory where not given) that miss a cache of each CPU (CACHE_BYTES, WAYS
 * ways, 64-byte lines, by virtual address).  Served fast is what lies in the machine's first
 * `fast` MiB, the memory of node 0.  Code elsewhere runs as if there were no plugin.
 *
 * A store to `mark` writes a line to `counts`: "all N fast N slow N", so far.  So the program
 * itself says when, and nothing depends on a clock.
 *
 * Of the misses, one in `every` on average goes to `samples` (a file or a FIFO; what does not fit is
 * dropped), at random as hardware does: struct sample, 32 bytes, little endian.  A FIFO that is the
 * PATH.in of `-chardev pipe,id=ID,path=PATH` and `-device virtserialport,chardev=ID,name=NAME` is
 * read in the guest from /dev/virtio-ports/NAME.
 *
 * What QEMU calls the physical address (qemu_plugin_hwaddr_phys_addr()) is the offset of the memory
 * backend among all plus its region's address: the first backend's is what the guest sees, the
 * second's is `fast` more.  Debian has no qemu-plugin.h for QEMU 7.2: declared below is what is used of
 * version 1 of its interface (docs/devel/tcg-plugins.rst).
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define CACHE_BYTES (1UL << 20)
#define WAYS 8
#define LINE_SHIFT 6
#define SETS ((CACHE_BYTES >> LINE_SHIFT) / WAYS)
#define CPUS 8
#define LOADS_AND_STORES 3
#define MIB (1UL << 20)
#define FOUR_GIB (1UL << 32)

typedef uint64_t plugin_id;
typedef uint32_t mem_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
typedef void (*tb_callback)(plugin_id, struct qemu_plugin_tb *);
typedef void (*mem_callback)(unsigned int cpu, mem_info, uint64_t vaddr, void *);

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, tb_callback);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, mem_callback, int flags,
					     int rw, void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern bool qemu_plugin_mem_is_store(mem_info);
extern struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(mem_info, uint64_t vaddr);
extern bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *);
extern uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *);

EXPORT int qemu_plugin_version = 1;

struct sample {
	uint64_t time_ns;	/* the host's CLOCK_MONOTONIC */
	uint64_t vaddr;
	uint64_t physical;	/* as the guest's kernel counts it */
	uint32_t cpu;
	uint32_t store;
};

struct range {
	uint64_t low, high;
};

struct cpu {
	uint64_t lines[SETS][WAYS];
	uint8_t next[SETS];
	uint64_t all, fast, slow;
	uint64_t random, until_sample;
} __attribute__((aligned(64)));

static struct cpu cpus[CPUS];
static struct range text = { 0, 1UL << 63 }, data = { 0, 1UL << 63 };
static uint64_t mark = 1, fast_bytes, low_bytes = 2816 * MIB, every;
static FILE *counts;
static int samples = -1;

static bool within(const struct range *range, uint64_t address)
{
	return address - range->low < range->high - range->low;
}

static bool cached(struct cpu *cpu, uint64_t line)
{
	size_t set = (line ^ line >> 11) % SETS;
	uint64_t *ways = cpu->lines[set];

	for (int i = 0; i < WAYS; i++)
		if (ways[i] == line)
			return true;
	ways[cpu->next[set]++ % WAYS] = line;
	return false;
}

static void write_counts(void)
{
	uint64_t all = 0, fast = 0, slow = 0;

	for (int i = 0; i < CPUS; i++) {
		all += cpus[i].all;
		fast += cpus[i].fast;
		slow += cpus[i].slow;
	}
	fprintf(counts, "all %lu fast %lu slow %lu\n", all, fast, slow);
	fflush(counts);
}

static uint64_t physical(uint64_t address)	/* q35 puts what is above low_bytes at 4 GiB */
{
	uint64_t linear = address < fast_bytes ? address : address - fast_bytes;

	return linear < low_bytes ? linear : linear - low_bytes + FOUR_GIB;
}

static uint64_t gap(struct cpu *cpu)	/* to the next sample: `every` on average */
{
	cpu->random ^= cpu->random << 13;
	cpu->random ^= cpu->random >> 7;
	cpu->random ^= cpu->random << 17;
	return 1 + cpu->random % (2 * every - 1);
}

static void take_sample(unsigned int number, mem_info info, uint64_t vaddr, uint64_t address)
{
	struct timespec now;
	struct sample sample = { 0, vaddr, physical(address), number, 0 };

	clock_gettime(CLOCK_MONOTONIC, &now);
	sample.time_ns = now.tv_sec * 1000000000UL + now.tv_nsec;
	sample.store = qemu_plugin_mem_is_store(info);
	if (write(samples, &sample, sizeof(sample)) < 0)
		return;		/* nobody reads: dropped, as hardware does */
}

static void missed(unsigned int number, mem_info info, uint64_t vaddr)
{
	struct cpu *cpu = &cpus[number % CPUS];
	struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, vaddr);
	uint64_t address;

	if (!where || qemu_plugin_hwaddr_is_io(where))
		return;
	address = qemu_plugin_hwaddr_phys_addr(where);
	if (address < fast_bytes)
		cpu->fast++;
	else
		cpu->slow++;
	if (every && cpu->until_sample-- == 0) {
		cpu->until_sample = gap(cpu);
		take_sample(number, info, vaddr, address);
	}
}

static void accessed(unsigned int number, mem_info info, uint64_t vaddr, void *unused)
{
	struct cpu *cpu = &cpus[number % CPUS];

	(void)unused;
	if (vaddr == mark && qemu_plugin_mem_is_store(info))
		write_counts();
	if (!within(&data, vaddr))
		return;
	cpu->all++;
	if (!cached(cpu, vaddr >> LINE_SHIFT))
		missed(number, info, vaddr);
}

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
	(void)id;
	if (!within(&text, qemu_plugin_tb_vaddr(block)))
		return;
	for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++)
		qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(block, i), accessed, 0,
						 LOADS_AND_STORES, NULL);
}

static bool parse(char *argument)
{
	char *value = strchr(argument, '='), *end;

	if (!value)
		return false;
	*value++ = 0;
	if (!strcmp(argument, "counts"))
		return (counts = fopen(value, "w"));
	if (!strcmp(argument, "samples"))
		return (samples = open(value, O_WRONLY | O_NONBLOCK | O_CREAT, 0600)) >= 0;
	if (!strcmp(argument, "text") || !strcmp(argument, "data")) {
		struct range *range = *argument == 't' ? &text : &data;

		range->low = strtoull(value, &end, 16);
		range->high = *end == '-' ? strtoull(end + 1, &end, 16) : 0;
		return !*end && range->low < range->high;
	}
	if (!strcmp(argument, "mark"))
		mark = strtoull(value, &end, 16);
	else if (!strcmp(argument, "fast"))
		fast_bytes = strtoull(value, &end, 10) * MIB;
	else if (!strcmp(argument, "low"))
		low_bytes = strtoull(value, &end, 10) * MIB;
	else if (!strcmp(argument, "every"))
		every = strtoull(value, &end, 10);
	else
		return false;
	return !*end;
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
	(void)info;
	for (int i = 0; i < argc; i++)
		if (!parse(argv[i])) {
			fprintf(stderr, "tier_count: %s: not understood\n", argv[i]);
			return 1;
		}
	if (!counts || !fast_bytes || (every != 0) != (samples >= 0)) {
		fprintf(stderr, "tier_count: wants counts, fast, and samples with every\n");
		return 1;
	}
	for (int i = 0; i < CPUS; i++)
		cpus[i].random = 88172645463325252UL + i;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
