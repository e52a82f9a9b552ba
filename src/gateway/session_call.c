/* SPDX-License-Identifier: Apache-2.0 */
/* How a session begins, from either side, and what it says of itself. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/rand.h"
#include "gateway/groupchat.h"
#include "gateway/session_int.h"

enum { EXTRA = 8 };

const struct session_leg *session_leg_of(enum sdp_im form)
{
	static const struct session_leg *const legs[] = {&session_leg_sip, &session_leg_msrp};
	for (size_t i = 0; i < sizeof legs / sizeof *legs; i++)
		if (legs[i]->form == form)
			return legs[i];
	return NULL;
}

enum sdp_im session_form(const struct dialect *d)
{
	switch (d->carrier) {
	case DIALECT_SIP:
		return SDP_IM_SIP;
	case DIALECT_MSRP:
		return SDP_IM_MSRP;
	case DIALECT_PAGE:
		break;
	}
	return SDP_IM_NONE;
}

/* ---- what we say */

/* Ours, with the name of the XMPP user, and its resource where it is known: requests in the dialog come to us by the host. */
static struct slice contact_of(const struct session *s, const struct gateway_home *h, struct slice user_uri, struct arena *a)
{
	const struct conversation *c = s->conversation;
	struct slice instance = SLICE_NONE, full;
	struct xmpp_jid j;
	ptrdiff_t at = slice_find_chr(user_uri, '@'), colon = slice_find_chr(h->contact, ':');
	if (at < 0 || colon < 0)
		return arena_printf(a, "<%.*s>", SFMT(h->contact));
	if (s->dialect->ms_headers) {
		instance = arena_printf(a, ";opaque=user:epid:%.*s;gruu", SFMT(session_lync_epid(c, a)));
	} else if (c->resource) {
		struct slice text = arena_printf(a, "%.*s/%s", SFMT(c->pair.remote), c->resource);
		if (!xmpp_jid_parse(&j, a, text) && !interwork_jid_to_sip(&full, a, &j, true, NULL)) {
			ptrdiff_t gr = slice_find(full, S(";gr="));
			instance = gr < 0 ? SLICE_NONE : slice_skip(full, (size_t)gr);
		}
	}
	return arena_printf(a, "<%.*s@%.*s%.*s>", SFMT(slice_first(user_uri, (size_t)at)), SFMT(slice_skip(h->contact, (size_t)colon + 1)),
			    SFMT(instance));
}

static void local_init(struct session *s, struct sdp_local *local)
{
	struct gateway_home h;
	struct sip_uri u;
	*local = (struct sdp_local){.form = s->leg->form, .id = s->sdp_id, .version = s->version++, .accept_types = slice_str(s->dialect->accept_types)};
	if (gateway_home(s->g, s->home, &h) && !sip_uri_parse(h.contact, &u))
		local->address = u.host.len > 2 && u.host.p[0] == '[' ? slice_first(slice_skip(u.host, 1), u.host.len - 2) : u.host;
}

int session_write_sdp(struct session *s, struct slice offer, struct arena *a, struct buf *b)
{
	struct sdp sdp;
	struct sdp_im_media im;
	struct sdp_local local;
	struct buf types;
	int status = 200;
	local_init(s, &local);
	if (!offer.len) {
		if (!s->leg->offer(s, &local, a))
			return 488;
		sdp_write_offer(b, &local);
		return buf_ok(b) ? 200 : 500;
	}
	if (sdp_parse(&sdp, offer))
		return 400;
	if (!sdp_im_find(&sdp, 1u << s->leg->form, &im))
		return 488;
	buf_init(&types, SESSION_TYPES_MAX);
	sdp_accept_both(&types, local.accept_types, im.accept_types);
	local.accept_types = buf_slice(&types);
	if ((status = s->leg->answer(s, &im, &local, a)) == 200) {
		session_keep_types(s, &im);
		sdp_write_answer(b, &sdp, im.index, &local);
		status = buf_ok(b) ? 200 : 500;
	}
	buf_free(&types);
	return status;
}

static void config_of(struct session *s, struct sip_session_config *ret, struct sip_extra *extra, struct arena *a, struct slice contact,
		      const struct sip_msg *theirs)
{
	*ret = (struct sip_session_config){.contact = contact, .headers = extra, .accept = S("application/sdp, text/plain")};
	if (s->dialect->ms_headers) {
		ret->supported = S("ms-sender");
		ret->n_headers = session_lync_headers(s, extra, a, theirs);
	}
}

/* ---- we call */

