/* SPDX-License-Identifier: Apache-2.0 */
/* `explain`: builds the question that the data path would ask, asks policy_decide, and says what came out in words. */
#include "admin/admin_int.h"
#include "admin/external.h"
#include "policy/decide.h"

struct side {
	struct slice given;
	char jid[ADMIN_ADDRESS_MAX];
	bool is_sip, xmpp_scheme;
	struct policy_party party; /* in jid */
};

struct asking {
	struct admin_call *c;
	struct snapshot *s;
	struct side from, to;
	struct policy_question q;
	enum policy_kind kind;
	struct policy_sip sip; /* what is supposed of a SIP partner */
	struct slice name, target;
	char host[POLICY_DOMAIN_MAX + 8];
};

static const char *const kind_texts[POLICY_KIND_COUNT] = {"a message", "a presence subscription", "a presence probe", "presence", "an IQ request",
							   "a stream", "a session", "a SIP request"};

static void facts(struct asking *a, enum reason reason, const char *text)
{
	const struct reason_info *r = reason_info(reason);
	json_t *d = a->c->data;
	json_object_set_new(d, "kind", json_string(policy_kind_name(a->kind)));
	json_object_set_new(d, "allowed", json_boolean(!text));
	if (!text) {
		static const char *const none[] = {"reason", "text", "who", "next_step", "sip_status", "xmpp_condition"};
		for (size_t i = 0; i < sizeof none / sizeof *none; i++)
			json_object_set_new(d, none[i], json_null());
		return;
	}
	json_object_set_new(d, "reason", json_string(r->id));
	admin_set_text(d, "text", slice_str(text));
	json_object_set_new(d, "who", json_string(r->who));
	json_object_set_new(d, "sip_status", json_integer(r->sip_status));
	json_object_set_new(d, "xmpp_condition", json_string(r->xmpp_condition));
}

static void next_step(struct asking *a, enum reason reason, const struct admin_remedy_names *names)
{
	struct buf b;
	buf_init(&b, 65536);
	admin_remedy_print(&b, reason, names);
	admin_set_text(a->c->data, "next_step", buf_slice(&b));
	buf_free(&b);
}

/* An address that the data path would refuse is a verdict too. */
static int side_read(struct asking *a, struct side *side, const char *name, enum reason *ret_reason)
{
	struct entente_err err = {0};
	struct admin_call *c = a->c;
	side->given = admin_arg_text(c, name);
	side->xmpp_scheme = slice_istarts(side->given, S("xmpp:"));
	int r = c->admin->ops->address(c->admin->arg, side->given, &side->is_sip, side->jid, sizeof side->jid, &err);
	if (r) {
		const char *text = *err.text ? err.text : reason_info(err.reason)->text;
		if (err.reason == REASON_NONE)
			return admin_fail(c, ADMIN_EXIT_USAGE, "usage", "sip:user@domain, xmpp:user@domain or user@domain is wanted", "--%s: %s",
					  name, text);
		admin_set_text(c->data, name, side->given);
		facts(a, err.reason, text);
		*ret_reason = err.reason;
		next_step(a, err.reason, NULL);
		return ADMIN_EXIT_FINDING;
	}
	struct slice rest = slice_str(side->jid), first = slice_split(&rest, '@');
	side->party = rest.p ? (struct policy_party){first, rest} : (struct policy_party){SLICE_NONE, first};
	admin_set_text(c->data, name, slice_str(side->jid));
	return ADMIN_EXIT_OK;
}

/* Whose domain is ours decides; else what the addresses look like. */
static enum policy_direction direction(const struct asking *a)
{
	struct slice given = admin_arg_text(a->c, "direction");
	if (slice_eq(given, S("to-local")))
		return POLICY_TO_LOCAL;
	if (slice_eq(given, S("to-remote")) || snapshot_local(a->s, a->from.party.domain, NULL))
		return POLICY_TO_REMOTE;
	if (snapshot_local(a->s, a->to.party.domain, NULL) || snapshot_partner(a->s, a->from.party.domain))
		return POLICY_TO_LOCAL;
	if (snapshot_partner(a->s, a->to.party.domain))
		return POLICY_TO_REMOTE;
	return a->from.is_sip && !a->to.is_sip ? POLICY_TO_REMOTE : POLICY_TO_LOCAL;
}

