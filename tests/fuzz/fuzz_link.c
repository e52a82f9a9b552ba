/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of a link says anything at all (it has proven who it is, so this is about faults, not about attackers alone): the first
 * octet chooses our role (bit 0), whether the HELLO is in the input (bit 1) or a right one stands before it, and how the input is cut; frames that are taken
 * must be written again as they came. Its own mutator changes fields and keeps lengths true. */
#include "fuzz.h"
#include "link/policy.h"
#include "link/session.h"

struct rig {
	struct link_session *s;
	bool up, failed;
	unsigned frames, policies;
};

static void on_write(void *arg, struct slice bytes)
{
	struct link_frame f;
	size_t n;
	(void)arg;
	MUST(link_frame_read(&f, &n, bytes, LINK_FRAME_MAX, NULL) == 0 && n == bytes.len);
}

static void on_up(void *arg, const struct link_hello *h)
{
	struct rig *r = arg;
	MUST(!r->up && !r->failed && h->version == LINK_VERSION && h->worker < h->workers);
	r->up = true;
}

static void on_frame(void *arg, const struct link_frame *f)
{
	struct rig *r = arg;
	struct buf b;
	struct link_frame again;
	size_t n;
	MUST(r->up && !r->failed);
	r->frames++;
	buf_init(&b, LINK_FRAME_MAX + 64);
	link_frame_write(&b, f);
	MUST(buf_ok(&b) && !link_frame_read(&again, &n, buf_slice(&b), LINK_FRAME_MAX, NULL) && n == b.len && again.kind == f->kind);
	buf_free(&b);
	if (f->kind == LINK_POLICY && r->policies++ < 8) {
		struct snapshot *s;
		struct slice secret;
		struct entente_err err;
		if (!link_policy_read(&s, &secret, f->policy.octets, f->policy.generation, &err))
			snapshot_unref(s);
	}
	if (f->kind == LINK_STANZA && r->frames % 3 == 0)
		link_session_send(r->s, &(struct link_frame){.kind = LINK_DONE, .done = {f->stanza.number, REASON_NONE}});
}

static void on_leaving(void *arg, enum link_bye why, struct slice text)
{
	struct rig *r = arg;
	(void)text;
	MUST(r->up && !r->failed && why == LINK_BYE_STOPPING);
}

static void on_failed(void *arg, const struct entente_err *err)
{
	struct rig *r = arg;
	MUST(!r->failed && err->reason != REASON_NONE && err->text[0]);
	r->failed = true;
}

static const struct link_session_ops ops = {.write = on_write, .up = on_up, .frame = on_frame, .leaving = on_leaving, .failed = on_failed};

