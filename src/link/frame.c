/* SPDX-License-Identifier: Apache-2.0 */
#include "link/frame.h"

#include <assert.h>

enum { HEAD = 5 };
#define MAGIC S("ENTENTE\n")

const char *link_role_text(enum link_role r)
{
	return r == LINK_EDGE ? "edge" : "gateway";
}

const char *link_kind_text(enum link_kind k)
{
	static const char *const text[] = {"",	     "hello",  "ping", "pong", "goodbye", "policy",
					   "recheck", "stanza", "done", "send", "sent",	  "pair"};
	return k < LINK_KIND_END ? text[k] : "";
}

/* ---- writing */

static void put(struct buf *b, uint64_t v, unsigned octets)
{
	char o[8];
	for (unsigned i = 0; i < octets; i++)
		o[i] = (char)(v >> (8 * (octets - 1 - i)));
	buf_put(b, slice_of(o, octets));
}

static void put_text(struct buf *b, struct slice s)
{
	put(b, s.len, 4);
	buf_put(b, s);
}

static void put_reason(struct buf *b, enum reason r)
{
	put_text(b, r ? slice_str(reason_info(r)->id) : SLICE_NONE);
}

static size_t texts(const struct link_frame *f)
{
	switch (f->kind) {
	case LINK_POLICY:
		return f->policy.octets.len;
	case LINK_STANZA:
		return f->stanza.local.len + f->stanza.remote.len + f->stanza.octets.len;
	case LINK_SEND:
		return f->send.local.len + f->send.remote.len + f->send.octets.len;
	default:
		return 0;
	}
}

static void put_body(struct buf *b, const struct link_frame *f)
{
	switch (f->kind) {
	case LINK_HELLO:
		buf_put(b, MAGIC);
		put(b, f->hello.version, 2);
		put(b, f->hello.role, 1);
		put(b, f->hello.worker, 2);
		put(b, f->hello.workers, 2);
		buf_put(b, slice_of((const char *)f->hello.instance, LINK_INSTANCE));
		put_text(b, slice_first(f->hello.software, LINK_NAME_MAX));
		put_text(b, slice_first(f->hello.name, LINK_NAME_MAX));
		break;
	case LINK_PING:
	case LINK_PONG:
	case LINK_RECHECK:
		put(b, f->number, 8);
		break;
	case LINK_DONE:
		put(b, f->done.number, 8);
		put_reason(b, f->done.reason);
		break;
	case LINK_GOODBYE:
		put(b, f->bye.why, 1);
		put_text(b, slice_first(f->bye.text, LINK_NAME_MAX));
		break;
	case LINK_POLICY:
		put(b, f->policy.generation, 8);
		put(b, f->policy.part, 4);
		put(b, f->policy.last, 1);
		put_text(b, f->policy.octets);
		break;
	case LINK_STANZA:
		put(b, f->stanza.number, 8);
		put(b, f->stanza.proof, 1);
		put(b, f->stanza.encrypted, 1);
		put_text(b, f->stanza.local);
		put_text(b, f->stanza.remote);
		put_text(b, f->stanza.octets);
		break;
	case LINK_SEND:
		put(b, f->send.ticket, 8);
		put(b, f->send.confirm, 1);
		put(b, f->send.acked_only, 1);
		put_text(b, f->send.local);
		put_text(b, f->send.remote);
		put_text(b, f->send.octets);
		break;
	case LINK_SENT:
		put(b, f->sent.ticket, 8);
		put(b, f->sent.step, 1);
		put_reason(b, f->sent.reason);
		put_text(b, slice_first(f->sent.why, 1024));
		break;
	case LINK_PAIR:
		put(b, f->pair.up, 1);
		put_text(b, f->pair.local);
		put_text(b, f->pair.remote);
		break;
	case LINK_KIND_END:
		break;
	}
}

void link_frame_write(struct buf *b, const struct link_frame *f)
{
	size_t start = b->len;
	assert(f->kind >= LINK_HELLO && f->kind < LINK_KIND_END && texts(f) < LINK_FRAME_MAX);
	put(b, 0, 4);
	put(b, f->kind, 1);
	put_body(b, f);
	if (!buf_ok(b)) {
		buf_truncate(b, start);
		b->failed = true;
		return;
	}
	size_t n = b->len - start - 4;
	char *at = b->mem + b->off + start;
	for (unsigned i = 0; i < 4; i++)
		at[i] = (char)(n >> (8 * (3 - i)));
}

/* ---- reading */

struct reader {
	struct slice rest;
	bool bad;
};

static uint64_t get(struct reader *r, unsigned octets)
{
	uint64_t v = 0;
	if (r->rest.len < octets) {
		r->bad = true;
		return 0;
	}
	for (unsigned i = 0; i < octets; i++)
		v = v << 8 | (unsigned char)r->rest.p[i];
	r->rest = slice_skip(r->rest, octets);
	return v;
}

static struct slice get_octets(struct reader *r, size_t n)
{
	struct slice s = slice_first(r->rest, n);
	if (s.len < n)
		r->bad = true;
	r->rest = slice_skip(r->rest, n);
	return s;
}

static struct slice get_text(struct reader *r, size_t max)
{
	uint64_t n = get(r, 4);
	if (n > max) {
		r->bad = true;
		return SLICE_NONE;
	}
	return get_octets(r, n);
}

