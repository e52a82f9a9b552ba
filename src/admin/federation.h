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
