/* SPDX-License-Identifier: Apache-2.0 */
/* `partner test`: the steps as they happen, then what they mean. */
#include "admin/args.h"
#include "admin/task.h"
#include "base/clock.h"

/* ---- the beginning */

static bool negotiation(const struct admin_call *c, const char *name, enum policy_negotiation *ret)
{
	return admin_arg_given(c, name) && policy_negotiation_parse(ret, admin_arg_text(c, name));
}

/* As it was said; else by what only one of them has; else by what is configured. */
static enum admin_protocol protocol(const struct admin_call *c, struct snapshot *s, struct slice domain)
{
	struct slice said = admin_arg_text(c, "protocol");
	if (slice_eq(said, S("sip")))
		return ADMIN_PROTOCOL_SIP;
	if (!slice_empty(said) || admin_arg_given(c, "tls") || admin_arg_given(c, "sasl") || admin_arg_given(c, "dialback") ||
	    snapshot_partner(s, domain))
		return ADMIN_PROTOCOL_XMPP;
	return snapshot_allowed(s, domain) ? ADMIN_PROTOCOL_SIP : ADMIN_PROTOCOL_AUTO;
}

static int begin(struct admin_task *t)
{
	struct admin_call *c = &t->call;
	struct entente_err err = {0};
	struct snapshot *s = admin_snapshot(c);
	struct admin_server server;
	struct admin_test what = {.domain = admin_arg_text(c, "domain"), .from = admin_arg_text(c, "from"),
				  .timeout_ms = 1000 * (uint32_t)admin_arg_uint(c, "timeout", 30)};
	if (!s)
		return ADMIN_EXIT_UNAVAILABLE;
	what.protocol = protocol(c, s, what.domain);
	what.set_tls = negotiation(c, "tls", &what.tls);
	what.set_sasl = negotiation(c, "sasl", &what.sasl);
	what.set_dialback = admin_arg_given(c, "dialback");
	what.dialback = admin_arg_bool(c, "dialback", true);
	if (!slice_empty(admin_arg_text(c, "server")) && admin_server_parse(&server, admin_arg_text(c, "server"))) {
		what.server_host = slice_of(server.host.text, server.host.len);
		what.server_port = server.port;
	}
	for (size_t i = 0; i < snapshot_home_count(s) && slice_empty(what.from); i++)
		if (snapshot_home(s, i)->n_domains)
			what.from = snapshot_home(s, i)->domains[0];
	if (slice_empty(what.from))
		return admin_fail(c, ADMIN_EXIT_UNAVAILABLE, "unavailable", "sip.homes in the configuration names them", "no domain is ours yet");
	if (!snapshot_local(s, what.from, NULL))
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", "`entente status` lists our domains", "%.*s is not a domain of ours", SFMT(what.from));
	if (snapshot_local(s, what.domain, NULL))
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "%.*s is a domain of ours, no partner's", SFMT(what.domain));
	admin_set_text(c->data, "domain", what.domain);
	admin_set_text(c->data, "from", what.from);
	json_object_set_new(c->data, "protocol", json_string(what.protocol == ADMIN_PROTOCOL_SIP ? "sip" : "xmpp"));
	json_object_set_new(c->data, "partner", json_false());
	json_object_set_new(c->data, "steps", json_array());
	if (c->admin->ops->test(c->admin->arg, &what, t, &err))
		return admin_fail_err(c, "the test cannot begin", &err, NULL);
	return ADMIN_EXIT_OK;
}

/* ---- what happens */

static void event(struct admin_call *c, json_t *e)
{
	json_t *partner = json_object_get(json_object_get(e, "facts"), "partner");
	const char *by = admin_get_text(json_object_get(e, "facts"), "protocol");
	if (slice_eq(slice_str(admin_get_text(e, "step")), S("protocol")))
		json_object_set_new(c->data, "protocol", json_string(by));
	json_array_append(json_object_get(c->data, "steps"), e);
	if (json_is_string(partner)) /* of the step "policy" */
		json_object_set_new(c->data, "partner", json_boolean(slice_eq(slice_str(json_string_value(partner)), S("yes"))));
}

static void took(struct buf *out, json_int_t ms)
{
	if (ms < 10000)
		buf_printf(out, "%jd ms", (intmax_t)ms);
	else
		buf_printf(out, "%jd s", (intmax_t)ms / 1000);
}

static void fact(struct admin_call *c, const char *label, json_t *facts, const char *key)
{
	const char *z = admin_get_text(facts, key);
	if (!*z)
		return;
	buf_printf(&c->text, "%27s%-12s", "", label);
	admin_wrap(&c->text, slice_str(z), 39, c->width > 60 ? c->width : 120, false);
}

