/* SPDX-License-Identifier: Apache-2.0 */
/* A stream engine against a hostile peer. Input: one octet for role and rules, then the peer's octets; control characters that
 * XML does not know are events: the handshake ends, the authoritative server answers, time passes, the owner acts. Checked: no
 * stanza without a proof that fits, no callback after the end, nothing leaked. */
#include <stdint.h>
#include <stdlib.h>
#include "xmpp/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

enum {
	EV_TLS_GOOD = 1,
	EV_TLS_BAD,
	EV_VALID,
	EV_INVALID,
	EV_UNDECIDED,
	EV_TIME,
	EV_SEND,
	EV_CLOSE,
	EV_ERROR = 0xe,
	EV_GONE,
	EV_VERIFY,
	EV_ADD,
	EV_TLS_FAILED,
	EV_DONE
};

struct owner {
	struct xmpp_stream *s;
	struct arena_pool *pool;
	uint8_t rules;
	bool initiator, want_tls, good_tls, bad_tls, ended, failed, answered_valid;
	unsigned established;
	bool asked;
	char local[1100], remote[1100], id[64], key[1100];
	struct xmpp_verify v;
	size_t written;
	uint64_t receipts[512]; /* not given back yet */
	size_t n_receipts;
};

static bool is(struct slice s, const char *z)
{
	return slice_eq(s, slice_str(z));
}

static struct xmpp_stream_policy on_policy(void *arg, struct slice local, struct slice remote)
{
	struct owner *o = arg;
	static const enum xmpp_need need[] = {XMPP_OFF, XMPP_OPTIONAL, XMPP_REQUIRED, XMPP_OPTIONAL};
	return (struct xmpp_stream_policy){
		.local_ours = slice_empty(local) || is(local, "a.example") || is(local, "b.example"),
		.remote_ours = is(remote, "a.example") || is(remote, "b.example"),
		.partner = !is(remote, "s.example"),
		.tls = need[o->rules & 3], .sasl = need[o->rules >> 2 & 3], .dialback = o->rules & 16, .lenient = o->rules & 32,
		.bidi = o->rules & 32,
	};
}

static void on_write(void *arg, struct slice bytes)
{
	struct owner *o = arg;
	CHECK(!o->ended && bytes.len);
	o->written += bytes.len;
}

static void on_start_tls(void *arg)
{
	struct owner *o = arg;
	CHECK(!o->ended && !o->want_tls && !o->good_tls && !o->bad_tls);
	o->want_tls = true;
}

static void on_close(void *arg)
{
	struct owner *o = arg;
	CHECK(!o->ended);
	o->ended = true;
}

static void check_peer(struct owner *o, const struct xmpp_peer *p)
{
	CHECK(is(xmpp_peer_local(p), "a.example") || is(xmpp_peer_local(p), "b.example"));
	CHECK(!is(xmpp_peer_remote(p), "s.example") && !is(xmpp_peer_remote(p), "a.example") && xmpp_peer_remote(p).len);
	CHECK(xmpp_peer_encrypted(p) == (o->good_tls || o->bad_tls));
	CHECK(xmpp_stream_peer(o->s, xmpp_peer_local(p), xmpp_peer_remote(p)) == p);
	if (xmpp_peer_proof(p) == XMPP_PROOF_EXTERNAL)
		CHECK(o->good_tls && is(xmpp_peer_remote(p), "p.example"));
	else
		CHECK(xmpp_peer_proof(p) == XMPP_PROOF_DIALBACK && (o->initiator || o->answered_valid) && (o->rules & 16));
}

static void on_established(void *arg, const struct xmpp_peer *p)
{
	struct owner *o = arg;
	CHECK(!o->ended && !o->failed);
	check_peer(o, p);
	o->established++;
}

static void on_pair_failed(void *arg, struct slice local, struct slice remote, const struct entente_err *err)
{
	struct owner *o = arg;
	CHECK(!o->ended && local.len && remote.len && err->text[0]);
}

static void on_stanza(void *arg, struct xmpp_stanza *st)
{
	struct owner *o = arg;
	CHECK(!o->ended && !o->failed && o->established);
	/* on a stream of ours only for what the certificate proves, and where both directions are allowed */
	CHECK(!o->initiator || ((o->rules & 32) && o->good_tls && is(xmpp_peer_remote(st->peer), "p.example")));
	check_peer(o, st->peer);
	CHECK(slice_eq(st->from.domain, xmpp_peer_remote(st->peer)) && slice_eq(st->to.domain, xmpp_peer_local(st->peer)));
	CHECK(is(st->node->ns, "jabber:server"));
	arena_release(o->pool, st->arena);
	if (st->receipt.number && o->n_receipts < sizeof o->receipts / sizeof *o->receipts)
		o->receipts[o->n_receipts++] = st->receipt.number;
	else
		xmpp_stream_done(o->s, st->receipt.number);
	CHECK(xmpp_stream_pending(o->s) == o->n_receipts);
}

static void on_oversize(void *arg, const struct xmpp_peer *p, struct xml_node *n, struct arena *a)
{
	struct owner *o = arg;
	CHECK(!o->ended && !o->failed && o->established && n && !n->first && is(n->ns, "jabber:server"));
	check_peer(o, p);
	arena_release(o->pool, a);
}

/* One of them, not always the oldest. */
static void done(struct owner *o)
{
	if (!o->n_receipts)
		return;
	size_t i = o->written % o->n_receipts;
	xmpp_stream_done(o->s, o->receipts[i]);
	xmpp_stream_done(o->s, o->receipts[i]); /* twice is once */
	o->receipts[i] = o->receipts[--o->n_receipts];
	CHECK(xmpp_stream_pending(o->s) == o->n_receipts);
}

