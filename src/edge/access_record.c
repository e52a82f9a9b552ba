/* SPDX-License-Identifier: Apache-2.0 */
/* What the decision log is told of requests between homes and SIP partners; the rest of their way tells the proxy core. */
#include "edge/access_int.h"

void access_record_begin(struct access *e, struct sip_server_trans *st, const struct sip_msg *m, const struct sip_flow *from, const struct access_look *look,
			 bool outward)
{
	struct record_start s = {.direction = outward ? POLICY_TO_REMOTE : POLICY_TO_LOCAL, .sip = true, .from = m->from.uri_text, .key = m->call_id,
				 .method = m->method_text, .conn = from->conn};
	if (!e->cfg.records || !st || (look && look->for_us)) /* ACK and what is not answered; pings of ours */
		return;
	s.kind = look ? look->kind : m->method == SIP_MESSAGE ? POLICY_MESSAGE : m->method == SIP_SUBSCRIBE ? POLICY_PRESENCE_SUBSCRIBE : POLICY_SESSION;
	s.to = m->to.tag.len ? m->to.uri_text : m->uri_text; /* inside a dialog the Request-URI is some device */
	sip_server_set_record(st, record_begin(e->cfg.records, &s));
}

/* The name by which the certificate proved the partner, or what it has. */
static struct slice proved(const struct policy_question *q, const struct policy_verdict *v)
{
	const struct policy_sip *sip = q->sip;
	struct slice remote = q->direction == POLICY_TO_LOCAL ? q->from.domain : q->to.domain;
	if (v->identity == POLICY_ID_RFC5922)
		return remote;
	if (v->identity == POLICY_ID_EDGE)
		for (size_t i = 0; i < sip->n_targets; i++)
			for (size_t k = 0; k < sip->n_dns; k++)
				if (slice_ieq(sip->targets[i], sip->dns[k]))
					return sip->dns[k];
	if (v->identity != POLICY_ID_NONE && v->route.len)
		return v->route;
	if (v->identity != POLICY_ID_NONE && v->provider)
		return v->provider->proxy_fqdn;
	if (v->identity != POLICY_ID_NONE && v->allowed && v->allowed->proxy_fqdn.len)
		return v->allowed->proxy_fqdn;
	return sip->n_dns ? sip->dns[0] : sip->n_uris ? sip->uris[0] : sip->cn;
}

void access_record_verdict(struct access *e, uint64_t record, const struct policy_question *q, const struct policy_verdict *v)
{
	if (!record)
		return;
	struct snapshot *s = snapshot_reader_get(&e->policy);
	record_verdict(e->cfg.records, record, v, q, s ? snapshot_generation(s) : 0);
	if (q->sip->connected)
		record_peer(e->cfg.records, record, proved(q, v));
	if (v->allow && q->direction == POLICY_TO_LOCAL && v->home < snapshot_home_count(s))
		record_via(e->cfg.records, record, snapshot_home(s, v->home)->name);
}
