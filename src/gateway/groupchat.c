/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/groupchat.h"

#include "base/log.h"
#include "base/metric.h"
#include "gateway/conversation.h"
#include "interwork/mime.h"
#include "interwork/text.h"

enum { NOTICE_MS = 600000, MAX_ROOM = 200, MAX_PARTS = 16 };

/* May one of the two be told? Once in a while: clients try again by themselves. No conversation is made for it: policy comes first. */
static bool notice_due(struct gateway *g, struct slice local, struct slice remote)
{
	const struct conversation *c = conversation_find(g, local, remote);
	return g->cfg.group_notice && !(c && c->group_noticed && g->cfg.timers->now - c->group_noticed < NOTICE_MS);
}

static void noticed(struct conversation *c)
{
	if (c) /* else policy did not allow it */
		c->group_noticed = c->g->cfg.timers->now;
}

/* ---- XMPP */

/* Who is said to invite: believed when the room's service belongs to its domain (conference.fabrikam.test to fabrikam.test). */
static bool believable(const struct xmpp_jid *inviter, struct slice room_domain)
{
	struct slice d = inviter->domain;
	return inviter->local.len && (slice_eq(d, room_domain) || (slice_ends(room_domain, d) && room_domain.len > d.len &&
								    room_domain.p[room_domain.len - d.len - 1] == '.'));
}

static void tell_sip_user(struct gateway *g, struct arena *a, const struct xmpp_jid *inviter, const struct xmpp_jid *to, struct slice room)
{
	struct xmpp_jid bare = xmpp_jid_bare(inviter);
	if (!to->local.len || !notice_due(g, to->bare, inviter->bare))
		return;
	message_notice(g, &bare, to, arena_printf(a, "[%.*s invites you to the group chat %.*s. Group chats cannot cross to your network, so "
						     "the invitation was declined. You can go on writing to each other here.]",
						  SFMT(inviter->bare), SFMT(interwork_line(a, room, MAX_ROOM))));
	noticed(conversation_find(g, to->bare, inviter->bare));
}

static void refused(struct gateway *g, const struct stanza *st)
{
	metric_refused(REASON_GROUP_CHAT);
	metric_add(METRIC_MSG_XMPP_SIP_REFUSED, 1);
	log_ev_limited(LOG_INFO, "xmpp/group-chat-refused", st->from.bare, {"from", st->from.bare}, {"to", st->to.bare},
		       {"reason", slice_str(reason_info(REASON_GROUP_CHAT)->id)});
	gateway_record_told(g, g->record, 0, RECORD_REFUSED, REASON_GROUP_CHAT);
}

/* XEP-0045 7.8.2: the room hands the <decline/> on to the inviter. */
static void decline(struct gateway *g, const struct stanza *st, const struct xml_node *invite, struct arena *a, struct xmpp_receipt *r)
{
	struct xmpp_jid inviter;
	bool known = xmpp_jid_parse(&inviter, a, xml_attr(invite, S("from"))) == 0;
	struct xml_node *n = stanza_new(a, STANZA_MESSAGE, STANZA_TYPE_NORMAL, st->to.bare, st->from.bare, SLICE_NONE);
	struct xml_node *d = xml_add(a, xml_add(a, n, S("x"), XMPP_NS_MUC_USER), S("decline"), SLICE_NONE);
	if (known)
		xml_set(a, d, S("to"), inviter.full);
	struct xml_node *why = xml_add(a, d, S("reason"), SLICE_NONE);
	xml_set_lang(a, why, S("en"));
	xml_add_text(a, why, slice_str(reason_info(REASON_GROUP_CHAT)->text));
	refused(g, st);
	gateway_answer(g, n, st->to.domain, st->from.domain, r);
	if (known && believable(&inviter, st->from.domain))
		tell_sip_user(g, a, &inviter, &st->to, st->from.bare);
}

