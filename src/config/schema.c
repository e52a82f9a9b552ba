/* SPDX-License-Identifier: Apache-2.0 */
#include "config/schema.h"

#define CONFIG_WHEN_LIVE true
#define CONFIG_WHEN_RESTART false

const struct config_row config_rows[] = {
#define SECTION(name, help_) {.kind = CONFIG_SECTION, .key = name, .help = help_},
#define SETTING(field, key_, type_, def_, min_, max_, choices_, when, help_) \
	{.kind = CONFIG_SETTING, .key = key_, .type = CONFIG_TYPE_##type_, .def = def_, .min = min_, .max = max_, \
	 .choices = choices_, .help = help_, .live = CONFIG_WHEN_##when, .offset = offsetof(struct config, field)},
#define RECORD(name, key_, when, help_) \
	{.kind = CONFIG_RECORD, .key = key_, .help = help_, .live = CONFIG_WHEN_##when, .offset = offsetof(struct config, name), \
	 .n_offset = offsetof(struct config, n_##name), .size = sizeof(struct config_##name)},
#define FIELD(record, field, key_, type_, def_, min_, max_, choices_, help_) \
	{.kind = CONFIG_FIELD, .key = key_, .type = CONFIG_TYPE_##type_, .def = def_, .min = min_, .max = max_, \
	 .choices = choices_, .help = help_, .offset = offsetof(struct config_##record, field)},
#include "config/settings.def"
};
const size_t config_n_rows = sizeof config_rows / sizeof *config_rows;

const struct config_row *config_row_find(struct slice key)
{
	for (size_t i = 0; i < config_n_rows; i++)
		if ((config_rows[i].kind == CONFIG_SETTING || config_rows[i].kind == CONFIG_RECORD) &&
		    slice_eq(slice_str(config_rows[i].key), key))
			return &config_rows[i];
	return NULL;
}

const struct config_row *config_field_find(const struct config_row *record, struct slice key)
{
	for (const struct config_row *f = record + 1; f < config_rows + config_n_rows && f->kind == CONFIG_FIELD; f++)
		if (slice_eq(slice_str(f->key), key))
			return f;
	return NULL;
}

bool config_is_section(struct slice key)
{
	for (size_t i = 0; i < config_n_rows; i++) {
		struct slice k = slice_str(config_rows[i].key);
		if ((config_rows[i].kind == CONFIG_SETTING || config_rows[i].kind == CONFIG_RECORD) && k.len > key.len &&
		    k.p[key.len] == '.' && slice_starts(k, key))
			return true;
	}
	return false;
}

const char *config_type_name(enum config_type t)
{
	switch (t) {
	case CONFIG_TYPE_STRING: return "text";
	case CONFIG_TYPE_DOMAIN: return "a domain name";
	case CONFIG_TYPE_PATH: return "an absolute path";
	case CONFIG_TYPE_ADDRESS: return "an IP address";
	case CONFIG_TYPE_SIP_URI: return "a SIP URI";
	case CONFIG_TYPE_UINT: return "a whole number";
	case CONFIG_TYPE_SIZE: return "a size";
	case CONFIG_TYPE_DURATION: return "a duration";
	case CONFIG_TYPE_BOOL: return "true or false";
	case CONFIG_TYPE_ENUM: return "a choice";
	case CONFIG_TYPE_STRINGS: return "a list of texts";
	case CONFIG_TYPE_DOMAINS: return "a list of domain names";
	case CONFIG_TYPE_DNS_SERVERS: return "a list of IP addresses";
	}
	return "";
}

bool config_is_list(enum config_type t)
{
	return t == CONFIG_TYPE_STRINGS || t == CONFIG_TYPE_DOMAINS || t == CONFIG_TYPE_DNS_SERVERS;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t config_distance(struct slice a, struct slice b, size_t limit)
{
	enum { MAX = 64 };
	size_t row[3][MAX + 1];
	size_t gap = a.len > b.len ? a.len - b.len : b.len - a.len;
	if (gap > limit || a.len > MAX || b.len > MAX)
		return SIZE_MAX;
	for (size_t k = 0; k <= b.len; k++)
		row[0][k] = k;
	for (size_t i = 1; i <= a.len; i++) {
		size_t *now = row[i % 3], *prev = row[(i + 2) % 3], *before = row[(i + 1) % 3];
		now[0] = i;
		for (size_t k = 1; k <= b.len; k++) {
			now[k] = least(least(prev[k], now[k - 1]) + 1, prev[k - 1] + (a.p[i - 1] != b.p[k - 1]));
			if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] && a.p[i - 2] == b.p[k - 1])
				now[k] = least(now[k], before[k - 2] + 1);
		}
	}
	size_t d = row[a.len % 3][b.len];
	return d <= limit ? d : SIZE_MAX;
}

void config_nearest_init(struct config_nearest *n, struct slice key)
{
	*n = (struct config_nearest){.key = key, .distance = SIZE_MAX};
}

void config_nearest_try(struct config_nearest *n, struct slice candidate)
{
	/* a third of the letters wrong, or one cut off: that is still a slip of the pen */
	size_t limit = n->key.len < 3 ? 1 : n->key.len / 3 + 1, d = config_distance(n->key, candidate, limit);
	if (d == SIZE_MAX && n->key.len >= 3 && (slice_starts(candidate, n->key) || slice_ends(candidate, n->key)))
		d = limit + 1;
	if (d < n->distance && d < n->key.len) {
		n->distance = d;
		n->best = candidate;
	}
}
