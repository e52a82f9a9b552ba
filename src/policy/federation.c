/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/federation.h"

#include <stddef.h>
#include "base/list.h"
#include "base/mem.h"
#include "policy/federation_int.h"

/* ---- the table */

static const struct policy_field access_fields[] = {
#define ACCESS(member, name, type, def, min, max, lync, help) \
	{name, #member, POLICY_FIELD_##type, offsetof(struct policy_access, member), def, min, max, lync, help},
#include "policy/federation.def"
};
static const struct policy_field allowed_fields[] = {
#define ALLOWED(member, name, type, def, min, max, lync, help) \
	{name, #member, POLICY_FIELD_##type, offsetof(struct policy_allowed, member), def, min, max, lync, help},
#include "policy/federation.def"
};
static const struct policy_field provider_fields[] = {
#define PROVIDER(member, name, type, def, min, max, lync, help) \
	{name, #member, POLICY_FIELD_##type, offsetof(struct policy_provider, member), def, min, max, lync, help},
#include "policy/federation.def"
};

static const struct policy_field external_fields[] = {
#define EXTERNAL(member, name, type, def, min, max, lync, help) \
	{name, #member, POLICY_FIELD_##type, offsetof(struct policy_external, member), def, min, max, lync, help},
#include "policy/federation.def"
};
static const struct policy_field user_fields[] = {
#define USER(member, name, type, def, min, max, lync, help) \
	{name, #member, POLICY_FIELD_##type, offsetof(struct policy_user, member), def, min, max, lync, help},
#include "policy/federation.def"
};

const struct policy_field *policy_fields(enum policy_table t, size_t *ret_n)
{
	switch (t) {
	case POLICY_TABLE_EXTERNAL: *ret_n = sizeof external_fields / sizeof *external_fields; return external_fields;
	case POLICY_TABLE_USER: *ret_n = sizeof user_fields / sizeof *user_fields; return user_fields;
	case POLICY_TABLE_ACCESS: *ret_n = sizeof access_fields / sizeof *access_fields; return access_fields;
	case POLICY_TABLE_ALLOWED: *ret_n = sizeof allowed_fields / sizeof *allowed_fields; return allowed_fields;
	default: *ret_n = sizeof provider_fields / sizeof *provider_fields; return provider_fields;
	}
}

const struct policy_field *policy_field_find(enum policy_table t, struct slice name)
{
	size_t n;
	const struct policy_field *f = policy_fields(t, &n);
	for (size_t i = 0; i < n; i++)
		if (slice_eq(slice_str(f[i].name), name))
			return &f[i];
	return NULL;
}

static const char *const verifications[] = {"always-verifiable", "always-unverifiable", "use-source-verification"};
static const char *const routings[] = {"dns-srv", "default"};

const char *policy_verification_name(enum policy_verification v)
{
	return v <= POLICY_USE_SOURCE ? verifications[v] : "unknown";
}

const char *policy_routing_name(enum policy_routing r)
{
	return r <= POLICY_ROUTE_DEFAULT ? routings[r] : "unknown";
}

const char *policy_provider_kind_name(enum policy_provider_kind k)
{
	return k == POLICY_HOSTING ? "hosting" : "public";
}

static int word(const char *const *list, size_t n, struct slice value)
{
	for (size_t i = 0; i < n; i++)
		if (slice_ieq(slice_str(list[i]), value))
			return (int)i;
	return -1;
}

static bool domains_ok(struct slice value)
{
	while (value.p) {
		struct slice one = slice_split(&value, ' ');
		if (one.len && !policy_domain_valid(one))
			return false;
	}
	return true;
}

bool federation_line_ok(struct slice value, uint64_t max)
{
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.p[i] < ' ' || value.p[i] == 127)
			return false;
	return value.len <= max;
}

int policy_field_set(const struct policy_field *f, void *object, struct slice value, struct entente_err *err)
{
	void *at = (char *)object + f->offset;
	uint64_t n;
	int w;
	switch (f->type) {
	case POLICY_FIELD_BOOL:
		if (slice_ieq(value, S("true")) || slice_ieq(value, S("yes")) || slice_ieq(value, S("false")) || slice_ieq(value, S("no"))) {
			*(bool *)at = slice_ieq(value, S("true")) || slice_ieq(value, S("yes"));
			return 0;
		}
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "%s must be true or false", f->name);
	case POLICY_FIELD_UINT:
		if (!slice_u64(value, f->max, &n) || n < f->min)
			return err_set(err, ENTENTE_EINVAL, REASON_NONE, "%s must be a number from %llu to %llu", f->name,
				       (unsigned long long)f->min, (unsigned long long)f->max);
		*(uint32_t *)at = (uint32_t)n;
		return 0;
	case POLICY_FIELD_VERIFICATION:
		if ((w = word(verifications, 3, value)) < 0)
			return err_set(err, ENTENTE_EINVAL, REASON_NONE,
				       "%s must be always-verifiable, always-unverifiable or use-source-verification", f->name);
		*(enum policy_verification *)at = (enum policy_verification)w;
		return 0;
	case POLICY_FIELD_ROUTING:
		if ((w = word(routings, 2, value)) < 0)
			return err_set(err, ENTENTE_EINVAL, REASON_NONE, "%s must be dns-srv or default", f->name);
		*(enum policy_routing *)at = (enum policy_routing)w;
		return 0;
	case POLICY_FIELD_FQDN:
		if (value.len && !policy_domain_valid(value))
			return err_set(err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "%s must be a host name", f->name);
		break;
	case POLICY_FIELD_DOMAINS:
		if (value.len > f->max || !domains_ok(value))
			return err_set(err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "%s must be domains, separated by spaces", f->name);
		break;
	case POLICY_FIELD_TEXT:
		if (!federation_line_ok(value, f->max))
			return err_set(err, ENTENTE_EINVAL, REASON_NONE, "%s must be one line of at most %llu octets", f->name,
				       (unsigned long long)f->max);
		break;
	}
	*(struct slice *)at = value;
	return 0;
}

void policy_field_print(const struct policy_field *f, const void *object, struct buf *out)
{
	const void *at = (const char *)object + f->offset;
	switch (f->type) {
	case POLICY_FIELD_BOOL: buf_puts(out, *(const bool *)at ? "true" : "false"); break;
	case POLICY_FIELD_UINT: buf_u64(out, *(const uint32_t *)at); break;
	case POLICY_FIELD_VERIFICATION: buf_puts(out, policy_verification_name(*(const enum policy_verification *)at)); break;
	case POLICY_FIELD_ROUTING: buf_puts(out, policy_routing_name(*(const enum policy_routing *)at)); break;
	default: buf_put(out, *(const struct slice *)at);
	}
}

void policy_fields_defaults(enum policy_table t, void *object)
{
	size_t n;
	const struct policy_field *f = policy_fields(t, &n);
	for (size_t i = 0; i < n; i++)
		policy_field_set(&f[i], object, slice_str(f[i].def), NULL);
}

void policy_fields_write(enum policy_table t, const void *object, struct buf *out)
{
	size_t n;
	const struct policy_field *f = policy_fields(t, &n);
	for (size_t i = 0; i < n; i++) {
		buf_puts(out, f[i].name);
		buf_putc(out, '=');
		policy_field_print(&f[i], object, out);
		buf_putc(out, '\n');
	}
}

int policy_fields_read(enum policy_table t, void *object, struct slice lines, struct entente_err *err)
{
	int rc = 0;
	while (lines.len) {
		struct slice value = slice_split(&lines, '\n'), name = slice_split(&value, '=');
		const struct policy_field *f = policy_field_find(t, name);
		if (f && policy_field_set(f, object, value.p ? value : S(""), rc ? NULL : err))
			rc = ENTENTE_EINVAL;
	}
	return rc;
}

/* ---- checks */

int policy_access_check(const struct policy_access *a, size_t n_providers, struct entente_err *err)
{
	bool fixed = a->routing == POLICY_ROUTE_DEFAULT;
	if (fixed && slice_empty(a->default_route))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "routing default needs default-route-fqdn");
	if (fixed && n_providers)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE,
			       "routing default cannot be used with hosting or public providers: remove them first");
	if (fixed && a->discovery)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "partner-discovery needs routing dns-srv");
	if (fixed && a->clearing_house)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "clearing-house needs routing dns-srv");
	if (!fixed && !slice_empty(a->default_route))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "default-route-fqdn needs routing default");
	if (!fixed && a->public_provider)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "is-public-provider needs routing default");
	return 0;
}