static const struct xml_node *mediated(const struct stanza *st)
{
	const struct xml_node *x = xml_child(st->node, S("x"), XMPP_NS_MUC_USER);
	return x ? xml_child(x, S("invite"), XMPP_NS_MUC_USER) : NULL;
}

static const struct xml_node *direct(const struct stanza *st)
{
	return xml_child(st->node, S("x"), XMPP_NS_CONFERENCE);
}

bool groupchat_invites(const struct stanza *st)
{
	return st->type != STANZA_TYPE_ERROR && st->type != STANZA_TYPE_GROUPCHAT && (mediated(st) || direct(st));
}

bool groupchat_from_xmpp(struct gateway *g, const struct stanza *st, const struct xmpp_peer *peer, struct arena *a, struct xmpp_receipt *r)
{
	const struct xml_node *invite = mediated(st);
	struct policy_verdict v;
	if (!groupchat_invites(st))
		return false;
	if (invite) { /* rooms send the other form with it, for old clients */
		decline(g, st, invite, a, r);
		return true;
	}
	gateway_decide(g, a, POLICY_MESSAGE, POLICY_TO_LOCAL, &st->from, &st->to, xmpp_peer_remote(peer), UINT32_MAX, &v);
	if (!v.allow) {
		metric_add(METRIC_MSG_XMPP_SIP_REFUSED, 1);
		gateway_record_told(g, g->record, 0, RECORD_REFUSED, v.reason);
		gateway_bounce(g, st->node, v.reason, SLICE_NONE, st->to.domain, st->from.domain, r);
		return true;
	}
	refused(g, st);
	gateway_bounce(g, st->node, REASON_GROUP_CHAT, SLICE_NONE, st->to.domain, st->from.domain, r);
	if (st->from.local.len)
		tell_sip_user(g, a, &st->from, &st->to, xml_attr(direct(st), S("jid")));
	return true;
}

/* ---- SIP */

static bool is_type(struct slice value, struct slice type)
{
	return slice_ieq(slice_trim(sip_token(value, NULL)), type);
}

/* A body, or a part of it, that names a conference or further recipients. */
static bool body_invites(const struct sip_msg *m, struct arena *a)
{
	static const struct slice types[] = {S("application/ms-conf-invite+xml"), S("application/resource-lists+xml")};
	const struct sip_header *h = sip_msg_header(m, SIP_H_CONTENT_TYPE, 0);
	struct slice type = h ? h->value : SLICE_NONE, boundary, rest = m->body, entity;
	bool started = false;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (is_type(type, types[i]))
			return true;
	if (!slice_istarts(type, S("multipart/")) || !mime_param(type, S("boundary"), a, &boundary))
		return false;
	for (int n = 0; n < MAX_PARTS && mime_next_part(&rest, &started, boundary, &entity); n++) {
		struct mime_part part;
		mime_part_read(&part, entity);
		for (size_t i = 0; i < sizeof types / sizeof *types; i++)
			if (is_type(part.type, types[i]))
				return true;
	}
	return false;
}

static bool contact_is_focus(const struct sip_msg *m)
{
	struct sip_values it = {0};
	struct slice v, ignored;
	struct sip_addr addr;
	while (sip_msg_next_value(m, SIP_H_CONTACT, &it, &v))
		if (sip_addr_parse(v, &addr) == 0 && sip_param(addr.params, S("isfocus"), &ignored))
			return true;
	return false;
}

/* EndPoints of Lync lists who takes part: in a conversation of two, both. */
static size_t endpoints(const struct sip_msg *m)
{
	struct slice v = sip_msg_header_named(m, S("EndPoints"));
	size_t n = v.len > 0;
	bool quoted = false, bracketed = false;
	for (size_t i = 0; i < v.len; i++) {
		if (quoted && v.p[i] == '\\')
			i++;
		else if (v.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && (v.p[i] == '<' || v.p[i] == '>'))
			bracketed = v.p[i] == '<';
		else if (!quoted && !bracketed && v.p[i] == ',')
			n++;
	}
	return n;
}

