/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: arguments and words. */
#pragma once
#include "admin/command.h"
#include "policy/domain.h"

struct admin_nearest;

/* help.c: "--type TYPE"; what help says of it. */
void admin_arg_usage(struct buf *out, const struct admin_arg *a);
void admin_arg_describe(struct buf *out, const struct admin_arg *a);

/* "--type", or "DOMAIN" for a positional one. */
void admin_arg_name(struct buf *out, const struct admin_arg *a);
/* The option's word without its dashes: the name, or "password-file" of a password. */
const char *admin_arg_option(const struct admin_arg *a);
/* As admin_args_check, of a command line: a password is still to be asked for. */
bool admin_args_check_line(const struct admin_command *c, json_t *args, struct buf *why);
/* line.c: text to JSON of the argument's type (true, 12, seconds of a duration); what does not fit stays a text, which admin_args_check
 * refuses. NULL: not UTF-8. */
json_t *admin_value_of(const struct admin_arg *a, struct slice text);
/* Must it stand on the command line? (A password is asked for.) */
bool admin_arg_needed(const struct admin_arg *a);
/* NULL: the command has no such argument. */
const struct admin_arg *admin_arg_find(const struct admin_command *c, struct slice name);
/* In quotes, cleaned, cut. */
void admin_quote(struct buf *out, struct slice s);
/* Appends "; did you mean '...'?" when there is one. */
void admin_nearest_print(const struct admin_nearest *n, const char *prefix, struct buf *why);
/* Cuts one value off a list separated by |; after the last rest->p is NULL. */
struct slice admin_values_next(struct slice *rest);
/* The value of such a list that is spelt like `text`, but for case, in *ret. False: there is none; *ret is the nearest, or empty. */
bool admin_values_find(const char *values, struct slice text, struct slice *ret);

struct admin_server {
	struct policy_domain host; /* a domain in A-labels or an IP address without brackets */
	uint16_t port;             /* 0: not given */
};
/* HOST, HOST:PORT, [IPV6]:PORT, IPV6. */
bool admin_server_parse(struct admin_server *ret, struct slice text);

/* How many of the words are the beginning of some command; *ret: the command, when they name one wholly (further words may
 * follow). */
size_t admin_path_match(const struct slice *words, size_t n, const struct admin_command **ret);
/* words[known] is not a command: says so, with the nearest. */
void admin_path_unknown(const struct slice *words, size_t known, struct buf *why);
