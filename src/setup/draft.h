/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file made of a few answers: only what was answered, and hints as comments. Pure; any thread. */
#pragma once
#include "base/buf.h"

enum setup_federation { SETUP_CLOSED, SETUP_ALLOW_LIST, SETUP_DISCOVERED };
enum setup_certificate { SETUP_CSR, SETUP_ACME, SETUP_FILES };

struct setup_answers {
	const struct slice *domains; size_t n_domains; /* A-labels; at least one */
	struct slice next_hop;               /* a SIP URI that config_sip_uri takes */
	struct slice name;                   /* of this server, as partners know it */
	struct slice inside;                 /* address for the homes' requests */
	uint16_t inside_port;
	struct slice transport;              /* of the homes: "tcp" "tls" "udp" */
	struct slice outside;                /* address for partners; empty: all */
	bool ipv6;                           /* with no `outside`: listen on :: too */
	bool xmpp;
	enum setup_federation federation;    /* of SIP */
	enum setup_certificate source;
	struct slice certificate, key;       /* files, as the configuration shall name them */
	bool dnssec;                         /* the resolver passes signatures, and trust_anchor is there */
	struct slice trust_anchor;
	struct slice written;                /* when and by what, for the first line */
};
void setup_draft(struct buf *out, const struct setup_answers *a);

/* "HOST", "HOST:PORT", "[ADDRESS]:PORT", with "/tls" "/tcp" "/udp" after it, or a SIP URI: the SIP URI, appended to `out`. Without a
 * transport it is TLS on port 5061, else TCP; without a port the transport's. False: it is none of these; `why` says it. */
bool setup_next_hop(struct buf *out, struct slice text, const char **why);
/* Of such a URI: host without brackets (a slice of it), its port and transport ("udp" where none is named). */
void setup_next_hop_parts(struct slice uri, struct slice *ret_host, uint16_t *ret_port, struct slice *ret_transport);