/* The other side's HELLO, of this version: what a corpus holds must not grow old with it. */
static void hello(struct buf *b, enum link_role role)
{
	struct link_frame f = {.kind = LINK_HELLO, .hello = {.version = LINK_VERSION, .role = role, .workers = 1, .software = S("0.1"), .name = S("x.test")}};
	link_frame_write(b, &f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct timers q;
	struct rig r = {0};
	struct buf in;
	if (size < 1)
		return 0;
	timers_init(&q, 1000);
	struct link_session_config c = {.timers = &q, .own = {.version = LINK_VERSION, .role = data[0] & 1 ? LINK_EDGE : LINK_GATEWAY, .workers = 1}};
	link_session_defaults(&c);
	r.s = link_session_new(&c, &ops, &r);
	buf_init(&in, 2 * LINK_FRAME_MAX + 64);
	if (!(data[0] & 2))
		hello(&in, data[0] & 1 ? LINK_GATEWAY : LINK_EDGE);
	size_t step = data[0] >> 2 ? data[0] >> 2 : size;
	for (size_t at = 1; at < size && !r.failed; at += step) {
		buf_put(&in, slice_of((const char *)data + at, step < size - at ? step : size - at));
		buf_consume(&in, link_session_input(r.s, buf_slice(&in)));
		timers_run(&q, q.now + 7);
	}
	buf_free(&in);
	link_session_free(r.s);
	MUST(q.count == 0);
	timers_free(&q);
	return 0;
}

/* ---- mutations that keep lengths true: a frame is taken apart, changed in one field and written again */

enum { FRAMES = 64 };

static size_t cut(struct slice in, struct slice ret[FRAMES])
{
	size_t n = 0;
	while (in.len > 4 && n < FRAMES) {
		size_t len = 4 + ((size_t)(uint8_t)in.p[0] << 24 | (size_t)(uint8_t)in.p[1] << 16 | (size_t)(uint8_t)in.p[2] << 8 | (uint8_t)in.p[3]);
		len = len < in.len ? len : in.len;
		ret[n++] = slice_first(in, len);
		in = slice_skip(in, len);
	}
	return n;
}

/* A text with another in its place. */
static void change(struct slice *text)
{
	static char room[8192];
	size_t n = text->len < sizeof room / 2 ? text->len : sizeof room / 2;
	if (n)
		memcpy(room, text->p, n);
	*text = slice_of(room, LLVMFuzzerMutate((uint8_t *)room, n, sizeof room));
}

static void change_frame(struct link_frame *f, unsigned seed)
{
	bool third = seed & 1, second = seed & 2;
	switch (f->kind) {
	case LINK_POLICY: change(&f->policy.octets); break;
	case LINK_STANZA: change(third ? &f->stanza.octets : second ? &f->stanza.local : &f->stanza.remote); break;
	case LINK_SEND: change(third ? &f->send.octets : second ? &f->send.local : &f->send.remote); break;
	case LINK_SENT: change(&f->sent.why); break;
	case LINK_GOODBYE: change(&f->bye.text); break;
	case LINK_PAIR: change(second ? &f->pair.local : &f->pair.remote); break;
	case LINK_HELLO: change(second ? &f->hello.name : &f->hello.software); break;
	default: f->number ^= seed; break;
	}
}

static void fresh(struct buf *b, unsigned seed)
{
	static const struct slice local = {"gw.test", 7}, remote = {"fabrikam.test", 13}, octets = {"<message/>", 10}, policy = {"g\0\0\0\0\5\0\0\0\5\1h\0\0\0\6a.test", 22};
	struct link_frame f = {.kind = 1 + seed % (LINK_KIND_END - 1)};
	switch (f.kind) {
	case LINK_POLICY: f.policy.generation = seed >> 8; f.policy.last = seed & 16; f.policy.octets = policy; break;
	case LINK_STANZA: f.stanza.number = 1 + (seed >> 8); f.stanza.local = local; f.stanza.remote = remote; f.stanza.octets = octets; break;
	case LINK_SEND: f.send.ticket = seed >> 8; f.send.confirm = seed & 64; f.send.local = local; f.send.remote = remote; f.send.octets = octets; break;
	case LINK_SENT: f.sent.ticket = seed >> 8; f.sent.step = (enum link_sent_step)(seed / 64 % SENT_STEP_END); f.sent.reason = (enum reason)(seed % REASON_COUNT); break;
	case LINK_DONE: f.done.number = seed >> 8; f.done.reason = (enum reason)(seed % REASON_COUNT); break;
	case LINK_PAIR: f.pair.up = seed & 32; f.pair.local = local; f.pair.remote = remote; break;
	case LINK_GOODBYE: f.bye.why = (enum link_bye)(1 + seed / 16 % (LINK_BYE_END - 1)); break;
	case LINK_HELLO: hello(b, seed & 16 ? LINK_EDGE : LINK_GATEWAY); return;
	default: f.number = seed >> 8; break;
	}
	link_frame_write(b, &f);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
	struct slice frame[FRAMES];
	struct buf b;
	unsigned how = seed % 8;
	if (size < 2 || how == 0)
		return LLVMFuzzerMutate(data, size, max);
	size_t n = cut(slice_of((const char *)data + 1, size - 1), frame), at = n ? (seed >> 3) % n : 0;
	buf_init(&b, 1 << 20);
	buf_putc(&b, (char)(how == 1 ? (seed >> 8) : data[0]));
	for (size_t i = 0; i < n; i++) {
		struct link_frame f;
		size_t len;
		bool here = i == at;
		if (here && how == 2) /* left out */
			continue;
		if (here && how == 3)
			fresh(&b, seed >> 3);
		if (here && how >= 5 && !link_frame_read(&f, &len, frame[i], LINK_FRAME_MAX, NULL)) {
			change_frame(&f, seed >> 3);
			link_frame_write(&b, &f);
			continue;
		}
		buf_put(&b, frame[i]);
		if (here && how == 4)
			buf_put(&b, frame[i]);
	}
	if (!n)
		fresh(&b, seed >> 3);
	struct slice out = buf_slice(&b);
	if (buf_ok(&b) && out.len <= max) {
		memcpy(data, out.p, out.len);
		size = out.len;
	}
	buf_free(&b);
	return size;
}
