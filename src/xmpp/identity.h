/* SPDX-License-Identifier: Apache-2.0 */
/* Does a certificate prove an XMPP domain? (RFC 6120 13.7.1.2, RFC 6125 / 9525, XEP-0178.) Whether its chain is trusted is
 * another question, answered by whoever did the handshake. Pure, any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "base/slice.h"

/* The subjectAltName entries that matter. The common name is not among them: it never counts. Slices may hold any octets that a
 * certificate can hold, zero octets included. */
struct xmpp_cert_names {
	const struct slice *dns; /* dNSName */
	size_t n_dns;
	const struct slice *srv; /* otherName id-on-dnsSRV (1.3.6.1.5.5.7.8.7), "_xmpp-server.example.com" */
	size_t n_srv;
	const struct slice *xmpp; /* otherName id-on-xmppAddr (1.3.6.1.5.5.7.8.5) */
	size_t n_xmpp;
};

enum xmpp_identity { XMPP_IDENTITY_NONE, XMPP_IDENTITY_SRV, XMPP_IDENTITY_DNS, XMPP_IDENTITY_XMPP };

/* How the names prove `domain` (prepared, U- or A-labels): SRVName first, then dNSName (exact, or with "*" as the whole left
 * label standing for exactly one label), then xmppAddr. XMPP_IDENTITY_NONE when they do not. */
enum xmpp_identity xmpp_identity_match(const struct xmpp_cert_names *names, struct slice domain);
/* "SRVName", "dNSName", "xmppAddr", "none". */
const char *xmpp_identity_text(enum xmpp_identity id);
