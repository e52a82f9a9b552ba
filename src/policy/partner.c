/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/partner.h"

#include <arpa/inet.h>
#include "base/enc.h"

void policy_partner_defaults(struct policy_partner *p)
{
	*p = (struct policy_partner){
		.domain = p->domain,
		.type = POLICY_PUBLIC_UNVERIFIED,
		.tls = POLICY_REQUIRED,
		.sasl = POLICY_OPTIONAL,
		.enabled = true,
		.dialback = true,
		.keep_alive = true,
		.dane = true,
	};
}

/* The closed form of the 18 rows of Lync's matrix; strict only takes dialback away where SASL is required. */
unsigned policy_partner_methods(const struct policy_partner *p, enum policy_negotiation_mode mode)
{
	unsigned m = 0;
	bool required = p->sasl == POLICY_REQUIRED;
	if (p->tls != POLICY_NOT_SUPPORTED && p->sasl != POLICY_NOT_SUPPORTED)
		m |= POLICY_SASL_TLS;
	if (!p->dialback || (mode == POLICY_STRICT && required))
		return m;
	if (p->tls != POLICY_NOT_SUPPORTED && !(p->tls == POLICY_REQUIRED && required))
		m |= POLICY_DIALBACK_TLS;
	if (p->tls != POLICY_REQUIRED)
		m |= POLICY_DIALBACK_TCP;
	return m;
}

static unsigned warnings(const struct policy_partner *p, unsigned methods)
{
	unsigned w = 0;
	if (p->sasl != POLICY_NOT_SUPPORTED && p->tls != POLICY_REQUIRED)
		w |= POLICY_WARN_SASL_NEEDS_TLS;
	if (p->dialback && !(methods & (POLICY_DIALBACK_TLS | POLICY_DIALBACK_TCP)))
		w |= POLICY_WARN_DIALBACK_IDLE;
	if (methods & POLICY_DIALBACK_TCP)
		w |= POLICY_WARN_CLEARTEXT;
	if (p->type == POLICY_PUBLIC_VERIFIED)
		w |= POLICY_WARN_PUBLIC_VERIFIED;
	if (p->n_pins && p->tls != POLICY_REQUIRED)
		w |= POLICY_WARN_PIN_WITHOUT_TLS;
	if (p->n_pins == 1 && p->pin_mode == POLICY_PIN_BLOCK)
		w |= POLICY_WARN_ONE_PIN;
	return w;
}

const char *policy_warning_text(unsigned bit)
{
	switch (bit) {
	case POLICY_WARN_SASL_NEEDS_TLS: return "SASL works only inside TLS, and TLS is not required: streams may fail";
	case POLICY_WARN_DIALBACK_IDLE: return "dialback is on but will never run, because SASL is required";
	case POLICY_WARN_CLEARTEXT: return "messages may cross the network unencrypted, the partner proved by DNS alone";
	case POLICY_WARN_PUBLIC_VERIFIED: return "public-verified is not recommended: use public-unverified for public providers";
	case POLICY_WARN_PIN_WITHOUT_TLS: return "a stream without TLS shows no key: it passes the pins unseen, as TLS is not required";
	case POLICY_WARN_ONE_PIN: return "one pin that blocks: ask the partner for its next key and pin that too, or a new key locks it out";
	default: return "";
	}
}

static bool host_ok(struct slice host)
{
	char z[64];
	unsigned char addr[16];
	if (policy_domain_valid(host))
		return true;
	return slice_cstr(host, z, sizeof z) && !memchr(host.p, 0, host.len) &&
	       (inet_pton(AF_INET, z, addr) == 1 || inet_pton(AF_INET6, z, addr) == 1);
}

static bool domains_ok(const struct policy_partner *p, struct entente_err *err)
{
	if (!policy_domain_valid(p->domain)) {
		err_set(err, ENTENTE_EINVAL, REASON_NONE, "domain: '%.*s' is not a domain in lower-case A-labels",
			SFMT(p->domain));
		return false;
	}
	if (p->n_additional > POLICY_ADDITIONAL_MAX) {
		err_set(err, ENTENTE_EINVAL, REASON_NONE, "additional domains: more than %d", POLICY_ADDITIONAL_MAX);
		return false;
	}
	for (size_t i = 0; i < p->n_additional; i++) {
		struct slice d = p->additional[i];
		bool twice = slice_eq(d, p->domain);
		for (size_t k = 0; k < i; k++)
			twice = twice || slice_eq(d, p->additional[k]);
		if (twice || !policy_pattern_valid(d)) {
			err_set(err, ENTENTE_EINVAL, REASON_NONE, "additional domains: '%.*s' %s", SFMT(d),
				twice ? "is named twice" : "is neither a domain in lower-case A-labels nor *. and one of two labels or more");
			return false;
		}
	}
	return true;
}

