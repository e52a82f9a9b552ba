/* SPDX-License-Identifier: Apache-2.0 */
#include "xmpp/stanza.h"

#include <stdio.h>

enum stanza_kind stanza_kind(const struct xml_node *n)
{
	if (!n || !n->name.p || !slice_eq(n->ns, XMPP_NS_SERVER))
		return STANZA_NONE;
	switch (n->name.len) {
	case 2: return slice_eq(n->name, S("iq")) ? STANZA_IQ : STANZA_NONE;
	case 7: return slice_eq(n->name, S("message")) ? STANZA_MESSAGE : STANZA_NONE;
	case 8: return slice_eq(n->name, S("presence")) ? STANZA_PRESENCE : STANZA_NONE;
	}
	return STANZA_NONE;
}

const char *stanza_kind_name(enum stanza_kind k)
{
	static const char *const name[] = {"", "message", "presence", "iq"};
	return name[k];
}

/* The values as they are written; which kind may have them. */
static const struct {
	const char *name;
	enum stanza_kind kind;
} types[] = {
	[STANZA_TYPE_UNKNOWN] = {"", STANZA_NONE},
	[STANZA_TYPE_ERROR] = {"error", STANZA_NONE}, /* all */
	[STANZA_TYPE_NORMAL] = {"normal", STANZA_MESSAGE},
	[STANZA_TYPE_CHAT] = {"chat", STANZA_MESSAGE},
	[STANZA_TYPE_GROUPCHAT] = {"groupchat", STANZA_MESSAGE},
	[STANZA_TYPE_HEADLINE] = {"headline", STANZA_MESSAGE},
	[STANZA_TYPE_AVAILABLE] = {"", STANZA_NONE},
	[STANZA_TYPE_UNAVAILABLE] = {"unavailable", STANZA_PRESENCE},
	[STANZA_TYPE_SUBSCRIBE] = {"subscribe", STANZA_PRESENCE},
	[STANZA_TYPE_SUBSCRIBED] = {"subscribed", STANZA_PRESENCE},
	[STANZA_TYPE_UNSUBSCRIBE] = {"unsubscribe", STANZA_PRESENCE},
	[STANZA_TYPE_UNSUBSCRIBED] = {"unsubscribed", STANZA_PRESENCE},
	[STANZA_TYPE_PROBE] = {"probe", STANZA_PRESENCE},
	[STANZA_TYPE_GET] = {"get", STANZA_IQ},
	[STANZA_TYPE_SET] = {"set", STANZA_IQ},
	[STANZA_TYPE_RESULT] = {"result", STANZA_IQ},
};

static enum stanza_type type_of(enum stanza_kind kind, struct slice text)
{
	if (kind == STANZA_NONE)
		return STANZA_TYPE_UNKNOWN;
	if (slice_eq(text, S("error")))
		return STANZA_TYPE_ERROR;
	for (size_t i = 0; text.len && i < sizeof types / sizeof *types; i++)
		if (types[i].kind == kind && slice_eq(text, slice_str(types[i].name)))
			return (enum stanza_type)i;
	if (kind == STANZA_MESSAGE)
		return STANZA_TYPE_NORMAL;
	return kind == STANZA_PRESENCE && !text.p ? STANZA_TYPE_AVAILABLE : STANZA_TYPE_UNKNOWN;
}

enum stanza_type stanza_type(const struct xml_node *n)
{
	return type_of(stanza_kind(n), xml_attr(n, S("type")));
}

const char *stanza_type_name(enum stanza_type t)
{
	return t == STANZA_TYPE_NORMAL ? "" : types[t].name;
}

static int read_address(struct xmpp_jid *ret, struct arena *a, struct slice text)
{
	return text.p ? xmpp_jid_parse(ret, a, text) : ENTENTE_ENOTFOUND;
}

void stanza_read(struct stanza *ret, struct arena *a, const struct xml_node *n)
{
	struct slice type = SLICE_NONE;
	*ret = (struct stanza){.node = n, .kind = stanza_kind(n)};
	if (ret->kind == STANZA_NONE)
		return;
	for (const struct xml_attr *at = n->attrs; at; at = at->next) {
		if (at->ns.len)
			continue;
		if (slice_eq(at->name, S("from")))
			ret->from_text = at->value;
		else if (slice_eq(at->name, S("to")))
			ret->to_text = at->value;
		else if (slice_eq(at->name, S("id")))
			ret->id = at->value;
		else if (slice_eq(at->name, S("type")))
			type = at->value;
	}
	ret->type = type_of(ret->kind, type);
	ret->from_rc = read_address(&ret->from, a, ret->from_text);
	ret->to_rc = read_address(&ret->to, a, ret->to_text);
}

struct xml_node *stanza_payload(const struct xml_node *iq)
{
	struct xml_node *c = xml_first(iq);
	return c && !xml_next(c) ? c : NULL;
}

bool stanza_final(const struct xml_node *n)
{
	enum stanza_kind k = stanza_kind(n);
	enum stanza_type t = stanza_type(n);
	return k == STANZA_NONE || t == STANZA_TYPE_ERROR || t == STANZA_TYPE_RESULT;
}

struct xml_node *stanza_new(struct arena *a, enum stanza_kind kind, enum stanza_type type, struct slice from, struct slice to,
	struct slice id)
{
	struct xml_node *n = xml_new(a, slice_str(stanza_kind_name(kind)), XMPP_NS_SERVER);
	if (from.len)
		xml_set(a, n, S("from"), from);
	if (to.len)
		xml_set(a, n, S("to"), to);
	if (id.len)
		xml_set(a, n, S("id"), id);
	const char *t = stanza_type_name(type);
	if (*t)
		xml_set(a, n, S("type"), slice_str(t));
	return n;
}