static void assume(struct asking *a, json_t *list)
{
	struct policy_question *q = &a->q;
	struct buf b;
	uint32_t home;
	buf_init(&b, 65536);
	if (q->direction == POLICY_TO_LOCAL) {
		q->peer = admin_arg_given(a->c, "peer") ? admin_arg_text(a->c, "peer") : q->from.domain;
		buf_printf(&b, "the partner's connection has proved the domain %.*s", SFMT(q->peer));
	} else if (snapshot_local(a->s, q->from.domain, &home)) {
		q->peer_home = home + 1;
		buf_printf(&b, "it comes from the home %.*s", SFMT(snapshot_home(a->s, home)->name));
	}
	if (b.len)
		json_array_append_new(list, admin_json_text(buf_slice(&b)));
	buf_free(&b);
}

/* What DNS names for the remote domain: --srv, else the usual name. */
static void assume_srv(struct asking *a, struct slice remote, json_t *list)
{
	struct slice srv = a->q.transit ? SLICE_NONE : admin_arg_text(a->c, "srv"); /* the options are about the sender's side */
	struct buf b;
	buf_init(&b, 65536);
	if (slice_empty(srv))
		snprintf(a->host, sizeof a->host, "sip.%.*s", SFMT(remote));
	else
		slice_cstr(srv, a->host, sizeof a->host);
	a->sip.srv = slice_eq(srv, S("none")) ? POLICY_SRV_NONE : slice_eq(srv, S("failed")) ? POLICY_SRV_FAILED : POLICY_SRV_FOUND;
	if (a->sip.srv == POLICY_SRV_FOUND) {
		a->target = slice_str(a->host);
		a->sip.targets = &a->target;
		a->sip.n_targets = 1;
		buf_printf(&b, "DNS was not asked: _sipfederationtls._tcp.%.*s names %s", SFMT(remote), a->host);
	} else {
		buf_printf(&b, a->sip.srv == POLICY_SRV_NONE ? "there is no record _sipfederationtls._tcp.%.*s" : "DNS does not answer for _sipfederationtls._tcp.%.*s",
			   SFMT(remote));
	}
	json_array_append_new(list, admin_json_text(buf_slice(&b)));
	buf_free(&b);
}

/* A SIP partner's connection and DNS, as they would be if all is well on its side, or as the options say. */
static void assume_sip(struct asking *a, json_t *list)
{
	static const char *const marks[] = {"does not mark the sender", "marks the sender as verified", "marks the sender as unverified"};
	struct policy_question *q = &a->q;
	bool in = q->direction == POLICY_TO_LOCAL;
	struct slice remote = in ? q->from.domain : q->to.domain, mark = admin_arg_text(a->c, "mark");
	const struct policy_allowed *allowed = snapshot_allowed(a->s, remote);
	struct buf b;
	a->sip = (struct policy_sip){.connected = in, .chain_ok = !admin_arg_bool(a->c, ADMIN_UNTRUSTED, false), .dns = &a->name, .n_dns = in,
				     .mark = slice_eq(mark, S("none")) ? POLICY_MARK_NONE : slice_eq(mark, S("unverified")) ? POLICY_MARK_UNVERIFIED : POLICY_MARK_VERIFIED};
	assume_srv(a, remote, list);
	a->name = admin_arg_given(a->c, "peer") ? admin_arg_text(a->c, "peer") : allowed && allowed->proxy_fqdn.len ? allowed->proxy_fqdn : remote;
	q->sip = &a->sip;
	q->peer = SLICE_NONE;
	if (!in)
		return;
	buf_init(&b, 65536);
	buf_printf(&b, "the partner's server shows %s certificate that names %.*s, and %s", a->sip.chain_ok ? "a trusted" : "an untrusted", SFMT(a->name),
		   marks[a->sip.mark]);
	json_array_append_new(list, admin_json_text(buf_slice(&b)));
	buf_free(&b);
}

