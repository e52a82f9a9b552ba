/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a partner's certificate is still believed by its authority, before its connection is used and as long as it lives; and what is
 * remembered of certificates. */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "edge/access_int.h"

static bool looks(struct access *e)
{
	struct snapshot *s = snapshot_reader_get(&e->policy);
	return e->cfg.revocation && s && snapshot_access(s)->keep_crls;
}

void access_trust_seen(struct access_conn *c, struct slice why)
{
	struct access *e = c->e;
	struct snapshot *s = snapshot_reader_get(&e->policy);
	const struct policy_access *a = s ? snapshot_access(s) : NULL;
	char z[ADDR_TEXT];
	if (!a || !e->cfg.certs)
		return;
	struct access_certs_bounds b = {a->max_accepted, a->max_rejected, a->evict_percent};
	addr_text(conn_remote(c->conn), z);
	access_certs_seen(e->cfg.certs, &b, conn_peer(c->conn), !c->peer, slice_str(z), revocation_state_name(c->revocation), why, clock_unix());
}

void access_trust_proved(struct access_conn *c, struct slice domain)
{
	if (slice_ieq(domain, policy_domain_slice(&c->domain)))
		return;
	policy_domain_make(&c->domain, domain);
	if (c->e->cfg.certs)
		access_certs_proved(c->e->cfg.certs, conn_peer(c->conn), domain);
}

enum access_trust access_trust_judge(struct access_conn *c, struct entente_err *err)
{
	struct access *e = c->e;
	const struct tls_peer *p = conn_peer(c->conn);
	char why[300] = "";
	c->revocation = REVOCATION_NONE;
	if (!p->has_cert || !p->chain_ok || !looks(e))
		return ACCESS_TRUSTED;
	if (!c->chain)
		c->chain = revocation_chain_of(e->cfg.revocation, c->conn);
	c->revocation = revocation_check(e->cfg.revocation, c->chain, why, sizeof why);
	switch (c->revocation) {
	case REVOCATION_PENDING:
		return ACCESS_TRUST_WAITS;
	case REVOCATION_REVOKED:
		err_set(err, ENTENTE_EAUTH, REASON_TLS_REVOKED, "%s", why);
		return ACCESS_UNTRUSTED;
	case REVOCATION_UNKNOWN:
		if (e->cfg.set.revocation_hard) {
			err_set(err, ENTENTE_EAUTH, REASON_TLS_REVOCATION, "%s", why);
			return ACCESS_UNTRUSTED;
		}
		log_ev_limited(LOG_WARNING, "tls/revocation-unknown", p->subject, {"subject", p->subject}, {"issuer", p->issuer},
			       {"text", slice_str(why)});
		return ACCESS_TRUSTED;
	default:
		return ACCESS_TRUSTED;
	}
}

void access_trust_tell(const struct access_conn *c, const struct entente_err *err)
{
	const struct tls_peer *p = conn_peer(c->conn);
	char z[ADDR_TEXT];
	addr_text(conn_remote(c->conn), z);
	metric_refused((int)err->reason);
	log_ev_limited(LOG_WARNING, "tls/certificate-refused", p->subject, {"address", slice_str(z)}, {"host", slice_str(c->host)},
		       {"subject", p->subject}, {"issuer", p->issuer}, {"serial", p->serial}, {"reason", slice_str(reason_info(err->reason)->id)},
		       {"text", slice_str(err->text)});
}

/* Ends some, which may open others: the map changes under the feet of whoever walks it. */
void access_trust_news(void *arg)
{
	struct access *e = arg;
	size_t n = 0, i;
	uint64_t *ids = mem_calloc(e->conns.count + 1, sizeof *ids);
	MAP_EACH(m, &e->conns, i)
		ids[n++] = CONTAINER_OF(m, struct access_conn, node)->id;
	while (n--) {
		struct access_conn *c = access_conn_find(e, ids[n]);
		if (c && (c->held || c->ready))
			access_conn_admit(c);
	}
	mem_free(ids);
}
