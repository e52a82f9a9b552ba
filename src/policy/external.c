/* SPDX-License-Identifier: Apache-2.0 */
/* Names of policies are keys in lower case; the policy that holds is found when a user's record is added, and for each home when the
 * snapshot is frozen, so that a decision is one look-up of the user. */
#include "policy/external.h"

#include "base/arena.h"
#include "base/list.h"
#include "base/mem.h"
#include "policy/decide_int.h"
#include "policy/federation_int.h"

struct external_node {
	struct map_node node;
	struct policy_external p;
	size_t grants;
};
struct user_node {
	struct map_node node;
	struct policy_user u;
	const struct policy_external *policy; /* that holds; NULL: the granted one does not exist */
	enum policy_scope scope;
};

/* ---- names */

static const char *const prefixes[] = {"global", "site:", "tag:"};
static const char *const scopes[] = {"global", "site", "user"};

const char *policy_scope_name(enum policy_scope s)
{
	return s <= POLICY_SCOPE_USER ? scopes[s] : "unknown";
}

bool policy_external_name_ok(struct slice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] == ':' || name.p[i] == '*' || name.p[i] == '?')
			return false;
	return name.len && name.p[0] != ' ' && name.p[name.len - 1] != ' ' && federation_line_ok(name, POLICY_EXTERNAL_NAME_MAX) &&
	       !slice_ieq(name, S("global"));
}

int policy_external_parse(enum policy_scope *ret_scope, struct slice *ret_name, struct slice text, struct entente_err *err)
{
	enum policy_scope scope = POLICY_SCOPE_USER;
	struct slice name = text;
	if (slice_ieq(text, slice_str(prefixes[POLICY_SCOPE_GLOBAL]))) {
		*ret_scope = POLICY_SCOPE_GLOBAL;
		*ret_name = SLICE_NONE;
		return 0;
	}
	for (int s = POLICY_SCOPE_SITE; s <= POLICY_SCOPE_USER; s++)
		if (slice_istarts(text, slice_str(prefixes[s]))) {
			scope = (enum policy_scope)s;
			name = slice_skip(text, slice_str(prefixes[s]).len);
		}
	if (!policy_external_name_ok(name))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE,
			       "'%.*s' is no name of an external access policy: global, site:NAME or tag:NAME (or NAME alone), the name of at "
			       "most %d octets and without : * ?, e.g. tag:Sales",
			       SFMT(slice_first(text, 200)), POLICY_EXTERNAL_NAME_MAX);
	*ret_scope = scope;
	*ret_name = name;
	return 0;
}

void policy_external_print(struct buf *out, enum policy_scope scope, struct slice name)
{
	buf_puts(out, prefixes[scope]);
	buf_put(out, name);
}

/* The key of a name: with its prefix, ASCII letters small. */
static struct slice key_of(char mem[POLICY_IDENTITY_MAX], enum policy_scope scope, struct slice name)
{
	struct slice prefix = slice_str(prefixes[scope]);
	size_t n = prefix.len;
	memcpy(mem, prefix.p, prefix.len);
	for (size_t i = 0; i < name.len && n < POLICY_IDENTITY_MAX; i++, n++)
		mem[n] = (char)(name.p[i] + (name.p[i] >= 'A' && name.p[i] <= 'Z' ? 32 : 0));
	return slice_of(mem, n);
}

static struct external_node *find(const struct external *x, enum policy_scope scope, struct slice name)
{
	char mem[POLICY_IDENTITY_MAX];
	struct map_node *n = x->policies.count ? map_find(&x->policies, key_of(mem, scope, name)) : NULL;
	return n ? CONTAINER_OF(n, struct external_node, node) : NULL;
}

/* ---- building */

void external_init(struct external *x)
{
	map_init(&x->policies);
	map_init(&x->users);
	policy_fields_defaults(POLICY_TABLE_EXTERNAL, &x->closed);
	x->closed.name = S("global");
	x->closed.scope = POLICY_SCOPE_GLOBAL;
	x->cap_list = 8;
	x->list = mem_calloc(x->cap_list, sizeof *x->list);
	x->list[x->n_list++] = &x->closed;
}