/* A value below `end`, from `first` on. */
static unsigned get_enum(struct reader *r, unsigned first, unsigned end)
{
	uint64_t v = get(r, 1);
	if (v < first || v >= end) {
		r->bad = true;
		return first;
	}
	return (unsigned)v;
}

static enum reason get_reason(struct reader *r)
{
	struct slice id = get_text(r, 64);
	if (!id.len)
		return REASON_NONE;
	for (unsigned i = 1; i < REASON_COUNT; i++)
		if (slice_eq(id, slice_str(reason_info((enum reason)i)->id)))
			return (enum reason)i;
	return REASON_XMPP_UNREACHABLE;
}

static void get_hello(struct reader *r, struct link_hello *h)
{
	if (!slice_eq(get_octets(r, MAGIC.len), MAGIC))
		r->bad = true;
	h->version = (uint16_t)get(r, 2);
	h->role = (enum link_role)get_enum(r, LINK_EDGE, LINK_GATEWAY + 1);
	if (h->version != LINK_VERSION) { /* the rest is for those who know it */
		r->rest = SLICE_NONE;
		return;
	}
	h->worker = (uint16_t)get(r, 2);
	h->workers = (uint16_t)get(r, 2);
	if (h->worker >= h->workers)
		r->bad = true;
	struct slice id = get_octets(r, LINK_INSTANCE);
	if (id.len == LINK_INSTANCE)
		memcpy(h->instance, id.p, id.len);
	h->software = get_text(r, LINK_NAME_MAX);
	h->name = get_text(r, LINK_NAME_MAX);
}

static void get_body(struct reader *r, struct link_frame *f)
{
	enum { DOMAIN_MAX = 1023 }; /* RFC 7622 3.2 */
	switch (f->kind) {
	case LINK_HELLO:
		get_hello(r, &f->hello);
		break;
	case LINK_PING:
	case LINK_PONG:
	case LINK_RECHECK:
		f->number = get(r, 8);
		break;
	case LINK_DONE:
		f->done.number = get(r, 8);
		f->done.reason = get_reason(r);
		break;
	case LINK_GOODBYE:
		f->bye.why = (enum link_bye)get_enum(r, LINK_BYE_STOPPING, LINK_BYE_END);
		f->bye.text = get_text(r, LINK_NAME_MAX);
		break;
	case LINK_POLICY:
		f->policy.generation = get(r, 8);
		f->policy.part = (uint32_t)get(r, 4);
		f->policy.last = get_enum(r, 0, 2);
		f->policy.octets = get_text(r, LINK_FRAME_MAX);
		break;
	case LINK_STANZA:
		f->stanza.number = get(r, 8);
		f->stanza.proof = (enum xmpp_proof)get_enum(r, 0, XMPP_PROOF_DANE + 1);
		f->stanza.encrypted = get_enum(r, 0, 2);
		f->stanza.local = get_text(r, DOMAIN_MAX);
		f->stanza.remote = get_text(r, DOMAIN_MAX);
		f->stanza.octets = get_text(r, LINK_FRAME_MAX);
		r->bad |= !f->stanza.number || !f->stanza.local.len || !f->stanza.remote.len;
		break;
	case LINK_SEND:
		f->send.ticket = get(r, 8);
		f->send.confirm = get_enum(r, 0, 2);
		f->send.acked_only = get_enum(r, 0, 2);
		f->send.local = get_text(r, DOMAIN_MAX);
		f->send.remote = get_text(r, DOMAIN_MAX);
		f->send.octets = get_text(r, LINK_FRAME_MAX);
		r->bad |= !f->send.local.len || !f->send.remote.len;
		break;
	case LINK_SENT:
		f->sent.ticket = get(r, 8);
		f->sent.step = (enum link_sent_step)get_enum(r, SENT_OVER, SENT_STEP_END);
		f->sent.reason = get_reason(r);
		f->sent.why = get_text(r, 1024);
		break;
	case LINK_PAIR:
		f->pair.up = get_enum(r, 0, 2);
		f->pair.local = get_text(r, DOMAIN_MAX);
		f->pair.remote = get_text(r, DOMAIN_MAX);
		break;
	case LINK_KIND_END:
		break;
	}
}

int link_frame_read(struct link_frame *ret, size_t *ret_octets, struct slice in, size_t max, struct entente_err *err)
{
	struct reader r = {.rest = in};
	if (in.len < HEAD)
		return ENTENTE_EAGAIN;
	uint64_t n = get(&r, 4);
	unsigned kind = (unsigned char)r.rest.p[0];
	if (kind < LINK_HELLO || kind >= LINK_KIND_END || !n)
		return err_set(err, ENTENTE_ESYNTAX, REASON_LINK_PROTOCOL, "this is not our protocol: a frame of kind %u", kind);
	if (n + 4 > max)
		return err_set(err, ENTENTE_ELIMIT, REASON_LINK_PROTOCOL, "a frame %s of %llu octets: longer than allowed",
			       link_kind_text((enum link_kind)kind), (unsigned long long)n);
	if (in.len < n + 4)
		return ENTENTE_EAGAIN;
	r.rest = slice_of(in.p + HEAD, n - 1);
	*ret = (struct link_frame){.kind = (enum link_kind)kind};
	get_body(&r, ret);
	if (r.bad || r.rest.len)
		return err_set(err, ENTENTE_ESYNTAX, REASON_LINK_PROTOCOL, "a malformed frame %s", link_kind_text(ret->kind));
	*ret_octets = n + 4;
	return 0;
}