int policy_provider_check(const struct policy_provider *p, struct entente_err *err)
{
	bool public = p->kind == POLICY_PUBLIC;
	if (slice_empty(p->name) || p->name.len > POLICY_PROVIDER_NAME_MAX || !federation_line_ok(p->name, POLICY_PROVIDER_NAME_MAX))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "a provider needs a name of at most %d octets", POLICY_PROVIDER_NAME_MAX);
	if (slice_empty(p->proxy_fqdn))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "the provider %.*s needs proxy-fqdn", SFMT(p->name));
	if (public && (p->shared_address_space || p->hosts_users || p->is_local))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE,
			       "shared-address-space, hosts-ocs-users and is-local are for hosting providers only");
	if (!public && (!slice_empty(p->routing_domain) || !slice_empty(p->excluded_domains)))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "name decoration is for public providers only");
	return 0;
}

/* ---- building */

struct allowed_node {
	struct map_node node;
	struct policy_allowed a;
};
struct provider_node {
	struct map_node by_name, by_proxy;
	struct policy_provider p;
};

void federation_init(struct federation *f)
{
	policy_fields_defaults(POLICY_TABLE_ACCESS, &f->access);
	map_init(&f->allowed);
	map_init(&f->names);
	map_init(&f->proxies);
}

void federation_free(struct federation *f)
{
	map_free(&f->allowed);
	map_free(&f->names);
	map_free(&f->proxies);
	mem_free(f->list);
	mem_free(f->providers);
}

