/* SPDX-License-Identifier: Apache-2.0 */
/* From an XMPP domain to a connection: SRV for STARTTLS and for direct TLS (RFC 6120 3.2, XEP-0368, RFC 2782 order), AAAA and A
 * of each target, TLSA where DNSSEC is on (RFC 7673), then TCP, IPv6 and IPv4 in turn (RFC 8305). The owner asks for the next one
 * when the last one was of no use, after a failed TLS handshake too. Before something can be tried, or all is given up, DNS may
 * take dns_patience() in all: who writes to a partner that cannot be found has to be told in time. Worker's thread only. */
#pragma once
#include "base/err.h"
#include "edge/pace.h"
#include "net/conn.h"
#include "net/dns.h"

struct dialer;

struct dialer_ops { /* connected or address */
	/* connected NULL: nothing is connected here; try this one. Valid during the call. */
	void (*address)(void *arg, const struct addr *to, struct slice host);
	/* Nothing is left. err tells the first cause (DNS), or that all addresses were tried. */
	void (*exhausted)(void *arg, const struct entente_err *err);
	/* TCP is up with the first address of the present target that answered; `host` is the name it came from, for the log. The
	 * connection is the owner's now: conn_set_ops and conn_set_limits before returning. */
	void (*connected)(void *arg, struct conn *c, struct slice host);
	/* What DNS said to one question, one line, e.g. "SRV _xmpp-server._tcp.example.org: 5 0 xmpp.example.org:5269 (dnssec)".
	 * May be NULL: nothing is put together then. */
	void (*note)(void *arg, struct slice line);
};

enum {
	DIALER_TRIES = 12,      /* addresses tried in all: DNS decides where to, but not how often we knock */
	DIALER_STAGGER_MS = 250, /* the next address gets its chance beside one that has not answered yet (RFC 8305 5) */
	DIALER_CNAMES = 8,      /* a longer chain is not followed */
	DIALER_TLSA = 16,       /* records of one target that are kept */
};

struct dialer_target {
	struct slice domain;      /* A-labels */
	struct slice host;        /* not empty: no SRV, this name or address at port (0: 5269) */
	uint16_t port;            /* 5270 means direct TLS there, if `direct` allows it */
	bool direct;              /* direct TLS may be used */
	/* May DNS lead to addresses that the Internet does not reach (RFC 1918, loopback ...)? `host` may always: it is the
	 * administrator's word. */
	bool private_addresses;
	bool dane;                /* look for TLSA records behind DNSSEC-secure SRV and addresses */
	struct pace *pace;        /* how many may knock at one address at once; NULL: no limit */
	const struct conn_limits *limits; /* of the connections; NULL: the default. Copied */
};

/* Copies the target. */
struct dialer *dialer_new(struct worker *w, struct dns *dns, const struct dialer_target *t, const struct dialer_ops *ops,
			  void *arg);
/* Accepts NULL; returns NULL; from inside a callback too, as its last act. */
struct dialer *dialer_free(struct dialer *d);
/* Asks for the first or the next; exactly one callback follows, maybe before this returns. */
void dialer_next(struct dialer *d);
/* Tells why the last one was of no use, before dialer_next: the first such cause is what exhausted() reports. */
void dialer_failed(struct dialer *d, const struct entente_err *why);
/* The peer has said something: it has taken the connection, and others may knock there. */
void dialer_heard(struct dialer *d);
/* When DNS had answered and TCP was tried with the present target, ms of the loop's clock. */
uint64_t dialer_since(const struct dialer *d);
/* TCP is being tried (else DNS is). */
bool dialer_connecting(const struct dialer *d);
/* Does the present target want TLS at once? */
bool dialer_direct(const struct dialer *d);
/* "srv 5 0 xmpp.example.com:5269 dnssec tlsa", "fallback", "fixed": how the present target was found. NUL-terminated, lives as
 * long as d. */
const char *dialer_how(const struct dialer *d);
/* The TLSA records of the present target, DNSSEC-secure all the way; 0 when there are none. Lives until dialer_next. */
size_t dialer_tlsa(const struct dialer *d, const struct tls_tlsa **ret);
/* The host name of the present target if a DNSSEC-secure SRV record led to it (RFC 7712 5.1), else empty. */
struct slice dialer_delegate(const struct dialer *d);
