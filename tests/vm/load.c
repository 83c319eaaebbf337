// SPDX-License-Identifier: GPL-2.0-only
/*
 * A process with hot and cold pages on the slow node, whose contents can be proved intact.
 *
 * load TOTAL_MIB HOT_MIB SECONDS SEED [--huge] [--write] [--node N] [--pause-us N]
 *
 * SECONDS 0 is until SIGTERM.  SEED picks which pages (or 2 MiB units, --huge) are hot; 0 takes
 * the first ones.  Each round reads a word of every hot page; --write also rewrites a few whole
 * pages a round.  --node is where the memory is first (1), --pause-us the sleep between rounds
 * (1000).
 *
 * Says on stdout: "pid N", "base HEX", "unit BYTES", "hot HEX" (a bit a unit, lowest first,
 * bytes in order), "started SECONDS" (CLOCK_MONOTONIC), then a line "checksum ok rounds N" or
 * "checksum bad ..." at the end.  Exit status 1 if that was bad.  Between two rounds:
 *
 * SIGUSR1	compares every page with what must be there, and says the same line
 * SIGUSR2	forks a child that shares all pages and sleeps, and says "child N"
 * SIGALRM	forks a child that executes this anew: a second process on the same stdout
 * SIGHUP	executes this anew in the same process
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096UL
#define WORDS (PAGE / sizeof(uint64_t))
#define HUGE (2UL << 20)
#define WRITES_A_ROUND 16
#define MPOL_DEFAULT 0
#define MPOL_BIND 2

static volatile sig_atomic_t wanted, stop_wanted;

static uint64_t seed;
static size_t pages, unit = PAGE, units, hot_units;
static uint64_t *memory;
static uint32_t *versions;	/* of each page: how often it was rewritten */
static size_t *order;		/* units, the hot ones first */
static volatile uint64_t sink;