int policy_partner_check(const struct policy_partner *p, enum policy_negotiation_mode mode, unsigned *ret_warnings,
			 struct entente_err *err)
{
	if (!domains_ok(p, err))
		return ENTENTE_EINVAL;
	if (p->type > POLICY_PUBLIC_UNVERIFIED || p->tls > POLICY_NOT_SUPPORTED || p->sasl > POLICY_NOT_SUPPORTED)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "type, tls or sasl: not one of the known values");
	if (!slice_empty(p->server_host) && !host_ok(p->server_host))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "server host: '%.*s' is neither a domain nor an IP address",
			       SFMT(p->server_host));
	if (slice_empty(p->server_host) && p->server_port)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE,
			       "server port: needs a server host; without one DNS names the port");
	if (p->description.len > POLICY_DESCRIPTION_MAX || !utf8_valid(p->description) || utf8_has_control(p->description))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "description: at most %d octets of one line of UTF-8",
			       POLICY_DESCRIPTION_MAX);
	if (p->own_certificate > POLICY_OWN_NONE || p->pin_mode > POLICY_PIN_BLOCK || p->n_pins > POLICY_PINS_MAX)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "own certificate or pins: not one of the known values, or more than %d",
			       POLICY_PINS_MAX);
	if (p->protocol > POLICY_PROTOCOL_SIP_FIRST)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "protocol: not one of the known values");
	for (size_t i = 1; i < p->n_pins; i++)
		if (policy_pin_match(p->pins, i, p->pins[i].sha256))
			return err_set(err, ENTENTE_EINVAL, REASON_NONE, "pins: one is named twice");
	if (p->n_pins && p->pin_mode == POLICY_PIN_BLOCK && p->tls != POLICY_REQUIRED)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE,
			       "pins: to block other keys TLS must be required, or a stream without TLS goes round them");
	unsigned m = policy_partner_methods(p, mode);
	if (!m && p->sasl == POLICY_REQUIRED)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "no way to authenticate is left: SASL is required but works "
			       "only inside TLS, which is not supported for this partner");
	if (!m)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE,
			       "no way to authenticate is left: enable dialback, or allow TLS and SASL");
	if (ret_warnings)
		*ret_warnings = warnings(p, m);
	return 0;
}

static const char *const types[] = {"federated", "public-verified", "public-unverified"};
static const char *const negotiations[] = {"required", "optional", "not-supported"};
static const char *const modes[] = {"strict", "lync"};
static const char *const own[] = {"client", "server", "none"};
static const char *const protocols[] = {"xmpp", "sip", "xmpp-first", "sip-first"};
static const char *const pin_modes[] = {"alarm", "block"};

static int find(const char *const *names, int n, struct slice text)
{
	for (int i = 0; i < n; i++)
		if (slice_ieq(slice_str(names[i]), text))
			return i;
	return -1;
}

const char *policy_partner_type_name(enum policy_partner_type t)
{
	return t < 3 ? types[t] : "unknown";
}

bool policy_partner_type_parse(enum policy_partner_type *ret, struct slice text)
{
	int i = find(types, 3, text);
	if (i >= 0)
		*ret = (enum policy_partner_type)i;
	return i >= 0;
}

const char *policy_negotiation_name(enum policy_negotiation n)
{
	return n < 3 ? negotiations[n] : "unknown";
}

bool policy_negotiation_parse(enum policy_negotiation *ret, struct slice text)
{
	int i = find(negotiations, 3, text);
	if (i >= 0)
		*ret = (enum policy_negotiation)i;
	return i >= 0;
}

const char *policy_negotiation_mode_name(enum policy_negotiation_mode m)
{
	return m < 2 ? modes[m] : "unknown";
}

bool policy_negotiation_mode_parse(enum policy_negotiation_mode *ret, struct slice text)
{
	int i = find(modes, 2, text);
	if (i >= 0)
		*ret = (enum policy_negotiation_mode)i;
	return i >= 0;
}

const char *policy_own_certificate_name(enum policy_own_certificate c)
{
	return c < 3 ? own[c] : "unknown";
}

bool policy_own_certificate_parse(enum policy_own_certificate *ret, struct slice text)
{
	int i = find(own, 3, text);
	if (i >= 0)
		*ret = (enum policy_own_certificate)i;
	return i >= 0;
}

const char *policy_protocol_name(enum policy_protocol p)
{
	return p <= POLICY_PROTOCOL_SIP_FIRST ? protocols[p] : "unknown";
}

bool policy_protocol_parse(enum policy_protocol *ret, struct slice text)
{
	int i = find(protocols, 4, text);
	if (i >= 0)
		*ret = (enum policy_protocol)i;
	return i >= 0;
}

const char *policy_pin_mode_name(enum policy_pin_mode m)
{
	return m < 2 ? pin_modes[m] : "unknown";
}

bool policy_pin_mode_parse(enum policy_pin_mode *ret, struct slice text)
{
	int i = find(pin_modes, 2, text);
	if (i >= 0)
		*ret = (enum policy_pin_mode)i;
	return i >= 0;
}
