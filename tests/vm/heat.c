// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process whose pages are accessed unequally, placed by first touch in address order.
 *
 * heat MIB SECONDS zipf THETA		rank r is accessed as 1 / r^THETA
 * heat MIB SECONDS hot HOT_MIB [EVERY]	95 % of the accesses go to HOT_MIB, and to other pages
 *					every EVERY seconds (0: never)
 * heat MIB SECONDS uniform
 *
 * Which pages are hot is random against the order of first touch.  SECONDS 0 is until SIGTERM.
 * Says on stdout: "pid N", "base HEX", "ready SECONDS" (CLOCK_MONOTONIC, memory touched); stops
 * itself there, until SIGCONT.  Then, every two seconds, "at SECONDS ops N served SHARE hot SHARE":
 * operations so far, the share of accesses that is served by node 0 as pages lie now, and the
 * share of the hottest tenth of the pages there.  Shares are of PROBES pages drawn once; what a cache of CACHED pages would serve
 * is left out.  At the end: "checksum ok" or "checksum bad N".
 */
#define _GNU_SOURCE
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

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec * 1e-9;
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

static void weigh(const char *kind, double value)
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
			weight = i < hot_pages ? HOT_SHARE / hot_pages
					       : (1 - HOT_SHARE) / (pages - hot_pages);
		until[i] = sum += weight;
	}
}

static void *address(size_t page)
{
	return (char *)memory + page * PAGE;
}

static double fast_share(void *const probes[PROBES])
{
	static int status[PROBES];
	size_t fast = 0;

	if (syscall(SYS_move_pages, 0, PROBES, probes, NULL, status, 0))
		return -1;
	for (size_t i = 0; i < PROBES; i++)
		fast += status[i] == 0;
	return (double)fast / PROBES;
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

static void *grab(size_t bytes)
{
	void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (found == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return found;
}

int main(int argc, char **argv)
{
	static void *served[PROBES], *hot[PROBES];
	double value = argc > 4 ? atof(argv[4]) : 0, every = argc > 5 ? atof(argv[5]) : 0;
	double start, due, turn;
	volatile uint64_t sum = 0;
	uint64_t ops = 0;
	size_t bad;

	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, on_term);
	pages = strtoul(argv[1], NULL, 10) << 8;
	until = grab(pages * sizeof(*until));
	page_of = grab(pages * sizeof(*page_of));
	memory = grab(pages * PAGE);
	madvise(memory, pages * PAGE, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < pages; i++)
		page_of[i] = i;
	shuffle();
	weigh(argv[3], value);
	for (size_t i = 0; i < pages; i++)
		memory[i * (PAGE / 8)] = i;
	choose(served, hot);
	start = seconds();
	printf("pid %d\nbase %lx\nready %.3f\n", getpid(), (unsigned long)memory, start);
	raise(SIGSTOP);
	start = due = seconds();
	turn = every > 0 ? start + every : INFINITY;
	for (double now = start; !stop_wanted; now = seconds()) {
		if (atof(argv[2]) > 0 && now - start >= atof(argv[2]))
			break;
		if (now >= turn) {
			shuffle();
			choose(served, hot);
			turn += every;
		}
		if (now >= due) {
			printf("at %.1f ops %lu served %.4f hot %.4f\n", now - start, ops,
			       fast_share(served), fast_share(hot));
			due += 2;
		}
		for (int i = 0; i < 1000; i++)
			sum += memory[page_of[rank()] * (PAGE / 8) + 8 + draw() % 500];
		ops += 1000;
	}
	bad = damaged();
	printf(bad ? "checksum bad %zu\n" : "checksum ok\n", bad);
	return bad != 0;
}
