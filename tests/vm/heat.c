// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process whose pages are accessed unequally, placed by first touch in address order.
 *
 * heat [-s] [-i MS] [-p MS] [-w SECONDS] MIB zipf THETA	rank r is accessed as 1 / r^THETA
 * heat ... MIB hot HOT_MIB [EVERY [SHARE]]	SHARE (0.95) of the accesses goes to HOT_MIB, and to
 *					other pages every EVERY seconds (0: never)
 * heat ... MIB uniform
 *
 * Which pages are hot is random against the order of first touch.  With -s all are on node 1 at
 * first; with -p it sleeps MS after each 1,000 accesses; with -w it has computed for SECONDS of
 * CPU time before it is ready.  Says on stdout: "pid N", "base HEX", "ready SECONDS"
 * (CLOCK_MONOTONIC, memory touched); stops itself there, until SIGCONT.  Then, every MS (2000)
 * milliseconds until SIGTERM, "at SECONDS ops N served SHARE hot SHARE": operations so far, the
 * share of accesses that is served by node 0 as pages lie now, and the share of the hot pages (of
 * the hottest tenth) there.  Shares are of
 * PROBES pages drawn once; what a cache of CACHED pages would serve is left out.  Before each such
 * line it stores to MARK, where a plugin of the emulator counts.  At the end: "cold N of M", pages
 * on node 0 of those that are not hot, and "checksum ok" or "checksum bad N".
 */
#define _GNU_SOURCE
#include <linux/mempolicy.h>
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define PROBES 4096
#define CACHED 256
#define HOT_SHARE 0.95
#define MARK 0x1ffffff00000UL
#define MEMORY 0x200000000000UL
#define SLOW_NODE 1

static volatile sig_atomic_t stop_wanted;
static uint64_t state = 0x9e3779b97f4a7c15UL;
static size_t pages, hot_pages;
static double *until;		/* accesses of ranks up to this one, all together */
static uint32_t *page_of;	/* by rank */
static uint64_t *memory;

static void on_term(int number)
{
	(void)number;
	stop_wanted = 1;
}

static uint64_t draw(void)	/* xorshift64* */
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dUL;
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
}

static void compute(double cpu_seconds)	/* until the process has had so much CPU time */
{
	while (seconds(CLOCK_PROCESS_CPUTIME_ID) < cpu_seconds)
		for (int i = 0; i < 1 << 20; i++)
			__asm__ volatile("" : "+r"(i));	/* no access: those are counted */
}

