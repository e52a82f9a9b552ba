/* SPDX-License-Identifier: Apache-2.0 */
/* Which object of the administrator's made a rule say what it said, where that stands in the configuration file, and the change of the history that made it so. */
#include "admin/admin_int.h"
#include "base/clock.h"
#include "policy/decide.h"

enum { HISTORY = 500 };

struct search {
	char begin[400]; /* of the change: "allowed-domain fabrikam.example " */
	char other[400];    /* ... or this; empty: nothing else */
	char key[64];    /* of the configuration file; empty: it is not there ... */
	struct slice home, domain; /* ... unless it is this home */
	const char *word; /* and somewhere in it; "": anything */
	json_t *step;
};

/* Does the line set this? Its changes are written "name=value". */
static bool sets(struct slice line, struct slice word)
{
	while (word.len && line.p) {
		struct slice change = slice_split(&line, ' '), name = slice_split(&change, '=');
		if (slice_eq(name, word))
			return true;
	}
	return !word.len;
}

/* A change of many objects has a line for each. */
static int look(void *arg, const struct store_change *ch)
{
	struct search *s = arg;
	char at[CLOCK_TEXT];
	for (struct slice rest = ch->what; rest.p;) {
		struct slice line = slice_split(&rest, '\n');
		bool begins = slice_starts(line, slice_str(s->begin)) || (*s->other && slice_starts(line, slice_str(s->other)));
		if (!begins || !sets(line, slice_str(s->word)))
			continue;
		clock_text_at(ch->at, at);
		json_object_set_new(s->step, "changed", json_sprintf("%s by %.*s: %.*s", at, SFMT(ch->who), SFMT(slice_first(line, 200))));
		return 1;
	}
	return 0;
}

/* One setting of the Access Edge, with its value. */
static void of_access(struct buf *b, struct search *find, struct snapshot *s, const char *name)
{
	const struct policy_field *f = policy_field_find(POLICY_TABLE_ACCESS, slice_str(name));
	buf_printf(b, "access-edge %s=", name);
	if (f)
		policy_field_print(f, snapshot_access(s), b);
	snprintf(find->begin, sizeof find->begin, "access-edge ");
	find->word = name;
}

static void of_provider(struct buf *b, struct search *find, const struct policy_provider *p, const char *name, const char *value)
{
	snprintf(find->begin, sizeof find->begin, "%s-provider %.*s ", policy_provider_kind_name(p->kind), SFMT(p->name));
	buf_printf(b, "%s%s=%s", find->begin, name, value);
}

static void of_allowed(struct buf *b, struct search *find, const struct policy_allowed *a, const char *more)
{
	snprintf(find->begin, sizeof find->begin, "allowed-domain %.*s ", SFMT(a->domain));
	buf_printf(b, "allowed-domain %.*s%s", SFMT(a->domain), more);
}

static void partner(struct buf *b, struct search *find, struct snapshot *s, const struct policy_verdict *v, const struct policy_step *st)
{
	const struct policy_provider *p = v->provider ? v->provider : snapshot_provider(s, st->subject);
	if (st->outcome == POLICY_DENY && v->reason == REASON_POLICY_PARTNER_DISABLED && p)
		of_provider(b, find, p, "enabled", "false");
	else if (st->outcome == POLICY_DENY)
		of_access(b, find, s, "partner-discovery");
	else if (v->cls == POLICY_CLASS_DEFAULT_ROUTE)
		of_access(b, find, s, "default-route-fqdn");
	else if (v->provider)
		of_provider(b, find, v->provider, v->cls == POLICY_CLASS_SHARED ? "shared-address-space" : "enabled", "true");
	else if (v->allowed)
		of_allowed(b, find, v->allowed, "");
	else
		of_access(b, find, s, "partner-discovery");
}

static void verification(struct buf *b, struct search *find, struct snapshot *s, const struct policy_verdict *v)
{
	char more[64];
	if (v->provider)
		of_provider(b, find, v->provider, "verification-level", policy_verification_name(v->provider->verification));
	else if (v->cls == POLICY_CLASS_DEFAULT_ROUTE)
		of_access(b, find, s, "verification-level");
	else if (v->allowed) {
		snprintf(more, sizeof more, " verification-level=%s", policy_verification_name(v->allowed->verification));
		of_allowed(b, find, v->allowed, more);
	} else
		of_access(b, find, s, "discovered-partner-verification-level");
}

/* A home, and its domain, of the configuration file. */
static void of_home(struct buf *b, struct search *find, struct snapshot *s, uint32_t home, struct slice domain)
{
	find->home = snapshot_home(s, home)->name;
	find->domain = domain;
	buf_printf(b, "home %.*s", SFMT(find->home));
	if (domain.len)
		buf_printf(b, ", domain %.*s", SFMT(domain));
}

static void of_setting(struct buf *b, struct search *find, const char *key, bool value)
{
	buf_printf(b, "%s=%s", key, value ? "true" : "false");
	snprintf(find->key, sizeof find->key, "%s", key);
}