/* Outward, once there is a way, the certificate at its end is judged too: by default it has the name that the decision wants. */
static void connected(struct asking *a, struct policy_verdict *v, json_t *list)
{
	struct slice remote = a->q.to.domain, server = v->route.len ? v->route : a->target.len ? a->target : remote;
	struct buf b;
	if (!v->allow || a->q.direction != POLICY_TO_REMOTE)
		return;
	a->sip.connected = true;
	a->sip.host = server;
	a->name = admin_arg_given(a->c, "peer") && !a->q.transit ? admin_arg_text(a->c, "peer") : server;
	a->sip.n_dns = 1;
	policy_decide_request(a->s, &a->q, NULL, NULL, v);
	buf_init(&b, 65536);
	buf_printf(&b, "the server %.*s shows a trusted certificate that names %.*s", SFMT(server), SFMT(a->name));
	json_array_append_new(list, admin_json_text(buf_slice(&b)));
	buf_free(&b);
}

static const char *rule_help(const char *id, bool sip)
{
	for (size_t i = 0; sip && i < policy_sip_rule_count(); i++)
		if (slice_eq(slice_str(policy_sip_rule_info(i).id), slice_str(id)))
			return policy_sip_rule_info(i).help;
	for (size_t i = 0; i < policy_rule_count(); i++)
		if (slice_eq(slice_str(policy_rule_info(i).id), slice_str(id)))
			return policy_rule_info(i).help;
	return "";
}

static json_t *steps_json(struct asking *a, const struct policy_verdict *v, bool sip)
{
	static const char *const optional[] = {"object", "place", "changed"};
	json_t *list = json_array();
	for (size_t i = 0; i < v->n_steps; i++) {
		const struct policy_step *st = &v->steps[i];
		json_t *o = json_pack("{s:s s:s s:s s:s}", "rule", st->rule, "outcome", policy_outcome_name(st->outcome), "detail",
				      st->detail, "help", rule_help(st->rule, sip));
		admin_set_text(o, "subject", st->subject);
		admin_decider(a->c, a->s, v, st, a->q.direction == POLICY_TO_LOCAL ? a->q.to.domain : a->q.from.domain, o);
		for (size_t k = 0; k < 3; k++)
			if (!json_object_get(o, optional[k]))
				json_object_set_new(o, optional[k], json_null());
		json_array_append_new(list, o);
	}
	return list;
}