bool federation_own(struct arena *a, enum policy_table t, void *object)
{
	size_t n;
	const struct policy_field *f = policy_fields(t, &n);
	for (size_t i = 0; i < n; i++) {
		struct slice *s = (struct slice *)(void *)((char *)object + f[i].offset);
		if (f[i].type >= POLICY_FIELD_FQDN && !(*s = arena_dup(a, *s)).p)
			return false;
	}
	return true;
}

static int too_large(struct entente_err *err)
{
	return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the policy data is too large");
}

int snapshot_builder_allow(struct snapshot_builder *b, const struct policy_allowed *in, struct entente_err *err)
{
	struct snapshot *s = snapshot_of(b);
	struct federation *f = snapshot_federation(s);
	struct policy_domain d;
	if (!policy_domain_make(&d, in->domain))
		return err_set(err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "'%.*s' is not a domain in A-labels", SFMT(in->domain));
	struct slice key = policy_domain_slice(&d);
	if (map_find(&f->allowed, key))
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "%.*s is allowed already", SFMT(key));
	if (snapshot_blocked_itself(s, key))
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "%.*s is blocked: a domain can be on one of the lists only", SFMT(key));
	if (snapshot_local(s, key, NULL))
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "%.*s is one of our own domains", SFMT(key));
	if (!policy_partner_by_sip(snapshot_partner(s, key)))
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "%.*s belongs to an XMPP partner", SFMT(key));
	if (f->n_list >= SNAPSHOT_ALLOWED_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "too many allowed domains");
	struct allowed_node *n = ARENA_NEW(snapshot_arena(s), struct allowed_node);
	if (!n)
		return too_large(err);
	n->a = *in;
	n->a.domain = arena_dup(snapshot_arena(s), key);
	if (!n->a.domain.p || !federation_own(snapshot_arena(s), POLICY_TABLE_ALLOWED, &n->a))
		return too_large(err);
	map_insert(&f->allowed, &n->node, n->a.domain);
	if (f->n_list == f->cap_list) {
		f->cap_list = f->cap_list ? 2 * f->cap_list : 16;
		f->list = mem_realloc(f->list, f->cap_list * sizeof *f->list);
	}
	f->list[f->n_list++] = &n->a;
	return 0;
}

