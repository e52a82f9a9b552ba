/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/srv.h"

static struct slice without_dot(struct slice s)
{
	return s.len && s.p[s.len - 1] == '.' ? slice_first(s, s.len - 1) : s;
}

static bool absent(const struct xmpp_srv *r)
{
	return slice_empty(without_dot(r->target));
}

/* Picks among the left records of one priority with probability by weight (RFC 2782: records of weight 0 stand first in the
 * running sum, so they keep a small chance). `left` marks what is not taken yet. */
static size_t pick(const struct xmpp_srv *r, const bool *left, size_t n, uint16_t priority, xmpp_random *draw)
{
	uint64_t total = 0, sum = 0;
	size_t last = n;
	for (size_t i = 0; i < n; i++)
		if (left[i] && r[i].priority == priority)
			total += r[i].weight;
	uint64_t at = draw(total + 1);
	for (int zero = 1; zero >= 0; zero--)
		for (size_t i = 0; i < n; i++) {
			if (!left[i] || r[i].priority != priority || (r[i].weight == 0) != (zero == 1))
				continue;
			sum += r[i].weight;
			last = i;
			if (sum >= at)
				return i;
		}
	return last;
}

int xmpp_srv_targets(struct xmpp_targets *ret, struct slice domain, enum xmpp_dns status, const struct xmpp_srv *records,
		     size_t n, xmpp_random *draw, struct entente_err *err)
{
	if (status == XMPP_DNS_BOGUS)
		return err_set(err, ENTENTE_EAUTH, REASON_XMPP_DNS,
			       "the DNS answer for _xmpp-server._tcp.%.*s fails DNSSEC validation", SFMT(domain));
	struct xmpp_targets out = {.n = 0};
	if (status != XMPP_DNS_FOUND || n == 0) {
		out.t[out.n++] = (struct xmpp_target){.host = without_dot(domain), .port = XMPP_PORT, .fallback = true};
		*ret = out;
		return 0;
	}
	/* The usable ones; of too many those of the best priorities. */
	struct xmpp_srv use[XMPP_TARGETS];
	bool left[XMPP_TARGETS], gone = false;
	size_t m = 0;
	for (size_t i = 0; i < n; i++) {
		gone |= absent(&records[i]);
		if (absent(&records[i]) || records[i].port == 0)
			continue;
		if (m < XMPP_TARGETS) {
			use[m++] = records[i];
			continue;
		}
		size_t worst = 0;
		for (size_t k = 1; k < m; k++)
			if (use[k].priority > use[worst].priority)
				worst = k;
		if (records[i].priority < use[worst].priority)
			use[worst] = records[i];
	}
	if (m == 0)
		return err_set(err, ENTENTE_ENOTFOUND, REASON_XMPP_DNS,
			       gone ? "DNS says that %.*s has no XMPP server (SRV target \".\")"
				    : "no usable SRV record for _xmpp-server._tcp.%.*s",
			       SFMT(domain));
	for (size_t i = 0; i < m; i++)
		left[i] = true;
	while (out.n < m) {
		uint16_t priority = UINT16_MAX;
		for (size_t i = 0; i < m; i++)
			if (left[i] && use[i].priority < priority)
				priority = use[i].priority;
		size_t i = pick(use, left, m, priority, draw);
		left[i] = false;
		out.t[out.n++] = (struct xmpp_target){.host = without_dot(use[i].target), .port = use[i].port,
						      .priority = use[i].priority, .weight = use[i].weight};
	}
	*ret = out;
	return 0;
}
