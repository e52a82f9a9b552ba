/* SPDX-License-Identifier: Apache-2.0 */
/* bench/load: one run. Phases: connect; one message per pair of users, so that every pair is known; warm-up; measured time; wait
 * for what is under way; report as one JSON object. Started by bench/run. */
#include "load.h"

#include <event2/event.h>
#include <getopt.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/rand.h"
#include "command.h"
#include "usage.h"

enum { PRIME_WINDOW = 1000, DRAIN_MS = 5000, GOODBYE_MS = 2000, GOODBYE_STEP_MS = 10, CONNECT_MS = 15000 };

const struct conn_limits load_conn_limits = {
	.in_max = 1 << 20, .out_max = 64 << 20, .out_high = 32 << 20, .out_low = 1 << 20,
	.connect_ms = 5000, .handshake_ms = 5000, .linger_ms = 1000,
};

enum phase { CONNECT, PRIME, WARM, MEASURE, DRAIN, GOODBYE };

struct driver {
	struct load load; /* first */
	enum phase phase;
	bool from_xmpp, to_xmpp, failed;
	unsigned window, rate;
	uint32_t warm_ms, measure_ms;
	int pids[USAGE_PIDS];
	size_t n_pids;
	unsigned next_user, primed;
	struct timer timer;
	uint64_t goodbye_until;
	struct loop_hook fill;
	/* paced */
	int pace_fd;
	struct event *pace;
	uint64_t pace_due, pace_step;
	/* measured */
	struct usage before, after;
	uint64_t completed_before, completed_after, sent_before, sent_after;
};

static void broken(struct load *l, const char *what, struct slice why)
{
	struct driver *d = (struct driver *)l;
	if (l->ending)
		return;
	fprintf(stderr, "load: %s%s%.*s\n", what, why.len ? ": " : "", SFMT(why));
	d->failed = true;
	l->ending = true;
	loop_stop(l->loop);
}

/* ---- sending */

static void send_one(struct driver *d, uint64_t due)
{
	uint64_t seq;
	unsigned user = d->next_user;
	if (d->load.ending || !track_begin(&d->load.track, due, &seq))
		return;
	d->next_user = (user + 1) % d->load.users;
	if (d->from_xmpp)
		xmpp_end_send(d->load.xmpp, user, seq);
	else
		sip_end_send(d->load.sip, user, seq);
}

static void fill_run(struct loop_hook *h)
{
	struct driver *d = CONTAINER_OF(h, struct driver, fill);
	struct track *t = &d->load.track;
	if (d->phase == PRIME) {
		/* the first one alone: it brings the connections up */
		while (d->primed < d->load.users && t->open < (t->completed ? PRIME_WINDOW : 1) && !d->load.ending) {
			d->primed++;
			send_one(d, track_now());
		}
		if (d->primed == d->load.users && !t->open)
			timer_arm(&d->load.loop->timers, &d->timer, 0);
	} else if ((d->phase == WARM || d->phase == MEASURE) && !d->rate) {
		while (t->open < d->window && !d->load.ending)
			send_one(d, track_now());
	} else if (d->phase == DRAIN && !t->open) {
		timer_arm(&d->load.loop->timers, &d->timer, 0);
	}
}

static void completed(struct load *l)
{
	loop_defer(l->loop, &((struct driver *)l)->fill);
}

static void on_pace(evutil_socket_t fd, short what, void *arg)
{
	struct driver *d = arg;
	uint64_t n;
	(void)what;
	loop_touch(d->load.loop);
	if (read((int)fd, &n, sizeof n) != sizeof n || (d->phase != WARM && d->phase != MEASURE))
		return;
	for (uint64_t i = 0; i < n; i++, d->pace_due += d->pace_step)
		send_one(d, d->pace_due);
}

