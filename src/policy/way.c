/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/way.h"

const struct policy_peer policy_peers[POLICY_PEER_KINDS] = {
	[POLICY_PEER_STRICT] = {.tls = POLICY_REQUIRED, .certificate = true, .external = true},
	[POLICY_PEER_LENIENT] = {.tls = POLICY_OPTIONAL, .certificate = true, .external = true, .dialback = true},
	[POLICY_PEER_PLAIN] = {.tls = POLICY_NOT_SUPPORTED, .dialback = true},
};

const char *policy_peer_kind_name(enum policy_peer_kind k)
{
	static const char *const names[] = {"strict", "lenient", "plain"};
	return k < POLICY_PEER_KINDS ? names[k] : "unknown";
}

enum policy_way policy_partner_way(const struct policy_partner *p, enum policy_negotiation_mode mode,
					   const struct policy_peer *peer)
{
	unsigned m = policy_partner_methods(p, mode);
	bool tls = p->tls != POLICY_NOT_SUPPORTED && peer->tls != POLICY_NOT_SUPPORTED;
	if (!tls && p->tls == POLICY_REQUIRED)
		return POLICY_FAILS_NO_TLS;
	if (!tls && peer->tls == POLICY_REQUIRED)
		return POLICY_FAILS_TLS_OFF;
	if (!tls)
		return (m & POLICY_DIALBACK_TCP) && peer->dialback ? POLICY_BY_DIALBACK_TCP : POLICY_FAILS_NO_METHOD;
	if ((m & POLICY_SASL_TLS) && peer->external && peer->certificate)
		return POLICY_BY_EXTERNAL;
	return (m & POLICY_DIALBACK_TLS) && peer->dialback ? POLICY_BY_DIALBACK_TLS : POLICY_FAILS_NO_METHOD;
}

const char *policy_way_name(enum policy_way o)
{
	static const char *const names[] = {"certificate",  "dialback-over-tls", "dialback-in-clear",
					    "fails-no-tls", "fails-tls-off",     "fails-no-method"};
	return o <= POLICY_FAILS_NO_METHOD ? names[o] : "unknown";
}
