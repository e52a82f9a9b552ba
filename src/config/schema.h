/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the table as data, the tree of a file, the errors, the typed values. */
#pragma once
#include "base/arena.h"
#include "config/config.h"
#include "config/tree.h"

enum config_type { /* texts first, up to SIP_URI */
	CONFIG_TYPE_STRING, CONFIG_TYPE_DOMAIN, CONFIG_TYPE_PATH, CONFIG_TYPE_ADDRESS, CONFIG_TYPE_SIP_URI, CONFIG_TYPE_UINT,
	CONFIG_TYPE_SIZE, CONFIG_TYPE_DURATION, CONFIG_TYPE_BOOL, CONFIG_TYPE_ENUM, CONFIG_TYPE_STRINGS, CONFIG_TYPE_DOMAINS,
	CONFIG_TYPE_DNS_SERVERS,
};
enum config_kind { CONFIG_SECTION, CONFIG_SETTING, CONFIG_RECORD, CONFIG_FIELD };

struct config_row {
	enum config_kind kind;
	const char *key; /* section name, full path of a setting or record, name of a field */
	enum config_type type;
	const char *def; /* NULL: required */
	uint64_t min, max;
	const char *choices, *help;
	bool live;
	size_t offset;         /* of the member in struct config, of a field in its record */
	size_t n_offset, size; /* of a record: its count in struct config, its element */
};

/* In the order of settings.def; the fields of a record follow it. */
extern const struct config_row config_rows[];
extern const size_t config_n_rows;

const struct config_row *config_row_find(struct slice key);                                /* SETTING or RECORD */
const struct config_row *config_field_find(const struct config_row *record, struct slice key);
/* A proper prefix of some key, up to a dot ("limits"). */
bool config_is_section(struct slice key);
/* "an IP address", "a duration" */
const char *config_type_name(enum config_type t);
bool config_is_list(enum config_type t);

/* Edit distance with transpositions; SIZE_MAX above `limit`. */
size_t config_distance(struct slice a, struct slice b, size_t limit);
/* The candidate nearest to `key`, when near enough to be meant. Feed candidates one by one. */
struct config_nearest {
	struct slice key, best;
	size_t distance;
};
void config_nearest_init(struct config_nearest *n, struct slice key);
void config_nearest_try(struct config_nearest *n, struct slice candidate);

/* ---- value.c ---- */
/* One scalar into the member at `p` (of a list type: one element into *(const char **)p). False: `why` is what is wrong. */
bool config_value_parse(const struct config_row *row, struct arena *a, struct slice text, void *p, char *why, size_t size);
/* The default into the member. */
void config_value_default(const struct config_row *row, struct arena *a, void *p);
/* As YAML, on one line. */
void config_value_print(struct buf *out, const struct config_row *row, const void *p);
/* "10s" of 10000; "64KiB" of 65536: the shortest exact form. */
void config_duration_print(struct buf *out, uint64_t ms);
void config_size_print(struct buf *out, uint64_t octets);
/* "0 to 64"; empty without bounds. */
void config_bounds_print(struct buf *out, const struct config_row *row);
/* What a SIP_URI says; false when malformed. `explicit_transport` may be NULL. */
bool config_sip_uri(struct slice text, enum policy_transport *ret, bool *explicit_transport, const char **why);

/* ---- load.c, check.c ---- */
struct config_loader {
	struct config *config;
	struct config_errors *errs;
	const struct config_node **where; /* by row: the node of a setting or record that the file gives */
	bool check_files;
};
void config_check(struct config_loader *l);
