/* SPDX-License-Identifier: Apache-2.0 */
/* An XMPP partner and the gateway-wide settings: plain values that the administrator sets, the store keeps and a snapshot
 * holds. Slices are borrowed: from the caller when given to a function, from the snapshot when looked up in one. */
#pragma once
#include "base/err.h"
#include "base/slice.h"
#include "policy/domain.h"
#include "policy/pin.h"

/* Lync Server 2013 PartnerType. Who must start a relation, and who sees notes: policy/decide.h. */
enum policy_partner_type { POLICY_FEDERATED, POLICY_PUBLIC_VERIFIED, POLICY_PUBLIC_UNVERIFIED };
/* REQUIRED: negotiated, or the stream fails. OPTIONAL: used if the peer offers it. NOT_SUPPORTED: neither offered nor
 * accepted. */
enum policy_negotiation { POLICY_REQUIRED, POLICY_OPTIONAL, POLICY_NOT_SUPPORTED };
/* STRICT: "SASL required" means fail without SASL. LYNC: it falls to dialback where Lync's matrix says so. */
enum policy_negotiation_mode { POLICY_STRICT, POLICY_LYNC };

/* Which of our certificates the partner is shown when we connect to it (docs/certificates.md). NONE: none at all, for servers that
 * would refuse a serverAuth-only one and do dialback without one. */
enum policy_own_certificate { POLICY_OWN_CLIENT, POLICY_OWN_SERVER, POLICY_OWN_NONE };

/* By which network the organisation is reached. A domain that has servers on both may be listed as SIP partner, too, where this is not XMPP alone; changing it keeps everything that
 * is known of the domain's users. XMPP, SIP: by that one only, and the other is refused. ..._FIRST: both are accepted, and a request of ours goes by the first; by the other one when the
 * first has no server or none that answers. */
enum policy_protocol { POLICY_PROTOCOL_XMPP, POLICY_PROTOCOL_SIP, POLICY_PROTOCOL_XMPP_FIRST, POLICY_PROTOCOL_SIP_FIRST };

enum { POLICY_ADDITIONAL_MAX = 256, POLICY_DESCRIPTION_MAX = 1024 };

struct policy_partner { /* a new field goes into link/policy.c too, which carries partners from the gateway to the edge */
	struct slice domain;             /* the key */
	const struct slice *additional;  /* further domains of the same partner; "*.x" all below x, nothing else has subdomains */
	size_t n_additional;
	enum policy_partner_type type;
	enum policy_negotiation tls, sasl; /* sasl: EXTERNAL with certificates, only ever inside TLS */
	bool enabled;
	bool dialback;                   /* XEP-0220; false: inbound dialback is ignored */
	bool keep_alive;                 /* close when nothing arrives for the keep-alive time */
	uint32_t connection_limit;       /* 0: the gateway's limit per partner */
	struct slice server_host;        /* empty: by DNS SRV; else a domain or an IP address, no SRV lookup */
	uint16_t server_port;            /* 0: 5269; 5270: direct TLS; only with server_host */
	struct slice description;
	enum policy_own_certificate own_certificate;
	const struct policy_pin *pins;   /* of the partner's public keys; none: any key will do */
	size_t n_pins;
	enum policy_pin_mode pin_mode;   /* what another key means */
	bool dane;                       /* believe TLSA records of its servers (RFC 7673), where DNSSEC is on */
	enum policy_protocol protocol;
	bool delegation;                 /* a DNSSEC-secure SRV target counts as a name of the certificate (RFC 7712 5.1) */
};

/* Sets every field but the domain: XMPP alone, public unverified and keep-alive on (as New-CsXmppAllowedPartner); enabled; TLS
 * required, SASL optional, dialback on: dialback runs only inside TLS, so the default federates with today's public
 * certificates (no clientAuth) and never in clear. */
void policy_partner_defaults(struct policy_partner *p);

/* What a stream with the partner may be authenticated by. */
enum { POLICY_SASL_TLS = 1, POLICY_DIALBACK_TLS = 2, POLICY_DIALBACK_TCP = 4 };
unsigned policy_partner_methods(const struct policy_partner *p, enum policy_negotiation_mode mode);

/* What an administrator is told when saving. */
enum {
	POLICY_WARN_SASL_NEEDS_TLS = 1, /* SASL is wanted but TLS is not required */
	POLICY_WARN_DIALBACK_IDLE = 2,  /* dialback is on but can never run */
	POLICY_WARN_CLEARTEXT = 4,      /* messages may cross the network unencrypted */
	POLICY_WARN_PUBLIC_VERIFIED = 8, /* the type is not recommended: use public-unverified */
	POLICY_WARN_PIN_WITHOUT_TLS = 16, /* pins only raise an alarm, and a stream without TLS shows no key */
	POLICY_WARN_ONE_PIN = 32,         /* one pin that blocks: the partner's next key locks it out */
};
/* The text of one bit above; never NULL. */
const char *policy_warning_text(unsigned bit);

/* Checks the syntax of all fields, duplicates within the partner, and that at least one authentication method is left.
 * ENTENTE_EINVAL with err filled (text names the field); 0 fills *ret_warnings (which may be NULL). */
int policy_partner_check(const struct policy_partner *p, enum policy_negotiation_mode mode, unsigned *ret_warnings,
			 struct entente_err *err);

/* Names as in the CLI, the API and the database: federated public-verified public-unverified; required optional not-supported;
 * strict lync. The *_parse functions compare without case and leave *ret untouched when they return false. */
const char *policy_partner_type_name(enum policy_partner_type t);
bool policy_partner_type_parse(enum policy_partner_type *ret, struct slice text);
const char *policy_negotiation_name(enum policy_negotiation n);
bool policy_negotiation_parse(enum policy_negotiation *ret, struct slice text);
const char *policy_negotiation_mode_name(enum policy_negotiation_mode m);
const char *policy_own_certificate_name(enum policy_own_certificate c); /* client server none */
bool policy_own_certificate_parse(enum policy_own_certificate *ret, struct slice text);
const char *policy_protocol_name(enum policy_protocol p); /* xmpp sip xmpp-first sip-first */
static inline bool policy_partner_by_sip(const struct policy_partner *p) /* may SIP connections use its domains? NULL: no partner, so yes */
{
	return !p || p->protocol != POLICY_PROTOCOL_XMPP;
}
bool policy_protocol_parse(enum policy_protocol *ret, struct slice text);
const char *policy_pin_mode_name(enum policy_pin_mode m); /* alarm block */
bool policy_pin_mode_parse(enum policy_pin_mode *ret, struct slice text);
bool policy_negotiation_mode_parse(enum policy_negotiation_mode *ret, struct slice text);
