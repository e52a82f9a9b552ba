/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments against the table: the same check for the command line and for what the control socket brings. */
#include "admin/args.h"

#include <arpa/inet.h>
#include "admin/call.h"
#include "admin/password.h"
#include "base/enc.h"
#include "policy/domain.h"
#include "policy/pin.h"

/* ---- the nearest word ---- */
enum { WORD_MAX = 48 };

/* Edit distance with transpositions (optimal string alignment), without case. */
static size_t distance(struct slice a, struct slice b)
{
	size_t row[3][WORD_MAX + 1];
	for (size_t k = 0; k <= b.len; k++)
		row[1][k] = k;
	for (size_t i = 1; i <= a.len; i++) {
		size_t *before = row[(i + 2) % 3], *last = row[i % 3], *now = row[(i + 1) % 3];
		now[0] = i;
		for (size_t k = 1; k <= b.len; k++) {
			bool same = slice_ieq(slice_of(a.p + i - 1, 1), slice_of(b.p + k - 1, 1));
			size_t d = last[k - 1] + !same;
			d = last[k] + 1 < d ? last[k] + 1 : d;
			d = now[k - 1] + 1 < d ? now[k - 1] + 1 : d;
			if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] && a.p[i - 2] == b.p[k - 1] && before[k - 2] + 1 < d)
				d = before[k - 2] + 1;
			now[k] = d;
		}
	}
	return row[(a.len + 1) % 3][b.len];
}

void admin_nearest_init(struct admin_nearest *n, struct slice word)
{
	*n = (struct admin_nearest){.word = word, .distance = 1 + (word.len + 1) / 3};
}

void admin_nearest_try(struct admin_nearest *n, const char *candidate)
{
	struct slice c = slice_str(candidate);
	if (n->word.len > WORD_MAX || c.len > WORD_MAX || slice_empty(n->word))
		return;
	size_t d = distance(n->word, c);
	/* Half a word is meant to be the whole one. */
	if (n->word.len >= 3 && slice_istarts(c, n->word))
		d = 1;
	if (d < n->distance) {
		n->distance = d;
		n->best = candidate;
	}
}

void admin_nearest_print(const struct admin_nearest *n, const char *prefix, struct buf *why)
{
	if (n->best)
		buf_printf(why, "; did you mean '%s%s'?", prefix, n->best);
}

/* ---- names ---- */
static const char *const placeholders[ADMIN_TYPE_COUNT] = {
	[ADMIN_TEXT] = "TEXT", [ADMIN_DOMAIN] = "DOMAIN", [ADMIN_DOMAINS_BELOW] = "DOMAIN", [ADMIN_PARTNER] = "DOMAIN", [ADMIN_SERVER] = "HOST[:PORT]",
	[ADMIN_ADDRESS] = "ADDRESS", [ADMIN_ENUM] = "VALUE", [ADMIN_BOOL] = "", [ADMIN_UINT] = "N", [ADMIN_PATH] = "FILE",
	[ADMIN_REASON] = "ID", [ADMIN_KEY] = "KEY", [ADMIN_WORDS] = "WORD",
	[ADMIN_PIN] = "PIN", [ADMIN_PASSWORD] = "FILE", [ADMIN_DURATION] = "DURATION", [ADMIN_FILE] = "FILE",
};

const char *admin_type_placeholder(enum admin_type t)
{
	return t < ADMIN_TYPE_COUNT ? placeholders[t] : "VALUE";
}

void admin_arg_name(struct buf *out, const struct admin_arg *a)
{
	if (a->flags & ADMIN_POSITIONAL && a->type == ADMIN_TEXT)
		for (const char *p = a->name; *p; p++)
			buf_putc(out, *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p);
	else if (a->flags & ADMIN_POSITIONAL)
		buf_puts(out, admin_type_placeholder(a->type));
	else
		buf_printf(out, "--%s", admin_arg_option(a));
}

bool admin_arg_needed(const struct admin_arg *a)
{
	return a->flags & ADMIN_REQUIRED && a->type != ADMIN_PASSWORD;
}

const char *admin_arg_option(const struct admin_arg *a)
{
	return a->type == ADMIN_PASSWORD ? "password-file" : a->name;
}

