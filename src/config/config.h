/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: YAML by libyaml for its syntax, our own table (settings.def) for every type, so no value is ever
 * guessed (`no`, `1e3` and `010` are text until a setting says what it wants). Loading collects up to CONFIG_ERRORS_MAX
 * errors with line and column, and gives a plain immutable struct. Each load is independent: on a reload load anew,
 * compare, swap. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "policy/snapshot.h"

/* Values of the enumerated settings, in the order of their choices. The first three are as enum log_level, sip_transport and
 * policy_negotiation_mode. */
enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARNING, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };
enum config_role { CONFIG_ALL, CONFIG_EDGE, CONFIG_GATEWAY };
enum config_transport { CONFIG_UDP, CONFIG_TCP, CONFIG_TLS };
enum config_listen_tls { CONFIG_STARTTLS, CONFIG_DIRECT };
enum config_msrp_transport { CONFIG_MSRP_TCP, CONFIG_MSRP_TLS };
enum config_negotiation { CONFIG_STRICT, CONFIG_LYNC };
enum config_receipts_by_answer { CONFIG_RECEIPTS_SESSION, CONFIG_RECEIPTS_NEVER, CONFIG_RECEIPTS_ALWAYS };
enum config_im_type { CONFIG_IM_CHAT, CONFIG_IM_NORMAL };
enum config_presence_busy { CONFIG_BUSY_DND, CONFIG_BUSY_AWAY };
enum config_home_type { CONFIG_HOME_GENERIC, CONFIG_HOME_LYNC };
enum config_revocation { CONFIG_REVOCATION_OFF, CONFIG_REVOCATION_SOFT, CONFIG_REVOCATION_HARD };
/* Of policy-tests, in the order of their choices. */
enum config_expect { CONFIG_EXPECT_ALLOW, CONFIG_EXPECT_REFUSE };
enum config_unreachable { CONFIG_UNREACHABLE_REFUSE, CONFIG_UNREACHABLE_KEEP };
enum config_bare_jid_errors { CONFIG_BARE_JID_4XX, CONFIG_BARE_JID_6XX };

struct config_strings {
	const char *const *items;
	size_t n;
};

/* C types of the table's types: STRING DOMAIN PATH ADDRESS SIP_URI: never NULL, "" when not set. DURATION: milliseconds.
 * ADDRESS: without brackets. DNS_SERVERS: "address" or "address@port", as libunbound takes them. ENUM: one of the
 * enumerations above. */
#define CONFIG_C_STRING const char *
#define CONFIG_C_DOMAIN const char *
#define CONFIG_C_PATH const char *
#define CONFIG_C_ADDRESS const char *
#define CONFIG_C_SIP_URI const char *
#define CONFIG_C_UINT uint64_t
#define CONFIG_C_SIZE uint64_t
#define CONFIG_C_DURATION uint64_t
#define CONFIG_C_BOOL bool
#define CONFIG_C_ENUM unsigned
#define CONFIG_C_STRINGS struct config_strings
#define CONFIG_C_DOMAINS struct config_strings
#define CONFIG_C_DNS_SERVERS struct config_strings

/* struct config_sip_listen {address, port, transport}; struct config_xmpp_listen {address, port, tls}; struct config_homes
 * {name, domains, next_hop} */
#define RECORD(name, key, when, help) struct config_##name {
#define FIELD(record, field, key, type, def, min, max, choices, help) CONFIG_C_##type field;
#define RECORD_END(name) };
#include "config/settings.def"

/* One member per row: cfg->server_name, cfg->limits_max_stanza, cfg->homes[i].next_hop (i < cfg->n_homes). */
struct config {
#define SETTING(field, key, type, def, min, max, choices, when, help) CONFIG_C_##type field;
#define RECORD(name, key, when, help) const struct config_##name *name; size_t n_##name;
#include "config/settings.def"
	struct arena *arena; /* owns all texts and lists */
	const struct config_place *places; /* config_line */
};
/* The line of the file that gives this setting; 0: none does, it has its default. Lists and their members too: "homes[0]", "homes[0].domains[1]". */
unsigned config_line(const struct config *c, const char *key);
/* Of the home with this name, or of a domain of it; empty: the home as a whole. */
unsigned config_line_home(const struct config *c, struct slice name, struct slice domain);

enum { CONFIG_EDGES_MAX = 8, CONFIG_LINK_PORT = 23456 };
/* An entry of link.edges; false when malformed. */
bool config_edge_split(struct slice text, struct slice *ret_host, uint16_t *ret_port);

enum { CONFIG_ERRORS_MAX = 20, CONFIG_FILE_MAX = 1048576, CONFIG_LIST_MAX = 16384 };

struct config_error {
	bool warning;          /* does not stop the load */
	unsigned line, column; /* 1-based, column in characters; 0 when it concerns the file as a whole */
	char key[64];          /* full key path that it concerns, may be empty */
	char text[256];        /* what is wrong and what would be right; one line */
	char source[160];      /* the offending line of the file, cut around the column; may be empty */
	unsigned caret;        /* 1-based place of the offence in source, in characters */
};

struct config_errors {
	struct config_error list[CONFIG_ERRORS_MAX]; /* sorted by line and column */
	size_t n;        /* entries in list, errors and warnings */
	size_t n_errors; /* errors found, also beyond the list */
};

/* Reads and checks a file. 0 and *ret when there is no error (warnings may be in *errs); ENTENTE_EIO (cannot be read),
 * ENTENTE_ESYNTAX, ENTENTE_ELIMIT (too big). Cross-checks too: homes and their domains, certificate files readable, ...
 * *errs is filled anew, never NULL. Free with config_free. */
int config_load(struct config **ret, const char *path, struct config_errors *errs);
/* The same; without `check_files` it does not matter whether the files that it names exist yet. */
int config_read(struct config **ret, const char *path, bool check_files, struct config_errors *errs);
/* The same for text at hand. */
int config_parse(struct config **ret, struct slice text, bool check_files, struct config_errors *errs);
/* Accepts NULL; returns NULL. */
struct config *config_free(struct config *c);

/* Appends the errors for people: "name:line:column: error: text", the source line and a caret, one after the other. */
void config_errors_print(struct buf *out, const char *name, const struct config_errors *errs);

/* Adds the homes and gateway settings of the configuration to a snapshot builder. Cannot fail for a loaded configuration. */
void config_build_snapshot(struct snapshot_builder *b, const struct config *c);

/* ---- what derives from the table ---- */
/* The text of `entente config explain KEY`: type, default, range, when a change takes effect, help. A section name
 * ("limits") explains all in it, an empty key everything. ENTENTE_ENOTFOUND: no such key; err (may be NULL) names the
 * nearest. */
int config_explain(struct buf *out, struct slice key, struct entente_err *err);
/* A commented example file that loads: the required settings filled in, all others as comments with their defaults. */
void config_example(struct buf *out);
/* The SETTINGS section of entente.conf(5), in roff (man macros). */
void config_man(struct buf *out);
/* All settings with their effective values, as YAML that loads to the same configuration. */
void config_dump(struct buf *out, const struct config *c);
/* The value of one setting as YAML; false: there is no such setting. */
bool config_value(struct buf *out, const struct config *c, struct slice key);
/* Calls `each` for every key whose value differs; live: a reload applies it, else only a restart does. */
void config_diff(const struct config *a, const struct config *b, void (*each)(void *arg, const char *key, bool live), void *arg);
