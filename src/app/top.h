/* SPDX-License-Identifier: Apache-2.0 */
/* The live view (`entente top`): what changed between two looks at the counters, at most TOPS_MAX views at once, TOP_ROWS partners and reasons each.
 * Control thread. */
#pragma once
#include "admin/admin.h"

struct app;
struct tops;

enum { TOPS_MAX = 8, TOP_ROWS = 10 };

struct tops *tops_new(struct app *app);
/* The tasks are gone. Accepts NULL; returns NULL. */
struct tops *tops_free(struct tops *s);
/* As the operation of struct admin_ops. */
int top_begin(struct tops *s, uint32_t interval_ms, uint32_t count, struct admin_task *t, struct entente_err *err);
/* A task of another kind is not known here: nothing happens. */
void top_cancel(struct tops *s, struct admin_task *t);
