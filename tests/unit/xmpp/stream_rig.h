/* SPDX-License-Identifier: Apache-2.0 */
/* Streams without a network: ends that record what the engine says, wired to each other or to a script, under a virtual clock.
 * Events are lines of text, so that a test reads like a protocol. */
#pragma once
#include "unit.h"
#include "base/buf.h"
#include "xmpp/stream.h"

#define UNUSED __attribute__((unused))

struct rig {
	struct timers timers;
	struct arena_pool *pool;
	struct xmpp_stream_config cfg;
};

struct end {
	struct rig *rig;
	struct xmpp_stream *s;
	struct end *peer;               /* NULL: the test plays the peer */
	const char *ours;               /* "a.example b.example" */
	const char *strangers;          /* domains that are no partners */
	struct xmpp_stream_policy rules; /* for everybody else; local_ours and the like are computed */
	struct xmpp_tls_info tls;       /* what the handshake will find */
	struct buf sent;                /* not delivered yet */
	struct buf wire;                /* everything ever written */
	struct buf events, odd;
	unsigned writes;
	bool want_tls, closed, free_on_failed;
	struct xmpp_verify asked;       /* copies of the last verify() */
	char text[4][300];
	const struct xmpp_peer *peer_seen;
	bool keep;                      /* receipts stay with the test */
	uint64_t receipts[4096];
	size_t n_receipts;
};

static void UNUSED rig_init(struct rig *r)
{
	timers_init(&r->timers, 1000000);
	r->pool = arena_pool_new(1 << 21, 8);
	r->cfg = (struct xmpp_stream_config){.timers = &r->timers, .pool = r->pool};
	xmpp_stream_config_defaults(&r->cfg);
	xmpp_dialback_secrets_init(&r->cfg.secrets, S("s3cr3tf0rd14lb4ck"));
}

static void UNUSED rig_free(struct rig *r)
{
	timers_free(&r->timers);
	arena_pool_free(r->pool);
}

static void UNUSED rig_wait(struct rig *r, uint64_t ms)
{
	timers_run(&r->timers, r->timers.now + ms);
}

static bool word_in(const char *list, struct slice w)
{
	struct slice rest = slice_str(list);
	while (rest.len) {
		if (slice_eq(slice_split(&rest, ' '), w))
			return true;
	}
	return false;
}

static struct xmpp_stream_policy on_policy(void *arg, struct slice local, struct slice remote)
{
	struct end *e = arg;
	struct xmpp_stream_policy p = e->rules;
	p.local_ours = slice_empty(local) || word_in(e->ours, local);
	p.remote_ours = word_in(e->ours, remote);
	p.partner = !word_in(e->strangers, remote);
	return p;
}

static void on_write(void *arg, struct slice bytes)
{
	struct end *e = arg;
	assert_false(e->closed);
	assert_int_not_equal(bytes.len, 0);
	e->writes++;
	buf_put(&e->sent, bytes);
	buf_put(&e->wire, bytes);
}

static void on_start_tls(void *arg)
{
	struct end *e = arg;
	e->want_tls = true;
	buf_puts(&e->events, "tls\n");
}

static void on_close(void *arg)
{
	struct end *e = arg;
	assert_false(e->closed);
	e->closed = true;
	buf_puts(&e->events, "close\n");
}

static void on_established(void *arg, const struct xmpp_peer *p)
{
	struct end *e = arg;
	e->peer_seen = p;
	buf_printf(&e->events, "established %.*s %.*s %s%s\n", SFMT(xmpp_peer_local(p)), SFMT(xmpp_peer_remote(p)),
		   xmpp_proof_text(xmpp_peer_proof(p)), xmpp_peer_encrypted(p) ? " tls" : "");
}

static void on_pair_failed(void *arg, struct slice local, struct slice remote, const struct entente_err *err)
{
	struct end *e = arg;
	buf_printf(&e->events, "pair_failed %.*s %.*s %s\n", SFMT(local), SFMT(remote), err->text);
}

