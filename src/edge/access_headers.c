/* SPDX-License-Identifier: Apache-2.0 */
#include "edge/access_headers.h"

static const struct slice trust[] = {
	S("ms-edge-proxy-message-trust"), S("ms-asserted-verification-level"), S("ms-user-data"), S("ms-user-logon-data"),
	S("ms-split-domain-info"), S("ms-application-via"), S("ms-diagnostics"), S("ms-keep-alive"), S("P-Preferred-Identity"),
	S("Remote-Party-ID"), S("Entente-Reason"),
};
static const struct slice trust_prefix[] = {S("ms-received-"), S("P-Charging-")};

static bool is_trust(struct slice name)
{
	for (size_t i = 0; i < sizeof trust / sizeof *trust; i++)
		if (slice_ieq(name, trust[i]))
			return true;
	for (size_t i = 0; i < sizeof trust_prefix / sizeof *trust_prefix; i++)
		if (slice_istarts(name, trust_prefix[i]))
			return true;
	return false;
}

/* Every instance, however it is written. The parser knows none of these names. */
static void strip(struct sip_edit *e)
{
	for (size_t i = 0; i < e->m->n_headers; i++)
		if (e->m->headers[i].id == SIP_H_OTHER && is_trust(e->m->headers[i].name))
			sip_edit_remove(e, e->m->headers[i].line);
}

static bool asserts_only(const struct sip_msg *m, struct slice domain)
{
	struct slice hosts[8];
	size_t n = access_asserted(m, hosts, 8);
	for (size_t i = 0; i < n; i++)
		if (!slice_ieq(hosts[i], domain))
			return false;
	return n > 0;
}

void access_edit_inward(struct sip_edit *e, const struct access_marks *k)
{
	strip(e);
	if (!k->keep_asserted || (k->remote.len && !asserts_only(e->m, k->remote)))
		sip_edit_remove_named(e, S("P-Asserted-Identity"));
	if (!k->source_type)
		return;
	struct slice v = arena_printf(e->arena, "ms-source-type=%s;ms-ep-fqdn=%.*s;ms-source-verified-user=%s;ms-source-network=%s", k->source_type,
				      SFMT(k->edge_name), k->verified ? "verified" : "unverified", k->publiccloud ? "publiccloud" : "federation");
	e->failed |= !v.p;
	sip_edit_append(e, S("ms-edge-proxy-message-trust"), v);
}

/* RFC 3325 9.3: nothing of it when the user wants to be private. */
static bool private(const struct sip_msg *m)
{
	struct slice v = sip_msg_header_named(m, S("Privacy"));
	while (v.p)
		if (slice_ieq(slice_trim(slice_split(&v, ';')), S("id")))
			return true;
	return false;
}

void access_edit_outward(struct sip_edit *e, const struct access_marks *k)
{
	strip(e);
	if (private(e->m) || !asserts_only(e->m, k->local))
		sip_edit_remove_named(e, S("P-Asserted-Identity"));
	if (k->mark)
		sip_edit_append(e, S("ms-asserted-verification-level"),
				k->verified ? S("ms-source-verified-user=verified") : S("ms-source-verified-user=unverified"));
	if (k->disclaimer)
		sip_edit_append(e, S("ms-archiving"), S("true"));
}

enum policy_mark access_mark_of(const struct sip_msg *m)
{
	enum policy_mark mark = POLICY_MARK_NONE;
	for (size_t i = 0; i < m->n_headers; i++) {
		struct slice v;
		if (!slice_ieq(m->headers[i].name, S("ms-asserted-verification-level")))
			continue;
		bool yes = sip_param(m->headers[i].value, S("ms-source-verified-user"), &v) && slice_ieq(v, S("verified"));
		if (mark != POLICY_MARK_NONE && (mark == POLICY_MARK_VERIFIED) != yes)
			return POLICY_MARK_UNVERIFIED;
		mark = yes ? POLICY_MARK_VERIFIED : POLICY_MARK_UNVERIFIED;
	}
	return mark;
}

size_t access_asserted(const struct sip_msg *m, struct slice *ret, size_t max)
{
	struct sip_values it = {0};
	struct slice value;
	size_t n = 0;
	while (sip_msg_next_value(m, SIP_H_P_ASSERTED_IDENTITY, &it, &value)) {
		struct sip_addr a;
		if (n == max) { /* nobody asserts so many */
			ret[max - 1] = S("invalid");
			break;
		}
		bool sip = sip_addr_parse(value, &a) == 0 && (a.uri.scheme == SIP_SCHEME_SIP || a.uri.scheme == SIP_SCHEME_SIPS);
		if (!sip && sip_addr_parse(value, &a) == 0 && a.uri.scheme == SIP_SCHEME_TEL)
			continue; /* names no domain */
		ret[n++] = sip ? a.uri.host : S("invalid");
	}
	return n;
}

const char *access_source_type(enum policy_class c)
{
	switch (c) {
	case POLICY_CLASS_ALLOWED_SERVER:
	case POLICY_CLASS_DEFAULT_ROUTE: return "DirectPartner";
	case POLICY_CLASS_HOSTING:
	case POLICY_CLASS_PUBLIC:
	case POLICY_CLASS_SHARED: return "AuthorizedServer";
	default: return "AutoFederation";
	}
}
