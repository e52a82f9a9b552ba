/* SPDX-License-Identifier: Apache-2.0 */
#include "link/session.h"

#include "base/list.h"
#include "base/mem.h"

struct link_session {
	struct link_session_config cfg;
	const struct link_session_ops *ops;
	void *arg;
	struct timer tick;
	uint64_t began, heard, delay;
	bool up, over, goodbye;
	bool *gone; /* set when freed inside link_session_input */
	struct buf out;
};

void link_session_defaults(struct link_session_config *c)
{
	c->hello_ms = 10000;
	c->ping_ms = 5000;
	c->silence_ms = 15000;
}

static void fail(struct link_session *s, const struct entente_err *err)
{
	if (s->over)
		return;
	s->over = true;
	timer_cancel(s->cfg.timers, &s->tick);
	s->ops->failed(s->arg, err);
}

static void write_frame(struct link_session *s, const struct link_frame *f)
{
	buf_clear(&s->out);
	link_frame_write(&s->out, f);
	s->ops->write(s->arg, buf_slice(&s->out));
	buf_shrink(&s->out, 65536);
}

/* ---- time */

static void arm(struct link_session *s)
{
	struct timers *q = s->cfg.timers;
	uint64_t due = s->heard + s->cfg.ping_ms;
	if (!s->up)
		due = s->began + s->cfg.hello_ms;
	else if (due <= q->now) /* a PING is out */
		due = q->now + s->cfg.ping_ms < s->heard + s->cfg.silence_ms ? q->now + s->cfg.ping_ms : s->heard + s->cfg.silence_ms;
	timer_arm(q, &s->tick, due > q->now ? due - q->now : 0);
}

static void tick_fired(struct timer *t, uint64_t now)
{
	struct link_session *s = CONTAINER_OF(t, struct link_session, tick);
	struct entente_err err;
	if (!s->up && now - s->began >= s->cfg.hello_ms) {
		err_set(&err, ENTENTE_ETIMEOUT, REASON_LINK_TIMEOUT, "the other side did not say who it is within %u ms", s->cfg.hello_ms);
		fail(s, &err);
		return;
	}
	if (s->up && now - s->heard >= s->cfg.silence_ms) {
		err_set(&err, ENTENTE_ETIMEOUT, REASON_LINK_TIMEOUT, "nothing came for %u ms, not even answers to pings", s->cfg.silence_ms);
		fail(s, &err);
		return;
	}
	if (s->up && now - s->heard >= s->cfg.ping_ms)
		write_frame(s, &(struct link_frame){.kind = LINK_PING, .number = now});
	arm(s);
}

/* ---- what comes in */

static void refuse(struct link_session *s, enum link_bye why, const struct entente_err *err)
{
	link_session_goodbye(s, why, slice_str(err->text));
	fail(s, err);
}

static void hello(struct link_session *s, const struct link_hello *h)
{
	struct entente_err err;
	if (h->version != LINK_VERSION) {
		err_set(&err, ENTENTE_EUNSUPPORTED, REASON_LINK_VERSION,
			"the %s speaks version %u of the link protocol, this side %d: run the same release on both", link_role_text(h->role),
			h->version, LINK_VERSION);
		refuse(s, LINK_BYE_VERSION, &err);
	} else if (h->role == s->cfg.own.role) {
		err_set(&err, ENTENTE_EINVAL, REASON_LINK_ROLE, "both sides are %s: look at server.role", link_role_text(h->role));
		refuse(s, LINK_BYE_ROLE, &err);
	} else {
		s->up = true;
		arm(s);
		s->ops->up(s->arg, h);
	}
}

static void goodbye(struct link_session *s, const struct link_frame *f)
{
	static const enum reason reasons[] = {[LINK_BYE_STOPPING] = REASON_LINK_DOWN, [LINK_BYE_VERSION] = REASON_LINK_VERSION,
		[LINK_BYE_ROLE] = REASON_LINK_ROLE, [LINK_BYE_REPLACED] = REASON_LINK_REPLACED, [LINK_BYE_PROTOCOL] = REASON_LINK_PROTOCOL};
	struct entente_err err;
	if (f->bye.why == LINK_BYE_STOPPING && s->up) {
		s->ops->leaving(s->arg, f->bye.why, f->bye.text);
		return;
	}
	err_set(&err, ENTENTE_ECLOSED, reasons[f->bye.why], "the other side says: %.*s", SFMT(slice_first(f->bye.text, 200)));
	fail(s, &err);
}