static int explain(struct admin_call *c, bool *ret_allowed, enum reason *ret_reason)
{
	struct asking a = {.c = c};
	bool through = false;
	struct policy_verdict v;
	struct slice kind = admin_arg_text(c, "kind");
	json_t *assumptions = json_array();
	json_object_set_new(c->data, "assumptions", assumptions);
	if (!(a.s = admin_snapshot(c)))
		return ADMIN_EXIT_UNAVAILABLE;
	a.kind = POLICY_PRESENCE_SUBSCRIBE;
	policy_kind_parse(&a.kind, kind);
	int exit = side_read(&a, &a.from, "from", ret_reason);
	if (!exit)
		exit = side_read(&a, &a.to, "to", ret_reason);
	if (exit)
		return exit;
	a.q = (struct policy_question){.kind = a.kind, .direction = direction(&a), .from = a.from.party, .to = a.to.party};
	bool to_local = a.q.direction == POLICY_TO_LOCAL;
	const struct side *local = to_local ? &a.to : &a.from, *remote = to_local ? &a.from : &a.to;
	struct slice via = admin_arg_text(c, "via");
	bool sip = slice_eq(via, S("sip")) || (slice_empty(via) && !remote->xmpp_scheme && policy_is_sip(a.s, remote->party.domain));
	if (!sip || !to_local)
		assume(&a, assumptions);
	if (sip)
		assume_sip(&a, assumptions);
	bool contact = c->admin->ops->contact(c->admin->arg, slice_str(local->jid), slice_str(remote->jid));
	a.q.has_contact = contact ? POLICY_CONTACT_YES : POLICY_CONTACT_NO;
	policy_decide_request(a.s, &a.q, NULL, NULL, &v);
	if (sip)
		connected(&a, &v, assumptions);
	json_t *steps = steps_json(&a, &v, sip);
	if (v.allow && v.transit && to_local) { /* the clearing house: its other side, as it would be if all is well there */
		a.q.direction = POLICY_TO_REMOTE;
		a.q.transit = through = true;
		assume_sip(&a, assumptions);
		policy_decide_request(a.s, &a.q, NULL, NULL, &v);
		connected(&a, &v, assumptions);
		local = &a.from;
		remote = &a.to;
		json_t *more = steps_json(&a, &v, sip);
		json_array_extend(steps, more);
		json_decref(more);
	}

	facts(&a, v.reason, v.allow ? NULL : reason_info(v.reason)->text);
	if (!v.allow) {
		struct admin_remedy_names names = {local->party.domain, remote->party.domain, slice_str(local->jid), slice_str(remote->jid),
						   v.steps[v.n_steps - 1].subject};
		struct buf policy, switches;
		buf_init(&policy, 1024);
		buf_init(&switches, 1024);
		admin_external_names(&v, &policy, &switches);
		names.policy = buf_slice(&policy);
		names.switches = buf_slice(&switches);
		next_step(&a, v.reason, &names);
		buf_free(&policy);
		buf_free(&switches);
	}
	json_object_set_new(c->data, "direction", json_string(through ? "through" : policy_direction_name(a.q.direction)));
	json_object_set_new(c->data, "partner", v.partner ? admin_json_text(v.partner->domain) : json_null());
	json_object_set_new(c->data, "home", v.home == UINT32_MAX ? json_null() : admin_json_text(snapshot_home(a.s, v.home)->name));
	json_object_set_new(c->data, "contact", json_string(contact ? "yes" : "no"));
	json_object_set_new(c->data, "network", json_string(sip ? "sip" : "xmpp"));
	json_object_set_new(c->data, "class", sip ? json_string(policy_class_name(v.cls)) : json_null());
	json_object_set_new(c->data, "limits", v.allow && v.rate ? json_sprintf("%u messages a second, %u local addresses", v.rate, v.max_contacts) : json_null());
	json_object_set_new(c->data, "notes", json_null());
	if (v.allow && !sip)
		json_object_set_new(c->data, "notes", json_string(v.flags & POLICY_HIDE_NOTE ? "hidden" : "shown"));
	json_object_set_new(c->data, "generation", json_integer((json_int_t)snapshot_generation(a.s)));
	json_object_set_new(c->data, "steps", steps);
	*ret_allowed = v.allow;
	*ret_reason = v.reason;
	return v.allow ? ADMIN_EXIT_OK : ADMIN_EXIT_FINDING;
}

int admin_explain(struct admin_call *c)
{
	static const char *const needed[] = {"from", "to", "kind"};
	bool message = admin_arg_given(c, "message"), allowed = false;
	enum reason reason = REASON_NONE;
	int exit = ADMIN_EXIT_OK;
	if (message && !admin_message_ask(c, &exit))
		return exit;
	for (size_t i = 0; i < 3; i++)
		if (!admin_arg_given(c, needed[i]))
			return admin_fail(c, ADMIN_EXIT_USAGE, "usage", "entente explain --from ADDRESS --to ADDRESS --kind KIND, or entente explain --message ID",
					  "--%s is missing", needed[i]);
	exit = explain(c, &allowed, &reason);
	if (!message || c->error) {
		json_object_update_new(c->data, json_pack("{s:n s:n s:n s:n s:[]}", "message", "same", "policy_changed", "contact_changed", "changes"));
		return exit;
	}
	return admin_message_compare(c, allowed, reason);
}

static void line(struct admin_call *c, const char *label, const char *text)
{
	if (!*text)
		return;
	buf_printf(&c->text, "  %-10s ", label);
	admin_wrap(&c->text, slice_str(text), 13, c->width, false);
}

