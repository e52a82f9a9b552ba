/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/subscriber.h"

#include "base/mem.h"
#include "base/rand.h"
#include "sip/trans_int.h"

enum { EXPIRES_MAX = 30 * 86400, RETRY_MIN_S = 5, RETRY_MAX_S = 300, CALL_ID_LEN = 24, TAG_LEN = 12, REQUEST_MAX = 65536 };

enum state {
	IDLE,
	STARTING, /* the first SUBSCRIBE is out, no NOTIFY yet */
	ACTIVE,   /* a NOTIFY came (active or pending) */
	ENDING,   /* SUBSCRIBE with Expires 0 is out */
};

enum { TEXTS = 7 }; /* of struct sip_subscriber_config */

struct sip_subscriber { /* there may be a million */
	struct sip_stack *stack;
	uint32_t text_len[TEXTS]; /* of config's texts, one behind the other in `texts` */
	uint32_t max_expires;
	struct sip_extra *headers; /* owned */
	size_t n_headers;
	const struct sip_subscriber_ops *ops;
	void *arg;
	enum state state;
	bool poll, stop_wanted, have_dialog, accepted, mended_423, renewed, lapsed;
	unsigned busy; /* callbacks running */
	bool dead;
	char call_id[CALL_ID_LEN + 1], tag[TAG_LEN + 1];
	uint32_t cseq; /* of requests outside the dialog */
	struct sip_dialog_kept *dialog; /* with have_dialog */
	struct sip_usage usage;
	struct sip_client_trans *ct;
	struct sip_flow flow;        /* the last used */
	struct sip_flow *first_flow; /* of the start; only where ops->route may lead elsewhere. Owned */
	char *texts;                 /* owned */
	uint32_t asked;
	struct timer t_refresh, t_expire, t_notify; /* t_notify: Timer N of RFC 6665 4.1.2 */
};

static void fire_refresh(struct timer *t, uint64_t now);
static void fire_expire(struct timer *t, uint64_t now);
static void fire_notify(struct timer *t, uint64_t now);
static bool on_request(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		       const struct sip_flow *from);

static struct timers *timers_of(struct sip_subscriber *sub)
{
	return sip_stack_timers(sub->stack);
}

static uint32_t patience(struct sip_subscriber *sub)
{
	return 64 * sip_stack_config(sub->stack)->t1;
}

/* --- life --- */

struct sip_subscriber *sip_subscriber_new(struct sip_stack *s, const struct sip_subscriber_config *config,
					  const struct sip_subscriber_ops *ops, void *arg)
{
	struct sip_subscriber *sub = MEM_NEW(struct sip_subscriber);
	const struct slice texts[TEXTS] = {config->uri, config->from, config->to, config->contact, config->event, config->accept, config->route};
	sub->stack = s;
	sub->ops = ops;
	sub->arg = arg;
	sub->max_expires = config->max_expires ? config->max_expires : 86400;
	size_t len = 0;
	for (size_t i = 0; i < TEXTS; i++)
		len += texts[i].len;
	char *at = sub->texts = mem_calloc(1, len + 1);
	for (size_t i = 0; i < TEXTS; i++) {
		sub->text_len[i] = (uint32_t)texts[i].len;
		if (texts[i].len)
			memcpy(at, texts[i].p, texts[i].len);
		at += texts[i].len;
	}
	sub->headers = trans_extras_dup(config->headers, config->n_headers);
	sub->n_headers = config->n_headers;
	timer_init(&sub->t_refresh, fire_refresh);
	timer_init(&sub->t_expire, fire_expire);
	timer_init(&sub->t_notify, fire_notify);
	sub->usage.request = on_request;
	return sub;
}

static struct sip_subscriber_config config_of(const struct sip_subscriber *sub)
{
	struct sip_subscriber_config c = {.headers = sub->headers, .n_headers = sub->n_headers, .max_expires = sub->max_expires};
	struct slice *slots[TEXTS] = {&c.uri, &c.from, &c.to, &c.contact, &c.event, &c.accept, &c.route};
	const char *at = sub->texts;
	for (size_t i = 0; i < TEXTS; i++) {
		*slots[i] = slice_of(at, sub->text_len[i]);
		at += sub->text_len[i];
	}
	return c;
}

