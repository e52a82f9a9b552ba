/* SPDX-License-Identifier: Apache-2.0 */
/* bench/crowd: the servers of some thousand partners. Each opens a stream to the server under test, proves its domain by its
 * certificate, and pings; the answer comes on a stream that the server under test has to open to it. A partner is there when
 * the answer has arrived: then both streams are up and authenticated. Started by bench/run.
 *
 * Commands: "up N" brings all up, N at a time; "storm" cuts all connections and lets all come back at once; "quit". */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "command.h"
#include "fleet.h"
#include "mint.h"
#include "track.h"
#include "usage.h"

enum { GIVE_UP_MS = 120000, AGAIN_MS = 1000, AGAIN_SPREAD_MS = 500, PING_AGAIN_MS = 5000 };

struct partner {
	struct crowd *crowd;
	struct timer timer; /* dial again, or ping again */
	uint64_t back;      /* when it was there, ns; 0: not yet */
	bool waiting, up;
};

struct crowd {
	struct loop *loop;
	struct fleet *fleet;
	struct partner *partners;
	unsigned n, there, next, at_once, pings;
	bool running;
	const char *what;
	uint64_t began;
	struct usage usage;
	struct fleet_counts before;
	struct timer give_up;
	char trouble[256];
};

static unsigned index_of(const struct partner *p)
{
	return (unsigned)(p - p->crowd->partners);
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void report(struct crowd *c)
{
	struct fleet_counts now;
	struct usage u;
	uint64_t *back = mem_calloc(c->n, sizeof *back);
	unsigned n = 0;
	fleet_counts(c->fleet, &now);
	usage_take(NULL, 0, &u);
	for (unsigned i = 0; i < c->n; i++)
		if (c->partners[i].back)
			back[n++] = c->partners[i].back - c->began;
	qsort(back, n, sizeof *back, by_size);
#define AT(percent) (n ? (double)back[(size_t)n * (percent) / 100 < n ? (size_t)n * (percent) / 100 : n - 1] / 1e9 : 0)
	printf("{\"event\": \"%s\", \"partners\": %u, \"there\": %u, \"streams_in\": %u, \"streams_out\": %u, "
	       "\"seconds\": %.3f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"dialled\": %llu, \"accepted\": %llu, "
	       "\"failed\": %llu, \"pings\": %u, \"generator_cpu\": %.3f, \"trouble\": \"",
	       c->what, c->n, c->there, now.in, now.out, AT(100), AT(50), AT(90), AT(99),
	       (unsigned long long)(now.dialled - c->before.dialled), (unsigned long long)(now.accepted - c->before.accepted),
	       (unsigned long long)(now.failed - c->before.failed), c->pings, (double)(u.self - c->usage.self) / 1e9);
#undef AT
	for (const char *t = c->trouble; *t; t++)
		putchar(*t == '"' || *t == '\\' || (unsigned char)*t < ' ' ? '\'' : *t);
	puts("\"}");
	fflush(stdout);
	mem_free(back);
}

static void finish(struct crowd *c)
{
	c->running = false;
	timer_cancel(&c->loop->timers, &c->give_up);
	for (unsigned i = 0; i < c->n; i++)
		timer_cancel(&c->loop->timers, &c->partners[i].timer);
	report(c);
}

static void give_up(struct timer *t, uint64_t now)
{
	(void)now;
	finish(CONTAINER_OF(t, struct crowd, give_up));
}

static void begin(struct crowd *c, const char *what)
{
	c->what = what;
	c->running = true;
	c->there = c->next = c->pings = 0;
	*c->trouble = '\0';
	for (unsigned i = 0; i < c->n; i++) {
		c->partners[i].back = 0;
		c->partners[i].waiting = c->partners[i].up = false;
	}
	fleet_counts(c->fleet, &c->before);
	usage_take(NULL, 0, &c->usage);
	c->began = track_now();
	timer_arm(&c->loop->timers, &c->give_up, GIVE_UP_MS);
}

static void dial_some(struct crowd *c)
{
	while (c->running && c->next < c->n && c->next < c->there + c->at_once) {
		c->partners[c->next].waiting = true;
		fleet_dial(c->fleet, c->next++);
	}
}

/* ---- one partner */

static void ping(struct partner *p)
{
	struct crowd *c = p->crowd;
	char text[512];
	unsigned i = index_of(p);
	int n = snprintf(text, sizeof text,
			 "<iq type='get' id='p%u' from='%s' to='contoso.test'><ping xmlns='urn:xmpp:ping'/></iq>", i,
			 fleet_domain(c->fleet, i));
	c->pings++;
	fleet_send(c->fleet, i, slice_of(text, (size_t)n));
	timer_arm(&c->loop->timers, &p->timer, PING_AGAIN_MS);
}

static void again(struct timer *t, uint64_t now)
{
	struct partner *p = CONTAINER_OF(t, struct partner, timer);
	(void)now;
	if (p->up)
		ping(p);
	else
		fleet_dial(p->crowd->fleet, index_of(p));
}

static void up(void *arg, unsigned i)
{
	struct crowd *c = arg;
	c->partners[i].up = true;
	if (c->running)
		ping(&c->partners[i]);
}

static void down(void *arg, unsigned i, struct slice why)
{
	struct crowd *c = arg;
	struct partner *p = &c->partners[i];
	p->up = false;
	if (!c->running) /* an idle stream may be closed */
		return;
	if (!*c->trouble)
		snprintf(c->trouble, sizeof c->trouble, "%.*s", SFMT(why));
	timer_arm(&c->loop->timers, &p->timer, AGAIN_MS + i * 7919 % AGAIN_SPREAD_MS);
}

static void stanza(void *arg, unsigned i, const struct xmpp_stanza *st)
{
	struct crowd *c = arg;
	struct partner *p = &c->partners[i];
	if (stanza_kind(st->node) != STANZA_IQ || stanza_type(st->node) != STANZA_TYPE_RESULT || !c->running || p->back)
		return;
	p->back = track_now();
	timer_cancel(&c->loop->timers, &p->timer);
	if (++c->there == c->n)
		finish(c);
	else
		dial_some(c);
}

/* ---- commands */

static void command(void *arg, struct slice line)
{
	struct crowd *c = arg;
	struct slice word = slice_split(&line, ' ');
	uint64_t n;
	if (slice_eq(word, S("up")) && slice_u64(line, 100000, &n)) {
		c->at_once = (unsigned)n;
		begin(c, "up");
		dial_some(c);
	} else if (slice_eq(word, S("storm"))) {
		c->at_once = c->n;
		fleet_cut(c->fleet);
		begin(c, "storm");
		dial_some(c);
	} else {
		loop_stop(c->loop);
	}
}

static void certificates(const char *ca, const char *dir, unsigned n, const char *prefix, const char *suffix)
{
	struct mint *m;
	struct entente_err err;
	int rc = mint_open(&m, ca, &err);
	mkdir(dir, 0700);
	for (unsigned i = 0; i < n && !rc; i++) {
		char domain[128];
		snprintf(domain, sizeof domain, "%s%04u.%s", prefix, i, suffix);
		rc = mint_make(m, dir, domain, &err);
	}
	if (rc) {
		fprintf(stderr, "crowd: %s\n", err.text);
		exit(2);
	}
	mint_close(m);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"certs", 1, 0, 'c'}, {"own", 1, 0, 'o'}, {"n", 1, 0, 'n'}, {0}};
	struct crowd c = {0};
	struct entente_err err;
	const char *certs = NULL, *own = NULL;
	char trust[1024];
	struct fleet_opts o = {
		.n = 100, .prefix = "p", .suffix = "many.test", .server = "contoso.test", .trust = trust,
		.listen = option_address("127.0.0.22", 5269), .target = option_address("127.0.0.12", 5269),
		.from = option_address("127.1.0.1", 0), .acks = true, .up = up, .down = down, .stanza = stanza, .arg = &c,
	};
	for (int x; (x = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (x) {
		case 'c': certs = optarg; break;
		case 'o': own = optarg; break;
		case 'n': o.n = (unsigned)option_number(optarg, 1, 10000); break;
		default: return 2;
		}
	}
	if (!certs || !own) {
		fprintf(stderr, "usage: crowd --certs DIR (of the lab) --own DIR (for theirs) --n PARTNERS\n");
		return 2;
	}
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	snprintf(trust, sizeof trust, "%s/ca.pem", certs);
	certificates(certs, own, o.n, o.prefix, o.suffix);
	o.certs = own;
	c.n = o.n;
	c.partners = mem_calloc(c.n, sizeof *c.partners);
	timer_init(&c.give_up, give_up);
	for (unsigned i = 0; i < c.n; i++) {
		c.partners[i].crowd = &c;
		timer_init(&c.partners[i].timer, again);
	}
	if (loop_new(&c.loop, NULL, &err) || fleet_new(&c.fleet, c.loop, &o, &err)) {
		fprintf(stderr, "crowd: %s\n", err.text);
		return 1;
	}
	printf("{\"event\": \"ready\"}\n");
	fflush(stdout);
	command_listen(c.loop, command, &c);
	loop_run(c.loop);
	c.running = false;
	fleet_free(c.fleet);
	for (unsigned i = 0; i < c.n; i++)
		timer_cancel(&c.loop->timers, &c.partners[i].timer);
	loop_free(c.loop);
	mem_free(c.partners);
	return 0;
}