struct xml_node *stanza_result(struct arena *a, const struct xml_node *iq)
{
	enum stanza_type t = stanza_type(iq);
	if (t != STANZA_TYPE_GET && t != STANZA_TYPE_SET)
		return NULL;
	struct xml_node *n = xml_new(a, S("iq"), XMPP_NS_SERVER);
	xml_set(a, n, S("from"), stanza_to(iq));
	xml_set(a, n, S("to"), stanza_from(iq));
	xml_set(a, n, S("id"), stanza_id(iq)); /* also an empty one: the sender knows its request by it */
	xml_set(a, n, S("type"), S("result"));
	return n;
}

struct slice stanza_child_text(const struct xml_node *n, struct arena *a, struct slice name, struct slice lang)
{
	struct xml_node *best = n ? xml_child(n, name, n->ns) : NULL;
	for (struct xml_node *c = best; c && lang.len; c = xml_next_same(c)) {
		if (slice_ieq(xml_lang(c), lang)) {
			best = c;
			break;
		}
	}
	return best ? xml_text(best, a) : SLICE_NONE;
}

void stanza_write(struct buf *b, const struct xml_node *n, bool dialback)
{
	const struct xml_prefix prefixes[] = {{S("stream"), XMPP_NS_STREAM}, {S("db"), XMPP_NS_DIALBACK}};
	xml_write_in(b, n, XMPP_NS_SERVER, prefixes, dialback ? 2 : 1);
}

/* ---- time */

static bool two(struct slice *s, unsigned max, unsigned *ret)
{
	uint64_t v;
	if (!slice_u64(slice_first(*s, 2), max, &v) || s->len < 2)
		return false;
	*ret = (unsigned)v;
	*s = slice_skip(*s, 2);
	return true;
}

static bool one(struct slice *s, char c)
{
	if (!s->len || s->p[0] != c)
		return false;
	*s = slice_skip(*s, 1);
	return true;
}

static int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
	y -= m <= 2;
	int64_t era = y / 400; /* y >= 1969 */
	int64_t yoe = y - era * 400, doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

bool stanza_time_parse(struct slice s, int64_t *ret_ms)
{
	static const unsigned char month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	uint64_t year;
	unsigned mon, day, hour, min, sec, ms = 0, oh = 0, om = 0;
	int sign = 0;
	if (s.len < 4 || !slice_u64(slice_first(s, 4), 9999, &year) || year < 1970)
		return false;
	s = slice_skip(s, 4);
	if (!one(&s, '-') || !two(&s, 12, &mon) || !one(&s, '-') || !two(&s, 31, &day) || !one(&s, 'T') || !two(&s, 23, &hour) ||
	    !one(&s, ':') || !two(&s, 59, &min) || !one(&s, ':') || !two(&s, 60, &sec))
		return false;
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	if (!mon || !day || day > month_days[mon - 1] + (mon == 2 && leap ? 1u : 0u))
		return false;
	if (one(&s, '.')) {
		unsigned digits = 0;
		for (; s.len && s.p[0] >= '0' && s.p[0] <= '9'; s = slice_skip(s, 1), digits++)
			if (digits < 3)
				ms = ms * 10 + (unsigned)(s.p[0] - '0');
		if (!digits)
			return false;
		for (; digits < 3; digits++)
			ms *= 10;
	}
	if (!one(&s, 'Z')) {
		sign = one(&s, '+') ? 1 : one(&s, '-') ? -1 : 0;
		if (!sign || !two(&s, 23, &oh) || !one(&s, ':') || !two(&s, 59, &om))
			return false;
	}
	if (s.len)
		return false;
	int64_t t = days_from_civil((int64_t)year, mon, day) * 86400 + hour * 3600 + min * 60 + sec;
	t -= sign * (int64_t)(oh * 3600 + om * 60);
	if (t < 0)
		return false;
	*ret_ms = t * 1000 + ms;
	return true;
}

struct slice stanza_time_format(struct arena *a, int64_t unix_ms)
{
	time_t t = (time_t)(unix_ms / 1000);
	unsigned ms = (unsigned)(unix_ms % 1000);
	struct tm tm;
	if (unix_ms < 0 || !gmtime_r(&t, &tm) || tm.tm_year > 9999 - 1900)
		return SLICE_NONE;
	char text[64], frac[8] = "";
	if (ms)
		snprintf(frac, sizeof frac, ".%03u", ms);
	int n = snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			 tm.tm_hour, tm.tm_min, tm.tm_sec, frac);
	return arena_dup(a, slice_of(text, (size_t)n));
}

bool stanza_delay_read(const struct xml_node *n, int64_t *ret_ms)
{
	bool found = false;
	for (const struct xml_node *d = xml_child(n, S("delay"), XMPP_NS_DELAY); d; d = xml_next_same(d)) {
		int64_t ms;
		if (stanza_time_parse(xml_attr(d, S("stamp")), &ms) && (!found || ms < *ret_ms)) {
			*ret_ms = ms;
			found = true;
		}
	}
	return found;
}

void stanza_delay_add(struct arena *a, struct xml_node *n, int64_t unix_ms, struct slice from)
{
	struct slice stamp = stanza_time_format(a, unix_ms);
	if (!stamp.p)
		return;
	struct xml_node *d = xml_add(a, n, S("delay"), XMPP_NS_DELAY);
	if (from.len)
		xml_set(a, d, S("from"), from);
	xml_set(a, d, S("stamp"), stamp);
}
