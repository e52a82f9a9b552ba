/* SPDX-License-Identifier: Apache-2.0 */
/* bench/relay: stanzas through one XMPP server, in on one stream and out on another. A partner's server sends pings to the domain
 * of the server under test, which answers each on the stream that it opened to the partner: both streams in TLS, authenticated.
 * That is the same work for every XMPP server: a stanza of about 100 octets in, parsed, checked, routed, answered, written, out.
 * Keeps a window of pings under way; prints one JSON object. Started by bench/run. */
#include <getopt.h>
#include "base/mem.h"
#include "base/rand.h"
#include "command.h"
#include "fleet.h"
#include "track.h"
#include "usage.h"

enum { CONNECT_MS = 30000, DRAIN_MS = 5000 };
enum phase { CONNECT, WARM, MEASURE, DRAIN };

struct relay {
	struct loop *loop;
	struct fleet *fleet;
	struct track track;
	const char *server;
	char run[16];
	unsigned window, n, up, next;
	uint32_t warm_ms, measure_ms;
	enum phase phase;
	bool failed;
	struct timer timer;
	struct loop_hook fill;
	int pids[USAGE_PIDS];
	size_t n_pids;
	struct usage before, after;
	uint64_t completed_before, completed_after, octets_in;
};

static void send_one(struct relay *r)
{
	char text[512];
	uint64_t seq;
	unsigned i = r->next++ % r->n;
	if (!track_begin(&r->track, track_now(), &seq))
		return;
	int n = snprintf(text, sizeof text, "<iq type='get' id='%s.%llu' from='juliet@%s/home' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>",
			 r->run, (unsigned long long)seq, fleet_domain(r->fleet, i), r->server);
	r->octets_in = (uint64_t)n;
	if (!fleet_send(r->fleet, i, slice_of(text, (size_t)n))) {
		fprintf(stderr, "relay: the stream takes no more\n");
		r->failed = true;
		loop_stop(r->loop);
	}
}

static void fill_run(struct loop_hook *h)
{
	struct relay *r = CONTAINER_OF(h, struct relay, fill);
	while ((r->phase == WARM || r->phase == MEASURE) && r->track.open < r->window && !r->failed)
		send_one(r);
	if (r->phase == DRAIN && !r->track.open)
		loop_stop(r->loop);
}

static void enter(struct relay *r, enum phase p)
{
	struct timers *q = &r->loop->timers;
	r->phase = p;
	switch (p) {
	case CONNECT:
		timer_arm(q, &r->timer, CONNECT_MS);
		break;
	case WARM:
		timer_arm(q, &r->timer, r->warm_ms);
		break;
	case MEASURE:
		r->track.measuring = true;
		r->completed_before = r->track.completed;
		usage_take(r->pids, r->n_pids, &r->before);
		timer_arm(q, &r->timer, r->measure_ms);
		break;
	case DRAIN:
		usage_take(r->pids, r->n_pids, &r->after);
		r->completed_after = r->track.completed;
		r->track.measuring = false;
		timer_arm(q, &r->timer, DRAIN_MS);
		break;
	}
	loop_defer(r->loop, &r->fill);
}

static void fired(struct timer *t, uint64_t now)
{
	struct relay *r = CONTAINER_OF(t, struct relay, timer);
	(void)now;
	if (r->phase == CONNECT) {
		fprintf(stderr, "relay: no stream within 30 seconds\n");
		r->failed = true;
		loop_stop(r->loop);
	} else if (r->phase == DRAIN) {
		loop_stop(r->loop);
	} else {
		enter(r, r->phase + 1);
	}
}

static void up(void *arg, unsigned i)
{
	struct relay *r = arg;
	(void)i;
	if (++r->up == r->n && r->phase == CONNECT)
		enter(r, WARM);
}

static void down(void *arg, unsigned i, struct slice why)
{
	struct relay *r = arg;
	fprintf(stderr, "relay: the stream of %s ended: %.*s\n", fleet_domain(r->fleet, i), SFMT(why));
	r->failed = true;
	loop_stop(r->loop);
}

static void stanza(void *arg, unsigned i, const struct xmpp_stanza *st)
{
	struct relay *r = arg;
	struct slice id = stanza_id(st->node);
	uint64_t seq;
	(void)i;
	if (stanza_kind(st->node) != STANZA_IQ || !slice_eq(slice_split(&id, '.'), slice_str(r->run)) || !slice_u64(id, UINT64_MAX, &seq))
		return; /* servers ask each other this and that */
	track_mark(&r->track, seq, stanza_type(st->node) == STANZA_TYPE_RESULT ? TRACK_ARRIVED : TRACK_FAILED);
	loop_defer(r->loop, &r->fill);
}