static void on_stanza(void *arg, struct xmpp_stanza *st)
{
	struct end *e = arg;
	buf_printf(&e->events, "stanza %.*s %.*s->%.*s by %.*s\n", SFMT(st->node->name), SFMT(st->from.full), SFMT(st->to.full),
		   SFMT(xmpp_peer_remote(st->peer)));
	arena_release(e->rig->pool, st->arena);
	assert_true(st->receipt.stream == 0 && st->receipt.worker == 0);
	if (!e->keep) {
		xmpp_stream_done(e->s, st->receipt.number);
		return;
	}
	assert_true(e->n_receipts < sizeof e->receipts / sizeof *e->receipts);
	e->receipts[e->n_receipts++] = st->receipt.number;
}

static void on_misaddressed(void *arg, const struct xmpp_peer *p, struct xml_node *n, struct arena *a, const char *which)
{
	struct end *e = arg;
	buf_printf(&e->events, "misaddressed %s %.*s by %.*s\n", which, SFMT(n->name), SFMT(xmpp_peer_remote(p)));
	arena_release(e->rig->pool, a);
}

static void on_oversize(void *arg, const struct xmpp_peer *p, struct xml_node *n, struct arena *a)
{
	struct end *e = arg;
	buf_printf(&e->events, "oversize %.*s %.*s->%.*s by %.*s\n", SFMT(n->name), SFMT(xml_attr(n, S("from"))),
		   SFMT(xml_attr(n, S("to"))), SFMT(xmpp_peer_remote(p)));
	arena_release(e->rig->pool, a);
}

static struct slice keep(struct end *e, int i, struct slice s)
{
	assert_true(slice_cstr(s, e->text[i], sizeof e->text[i]));
	return slice_of(e->text[i], s.len);
}

static void on_verify(void *arg, const struct xmpp_verify *v)
{
	struct end *e = arg;
	e->asked = (struct xmpp_verify){keep(e, 0, v->local), keep(e, 1, v->remote), keep(e, 2, v->id), keep(e, 3, v->key)};
	buf_printf(&e->events, "verify %.*s %.*s\n", SFMT(v->local), SFMT(v->remote));
}

static void on_verified(void *arg, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition)
{
	struct end *e = arg;
	static const char *const text[] = {"valid", "invalid", "undecided"};
	buf_printf(&e->events, "verified %.*s %.*s %s %.*s\n", SFMT(v->local), SFMT(v->remote), text[verdict], SFMT(condition));
}

static void on_acked(void *arg, uint64_t n)
{
	struct end *e = arg;
	buf_printf(&e->events, "acked %llu\n", (unsigned long long)n);
}

static void on_failed(void *arg, const struct xmpp_failure *f)
{
	struct end *e = arg;
	buf_printf(&e->events, "failed %s at %s %s %.*s: %s\n", reason_info(f->err.reason)->id, f->stage,
		   f->received ? "received" : "sent", SFMT(f->condition), f->err.text);
	if (e->free_on_failed)
		e->s = xmpp_stream_free(e->s);
}

static void on_trace(void *arg, enum xmpp_trace what, struct slice text)
{
	struct end *e = arg;
	if (what == XMPP_TRACE_ODD)
		buf_printf(&e->odd, "%.*s\n", SFMT(text));
}

static const struct xmpp_stream_ops rig_ops = {
	.policy = on_policy,
	.write = on_write,
	.start_tls = on_start_tls,
	.close = on_close,
	.established = on_established,
	.pair_failed = on_pair_failed,
	.stanza = on_stanza,
	.misaddressed = on_misaddressed,
	.oversize = on_oversize,
	.verify = on_verify,
	.verified = on_verified,
	.acked = on_acked,
	.failed = on_failed,
	.trace = on_trace,
};

/* TLS required, EXTERNAL optional, dialback on; a trusted certificate without names. */
static void end_init(struct end *e, struct rig *r, const char *ours)
{
	*e = (struct end){.rig = r, .ours = ours, .strangers = "stranger.example"};
	e->rules = (struct xmpp_stream_policy){.tls = XMPP_REQUIRED, .sasl = XMPP_OPTIONAL, .dialback = true};
	e->tls = (struct xmpp_tls_info){
		.protocol = S("TLSv1.3"), .cipher = S("TLS_AES_256_GCM_SHA384"), .certificate = true, .trusted = true};
	buf_init(&e->sent, 1 << 22);
	buf_init(&e->wire, 1 << 22);
	buf_init(&e->events, 1 << 20);
	buf_init(&e->odd, 1 << 20);
}

