/* SPDX-License-Identifier: Apache-2.0 */
/* `test im`: a real message, hop by hop; as text, data, or a page of HTML. */
#include "admin/task.h"
#include "base/clock.h"
#include "base/log.h"
#include "policy/decide.h"

enum { TIMEOUT_S = 30 };

static struct slice domain_of(const char *jid)
{
	const char *at = strchr(jid, '@');
	return slice_str(at ? at + 1 : jid);
}

static bool address(struct admin_call *c, const char *name, char jid[ADMIN_ADDRESS_MAX])
{
	struct entente_err err = {0};
	bool is_sip;
	if (c->admin->ops->address(c->admin->arg, admin_arg_text(c, name), &is_sip, jid, ADMIN_ADDRESS_MAX, &err)) {
		admin_fail_err(c, name, &err, NULL);
		return false;
	}
	if (!strchr(jid, '@')) {
		admin_fail(c, ADMIN_EXIT_USAGE, "usage", "name a user: juliet@fabrikam.example", "%s: %s is a domain, nobody who could write or read", name, jid);
		return false;
	}
	return true;
}

/* What nobody can see from here. */
static void unseen(struct admin_call *c, const char *text)
{
	json_array_append_new(json_object_get(c->data, "unseen"), json_string(text));
}

static const char mark[] = "This is a test message. An administrator has sent it to see whether messages arrive. Nobody waits for an answer.";

static int begin(struct admin_task *t)
{
	struct admin_call *c = &t->call;
	struct entente_err err = {0};
	struct snapshot *s = admin_snapshot(c);
	char from[ADMIN_ADDRESS_MAX], to[ADMIN_ADDRESS_MAX], at[CLOCK_TEXT];
	struct buf text;
	if (!s)
		return ADMIN_EXIT_UNAVAILABLE;
	if (!address(c, "from", from) || !address(c, "to", to))
		return ADMIN_EXIT_USAGE;
	struct admin_test_im what = {.from = slice_str(from), .to = slice_str(to), .timeout_ms = 1000 * (uint32_t)admin_arg_uint(c, "timeout", TIMEOUT_S)};
	bool from_us = snapshot_local(s, domain_of(from), &what.home), to_us = snapshot_local(s, domain_of(to), NULL);
	bool sip = policy_is_sip(s, from_us ? domain_of(to) : domain_of(from));
	if (from_us && to_us)
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", "what our users write each other stays at their home", "both are users of ours");
	if (!from_us && !to_us)
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", "`entente status` lists our domains", "neither of them is a user of ours");
	if (to_us && sip)
		return admin_fail(c, ADMIN_EXIT_FINDING, "cannot-be-seen",
				  "have somebody there write; then `entente show messages` tells what became of it. `entente explain` tells what would be decided, "
				  "`entente test im` the other way round tries our way there",
				  "what a SIP partner sends comes over a connection that its certificate has proven: nothing here can make one in its name");
	what.to_local = to_us;
	json_object_set_new(c->data, "from", json_string(from));
	json_object_set_new(c->data, "to", json_string(to));
	json_object_set_new(c->data, "way", json_string(to_us ? "xmpp-to-sip" : sip ? "sip-to-sip" : "sip-to-xmpp"));
	json_object_set_new(c->data, "hops", json_array());
	json_object_set_new(c->data, "unseen", json_array());
	unseen(c, to_us ? "the way from the partner's server to us: the message was made here" : "the way from the user's device to the home, and from the home to us: "
												  "the message was made here");
	unseen(c, to_us ? "what the home does with it: its answer says that it took the message, or a device of the user did"
		   : sip ? "what the partner's server does with it, beyond its answer"
			 : "what the partner's server does with it: no error has come back within half a second");
	unseen(c, "whether somebody has read it");
	clock_text(at);
	json_object_set_new(c->data, "at", json_string(at));
	buf_init(&text, 8192);
	buf_puts(&text, mark);
	if (!slice_empty(admin_arg_text(c, "text")))
		buf_printf(&text, "\n%.*s", SFMT(admin_arg_text(c, "text")));
	buf_printf(&text, "\n(Entente, %.19sZ)", at);
	what.text = buf_slice(&text);
	int rc = c->admin->ops->test_im ? c->admin->ops->test_im(c->admin->arg, &what, t, &err)
					: err_set(&err, ENTENTE_EUNSUPPORTED, REASON_NONE, "this process cannot");
	buf_free(&text);
	if (rc)
		return admin_fail_err(c, "the message cannot be sent", &err, NULL);
	log_ev(LOG_INFO, "admin/test-message", {"who", c->who}, {"from", slice_str(from)}, {"to", slice_str(to)});
	return ADMIN_EXIT_OK;
}

static void event(struct admin_call *c, json_t *e)
{
	if (!slice_eq(slice_str(admin_get_text(e, "step")), S("verdict"))) {
		json_array_append(json_object_get(c->data, "hops"), e);
		return;
	}
	json_object_set(c->data, "verdict", json_object_get(e, "result"));
	json_object_set(c->data, "took", json_object_get(e, "took"));
	if (*admin_get_text(e, "reason"))
		json_object_set(c->data, "reason", json_object_get(e, "reason"));
	if (*admin_get_text(e, "trace"))
		json_object_set(c->data, "trace", json_object_get(e, "trace"));
}

static const char *word_of(const char *outcome, enum admin_style *ret)
{
	*ret = ADMIN_DIM;
	if (slice_eq(slice_str(outcome), S("ok"))) {
		*ret = ADMIN_GOOD;
		return "ok";
	}
	if (slice_eq(slice_str(outcome), S("failed"))) {
		*ret = ADMIN_BAD_STYLE;
		return "FAILED";
	}
	return "";
}

