/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the handlers of external access policies, users and contacts. */
#pragma once
#include "admin/admin_int.h"
#include "base/arena.h"
#include "policy/external.h"

int admin_external_list(struct admin_call *c);
int admin_external_show(struct admin_call *c);
int admin_external_add(struct admin_call *c);
int admin_external_set(struct admin_call *c);
int admin_external_remove(struct admin_call *c);
int admin_external_grant(struct admin_call *c);
void admin_external_list_print(struct admin_call *c);
void admin_external_print(struct admin_call *c);
void admin_external_remove_print(struct admin_call *c);
void admin_external_grant_print(struct admin_call *c);

int admin_user_list(struct admin_call *c);
int admin_user_show(struct admin_call *c);
int admin_user_add(struct admin_call *c);
int admin_user_set(struct admin_call *c);
int admin_user_remove(struct admin_call *c);
void admin_user_list_print(struct admin_call *c);
void admin_user_print(struct admin_call *c);

int admin_contact_list(struct admin_call *c);
int admin_contact_add(struct admin_call *c);
int admin_contact_remove(struct admin_call *c);
void admin_contact_list_print(struct admin_call *c);
void admin_contact_print(struct admin_call *c);

/* For admin_remedy_names: the policy that decided, as a word for a shell, and the options of `external-access set` that would allow it. Nothing
 * where no policy decided. */
struct policy_verdict;
void admin_external_names(const struct policy_verdict *v, struct buf *policy, struct buf *switches);
/* The address as records are keyed; `name`: the argument it came in, for the message. An enum admin_exit. */
int admin_address(struct admin_call *c, const char *name, struct slice text, struct arena *a, struct slice *ret);
/* ... and of a user of one of our own domains. */
int admin_local_user(struct admin_call *c, struct snapshot *s, const char *name, struct slice text, struct arena *a, struct slice *ret);
/* Is it like the pattern (* and ? stand for any characters; no case)? An empty pattern: always. */
bool admin_like(struct slice pattern, struct slice text);