int snapshot_builder_provider(struct snapshot_builder *b, const struct policy_provider *in, struct entente_err *err)
{
	struct snapshot *s = snapshot_of(b);
	struct federation *f = snapshot_federation(s);
	int rc = policy_provider_check(in, err);
	if (rc)
		return rc;
	if (f->access.routing == POLICY_ROUTE_DEFAULT)
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "providers cannot be used with routing default");
	if (map_find(&f->names, in->name))
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "there is a provider %.*s already", SFMT(in->name));
	const struct policy_provider *same = snapshot_provider_by_proxy(s, in->proxy_fqdn);
	if (same)
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "%.*s is the server of the provider %.*s already", SFMT(in->proxy_fqdn),
			       SFMT(same->name));
	if (f->n_providers >= SNAPSHOT_PROVIDERS_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "too many providers");
	struct provider_node *n = ARENA_NEW(snapshot_arena(s), struct provider_node);
	if (!n)
		return too_large(err);
	n->p = *in;
	n->p.name = arena_dup(snapshot_arena(s), in->name);
	if (!n->p.name.p || !federation_own(snapshot_arena(s), POLICY_TABLE_PROVIDER, &n->p))
		return too_large(err);
	map_insert(&f->names, &n->by_name, n->p.name);
	map_insert(&f->proxies, &n->by_proxy, n->p.proxy_fqdn);
	if (f->n_providers == f->cap_providers) {
		f->cap_providers = f->cap_providers ? 2 * f->cap_providers : 8;
		f->providers = mem_realloc(f->providers, f->cap_providers * sizeof *f->providers);
	}
	f->providers[f->n_providers++] = &n->p;
	return 0;
}

int snapshot_builder_access(struct snapshot_builder *b, const struct policy_access *a, struct entente_err *err)
{
	struct snapshot *s = snapshot_of(b);
	struct federation *f = snapshot_federation(s);
	int rc = policy_access_check(a, f->n_providers, err);
	struct policy_access copy = *a;
	if (rc)
		return rc;
	if (!federation_own(snapshot_arena(s), POLICY_TABLE_ACCESS, &copy))
		return too_large(err);
	f->access = copy;
	return 0;
}

/* ---- reading */

const struct policy_access *snapshot_access(const struct snapshot *s)
{
	return &snapshot_federation(s)->access;
}

size_t snapshot_allowed_count(const struct snapshot *s)
{
	return snapshot_federation(s)->n_list;
}

const struct policy_allowed *snapshot_allowed_at(const struct snapshot *s, size_t index)
{
	return snapshot_federation(s)->list[index];
}

const struct policy_allowed *snapshot_allowed(const struct snapshot *s, struct slice domain)
{
	const struct federation *f = snapshot_federation(s);
	struct policy_domain d;
	if (!f->n_list || !policy_domain_make(&d, domain))
		return NULL;
	for (struct slice rest = policy_domain_slice(&d); !slice_empty(rest); slice_split(&rest, '.')) {
		struct map_node *n = map_find(&f->allowed, rest);
		if (n)
			return &CONTAINER_OF(n, struct allowed_node, node)->a;
	}
	return NULL;
}

size_t snapshot_provider_count(const struct snapshot *s)
{
	return snapshot_federation(s)->n_providers;
}

const struct policy_provider *snapshot_provider_at(const struct snapshot *s, size_t index)
{
	return snapshot_federation(s)->providers[index];
}

const struct policy_provider *snapshot_provider(const struct snapshot *s, struct slice name)
{
	struct map_node *n = map_find(&snapshot_federation(s)->names, name);
	return n ? &CONTAINER_OF(n, struct provider_node, by_name)->p : NULL;
}

const struct policy_provider *snapshot_provider_by_proxy(const struct snapshot *s, struct slice fqdn)
{
	struct policy_domain d;
	struct map_node *n = policy_domain_make(&d, fqdn) ? map_find(&snapshot_federation(s)->proxies, policy_domain_slice(&d)) : NULL;
	return n ? &CONTAINER_OF(n, struct provider_node, by_proxy)->p : NULL;
}
