/* SPDX-License-Identifier: Apache-2.0 */
/* What a put costs on a disk: journal_speed [DIRECTORY] [SECONDS]. For one, eight and many puts under way: puts each second, how long one waits, how many share a
 * sync. Each entry is ended as soon as it is durable, as in a gateway whose partners take what they are sent. */
#include <semaphore.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "journal/journal.h"

enum { OCTETS = 1024, SAMPLES = 1 << 20 };

struct put {
	uint64_t at;
};
static struct journal *journal;
static uint32_t *samples;
static size_t n_samples;
static struct put under_way[256];
static sem_t free_slots;

static void done(void *arg, uint64_t id, int code, const struct entente_err *err)
{
	struct put *p = arg;
	(void)err;
	if (code)
		abort();
	if (n_samples < SAMPLES)
		samples[n_samples++] = (uint32_t)((clock_ns() - p->at) / 1000);
	journal_end(journal, id);
	sem_post(&free_slots);
}

static int by_value(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void run(const char *dir, unsigned window, double seconds)
{
	struct journal_options o = {.directory = dir};
	struct journal_stats s;
	struct entente_err err;
	static char octets[OCTETS];
	if (journal_open(&journal, &o, NULL, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	sem_init(&free_slots, 0, window);
	n_samples = 0;
	unsigned slot = 0, total = 0;
	uint64_t began = clock_ns(), id;
	for (; (double)(clock_ns() - began) < seconds * 1e9; slot = (slot + 1) % window, total++) {
		sem_wait(&free_slots); /* completions come in order: the slots come round */
		under_way[slot].at = clock_ns();
		struct journal_head h = {.partner = S("example.org"), .pair = S("romeo@example.com\njuliet@example.org"), .accepted_at = 1};
		if (journal_put(journal, &h, slice_of(octets, sizeof octets), done, &under_way[slot], &id))
			abort();
	}
	journal_flush(journal);
	double took = (double)(clock_ns() - began) / 1e9;
	journal_stats(journal, &s);
	journal_close(journal);
	qsort(samples, n_samples, sizeof *samples, by_value);
	printf("%3u under way: %8.0f puts/s, p50 %u us, p99 %u us, longest %u us; %.1f puts a sync, sync %.0f us\n", window, total / took, samples[n_samples / 2],
	       samples[n_samples * 99 / 100], samples[n_samples - 1], (double)s.puts / (double)s.syncs, (double)s.sync_ns / (double)s.syncs / 1000);
}

int main(int argc, char **argv)
{
	char own[] = "/tmp/journal-speed-XXXXXX";
	const char *dir = argc > 1 ? argv[1] : mkdtemp(own);
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
	static const unsigned windows[] = {1, 8, 32, 256};
	samples = mem_calloc(SAMPLES, sizeof *samples);
	for (unsigned i = 0; i < 4; i++)
		run(dir, windows[i], seconds);
	mem_free(samples);
	return 0;
}
