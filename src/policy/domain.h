/* SPDX-License-Identifier: Apache-2.0 */
/* Domain names as policy knows them: lower-case A-labels (RFC 5890), no final dot. Other text is refused on the data path
 * (an XMPP domain passes xmpp_domain_ascii first), so no two spellings of one domain can meet different rules. Pure, any
 * thread. */
#pragma once
#include "base/slice.h"

enum { POLICY_DOMAIN_MAX = 253 };

struct policy_domain {
	size_t len;
	char text[POLICY_DOMAIN_MAX + 1]; /* NUL-terminated */
};

/* Lower case, one final dot off, labels of 1..63 letters, digits and hyphens (none at the ends), the last label not all
 * digits (that is an address, not a name), 253 octets at most. One label alone is allowed ("localhost"). False when it is
 * not a domain; *ret is then untouched. */
bool policy_domain_make(struct policy_domain *ret, struct slice text);

/* For what people type (configuration, commands): accepts U-labels too and converts them (UTS46 non-transitional). May
 * allocate inside ICU. */
bool policy_domain_import(struct policy_domain *ret, struct slice text);

static inline struct slice policy_domain_slice(const struct policy_domain *d)
{
	return slice_of(d->text, d->len);
}

/* `text` is already what policy_domain_make would give. */
bool policy_domain_valid(struct slice text);

/* A domain, or "*." and a domain of two labels at least: all domains below it, not itself. As policy_domain_make and _import. */
bool policy_pattern_make(struct policy_domain *ret, struct slice text);
bool policy_pattern_import(struct policy_domain *ret, struct slice text);
bool policy_pattern_valid(struct slice text);
/* What stands behind "*."; the domain itself when there is none. */
struct slice policy_pattern_base(struct slice pattern);