static void on_misaddressed(void *arg, const struct xmpp_peer *p, struct xml_node *n, struct arena *a, const char *which)
{
	struct owner *o = arg;
	CHECK(!o->ended && !o->failed && o->established && (!o->initiator || (o->rules & 32)) && n && which);
	check_peer(o, p);
	arena_release(o->pool, a);
}

static struct slice keep(char *dst, size_t size, struct slice s)
{
	CHECK(slice_cstr(s, dst, size));
	return slice_of(dst, s.len);
}

static void on_verify(void *arg, const struct xmpp_verify *v)
{
	struct owner *o = arg;
	CHECK(!o->ended && !o->initiator);
	o->asked = true;
	o->v = (struct xmpp_verify){keep(o->local, sizeof o->local, v->local), keep(o->remote, sizeof o->remote, v->remote),
				    keep(o->id, sizeof o->id, v->id), keep(o->key, sizeof o->key, v->key)};
}

static void on_verified(void *arg, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition)
{
	struct owner *o = arg;
	CHECK(!o->ended && o->initiator && is(v->remote, "p.example") && is(v->id, "q") &&
	      (verdict != XMPP_UNDECIDED || condition.len));
}

static void on_failed(void *arg, const struct xmpp_failure *f)
{
	struct owner *o = arg;
	CHECK(!o->ended && !o->failed && f->err.code && f->err.reason && f->err.text[0] && f->stage);
	o->failed = true;
}

static const struct xmpp_stream_ops ops = {
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
	.failed = on_failed,
};

static void tls(struct owner *o, bool good)
{
	struct slice name = S("p.example");
	struct xmpp_tls_info info = {.protocol = S("TLSv1.3"),
				     .cipher = S("x"),
				     .certificate = true,
				     .trusted = good,
				     .why = S("bad"),
				     .names = {.dns = &name, .n_dns = 1}};
	if (!o->want_tls)
		return;
	o->want_tls = false;
	*(good ? &o->good_tls : &o->bad_tls) = true;
	xmpp_stream_tls_up(o->s, &info);
}

static void event(struct owner *o, struct timers *q, uint8_t c)
{
	const struct xmpp_verify ask = {S("a.example"), S("p.example"), S("q"), S("k")};
	switch (c) {
	case EV_TLS_GOOD: tls(o, true); break;
	case EV_TLS_BAD: tls(o, false); break;
	case EV_VALID:
	case EV_INVALID:
	case EV_UNDECIDED:
		if (!o->asked)
			break;
		o->answered_valid |= c == EV_VALID;
		xmpp_stream_verify_done(o->s, &o->v,
					c == EV_VALID	  ? XMPP_VALID
					: c == EV_INVALID ? XMPP_INVALID
							  : XMPP_UNDECIDED,
					S("forbidden"));
		break;
	case EV_TIME: timers_run(q, q->now + 11000); break;
	case EV_SEND: CHECK(xmpp_stream_send(o->s, S("<message/>")) != 0 || ((o->initiator || (o->rules & 32)) && o->established)); break;
	case EV_CLOSE: xmpp_stream_close(o->s); break;
	case EV_ERROR: xmpp_stream_close_error(o->s, "reset", S("x")); break;
	case EV_GONE: xmpp_stream_disconnected(o->s, S("gone")); break;
	case EV_VERIFY: xmpp_stream_verify(o->s, &ask); break;
	case EV_ADD: xmpp_stream_add(o->s, S("b.example"), S("p.example")); break;
	case EV_DONE: done(o); break;
	case EV_TLS_FAILED:
		o->want_tls = false;
		xmpp_stream_tls_failed(o->s, S("why"));
		break;
	}
}

static bool is_event(uint8_t c)
{
	return (c >= EV_TLS_GOOD && c <= EV_CLOSE) || (c >= EV_ERROR && c <= EV_DONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	struct timers q;
	struct xmpp_stream_config cfg = {.timers = &q};
	struct owner o = {.rules = data[0], .initiator = data[0] & 64};
	timers_init(&q, 1000);
	o.pool = cfg.pool = arena_pool_new(1 << 21, 2);
	xmpp_stream_config_defaults(&cfg);
	xmpp_dialback_secrets_init(&cfg.secrets, S("s"));
	cfg.max_stanza = 600; /* small inputs reach them */
	cfg.max_depth = 6;
	cfg.max_attributes = 12;
	o.s = o.initiator ? xmpp_stream_new_initiator(&cfg, &ops, &o, S("a.example"), S("p.example"), data[0] & 128)
			  : xmpp_stream_new_receiver(&cfg, &ops, &o);
	xmpp_stream_start(o.s);
	for (size_t i = 1; i < size;) {
		size_t n = 0;
		while (i + n < size && !is_event(data[i + n]))
			n++;
		if (n)
			xmpp_stream_input(o.s, slice_of((const char *)data + i, n));
		else
			event(&o, &q, data[i++]);
		i += n;
	}
	/* Every stream ends by itself. */
	for (int i = 0; i < 40 && !o.ended; i++)
		timers_run(&q, q.now + 200000);
	CHECK(o.ended || o.want_tls == false);
	CHECK(o.ended);
	xmpp_stream_free(o.s);
	CHECK(q.count == 0);
	timers_free(&q);
	arena_pool_free(o.pool);
	return 0;
}
