/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/negotiation.h"

struct xmpp_methods xmpp_negotiation_methods(enum xmpp_need tls, enum xmpp_need sasl, bool dialback, bool lenient)
{
	struct xmpp_methods m = {
		.external = tls != XMPP_OFF && sasl != XMPP_OFF,
		.dialback_tls = dialback && tls != XMPP_OFF && !(tls == XMPP_REQUIRED && sasl == XMPP_REQUIRED),
		.dialback_tcp = dialback && tls != XMPP_REQUIRED,
	};
	if (sasl == XMPP_REQUIRED && !lenient)
		m.dialback_tls = m.dialback_tcp = false;
	return m;
}

bool xmpp_negotiation_possible(struct xmpp_methods m)
{
	return m.external || m.dialback_tls || m.dialback_tcp;
}