static struct timespec timespec(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

static void pace_start(struct driver *d)
{
	d->pace_step = 1000000000u / d->rate;
	d->pace_due = track_now() + d->pace_step;
	d->pace_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	struct itimerspec at = {
		.it_interval = timespec(d->pace_step),
		.it_value = timespec(d->pace_due),
	};
	timerfd_settime(d->pace_fd, TFD_TIMER_ABSTIME, &at, NULL);
	d->pace = event_new(d->load.loop->base, d->pace_fd, EV_READ | EV_PERSIST, on_pace, d);
	event_add(d->pace, NULL);
}

/* ---- phases */

static void enter(struct driver *d, enum phase p)
{
	struct load *l = &d->load;
	struct timers *q = &l->loop->timers;
	d->phase = p;
	switch (p) {
	case CONNECT:
		timer_arm(q, &d->timer, CONNECT_MS);
		break;
	case PRIME:
		timer_arm(q, &d->timer, CONNECT_MS);
		break;
	case WARM:
		if (d->rate)
			pace_start(d);
		timer_arm(q, &d->timer, d->warm_ms);
		break;
	case MEASURE:
		timer_arm(q, &d->timer, d->measure_ms);
		l->track.measuring = true;
		d->sent_before = l->track.sent;
		d->completed_before = l->track.completed;
		usage_take(d->pids, d->n_pids, &d->before);
		break;
	case DRAIN:
		usage_take(d->pids, d->n_pids, &d->after);
		d->completed_after = l->track.completed;
		d->sent_after = l->track.sent;
		l->track.measuring = false;
		timer_arm(q, &d->timer, DRAIN_MS);
		break;
	case GOODBYE:
		l->ending = true;
		if (l->xmpp)
			xmpp_end_close(l->xmpp);
		if (l->sip)
			sip_end_close(l->sip);
		if (l->far_sip)
			sip_end_close(l->far_sip);
		d->goodbye_until = q->now + GOODBYE_MS;
		timer_arm(q, &d->timer, GOODBYE_STEP_MS);
		return;
	}
	loop_defer(l->loop, &d->fill);
}

static void fired(struct timer *t, uint64_t now)
{
	struct driver *d = CONTAINER_OF(t, struct driver, timer);
	switch (d->phase) {
	case CONNECT:
		broken(&d->load, "no connection within 15 seconds", SLICE_NONE);
		break;
	case PRIME:
		if (d->load.track.open || d->primed < d->load.users)
			broken(&d->load, "the first messages of all pairs did not get through within 15 seconds", SLICE_NONE);
		else
			enter(d, WARM);
		break;
	case WARM: case MEASURE: case DRAIN:
		enter(d, d->phase + 1);
		break;
	case GOODBYE:
		if (!d->load.conns || now >= d->goodbye_until)
			loop_stop(d->load.loop);
		else
			timer_arm(&d->load.loop->timers, &d->timer, GOODBYE_STEP_MS);
		break;
	}
}

static void ready(struct load *l)
{
	struct driver *d = (struct driver *)l;
	if (d->phase == CONNECT)
		enter(d, PRIME);
}

/* ---- report */

static void print_times(const char *name, struct track_times *times)
{
	static const double shares[] = {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999};
	struct track_summary s;
	track_summarise(times, &s);
	printf("  \"%s\": {\"n\": %zu, \"p50\": %.1f, \"p95\": %.1f, \"p99\": %.1f, \"max\": %.1f, \"curve\": [",
	       name, s.n, s.p50, s.p95, s.p99, s.max);
	for (size_t i = 0; i < sizeof shares / sizeof *shares; i++)
		printf("%s[%g, %.1f]", i ? ", " : "", shares[i], track_quantile(times, shares[i]));
	printf("]},\n");
}

static void print_number(const char *name, double n, int decimals)
{
	printf("  \"%s\": %.*f,\n", name, decimals, n);
}

static bool report(struct driver *d)
{
	struct track *t = &d->load.track;
	const struct usage *a = &d->before, *b = &d->after;
	double seconds = (double)(b->at - a->at) / 1e9, cpu = (double)(b->cpu - a->cpu) / 1e3;
	double n = (double)(d->completed_after - d->completed_before);
	double ticks = (double)(b->user - a->user + b->system - a->system);
	double user = ticks > 0 ? (double)(b->user - a->user) / ticks : 0;
	bool ok = n > 0 && !(t->refused + t->open + t->doubled + t->stray + t->unsent);
	printf("{\n");
	print_number("seconds", seconds, 3);
	print_number("messages", n, 0);
	print_number("sent", (double)(d->sent_after - d->sent_before), 0);
	print_number("rate", n / seconds, 1);
	print_times("latency_us", &t->arrival);
	print_times("answer_us", &t->answer);
	print_number("cpu_us", cpu, 0);
	print_number("cpu_per_message_us", n > 0 ? cpu / n : 0, 2);
	print_number("user_per_message_us", n > 0 ? cpu * user / n : 0, 2);
	print_number("system_per_message_us", n > 0 ? cpu * (1 - user) / n : 0, 2);
	print_number("busy", cpu / 1e6 / seconds, 3);
	print_number("generator_busy", (double)(b->self - a->self) / 1e9 / seconds, 3);
	print_number("total", (double)t->sent, 0);
	print_number("refused", (double)t->refused, 0);
	print_number("lost", (double)t->open, 0);
	print_number("doubled", (double)t->doubled, 0);
	print_number("stray", (double)t->stray, 0);
	print_number("unsent", (double)t->unsent, 0);
	printf("  \"ok\": %s\n}\n", ok ? "true" : "false");
	return ok;
}

/* ---- start */

static int usage(FILE *to)
{
	fprintf(to, "usage: load --from sip|xmpp --to sip|xmpp --certs DIR [options]\n"
		    "  --transport tls|tcp     of SIP (tls)\n"
		    "  --home ADDRESS[:PORT]   the SIP server that we play (127.0.0.11)\n"
		    "  --identity NAME         its certificate (home)\n"
		    "  --conns N               connections that it sends on (1)\n"
		    "  --far ADDRESS[:PORT]    another SIP server takes what arrives (--from sip --to sip)\n"
		    "  --far-transport tls|tcp, --far-identity NAME (tls, home)\n"
		    "  --calls                 INVITE 180 200 ACK BYE 200 instead of MESSAGE 200 (--from sip --to sip)\n"
		    "  --from-domain NAME, --to-domain NAME    of the users (contoso.test and fabrikam.test)\n"
		    "  --partner ADDRESS       the XMPP server that we play (127.0.0.21)\n"
		    "  --target ADDRESS[:PORT] the server under test (127.0.0.12); its ports are 5060, 5061, 5269\n"
		    "  --sni NAME              its name in SIP over TLS (gw.contoso.test)\n"
		    "  --acks                  the XMPP server has acknowledgements (XEP-0198)\n"
		    "  --answer-after MS       the SIP server that takes messages answers so much later (0)\n"
		    "  --users N               pairs of users (500)\n"
		    "  --body N                octets of a text (100)\n"
		    "  --rate N | --window N   messages a second, or messages under way (--window 256)\n"
		    "  --warm MS, --measure MS (1000, 3000)\n"
		    "  --watch PID[,PID...]    whose processor time is measured\n");
	return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	enum {
		FROM, TO, CERTS, TRANSPORT, HOME, PARTNER, TARGET, SNI, USERS, BODY, RATE, WINDOW, WARMUP, MEASURED, WATCH, HELP,
		IDENTITY, CONNS, FAR, FAR_TRANSPORT, FAR_IDENTITY, CALLS, FROM_DOMAIN, TO_DOMAIN, ACKS, ANSWER_AFTER,
	};
	static const struct option options[] = {
		{"from", 1, 0, FROM}, {"to", 1, 0, TO}, {"certs", 1, 0, CERTS}, {"transport", 1, 0, TRANSPORT},
		{"home", 1, 0, HOME}, {"partner", 1, 0, PARTNER}, {"target", 1, 0, TARGET}, {"sni", 1, 0, SNI},
		{"users", 1, 0, USERS}, {"body", 1, 0, BODY}, {"rate", 1, 0, RATE}, {"window", 1, 0, WINDOW},
		{"warm", 1, 0, WARMUP}, {"measure", 1, 0, MEASURED}, {"watch", 1, 0, WATCH}, {"help", 0, 0, HELP},
		{"identity", 1, 0, IDENTITY}, {"conns", 1, 0, CONNS}, {"far", 1, 0, FAR}, {"far-transport", 1, 0, FAR_TRANSPORT},
		{"far-identity", 1, 0, FAR_IDENTITY}, {"calls", 0, 0, CALLS}, {"from-domain", 1, 0, FROM_DOMAIN}, {"to-domain", 1, 0, TO_DOMAIN},
		{"acks", 0, 0, ACKS}, {"answer-after", 1, 0, ANSWER_AFTER},
		{0},
	};
	struct driver d = {.window = 256, .warm_ms = 1000, .measure_ms = 3000, .pace_fd = -1};
	struct load *l = &d.load;
	const char *certs = NULL, *from = NULL, *to = NULL, *home = "127.0.0.11", *partner = "127.0.0.21", *target = "127.0.0.12";
	const char *identity_name = "home", *far = NULL, *far_identity = "home", *from_domain = NULL, *to_domain = NULL;
	struct sip_end_opts so = {.tls = true, .sni = "gw.contoso.test"}, fo = {.tls = true};
	bool acks = false;
	struct entente_err err;
	int c, n;
	l->users = 500;
	l->body = 100;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case FROM: from = optarg; break;
		case TO: to = optarg; break;
		case CERTS: certs = optarg; break;
		case TRANSPORT: so.tls = slice_eq(slice_str(optarg), S("tls")); break;
		case HOME: home = optarg; break;
		case PARTNER: partner = optarg; break;
		case TARGET: target = optarg; break;
		case SNI: so.sni = optarg; break;
		case USERS: l->users = (unsigned)option_number(optarg, 1, 100000); break;
		case BODY: l->body = option_number(optarg, 1, LOAD_BODY_MAX - 32); break;
		case RATE: d.rate = (unsigned)option_number(optarg, 1, 1000000); break;
		case WINDOW: d.window = (unsigned)option_number(optarg, 1, 65536); break;
		case WARMUP: d.warm_ms = (uint32_t)option_number(optarg, 0, 3600000); break;
		case MEASURED: d.measure_ms = (uint32_t)option_number(optarg, 100, 3600000); break;
		case WATCH:
			if ((n = usage_pids(optarg, d.pids)) < 0)
				return usage(stderr);
			d.n_pids = (size_t)n;
			break;
		case IDENTITY: identity_name = optarg; break;
		case CONNS: so.conns = (unsigned)option_number(optarg, 1, SIP_END_CONNS); break;
		case FAR: far = optarg; break;
		case FAR_TRANSPORT: fo.tls = slice_eq(slice_str(optarg), S("tls")); break;
		case FAR_IDENTITY: far_identity = optarg; break;
		case CALLS: so.calls = true; break;
		case FROM_DOMAIN: from_domain = optarg; break;
		case TO_DOMAIN: to_domain = optarg; break;
		case ACKS: acks = true; break;
		case ANSWER_AFTER: so.answer_ms = fo.answer_ms = (uint32_t)option_number(optarg, 0, 10000); break;
		case HELP: return usage(stdout);
		default: return usage(stderr);
		}
	}
	if (!certs || !from || !to)
		return usage(stderr);
	d.from_xmpp = slice_eq(slice_str(from), S("xmpp"));
	d.to_xmpp = slice_eq(slice_str(to), S("xmpp"));
	if ((far || so.calls) && (d.from_xmpp || d.to_xmpp))
		return usage(stderr);
	l->from_domain = from_domain ? from_domain : d.from_xmpp ? "fabrikam.test" : "contoso.test";
	l->to_domain = to_domain ? to_domain : d.from_xmpp ? "contoso.test" : "fabrikam.test";
	rand_token(l->run, 8);
	l->ready = ready;
	l->completed = completed;
	l->broken = broken;
	if (loop_new(&l->loop, NULL, &err)) {
		fprintf(stderr, "load: %s\n", err.text);
		return 1;
	}
	track_init(&l->track, d.from_xmpp ? TRACK_ARRIVED : TRACK_ARRIVED | TRACK_ANSWERED);
	timer_init(&d.timer, fired);
	d.fill.run = fill_run;
	enter(&d, CONNECT);
	struct tls_ctx *home_ctx = option_identity(certs, identity_name), *far_ctx = option_identity(certs, far_identity), *partner_ctx = option_identity(certs, "fabrikam");
	so.home = option_address(home, so.tls ? 5061 : 5060);
	so.target = option_address(target, so.tls ? 5061 : 5060);
	so.ctx = home_ctx;
	so.send = !d.from_xmpp;
	if (far) {
		fo.home = option_address(far, fo.tls ? 5061 : 5060);
		fo.ctx = far_ctx;
		l->far_sip = sip_end_new(l, &fo);
	}
	l->sip = sip_end_new(l, &so);
	if (d.from_xmpp || d.to_xmpp) {
		struct xmpp_end_opts xo = {.listen = option_address(partner, 5269), .target = option_address(target, 5269), .ctx = partner_ctx,
					   .send = d.from_xmpp, .acks = acks};
		l->xmpp = xmpp_end_new(l, &xo);
	}
	if (!l->ending)
		loop_run(l->loop);
	bool ok = !d.failed && report(&d);
	if (d.pace)
		event_free(d.pace);
	if (d.pace_fd >= 0)
		close(d.pace_fd);
	sip_end_free(l->sip);
	sip_end_free(l->far_sip);
	xmpp_end_free(l->xmpp);
	tls_ctx_unref(home_ctx);
	tls_ctx_unref(far_ctx);
	tls_ctx_unref(partner_ctx);
	loop_free(l->loop);
	track_free(&l->track);
	return ok ? 0 : 1;
}
