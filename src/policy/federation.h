/* SPDX-License-Identifier: Apache-2.0 */
/* SIP federation as Lync Server 2013 administers it: the Access Edge configuration, allowed domains, hosting and public IM
 * providers. Plain values that the administrator sets, the store keeps as text (name=value lines) and a snapshot holds; the
 * parameters are the table policy/federation.def. Blocked domains are policy/snapshot.h's. What they mean for a request is
 * policy_decide (policy/decide.h). Slices are borrowed from the caller when given to a function, from the snapshot when looked up
 * in one. Pure, any thread. */
#pragma once
#include "base/buf.h"
#include "policy/snapshot.h"

/* How far a partner's word about its senders is believed. ALWAYS_VERIFIABLE: all are. ALWAYS_UNVERIFIABLE: none; they reach only users
 * who have them as contact. USE_SOURCE: as the message is marked; an unmarked one is refused (default route: unverified). */
enum policy_verification { POLICY_ALWAYS_VERIFIABLE, POLICY_ALWAYS_UNVERIFIABLE, POLICY_USE_SOURCE };
enum policy_routing { POLICY_ROUTE_DNS_SRV, POLICY_ROUTE_DEFAULT };
enum policy_provider_kind { POLICY_HOSTING, POLICY_PUBLIC };

#define POLICY_C_BOOL bool
#define POLICY_C_UINT uint32_t
#define POLICY_C_VERIFICATION enum policy_verification
#define POLICY_C_ROUTING enum policy_routing
#define POLICY_C_FQDN struct slice
#define POLICY_C_DOMAINS struct slice
#define POLICY_C_TEXT struct slice

struct policy_access { /* New-CsAccessEdgeConfiguration; closed by default */
#define ACCESS(member, name, type, def, min, max, lync, help) POLICY_C_##type member;
#include "policy/federation.def"
};
struct policy_allowed { /* New-CsAllowedDomain */
	struct slice domain; /* covers its subdomains too */
#define ALLOWED(member, name, type, def, min, max, lync, help) POLICY_C_##type member;
#include "policy/federation.def"
};
struct policy_provider { /* New-CsHostingProvider, New-CsPublicProvider */
	struct slice name;
	enum policy_provider_kind kind;
#define PROVIDER(member, name, type, def, min, max, lync, help) POLICY_C_##type member;
#include "policy/federation.def"
};
/* Whom a policy of external access concerns; the nearest to a user holds, whole: user before site before global. */
enum policy_scope { POLICY_SCOPE_GLOBAL, POLICY_SCOPE_SITE, POLICY_SCOPE_USER };
struct policy_external { /* New-CsExternalAccessPolicy; closed by default. See policy/external.h */
	struct slice name;   /* "global", "site:Redmond", "tag:Sales" */
	enum policy_scope scope;
#define EXTERNAL(member, name, type, def, min, max, lync, help) POLICY_C_##type member;
#include "policy/federation.def"
};
struct policy_user { /* what policy has to know of one local user, beyond the domain */
	struct slice address; /* bare JID, prepared, the domain in A-labels: "romeo@contoso.example" */
#define USER(member, name, type, def, min, max, lync, help) POLICY_C_##type member;
#include "policy/federation.def"
};

/* ---- the table ---- */
enum policy_field_type {
	POLICY_FIELD_BOOL, POLICY_FIELD_UINT, POLICY_FIELD_VERIFICATION, POLICY_FIELD_ROUTING, POLICY_FIELD_FQDN, POLICY_FIELD_DOMAINS,
	POLICY_FIELD_TEXT,
};
struct policy_field {
	const char *name, *member; /* "proxy-fqdn", "proxy_fqdn" */
	enum policy_field_type type;
	size_t offset;         /* in the struct of its table */
	const char *def;
	uint64_t min, max;
	const char *lync, *help;
};
enum policy_table { POLICY_TABLE_ACCESS, POLICY_TABLE_ALLOWED, POLICY_TABLE_PROVIDER, POLICY_TABLE_EXTERNAL, POLICY_TABLE_USER, POLICY_TABLE_COUNT };
const struct policy_field *policy_fields(enum policy_table t, size_t *ret_n);
const struct policy_field *policy_field_find(enum policy_table t, struct slice name);

/* `object` is the struct of the table. Names (keys, kind) are not touched. */
void policy_fields_defaults(enum policy_table t, void *object);
/* Text to value; slices in it are then borrowed from `value` (FQDNs are lower case A-labels already: policy_domain_import first).
 * ENTENTE_EINVAL with err. */
int policy_field_set(const struct policy_field *f, void *object, struct slice value, struct entente_err *err);
void policy_field_print(const struct policy_field *f, const void *object, struct buf *out);
/* "name=value" lines, every field. */
void policy_fields_write(enum policy_table t, const void *object, struct buf *out);
/* Reads such lines over what the object holds; unknown names are passed over (an older or newer version wrote them). The first
 * malformed value is reported, the rest is read all the same. */
int policy_fields_read(enum policy_table t, void *object, struct slice lines, struct entente_err *err);

const char *policy_verification_name(enum policy_verification v);
const char *policy_routing_name(enum policy_routing r);
const char *policy_provider_kind_name(enum policy_provider_kind k); /* "hosting" "public" */

/* ---- building: as the other snapshot_builder functions; after homes, partners and blocked domains ---- */
enum { SNAPSHOT_ALLOWED_MAX = 100000, SNAPSHOT_PROVIDERS_MAX = 1000, POLICY_PROVIDER_NAME_MAX = 128 };

/* ENTENTE_EEXIST: the domain is allowed or blocked already, is one of ours or an XMPP partner's. */
int snapshot_builder_allow(struct snapshot_builder *b, const struct policy_allowed *a, struct entente_err *err);
/* ENTENTE_EEXIST: the name (of either kind) or the proxy belongs to another provider; ENTENTE_EINVAL: no name or proxy, a parameter
 * of the other kind, or routing is default. */
int snapshot_builder_provider(struct snapshot_builder *b, const struct policy_provider *p, struct entente_err *err);
/* ENTENTE_EINVAL: routing default without a server, or with providers (remove them first); a parameter of the other routing. */
int snapshot_builder_access(struct snapshot_builder *b, const struct policy_access *a, struct entente_err *err);
/* The check alone. `n_providers`: how many there are. */
int policy_access_check(const struct policy_access *a, size_t n_providers, struct entente_err *err);
int policy_provider_check(const struct policy_provider *p, struct entente_err *err);

/* ---- reading ---- */
const struct policy_access *snapshot_access(const struct snapshot *s);
size_t snapshot_allowed_count(const struct snapshot *s);
const struct policy_allowed *snapshot_allowed_at(const struct snapshot *s, size_t index); /* in the order of adding */
/* By the longest suffix; NULL when none covers the domain. */
const struct policy_allowed *snapshot_allowed(const struct snapshot *s, struct slice domain);
size_t snapshot_provider_count(const struct snapshot *s);
const struct policy_provider *snapshot_provider_at(const struct snapshot *s, size_t index); /* in the order of adding */
const struct policy_provider *snapshot_provider(const struct snapshot *s, struct slice name);
const struct policy_provider *snapshot_provider_by_proxy(const struct snapshot *s, struct slice fqdn);
