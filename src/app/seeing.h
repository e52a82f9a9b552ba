/* SPDX-License-Identifier: Apache-2.0 */
/* What an administrator looks at while it happens: tests of partners and traces. They run on the workers; what they tell comes to the
 * control thread over the bus, at most SEEING_UNDERWAY events of one task at a time, more are lost and counted. Control thread. */
#pragma once
#include "admin/admin.h"
#include "app/app.h"

enum { SEEING_UNDERWAY = 1024 };

struct seeing;

struct seeing *seeing_new(struct app *app);
/* The tasks are gone. Accepts NULL; returns NULL. */
struct seeing *seeing_free(struct seeing *s);
/* As the operations of struct admin_ops. */
int seeing_test(struct seeing *s, const struct admin_test *what, struct admin_task *t, struct entente_err *err);
int seeing_trace(struct seeing *s, const struct admin_trace *what, struct admin_task *t, struct entente_err *err);
void seeing_cancel(struct seeing *s, struct admin_task *t);

/* A test that no administrator waits for. `event` takes the reference; after `end` (err NULL: it ran to its end) nothing comes any more.
 * *ret_id: for seeing_cancel_for, after which neither comes. */
struct seeing_sink {
	void (*event)(void *arg, json_t *event);
	void (*end)(void *arg, const struct entente_err *err);
};
int seeing_test_for(struct seeing *s, const struct admin_test *what, const struct seeing_sink *sink, void *arg, uint64_t *ret_id,
		    struct entente_err *err);
void seeing_cancel_for(struct seeing *s, uint64_t id);
/* On its worker: what has been ordered there and has not begun. */
void seeing_node_end(struct node *n);
void seeing_attempts(struct app *app, struct slice domain, json_t *array);
