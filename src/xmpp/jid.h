/* SPDX-License-Identifier: Apache-2.0 */
/* XMPP addresses (RFC 7622): parsing, preparation, comparison. A struct xmpp_jid is only built here, so whoever holds one holds a
 * valid, prepared address: UsernameCaseMapped localpart (IdentifierClass), U-label domain (UTS46 non-transitional), OpaqueString
 * resource. ICU does IDN and Unicode work; ASCII takes a fast path without it. Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "base/err.h"

struct xmpp_jid {
	struct slice local;    /* empty for a domain address */
	struct slice domain;
	struct slice resource; /* empty for a bare address */
	struct slice full;     /* local@domain/resource, NUL-terminated (but not that of xmpp_jid_bare) */
	struct slice bare;     /* prefix of full */
};

/* Parses and prepares. Storage in the arena. ENTENTE_ESYNTAX: malformed (empty part, forbidden character, not UTF-8, IP literal,
 * not a possible DNS name); ENTENTE_ELIMIT: a part over 1023 octets, or no room in the arena; ENTENTE_EUNSUPPORTED: ICU has no
 * data. */
int xmpp_jid_parse(struct xmpp_jid *ret, struct arena *a, struct slice text);
/* From parts that are not prepared yet; empty slices for absent parts. */
int xmpp_jid_make(struct xmpp_jid *ret, struct arena *a, struct slice local, struct slice domain, struct slice resource);
/* The same address without its resource; slices shared. */
struct xmpp_jid xmpp_jid_bare(const struct xmpp_jid *j);
bool xmpp_jid_equal(const struct xmpp_jid *a, const struct xmpp_jid *b);

/* The preparation steps alone, result in the arena. */
/* PRECIS UsernameCaseMapped, and none of " & ' / : < > @, nor \20 at either end (XEP-0106) */
int xmpp_prep_local(struct arena *a, struct slice in, struct slice *ret);
/* Lower-case U-labels, one trailing dot off, LDH checked, labels to 63 and the name to 253 octets as A-labels, not an IP
 * address. */
int xmpp_prep_domain(struct arena *a, struct slice in, struct slice *ret);
/* PRECIS OpaqueString */
int xmpp_prep_resource(struct arena *a, struct slice in, struct slice *ret);
/* A-label form of a prepared domain (for DNS, certificates, SIP). ENTENTE_ESYNTAX when it has none. */
int xmpp_domain_ascii(struct arena *a, struct slice domain, struct slice *ret);