void admin_quote(struct buf *out, struct slice s)
{
	struct slice cut = utf8_first(s, 80);
	buf_putc(out, '\'');
	admin_clean(out, cut);
	buf_puts(out, cut.len < s.len ? "...'" : "'");
}

struct slice admin_values_next(struct slice *rest)
{
	return slice_split(rest, '|');
}

/* ---- values ---- */
bool admin_server_parse(struct admin_server *ret, struct slice text)
{
	struct slice host = text, port = SLICE_NONE;
	char z[INET6_ADDRSTRLEN];
	unsigned char addr[16];
	ptrdiff_t colon;
	uint64_t n = 0;
	if (slice_starts(text, S("["))) {
		ptrdiff_t end = slice_find_chr(text, ']');
		if (end < 0)
			return false;
		host = slice_of(text.p + 1, (size_t)end - 1);
		port = slice_skip(text, (size_t)end + 1);
		if (!slice_cstr(host, z, sizeof z) || inet_pton(AF_INET6, z, addr) != 1 ||
		    (!slice_empty(port) && !slice_starts(port, S(":"))))
			return false;
		if (!slice_empty(port))
			port = slice_of(port.p + 1, port.len - 1);
		else
			port = SLICE_NONE;
	} else if ((colon = slice_find_chr(text, ':')) >= 0 && slice_find_chr(slice_skip(text, (size_t)colon + 1), ':') < 0) {
		host = slice_first(text, (size_t)colon);
		port = slice_of(text.p + colon + 1, text.len - (size_t)colon - 1);
	}
	if (port.p && (!slice_u64(port, 65535, &n) || n == 0))
		return false;
	if (memchr(host.p ? host.p : "", 0, host.len))
		return false;
	if (slice_cstr(host, z, sizeof z) && (inet_pton(AF_INET, z, addr) == 1 || inet_pton(AF_INET6, z, addr) == 1))
		slice_cstr(host, ret->host.text, sizeof ret->host.text), ret->host.len = host.len;
	else if (!policy_domain_import(&ret->host, host))
		return false;
	ret->port = (uint16_t)n;
	return true;
}

static bool domain_check(json_t **v, struct slice text, bool pattern, struct buf *why)
{
	struct policy_domain d;
	ptrdiff_t at = slice_find_chr(text, '@');
	if (pattern ? policy_pattern_import(&d, text) : policy_domain_import(&d, text)) {
		*v = json_stringn(d.text, d.len);
		return true;
	}
	admin_quote(why, text);
	if (at >= 0)
		buf_puts(why, " is an address; a whole domain is meant here, what follows the '@'");
	else if (slice_find_chr(text, ':') >= 0 || slice_find_chr(text, '/') >= 0)
		buf_puts(why, " is not a domain; give the name alone, without scheme or port");
	else if (slice_find_chr(text, '*') >= 0 && pattern)
		buf_puts(why, " is not a domain; *.fabrikam.example stands for all domains below fabrikam.example, other patterns do not exist");
	else if (slice_find_chr(text, '*') >= 0)
		buf_puts(why, " is not a domain; there are no patterns here, each domain is named");
	else
		buf_puts(why, " is not a domain");
	return false;
}

bool admin_values_find(const char *values, struct slice text, struct slice *ret)
{
	char word[WORD_MAX + 1];
	struct admin_nearest near;
	admin_nearest_init(&near, text);
	*ret = SLICE_NONE;
	for (struct slice rest = slice_str(values); rest.p;) {
		struct slice one = admin_values_next(&rest);
		if (slice_ieq(one, text)) {
			*ret = one;
			return true;
		}
		const char *before = near.best;
		slice_cstr(one, word, sizeof word);
		admin_nearest_try(&near, word);
		if (near.best != before)
			*ret = one;
		near.best = ret->p; /* `word` is another one soon */
	}
	return false;
}

static bool enum_check(const struct admin_arg *a, json_t **v, struct slice text, struct buf *why)
{
	struct slice rest, value;
	if (admin_values_find(a->values, text, &value)) {
		*v = json_stringn(value.p, value.len);
		return true;
	}
	for (rest = slice_str(a->also); rest.p;) {
		struct slice meant = admin_values_next(&rest), other = slice_split(&meant, '=');
		if (slice_ieq(other, text)) {
			*v = json_stringn(meant.p, meant.len);
			return true;
		}
	}
	admin_quote(why, text);
	buf_puts(why, " is not one of ");
	for (rest = slice_str(a->values); rest.p;) {
		buf_put(why, admin_values_next(&rest));
		buf_puts(why, rest.p ? ", " : "");
	}
	if (value.len)
		buf_printf(why, "; did you mean '%.*s'?", SFMT(value));
	return false;
}

