/* SPDX-License-Identifier: Apache-2.0 */
/* bench/talk: some partners and the organisation's SIP server, whose users write to each other at a steady rate, one message at a
 * time, in both directions, while something else goes on. Started by bench/run.
 *
 * Commands: "go RATE" (messages a second, both ways together); "flat N" (N under way, as fast as they go); "stop"; "lap" reports what was measured since the last one; "quit". */
#include <event2/event.h>
#include <getopt.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "base/rand.h"
#include "command.h"
#include "fleet.h"
#include "load.h"
#include "mint.h"

enum { PARTNERS_MAX = 64, TICK_MS = 1 };

const struct conn_limits load_conn_limits = {
	.in_max = 1 << 20, .out_max = 64 << 20, .out_high = 32 << 20, .out_low = 1 << 20,
	.connect_ms = 30000, .handshake_ms = 30000, .linger_ms = 1000,
};

struct talk {
	struct load load; /* first */
	struct fleet *fleet;
	const char *partners[PARTNERS_MAX];
	unsigned up, window, next_user;
	uint64_t due, step;
	struct timer tick;
	struct loop_hook fill;
	bool sip_up, ready;
	uint64_t sent, arrived, refused; /* at the last lap */
};

static void send_one(struct talk *t, uint64_t due)
{
	struct load *l = &t->load;
	uint64_t seq;
	unsigned user = t->next_user++ / 2 % l->users;
	if (!track_begin(&l->track, due, &seq))
		return;
	if (t->next_user % 2) {
		sip_end_send(l->sip, user, seq);
		return;
	}
	char text[1024 + LOAD_BODY_MAX], body[LOAD_BODY_MAX];
	struct slice b = load_text(l, seq, body);
	unsigned i = user % l->n_partners;
	int n = snprintf(text, sizeof text,
			 "<message from='juliet%u@%s/home' to='romeo%u@%s' type='chat' id='m%llu'><body>%.*s</body></message>",
			 user, l->partners[i], user, l->from_domain, (unsigned long long)seq, SFMT(b));
	if (!fleet_send(t->fleet, i, slice_of(text, (size_t)n)))
		load_refused(l, seq, S("the stream of a talking partner is down"));
}

static void tick(struct timer *timer, uint64_t now)
{
	struct talk *t = CONTAINER_OF(timer, struct talk, tick);
	uint64_t ns = track_now();
	(void)now;
	for (; t->due <= ns; t->due += t->step)
		send_one(t, t->due);
	timer_arm(&t->load.loop->timers, timer, TICK_MS);
}

static void fill_run(struct loop_hook *h)
{
	struct talk *t = CONTAINER_OF(h, struct talk, fill);
	while (t->load.track.open < t->window)
		send_one(t, track_now());
}

static void lap(struct talk *t)
{
	struct track *k = &t->load.track;
	struct track_summary s;
	track_summarise(&k->arrival, &s);
	printf("{\"event\": \"lap\", \"sent\": %llu, \"arrived\": %llu, \"refused\": %llu, \"open\": %llu, \"p50\": %.1f, "
	       "\"p95\": %.1f, \"p99\": %.1f, \"max\": %.1f}\n",
	       (unsigned long long)(k->sent - t->sent), (unsigned long long)(k->arrived - t->arrived),
	       (unsigned long long)(k->refused - t->refused), (unsigned long long)k->open, s.p50, s.p95, s.p99, s.max);
	fflush(stdout);
	t->sent = k->sent;
	t->arrived = k->arrived;
	t->refused = k->refused;
	k->arrival.n = k->answer.n = 0;
}

static void command(void *arg, struct slice line)
{
	struct talk *t = arg;
	struct slice word = slice_split(&line, ' ');
	uint64_t rate, window;
	if (slice_eq(word, S("flat")) && slice_u64(line, 10000, &window)) {
		t->window = (unsigned)window;
		t->load.track.measuring = true;
		loop_defer(t->load.loop, &t->fill);
	} else if (slice_eq(word, S("go")) && slice_u64(line, 100000, &rate) && rate) {
		t->step = 1000000000u / rate;
		t->due = track_now() + t->step;
		t->load.track.measuring = true;
		timer_arm(&t->load.loop->timers, &t->tick, TICK_MS);
	} else if (slice_eq(word, S("stop"))) {
		t->window = 0;
		timer_cancel(&t->load.loop->timers, &t->tick);
	} else if (slice_eq(word, S("lap"))) {
		lap(t);
	} else {
		loop_stop(t->load.loop);
	}
}

static void maybe_ready(struct talk *t)
{
	if (t->ready || !t->sip_up || t->up < t->load.n_partners)
		return;
	t->ready = true;
	printf("{\"event\": \"ready\"}\n");
	fflush(stdout);
}

static void sip_ready(struct load *l)
{
	struct talk *t = (struct talk *)l;
	t->sip_up = true;
	maybe_ready(t);
}