/* Back to idle, without a word to anyone. */
static void reset(struct sip_subscriber *sub)
{
	struct timers *q = timers_of(sub);
	timer_cancel(q, &sub->t_refresh);
	timer_cancel(q, &sub->t_expire);
	timer_cancel(q, &sub->t_notify);
	sip_client_drop(sub->ct);
	sub->ct = NULL;
	sip_usage_unregister(sub->stack, &sub->usage);
	sub->dialog = mem_free(sub->dialog);
	sub->have_dialog = sub->accepted = sub->lapsed = false;
	sub->state = IDLE;
}

static void release(struct sip_subscriber *sub)
{
	if (sub->busy || !sub->dead)
		return;
	mem_free(sub->texts);
	mem_free(sub->first_flow);
	trans_extras_free(sub->headers, sub->n_headers);
	mem_free(sub);
}

struct sip_subscriber *sip_subscriber_free(struct sip_subscriber *sub)
{
	if (sub && !sub->dead) {
		reset(sub);
		sub->dead = true;
		release(sub);
	}
	return NULL;
}

/* --- ends: the last thing that any path does --- */

static void end(struct sip_subscriber *sub, enum sip_ended why)
{
	reset(sub);
	sub->busy++;
	sub->ops->ended(sub->arg, why);
	sub->busy--;
	release(sub);
}

static void reject(struct sip_subscriber *sub, int status, int64_t retry_after, struct slice reason, bool local)
{
	reset(sub);
	sub->busy++;
	sub->ops->rejected(sub->arg, status, retry_after, reason, local);
	sub->busy--;
	release(sub);
}

/* --- SUBSCRIBE --- */

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from);
static void on_done(void *arg, enum sip_done why);
static const struct sip_client_handler handler = {on_response, on_done};

static void write_first(struct sip_subscriber *sub, const struct sip_subscriber_config *c, struct buf *b)
{
	sip_build_request(b, S("SUBSCRIBE"), c->uri);
	sip_build_header(b, SIP_H_MAX_FORWARDS, S("70"));
	if (!slice_empty(c->route))
		sip_build_header(b, SIP_H_ROUTE, c->route);
	sip_build_header_fmt(b, SIP_H_FROM, "%.*s;tag=%s", SFMT(c->from), sub->tag);
	if (slice_empty(c->to))
		sip_build_header_fmt(b, SIP_H_TO, "<%.*s>", SFMT(c->uri));
	else
		sip_build_header(b, SIP_H_TO, c->to);
	sip_build_header(b, SIP_H_CALL_ID, slice_str(sub->call_id));
	sip_build_header_fmt(b, SIP_H_CSEQ, "%u SUBSCRIBE", ++sub->cseq);
}

static int send_subscribe(struct sip_subscriber *sub, uint32_t expires)
{
	const struct sip_subscriber_config c = config_of(sub);
	struct sip_dialog dialog;
	struct buf b;
	buf_init(&b, REQUEST_MAX);
	if (sub->have_dialog) {
		sip_dialog_look(sub->dialog, &dialog);
		sip_dialog_request(&dialog, &b, SIP_SUBSCRIBE, 0);
		if (sub->ops->route)
			sub->ops->route(sub->arg, sip_dialog_next_hop(&dialog), &sub->flow);
		sip_dialog_put_back(&sub->dialog, &dialog);
	} else {
		write_first(sub, &c, &b);
	}
	sip_build_header(&b, SIP_H_CONTACT, c.contact);
	sip_build_header(&b, SIP_H_EVENT, c.event);
	if (!slice_empty(c.accept))
		sip_build_header(&b, SIP_H_ACCEPT, c.accept);
	sip_build_header_uint(&b, SIP_H_EXPIRES, expires);
	for (size_t i = 0; i < sub->n_headers; i++)
		sip_build_header_named(&b, sub->headers[i].name, sub->headers[i].value);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	int rc = buf_ok(&b) ? sip_client_start(&sub->ct, sub->stack, &sub->flow, buf_slice(&b), &handler, sub, NULL)
			    : ENTENTE_EINVAL;
	buf_free(&b);
	if (rc == 0) {
		sub->accepted = false;
		timer_arm(timers_of(sub), &sub->t_notify, patience(sub));
	}
	return rc;
}

