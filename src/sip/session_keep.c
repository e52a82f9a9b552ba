/* SPDX-License-Identifier: Apache-2.0 */
/* A session as a text: what another process needs to go on with it, and the peer does not notice. */
#include "base/enc.h"
#include "base/mem.h"
#include "sip/session_int.h"

/* ---- saving */

static void line(struct buf *b, const char *name, struct slice value)
{
	if (value.len)
		buf_printf(b, "%s %.*s\n", name, SFMT(value));
}

static bool at_rest(const struct sip_session *s)
{
	return s->state == SIP_SESSION_OPEN && !s->over && !s->ending && !s->held && !s->ct_sent && !s->ct_offer && !s->ct_bye &&
	       s->watch == WATCH_NONE && !s->pending && list_empty((struct list *)(uintptr_t)&s->queue) &&
	       list_empty((struct list *)(uintptr_t)&s->early) && s->local;
}

bool sip_session_save(const struct sip_session *s, int64_t now_unix, struct buf *b)
{
	uint64_t now = session_timers(s)->now;
	if (!at_rest(s) || (s->expires_at && s->expires_at <= now))
		return false;
	buf_printf(b, "session 1\ncaller %d\ninterval %u\nours %d\nno-update %d\nallows %u\nremote-hash %llu\ntransport %d\ntarget %u\n", s->caller,
		   s->interval, s->refresh_ours, s->no_update, s->allows, (unsigned long long)s->remote_hash, (int)s->flow.transport, s->flow.target);
	if (s->expires_at)
		buf_printf(b, "expires-at %lld\n", (long long)(now_unix + (int64_t)(s->expires_at - now) / 1000));
	line(b, "contact", s->contact);
	line(b, "user-agent", s->user_agent);
	line(b, "supported", s->supported);
	line(b, "accept", s->accept);
	for (size_t i = 0; i < s->n_headers; i++)
		buf_printf(b, "header %.*s %.*s\n", SFMT(s->headers[i].name), SFMT(s->headers[i].value));
	line(b, "type", s->local->type);
	buf_puts(b, "body ");
	base64_put(b, s->local->body);
	buf_putc(b, '\n');
	sip_dialog_save(&s->dialog, b);
	return buf_ok(b);
}

void sip_session_forget(struct sip_session *s)
{
	if (!s || s->over)
		return;
	s->over = true;
	session_destroy(s);
}

/* ---- restoring */

struct kept {
	uint64_t caller, interval, ours, no_update, allows, remote_hash, transport, target, expires_at;
	struct slice type, body;
	struct sip_session_config config;
	struct sip_extra headers[SIP_SESSION_HEADERS];
};

static bool read_line(struct kept *k, struct slice name, struct slice v)
{
	const struct {
		const char *name;
		uint64_t max, *to;
	} numbers[] = {
		{"caller", 1, &k->caller}, {"interval", UINT32_MAX, &k->interval}, {"ours", 1, &k->ours}, {"no-update", 1, &k->no_update},
		{"allows", UINT32_MAX, &k->allows}, {"remote-hash", UINT64_MAX, &k->remote_hash}, {"transport", SIP_TLS, &k->transport},
		{"target", UINT32_MAX, &k->target}, {"expires-at", INT64_MAX, &k->expires_at},
	};
	const struct {
		const char *name;
		struct slice *to;
	} texts[] = {
		{"contact", &k->config.contact}, {"user-agent", &k->config.user_agent}, {"supported", &k->config.supported},
		{"accept", &k->config.accept}, {"type", &k->type}, {"body", &k->body},
	};
	if (slice_find_chr(v, '\r') >= 0 || slice_find_chr(v, '\0') >= 0)
		return false;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		if (slice_eq(name, slice_str(numbers[i].name)))
			return slice_u64(v, numbers[i].max, numbers[i].to);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (slice_eq(name, slice_str(texts[i].name)))
			*texts[i].to = v;
	if (slice_eq(name, S("header"))) {
		if (k->config.n_headers == SIP_SESSION_HEADERS)
			return false;
		struct sip_extra *e = &k->headers[k->config.n_headers++];
		e->name = slice_split(&v, ' ');
		e->value = v;
		return e->name.len > 0;
	}
	return true;
}

/* The session timer goes on where it was; a refresh that was due meanwhile is sent soon. */
static void timer_resume(struct sip_session *s, uint64_t left_ms)
{
	struct timers *q = session_timers(s);
	uint64_t half = (uint64_t)s->interval * 500;
	s->expires_at = q->now + left_ms;
	if (s->refresh_ours)
		timer_arm(q, &s->t_life, left_ms > half ? left_ms - half : 0);
	else
		timer_arm(q, &s->t_life, left_ms);
}

int sip_session_restore(struct sip_session **ret, struct sip_stack *stack, struct slice *text, int64_t now_unix, const struct sip_session_ops *ops,
			void *arg)
{
	struct slice rest = *text;
	struct kept k = {0};
	struct sip_dialog dialog;
	struct buf body;
	int rc = ENTENTE_ESYNTAX;
	if (!slice_eq(slice_split(&rest, '\n'), S("session 1")))
		return ENTENTE_ESYNTAX;
	while (!slice_empty(rest) && !slice_starts(rest, S("call-id "))) { /* the dialog begins with its Call-ID */
		struct slice v = slice_split(&rest, '\n'), name = slice_split(&v, ' ');
		if (!read_line(&k, name, v))
			return ENTENTE_ESYNTAX;
	}
	buf_init(&body, SESSION_REQUEST_MAX);
	if (!k.config.contact.len || !k.type.len || !base64_get(&body, k.body) || (rc = sip_dialog_restore(&dialog, &rest)) < 0)
		goto out;
	if (k.interval && (int64_t)k.expires_at <= now_unix)
		rc = ENTENTE_ETIMEOUT;
	else if (sip_usage_known(stack, dialog.call_id, dialog.local_tag))
		rc = ENTENTE_EEXIST;
	if (rc < 0) {
		sip_dialog_free(&dialog);
		goto out;
	}
	k.config.headers = k.headers;
	struct sip_session *s = session_new(stack, &k.config, ops, arg);
	s->state = SIP_SESSION_OPEN;
	s->was_open = true;
	s->dialog = dialog;
	s->flow = (struct sip_flow){.transport = (enum sip_transport)k.transport, .target = (uint32_t)k.target};
	s->caller = k.caller;
	s->interval = (uint32_t)k.interval;
	s->refresh_ours = k.ours;
	s->no_update = k.no_update;
	s->allows = (uint32_t)k.allows;
	s->remote_hash = k.remote_hash;
	session_describe(&s->local, k.type, buf_slice(&body));
	if (k.interval) {
		uint64_t left = (uint64_t)((int64_t)k.expires_at - now_unix);
		timer_resume(s, (left > k.interval ? k.interval : left) * 1000); /* the clock may have been turned back */
	}
	sip_usage_register(stack, &s->usage, s->dialog.call_id, s->dialog.local_tag);
	*ret = s;
	*text = rest;
out:
	buf_free(&body);
	return rc;
}
