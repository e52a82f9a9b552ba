/* SPDX-License-Identifier: Apache-2.0 */
/* Where to connect for a domain (RFC 6120 3.2, RFC 2782, XEP-0368): DNS answers in, an ordered list of host names and ports out.
 * No look-ups here. */
#pragma once
#include <stdint.h>
#include "base/err.h"
#include "base/slice.h"

enum {
	XMPP_PORT = 5269,
	XMPP_PORT_DIRECT = 5270, /* by custom; nothing reserves it */
	XMPP_TARGETS = 16,       /* more SRV records than this are not tried */
};

/* One SRV record of _xmpp-server._tcp.DOMAIN or _xmpps-server._tcp.DOMAIN. */
struct xmpp_srv {
	uint16_t priority, weight, port;
	struct slice target; /* with or without the final dot; "." or empty: the service is not there */
};

enum xmpp_dns {
	XMPP_DNS_FOUND,  /* records came */
	XMPP_DNS_NONE,   /* no such name, or no such record */
	XMPP_DNS_FAILED, /* no answer, or SERVFAIL */
	XMPP_DNS_BOGUS,  /* DNSSEC validation failed: nothing may be concluded */
};

/* What DNS says about one of the two services. */
struct xmpp_srv_answer {
	enum xmpp_dns status;
	const struct xmpp_srv *records;
	size_t n;
};

struct xmpp_target {
	struct slice host; /* borrowed from the record or the domain; no final dot */
	uint16_t port;
	uint16_t priority, weight; /* of the record, for the log */
	bool direct;       /* TLS at once, no STARTTLS */
	bool fallback;     /* the domain's own address, because no SRV record exists */
};

struct xmpp_targets {
	struct xmpp_target t[XMPP_TARGETS];
	size_t n;
};

/* Uniform in [0, n), n > 0; rand_below fits. */
typedef uint64_t xmpp_random(uint64_t n);

/* Fills *ret with at least one target. `starttls` is what _xmpp-server._tcp gave, `direct` what _xmpps-server._tcp gave, NULL when
 * that was not asked (direct TLS is not wanted). The records of both are mixed: by priority, by weight at random within a priority
 * (XEP-0368 3). The domain itself (port 5269, STARTTLS) only when neither service has an SRV answer. A target "." takes away its own
 * service only. One bogus or missing answer does not spoil the other one.
 * ENTENTE_ENOTFOUND, err XMPP_DNS: the domain says that it has no XMPP server (target "."), or no record is usable.
 * ENTENTE_EAUTH, err XMPP_DNS: nothing usable, and an answer is bogus. Any thread if `draw` allows. */
int xmpp_srv_targets(struct xmpp_targets *ret, struct slice domain, const struct xmpp_srv_answer *starttls,
		     const struct xmpp_srv_answer *direct, xmpp_random *draw, struct entente_err *err);