static int start_dialog(struct sip_subscriber *sub)
{
	rand_token(sub->call_id, CALL_ID_LEN);
	rand_token(sub->tag, TAG_LEN);
	sub->cseq = 0;
	if (sub->first_flow)
		sub->flow = *sub->first_flow;
	sub->state = STARTING;
	sip_usage_register(sub->stack, &sub->usage, slice_str(sub->call_id), slice_str(sub->tag));
	int rc = send_subscribe(sub, sub->asked);
	if (rc < 0)
		reset(sub);
	return rc;
}

int sip_subscriber_start(struct sip_subscriber *sub, const struct sip_flow *flow, uint32_t expires)
{
	if (sub->state != IDLE)
		return ENTENTE_EEXIST;
	sub->flow = *flow;
	if (sub->ops->route) {
		sub->first_flow = sub->first_flow ? sub->first_flow : MEM_NEW(struct sip_flow);
		*sub->first_flow = *flow;
	}
	sub->asked = expires;
	sub->poll = expires == 0;
	sub->stop_wanted = sub->mended_423 = sub->renewed = false;
	return start_dialog(sub);
}

int sip_subscriber_refresh(struct sip_subscriber *sub)
{
	if (sub->state != ACTIVE || !sub->have_dialog || sub->stop_wanted)
		return ENTENTE_ENOTFOUND;
	if (sub->ct)
		return 0; /* one is on its way and will be followed by a NOTIFY */
	return send_subscribe(sub, sub->asked);
}

static void unsubscribe(struct sip_subscriber *sub)
{
	sub->state = ENDING;
	timer_cancel(timers_of(sub), &sub->t_refresh);
	timer_cancel(timers_of(sub), &sub->t_expire);
	if (send_subscribe(sub, 0) < 0)
		timer_arm(timers_of(sub), &sub->t_notify, 0); /* too busy to say good-bye: it runs out by itself */
}

void sip_subscriber_stop(struct sip_subscriber *sub)
{
	if (sub->state == IDLE || sub->state == ENDING || sub->stop_wanted)
		return;
	sub->stop_wanted = true;
	if (sub->have_dialog && !sub->ct && !sub->poll)
		unsubscribe(sub);
}

bool sip_subscriber_running(const struct sip_subscriber *sub)
{
	return sub->state != IDLE;
}

uint32_t sip_subscriber_remaining(const struct sip_subscriber *sub)
{
	uint64_t now = sip_stack_timers(sub->stack)->now;
	if (!timer_armed(&sub->t_expire) || sub->t_expire.due <= now)
		return 0;
	return (uint32_t)((sub->t_expire.due - now) / 1000);
}

/* --- how long --- */

/* Refresh when the larger of 10 % and 30 s are left, varied by a tenth so that subscriptions made together do not stay
 * together, but never in the first half. */
static uint64_t refresh_delay(uint32_t seconds)
{
	uint64_t ms = (uint64_t)seconds * 1000, margin = ms / 10 > 30000 ? ms / 10 : 30000;
	uint64_t delay = ms > margin ? ms - margin : 0;
	delay = delay - delay / 10 + rand_below(delay / 5 + 1);
	return delay < ms / 2 ? ms / 2 : delay;
}

static void set_expiry(struct sip_subscriber *sub, uint32_t seconds)
{
	if (sub->poll || sub->state == ENDING)
		return;
	if (seconds > EXPIRES_MAX)
		seconds = EXPIRES_MAX;
	sub->lapsed = false;
	timer_arm(timers_of(sub), &sub->t_expire, (uint64_t)seconds * 1000);
	timer_arm(timers_of(sub), &sub->t_refresh, refresh_delay(seconds));
}

