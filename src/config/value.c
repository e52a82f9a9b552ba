/* SPDX-License-Identifier: Apache-2.0 */
/* Text to typed values and back. A parser says what is wrong in words that complete "key: 'text' ...". */
#include <arpa/inet.h>
#include "base/enc.h"
#include "base/mem.h"
#include "config/schema.h"

static const struct unit {
	const char *name;
	uint64_t factor;
} durations[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}},
  sizes[] = {{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}};
enum { N_DURATIONS = 5, N_SIZES = 4 };

static void units_print(struct buf *out, uint64_t v, const struct unit *u, size_t n, const char *zero)
{
	if (!v) {
		buf_puts(out, zero);
		return;
	}
	for (size_t i = 0; i < n; i++)
		if (v % u[i].factor == 0) {
			buf_u64(out, v / u[i].factor);
			buf_puts(out, u[i].name);
			return;
		}
}

void config_duration_print(struct buf *out, uint64_t ms)
{
	units_print(out, ms, durations, N_DURATIONS, "0s");
}

void config_size_print(struct buf *out, uint64_t octets)
{
	units_print(out, octets, sizes, N_SIZES - 1, "0");
	if (octets % 1024)
		buf_u64(out, octets);
}

static void bound_print(struct buf *out, const struct config_row *row, uint64_t v)
{
	if (row->type == CONFIG_TYPE_DURATION)
		config_duration_print(out, v);
	else if (row->type == CONFIG_TYPE_SIZE)
		config_size_print(out, v);
	else
		buf_u64(out, v);
}

void config_bounds_print(struct buf *out, const struct config_row *row)
{
	if (!row->max)
		return;
	bound_print(out, row, row->min);
	buf_puts(out, " to ");
	bound_print(out, row, row->max);
}

static bool wrong_range(const struct config_row *row, char *why, size_t size)
{
	struct buf b;
	buf_init(&b, 128);
	config_bounds_print(&b, row);
	snprintf(why, size, "is out of range; it takes %.*s", SFMT(buf_slice(&b)));
	buf_free(&b);
	return false;
}