static bool report(struct relay *r)
{
	struct track *t = &r->track;
	struct track_summary s;
	const struct usage *a = &r->before, *b = &r->after;
	double seconds = (double)(b->at - a->at) / 1e9, cpu = (double)(b->cpu - a->cpu) / 1e3;
	double n = (double)(r->completed_after - r->completed_before), ticks = (double)(b->user - a->user + b->system - a->system);
	double user = ticks > 0 ? (double)(b->user - a->user) / ticks : 0;
	bool ok = n > 0 && !(t->refused + t->open + t->doubled + t->stray + t->unsent);
	track_summarise(&t->arrival, &s);
	printf("{\"seconds\": %.3f, \"stanzas\": %.0f, \"rate\": %.1f, \"cpu_per_stanza_us\": %.2f, \"user_per_stanza_us\": %.2f, "
	       "\"system_per_stanza_us\": %.2f, \"busy\": %.3f, \"generator_busy\": %.3f, \"octets\": %llu, \"refused\": %llu, "
	       "\"lost\": %llu, \"doubled\": %llu, \"latency_us\": {\"p50\": %.1f, \"p95\": %.1f, \"p99\": %.1f, \"max\": %.1f}, "
	       "\"ok\": %s}\n",
	       seconds, n, n / seconds, n > 0 ? cpu / n : 0, n > 0 ? cpu * user / n : 0, n > 0 ? cpu * (1 - user) / n : 0,
	       cpu / 1e6 / seconds, (double)(b->self - a->self) / 1e9 / seconds, (unsigned long long)r->octets_in,
	       (unsigned long long)t->refused, (unsigned long long)t->open, (unsigned long long)t->doubled, s.p50, s.p95, s.p99,
	       s.max, ok ? "true" : "false");
	return ok;
}

int main(int argc, char **argv)
{
	enum { CERTS, OWN, LISTEN, TARGET, SERVER, PREFIX, DIALBACK, WINDOW, WARM_UP, MEASURED, WATCH, N };
	static const struct option options[] = {
		{"certs", 1, 0, CERTS}, {"own", 1, 0, OWN}, {"listen", 1, 0, LISTEN}, {"target", 1, 0, TARGET}, {"server", 1, 0, SERVER},
		{"prefix", 1, 0, PREFIX}, {"dialback", 0, 0, DIALBACK}, {"window", 1, 0, WINDOW}, {"warm", 1, 0, WARM_UP},
		{"measure", 1, 0, MEASURED}, {"watch", 1, 0, WATCH}, {"n", 1, 0, N}, {0},
	};
	struct relay r = {.window = 256, .warm_ms = 1000, .measure_ms = 3000, .server = "contoso.test"};
	struct entente_err err;
	const char *certs = NULL, *listen = "127.0.0.24", *target = "127.0.0.12";
	char trust[1024];
	struct fleet_opts o = {
		.n = 1, .prefix = "r", .suffix = "relay.test", .trust = trust, .up = up, .down = down, .stanza = stanza, .arg = &r,
	};
	int n;
	for (int x; (x = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (x) {
		case CERTS: certs = optarg; break;
		case OWN: o.certs = optarg; break;
		case LISTEN: listen = optarg; break;
		case TARGET: target = optarg; break;
		case SERVER: r.server = optarg; break;
		case PREFIX: o.prefix = optarg; break;
		case DIALBACK: o.dialback = true; break;
		case WINDOW: r.window = (unsigned)option_number(optarg, 1, 65536); break;
		case WARM_UP: r.warm_ms = (uint32_t)option_number(optarg, 0, 3600000); break;
		case MEASURED: r.measure_ms = (uint32_t)option_number(optarg, 100, 3600000); break;
		case N: o.n = (unsigned)option_number(optarg, 1, 1000); break;
		case WATCH:
			if ((n = usage_pids(optarg, r.pids)) < 0)
				return 2;
			r.n_pids = (size_t)n;
			break;
		default: return 2;
		}
	}
	if (!certs || !o.certs) {
		fprintf(stderr, "usage: relay --certs DIR (of the lab) --own DIR (of the partners' certificates) [options]\n");
		return 2;
	}
	snprintf(trust, sizeof trust, "%s/ca.pem", certs);
	o.server = r.server;
	o.listen = o.from = option_address(listen, 5269);
	addr_set_port(&o.from, 0);
	o.target = option_address(target, 5269);
	r.n = o.n;
	rand_token(r.run, 8);
	track_init(&r.track, TRACK_ARRIVED);
	timer_init(&r.timer, fired);
	r.fill.run = fill_run;
	if (loop_new(&r.loop, NULL, &err) || fleet_new(&r.fleet, r.loop, &o, &err)) {
		fprintf(stderr, "relay: %s\n", err.text);
		return 1;
	}
	enter(&r, CONNECT);
	for (unsigned i = 0; i < o.n; i++)
		fleet_dial(r.fleet, i);
	loop_run(r.loop);
	bool ok = !r.failed && report(&r);
	loop_undefer(&r.fill);
	timer_cancel(&r.loop->timers, &r.timer);
	fleet_free(r.fleet);
	loop_free(r.loop);
	track_free(&r.track);
	return ok ? 0 : 1;
}