/* An option tag that only an invitation of many requires. */
static struct slice required(const struct sip_msg *m)
{
	static const struct slice tags[] = {S("com.microsoft.rtc-multiparty"), S("recipient-list-invite")};
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
		if (sip_msg_lists(m, SIP_H_REQUIRE, tags[i]))
			return tags[i];
	return SLICE_NONE;
}

/* In the name of whom the home has vouched for, and of nobody else: a Referred-By could name any colleague. */
void groupchat_tell_xmpp(struct gateway *g, struct arena *a, const struct xmpp_jid *f, const struct xmpp_jid *t)
{
	struct slice name = name_of(g, f->bare);
	struct policy_verdict v;
	gateway_judge(g, POLICY_MESSAGE, f->bare, t->bare, &v);
	if (!v.allow || !notice_due(g, f->bare, t->bare))
		return;
	noticed(conversation_get(g, f->bare, t->bare));
	struct xml_node *n = stanza_new(a, STANZA_MESSAGE, STANZA_TYPE_CHAT, f->bare, t->bare, SLICE_NONE);
	xml_set_lang(a, n, S("en"));
	xml_add_text(a, xml_add(a, n, S("body"), SLICE_NONE),
		     arena_printf(a, "[%.*s invites you to a group chat. Group chats cannot cross to your network, so the invitation was declined. You "
				     "can go on writing to each other here.]", SFMT(name.len ? interwork_line(a, name, MAX_ROOM) : f->bare)));
	gateway_send_node(g, n, f->domain, t->domain);
}

bool groupchat_from_sip(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, struct arena *a, const struct xmpp_jid *f,
			const struct xmpp_jid *t)
{
	struct slice tag = required(m), triggered = sip_msg_header_named(m, S("TriggeredInvite"));
	struct interwork_response more = {0};
	struct sip_extra extra[REFUSAL_HEADERS];
	struct sip_answer ans;
	if (m->method != SIP_REFER && !tag.len && !contact_is_focus(m) && endpoints(m) <= 2 && !slice_ieq(triggered, S("TRUE")) &&
	    !body_invites(m, a))
		return false;
	if (tag.len)
		interwork_response_add(&more, S("Unsupported"), tag);
	gateway_refusal(g, &ans, extra, a, REASON_GROUP_CHAT, &more);
	if (tag.len)
		ans.status = 420; /* RFC 3261 8.2.2.3 */
	else if (m->method == SIP_REFER)
		ans.status = 603;
	metric_refused(REASON_GROUP_CHAT);
	log_ev_limited(LOG_INFO, "sip/group-chat-refused", f->bare, {"from", f->bare}, {"to", t->bare},
		       {"reason", slice_str(reason_info(REASON_GROUP_CHAT)->id)});
	gateway_record_told(g, sip_server_record(st), ans.status, RECORD_REFUSED, REASON_GROUP_CHAT);
	sip_server_respond(st, &ans);
	groupchat_tell_xmpp(g, a, f, t);
	return true;
}

void groupchat_referred(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct xmpp_jid f, t;
	struct entente_err err;
	struct policy_verdict v;
	if (interwork_sender_to_jid(&f, a, m, &err) || interwork_sip_to_jid(&t, a, &m->uri, &err)) {
		metric_refused((int)err.reason);
		gateway_refuse(g, st, a, err.reason, NULL, m->from.uri_text, m->uri_text);
		return;
	}
	gateway_decide(g, a, POLICY_MESSAGE, POLICY_TO_REMOTE, &f, &t, SLICE_NONE, from->target, &v);
	if (v.allow)
		groupchat_from_sip(g, st, m, a, &f, &t);
	else
		gateway_refuse(g, st, a, v.reason, NULL, m->from.uri_text, m->uri_text);
}
