/* SPDX-License-Identifier: Apache-2.0 */
/* SIP and SIPS URIs (RFC 3261 19.1, 25.1; RFC 5954 for IPv6), and as much of tel, im and pres URIs as routing needs. Zero-copy:
 * all slices point into the parsed text and nothing is unescaped. Pure functions, any thread. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum sip_scheme { SIP_SCHEME_SIP, SIP_SCHEME_SIPS, SIP_SCHEME_TEL, SIP_SCHEME_IM, SIP_SCHEME_PRES, SIP_SCHEME_OTHER };

struct sip_uri {
	struct slice raw;         /* the whole URI */
	enum sip_scheme scheme;
	struct slice scheme_text; /* as written, without ":" */
	struct slice user;        /* raw userinfo before ":" or "@", user parameters and escapes in it; p == NULL without "@" */
	struct slice password;    /* p == NULL when absent */
	struct slice host;        /* IPv6 with its brackets; for tel and other schemes: empty */
	uint16_t port;            /* 0 when absent */
	struct slice params;      /* after the first ";" of the URI (not of the user), without it; may be empty */
	struct slice headers;     /* after "?", without it */
	struct slice opaque;      /* tel and other schemes: everything after ":" */
};

/* Parses a complete URI (no angle brackets, no surrounding space). 0, or ENTENTE_ESYNTAX (bad escape, bad port, empty host, two
 * raw "@", control characters, spaces). Unknown schemes parse into `opaque`. Accepts 8-bit octets nowhere (RFC 3261 25.1). */
int sip_uri_parse(struct slice text, struct sip_uri *ret);

/* Looks a URI parameter up, names without case and unescaped (RFC 4475 3.1.1.3). True when present; *ret is its raw value (empty
 * when valueless). ret may be NULL. */
bool sip_uri_param(const struct sip_uri *u, struct slice name, struct slice *ret);

/* RFC 3261 19.1.4 equality of sip/sips URIs; IPv6 hosts as addresses (RFC 5954). Two that are not the same text and have more
 * than 32 parameters or headers are not equal. tel and other schemes: the text after the scheme must be the same. */
bool sip_uri_equal(const struct sip_uri *a, const struct sip_uri *b);

/* %HH decoding, appended to dst. ENTENTE_ESYNTAX on a cut or non-hex escape. */
int sip_unescape(struct slice s, struct buf *dst);
/* Appends s with every octet outside the `user` set of RFC 3261 25.1 (unreserved and & = + $ , ; ? /) as %HH, upper-case hex. */
void sip_escape_user(struct slice s, struct buf *dst);
/* The same for a URI parameter value (paramchar: unreserved and [ ] / : & + $). */
void sip_escape_param(struct slice s, struct buf *dst);