void external_free(struct external *x)
{
	map_free(&x->policies);
	map_free(&x->users);
	mem_free(x->list);
	mem_free(x->of_home);
}

static int too_large(struct entente_err *err)
{
	return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the policy data is too large");
}

int snapshot_builder_external(struct snapshot_builder *b, const struct policy_external *in, struct entente_err *err)
{
	struct snapshot *s = snapshot_of(b);
	struct external *x = snapshot_externals(s);
	struct arena *a = snapshot_arena(s);
	char mem[POLICY_IDENTITY_MAX];
	enum policy_scope scope;
	struct slice name;
	int rc = policy_external_parse(&scope, &name, in->name, err);
	if (rc)
		return rc;
	if (find(x, scope, name))
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "there is an external access policy %.*s already", SFMT(in->name));
	if (x->n_list >= SNAPSHOT_EXTERNAL_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "too many external access policies");
	struct external_node *n = ARENA_NEW(a, struct external_node);
	if (!n)
		return too_large(err);
	n->p = *in;
	n->p.scope = scope;
	n->p.name = ARENA_JOIN(a, slice_str(prefixes[scope]), name);
	n->grants = 0;
	struct slice key = arena_dup(a, key_of(mem, scope, name));
	if (!n->p.name.p || !key.p || !federation_own(a, POLICY_TABLE_EXTERNAL, &n->p))
		return too_large(err);
	map_insert(&x->policies, &n->node, key);
	if (scope == POLICY_SCOPE_GLOBAL) {
		x->list[0] = &n->p;
		return 0;
	}
	if (x->n_list == x->cap_list) {
		x->cap_list *= 2;
		x->list = mem_realloc(x->list, x->cap_list * sizeof *x->list);
	}
	x->list[x->n_list++] = &n->p;
	return 0;
}

/* "local@domain" as records are keyed; empty: it cannot be one. */
static struct slice address_key(char mem[POLICY_USER_MAX], struct slice local, struct slice domain)
{
	struct policy_domain d;
	if (slice_empty(local) || local.len > POLICY_USER_MAX - 1 - POLICY_DOMAIN_MAX || !policy_domain_make(&d, domain))
		return SLICE_NONE;
	memcpy(mem, local.p, local.len);
	mem[local.len] = '@';
	memcpy(mem + local.len + 1, d.text, d.len);
	return slice_of(mem, local.len + 1 + d.len);
}

static struct slice home_site(const struct snapshot *s, struct slice domain)
{
	uint32_t home;
	return snapshot_local(s, domain, &home) ? snapshot_home(s, home)->site : SLICE_NONE;
}

/* Of a site, else the global one. */
static const struct policy_external *of_site(const struct external *x, struct slice site, enum policy_scope *ret_scope)
{
	const struct external_node *n = slice_empty(site) ? NULL : find(x, POLICY_SCOPE_SITE, site);
	*ret_scope = n ? POLICY_SCOPE_SITE : POLICY_SCOPE_GLOBAL;
	return n ? &n->p : x->list[0];
}

