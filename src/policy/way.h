/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream with a partner comes to, before anybody connects: our settings on one side, a kind of server on the other. The same
 * in both directions, as both ends take the strongest method that both allow. Pure, any thread. */
#pragma once
#include "policy/partner.h"

/* The other server. */
struct policy_peer {
	enum policy_negotiation tls; /* what it does with us */
	bool certificate;            /* it has one that is valid for its domain */
	bool external;               /* it does SASL EXTERNAL, and likes our certificate */
	bool dialback;
};

/* Kinds that stand for most: strict wants TLS and certificates and knows no dialback; lenient takes what it gets; plain knows neither
 * TLS nor SASL. */
enum policy_peer_kind { POLICY_PEER_STRICT, POLICY_PEER_LENIENT, POLICY_PEER_PLAIN, POLICY_PEER_KINDS };
extern const struct policy_peer policy_peers[POLICY_PEER_KINDS];
const char *policy_peer_kind_name(enum policy_peer_kind k); /* strict lenient plain */

enum policy_way {
	POLICY_BY_EXTERNAL,     /* certificates, inside TLS */
	POLICY_BY_DIALBACK_TLS, /* dialback inside TLS */
	POLICY_BY_DIALBACK_TCP, /* dialback in the clear */
	POLICY_FAILS_NO_TLS,    /* we require TLS and it has none */
	POLICY_FAILS_TLS_OFF,   /* it requires TLS and we switched it off */
	POLICY_FAILS_NO_METHOD, /* no way to authenticate that both allow */
};
enum policy_way policy_partner_way(const struct policy_partner *p, enum policy_negotiation_mode mode,
					   const struct policy_peer *peer);
/* "certificate", "dialback-over-tls", "dialback-in-clear", "fails-no-tls", "fails-tls-off", "fails-no-method". */
const char *policy_way_name(enum policy_way o);
static inline bool policy_way_fails(enum policy_way o)
{
	return o >= POLICY_FAILS_NO_TLS;
}