/* A Call-ID of the XMPP user's <thread/>, where it can be one (RFC 7573 4): word ["@" word]. */
static struct slice call_id_of(struct slice thread)
{
	static const char marks[] = "-.!%*_+`'~()<>:\\\"/[]?{}";
	size_t ats = 0;
	if (!thread.len || thread.len > 120)
		return SLICE_NONE;
	for (size_t i = 0; i < thread.len; i++) {
		char ch = thread.p[i];
		bool word = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch && strchr(marks, ch));
		if (ch == '@' && i > 0 && i + 1 < thread.len)
			ats++;
		else if (!word)
			return SLICE_NONE;
	}
	return ats > 1 ? SLICE_NONE : thread;
}

static int start(struct session *s, const struct gateway_home *h, const struct outgoing *o, struct arena *a)
{
	struct sip_extra common[EXTRA], extra[EXTRA];
	struct sip_session_config config;
	struct sdp_local local;
	struct buf b;
	int rc = ENTENTE_EINVAL;
	bool lync = s->dialect->ms_headers;
	struct sip_session_call call = {.uri = o->uri,
					.from = lync ? arena_printf(a, "<%.*s>%.*s", SFMT(o->from_uri), SFMT(session_lync_epid_param(s->conversation, a)))
						     : arena_printf(a, "<%.*s>", SFMT(o->from_uri)),
					.call_id = call_id_of(o->page.thread),
					.content_type = SDP_TYPE,
					.headers = extra,
					.ring_ms = SESSION_RING_MS * 2}; /* our own timer is sooner */
	config_of(s, &config, common, a, contact_of(s, h, o->from_uri, a), NULL);
	buf_init(&b, SDP_MAX);
	local_init(s, &local);
	if (!s->leg->offer(s, &local, a))
		goto out;
	sdp_write_offer(&b, &local);
	if (lync)
		call.n_headers = session_lync_invite_headers(s, extra, a, o);
	call.body = buf_slice(&b);
	if (buf_ok(&b))
		rc = sip_session_start(&s->sip, s->g->cfg.stack, &h->flow, &call, &config, &session_ops, s);
out:
	buf_free(&b);
	return rc;
}

enum reason session_call(struct session **ret, struct conversation *c, uint32_t home, const struct outgoing *o)
{
	struct gateway *g = c->g;
	struct gateway_home h;
	if (!gateway_home(g, home, &h))
		return REASON_SIP_HOME_UNREACHABLE;
	const struct session_leg *leg = session_leg_of(session_form(h.dialect));
	if (!leg)
		return REASON_SERVER_INTERNAL;
	struct session *s = session_make(c, &h, home);
	s->leg = leg;
	s->state = SESSION_INVITING;
	struct arena *a = arena_acquire(g->cfg.arenas);
	int rc = start(s, &h, o, a);
	arena_release(g->cfg.arenas, a);
	if (rc) {
		session_free(s);
		return rc == ENTENTE_ELIMIT ? REASON_LIMIT_QUEUE_FULL : REASON_SERVER_INTERNAL;
	}
	metric_add(METRIC_SIP_REQUESTS_OUT, 1);
	timer_arm(g->cfg.timers, &s->timer, SESSION_ANSWER_MS);
	c->session = s;
	*ret = s;
	return REASON_NONE;
}

/* ---- we are called */

/* What can be said against the INVITE before there is a session. */
static enum reason judge(const struct sip_msg *m, const struct session_leg **ret_leg, const struct dialect *d)
{
	const struct sip_header *type = sip_msg_header(m, SIP_H_CONTENT_TYPE, 0);
	struct slice rest = type ? type->value : SLICE_NONE;
	struct sdp sdp;
	struct sdp_im_media im;
	unsigned forms = 0;
	if (!m->body.len) { /* it wants an offer; but for MSRP, it is a telephone that does so */
		*ret_leg = d->carrier == DIALECT_MSRP ? session_leg_of(SDP_IM_MSRP) : NULL;
		return *ret_leg ? REASON_NONE : REASON_SIP_SESSION;
	}
	if (!slice_ieq(slice_trim(slice_split(&rest, ';')), SDP_TYPE))
		return REASON_CONTENT_TYPE;
	if (sdp_parse(&sdp, m->body))
		return REASON_CONTENT_MALFORMED;
	for (unsigned f = SDP_IM_SIP; f <= SDP_IM_MSRP; f++)
		forms |= session_leg_of((enum sdp_im)f) ? 1u << f : 0;
	if (!sdp_im_find(&sdp, forms, &im))
		return REASON_SIP_SESSION;
	*ret_leg = session_leg_of(im.form);
	return REASON_NONE;
}

static void refuse(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, enum reason reason)
{
	struct interwork_response more = {0};
	if (reason == REASON_CONTENT_TYPE)
		interwork_response_add(&more, S("Accept"), SDP_TYPE);
	metric_refused((int)reason);
	gateway_refuse(g, st, a, reason, &more, m->from.uri_text, m->uri_text);
}

static void no_answer(struct gateway *g, uint64_t id, const struct sip_answer *answer)
{
	(void)g, (void)id, (void)answer;
}

