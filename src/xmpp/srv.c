/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/srv.h"

struct usable {
	const struct xmpp_srv *r;
	bool direct, left; /* left: not taken yet */
};

static struct slice without_dot(struct slice s)
{
	return s.len && s.p[s.len - 1] == '.' ? slice_first(s, s.len - 1) : s;
}

static bool absent(const struct xmpp_srv *r)
{
	return slice_empty(without_dot(r->target));
}

/* Picks among the left records of one priority with probability by weight (RFC 2782: records of weight 0 stand first in the
 * running sum, so they keep a small chance). */
static size_t pick(const struct usable *u, size_t n, uint16_t priority, xmpp_random *draw)
{
	uint64_t total = 0, sum = 0;
	size_t last = n;
	for (size_t i = 0; i < n; i++)
		if (u[i].left && u[i].r->priority == priority)
			total += u[i].r->weight;
	uint64_t at = draw(total + 1);
	for (int zero = 1; zero >= 0; zero--)
		for (size_t i = 0; i < n; i++) {
			if (!u[i].left || u[i].r->priority != priority || (u[i].r->weight == 0) != (zero == 1))
				continue;
			sum += u[i].r->weight;
			last = i;
			if (sum >= at)
				return i;
		}
	return last;
}

/* Adds the usable ones; of too many those of the best priorities stay. True when the answer says that the service is not there. */
static bool collect(struct usable *u, size_t *m, const struct xmpp_srv_answer *a, bool direct)
{
	bool gone = false;
	for (size_t i = 0; a->status == XMPP_DNS_FOUND && i < a->n; i++) {
		const struct xmpp_srv *r = &a->records[i];
		gone |= absent(r);
		if (absent(r) || r->port == 0)
			continue;
		struct usable *to = &u[0];
		if (*m < XMPP_TARGETS) {
			to = &u[(*m)++];
		} else {
			for (size_t k = 1; k < *m; k++)
				if (u[k].r->priority > to->r->priority)
					to = &u[k];
			if (r->priority >= to->r->priority)
				continue;
		}
		*to = (struct usable){.r = r, .direct = direct, .left = true};
	}
	return gone;
}

static bool answered(const struct xmpp_srv_answer *a)
{
	return a->status == XMPP_DNS_FOUND && a->n;
}

/* Neither answer gave a record that can be used. */
static int no_record(struct xmpp_targets *ret, struct slice domain, const struct xmpp_srv_answer *starttls,
		     const struct xmpp_srv_answer *direct, bool gone, struct entente_err *err)
{
	bool bogus = starttls->status == XMPP_DNS_BOGUS;
	if (bogus || direct->status == XMPP_DNS_BOGUS)
		return err_set(err, ENTENTE_EAUTH, REASON_XMPP_DNS, "the DNS answer for %s._tcp.%.*s fails DNSSEC validation",
			       bogus ? "_xmpp-server" : "_xmpps-server", SFMT(domain));
	if (answered(starttls) || answered(direct))
		return err_set(err, ENTENTE_ENOTFOUND, REASON_XMPP_DNS,
			       gone ? "DNS says that %.*s has no XMPP server (SRV target \".\")"
				    : "no usable SRV record for _xmpp-server._tcp.%.*s",
			       SFMT(domain));
	*ret = (struct xmpp_targets){.n = 1};
	ret->t[0] = (struct xmpp_target){.host = without_dot(domain), .port = XMPP_PORT, .fallback = true};
	return 0;
}

int xmpp_srv_targets(struct xmpp_targets *ret, struct slice domain, const struct xmpp_srv_answer *starttls,
		     const struct xmpp_srv_answer *direct, xmpp_random *draw, struct entente_err *err)
{
	static const struct xmpp_srv_answer not_asked = {.status = XMPP_DNS_NONE};
	struct xmpp_targets out = {.n = 0};
	struct usable use[XMPP_TARGETS];
	size_t m = 0;
	if (!direct)
		direct = &not_asked;
	bool gone = collect(use, &m, starttls, false);
	gone |= collect(use, &m, direct, true);
	if (m == 0)
		return no_record(ret, domain, starttls, direct, gone, err);
	while (out.n < m) {
		uint16_t priority = UINT16_MAX;
		for (size_t i = 0; i < m; i++)
			if (use[i].left && use[i].r->priority < priority)
				priority = use[i].r->priority;
		struct usable *u = &use[pick(use, m, priority, draw)];
		u->left = false;
		out.t[out.n++] = (struct xmpp_target){.host = without_dot(u->r->target), .port = u->r->port, .direct = u->direct,
						      .priority = u->r->priority, .weight = u->r->weight};
	}
	*ret = out;
	return 0;
}
