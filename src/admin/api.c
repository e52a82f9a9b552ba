/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/api.h"

#include "admin/args.h"
#include "admin/call.h"
#include "base/enc.h"

bool admin_api_has(const struct admin_command *c)
{
	return !c->local || c->anywhere;
}

const char *admin_api_method(const struct admin_command *c)
{
	return c->changes || c->live || c->id == ADMIN_CMD_RELOAD ? "POST" : "GET";
}

void admin_api_path(struct buf *out, const struct admin_command *c)
{
	buf_puts(out, ADMIN_API_ROOT);
	for (size_t i = 0; c->path[i]; i++)
		buf_printf(out, "%s%s", i ? "/" : "", c->path[i]);
}

void admin_api_id(struct buf *out, const struct admin_command *c)
{
	for (size_t i = 0; c->path[i]; i++) {
		buf_puts(out, i ? "_" : "");
		for (const char *p = c->path[i]; *p; p++)
			buf_putc(out, *p == '-' ? '_' : *p);
	}
}

const struct admin_command *admin_api_find(struct slice path)
{
	struct slice words[ADMIN_PATH_MAX];
	const struct admin_command *c;
	size_t n = 0;
	if (!slice_starts(path, S(ADMIN_API_ROOT)))
		return NULL;
	for (struct slice rest = slice_skip(path, sizeof ADMIN_API_ROOT - 1); rest.p; n++) {
		struct slice word = slice_split(&rest, '/');
		if (n == ADMIN_PATH_MAX || slice_empty(word))
			return NULL;
		words[n] = word;
	}
	return admin_path_match(words, n, &c) == n && c && admin_api_has(c) ? c : NULL;
}

/* ---- query */

/* False: a '%' without two hex digits, or an octet that may not stand in a query. */
static bool decode(struct buf *out, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '%') {
			int high = i + 2 < s.len ? hex_value(s.p[i + 1]) : -1, low = i + 2 < s.len ? hex_value(s.p[i + 2]) : -1;
			if (high < 0 || low < 0)
				return false;
			buf_putc(out, (char)(high << 4 | low));
			i += 2;
		} else if (c <= ' ' || c >= 0x7f) {
			return false;
		} else {
			buf_putc(out, c == '+' ? ' ' : (char)c);
		}
	}
	return buf_ok(out);
}

static bool take(const struct admin_command *c, json_t *args, struct slice name, struct slice text, struct buf *why)
{
	const struct admin_arg *a = admin_arg_find(c, name);
	if (!a) { /* admin_args_check says which is nearest */
		json_t *v = json_stringn(text.p ? text.p : "", text.len), *key = json_stringn(name.p ? name.p : "", name.len);
		bool ok = v && key && json_object_set(args, json_string_value(key), v) == 0;
		if (!ok)
			buf_puts(why, "the query is not UTF-8");
		json_decref(v);
		json_decref(key);
		return ok;
	}
	json_t *v = admin_value_of(a, text), *list = json_object_get(args, a->name);
	if (!v) {
		buf_printf(why, "%s: not UTF-8", a->name);
		return false;
	}
	if (!(a->flags & ADMIN_MANY)) {
		if (!list)
			return json_object_set_new(args, a->name, v) == 0;
		json_decref(v);
		buf_printf(why, "%s is given twice", a->name);
		return false;
	}
	if (!list)
		json_object_set_new(args, a->name, list = json_array());
	return json_array_append_new(list, v) == 0;
}

json_t *admin_api_query(const struct admin_command *c, struct slice query, struct buf *why)
{
	json_t *args = json_object();
	struct buf name, value;
	bool ok = true;
	buf_init(&name, 4096);
	buf_init(&value, 65536);
	for (struct slice rest = query; ok && rest.p && rest.len;) {
		struct slice text = slice_split(&rest, '&'), key = slice_split(&text, '=');
		buf_clear(&name);
		buf_clear(&value);
		if (slice_empty(key) && !text.p)
			continue;
		ok = decode(&name, key) && decode(&value, text);
		if (!ok)
			buf_puts(why, "the query is malformed: what is not a letter, a digit or one of - . _ ~ * stands as %XX");
		else
			ok = take(c, args, buf_slice(&name), buf_slice(&value), why);
	}
	buf_free(&name);
	buf_free(&value);
	if (ok)
		return args;
	json_decref(args);
	return NULL;
}

/* ---- policy */

static size_t head_of(const struct admin_command *c)
{
	size_t n = 0;
	while (c->path[n + 1])
		n++;
	return n;
}

bool admin_api_policy(const struct admin_command *c)
{
	size_t n = head_of(c);
	if (c->local || c->live || !n || !((c->roles | (c->changes ? ADMIN_MAY_SET : 0)) & ADMIN_MAY_SET))
		return false;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *o = admin_command(i);
		size_t k = 0;
		while (k < n && o->path[k] && slice_eq(slice_str(o->path[k]), slice_str(c->path[k])))
			k++;
		if (k == n && head_of(o) == n && o->changes && !o->local && o->roles & ADMIN_MAY_SET)
			return true;
	}
	return false;
}

/* ---- errors */

int admin_api_status(int exit, const char *code)
{
	static const struct {
		const char *code;
		int status;
	} by_code[] = {
		{"usage", 400}, {"not-found", 404}, {"exists", 409}, {"conflict", 409}, {"refused", 409}, {"limit", 409}, {"forbidden", 403},
		{"stale", 412}, {"no-draft", 409}, {"permission", 403}, {"config", 422}, {"too-large", 422}, {"not-in-force", 500}, {"elsewhere", 421},
		{"store", 503}, {"unavailable", 503},
	};
	static const struct {
		int exit, status;
	} by_exit[] = {
		{ADMIN_EXIT_OK, 200}, {ADMIN_EXIT_FINDING, 409}, {ADMIN_EXIT_USAGE, 400}, {ADMIN_EXIT_UNREACHABLE, 503}, {ADMIN_EXIT_REFUSED, 409},
		{ADMIN_EXIT_UNAVAILABLE, 503}, {ADMIN_EXIT_CANNOT_CREATE, 503}, {ADMIN_EXIT_PERMISSION, 403}, {ADMIN_EXIT_CONFIG, 422},
	};
	if (!*code && (exit == ADMIN_EXIT_OK || exit == ADMIN_EXIT_FINDING))
		return 200; /* the answer was found; that it is no is in the data */
	for (size_t i = 0; i < sizeof by_code / sizeof *by_code; i++)
		if (slice_eq(slice_str(code), slice_str(by_code[i].code)))
			return by_code[i].status;
	for (size_t i = 0; i < sizeof by_exit / sizeof *by_exit; i++)
		if (by_exit[i].exit == exit)
			return by_exit[i].status;
	return 500;
}