/* `id` is that of the record: nobody waits for an answer of its own. */
static bool only_record(struct gateway *g, uint64_t id, uint64_t *ret_record, uint64_t *ret_since)
{
	*ret_record = id;
	*ret_since = g->cfg.timers->now;
	return false;
}

const struct incoming_way incoming_by_invite = {.ticket = TICKET_MESSAGE_INVITE, .answer = no_answer, .known = only_record};

static void first_text(struct session *s, struct sip_msg *m, struct arena *a, struct incoming *in)
{
	s->first_hash = hash_slice(in->body);
	s->first_at = s->g->cfg.timers->now;
	in->way = &incoming_by_invite;
	in->id = s->g->record ? s->g->record : ++s->g->next_id; /* without a decision log: any that is not 0 */
	in->msg = m;
	in->in_session = true;
	in->method = "INVITE";
	in->conversation = s->conversation;
	message_incoming(s->g, in, a);
}

/* True: it is accepted. Else it was answered, and the session is gone. */
static bool take(struct session *s, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct gateway_home *h, bool with_text)
{
	static const struct sip_extra took = {S("Supported"), S("ms-text-format")};
	struct sip_extra common[EXTRA];
	struct sip_session_config config;
	struct slice user;
	struct xmpp_jid j;
	struct buf b;
	if (xmpp_jid_parse(&j, a, s->conversation->pair.remote) || interwork_jid_to_sip(&user, a, &j, false, NULL))
		user = SLICE_NONE;
	config_of(s, &config, common, a, contact_of(s, h, user, a), m);
	if (sip_session_take(&s->sip, s->g->cfg.stack, st, m, &config, &session_ops, s)) {
		session_free(s);
		return false;
	}
	buf_init(&b, SDP_MAX);
	int status = session_write_sdp(s, m->body, a, &b);
	if (status == 200 && sip_session_accept(s->sip, SDP_TYPE, buf_slice(&b), &took, with_text))
		status = 500;
	buf_free(&b);
	if (status != 200)
		sip_session_refuse(s->sip, status, SLICE_NONE, NULL, 0); /* it is buried by its ended() */
	return status == 200;
}

void session_invited(struct gateway *g, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct incoming in = {.from_text = m->from.uri_text, .to_text = m->uri_text, .home = from->target, .test = from->conn == SIP_FLOW_TEST};
	const struct session_leg *leg = NULL;
	struct gateway_home h = {0};
	struct policy_verdict v;
	struct entente_err err;
	uint64_t record = g->record;
	enum reason reason = REASON_NONE;
	if (interwork_sender_to_jid(&in.from, a, m, &err) || interwork_sip_to_jid(&in.to, a, &m->uri, &err)) {
		refuse(g, st, m, a, err.reason);
		return;
	}
	gateway_decide(g, a, POLICY_MESSAGE, POLICY_TO_REMOTE, &in.from, &in.to, SLICE_NONE, from->target, &v);
	if (!v.allow) {
		refuse(g, st, m, a, v.reason);
		return;
	}
	if (!in.test) {
		name_learn(g, in.from.bare, m->from.display);
		contact_learn(g, in.from.bare, in.to.bare, GATEWAY_BY_INVITE);
	}
	if (groupchat_from_sip(g, st, m, a, &in.from, &in.to))
		return;
	if (tally_full(g, TALLY_SESSIONS, in.from.bare, g->cfg.max_sessions_per_user)) {
		refuse(g, st, m, a, REASON_LIMIT_SESSIONS);
		return;
	}
	if (in.test || !gateway_home(g, from->target, &h))
		reason = REASON_SIP_HOME_UNREACHABLE; /* nothing could be answered in the dialog */
	else
		reason = judge(m, &leg, h.dialect);
	if (reason) {
		refuse(g, st, m, a, reason);
		return;
	}
	struct conversation *c = conversation_get(g, in.from.bare, in.to.bare);
	struct session *s = session_make(c, &h, from->target);
	bool with_text = session_first_text(m, a, &in.content_type, &in.body);
	s->leg = leg;
	s->called = true;
	tally_add(g, TALLY_SESSIONS, c->pair.local);
	s->state = SESSION_ANSWERING;
	s->instance = mem_strndup(in.from.resource.p ? in.from.resource.p : "", in.from.resource.len);
	c->home = from->target;
	if (!take(s, st, m, a, &h, with_text)) {
		metric_refused(REASON_SIP_SESSION);
		record_end(g->cfg.records, record, RECORD_REFUSED, REASON_SIP_SESSION);
		return;
	}
	if (c->session)
		session_replace(c->session, s);
	c->session = s;
	c->carrier = &session_carrier;
	c->page_until = 0;
	if (with_text)
		first_text(s, m, a, &in);
	else
		gateway_record_told(g, record, 200, RECORD_DELIVERED, REASON_NONE);
}
