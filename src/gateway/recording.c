/* SPDX-License-Identifier: Apache-2.0 */
/* What the decision log is told of messages and requests between homes and XMPP partners. */
#include "gateway/gateway_int.h"

void gateway_record_request(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, const struct sip_flow *from)
{
	gateway_record_session(g, st, m, from, m->uri_text);
}

void gateway_record_session(struct gateway *g, struct sip_server_trans *st, const struct sip_msg *m, const struct sip_flow *from, struct slice to)
{
	struct record_start s = {.kind = m->method == SIP_SUBSCRIBE ? POLICY_PRESENCE_SUBSCRIBE : POLICY_MESSAGE, .direction = POLICY_TO_REMOTE,
				 .from = m->from.uri_text, .to = to, .key = m->call_id, .method = m->method_text, .conn = from->conn};
	g->record = record_begin(g->cfg.records, &s);
	sip_server_set_record(st, g->record);
}

void gateway_record_msrp(struct gateway *g, struct slice from, struct slice to, struct slice message_id, uint64_t line)
{
	struct record_start s = {.kind = POLICY_MESSAGE, .direction = POLICY_TO_REMOTE, .from = from, .to = to, .key = message_id, .method = S("SEND"), .conn = line};
	g->record = record_begin(g->cfg.records, &s);
}

void gateway_record_stanza(struct gateway *g, const struct stanza *st, const struct xmpp_peer *peer)
{
	struct record_start s = {.kind = POLICY_MESSAGE, .direction = POLICY_TO_LOCAL, .from = st->from.bare, .to = st->to.bare, .key = st->id};
	g->record = 0;
	if (st->kind == STANZA_MESSAGE && st->type == STANZA_TYPE_ERROR)
		return; /* it belongs to one of ours */
	if (st->kind == STANZA_PRESENCE && st->type == STANZA_TYPE_SUBSCRIBE)
		s.kind = POLICY_PRESENCE_SUBSCRIBE;
	else if (st->kind != STANZA_MESSAGE)
		return;
	g->record = record_begin(g->cfg.records, &s);
	record_peer(g->cfg.records, g->record, xmpp_peer_remote(peer));
}

void gateway_record_verdict(struct gateway *g, struct slice from, struct slice to, const struct policy_question *q, const struct policy_verdict *v,
			    uint64_t generation)
{
	if (!g->record && !v->allow) { /* what is not recorded when it passes, is when it does not */
		struct record_start s = {.kind = q->kind, .direction = q->direction, .from = from, .to = to};
		g->record = record_begin(g->cfg.records, &s);
		record_peer(g->cfg.records, g->record, q->peer);
	}
	record_verdict(g->cfg.records, g->record, v, q, generation);
}

void gateway_record_home(struct gateway *g, uint64_t record, uint32_t home)
{
	struct snapshot *s = snapshot_reader_get(&g->policy);
	if (record && home < snapshot_home_count(s))
		record_via(g->cfg.records, record, snapshot_home(s, home)->name);
}

void gateway_record_told(struct gateway *g, uint64_t record, int status, enum record_outcome o, enum reason reason)
{
	record_hop(g->cfg.records, record, RECORD_TOLD, status, reason);
	record_end(g->cfg.records, record, o, reason);
}