int snapshot_builder_user(struct snapshot_builder *b, const struct policy_user *in, struct entente_err *err)
{
	struct snapshot *s = snapshot_of(b);
	struct external *x = snapshot_externals(s);
	struct arena *a = snapshot_arena(s);
	char mem[POLICY_USER_MAX];
	struct slice domain = in->address, local = slice_split(&domain, '@'), key = address_key(mem, local, domain);
	if (slice_empty(key) || !federation_line_ok(local, POLICY_USER_MAX))
		return err_set(err, ENTENTE_EINVAL, REASON_ADDRESS_MALFORMED, "'%.*s' is not the address of a user, e.g. romeo@contoso.example",
			       SFMT(slice_first(in->address, 200)));
	if ((in->site.len && !policy_external_name_ok(in->site)) || (in->policy.len && !policy_external_name_ok(in->policy)))
		return err_set(err, ENTENTE_EINVAL, REASON_NONE, "the user %.*s has a site or a policy that cannot be one: at most %d octets, without : * ?",
			       SFMT(key), POLICY_EXTERNAL_NAME_MAX);
	if (map_find(&x->users, key))
		return err_set(err, ENTENTE_EEXIST, REASON_NONE, "there is a record of the user %.*s already", SFMT(key));
	if (x->users.count >= SNAPSHOT_USERS_MAX)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "too many users");
	struct user_node *n = ARENA_NEW(a, struct user_node);
	if (!n)
		return too_large(err);
	n->u = *in;
	n->u.address = arena_dup(a, key);
	if (!n->u.address.p || !federation_own(a, POLICY_TABLE_USER, &n->u))
		return too_large(err);
	if (n->u.policy.len) {
		struct external_node *granted = find(x, POLICY_SCOPE_USER, n->u.policy);
		n->scope = POLICY_SCOPE_USER;
		n->policy = granted ? &granted->p : NULL;
		if (granted)
			granted->grants++;
	} else {
		n->policy = of_site(x, n->u.site.len ? n->u.site : home_site(s, domain), &n->scope);
	}
	map_insert(&x->users, &n->node, n->u.address);
	return 0;
}

void external_freeze(struct external *x, const struct snapshot *s)
{
	enum policy_scope scope;
	size_t n = snapshot_home_count(s);
	x->of_home = n ? mem_calloc(n, sizeof *x->of_home) : NULL;
	for (size_t i = 0; i < n; i++)
		x->of_home[i] = of_site(x, snapshot_home(s, i)->site, &scope);
}

/* ---- reading */

size_t snapshot_external_count(const struct snapshot *s)
{
	return snapshot_externals(s)->n_list;
}

const struct policy_external *snapshot_external_at(const struct snapshot *s, size_t index)
{
	return snapshot_externals(s)->list[index];
}

const struct policy_external *snapshot_external(const struct snapshot *s, struct slice text)
{
	const struct external *x = snapshot_externals(s);
	enum policy_scope scope;
	struct slice name;
	if (policy_external_parse(&scope, &name, text, NULL))
		return NULL;
	if (scope == POLICY_SCOPE_GLOBAL)
		return x->list[0];
	const struct external_node *n = find(x, scope, name);
	return n ? &n->p : NULL;
}

size_t snapshot_external_grants(const struct snapshot *s, const struct policy_external *p)
{
	return p == &snapshot_externals(s)->closed ? 0 : CONTAINER_OF(p, const struct external_node, p)->grants;
}

size_t snapshot_user_count(const struct snapshot *s)
{
	return snapshot_externals(s)->users.count;
}

static const struct user_node *record(const struct snapshot *s, struct slice local, struct slice domain)
{
	const struct external *x = snapshot_externals(s);
	char mem[POLICY_USER_MAX];
	struct slice key = x->users.count ? address_key(mem, local, domain) : SLICE_NONE;
	struct map_node *n = key.len ? map_find(&x->users, key) : NULL;
	return n ? CONTAINER_OF(n, const struct user_node, node) : NULL;
}

const struct policy_user *snapshot_user(const struct snapshot *s, struct slice local, struct slice domain)
{
	const struct user_node *n = record(s, local, domain);
	return n ? &n->u : NULL;
}

static void holder(const struct snapshot *s, struct slice local, struct slice domain, uint32_t home, struct policy_holder *ret)
{
	const struct external *x = snapshot_externals(s);
	const struct user_node *n = record(s, local, domain);
	const struct policy_external *of_home = home == UINT32_MAX ? x->list[0] : x->of_home[home];
	*ret = (struct policy_holder){.policy = n ? n->policy : of_home, .user = n ? &n->u : NULL, .scope = n ? n->scope : of_home->scope};
	ret->site = n && n->u.site.len ? n->u.site : home == UINT32_MAX ? SLICE_NONE : snapshot_home(s, home)->site;
}