static bool text_check(const struct admin_arg *a, struct slice text, struct buf *why)
{
	if (utf8_has_control(text)) {
		buf_puts(why, "one line of text is wanted, without control characters");
		return false;
	}
	if (a->max && text.len > a->max) {
		buf_printf(why, "longer than %ju octets", (uintmax_t)a->max);
		return false;
	}
	return true;
}

static bool address_check(struct slice text, struct buf *why)
{
	if (!slice_empty(text) && text.len <= 4096 && !utf8_has_control(text))
		return true;
	admin_quote(why, text);
	buf_puts(why, " is not an address; sip:user@domain, xmpp:user@domain or user@domain is wanted");
	return false;
}

static bool server_check(struct slice text, struct buf *why)
{
	struct admin_server s;
	if (slice_empty(text) || admin_server_parse(&s, text))
		return true;
	admin_quote(why, text);
	buf_puts(why, " is not HOST, HOST:PORT or [IPV6]:PORT");
	return false;
}

static bool pin_check(json_t **v, struct slice text, struct buf *why)
{
	struct policy_pin pin;
	struct buf hex;
	if (!policy_pin_parse(&pin, text)) {
		admin_quote(why, text);
		buf_puts(why, " is not a pin: SHA-256 of the public key, 64 hex digits or sha256//BASE64, is wanted");
		return false;
	}
	buf_init(&hex, 128);
	policy_pin_print(&hex, &pin);
	*v = json_stringn(buf_slice(&hex).p, hex.len);
	buf_free(&hex);
	return true;
}

/* *v: what should stand in its place, or NULL. */
static bool value_check(const struct admin_arg *a, json_t *given, json_t **v, struct buf *why)
{
	*v = NULL;
	if (a->type == ADMIN_BOOL) {
		if (json_is_boolean(given))
			return true;
		buf_puts(why, "true or false is wanted");
		return false;
	}
	if (a->type == ADMIN_UINT) {
		if (json_is_integer(given) && json_integer_value(given) >= 0 && (uint64_t)json_integer_value(given) <= a->max)
			return true;
		buf_printf(why, "a whole number from 0 to %ju is wanted", (uintmax_t)a->max);
		return false;
	}
	if (a->type == ADMIN_DURATION) {
		if (json_is_integer(given) && json_integer_value(given) >= 1 && (uint64_t)json_integer_value(given) <= a->max)
			return true;
		buf_printf(why, "a time like 30s, 10m or 2h is wanted, at most %ju seconds", (uintmax_t)a->max);
		return false;
	}
	if (!json_is_string(given)) {
		buf_puts(why, "a text is wanted");
		return false;
	}
	struct slice text = slice_of(json_string_value(given), json_string_length(given));
	switch (a->type) {
	case ADMIN_DOMAIN:
	case ADMIN_PARTNER: return domain_check(v, text, false, why);
	case ADMIN_DOMAINS_BELOW: return domain_check(v, text, true, why);
	case ADMIN_ENUM: return enum_check(a, v, text, why);
	case ADMIN_SERVER: return server_check(text, why);
	case ADMIN_ADDRESS: return address_check(text, why);
	case ADMIN_PIN: return pin_check(v, text, why);
	case ADMIN_PASSWORD:
		if (admin_password_is_hash(text))
			return true;
		buf_puts(why, "the argon2id hash of a password is wanted, as `entente` and the HTTP API make it");
		return false;
	case ADMIN_FILE:
		if (text.len > a->max)
			buf_printf(why, "has more than %ju octets", (uintmax_t)a->max);
		return text.len <= a->max;
	default: return text_check(a, text, why);
	}
}

static bool list_check(const struct admin_arg *a, json_t *list, struct buf *why)
{
	size_t i;
	json_t *one, *v;
	if (!json_is_array(list)) {
		buf_puts(why, "a list is wanted");
		return false;
	}
	json_array_foreach(list, i, one) {
		if (!value_check(a, one, &v, why))
			return false;
		if (v)
			json_array_set_new(list, i, v);
	}
	return true;
}

