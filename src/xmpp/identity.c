/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/identity.h"

#include "base/arena.h"
#include "xmpp/jid.h"

enum { NAME_MAX_LEN = 1023, SCRATCH = 65536 };

static bool sane(struct slice s)
{
	return !slice_empty(s) && s.len <= NAME_MAX_LEN && !memchr(s.p, 0, s.len);
}

/* One whole-label wildcard on the left, for exactly one label, and never for a top-level domain. */
static bool dns_matches(struct slice pattern, struct slice domain)
{
	if (!sane(pattern))
		return false;
	if (pattern.p[pattern.len - 1] == '.')
		pattern.len--;
	if (!slice_starts(pattern, S("*.")))
		return slice_ieq(pattern, domain);
	struct slice parent = slice_skip(pattern, 2);
	ptrdiff_t dot = slice_find_chr(domain, '.');
	return dot > 0 && slice_find_chr(parent, '.') > 0 && slice_ieq(parent, slice_skip(domain, (size_t)dot + 1));
}

static bool srv_matches(struct slice name, struct slice domain)
{
	static const struct slice prefix = {"_xmpp-server.", 13};
	return sane(name) && slice_istarts(name, prefix) && slice_ieq(slice_skip(name, prefix.len), domain);
}

/* An xmppAddr is UTF-8 and may hold U-labels, so it is prepared like any address first. */
static bool addr_matches(struct arena *a, struct slice addr, struct slice domain)
{
	struct slice prepared, ascii;
	return sane(addr) && xmpp_prep_domain(a, addr, &prepared) == 0 && xmpp_domain_ascii(a, prepared, &ascii) == 0 &&
	       slice_ieq(ascii, domain);
}

enum xmpp_identity xmpp_identity_match(const struct xmpp_cert_names *names, struct slice domain)
{
	enum xmpp_identity found = XMPP_IDENTITY_NONE;
	struct arena *a = arena_new(SCRATCH);
	struct slice ascii;
	if (!sane(domain) || xmpp_domain_ascii(a, domain, &ascii) != 0)
		goto out;
	for (size_t i = 0; i < names->n_srv && !found; i++)
		if (srv_matches(names->srv[i], ascii))
			found = XMPP_IDENTITY_SRV;
	for (size_t i = 0; i < names->n_dns && !found; i++)
		if (dns_matches(names->dns[i], ascii))
			found = XMPP_IDENTITY_DNS;
	for (size_t i = 0; i < names->n_xmpp && !found; i++)
		if (addr_matches(a, names->xmpp[i], ascii))
			found = XMPP_IDENTITY_XMPP;
out:
	arena_release(NULL, a);
	return found;
}

const char *xmpp_identity_text(enum xmpp_identity id)
{
	static const char *const text[] = {"none", "SRVName", "dNSName", "xmppAddr"};
	return text[id];
}
