/* SPDX-License-Identifier: Apache-2.0 */
/* From an XMPP domain to addresses, one after the other: SRV for STARTTLS and for direct TLS (RFC 6120 3.2, XEP-0368, RFC 2782
 * order), then AAAA and A of each target. The owner asks for the next address when the last one failed. Worker's thread only. */
#pragma once
#include "base/err.h"
#include "net/dns.h"

struct dialer;

struct dialer_ops {
	/* Try this one; `host` is the name it came from, for the log. Valid during the call. */
	void (*address)(void *arg, const struct addr *to, struct slice host);
	/* Nothing is left. err tells the first cause (DNS), or that all addresses were tried. */
	void (*exhausted)(void *arg, const struct entente_err *err);
};

enum { DIALER_TRIES = 12 }; /* addresses given out in all: DNS decides where to, but not how often we knock */

struct dialer_target {
	struct slice domain;      /* A-labels */
	struct slice host;        /* not empty: no SRV, this name or address at port (0: 5269) */
	uint16_t port;            /* 5270 means direct TLS there, if `direct` allows it */
	bool direct;              /* direct TLS may be used */
	/* May DNS lead to addresses that the Internet does not reach (RFC 1918, loopback ...)? `host` may always: it is the
	 * administrator's word. */
	bool private_addresses;
};

/* Copies the target. */
struct dialer *dialer_new(struct worker *w, struct dns *dns, const struct dialer_target *t, const struct dialer_ops *ops,
			  void *arg);
/* Accepts NULL; returns NULL; from inside a callback too, as its last act. */
struct dialer *dialer_free(struct dialer *d);
/* Asks for the first or the next address; exactly one callback follows, maybe before this returns. */
void dialer_next(struct dialer *d);
/* Tells why the last address was of no use, before dialer_next: the first such cause is what exhausted() reports. */
void dialer_failed(struct dialer *d, const struct entente_err *why);
/* Does the present target want TLS at once? */
bool dialer_direct(const struct dialer *d);
/* "srv 5 0 xmpp.example.com:5269", "fallback", "fixed": how the present target was found. NUL-terminated, lives as long as d. */
const char *dialer_how(const struct dialer *d);