void snapshot_holder(const struct snapshot *s, struct slice local, struct slice domain, struct policy_holder *ret)
{
	uint32_t home = UINT32_MAX;
	snapshot_local(s, domain, &home);
	holder(s, local, domain, home, ret);
}

/* ---- the rule */

enum need { NEED_FEDERATION, NEED_XMPP, NEED_BOTH, NEED_PUBLIC, NEED_CALLS, NEEDS };

/* Of each scope, what a policy allows or does not. */
#define TEXTS(who)                                                                                                                       \
	{                                                                                                                                \
		{who " allows SIP federation", who " does not allow SIP federation"},                                                     \
		{who " allows XMPP", who " does not allow XMPP"},                                                                         \
		{who " allows XMPP", who " allows neither federation nor XMPP, and XMPP needs both"},                                     \
		{who " allows public providers", who " does not allow public providers"},                                                 \
		{who " allows calls with public providers", who " does not allow calls with users of public providers"},                  \
	}
static const char *const texts[][NEEDS][2] = {TEXTS("the global policy"), TEXTS("the policy of the user's site"), TEXTS("the policy granted to the user")};

static enum policy_outcome judge(struct judge *j, const struct policy_holder *h, enum need need, unsigned lacks)
{
	const char *const *text = texts[h->scope][need];
	j->v->lacks = lacks;
	return lacks ? deny(j, REASON_POLICY_USER_DENIED, text[1], h->policy->name) : pass(j, text[0], h->policy->name);
}

static enum policy_outcome judge_sip(struct judge *j, const struct policy_holder *h)
{
	const struct policy_external *p = h->policy;
	bool public = j->v->cls == POLICY_CLASS_PUBLIC ||
		      (j->v->cls == POLICY_CLASS_DEFAULT_ROUTE && snapshot_access(j->s)->public_provider);
	if (!public)
		return judge(j, h, NEED_FEDERATION, p->federation ? 0 : POLICY_LACKS_FEDERATION);
	unsigned lacks = p->public_cloud ? 0 : POLICY_LACKS_PUBLIC;
	if (!j->q->sip->media)
		return judge(j, h, NEED_PUBLIC, lacks);
	lacks |= p->public_cloud_av ? 0 : POLICY_LACKS_PUBLIC_AV;
	return judge(j, h, NEED_CALLS, lacks);
}

static enum policy_outcome judge_xmpp(struct judge *j, const struct policy_holder *h)
{
	const struct policy_external *p = h->policy;
	unsigned lacks = (p->federation ? 0 : POLICY_LACKS_FEDERATION) | (p->xmpp ? 0 : POLICY_LACKS_XMPP);
	if (h->user && h->user->branch)
		return deny(j, REASON_POLICY_BRANCH, "the user is on a survivable branch appliance", h->user->address);
	return judge(j, h, lacks == POLICY_LACKS_FEDERATION ? NEED_FEDERATION : lacks == POLICY_LACKS_XMPP ? NEED_XMPP : NEED_BOTH, lacks);
}

enum policy_outcome policy_judge_external(struct judge *j)
{
	const struct policy_party *user = !inbound(j) ? &j->q->from : j->q->user ? j->q->user : &j->q->to;
	struct policy_holder h;
	if (j->v->transit || (j->q->transit && !inbound(j)))
		return skip(j, "no user of ours is concerned: both sides are partners");
	if (j->q->kind == POLICY_STREAM || (slice_empty(user->user) && (!j->q->sip || j->q->kind == POLICY_REQUEST)))
		return skip(j, "no local user is concerned");
	if (user == j->q->user)
		snapshot_holder(j->s, user->user, user->domain, &h);
	else
		holder(j->s, user->user, user->domain, j->v->home, &h);
	j->v->external = h.policy;
	if (!h.policy)
		return deny(j, REASON_POLICY_USER_DENIED, "the policy granted to the user does not exist, so nothing is allowed", h.user->policy);
	return j->q->sip ? judge_sip(j, &h) : judge_xmpp(j, &h);
}
