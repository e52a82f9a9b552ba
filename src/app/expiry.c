/* SPDX-License-Identifier: Apache-2.0 */
#include "app/expiry.h"

#include "admin/admin.h"
#include "base/clock.h"
#include "base/enc.h"
#include "base/mem.h"

struct expiry_entry *expiry_add(struct expiry_list *l)
{
	if (l->n >= EXPIRY_MOST)
		return NULL;
	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 16;
		l->list = mem_realloc(l->list, l->cap * sizeof *l->list);
	}
	struct expiry_entry *e = &l->list[l->n++];
	*e = (struct expiry_entry){.protocol = ""};
	return e;
}

void expiry_clear(struct expiry_list *l)
{
	l->list = mem_free(l->list);
	l->n = l->cap = 0;
}

void expiry_watch_free(struct expiry_watch *w)
{
	json_decref(w->told);
	w->told = NULL;
}

static void key_of(const struct expiry_entry *e, struct buf *out)
{
	buf_clear(out);
	buf_printf(out, "%d/%s/%s/", e->own, e->protocol, e->name);
	hex_put(out, e->sha256, sizeof e->sha256);
	buf_putc(out, 0);
}

int64_t expiry_look(struct expiry_watch *w, const struct expiry_list *l, int64_t now, void (*tell)(void *arg, const struct expiry_entry *e, enum plan_expiry level), void *arg)
{
	json_t *told = json_object(); /* of those that are there now: what is gone is forgotten */
	int64_t next = INT64_MAX;
	struct buf key;
	buf_init(&key, 1024);
	for (size_t i = 0; i < l->n; i++) {
		const struct expiry_entry *e = &l->list[i];
		enum plan_expiry level = plan_expiry(e->not_before, e->not_after, now);
		int64_t at = plan_expiry_next(e->not_before, e->not_after, now);
		key_of(e, &key);
		json_int_t before = json_integer_value(json_object_get(w->told, buf_slice(&key).p));
		if (level >= PLAN_EXPIRY_SOON && (json_int_t)level > before && !json_object_get(told, buf_slice(&key).p))
			tell(arg, e, level);
		json_object_set_new(told, buf_slice(&key).p, json_integer((json_int_t)level > before ? (json_int_t)level : before));
		if (at < next)
			next = at;
	}
	buf_free(&key);
	json_decref(w->told);
	w->told = told;
	return next;
}

void expiry_text(struct buf *out, const struct expiry_entry *e, enum plan_expiry level)
{
	static const char *const left[PLAN_EXPIRY_COUNT] = {[PLAN_EXPIRY_FINE] = "all", [PLAN_EXPIRY_RENEW] = "a third", [PLAN_EXPIRY_SOON] = "a quarter",
							    [PLAN_EXPIRY_CRITICAL] = "an eighth", [PLAN_EXPIRY_URGENT] = "a twelfth"};
	char end[CLOCK_TEXT], seen[CLOCK_TEXT];
	clock_text_at(e->not_after, end);
	clock_text_at(e->seen, seen);
	if (e->own)
		buf_printf(out, "our certificate (%s) ", e->name);
	else
		buf_printf(out, "the certificate of %s (%s) ", e->name, e->protocol);
	if (level == PLAN_EXPIRY_OVER)
		buf_printf(out, "has expired (%.10s)", end);
	else
		buf_printf(out, "ends soon (%.16s UTC), less than %s of its time is left", end, left[level]);
	if (e->own)
		buf_puts(out, ": renew it, then `entente certificate import`");
	else if (level == PLAN_EXPIRY_OVER && e->seen < e->not_after)
		buf_printf(out, "; no newer one was seen since %.10s", seen);
	else
		buf_puts(out, ", and the partner has not renewed it: tell its administrator");
}

static void label(struct buf *out, const char *z)
{
	for (; *z; z++)
		if (*z == '\\' || *z == '"')
			buf_printf(out, "\\%c", *z);
		else
			buf_putc(out, *z == '\n' ? ' ' : *z);
}

static void labels(struct buf *out, const struct expiry_entry *e)
{
	buf_puts(out, "{name=\"");
	label(out, e->name);
	buf_printf(out, "\",role=\"%s\"", e->own ? "own" : "partner");
	if (*e->protocol)
		buf_printf(out, ",proto=\"%s\"", e->protocol);
	buf_puts(out, "} ");
}

void expiry_metrics(struct buf *out, const struct expiry_list *l, int64_t now)
{
	if (!l->n)
		return;
	buf_puts(out, "# HELP entente_certificate_not_after_timestamp_seconds when a certificate ends, ours (role own) or one that a partner has shown\n"
		      "# TYPE entente_certificate_not_after_timestamp_seconds gauge\n");
	for (size_t i = 0; i < l->n; i++) {
		buf_puts(out, "entente_certificate_not_after_timestamp_seconds");
		labels(out, &l->list[i]);
		buf_printf(out, "%jd\n", (intmax_t)l->list[i].not_after);
	}
	buf_puts(out, "# HELP entente_certificate_remaining_ratio the part of a certificate's lifetime that is left, 1 to 0\n"
		      "# TYPE entente_certificate_remaining_ratio gauge\n");
	for (size_t i = 0; i < l->n; i++) {
		buf_puts(out, "entente_certificate_remaining_ratio");
		labels(out, &l->list[i]);
		buf_printf(out, "%.6f\n", plan_remaining(l->list[i].not_before, l->list[i].not_after, now));
	}
}

void expiry_problems(json_t *problems, const struct expiry_list *l, int64_t now)
{
	enum { ONE_BY_ONE = 5 };
	size_t partners = 0;
	for (size_t i = 0; i < l->n; i++) {
		const struct expiry_entry *e = &l->list[i];
		enum plan_expiry level = plan_expiry(e->not_before, e->not_after, now);
		struct buf text;
		if (level < (e->own ? PLAN_EXPIRY_SOON : PLAN_EXPIRY_CRITICAL))
			continue;
		partners += !e->own;
		if (!e->own && partners > ONE_BY_ONE)
			continue;
		buf_init(&text, 2048);
		expiry_text(&text, e, level);
		json_array_append_new(problems, admin_json_text(buf_slice(&text)));
		buf_free(&text);
	}
	if (partners > ONE_BY_ONE)
		json_array_append_new(problems, json_sprintf("certificates of %zu more partners end soon: `entente certificate list --expiring`", partners - ONE_BY_ONE));
}