static void print_event(struct admin_call *c, json_t *e)
{
	enum admin_style style;
	const char *step = admin_get_text(e, "step"), *word = word_of(admin_get_text(e, "outcome"), &style);
	char cell[48];
	if (admin_arg_bool(c, "html", false) || slice_eq(slice_str(step), S("verdict")))
		return;
	snprintf(cell, sizeof cell, "%-8s", word);
	admin_styled(&c->text, c->color, style, slice_str(cell));
	buf_printf(&c->text, "%-8s %6jd ms  +%-6jd ", step, (intmax_t)admin_get_int(e, "at"), (intmax_t)admin_get_int(e, "took"));
	admin_wrap(&c->text, slice_str(admin_get_text(e, "text")), 35, c->width > 60 ? c->width : 120, false);
}

static int end(struct admin_call *c)
{
	const char *verdict = admin_get_text(c->data, "verdict");
	bool good = slice_eq(slice_str(verdict), S("delivered"));
	json_object_del(c->data, "lost");
	json_object_del(c->data, "events");
	if (!good && *admin_get_text(c->data, "trace"))
		json_object_set_new(c->data, "next_step", json_sprintf("entente explain --message %s", admin_get_text(c->data, "trace")));
	else if (!good)
		json_object_set_new(c->data, "next_step", json_string("the log says why it came to no decision: journalctl -u entented -n 20"));
	return good ? ADMIN_EXIT_OK : ADMIN_EXIT_FINDING;
}

static void escape(struct buf *out, const char *z)
{
	for (; *z; z++)
		if (*z == '<' || *z == '>' || *z == '&' || *z == '"')
			buf_printf(out, "&#%d;", *z);
		else
			buf_putc(out, *z);
}

static void html_cell(struct buf *out, const char *text)
{
	buf_puts(out, "<td>");
	escape(out, text);
	buf_puts(out, "</td>");
}

/* No script, nothing fetched; state by a word, not by colour alone. */
static void html(struct admin_call *c)
{
	struct buf *out = &c->text;
	json_t *d = c->data, *e;
	size_t i;
	char z[32];
	buf_puts(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Test message</title><style>body{font-family:sans-serif;max-width:60em;"
		      "margin:2em auto}table{border-collapse:collapse}td,th{border:1px solid #888;padding:.3em .6em;text-align:left}td.n{text-align:right}"
		      ".failed{background:#fdd}</style></head><body>\n<h1>Test message: ");
	escape(out, admin_get_text(d, "verdict"));
	buf_puts(out, "</h1>\n<p>From <b>");
	escape(out, admin_get_text(d, "from"));
	buf_puts(out, "</b> to <b>");
	escape(out, admin_get_text(d, "to"));
	buf_puts(out, "</b>, ");
	escape(out, admin_get_text(d, "at"));
	buf_printf(out, ", %jd ms", (intmax_t)admin_get_int(d, "took"));
	if (*admin_get_text(d, "reason")) {
		buf_puts(out, ", reason <code>");
		escape(out, admin_get_text(d, "reason"));
		buf_puts(out, "</code>");
	}
	buf_puts(out, "</p>\n<table><tr><th>hop</th><th>result</th><th>at (ms)</th><th>took (ms)</th><th>what was seen</th></tr>\n");
	json_array_foreach(json_object_get(d, "hops"), i, e) {
		buf_printf(out, "<tr class=\"%s\">", slice_eq(slice_str(admin_get_text(e, "outcome")), S("failed")) ? "failed" : "ok");
		html_cell(out, admin_get_text(e, "step"));
		html_cell(out, admin_get_text(e, "outcome"));
		snprintf(z, sizeof z, "%jd", (intmax_t)admin_get_int(e, "at"));
		html_cell(out, z);
		snprintf(z, sizeof z, "%jd", (intmax_t)admin_get_int(e, "took"));
		html_cell(out, z);
		html_cell(out, admin_get_text(e, "text"));
		buf_puts(out, "</tr>\n");
	}
	buf_puts(out, "</table>\n<h2>What cannot be seen from here</h2>\n<ul>\n");
	json_array_foreach(json_object_get(d, "unseen"), i, e) {
		buf_puts(out, "<li>");
		escape(out, json_string_value(e));
		buf_puts(out, "</li>\n");
	}
	buf_puts(out, "</ul>\n</body></html>\n");
}

static void print(struct admin_call *c)
{
	json_t *d = c->data, *e;
	size_t i;
	const char *verdict = admin_get_text(d, "verdict"), *reason = admin_get_text(d, "reason");
	bool good = slice_eq(slice_str(verdict), S("delivered"));
	unsigned width = c->width > 60 ? c->width : 120;
	if (admin_arg_bool(c, "html", false)) {
		html(c);
		return;
	}
	json_array_foreach(json_object_get(d, "unseen"), i, e) {
		buf_puts(&c->text, i ? "            " : "not seen    ");
		admin_wrap(&c->text, slice_str(json_string_value(e)), 12, width, false);
	}
	buf_puts(&c->text, "verdict     ");
	admin_styled(&c->text, c->color, good ? ADMIN_GOOD : ADMIN_BAD_STYLE, slice_str(verdict));
	buf_printf(&c->text, " after %jd ms%s%s\n", (intmax_t)admin_get_int(d, "took"), *reason ? ": " : "", reason);
	if (*admin_get_text(d, "next_step"))
		buf_printf(&c->text, "next step   %s\n", admin_get_text(d, "next_step"));
}

const struct admin_live admin_test_im_live = {begin, event, print_event, end, print};