static void on_signal(int number)
{
	if (number == SIGTERM)
		stop_wanted = 1;
	else
		wanted = number;
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t mix(uint64_t x)	/* the finalizer of splitmix64 */
{
	x += 0x9e3779b97f4a7c15UL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9UL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebUL;
	return x ^ (x >> 31);
}

static uint64_t first_word(size_t page)
{
	return mix(seed ^ mix(page) ^ ((uint64_t)versions[page] << 32));
}

static void fill(size_t page)
{
	uint64_t *words = memory + page * WORDS, word = first_word(page);

	for (size_t i = 0; i < WORDS; i++, word += 0x9e3779b97f4a7c15UL)
		words[i] = word;
}

static int intact(size_t page)
{
	uint64_t *words = memory + page * WORDS, word = first_word(page);

	for (size_t i = 0; i < WORDS; i++, word += 0x9e3779b97f4a7c15UL)
		if (words[i] != word)
			return 0;
	return 1;
}

static int verify(unsigned long rounds)
{
	size_t bad = 0, first = 0;

	for (size_t page = 0; page < pages; page++)
		if (!intact(page) && !bad++)
			first = page;
	if (bad)
		printf("checksum bad pages %zu first %zu\n", bad, first);
	else
		printf("checksum ok rounds %lu\n", rounds);
	fflush(stdout);
	return bad != 0;
}

static void bind_to(int mode, unsigned long mask)
{
	if (syscall(SYS_mbind, memory, pages * PAGE, mode, mask ? &mask : NULL,
		    mask ? 8 * sizeof(mask) : 0, 0))
		die("mbind");
}

static void allocate(int huge, int node)
{
	char *start = mmap(NULL, pages * PAGE + HUGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (start == MAP_FAILED)
		die("mmap");
	memory = (uint64_t *)(((uintptr_t)start + HUGE - 1) & ~(HUGE - 1));
	if (madvise(memory, pages * PAGE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
		die("madvise");
	bind_to(MPOL_BIND, 1UL << node);
	for (size_t page = 0; page < pages; page++)
		fill(page);
	bind_to(MPOL_DEFAULT, 0);
}

static void choose(void)
{
	for (size_t i = 0; i < units; i++)
		order[i] = i;
	for (size_t i = 0; seed && i < hot_units; i++) {
		size_t other = i + mix(seed + i) % (units - i), kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
}

static void say_start(void)
{
	unsigned char *map = calloc((units + 7) / 8, 1);
	struct timespec now;

	if (!map)
		die("calloc");
	for (size_t i = 0; i < hot_units; i++)
		map[order[i] / 8] |= 1 << order[i] % 8;
	printf("pid %d\nbase %lx\nunit %zu\nhot ", getpid(), (unsigned long)memory, unit);
	for (size_t i = 0; i < (units + 7) / 8; i++)
		printf("%02x", map[i]);
	clock_gettime(CLOCK_MONOTONIC, &now);
	printf("\nstarted %ld.%09ld\n", now.tv_sec, now.tv_nsec);
	fflush(stdout);
	free(map);
}

static void touch_hot(void)
{
	for (size_t i = 0; i < hot_units; i++)
		for (size_t at = 0; at < unit; at += PAGE)
			sink += memory[(order[i] * unit + at) / sizeof(uint64_t)];
}

static void rewrite_some(unsigned long round)
{
	size_t each = unit / PAGE, hot_pages = hot_units * each;

	for (size_t i = 0; i < WRITES_A_ROUND && i < hot_pages; i++) {
		size_t nth = (round * WRITES_A_ROUND + i) % hot_pages;
		size_t page = order[nth / each] * each + nth % each;

		versions[page]++;
		fill(page);
	}
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

static void anew(char **argv)
{
	execv("/proc/self/exe", argv);
	die("exec");
}

static int forked(void)	/* a child ends with its parent */
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

static void share(void)
{
	pid_t pid = forked();

	while (pid == 0)
		pause();
	printf("child %d\n", pid);
	fflush(stdout);
}

static void serve(int number, unsigned long rounds, char **argv)
{
	if (number == SIGUSR1)
		verify(rounds);
	else if (number == SIGUSR2)
		share();
	else if (number == SIGHUP || forked() == 0)
		anew(argv);
}

int main(int argc, char **argv)
{
	static const int handled[] = { SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGHUP };
	int huge = 0, writing = 0, node = 1, pause_us = 1000;
	unsigned long rounds = 0;
	double end;

	if (argc < 5) {
		fprintf(stderr, "load TOTAL_MIB HOT_MIB SECONDS SEED [--huge] [--write] "
			"[--node N] [--pause-us N]\n");
		return 2;
	}
	for (int i = 5; i < argc; i++) {
		if (!strcmp(argv[i], "--huge"))
			huge = 1;
		else if (!strcmp(argv[i], "--write"))
			writing = 1;
		else if (!strcmp(argv[i], "--node") && i + 1 < argc)
			node = atoi(argv[++i]);
		else if (!strcmp(argv[i], "--pause-us") && i + 1 < argc)
			pause_us = atoi(argv[++i]);
		else {
			fprintf(stderr, "load: unknown option %s\n", argv[i]);
			return 2;
		}
	}
	seed = strtoull(argv[4], NULL, 0);
	unit = huge ? HUGE : PAGE;
	pages = (strtoul(argv[1], NULL, 0) << 20) / PAGE;
	units = pages * PAGE / unit;
	hot_units = (strtoul(argv[2], NULL, 0) << 20) / unit;
	if (hot_units > units) {
		fprintf(stderr, "load: HOT_MIB is more than TOTAL_MIB\n");
		return 2;
	}
	versions = calloc(pages, sizeof(*versions));
	order = calloc(units, sizeof(*order));
	if (!versions || !order)
		die("calloc");
	signal(SIGCHLD, SIG_IGN);
	for (size_t i = 0; i < sizeof(handled) / sizeof(*handled); i++)
		signal(handled[i], on_signal);
	allocate(huge, node);
	choose();
	say_start();
	end = seconds_now() + strtod(argv[3], NULL);
	while (!stop_wanted && (strtod(argv[3], NULL) == 0 || seconds_now() < end)) {
		touch_hot();
		if (writing)
			rewrite_some(rounds);
		rounds++;
		if (wanted) {
			int number = wanted;

			wanted = 0;
			serve(number, rounds, argv);
		}
		if (pause_us)
			usleep(pause_us);
	}
	return verify(rounds);
}
