/* SPDX-License-Identifier: Apache-2.0 */
/* `explain --message`: what became of a real message, and the same question asked of the policy in force. */
#include <time.h>
#include "admin/admin_int.h"
#include "base/clock.h"
#include "policy/decide.h"

enum { CHANGES = 20, HISTORY = 500 };

static struct slice text(json_t *o, const char *key)
{
	return slice_str(admin_get_text(o, key));
}

static void argue(struct admin_call *c, const char *name, struct slice value)
{
	if (value.len)
		json_object_set_new(c->args, name, admin_json_text(value));
}

/* What is supposed of a SIP partner is what was seen then. */
static void suppose_sip(struct admin_call *c, json_t *m)
{
	struct slice identity = text(m, "identity"), reason = text(m, "reason");
	if (slice_eq(text(m, "direction"), S("through"))) /* its peer is the far side's */
		return;
	argue(c, "mark", text(m, "mark"));
	argue(c, "peer", text(m, "peer"));
	if (slice_eq(text(m, "rule"), S("certificate")) && slice_eq(text(m, "verdict"), S("refused")))
		json_object_set_new(c->args, ADMIN_UNTRUSTED, json_true());
	if (slice_eq(identity, slice_str(policy_identity_name(POLICY_ID_EDGE))))
		argue(c, "srv", text(m, "peer"));
	else if (slice_eq(reason, slice_str(reason_info(REASON_SIP_SRV_NONE)->id)))
		argue(c, "srv", S("none"));
	else if (slice_eq(reason, slice_str(reason_info(REASON_SIP_DNS)->id)))
		argue(c, "srv", S("failed"));
}

bool admin_message_ask(struct admin_call *c, int *ret_exit)
{
	const char *name;
	json_t *v, *m;
	json_object_foreach(c->args, name, v)
		if (!slice_eq(slice_str(name), S("message"))) {
			*ret_exit = admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "--message stands alone: --%s is what the message tells", name);
			return false;
		}
	m = admin_record_get(c, admin_arg_text(c, "message"), ret_exit);
	if (!m)
		return false;
	bool sip = slice_eq(text(m, "network"), S("sip")), through = slice_eq(text(m, "direction"), S("through"));
	json_object_set_new(c->data, "message", m);
	argue(c, "from", text(m, "from"));
	argue(c, "to", text(m, "to"));
	argue(c, "kind", text(m, "kind"));
	argue(c, "direction", through ? S("to-local") : text(m, "direction"));
	argue(c, "via", text(m, "network"));
	if (sip)
		suppose_sip(c, m);
	else
		argue(c, "peer", text(m, "peer"));
	if (json_is_true(json_object_get(m, "cut")))
		admin_warn(c, "an address was too long to be kept whole: the question is asked with what is left of it");
	return true;
}

struct since {
	int64_t at;
	json_t *list;
};

static int look(void *arg, const struct store_change *ch)
{
	struct since *s = arg;
	char at[CLOCK_TEXT];
	if (ch->at < s->at || json_array_size(s->list) == CHANGES)
		return 1; /* the newest come first */
	clock_text_at(ch->at, at);
	json_array_append_new(s->list, json_pack("{s:s s:o s:o}", "at", at, "who", admin_json_text(ch->who), "what", admin_json_text(ch->what)));
	return 0;
}

/* When it came; the history knows seconds, too. */
static int64_t second_of(json_t *m)
{
	struct tm tm = {0};
	const char *z = admin_get_text(m, "at");
	return strptime(z, "%Y-%m-%dT%H:%M:%S", &tm) ? timegm(&tm) : 0;
}

int admin_message_compare(struct admin_call *c, bool allowed, enum reason reason)
{
	json_t *m = json_object_get(c->data, "message"), *list = json_array();
	struct slice verdict = text(m, "verdict"), outcome = text(m, "outcome");
	bool then = slice_eq(verdict, S("allowed")), changed = admin_get_int(m, "generation") != admin_get_int(c->data, "generation");
	struct since since = {second_of(m), list};
	struct entente_err err;
	changed = changed && verdict.len && admin_get_int(c->data, "generation");
	json_object_set_new(c->data, "same", !verdict.len ? json_null()
				: json_boolean(then == allowed && (allowed || slice_eq(text(m, "reason"), slice_str(reason_info(reason)->id)))));
	json_object_set_new(c->data, "policy_changed", json_boolean(changed));
	json_object_set_new(c->data, "contact_changed", json_boolean(verdict.len && *admin_get_text(m, "contact") &&
								      !slice_eq(text(m, "contact"), text(c->data, "contact"))));
	if (changed && c->admin->store)
		store_load_history(c->admin->store, HISTORY, look, &since, &err);
	json_object_set_new(c->data, "changes", list);
	return slice_eq(outcome, S("refused")) || slice_eq(outcome, S("failed")) ? ADMIN_EXIT_FINDING : ADMIN_EXIT_OK;
}

void admin_message_print(struct admin_call *c)
{
	json_t *d = c->data, *m = json_object_get(d, "message"), *changes = json_object_get(d, "changes"), *one, *same = json_object_get(d, "same");
	bool changed = json_is_true(json_object_get(d, "policy_changed"));
	size_t i;
	admin_styled(&c->text, c->color, ADMIN_BOLD, S("What became of it"));
	buf_putc(&c->text, '\n');
	admin_record_print(c, m);
	buf_putc(&c->text, '\n');
	if (changed)
		buf_printf(&c->text, "The policy has changed since: generation %d then, %d now\n", (int)admin_get_int(m, "generation"),
			   (int)admin_get_int(d, "generation"));
	json_array_foreach(changes, i, one) {
		buf_printf(&c->text, "  %s by %s: ", admin_get_text(one, "at"), admin_get_text(one, "who"));
		admin_clean(&c->text, slice_first(text(one, "what"), 300));
		buf_putc(&c->text, '\n');
	}
	if (changed && !json_array_size(changes))
		buf_puts(&c->text, "  not by a command: the configuration file was read anew\n");
	if (json_is_true(json_object_get(d, "contact_changed")))
		buf_puts(&c->text, "The contacts of our user have changed since\n");
	if (json_is_false(same))
		admin_styled(&c->text, c->color, ADMIN_BOLD, S("Asked anew, the verdict is another one:"));
	else if (json_is_true(same))
		buf_puts(&c->text, "Asked anew, the verdict is the same:");
	else
		buf_puts(&c->text, "The policy was not asked then; asked now:");
	buf_puts(&c->text, "\n\n");
}
