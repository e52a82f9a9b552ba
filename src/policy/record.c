/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/record.h"

#include "base/map.h"
#include "base/mem.h"

/* What a text may take of a slot; together they fit. */
enum { TEXT_ROOM = RECORD_SLOT - sizeof(struct record), KEY_MAX = 64, PEER_MAX = 40, METHOD_MAX = 9, VIA_MAX = 40, PARTNER_MAX = 24,
       ADDRESS_MAX = (TEXT_ROOM - KEY_MAX - PEER_MAX - METHOD_MAX - VIA_MAX - PARTNER_MAX) / 2 };
/* Each has its place, so that those which come later need not move the others. */
enum { AT_FROM = 0, AT_TO = ADDRESS_MAX, AT_KEY = 2 * ADDRESS_MAX, AT_PEER = AT_KEY + KEY_MAX, AT_METHOD = AT_PEER + PEER_MAX,
       AT_VIA = AT_METHOD + METHOD_MAX, AT_PARTNER = AT_VIA + VIA_MAX };
_Static_assert(AT_PARTNER + PARTNER_MAX <= TEXT_ROOM, "the texts fit into a slot");
_Static_assert(ADDRESS_MAX >= 60, "addresses of usual length are kept whole");
_Static_assert(REASON_COUNT < 256, "a reason fits into an octet");

struct record_log {
	const uint64_t *now;
	int64_t epoch_ms;  /* unix time of the clock's zero */
	uint64_t next;     /* counter of the next record */
	uint64_t first;    /* ... and of the first one of this log */
	unsigned worker;
	size_t n;
	char *slots;
};

static struct record *slot(const struct record_log *l, uint64_t counter)
{
	return (struct record *)(void *)(l->slots + counter % l->n * RECORD_SLOT);
}

struct record_log *record_log_new(size_t octets, unsigned worker, const uint64_t *now, int64_t unix_ms)
{
	if (octets < RECORD_SLOT || worker >= RECORD_WORKERS)
		return NULL;
	struct record_log *l = MEM_NEW(struct record_log);
	l->now = now;
	l->epoch_ms = unix_ms - (int64_t)*now;
	/* nobody records more than one a microsecond, so that a number is never given twice */
	l->next = l->first = (uint64_t)unix_ms * 1000;
	l->worker = worker;
	l->n = octets / RECORD_SLOT;
	l->slots = mem_calloc(l->n, RECORD_SLOT);
	return l;
}

struct record_log *record_log_free(struct record_log *l)
{
	if (l)
		mem_free(l->slots);
	return mem_free(l);
}

static uint8_t put(struct record *r, size_t at, size_t max, struct slice s)
{
	if (s.len > max) {
		s.len = max;
		while (s.len && ((unsigned char)s.p[s.len] & 0xc0) == 0x80) /* a character is not cut */
			s.len--;
		r->cut = true;
	}
	if (s.len)
		memcpy(r->text + at, s.p, s.len);
	return (uint8_t)s.len;
}

static struct record *of(struct record_log *l, uint64_t id)
{
	struct record *r = l && id ? slot(l, id >> 8) : NULL;
	return r && r->id == id ? r : NULL;
}

uint64_t record_begin(struct record_log *l, const struct record_start *s)
{
	if (!l)
		return 0;
	uint64_t counter = l->next++;
	struct record *r = slot(l, counter);
	*r = (struct record){.id = counter << 8 | l->worker, .began = *l->now, .at_ms = l->epoch_ms + (int64_t)*l->now, .key = hash_slice(s->key),
			     .conn = (uint32_t)s->conn, .kind = (uint8_t)s->kind, .direction = (uint8_t)s->direction, .sip = s->sip};
	r->from_len = put(r, AT_FROM, ADDRESS_MAX, s->from);
	r->to_len = put(r, AT_TO, ADDRESS_MAX, s->to);
	bool whole = !r->cut;
	r->key_len = put(r, AT_KEY, KEY_MAX, s->key);
	r->cut = !whole; /* an identifier is found by its hash */
	r->method_len = put(r, AT_METHOD, METHOD_MAX, s->method);
	return r->id;
}

void record_verdict(struct record_log *l, uint64_t id, const struct policy_verdict *v, const struct policy_question *q, uint64_t generation)
{
	struct record *r = of(l, id);
	if (!r)
		return;
	const struct policy_step *last = v->n_steps ? &v->steps[v->n_steps - 1] : NULL;
	r->asked = true;
	r->allowed = v->allow;
	r->transit |= v->transit;
	r->generation = generation;
	r->cls = (uint8_t)v->cls;
	r->identity = (uint8_t)v->identity;
	r->rule = last ? last->rule : NULL;
	r->detail = last ? last->detail : NULL;
	r->contact = q->has_contact == POLICY_CONTACT_YES;
	if (q->sip && q->direction == POLICY_TO_LOCAL)
		r->mark = (uint8_t)q->sip->mark;
	if (v->home != UINT32_MAX)
		r->home = (uint16_t)(v->home + 1);
	if (v->partner)
		r->partner_len = put(r, AT_PARTNER, PARTNER_MAX, v->partner->domain);
	bool of_one = q->sip && q->sip->connected && q->direction == POLICY_TO_REMOTE; /* of the partner's connections: another one may do */
	if (!v->allow && !v->need_srv && !of_one)
		record_end(l, id, RECORD_REFUSED, v->reason);
}