const struct admin_arg *admin_arg_find(const struct admin_command *c, struct slice name)
{
	for (size_t i = 0; i < c->n_args; i++)
		if (slice_eq(slice_str(c->args[i].name), name))
			return &c->args[i];
	return NULL;
}

static bool args_check(const struct admin_command *c, json_t *args, bool line, struct buf *why)
{
	const char *key;
	json_t *given;
	json_object_foreach(args, key, given)
		if (!admin_arg_find(c, slice_str(key))) {
			struct admin_nearest near;
			admin_nearest_init(&near, slice_str(key));
			for (size_t i = 0; i < c->n_args; i++)
				admin_nearest_try(&near, c->args[i].name);
			buf_puts(why, "there is no argument ");
			admin_quote(why, slice_str(key));
			admin_nearest_print(&near, "", why);
			return false;
		}
	for (size_t i = 0; i < c->n_args; i++) {
		const struct admin_arg *a = &c->args[i];
		json_t *v = NULL;
		given = json_object_get(args, a->name);
		size_t before = why->len;
		if (!given && !(line ? admin_arg_needed(a) : (a->flags & ADMIN_REQUIRED) != 0))
			continue;
		admin_arg_name(why, a);
		if (!given) {
			buf_printf(why, " is missing: %s", a->help);
			for (struct slice rest = slice_str(a->values), n = SLICE_NONE; rest.p; n = rest) {
				buf_puts(why, n.p ? ", " : " (");
				buf_put(why, admin_values_next(&rest));
			}
			buf_puts(why, a->values ? ")" : "");
			return false;
		}
		buf_puts(why, ": ");
		if (!(a->flags & ADMIN_MANY ? list_check(a, given, why) : value_check(a, given, &v, why)))
			return false;
		if (v)
			json_object_set_new(args, a->name, v);
		buf_truncate(why, before);
	}
	return true;
}

bool admin_args_check(const struct admin_command *c, json_t *args, struct buf *why)
{
	return args_check(c, args, false, why);
}

bool admin_args_check_line(const struct admin_command *c, json_t *args, struct buf *why)
{
	return args_check(c, args, true, why);
}

/* ---- commands by their words ---- */
static size_t path_len(const char *const path[])
{
	size_t n = 0;
	while (path[n])
		n++;
	return n;
}

static bool path_starts(const char *const path[], const struct slice *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!path[i] || !slice_eq(slice_str(path[i]), words[i]))
			return false;
	return true;
}

size_t admin_path_match(const struct slice *words, size_t n, const struct admin_command **ret)
{
	size_t known = 0;
	*ret = NULL;
	for (size_t i = 0; i < admin_command_count(); i++) {
		const struct admin_command *c = admin_command(i);
		size_t len = path_len(c->path), k = 0;
		while (k < n && k < len && slice_eq(slice_str(c->path[k]), words[k]))
			k++;
		known = k > known ? k : known;
		if (k == len) {
			*ret = c;
			return len;
		}
	}
	return known;
}

void admin_path_unknown(const struct slice *words, size_t known, struct buf *why)
{
	struct admin_nearest near;
	admin_nearest_init(&near, words[known]);
	for (size_t i = 0; i < admin_command_count(); i++)
		if (path_starts(admin_command(i)->path, words, known) && admin_command(i)->path[known])
			admin_nearest_try(&near, admin_command(i)->path[known]);
	buf_puts(why, "there is no command ");
	admin_quote(why, words[known]);
	if (known) {
		buf_puts(why, " under '");
		for (size_t i = 0; i < known; i++) {
			buf_puts(why, i ? " " : "");
			buf_put(why, words[i]);
		}
		buf_putc(why, '\'');
	}
	admin_nearest_print(&near, "", why);
}

const struct admin_command *admin_command_find(const struct slice *words, size_t n, struct buf *why)
{
	const struct admin_command *c;
	size_t known = admin_path_match(words, n, &c);
	if (c && known == n)
		return c;
	if (known < n && !c)
		admin_path_unknown(words, known, why);
	else
		buf_puts(why, n ? c ? "too many words" : "the command is not complete" : "no command is given");
	return NULL;
}
