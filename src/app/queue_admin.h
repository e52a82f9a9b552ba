/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators ask of the queue: as the operations queue_* of struct admin_ops. A process without one: ENTENTE_EUNSUPPORTED. Control thread. */
#pragma once
#include "admin/admin.h"
#include "app/app.h"

int queue_admin_list(struct app *app, const struct admin_queue_query *what, json_t *array, json_t *about, struct entente_err *err);
int queue_admin_show(struct app *app, uint64_t number, bool body, json_t *object, struct entente_err *err);
int queue_admin_do(struct app *app, uint64_t number, enum admin_queue_verb verb, struct entente_err *err);
int queue_admin_do_all(struct app *app, struct slice partner, enum admin_queue_verb verb, size_t *ret_n, struct entente_err *err);
int queue_admin_pause(struct app *app, struct slice partner, bool paused, struct entente_err *err);