static void UNUSED end_receiver(struct end *e)
{
	e->s = xmpp_stream_new_receiver(&e->rig->cfg, &rig_ops, e);
	xmpp_stream_start(e->s);
}

static void UNUSED end_initiator(struct end *e, const char *local, const char *remote, bool verify_only)
{
	e->s = xmpp_stream_new_initiator(&e->rig->cfg, &rig_ops, e, slice_str(local), slice_str(remote), verify_only);
}

static void UNUSED end_free(struct end *e)
{
	e->s = xmpp_stream_free(e->s);
	buf_free(&e->sent);
	buf_free(&e->wire);
	buf_free(&e->events);
	buf_free(&e->odd);
}

static const char *zstr(struct buf *b)
{
	buf_putc(b, 0);
	buf_truncate(b, b->len - 1);
	return b->mem ? b->mem + b->off : "";
}

static bool UNUSED happened(struct end *e, const char *part)
{
	return strstr(zstr(&e->events), part) != NULL;
}

/* Checks one after the other, each found after the former; forgets the events. */
#define assert_events(e, ...) assert_events_(e, (const char *const[]){__VA_ARGS__, NULL})
static void UNUSED assert_events_(struct end *e, const char *const *parts)
{
	const char *all = zstr(&e->events), *at = all;
	for (; *parts; parts++) {
		const char *hit = strstr(at, *parts);
		if (!hit)
			print_message("# wanted: %s\n# in: %s\n# wire: %s\n", *parts, all, zstr(&e->wire));
		assert_non_null(hit);
		at = hit + strlen(*parts);
	}
	buf_clear(&e->events);
}

static void UNUSED assert_no_events(struct end *e)
{
	if (e->events.len)
		print_message("# unexpected: %s\n", zstr(&e->events));
	assert_int_equal(e->events.len, 0);
}

/* The same on what was written; forgets it. */
#define assert_wire(e, ...) assert_wire_(e, (const char *const[]){__VA_ARGS__, NULL})
static void UNUSED assert_wire_(struct end *e, const char *const *parts)
{
	const char *all = zstr(&e->wire), *at = all;
	for (; *parts; parts++) {
		const char *hit = strstr(at, *parts);
		if (!hit)
			print_message("# wanted: %s\n# in: %s\n# events: %s\n", *parts, all, zstr(&e->events));
		assert_non_null(hit);
		at = hit + strlen(*parts);
	}
	buf_clear(&e->wire);
}

static void UNUSED assert_silent(struct end *e)
{
	if (e->wire.len)
		print_message("# unexpected: %s\n", zstr(&e->wire));
	assert_int_equal(e->wire.len, 0);
}

static void UNUSED give(struct end *e, const char *text)
{
	xmpp_stream_input(e->s, slice_str(text));
}

static void UNUSED tls_up(struct end *e)
{
	assert_true(e->want_tls);
	e->want_tls = false;
	xmpp_stream_tls_up(e->s, &e->tls);
}

static void UNUSED set_names(struct end *e, const struct slice *dns, size_t n)
{
	e->tls.names.dns = dns;
	e->tls.names.n_dns = n;
}

/* Delivers until nothing moves, `chunk` octets at a time (0: all at once). */
static void UNUSED pump(struct end *a, struct end *b, size_t chunk)
{
	struct end *ends[] = {a, b};
	for (bool moved = true; moved;) {
		moved = false;
		for (int i = 0; i < 2; i++) {
			struct end *from = ends[i], *to = ends[!i];
			if (from->sent.len && to->s && !to->closed) {
				struct slice all = buf_slice(&from->sent);
				size_t n = chunk && chunk < all.len ? chunk : all.len;
				char *copy = malloc(n);
				memcpy(copy, all.p, n);
				buf_consume(&from->sent, n);
				xmpp_stream_input(to->s, slice_of(copy, n));
				free(copy);
				moved = true;
			} else if (from->closed && to->s && !to->closed) {
				xmpp_stream_disconnected(to->s, SLICE_NONE);
				moved = true;
			}
		}
		if (!moved && a->want_tls && b->want_tls) {
			tls_up(b);
			tls_up(a);
			moved = true;
		}
	}
}
