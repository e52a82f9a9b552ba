/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: `entente api openapi`. */
#pragma once
#include "admin/call.h"

int admin_openapi_run(struct admin_call *c);
void admin_openapi_print(struct admin_call *c);