static void completed(struct load *l)
{
	struct talk *t = (struct talk *)l;
	if (t->window)
		loop_defer(l->loop, &t->fill);
}

static void broken(struct load *l, const char *what, struct slice why)
{
	fprintf(stderr, "talk: %s: %.*s\n", what, SFMT(why));
	loop_stop(l->loop);
}

static void up(void *arg, unsigned i)
{
	struct talk *t = arg;
	(void)i;
	t->up++;
	maybe_ready(t);
}

static void down(void *arg, unsigned i, struct slice why)
{
	struct talk *t = arg;
	fprintf(stderr, "talk: the stream of %s ended: %.*s\n", fleet_domain(t->fleet, i), SFMT(why));
	t->up--;
	fleet_dial(t->fleet, i);
}

static void stanza(void *arg, unsigned i, const struct xmpp_stanza *st)
{
	struct talk *t = arg;
	struct load *l = &t->load;
	uint64_t seq;
	(void)i;
	if (stanza_kind(st->node) != STANZA_MESSAGE)
		return;
	if (stanza_type(st->node) == STANZA_TYPE_ERROR) {
		if (slice_u64(slice_skip(stanza_id(st->node), 1), UINT64_MAX, &seq))
			load_refused(l, seq, S("an error came back for a message"));
	} else if (load_text_seq(l, stanza_child_text(st->node, st->arena, S("body"), SLICE_NONE), &seq)) {
		load_mark(l, seq, TRACK_ARRIVED);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"certs", 1, 0, 'c'}, {"own", 1, 0, 'o'}, {"n", 1, 0, 'n'}, {"users", 1, 0, 'u'}, {"conns", 1, 0, 'k'}, {0}};
	struct talk t = {0};
	struct load *l = &t.load;
	struct entente_err err;
	struct mint *mint;
	const char *certs = NULL, *own = NULL;
	char trust[1024];
	unsigned users = 5, conns = 1;
	struct fleet_opts o = {
		.n = 10, .prefix = "t", .suffix = "talk.test", .server = "contoso.test", .trust = trust,
		.listen = option_address("127.0.0.23", 5269), .target = option_address("127.0.0.12", 5269),
		.from = option_address("127.200.0.1", 0), .acks = true, .up = up, .down = down, .stanza = stanza, .arg = &t,
	};
	for (int x; (x = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (x) {
		case 'c': certs = optarg; break;
		case 'o': own = optarg; break;
		case 'n': o.n = (unsigned)option_number(optarg, 1, PARTNERS_MAX); break;
		case 'u': users = (unsigned)option_number(optarg, 1, 1000); break;
		case 'k': conns = (unsigned)option_number(optarg, 1, SIP_END_CONNS); break;
		default: return 2;
		}
	}
	if (!certs || !own) {
		fprintf(stderr, "usage: talk --certs DIR (of the lab) --own DIR (for those of the partners) --n PARTNERS [--users OF_EACH] [--conns OF_SIP]\n");
		return 2;
	}
	snprintf(trust, sizeof trust, "%s/ca.pem", certs);
	o.certs = own;
	mkdir(own, 0700);
	int rc = mint_open(&mint, certs, &err);
	for (unsigned i = 0; i < o.n && !rc; i++) {
		char domain[128];
		snprintf(domain, sizeof domain, "%s%04u.%s", o.prefix, i, o.suffix);
		rc = mint_make(mint, own, domain, &err);
	}
	if (rc || loop_new(&l->loop, NULL, &err) || fleet_new(&t.fleet, l->loop, &o, &err)) {
		fprintf(stderr, "talk: %s\n", err.text);
		return 1;
	}
	mint_close(mint);
	for (unsigned i = 0; i < o.n; i++)
		t.partners[i] = fleet_domain(t.fleet, i);
	l->partners = t.partners;
	l->n_partners = o.n;
	l->users = o.n * users;
	l->body = 100;
	l->from_domain = "contoso.test";
	l->ready = sip_ready;
	l->completed = completed;
	l->broken = broken;
	rand_token(l->run, 8);
	track_init(&l->track, TRACK_ARRIVED);
	timer_init(&t.tick, tick);
	t.fill.run = fill_run;
	struct sip_end_opts so = {.tls = true, .home = option_address("127.0.0.11", 5061), .target = option_address("127.0.0.12", 5061),
				  .sni = "gw.contoso.test", .ctx = option_identity(certs, "home"), .send = true, .conns = conns};
	l->sip = sip_end_new(l, &so);
	for (unsigned i = 0; i < o.n; i++)
		fleet_dial(t.fleet, i);
	command_listen(l->loop, command, &t);
	loop_run(l->loop);
	timer_cancel(&l->loop->timers, &t.tick);
	loop_undefer(&t.fill);
	sip_end_free(l->sip);
	fleet_free(t.fleet);
	tls_ctx_unref(so.ctx);
	loop_free(l->loop);
	track_free(&l->track);
	return 0;
}
