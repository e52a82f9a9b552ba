/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the handlers of SIP federation. */
#pragma once
#include "admin/admin_int.h"

int admin_federation_add(struct admin_call *c);
int admin_federation_set(struct admin_call *c);    /* enable and disable too */
int admin_federation_remove(struct admin_call *c);
int admin_federation_list(struct admin_call *c);
void admin_federation_print(struct admin_call *c); /* one object, after a change or `access-edge show` */
void admin_federation_list_print(struct admin_call *c);

/* ---- objects of the tables of policy/federation.def, whoever edits them ---- */
struct arena;
/* Each parameter as a member. */
void admin_fields_json(json_t *ret, enum policy_table t, const void *object);
/* The arguments that are named like parameters, into the object, whose texts then lie in the arena or the arguments; "name=value ..." to
 * `what`. An enum admin_exit. */
int admin_fields_apply(struct admin_call *c, struct arena *a, enum policy_table t, void *object, struct buf *what);
/* A line for each. */
void admin_fields_print(struct admin_call *c, enum policy_table t, json_t *object);
void admin_field_print(struct buf *out, json_t *v);
/* --what-if was given; says so in the data. */
bool admin_what_if(struct admin_call *c);
/* Waits for what was submitted (an error: it was not), publishes. An enum admin_exit. */
int admin_change_finish(struct admin_call *c, int submitted, struct store_wait *w);
