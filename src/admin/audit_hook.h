/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: what of a command goes into the audit log (audit.h), before it and after it. Nothing is changed that could not be
 * recorded: when the first record cannot be written the command is refused. */
#pragma once
#include "admin/audit.h"
#include "admin/command.h"

/* Does the command, with these arguments (may be no object), change something? */
bool audit_wanted(const struct admin_command *c, json_t *args);
/* The arguments as they may be recorded: no secrets, no values of unknown names, files as their hash. */
json_t *audit_args(const struct admin_command *c, json_t *args);

/* The first record. *ret_seq: its number. generation < 0: unknown. */
int audit_begin(struct audit *a, struct slice who, const char *via, const struct admin_command *c, json_t *args, int64_t generation, int64_t *ret_seq,
		struct audit_head *ret_head, struct entente_err *err);
/* The second one, from the response of the command. */
int audit_end(struct audit *a, struct slice who, const char *via, int64_t seq, json_t *response, int64_t generation, struct audit_head *ret_head, struct entente_err *err);

/* The refusal of a command that could not be recorded, for its response. */
json_t *audit_refusal(const struct entente_err *err);
/* The change was made, but what came of it is not in the log: a warning of the response. */
void audit_warn(json_t *response, const struct entente_err *err);
/* A local command: *ret is the log of the configuration that its argument "file" names, or NULL: nothing is to be recorded (it changes nothing, or
 * there is no state directory yet, so no daemon that it could concern). */
void audit_local(struct audit **ret, const struct admin_command *c, json_t *args);
/* Who runs this program: "root", "root (sudo: alice)". */
void audit_whoami(char *ret, size_t size);
