/* SPDX-License-Identifier: Apache-2.0 */
/* bench/idle: partners' servers that connect by mutual TLS and say nothing, from many addresses. Started by bench/run. No session is ever
 * resumed.
 *
 * Commands: "up N" opens N connections and keeps them; "down" closes all; "shake MS" opens and closes them for so long, as many at once
 * as --window says; "quit". Each is answered by a line when it is done. */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "base/list.h"
#include "base/mem.h"
#include "command.h"
#include "net/conn.h"
#include "track.h"

enum { FAILED_MAX = 200, SOURCES_MAX = 200 };

struct one {
	struct list node;
	struct idle *idle;
	struct conn *conn;
};

struct idle {
	struct loop *loop;
	struct addr target;
	struct addr sources[SOURCES_MAX];
	unsigned n_sources, next_source, window;
	struct tls_ctx *ctx;
	const char *sni;
	struct list all;
	unsigned open, coming, wanted; /* wanted: how many are to be up */
	bool shaking;
	uint64_t began, until, shaken, resumed, failed;
	struct loop_hook fill;
	struct timer timer;
	char trouble[200];
};

static void answer(struct idle *d, const char *event, uint64_t n)
{
	printf("{\"event\": \"%s\", \"n\": %llu, \"open\": %u, \"failed\": %llu, \"resumed\": %llu, \"seconds\": %.4f, \"trouble\": \"%s\"}\n", event,
	       (unsigned long long)n, d->open, (unsigned long long)d->failed, (unsigned long long)d->resumed, (double)(track_now() - d->began) / 1e9, d->trouble);
	fflush(stdout);
}

static void drop(struct one *o)
{
	list_remove(&o->node);
	mem_free(o);
}

static void failed(struct idle *d, struct slice why)
{
	d->failed++;
	slice_cstr(why, d->trouble, sizeof d->trouble);
	for (char *c = d->trouble; *c; c++)
		if (*c == '"' || *c == '\\' || *c < ' ')
			*c = '\'';
}

static void closed(struct conn *c, const struct entente_err *why)
{
	struct one *o = conn_owner(c);
	struct idle *d = o->idle;
	if (conn_peer(c))
		d->open--;
	else
		d->coming--;
	failed(d, slice_str(why->text));
	conn_free(c);
	drop(o);
	loop_defer(d->loop, &d->fill);
}

static void secured(struct conn *c, const struct tls_peer *peer)
{
	struct one *o = conn_owner(c);
	struct idle *d = o->idle;
	d->coming--;
	d->resumed += peer->resumed;
	if (!peer->chain_ok)
		failed(d, peer->why_not);
	if (d->shaking) {
		d->shaken++;
		conn_discard(c);
		drop(o);
	} else {
		d->open++;
	}
	loop_defer(d->loop, &d->fill);
}

static size_t data(struct conn *c, struct slice in)
{
	(void)c;
	return in.len;
}

static const struct conn_ops ops = {.secured = secured, .data = data, .closed = closed};

static void dial(struct idle *d)
{
	struct one *o = MEM_NEW(struct one);
	struct conn_tls t = {.ctx = d->ctx, .sni = slice_str(d->sni)};
	struct conn_opts co = {.ops = &ops, .owner = o, .tls = &t, .bind = &d->sources[d->next_source++ % d->n_sources]};
	struct entente_err err;
	o->idle = d;
	list_append(&d->all, &o->node);
	if (conn_connect(&o->conn, d->loop, &d->target, &co, &err)) {
		failed(d, slice_str(err.text));
		drop(o);
		return;
	}
	d->coming++;
}

static void fill(struct loop_hook *h)
{
	struct idle *d = CONTAINER_OF(h, struct idle, fill);
	while (d->coming < d->window && (d->shaking || d->open + d->coming < d->wanted) && d->failed < FAILED_MAX)
		dial(d);
	if (d->wanted && !d->shaking && !d->coming && (d->open >= d->wanted || d->failed >= FAILED_MAX)) {
		d->wanted = 0;
		answer(d, "up", d->open);
	}
}