void record_peer(struct record_log *l, uint64_t id, struct slice peer)
{
	struct record *r = of(l, id);
	if (r)
		r->peer_len = put(r, AT_PEER, PEER_MAX, peer);
}

void record_via(struct record_log *l, uint64_t id, struct slice via)
{
	struct record *r = of(l, id);
	if (r)
		r->via_len = put(r, AT_VIA, VIA_MAX, via);
}

void record_hop(struct record_log *l, uint64_t id, enum record_what what, int status, enum reason reason)
{
	struct record *r = of(l, id);
	if (!r)
		return;
	uint64_t ms = *l->now - r->began;
	if (r->n_hops == RECORD_HOPS)
		r->n_hops--;
	r->hops[r->n_hops++] = (struct record_hop){(uint32_t)(ms < UINT32_MAX ? ms : UINT32_MAX), (uint16_t)status, (uint8_t)what, (uint8_t)reason};
}

void record_end(struct record_log *l, uint64_t id, enum record_outcome o, enum reason reason)
{
	struct record *r = of(l, id);
	if (!r || (r->outcome != RECORD_OPEN && !(r->outcome == RECORD_DELIVERED && o == RECORD_FAILED)))
		return;
	r->outcome = (uint8_t)o;
	if (reason)
		r->reason = (uint8_t)reason;
}

/* ---- reading */

struct slice record_text(const struct record *r, enum record_text which)
{
	switch (which) {
	case RECORD_FROM:
		return slice_of(r->text + AT_FROM, r->from_len);
	case RECORD_TO:
		return slice_of(r->text + AT_TO, r->to_len);
	case RECORD_KEY:
		return slice_of(r->text + AT_KEY, r->key_len);
	case RECORD_PEER:
		return slice_of(r->text + AT_PEER, r->peer_len);
	case RECORD_METHOD:
		return slice_of(r->text + AT_METHOD, r->method_len);
	case RECORD_VIA:
		return slice_of(r->text + AT_VIA, r->via_len);
	case RECORD_PARTNER:
		return slice_of(r->text + AT_PARTNER, r->partner_len);
	}
	return SLICE_NONE;
}

const struct record *record_find(const struct record_log *l, uint64_t id)
{
	const struct record *r = l && id ? slot(l, id >> 8) : NULL;
	return r && r->id == id ? r : NULL;
}

size_t record_count(const struct record_log *l)
{
	uint64_t all = l ? l->next - l->first : 0;
	return l && all > l->n ? l->n : (size_t)all;
}

size_t record_room(const struct record_log *l)
{
	return l ? l->n : 0;
}

void record_each(const struct record_log *l, bool (*fn)(void *arg, const struct record *r), void *arg)
{
	size_t n = record_count(l);
	for (size_t i = 1; i <= n; i++)
		if (!fn(arg, slot(l, l->next - i)))
			return;
}

/* ---- names */

void record_id_print(uint64_t id, char dst[RECORD_ID_TEXT])
{
	static const char hex[] = "0123456789abcdef";
	for (int i = 15; i >= 0; i--, id >>= 4)
		dst[i] = hex[id & 15];
	dst[16] = 0;
}

struct slice record_id_text(uint64_t id, char dst[RECORD_ID_TEXT])
{
	if (!id)
		return SLICE_NONE;
	record_id_print(id, dst);
	return slice_of(dst, RECORD_ID_TEXT - 1);
}

bool record_id_parse(uint64_t *ret, struct slice text)
{
	uint64_t v = 0;
	if (text.len != RECORD_ID_TEXT - 1)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i], low = (char)(c | 32);
		if (c >= '0' && c <= '9')
			v = v << 4 | (uint64_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			v = v << 4 | (uint64_t)(low - 'a' + 10);
		else
			return false;
	}
	*ret = v;
	return v != 0;
}

unsigned record_id_worker(uint64_t id)
{
	return (unsigned)(id & 255);
}

static const char *const whats[RECORD_WHAT_COUNT] = {"waits", "given", "sent", "heard", "again", "told", "dropped"};
static const char *const outcomes[] = {"open", "delivered", "refused", "failed", "ignored"};

const char *record_what_name(enum record_what w)
{
	return (unsigned)w < RECORD_WHAT_COUNT ? whats[w] : "";
}

const char *record_outcome_name(enum record_outcome o)
{
	return (unsigned)o < sizeof outcomes / sizeof *outcomes ? outcomes[o] : "";
}

bool record_outcome_parse(enum record_outcome *ret, struct slice text)
{
	for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
		if (slice_ieq(text, slice_str(outcomes[i]))) {
			*ret = (enum record_outcome)i;
			return true;
		}
	return false;
}