static void steps_print(struct admin_call *c, json_t *steps)
{
	size_t i;
	json_t *st;
	json_array_foreach(steps, i, st) {
		const char *outcome = admin_get_text(st, "outcome"), *subject = admin_get_text(st, "subject");
		struct slice o = slice_str(outcome);
		bool deny = slice_eq(o, S("deny")), skip = slice_eq(o, S("skip"));
		struct buf text;
		buf_init(&text, 65536);
		buf_puts(&text, admin_get_text(st, "detail"));
		if (*subject)
			buf_printf(&text, ": %s", subject);
		buf_puts(&c->text, "  ");
		admin_styled(&c->text, c->color, deny ? ADMIN_BAD_STYLE : skip ? ADMIN_DIM : ADMIN_GOOD, deny ? S("DENY") : o);
		buf_printf(&c->text, "  %-16s ", admin_get_text(st, "rule"));
		admin_wrap(&c->text, buf_slice(&text), 25, c->width, false);
		buf_clear(&text);
		if (*admin_get_text(st, "object"))
			buf_printf(&text, "by %s", admin_get_text(st, "object"));
		if (*admin_get_text(st, "place"))
			buf_printf(&text, ", %s", admin_get_text(st, "place"));
		if (*admin_get_text(st, "changed"))
			buf_printf(&text, " (%s)", admin_get_text(st, "changed"));
		if (text.len)
			admin_wrap(&c->text, buf_slice(&text), 25, c->width, true);
		buf_free(&text);
	}
}

void admin_explain_print(struct admin_call *c)
{
	json_t *d = c->data, *one;
	bool allowed = json_is_true(json_object_get(d, "allowed")), sip = slice_eq(slice_str(admin_get_text(d, "network")), S("sip"));
	struct slice direction = slice_str(admin_get_text(d, "direction"));
	enum policy_kind kind = POLICY_MESSAGE;
	enum reason reason = REASON_NONE;
	size_t i;
	policy_kind_parse(&kind, slice_str(admin_get_text(d, "kind")));
	admin_reason_find(&reason, slice_str(admin_get_text(d, "reason")));
	if (json_is_object(json_object_get(d, "message")))
		admin_message_print(c);
	buf_printf(&c->text, "%s from %s to ", kind_texts[kind], admin_get_text(d, "from"));
	admin_clean(&c->text, *admin_get_text(d, "to") ? slice_str(admin_get_text(d, "to")) : admin_arg_text(c, "to"));
	buf_putc(&c->text, '\n');
	if (!slice_empty(direction))
		line(c, "direction", slice_eq(direction, S("through")) ? "from a SIP partner through our side to another one"
			: slice_eq(direction, S("to-local")) ? sip ? "from a SIP partner to our side" : "from an XMPP partner to our side"
			: sip ? "from our side to a SIP partner" : "from our side to an XMPP partner");
	json_array_foreach(json_object_get(d, "assumptions"), i, one)
		line(c, "supposed", json_string_value(one));
	buf_putc(&c->text, '\n');
	steps_print(c, json_object_get(d, "steps"));
	if (json_object_get(d, "steps"))
		buf_putc(&c->text, '\n');
	if (allowed) {
		admin_styled(&c->text, c->color, ADMIN_GOOD, S("ALLOWED"));
		buf_putc(&c->text, '\n');
		if (sip) {
			line(c, "partner", admin_get_text(d, "class"));
			line(c, "limits", admin_get_text(d, "limits"));
			return;
		}
		line(c, "notes", slice_eq(slice_str(admin_get_text(d, "notes")), S("hidden"))
			? "status notes of our users are hidden from this partner"
			: "status notes of our users are shown to this partner");
		return;
	}
	char told[256];
	const struct reason_info *r = reason_info(reason);
	admin_styled(&c->text, c->color, ADMIN_BAD_STYLE, S("REFUSED"));
	buf_printf(&c->text, ": %s\n", r->id);
	line(c, "why", admin_get_text(d, "text"));
	line(c, "fixed by", admin_who_text(r->who, ADMIN_ENGLISH));
	line(c, "next step", admin_get_text(d, "next_step"));
	if (slice_eq(direction, S("to-local")) && !sip)
		snprintf(told, sizeof told, "XMPP error %s, type %s", r->xmpp_condition, r->xmpp_type);
	else
		snprintf(told, sizeof told, "SIP status %d", r->sip_status);
	line(c, "answer", told);
}