static void retry_refresh(struct sip_subscriber *sub, int64_t retry_after)
{
	uint32_t left = sip_subscriber_remaining(sub), wait = left / 2;
	if (wait > RETRY_MAX_S)
		wait = RETRY_MAX_S;
	if (retry_after > wait)
		wait = retry_after < left ? (uint32_t)retry_after : left;
	if (wait < RETRY_MIN_S)
		wait = RETRY_MIN_S;
	timer_arm(timers_of(sub), &sub->t_refresh, (uint64_t)wait * 1000);
}

static void fire_refresh(struct timer *t, uint64_t now)
{
	(void)now;
	struct sip_subscriber *sub = CONTAINER_OF(t, struct sip_subscriber, t_refresh);
	if (sub->state == STARTING) /* a very short grant: first the NOTIFY */
		timer_arm(timers_of(sub), t, 1000);
	if (sub->ct || sub->state != ACTIVE)
		return;
	if (!sub->have_dialog || send_subscribe(sub, sub->asked) < 0)
		retry_refresh(sub, -1);
}

static void fire_expire(struct timer *t, uint64_t now)
{
	(void)now;
	struct sip_subscriber *sub = CONTAINER_OF(t, struct sip_subscriber, t_expire);
	if (sub->ct)
		sub->lapsed = true; /* the answer to the refresh decides */
	else
		end(sub, SIP_ENDED_EXPIRED);
}

static void fire_notify(struct timer *t, uint64_t now)
{
	(void)now;
	struct sip_subscriber *sub = CONTAINER_OF(t, struct sip_subscriber, t_notify);
	if (sub->state == ENDING)
		end(sub, SIP_ENDED_UNSUBSCRIBED);
	else if (sub->accepted)
		end(sub, SIP_ENDED_NO_NOTIFY);
	else
		reject(sub, 408, -1, SLICE_NONE, true);
}

/* --- answers --- */

static void failure(struct sip_subscriber *sub, int status, int64_t retry_after, struct slice reason, bool local)
{
	if (sub->state == ENDING) {
		end(sub, SIP_ENDED_UNSUBSCRIBED);
		return;
	}
	/* While the subscription is known to live, only some answers kill it. */
	bool keep = sub->state == ACTIVE && !sip_ends_usage(status) && timer_armed(&sub->t_expire) && !sub->lapsed;
	if (keep && local && status == 408 && timer_armed(&sub->t_notify))
		keep = false; /* Timer N is up as well: neither answer nor NOTIFY */
	if (!keep) {
		if (sub->lapsed)
			end(sub, SIP_ENDED_EXPIRED);
		else
			reject(sub, status, retry_after, reason, local);
		return;
	}
	timer_cancel(timers_of(sub), &sub->t_notify);
	if (sub->stop_wanted)
		unsubscribe(sub);
	else
		retry_refresh(sub, retry_after);
}

static struct sip_dialog_local local_part(const struct sip_subscriber *sub)
{
	const struct sip_subscriber_config c = config_of(sub);
	struct sip_dialog dialog;
	if (sub->have_dialog)
		sip_dialog_look(sub->dialog, &dialog); /* its number alone is wanted */
	return (struct sip_dialog_local){
		.call_id = slice_str(sub->call_id),
		.local_tag = slice_str(sub->tag),
		.local = c.from,
		.cseq = sub->have_dialog ? dialog.local_cseq : sub->cseq,
		.secure = slice_istarts(c.uri, S("sips:")) && sub->flow.transport == SIP_TLS,
	};
}

/* Takes it over. */
static void have(struct sip_subscriber *sub, struct sip_dialog *dialog)
{
	mem_free(sub->dialog);
	sub->dialog = sip_dialog_keep(dialog);
	sub->have_dialog = true;
}

