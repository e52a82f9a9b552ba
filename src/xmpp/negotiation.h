/* SPDX-License-Identifier: Apache-2.0 */
/* Which ways of proving a domain a pair of settings allows: the table of TLS x SASL x dialback as a function. Pure, any thread.
 */
#pragma once
#include <stdbool.h>

enum xmpp_need {
	XMPP_OFF,      /* neither offered nor accepted */
	XMPP_OPTIONAL, /* used if the other side offers it */
	XMPP_REQUIRED, /* used, or the stream fails */
};

struct xmpp_methods {
	bool external;     /* SASL EXTERNAL over TLS (XEP-0178) */
	bool dialback_tls; /* server dialback inside TLS (XEP-0220) */
	bool dialback_tcp; /* server dialback in the clear */
};

/* `lenient` gives the matrix of Lync Server 2013, where "SASL required" together with dialback still allows dialback as long as
 * TLS is not required too. Otherwise required means required: without EXTERNAL the stream fails. */
struct xmpp_methods xmpp_negotiation_methods(enum xmpp_need tls, enum xmpp_need sasl, bool dialback, bool lenient);

/* At least one method is left. */
bool xmpp_negotiation_possible(struct xmpp_methods m);