static void certificate(struct admin_call *c, json_t *facts)
{
	static const struct {
		const char *label, *key;
	} rows[] = {{"subject", "subject"}, {"names", "names"},	      {"matched by", "match"}, {"issuer", "issuer"},
		    {"valid until", "not-after"}, {"usage", "usage"}, {"key pin", "spki-sha256"}, {"cipher", "cipher"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		fact(c, rows[i].label, facts, rows[i].key);
}

static void print_event(struct admin_call *c, json_t *e)
{
	static const struct {
		const char *outcome, *word;
		enum admin_style style;
	} words[] = {{"ok", "ok", ADMIN_GOOD}, {"failed", "FAILED", ADMIN_BAD_STYLE}, {"warning", "WARNING", ADMIN_BOLD},
		     {"skipped", "skipped", ADMIN_DIM}, {"note", "", ADMIN_DIM}};
	const char *step = admin_get_text(e, "step"), *outcome = admin_get_text(e, "outcome");
	struct buf time;
	size_t w = 0;
	if (slice_eq(slice_str(step), S("verdict")))
		return;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (slice_eq(slice_str(outcome), slice_str(words[i].outcome)))
			w = i;
	buf_init(&time, 64);
	if (*words[w].word)
		took(&time, admin_get_int(e, "took"));
	char cell[16];
	snprintf(cell, sizeof cell, "%-8s", words[w].word);
	admin_styled(&c->text, c->color, words[w].style, slice_str(cell));
	buf_printf(&c->text, "%-8s %8.*s  ", *words[w].word ? step : "", SFMT(buf_slice(&time)));
	admin_wrap(&c->text, slice_str(admin_get_text(e, "text")), 27, c->width > 60 ? c->width : 120, false);
	if (slice_eq(slice_str(step), S("tls")) && *words[w].word)
		certificate(c, json_object_get(e, "facts"));
	buf_free(&time);
}

/* ---- what it means */

static const char *who_words(const char *who, const char *domain, char *ret, size_t size)
{
	static const struct {
		const char *who, *text;
	} words[] = {
		{"us", "us: an administrator of this server, its DNS records or its firewall"},
		{"partner", "the administrator of %s"},
		{"network", "whoever runs the network in between: most likely a firewall, here or there"},
		{"dns", "whoever runs the DNS of %s"},
		{"nobody", "nobody"},
	};
	snprintf(ret, size, "not clear from here");
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (slice_eq(slice_str(who), slice_str(words[i].who))) {
			const char *at = strstr(words[i].text, "%s");
			if (at)
				snprintf(ret, size, "%.*s%s%s", (int)(at - words[i].text), words[i].text, domain, at + 2);
			else
				snprintf(ret, size, "%s", words[i].text);
		}
	return ret;
}

/* The last attempt of the domain's server to reach us, and whether a stream of it is up. */
static json_t *inbound(struct admin_call *c, bool *ret_up)
{
	json_t *all = json_array(), *one, *last = NULL;
	size_t i;
	*ret_up = false;
	c->admin->ops->attempts(c->admin->arg, slice_str(admin_get_text(c->data, "domain")), all);
	json_array_foreach(all, i, one) {
		if (!slice_eq(slice_str(admin_get_text(one, "direction")), S("in")))
			continue;
		*ret_up = *ret_up || slice_eq(slice_str(admin_get_text(one, "result")), S("up"));
		if (!last)
			last = json_incref(one);
	}
	json_decref(all);
	return last;
}

static json_t *verdict_event(struct admin_call *c)
{
	json_t *steps = json_object_get(c->data, "steps"), *e = NULL;
	size_t n = json_array_size(steps);
	if (n && slice_eq(slice_str(admin_get_text(json_array_get(steps, n - 1), "step")), S("verdict"))) {
		e = json_incref(json_array_get(steps, n - 1));
		json_array_remove(steps, n - 1);
	}
	return e;
}

static void next_step(struct admin_call *c, const char *reason)
{
	enum reason r;
	struct buf b;
	struct slice remote = slice_str(admin_get_text(c->data, "domain"));
	struct admin_remedy_names names = {.local = slice_str(admin_get_text(c->data, "from")), .remote = remote, .subject = remote};
	if (!admin_reason_find(&r, slice_str(reason)) || r == REASON_NONE)
		return;
	buf_init(&b, 4096);
	admin_remedy_print(&b, r, &names);
	admin_set_text(c->data, "next_step", buf_slice(&b));
	buf_free(&b);
}

static void copy_text(json_t *to, const char *key, json_t *from, const char *from_key)
{
	admin_set_text(to, key, slice_str(admin_get_text(from, from_key)));
}

/* Dialback failed, and their server came to ask about our key meanwhile: why it could not tells more. */
static bool asked_back(struct admin_call *c, const char *step, json_t *last)
{
	char began[CLOCK_TEXT];
	clock_text_at(clock_unix() - admin_get_int(c->data, "took") / 1000 - 1, began);
	return slice_eq(slice_str(step), S("auth")) && slice_cmp(slice_str(admin_get_text(last, "at")), slice_str(began)) >= 0;
}

/* Dialback with a domain that is no partner: many servers prove themselves to us before they ask about our key, and that is refused. */
static bool cannot_know(struct admin_call *c, const char *step, json_t *last)
{
	json_t *one;
	size_t i;
	bool asked = false;
	json_array_foreach(json_object_get(c->data, "steps"), i, one)
		asked = asked || slice_starts(slice_str(admin_get_text(one, "text")), S("dialback requested"));
	return asked && last && !json_is_true(json_object_get(c->data, "partner")) && asked_back(c, step, last);
}

static bool by_sip(struct admin_call *c)
{
	return slice_eq(slice_str(admin_get_text(c->data, "protocol")), S("sip"));
}

/* What lets the domain in. */
static json_t *let_in(struct admin_call *c)
{
	const char *domain = admin_get_text(c->data, "domain");
	struct snapshot *s = c->admin->ops->snapshot(c->admin->arg);
	if (s && snapshot_blocked(s, slice_str(domain)).p)
		return json_sprintf("entente blocked-domain remove %.*s", SFMT(snapshot_blocked(s, slice_str(domain))));
	if (s && by_sip(c) && !snapshot_access(s)->federated_users)
		return json_sprintf("entente access-edge set --federated-users%s%s", snapshot_allowed(s, slice_str(domain)) ? "" : "; entente allowed-domain add ",
				    snapshot_allowed(s, slice_str(domain)) ? "" : domain);
	if (by_sip(c))
		return json_sprintf("entente allowed-domain add %s", domain);
	if (s && snapshot_partner(s, slice_str(domain)))
		return json_sprintf("entente partner xmpp set %s --enabled", domain);
	return json_sprintf("entente partner xmpp add %s --type federated", domain);
}

static void not_let_in(struct admin_call *c)
{
	json_t *how;
	if (json_is_true(json_object_get(c->data, "partner")))
		return;
	how = let_in(c);
	json_object_set_new(c->data, "next_step", json_sprintf("to let the domain in: %s", json_string_value(how)));
	json_decref(how);
}

/* Has the partner's server a connection to us now? */
static bool sip_inbound(struct admin_call *c)
{
	json_t *all = json_array(), *row;
	struct entente_err err = {0};
	bool up = false;
	size_t i;
	c->admin->ops->show(c->admin->arg, ADMIN_SIP_CONNECTIONS, all, &err);
	json_array_foreach(all, i, row)
		up = up || (slice_eq(slice_str(admin_get_text(row, "direction")), S("in")) &&
			    slice_ieq(slice_str(admin_get_text(row, "domain")), slice_str(admin_get_text(c->data, "domain"))));
	json_decref(all);
	return up;
}

static int end_sip(struct admin_call *c, json_t *v)
{
	json_t *d = c->data;
	bool failed = !slice_eq(slice_str(admin_get_text(v, "outcome")), S("ok"));
	json_object_set_new(d, "verdict", json_string(failed ? "fails" : "works"));
	json_object_set_new(d, "inbound_up", json_boolean(sip_inbound(c)));
	copy_text(d, "answered", json_object_get(v, "facts"), "answered");
	if (!failed) {
		not_let_in(c);
		return ADMIN_EXIT_OK;
	}
	copy_text(d, "failed_step", json_object_get(v, "facts"), "step");
	copy_text(d, "reason", v, "reason");
	copy_text(d, "cause", v, "text");
	copy_text(d, "who", v, "who");
	next_step(c, admin_get_text(d, "reason"));
	return ADMIN_EXIT_FINDING;
}

static int end_xmpp(struct admin_call *c, json_t *v)
{
	json_t *d = c->data;
	bool up, failed = !slice_eq(slice_str(admin_get_text(v, "outcome")), S("ok"));
	json_t *last = inbound(c, &up);
	const char *step = admin_get_text(json_object_get(v, "facts"), "step");
	bool one_way = failed && slice_eq(slice_str(step), S("ping"));
	json_object_set_new(d, "verdict", json_string(!failed ? "works" : one_way ? "one-way" : "fails"));
	json_object_set_new(d, "inbound_up", json_boolean(up));
	json_object_set_new(d, "inbound_last", last ? json_incref(last) : json_null());
	if (failed) {
		json_object_set_new(d, "failed_step", json_string(step));
		copy_text(d, "reason", v, "reason");
		copy_text(d, "cause", v, "text");
		copy_text(d, "who", v, "who");
		if (cannot_know(c, step, last)) {
			json_object_set_new(d, "verdict", json_string("undecided"));
			json_object_set_new(d, "who", json_string("us"));
			json_object_set_new(d, "cause", json_string("all is well up to dialback; that can only be tried with a domain that is let in"));
			json_t *how = let_in(c);
			json_object_set_new(d, "next_step", json_sprintf("%s, then test again", json_string_value(how)));
			json_decref(how);
		} else if (one_way && up) {
			json_object_set_new(d, "cause", json_sprintf("%s has a stream to us, but did not answer the ping", admin_get_text(d, "domain")));
			json_object_set_new(d, "who", json_string("partner"));
			next_step(c, admin_get_text(d, "reason"));
		} else if (last && (one_way || asked_back(c, step, last)) && slice_eq(slice_str(admin_get_text(last, "result")), S("failed"))) {
			/* why they do not reach us */
			copy_text(d, "reason", last, "reason");
			copy_text(d, "cause", last, "text");
			copy_text(d, "who", last, "who");
			next_step(c, admin_get_text(d, "reason"));
		} else if (one_way) {
			struct slice from = slice_str(admin_get_text(d, "from"));
			json_object_set_new(d, "next_step",
					    json_sprintf("publish _xmpp-server._tcp.%.*s SRV and let port 5269 in (entente plan dns, entente plan "
							 "ports); then have the partner's administrator look into the log of the XMPP server",
							 SFMT(from)));
		} else {
			next_step(c, admin_get_text(d, "reason"));
		}
	} else {
		not_let_in(c);
	}
	json_decref(last);
	return failed ? ADMIN_EXIT_FINDING : ADMIN_EXIT_OK;
}

static int end(struct admin_call *c)
{
	json_t *v = verdict_event(c);
	json_object_del(c->data, "lost");
	json_object_del(c->data, "events");
	json_object_set_new(c->data, "took", json_integer(admin_get_int(v, "took")));
	int exit = by_sip(c) ? end_sip(c, v) : end_xmpp(c, v);
	json_decref(v);
	return exit;
}

static void row(struct admin_call *c, const char *label, const char *text)
{
	if (!*text)
		return;
	buf_printf(&c->text, "%-12s ", label);
	admin_wrap(&c->text, slice_str(text), 13, c->width > 60 ? c->width : 120, false);
}

static void print(struct admin_call *c)
{
	json_t *d = c->data, *last = json_object_get(d, "inbound_last");
	const char *verdict = admin_get_text(d, "verdict"), *domain = admin_get_text(d, "domain");
	char who[512];
	bool works = slice_eq(slice_str(verdict), S("works"));
	buf_puts(&c->text, "\ninbound      ");
	if (by_sip(c))
		buf_puts(&c->text, json_is_true(json_object_get(d, "inbound_up")) ? "a connection that the partner's server opened is up\n"
										 : "the partner's server has no connection to us now\n");
	else if (json_is_true(json_object_get(d, "inbound_up")))
		buf_puts(&c->text, "a stream that the partner's server opened is up\n");
	else if (!json_is_object(last))
		buf_puts(&c->text, "the partner's server has not come to us since the daemon started\n");
	else
		admin_attempt_print(c, last, 0);
	buf_puts(&c->text, "verdict      ");
	admin_styled(&c->text, c->color, works ? ADMIN_GOOD : ADMIN_BAD_STYLE,
		     works				       ? S("works")
		     : slice_eq(slice_str(verdict), S("one-way"))   ? S("ONE WAY: we reach them, they do not reach us")
		     : slice_eq(slice_str(verdict), S("undecided")) ? S("undecided")
								    : S("FAILED"));
	if (slice_eq(slice_str(verdict), S("fails")))
		buf_printf(&c->text, " at %s", admin_get_text(d, "failed_step"));
	buf_putc(&c->text, '\n');
	if (works && *admin_get_text(d, "answered"))
		row(c, "addresses", admin_get_text(d, "answered"));
	row(c, "cause", admin_get_text(d, "cause"));
	row(c, "reason", admin_get_text(d, "reason"));
	if (!works)
		row(c, "who", who_words(admin_get_text(d, "who"), domain, who, sizeof who));
	row(c, "what to do", admin_get_text(d, "next_step"));
}

const struct admin_live admin_partner_test = {begin, event, print_event, end, print};