static void success(struct sip_subscriber *sub, const struct sip_msg *m)
{
	struct sip_dialog dialog;
	uint32_t expires;
	bool stated = sip_msg_uint(m, SIP_H_EXPIRES, UINT32_MAX, &expires);
	if (!stated || expires > sub->asked)
		expires = sub->asked; /* may be shorter than asked, not longer (4.1.2.1) */
	sub->accepted = true;
	sub->mended_423 = sub->renewed = false;
	if (!sub->have_dialog) {
		struct sip_dialog_local l = local_part(sub);
		if (sip_dialog_uac(&dialog, &l, m) == 0) /* else the NOTIFY makes it */
			have(sub, &dialog);
	} else {
		sip_dialog_look(sub->dialog, &dialog);
		if (slice_eq(dialog.remote_tag, m->to.tag)) {
			sip_dialog_adopt_routes(&dialog, m);
			sip_dialog_refresh(&dialog, m);
		}
		sip_dialog_put_back(&sub->dialog, &dialog);
	}
	if (m->status == 204) /* RFC 5839: no NOTIFY will come */
		timer_cancel(timers_of(sub), &sub->t_notify);
	if (sub->state == ENDING)
		return;
	if (expires) /* a grant of nothing: the NOTIFY will say so */
		set_expiry(sub, expires);
	sub->busy++;
	sub->ops->accepted(sub->arg, expires);
	sub->busy--;
	if (sub->dead) {
		release(sub);
		return;
	}
	if (sub->stop_wanted && sub->have_dialog && !sub->ct && !sub->poll && (sub->state == STARTING || sub->state == ACTIVE))
		unsubscribe(sub);
}

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	struct sip_subscriber *sub = arg;
	uint32_t min;
	if (m->status < 200)
		return;
	sip_client_drop(ct); /* done() would tell nothing new */
	sub->ct = NULL;
	if (from->transport == sub->flow.transport)
		sub->flow.conn = from->conn;
	if (m->status < 300) {
		success(sub, m);
		return;
	}
	if (m->status == 423 && sub->state != ENDING && !sub->poll && !sub->mended_423 &&
	    sip_msg_uint(m, SIP_H_MIN_EXPIRES, sub->max_expires, &min) && min > sub->asked) {
		sub->mended_423 = true;
		sub->asked = min;
		if (send_subscribe(sub, min) == 0)
			return;
	}
	if (m->status == 481 && sub->state == ACTIVE && !sub->stop_wanted && !sub->renewed) {
		/* The notifier lost the dialog: a new one (4.1.2.2). Once; the next 481 is the owner's affair. */
		reset(sub);
		sub->renewed = true;
		if (start_dialog(sub) == 0)
			return;
	}
	failure(sub, m->status, sip_retry_after(m), m->reason, false);
}

static void on_done(void *arg, enum sip_done why)
{
	struct sip_subscriber *sub = arg;
	sub->ct = NULL;
	if (why == SIP_DONE_TIMEOUT)
		failure(sub, 408, -1, SLICE_NONE, true);
	else if (why == SIP_DONE_TRANSPORT)
		failure(sub, 503, -1, SLICE_NONE, true);
}

/* --- NOTIFY --- */

static bool number_param(struct slice params, struct slice name, uint64_t *ret)
{
	struct slice v;
	return sip_param(params, name, &v) && slice_u64(v, UINT32_MAX, ret);
}

static bool of_dialog(const struct sip_subscriber *sub, const struct sip_msg *m)
{
	struct sip_dialog d;
	sip_dialog_look(sub->dialog, &d);
	return sip_dialog_matches(&d, m);
}

/* Its number is remembered if so. */
static bool in_order(struct sip_subscriber *sub, const struct sip_msg *m)
{
	struct sip_dialog d;
	sip_dialog_look(sub->dialog, &d);
	bool yes = sip_dialog_accept(&d, m);
	sip_dialog_put_back(&sub->dialog, &d);
	return yes;
}