static size_t rank(void)
{
	double wanted = (draw() >> 11) * 0x1p-53 * until[pages - 1];
	size_t low = 0, high = pages - 1;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (until[middle] < wanted)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void shuffle(void)
{
	for (size_t i = pages - 1; i > 0; i--) {
		size_t j = draw() % (i + 1);
		uint32_t other = page_of[i];

		page_of[i] = page_of[j];
		page_of[j] = other;
	}
}

static void weigh(const char *kind, double value, double share)
{
	double sum = 0;

	hot_pages = pages / 10;
	if (!strcmp(kind, "hot"))
		hot_pages = value * 256;
	for (size_t i = 0; i < pages; i++) {
		double weight = 1;

		if (!strcmp(kind, "zipf"))
			weight = pow(i + 1, -value);
		else if (!strcmp(kind, "hot"))
			weight = i < hot_pages ? share / hot_pages
					       : (1 - share) / (pages - hot_pages);
		until[i] = sum += weight;
	}
}

static void *address(size_t page)
{
	return (char *)memory + page * PAGE;
}

static size_t fast(void *const probes[], size_t count)	/* of at most PROBES pages */
{
	static int status[PROBES];
	size_t found = 0;

	if (syscall(SYS_move_pages, 0, count, probes, NULL, status, 0))
		perror("move_pages");
	for (size_t i = 0; i < count; i++)
		found += status[i] == 0;
	return found;
}

static size_t fast_cold_pages(void)
{
	static void *probes[PROBES];
	size_t found = 0;

	for (size_t r = hot_pages; r < pages; r += PROBES) {
		size_t count = pages - r < PROBES ? pages - r : PROBES;

		for (size_t i = 0; i < count; i++)
			probes[i] = address(page_of[r + i]);
		found += fast(probes, count);
	}
	return found;
}

static void say(double at, uint64_t ops, void *const served[PROBES], void *const hot[PROBES])
{
	*(volatile uint64_t *)MARK = ops;
	printf("at %.2f ops %lu served %.4f hot %.4f\n", at, ops,
	       (double)fast(served, PROBES) / PROBES, (double)fast(hot, PROBES) / PROBES);
}

static void choose(void *served[PROBES], void *hot[PROBES])
{
	for (size_t i = 0; i < PROBES; i++) {
		size_t r;

		do
			r = rank();
		while (r < CACHED);
		served[i] = address(page_of[r]);
		hot[i] = address(page_of[draw() % hot_pages]);
	}
}

static size_t damaged(void)	/* each page begins with its own number */
{
	size_t bad = 0;

	for (size_t i = 0; i < pages; i++)
		bad += memory[i * (PAGE / 8)] != i;
	return bad;
}

static void *grab(uint64_t at, size_t bytes)	/* where it likes with `at` 0 */
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED_NOREPLACE : 0);
	void *found = mmap((void *)at, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (found == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return found;
}

static void fill(int slow)
{
	unsigned long mask = 1UL << SLOW_NODE;

	memory = grab(MEMORY, pages * PAGE);
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	if (slow && syscall(SYS_set_mempolicy, MPOL_BIND, &mask, 8 * sizeof(mask)))
		perror("set_mempolicy");
	for (size_t i = 0; i < pages; i++)
		memory[i * (PAGE / 8)] = i;
	if (syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0))
		perror("set_mempolicy");
}

static void run(double every, double interval, useconds_t pause)
{
	static void *served[PROBES], *hot[PROBES];
	double start = seconds(CLOCK_MONOTONIC), due = start, turn = every > 0 ? start + every : INFINITY;
	volatile uint64_t sum = 0;
	uint64_t ops = 0;

	choose(served, hot);
	for (double now = start; !stop_wanted; now = seconds(CLOCK_MONOTONIC)) {
		if (now >= turn) {
			shuffle();
			choose(served, hot);
			turn += every;
		}
		if (now >= due) {
			say(now - start, ops, served, hot);
			due += interval;
		}
		for (int i = 0; i < 1000; i++)
			sum += memory[page_of[rank()] * (PAGE / 8) + 8 + draw() % 500];
		ops += 1000;
		if (pause)
			usleep(pause);
	}
}

int main(int argc, char **argv)
{
	double interval = 2, warm = 0, value, every, share;
	int slow = 0, option;
	useconds_t pause = 0;
	char **more;
	size_t bad;

	while ((option = getopt(argc, argv, "si:p:w:")) != -1) {
		slow |= option == 's';
		if (option == 'i')
			interval = atof(optarg) / 1000;
		if (option == 'p')
			pause = atof(optarg) * 1000;
		if (option == 'w')
			warm = atof(optarg);
	}
	more = argv + optind;
	if (argc - optind < 2)
		return 2;
	value = argc - optind > 2 ? atof(more[2]) : 0;
	every = argc - optind > 3 ? atof(more[3]) : 0;
	share = argc - optind > 4 ? atof(more[4]) : HOT_SHARE;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, on_term);
	pages = strtoul(more[0], NULL, 10) << 8;
	until = grab(0, pages * sizeof(*until));
	page_of = grab(0, pages * sizeof(*page_of));
	grab(MARK, PAGE);
	for (size_t i = 0; i < pages; i++)
		page_of[i] = i;
	shuffle();
	weigh(more[1], value, share);
	printf("pid %d\nbase %lx\n", getpid(), MEMORY);
	fill(slow);
	compute(warm);
	printf("ready %.3f\n", seconds(CLOCK_MONOTONIC));
	raise(SIGSTOP);
	run(every, interval, pause);
	bad = damaged();
	printf("cold %zu of %zu\n", fast_cold_pages(), pages - hot_pages);
	printf(bad ? "checksum bad %zu\n" : "checksum ok\n", bad);
	return bad != 0;
}