static bool may_say(enum link_role role, enum link_kind kind)
{
	switch (kind) {
	case LINK_POLICY:
	case LINK_RECHECK:
	case LINK_DONE:
	case LINK_SEND:
		return role == LINK_GATEWAY;
	case LINK_STANZA:
	case LINK_SENT:
	case LINK_PAIR:
		return role == LINK_EDGE;
	default:
		return false;
	}
}

static void take(struct link_session *s, const struct link_frame *f)
{
	struct entente_err err;
	if (f->kind == LINK_GOODBYE) {
		goodbye(s, f);
	} else if (f->kind == LINK_HELLO && !s->up) {
		hello(s, &f->hello);
	} else if (s->up && f->kind == LINK_PING) {
		write_frame(s, &(struct link_frame){.kind = LINK_PONG, .number = f->number});
	} else if (s->up && f->kind == LINK_PONG) {
		uint64_t ms = s->cfg.timers->now - f->number;
		s->delay = ms < s->delay ? ms : s->delay;
	} else if (s->up && may_say(s->cfg.own.role == LINK_EDGE ? LINK_GATEWAY : LINK_EDGE, f->kind)) {
		s->ops->frame(s->arg, f);
	} else {
		err_set(&err, ENTENTE_ESYNTAX, REASON_LINK_PROTOCOL, "an unexpected frame %s", link_kind_text(f->kind));
		refuse(s, LINK_BYE_PROTOCOL, &err);
	}
}

size_t link_session_input(struct link_session *s, struct slice bytes)
{
	struct slice rest = bytes;
	struct link_frame f;
	struct entente_err err;
	bool gone = false;
	size_t n;
	int rc = 0;
	if (s->over || !bytes.len)
		return bytes.len;
	s->gone = &gone;
	s->heard = s->cfg.timers->now;
	while (!gone && !s->over && !(rc = link_frame_read(&f, &n, rest, s->up ? LINK_FRAME_MAX : LINK_HELLO_MAX, &err))) {
		take(s, &f);
		rest = slice_skip(rest, n);
	}
	if (gone)
		return bytes.len;
	s->gone = NULL;
	if (rc && rc != ENTENTE_EAGAIN)
		refuse(s, LINK_BYE_PROTOCOL, &err);
	return bytes.len - rest.len;
}

/* ---- what goes out */

int link_session_send(struct link_session *s, const struct link_frame *f)
{
	enum { ROOM = 4096 };
	if (s->over)
		return ENTENTE_ECLOSED;
	if (!s->up)
		return ENTENTE_EAGAIN;
	if ((f->kind == LINK_STANZA && f->stanza.octets.len > LINK_FRAME_MAX - ROOM) ||
	    (f->kind == LINK_SEND && f->send.octets.len > LINK_FRAME_MAX - ROOM))
		return ENTENTE_ELIMIT;
	write_frame(s, f);
	return 0;
}

void link_session_goodbye(struct link_session *s, enum link_bye why, struct slice text)
{
	if (s->over || s->goodbye)
		return;
	s->goodbye = true;
	write_frame(s, &(struct link_frame){.kind = LINK_GOODBYE, .bye = {why, text}});
}

bool link_session_up(const struct link_session *s)
{
	return s->up && !s->over;
}

uint64_t link_session_delay(const struct link_session *s)
{
	return s->delay;
}

/* ---- life */

struct link_session *link_session_new(const struct link_session_config *cfg, const struct link_session_ops *ops, void *arg)
{
	struct link_session *s = MEM_NEW(struct link_session);
	s->cfg = *cfg;
	s->ops = ops;
	s->arg = arg;
	s->began = s->heard = cfg->timers->now;
	s->delay = UINT64_MAX;
	buf_init(&s->out, LINK_FRAME_MAX + 64);
	timer_init(&s->tick, tick_fired);
	arm(s);
	write_frame(s, &(struct link_frame){.kind = LINK_HELLO, .hello = cfg->own});
	return s;
}

struct link_session *link_session_free(struct link_session *s)
{
	if (!s)
		return NULL;
	if (s->gone)
		*s->gone = true;
	timer_cancel(s->cfg.timers, &s->tick);
	buf_free(&s->out);
	return mem_free(s);
}
