/* SPDX-License-Identifier: Apache-2.0 */
/* lives [--seconds N] [--sequences N] [--at-most SECONDS] [--seed N] [--events N] [--kill]: random lives (life.h), each in a process of its
 * own batch. One that breaks a rule is cut down by halves, and its story printed, with the seed. --kill: each life a second time with a kill
 * at a random moment; what the users have seen must be the same but for what was under way. TAP. */
#include "life.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"

enum { BATCH = 25 };

static unsigned n_events = 90;

struct sequence {
	struct event e[LIFE_EVENTS];
	unsigned n;
	enum gateway_dialect dialect;
	unsigned kill_at;
};

static void make(struct sequence *s, unsigned seed, bool chaos)
{
	static const enum gateway_dialect dialects[] = {GATEWAY_DIALECT_SIMPLE, GATEWAY_DIALECT_LYNC, GATEWAY_DIALECT_AUTO, GATEWAY_DIALECT_CISCO};
	unsigned state = seed * 2654435761u + 17;
	s->n = n_events;
	for (unsigned i = 0; i < s->n; i++)
		life_random(&s->e[i], &state, chaos);
	s->dialect = dialects[seed % 4];
	s->kill_at = (state >> 9) % s->n;
}

static void live(const struct sequence *s)
{
	struct life *l = life_new(true);
	l->w->house->dialect = s->dialect;
	for (unsigned i = 0; i < s->n; i++)
		life_event(l, &s->e[i]);
	life_end(l);
	life_free(l);
}

/* ---- with and without a kill */

static struct life *half(const struct sequence *s, bool kill)
{
	struct life *l = life_new(false);
	l->w->house->dialect = s->dialect;
	for (unsigned i = 0; i < s->n; i++) {
		if (kill && i == s->kill_at)
			life_kill(l);
		life_event(l, &s->e[i]);
	}
	life_end(l);
	return l;
}

__attribute__((noreturn)) static void differ(struct life *a, struct life *b, int user, int contact, struct slice with, struct slice without)
{
	fprintf(stderr, "# ---- without the kill\n%.*s# ---- with it\n", SFMT(buf_slice(&a->story)));
	life_wrong(b, "user %d and contact %d: %.*s\nwithout the kill: %.*s", user, contact, SFMT(with), SFMT(without));
}

static void compare(const struct sequence *s)
{
	struct life *a = half(s, false), *b = half(s, true);
	for (int u = 0; u < LIFE_USERS; u++)
		for (int c = 0; c < LIFE_CONTACTS; c++) {
			struct slice without = life_seen(a, b, u, c), with = life_seen(b, a, u, c);
			if (!slice_eq(without, with))
				differ(a, b, u, c, with, without);
			if (!slice_eq(a->shown_user[u][c], b->shown_user[u][c]))
				differ(a, b, u, c, b->shown_user[u][c], a->shown_user[u][c]);
		}
	for (int i = 0; i < a->n_looks; i++)
		if (!slice_eq(a->shown_look[i], b->shown_look[i]))
			differ(a, b, i, -1, b->shown_look[i], a->shown_look[i]);
	life_free(a);
	life_free(b);
}

/* ---- processes */

static void quiet(void)
{
	if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
		_exit(3);
}

/* Does it break a rule? */
static bool breaks(const struct sequence *s, bool kill, bool loud)
{
	int status;
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		if (!loud)
			quiet();
		alarm(60);
		kill ? compare(s) : live(s);
		fflush(NULL);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	return status != 0;
}

static void cut_down(struct sequence *s, bool kill)
{
	static struct sequence t;
	for (unsigned size = s->n / 2; size; size /= 2)
		for (unsigned at = 0; at < s->n;) {
			unsigned n = at + size > s->n ? s->n - at : size;
			t = *s;
			memmove(&t.e[at], &t.e[at + n], (s->n - at - n) * sizeof *t.e);
			t.n -= n;
			if (t.kill_at > at)
				t.kill_at = t.kill_at >= at + n ? t.kill_at - n : at;
			if (t.n && breaks(&t, kill, false))
				*s = t;
			else
				at += n;
		}
}

static int broken(unsigned seed, bool kill)
{
	static struct sequence s;
	make(&s, seed, !kill);
	fprintf(stderr, "# seed %u breaks a rule; cutting it down\n", seed);
	cut_down(&s, kill);
	fprintf(stderr, "# what is left of seed %u: %u events, home speaks %s%s\n", seed, s.n, gateway_dialect_name(s.dialect),
		kill ? ", with a kill" : "");
	if (!breaks(&s, kill, true))
		fprintf(stderr, "# it does not break when looked at\n");
	printf("not ok 1 - %s seed %u\n", kill ? "kill" : "lives", seed);
	return 1;
}

/* Seeds from..to in one process. *ret: the first that breaks. */
static bool batch(unsigned from, unsigned n, bool kill, unsigned *ret)
{
	int status, fd[2];
	unsigned at = from;
	if (pipe(fd))
		abort();
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		static struct sequence s;
		quiet();
		alarm(600);
		for (; at < from + n; at++) {
			if (write(fd[1], &at, sizeof at) != sizeof at)
				_exit(3);
			make(&s, at, !kill);
			kill ? compare(&s) : live(&s);
		}
		fflush(NULL);
		_exit(0);
	}
	close(fd[1]);
	if (pid < 0)
		abort();
	while (read(fd[0], &at, sizeof at) == sizeof at)
		*ret = at;
	close(fd[0]);
	if (waitpid(pid, &status, 0) != pid)
		abort();
	return status == 0;
}

int main(int argc, char **argv)
{
	unsigned long long seconds = 0, sequences = 1000, most = 600, first = 1;
	bool kill = false, one = false;
	for (int i = 1; i < argc; i++) {
		char *end = NULL;
		const char *v = i + 1 < argc ? argv[i + 1] : "";
		unsigned long long n = strtoull(v, &end, 10);
		bool number = end != v && !*end;
		if (!strcmp(argv[i], "--kill")) {
			kill = true;
			continue;
		}
		if (number && !strcmp(argv[i], "--seconds"))
			seconds = n;
		else if (number && !strcmp(argv[i], "--sequences"))
			sequences = n;
		else if (number && !strcmp(argv[i], "--at-most"))
			most = n;
		else if (number && !strcmp(argv[i], "--seed"))
			first = n, one = true;
		else if (number && !strcmp(argv[i], "--events") && n && n <= LIFE_EVENTS)
			n_events = (unsigned)n;
		else {
			fprintf(stderr, "usage: lives [--kill] [--seconds N] [--sequences N] [--at-most SECONDS] [--seed N] [--events N]\n");
			return 2;
		}
		i++;
	}
	uint64_t begin = clock_ns() / 1000000;
	unsigned seed = (unsigned)first, bad = 0;
	printf("1..1\n");
	if (one)
		sequences = 1, seconds = 0;
	for (unsigned long long done = 0;; done += BATCH) {
		uint64_t ms = clock_ns() / 1000000 - begin;
		if (seconds ? ms >= seconds * 1000 : done >= sequences || ms >= most * 1000) {
			printf("ok 1 - %s: seeds %u to %u, %u events each\n", kill ? "kill" : "lives", (unsigned)first, seed - 1, n_events);
			return 0;
		}
		unsigned n = one ? 1 : BATCH;
		if (!batch(seed, n, kill, &bad))
			return broken(bad, kill);
		seed += n;
	}
}