/* Which dialog the NOTIFY speaks for. 0, or the status that refuses it. */
static int settle_dialog(struct sip_subscriber *sub, const struct sip_msg *m, bool terminated)
{
	if (sub->state != STARTING) {
		if (sub->have_dialog && !of_dialog(sub, m))
			return 481; /* another fork */
		if (sub->have_dialog && !in_order(sub, m))
			return 500;
		return 0;
	}
	/* The first NOTIFY decides (4.4.1). Its route set counts; one of the 2xx stands in where proxies of RFC 3265 days did not
	 * record themselves in the NOTIFY. */
	bool same = sub->have_dialog && of_dialog(sub, m);
	if (!same || sip_msg_header(m, SIP_H_RECORD_ROUTE, 0)) {
		struct sip_dialog_local l = local_part(sub);
		struct sip_dialog d;
		if (sip_dialog_notified(&d, &l, m) == 0) {
			have(sub, &d);
			return 0;
		}
		if (!same)
			return terminated ? 0 : 400;
	}
	in_order(sub, m);
	return 0;
}

static void answer(struct sip_subscriber *sub, struct sip_server_trans *st, int status)
{
	struct sip_extra accept = {S("Accept"), config_of(sub).accept};
	struct sip_answer an = {.status = status < 200 ? 200 : status, .headers = &accept};
	an.n_headers = status == 415 && !slice_empty(accept.value);
	if (st)
		sip_server_respond(st, &an);
}

static bool on_request(struct sip_usage *u, struct sip_server_trans *st, struct sip_msg *m, struct arena *a,
		       const struct sip_flow *from)
{
	struct sip_subscriber *sub = CONTAINER_OF(u, struct sip_subscriber, usage);
	struct sip_stack *s = sub->stack;
	if ((m->method != SIP_NOTIFY && m->method != SIP_BENOTIFY) || !sip_event_matches(config_of(sub).event, m))
		return false;
	const struct sip_header *h = sip_msg_header(m, SIP_H_SUBSCRIPTION_STATE, 0);
	const struct sip_header *type = sip_msg_header(m, SIP_H_CONTENT_TYPE, 0);
	struct slice params = SLICE_NONE, state = h ? sip_token(h->value, &params) : SLICE_NONE;
	uint64_t seconds;
	struct sip_notification n = {.state = SIP_SUB_ACTIVE, .retry_after = -1, .body = m->body, .msg = m, .from = from};
	if (slice_ieq(state, S("terminated")))
		n.state = SIP_SUB_TERMINATED;
	else if (slice_ieq(state, S("pending")))
		n.state = SIP_SUB_PENDING;
	if (type)
		n.content_type = type->value;
	bool over = n.state == SIP_SUB_TERMINATED;
	if (over) {
		sip_param(params, S("reason"), &n.reason);
		if (number_param(params, S("retry-after"), &seconds))
			n.retry_after = (int64_t)seconds;
	}
	int status = settle_dialog(sub, m, over);
	if (status) {
		answer(sub, st, status);
		sip_stack_release(s, a);
		return true;
	}
	if (sub->state == STARTING)
		sub->state = ACTIVE;
	if (sub->state != ENDING) /* one that crossed our last SUBSCRIBE is not the answer to it */
		timer_cancel(timers_of(sub), &sub->t_notify);
	if (sub->have_dialog) {
		struct sip_dialog dialog;
		sip_dialog_look(sub->dialog, &dialog);
		sip_dialog_refresh(&dialog, m);
		sip_dialog_put_back(&sub->dialog, &dialog);
	}
	sub->busy++;
	status = sub->ops->notify(sub->arg, &n);
	answer(sub, st, status);
	sub->busy--;
	bool poll_done = sub->poll && !over;
	if (sub->dead) {
		release(sub);
	} else if (over || poll_done) {
		end(sub, sub->state == ENDING || sub->poll ? SIP_ENDED_UNSUBSCRIBED : SIP_ENDED_TERMINATED);
	} else if (sub->state != ENDING) {
		/* No expires: the duration stays what it was. */
		if (number_param(params, S("expires"), &seconds))
			set_expiry(sub, (uint32_t)seconds);
		else if (!timer_armed(&sub->t_expire))
			set_expiry(sub, sub->asked);
		if (sub->stop_wanted && sub->state == ACTIVE && !sub->ct)
			unsubscribe(sub);
	}
	sip_stack_release(s, a);
	return true;
}
