/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of a link says anything at all (it has proven who it is, so this is about faults, not about attackers alone): the first
 * octet chooses our role and how the input is cut; frames that are taken must be written again as they came, and the policy in them may
 * be anything too. */
#include <stdlib.h>
#include "link/policy.h"
#include "link/session.h"

#define MUST(x)                                                                                                            \
	do {                                                                                                               \
		if (!(x))                                                                                                  \
			abort();                                                                                           \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	buf_init(&in, LINK_FRAME_MAX + 64);
	size_t step = data[0] >> 1 ? data[0] >> 1 : size;
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