static void of_xmpp_partner(struct buf *b, struct search *find, const struct policy_partner *p, const char *name, const char *value)
{
	buf_printf(b, "partner xmpp %.*s%s%s", SFMT(p->domain), name, value);
	snprintf(find->begin, sizeof find->begin, "partner add %.*s ", SFMT(p->domain));
	snprintf(find->other, sizeof find->other, "partner set %.*s ", SFMT(p->domain));
}

/* The rules for XMPP partners, as far as they have other names. */
static void of_xmpp(struct buf *b, struct search *find, struct snapshot *s, const struct policy_verdict *v, struct slice rule, struct slice subject)
{
	uint32_t home;
	if (slice_eq(rule, S("partner-known")) && v->partner)
		of_xmpp_partner(b, find, v->partner, "", "");
	else if (slice_eq(rule, S("partner-enabled")) && v->partner)
		of_xmpp_partner(b, find, v->partner, " enabled=", v->partner->enabled ? "yes" : "no");
	else if (slice_eq(rule, S("partner-network")) && v->partner)
		of_xmpp_partner(b, find, v->partner, " protocol=", policy_protocol_name(v->partner->protocol));
	else if (slice_eq(rule, S("contact")) && v->partner)
		of_xmpp_partner(b, find, v->partner, " type=", policy_partner_type_name(v->partner->type));
	else if (slice_eq(rule, S("xmpp-access")))
		of_setting(b, find, "xmpp.access", snapshot_gateway(s)->xmpp_access);
	else if ((slice_eq(rule, S("loop")) || slice_eq(rule, S("sender-domain"))) && snapshot_local(s, subject, &home))
		of_home(b, find, s, home, subject);
	else if (slice_eq(rule, S("loop")) && snapshot_partner(s, subject))
		of_xmpp_partner(b, find, snapshot_partner(s, subject), "", "");
	else if (slice_eq(rule, S("sender-identity")) && v->home != UINT32_MAX && slice_eq(subject, snapshot_home(s, v->home)->name))
		of_home(b, find, s, v->home, SLICE_NONE);
}

/* The policy, or the record that names one that is not there, or that marks the user. */
static void external(struct buf *b, struct search *find, const struct policy_verdict *v, const struct policy_step *st)
{
	if (v->external && v->reason != REASON_POLICY_BRANCH) {
		snprintf(find->begin, sizeof find->begin, "external-access %.*s ", SFMT(v->external->name));
		buf_printf(b, "external-access %.*s", SFMT(v->external->name));
	} else {
		if (v->reason == REASON_POLICY_BRANCH)
			snprintf(find->begin, sizeof find->begin, "user %.*s ", SFMT(st->subject));
		buf_printf(b, "user %.*s", SFMT(st->subject));
	}
}

void admin_decider(struct admin_call *c, struct snapshot *s, const struct policy_verdict *v, const struct policy_step *st, struct slice local, json_t *ret)
{
	struct search find = {.word = "", .step = ret};
	struct slice rule = slice_str(st->rule);
	struct entente_err err;
	struct buf b;
	char place[4200];
	buf_init(&b, 4096);
	if (st->outcome == POLICY_SKIP) {
		/* it was not asked */
	} else if (slice_eq(rule, S("external-access"))) {
		external(&b, &find, v, st);
	} else if ((slice_eq(rule, S("blocked")) || slice_eq(rule, S("domain-blocked"))) && st->outcome == POLICY_DENY) {
		buf_printf(&b, "blocked-domain %.*s", SFMT(st->subject));
		snprintf(find.begin, sizeof find.begin, "blocked-domain add %.*s", SFMT(st->subject));
	} else if (slice_eq(rule, S("federation"))) {
		of_access(&b, &find, s, "federated-users");
	} else if (slice_eq(rule, S("partner")) && !v->need_srv) {
		partner(&b, &find, s, v, st);
	} else if (slice_eq(rule, S("identity")) && v->identity == POLICY_ID_FIXED && v->allowed) {
		of_allowed(&b, &find, v->allowed, " proxy-fqdn");
	} else if (slice_eq(rule, S("identity")) && v->provider) {
		of_provider(&b, &find, v->provider, "proxy-fqdn", "");
		buf_put(&b, v->provider->proxy_fqdn);
	} else if (slice_eq(rule, S("verification"))) {
		verification(&b, &find, s, v);
	} else if (slice_eq(rule, S("local-domain")) && v->home != UINT32_MAX) {
		of_home(&b, &find, s, v->home, local);
	} else if (slice_eq(rule, S("home")) && v->home != UINT32_MAX) {
		of_home(&b, &find, s, v->home, SLICE_NONE);
	} else {
		of_xmpp(&b, &find, s, v, rule, st->subject);
	}
	if ((*find.key || find.home.len) && c->admin->ops->place && c->admin->ops->place(c->admin->arg, find.key, find.home, find.domain, place, sizeof place))
		admin_set_text(ret, "place", slice_str(place));
	if (b.len)
		admin_set_text(ret, "object", buf_slice(&b));
	if (*find.begin && c->admin->store)
		store_load_history(c->admin->store, HISTORY, look, &find, &err);
	buf_free(&b);
}
