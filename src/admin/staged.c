/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/staged.h"

#include "admin/draft.h"
#include "base/clock.h"
#include "store/store_set.h"

static json_t *refuse(int exit, const char *code, const char *text, const char *hint)
{
	json_t *error = json_pack("{s:s}", "code", code);
	admin_set_text(error, "text", slice_str(text));
	if (hint)
		admin_set_text(error, "hint", slice_str(hint));
	return json_pack("{s:i s:o}", "exit", exit, "error", error);
}

static int newest(void *arg, const struct store_change *ch)
{
	char at[CLOCK_TEXT];
	clock_text_at(ch->at, at);
	struct slice what = ch->what, line = slice_split(&what, '\n');
	snprintf(arg, 400, "; the last change, at %s by %.*s: %.*s", at, SFMT(slice_first(ch->who, 64)), SFMT(slice_first(line, 200)));
	return 1;
}

static json_t *generation_check(const struct admin *a, const struct admin_command *c, json_t *wanted)
{
	char text[600], last[400] = "";
	struct entente_err err;
	if (!wanted)
		return NULL;
	if (!json_is_integer(wanted) || json_integer_value(wanted) < 0)
		return refuse(ADMIN_EXIT_USAGE, "usage", "\"if_generation\" must be a whole number", NULL);
	if (!c->changes || !a->store)
		return refuse(ADMIN_EXIT_USAGE, "usage", "--if-generation is for commands that change the policy", NULL);
	int64_t now = store_generation(a->store), want = json_integer_value(wanted);
	if (now == want)
		return NULL;
	store_load_history(a->store, 1, newest, last, &err);
	snprintf(text, sizeof text, "nothing was changed: the policy is at generation %lld, and no longer at %lld%s", (long long)now, (long long)want, last);
	json_t *r = refuse(ADMIN_EXIT_REFUSED, "stale", text, "look again, then decide again; `entente history` lists the changes");
	json_object_set_new(json_object_get(r, "error"), "generation", json_integer(now));
	return r;
}

static bool stages(const struct admin_command *c)
{
	return c->changes && !c->direct && c->roles & ADMIN_ROLE_POLICY;
}

json_t *admin_staged_choose(struct admin **admin, const struct admin_command *c, struct slice who, json_t *request)
{
	struct admin *a = *admin;
	struct entente_err err = {0};
	bool asked = json_is_true(json_object_get(request, "staged")) && !c->direct;
	if (asked && c->changes)
		return refuse(ADMIN_EXIT_USAGE, "usage", "--staged is for questions: a change goes into your draft by itself", NULL);
	if (a->store && (asked || (stages(c) && draft_exists(a, who)))) {
		struct draft *d = draft_find(a, who, &err);
		if (!d && err.code == ENTENTE_ENOTFOUND)
			return refuse(ADMIN_EXIT_FINDING, "no-draft", "you have no draft", "`entente config begin` makes one");
		if (!d)
			return refuse(ADMIN_EXIT_CANNOT_CREATE, "damaged", err.text, NULL);
		*admin = &d->admin;
	}
	return generation_check(*admin, c, json_object_get(request, "if_generation"));
}

void admin_staged_tell(const struct admin *admin, const struct admin_command *c, json_t *response)
{
	if (!response || !admin->store)
		return;
	json_object_set_new(response, "generation", json_integer(store_generation(admin->store)));
	if (!admin->draft)
		return;
	json_object_set_new(response, "staged", json_true());
	json_t *text = json_object_get(response, "text");
	if (text && stages(c))
		json_object_set_new(response, "text", json_sprintf("Staged in your draft, not in force yet:\n%s", json_string_value(text)));
}