static bool number(const struct config_row *row, struct slice text, uint64_t *ret, char *why, size_t size)
{
	const struct unit *units = row->type == CONFIG_TYPE_DURATION ? durations : row->type == CONFIG_TYPE_SIZE ? sizes : NULL;
	size_t n_units = units == durations ? N_DURATIONS : units ? N_SIZES : 0, digits = 0;
	while (digits < text.len && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	struct slice num = slice_first(text, digits), unit = slice_skip(text, digits);
	uint64_t v, factor = 0;
	if (!digits) {
		snprintf(why, size, "is not %s%s", config_type_name(row->type),
			 units == durations ? ", such as 30s, 500ms, 5m, 1h" : units ? ", such as 262144, 64KiB, 1MiB" : "");
		return false;
	}
	if (unit.len > 1 && unit.p[0] == ' ')
		unit = slice_skip(unit, 1);
	if (slice_empty(unit) && (units != durations || slice_eq(num, S("0"))))
		factor = 1;
	for (size_t i = 0; i < n_units && !factor; i++)
		if (slice_eq(unit, slice_str(units[i].name)))
			factor = units[i].factor;
	if (!factor) {
		if (slice_empty(unit))
			snprintf(why, size, "has no unit: write %.*ss for seconds, or ms, m, h, d", SFMT(num));
		else if (!units)
			snprintf(why, size, "is not a whole number");
		else
			snprintf(why, size, "has an unknown unit; known are %s",
				 units == sizes ? "B, KiB, MiB, GiB" : "ms, s, m, h, d");
		return false;
	}
	if (num.len > 1 && num.p[0] == '0') {
		snprintf(why, size, "starts with a zero, which some read as octal; write it without");
		return false;
	}
	if (!slice_u64(num, UINT64_MAX / factor, &v) || v * factor < row->min || v * factor > row->max)
		return wrong_range(row, why, size);
	*ret = v * factor;
	return true;
}

static bool choice(const struct config_row *row, struct slice text, unsigned *ret, char *why, size_t size)
{
	struct slice rest = slice_str(row->choices);
	struct config_nearest near;
	config_nearest_init(&near, text);
	for (unsigned i = 0; rest.p; i++) {
		struct slice one = slice_split(&rest, '|');
		if (slice_eq(one, text)) {
			*ret = i;
			return true;
		}
		config_nearest_try(&near, one);
	}
	char all[128];
	size_t n = 0;
	for (const char *c = row->choices; *c && n < sizeof all - 3; c++) {
		all[n++] = *c == '|' ? ',' : *c;
		if (*c == '|')
			all[n++] = ' ';
	}
	all[n] = '\0';
	if (near.best.p)
		snprintf(why, size, "is not one of %s; did you mean '%.*s'?", all, SFMT(near.best));
	else
		snprintf(why, size, "is not one of %s", all);
	return false;
}

static struct slice unbracket(struct slice s)
{
	return s.len >= 2 && s.p[0] == '[' && s.p[s.len - 1] == ']' ? slice_of(s.p + 1, s.len - 2) : s;
}

static bool is_ip(struct slice s)
{
	char z[64];
	unsigned char addr[16];
	return slice_cstr(s, z, sizeof z) && (inet_pton(AF_INET, z, addr) == 1 || inet_pton(AF_INET6, z, addr) == 1);
}

static bool hostport(struct slice s, const char **why)
{
	struct slice host = s, port = SLICE_NONE;
	uint64_t v;
	if (s.len && s.p[0] == '[') {
		ptrdiff_t end = slice_find_chr(s, ']');
		if (end < 0) {
			*why = "has an address without its closing bracket";
			return false;
		}
		host = slice_first(s, (size_t)end + 1);
		port = slice_skip(s, (size_t)end + 1);
	} else if (slice_find_chr(s, ':') >= 0) {
		host = slice_first(s, (size_t)slice_find_chr(s, ':'));
		port = slice_skip(s, host.len);
	}
	struct policy_domain d;
	bool ipv6 = host.len && host.p[0] == '[' && slice_find_chr(host, ':') > 0 && is_ip(unbracket(host));
	if (!ipv6 && !policy_domain_make(&d, host) && (slice_find_chr(host, '[') >= 0 || !is_ip(host))) {
		*why = "has neither a host name nor an IP address (IPv6 in brackets) after the scheme";
		return false;
	}
	if (!slice_empty(port) && (port.p[0] != ':' || !slice_u64(slice_skip(port, 1), 65535, &v) || !v)) {
		*why = "has a malformed port";
		return false;
	}
	return true;
}

bool config_sip_uri(struct slice text, enum policy_transport *ret, bool *explicit_transport, const char **why)
{
	bool sips = slice_istarts(text, S("sips:")), named = false;
	enum policy_transport t = sips ? POLICY_TLS : POLICY_UDP; /* RFC 3263 4.1 */
	if (!sips && !slice_istarts(text, S("sip:"))) {
		*why = "does not begin with sip: or sips:";
		return false;
	}
	struct slice rest = slice_skip(text, sips ? 5 : 4), head = slice_split(&rest, ';');
	if (slice_find_chr(text, '@') >= 0) {
		*why = "has a user part; only a server is wanted, e.g. sip:10.0.0.5:5060;transport=tcp";
		return false;
	}
	if (!hostport(head, why))
		return false;
	while (rest.p) {
		struct slice param = slice_split(&rest, ';'), value = param, name = slice_split(&value, '=');
		if (slice_ieq(name, S("lr")) && !value.p)
			continue;
		if (!slice_ieq(name, S("transport")) || named) {
			*why = "has a parameter that is not understood; only transport=udp, tcp or tls is";
			return false;
		}
		named = true;
		enum policy_transport k = POLICY_UDP;
		while (k <= POLICY_TLS && !slice_ieq(value, slice_str(policy_transport_name(k))))
			k++;
		if (k > POLICY_TLS || (sips && k == POLICY_UDP)) {
			*why = sips ? "has a transport other than tcp or tls" : "has a transport other than udp, tcp or tls";
			return false;
		}
		t = sips ? POLICY_TLS : k;
	}
	if (ret)
		*ret = t;
	if (explicit_transport)
		*explicit_transport = named || sips;
	return true;
}

static bool one_text(enum config_type type, struct arena *a, struct slice text, const char **ret, char *why, size_t size)
{
	struct policy_domain d;
	const char *bad = NULL;
	uint64_t port;
	struct slice host = text;
	switch (type) {
	case CONFIG_TYPE_DOMAIN:
	case CONFIG_TYPE_DOMAINS:
		if (policy_domain_import(&d, text))
			text = policy_domain_slice(&d);
		else
			bad = is_ip(unbracket(text)) ? "is an address, not a domain name" : "is not a domain name";
		break;
	case CONFIG_TYPE_PATH:
		if (text.p[0] != '/')
			bad = "is not an absolute path";
		else if (text.len >= 4096)
			bad = "is too long for a path";
		break;
	case CONFIG_TYPE_ADDRESS:
		text = unbracket(text);
		if (!is_ip(text))
			bad = "is not an IP address";
		break;
	case CONFIG_TYPE_DNS_SERVERS:
		if (slice_find_chr(text, '@') >= 0) {
			struct slice rest = text;
			host = slice_split(&rest, '@');
			if (!slice_u64(rest, 65535, &port) || !port)
				bad = "has a malformed port after @";
		}
		if (!bad && !is_ip(host))
			bad = "is not an IP address, nor address@port";
		break;
	case CONFIG_TYPE_SIP_URI:
		config_sip_uri(text, NULL, NULL, &bad);
		break;
	default:
		if (text.len > 255)
			bad = "is longer than 255 octets";
	}
	if (bad) {
		snprintf(why, size, "%s", bad);
		return false;
	}
	struct slice copy = arena_dup(a, text);
	if (!copy.p)
		snprintf(why, size, "does not fit into memory");
	*ret = copy.p;
	return copy.p;
}

bool config_value_parse(const struct config_row *row, struct arena *a, struct slice text, void *p, char *why, size_t size)
{
	if (!utf8_valid(text) || utf8_has_control(text)) {
		snprintf(why, size, "holds control characters");
		return false;
	}
	if (slice_empty(text) && row->type == CONFIG_TYPE_STRING && row->def && !*row->def) { /* says that it is not set */
		*(const char **)p = "";
		return true;
	}
	if (slice_empty(text)) {
		snprintf(why, size, "is empty; %s is wanted",
			 config_type_name(config_is_list(row->type) ? CONFIG_TYPE_STRING : row->type));
		return false;
	}
	switch (row->type) {
	case CONFIG_TYPE_UINT:
	case CONFIG_TYPE_SIZE:
	case CONFIG_TYPE_DURATION:
		return number(row, text, p, why, size);
	case CONFIG_TYPE_BOOL:
		if (!slice_eq(text, S("true")) && !slice_eq(text, S("false"))) {
			snprintf(why, size, "is neither true nor false");
			return false;
		}
		*(bool *)p = slice_eq(text, S("true"));
		return true;
	case CONFIG_TYPE_ENUM:
		return choice(row, text, p, why, size);
	default:
		return one_text(row->type, a, text, p, why, size);
	}
}

void config_value_default(const struct config_row *row, struct arena *a, void *p)
{
	char why[160];
	if (config_is_list(row->type))
		*(struct config_strings *)p = (struct config_strings){0};
	else if (row->def && *row->def) {
		if (!config_value_parse(row, a, slice_str(row->def), p, why, sizeof why))
			abort(); /* the table is wrong; its test finds this first */
	} else if (row->type <= CONFIG_TYPE_SIP_URI) {
		*(const char **)p = "";
	} /* a number or a choice that is required is left 0 */
}

static void quoted(struct buf *out, const char *z)
{
	buf_putc(out, '"');
	for (; *z; z++) {
		if (*z == '"' || *z == '\\')
			buf_putc(out, '\\');
		buf_putc(out, *z);
	}
	buf_putc(out, '"');
}

void config_value_print(struct buf *out, const struct config_row *row, const void *p)
{
	switch (row->type) {
	case CONFIG_TYPE_UINT:
		buf_u64(out, *(const uint64_t *)p);
		break;
	case CONFIG_TYPE_SIZE:
		config_size_print(out, *(const uint64_t *)p);
		break;
	case CONFIG_TYPE_DURATION:
		config_duration_print(out, *(const uint64_t *)p);
		break;
	case CONFIG_TYPE_BOOL:
		buf_puts(out, *(const bool *)p ? "true" : "false");
		break;
	case CONFIG_TYPE_ENUM: {
		struct slice rest = slice_str(row->choices), one = slice_split(&rest, '|');
		for (unsigned i = *(const unsigned *)p; i; i--)
			one = slice_split(&rest, '|');
		buf_put(out, one);
		break;
	}
	case CONFIG_TYPE_STRINGS:
	case CONFIG_TYPE_DOMAINS:
	case CONFIG_TYPE_DNS_SERVERS: {
		const struct config_strings *s = p;
		buf_putc(out, '[');
		for (size_t i = 0; i < s->n; i++) {
			buf_puts(out, i ? ", " : "");
			quoted(out, s->items[i]);
		}
		buf_putc(out, ']');
		break;
	}
	default:
		quoted(out, *(const char *const *)p);
	}
}
