/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: what a request says about generations and drafts, before and after its command (admin.c). */
#pragma once
#include "admin/admin_int.h"

/* Who carries the command out: *admin stays, or becomes that of the draft. The refusal, or NULL: go on. */
json_t *admin_staged_choose(struct admin **admin, const struct admin_command *c, struct slice who, json_t *request);
/* Adds "generation" and "staged" to the response. `admin`: as chosen. */
void admin_staged_tell(const struct admin *admin, const struct admin_command *c, json_t *response);
