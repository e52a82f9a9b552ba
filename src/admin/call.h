/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: one command being carried out. A handler fills `data`; its renderer makes the text for people from the data
 * alone, so that both always say the same. */
#pragma once
#include "admin/command.h"
#include "admin/language.h"
#include "admin/table.h"
#include "base/err.h"

struct admin;
struct config;

struct admin_call {
	struct admin *admin; /* NULL in local commands */
	struct slice who;
	unsigned roles;      /* of who; 0 in local commands and in those that are parts of another */
	const struct admin_command *command;
	json_t *args;        /* checked */
	bool json, color;
	unsigned width;
	json_t *data;        /* an object, owned */
	struct buf text;     /* only when !json */
	json_t *warnings;    /* array, owned */
	json_t *error;       /* owned, or NULL */
	const struct admin_program *program; /* in local commands: who asks the daemon; may be NULL */
};

struct admin_handler {
	int (*run)(struct admin_call *c); /* an enum admin_exit */
	/* Called when there is no error and text is wanted; may be NULL. */
	void (*print)(struct admin_call *c);
};

/* The parts of admin_call_run, for a call that takes its time. `print` as in a handler, may be NULL. */
void admin_call_init(struct admin_call *c);
json_t *admin_call_response(struct admin_call *c, int exit, void (*print)(struct admin_call *c));
void admin_call_free(struct admin_call *c);
/* Runs and gives the response object (the caller's). */
json_t *admin_call_run(struct admin_call *c, const struct admin_handler *h);
/* The handlers of local commands; NULL for others. */
const struct admin_handler *admin_local_handler(enum admin_id id);
/* plan.c: all of `entente plan ...` */
extern const struct admin_handler admin_plan_handler;
/* audit_verify.c */
extern const struct admin_handler admin_audit_verify;
struct plan;
/* Adds certificates, records, ports and warnings; prints those that the data has. */
void admin_plan_data(json_t *data, const struct plan *p);
void admin_plan_print(struct admin_call *c);
/* Into a site what the call adds to it: its public addresses (--address) and domains that the configuration does not name (--domain). ENTENTE_ELIMIT: the arena is full. */
struct plan_site;
struct arena;
int admin_site_add(const struct admin_call *c, struct plan_site *site, struct arena *a);
/* quickstart.c */
extern const struct admin_handler admin_quickstart_handler;
/* check.c: all of `entente check ...` */
extern const struct admin_handler admin_check_handler;
/* lync_import.c: `entente import lync` */
extern const struct admin_handler admin_import_handler;
/* The configuration of a local command's argument "file", whether or not the files that it names exist; the caller's. NULL: *ret_exit is set, the error recorded. */
struct config *admin_config_load(struct admin_call *c, int *ret_exit);

/* Asks the daemon from a local command: words of a command, its arguments (taken over; NULL: none). The response (the caller's); NULL: nobody
 * answered, `why` has one line. */
json_t *admin_ask(struct admin_call *c, const char *const path[], json_t *args, struct buf *why);

/* Records why the command could not be carried out, and returns `exit`. hint: what to do, may be NULL. */
int admin_fail(struct admin_call *c, int exit, const char *code, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* The same from an error of a lower room: exit and code follow err->code. `what`: what failed. */
int admin_fail_err(struct admin_call *c, const char *what, const struct entente_err *err, const char *hint);
void admin_warn(struct admin_call *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- arguments; NULL, SLICE_NONE, `def` when not given ---- */
bool admin_arg_given(const struct admin_call *c, const char *name);
struct slice admin_arg_text(const struct admin_call *c, const char *name);
bool admin_arg_bool(const struct admin_call *c, const char *name, bool def);
uint64_t admin_arg_uint(const struct admin_call *c, const char *name, uint64_t def);
json_t *admin_arg_list(const struct admin_call *c, const char *name); /* borrowed */
/* The texts of a list, borrowed, in an array of the arena. NULL with *ret_n 0: the arena is full. */
struct slice *admin_arg_texts(const struct admin_call *c, const char *name, struct arena *a, size_t *ret_n);

/* ---- data ---- */
/* Text of any origin as JSON: what is not UTF-8 becomes U+FFFD. */
json_t *admin_json_text(struct slice s);
void admin_set_text(json_t *o, const char *key, struct slice s);
/* "" when it is not there or not a text. */
const char *admin_get_text(json_t *o, const char *key);
int64_t admin_get_int(json_t *o, const char *key);

/* ---- text for people ---- */
/* Without what could steer a terminal: controls, bidirectional overrides and broken UTF-8 become '?'. */
void admin_clean(struct buf *out, struct slice s);
enum admin_style { ADMIN_PLAIN, ADMIN_BOLD, ADMIN_GOOD, ADMIN_BAD_STYLE, ADMIN_DIM };
/* A text, cleaned; a number; yes or no; the members of an array with commas. */
void admin_value_put(struct buf *out, json_t *v);
/* Cleaned, in colour when `color`. */
void admin_styled(struct buf *out, bool color, enum admin_style style, struct slice s);
/* A paragraph, wrapped at `width` columns (0: 80) after an indent. Also the first line is indented, unless `first` is false. */
void admin_wrap(struct buf *out, struct slice text, unsigned indent, unsigned width, bool first);
/* "3 d 4 h", "12 min" of seconds. */
void admin_duration(struct buf *out, int64_t seconds);

/* ---- remedy.c: what to do about a refusal ---- */
/* With {local}, {remote}, ... as placeholders; never NULL. */
const char *admin_remedy(enum reason r);
struct admin_remedy_names {
	struct slice local, remote;       /* domains */
	struct slice local_user, remote_user; /* addresses */
	struct slice subject;                 /* what the rule that refused looked at */
	struct slice policy, switches;        /* the external access policy, for a shell; the options that would allow it */
};
/* The remedy with the names filled in; n may be NULL: then as placeholders in capitals. */
void admin_remedy_print(struct buf *out, enum reason r, const struct admin_remedy_names *n);
/* In a language; in English where the translation is missing. */
void admin_remedy_print_in(struct buf *out, enum reason r, enum admin_language l, const struct admin_remedy_names *n);
bool admin_reason_find(enum reason *ret, struct slice id);

/* The candidate nearest to `word`, when near enough to be meant; feed candidates one by one. */
struct admin_nearest {
	struct slice word;
	const char *best;
	size_t distance;
};
void admin_nearest_init(struct admin_nearest *n, struct slice word);
void admin_nearest_try(struct admin_nearest *n, const char *candidate);