static void fired(struct timer *t, uint64_t now)
{
	struct idle *d = CONTAINER_OF(t, struct idle, timer);
	(void)now;
	d->shaking = false;
	answer(d, "shaken", d->shaken);
}

static void command(void *arg, struct slice line)
{
	struct idle *d = arg;
	struct slice rest = line, word = slice_split(&rest, ' ');
	uint64_t n = 0;
	slice_u64(rest, UINT32_MAX, &n);
	d->began = track_now();
	d->failed = d->resumed = 0;
	d->trouble[0] = '\0';
	if (slice_eq(word, S("up"))) {
		d->wanted = (unsigned)n;
		loop_defer(d->loop, &d->fill);
	} else if (slice_eq(word, S("shake"))) {
		d->shaking = true;
		d->shaken = 0;
		timer_arm(&d->loop->timers, &d->timer, n);
		loop_defer(d->loop, &d->fill);
	} else {
		LIST_EACH(l, &d->all) {
			struct one *o = CONTAINER_OF(l, struct one, node);
			conn_free(o->conn);
			drop(o);
		}
		d->open = d->coming = 0;
		answer(d, "down", 0);
		if (slice_eq(word, S("quit")))
			loop_stop(d->loop);
	}
}

static int usage(FILE *to)
{
	fprintf(to, "usage: idle --certs DIR --identity NAME --target ADDRESS:PORT [--sni NAME] [--sources N] [--window N]\n");
	return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	enum { CERTS, IDENTITY, TARGET, SNI, SOURCES, WINDOW, HELP };
	static const struct option options[] = {
		{"certs", 1, 0, CERTS}, {"identity", 1, 0, IDENTITY}, {"target", 1, 0, TARGET}, {"sni", 1, 0, SNI}, {"sources", 1, 0, SOURCES},
		{"window", 1, 0, WINDOW}, {"help", 0, 0, HELP}, {0},
	};
	struct idle d = {.n_sources = 50, .window = 32, .sni = "gw.contoso.test"};
	const char *certs = NULL, *identity = NULL, *target = NULL;
	char chain[1024], key[1024], trust[1024];
	struct tls_settings s = {.server_chain = chain, .server_key = key, .trust_file = trust};
	struct tls_material *m;
	struct entente_err err;
	int c;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case CERTS: certs = optarg; break;
		case IDENTITY: identity = optarg; break;
		case TARGET: target = optarg; break;
		case SNI: d.sni = optarg; break;
		case SOURCES: d.n_sources = (unsigned)option_number(optarg, 1, SOURCES_MAX); break;
		case WINDOW: d.window = (unsigned)option_number(optarg, 1, 10000); break;
		case HELP: return usage(stdout);
		default: return usage(stderr);
		}
	}
	if (!certs || !identity || !target)
		return usage(stderr);
	d.target = option_address(target, 5061);
	for (unsigned i = 0; i < d.n_sources; i++) {
		char text[32];
		snprintf(text, sizeof text, "127.0.%u.1", 20 + i); /* a network each */
		d.sources[i] = option_address(text, 0);
	}
	snprintf(chain, sizeof chain, "%s/%s.pem", certs, identity);
	snprintf(key, sizeof key, "%s/%s.key", certs, identity);
	snprintf(trust, sizeof trust, "%s/ca.pem", certs);
	struct rlimit files;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (tls_material_load(&m, &s, &err) || tls_ctx_new(&d.ctx, m, &err) || loop_new(&d.loop, NULL, &err)) {
		fprintf(stderr, "idle: %s\n", err.text);
		return 1;
	}
	tls_material_unref(m);
	list_init(&d.all);
	d.fill.run = fill;
	timer_init(&d.timer, fired);
	command_listen(d.loop, command, &d);
	printf("{\"event\": \"ready\"}\n");
	fflush(stdout);
	loop_run(d.loop);
	tls_ctx_unref(d.ctx);
	return 0;
}
