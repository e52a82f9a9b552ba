/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: a command that takes time, from its request to its response. */
#pragma once
#include "admin/admin_int.h"

struct admin_live {
	/* Begins. ADMIN_EXIT_OK: it goes on; else it has failed (admin_fail). */
	int (*begin)(struct admin_task *t);
	/* One event: keep of it in call->data what the response needs. May be NULL. */
	void (*event)(struct admin_call *c, json_t *event);
	/* The event as text. */
	void (*print_event)(struct admin_call *c, json_t *event);
	/* The last event has come: completes call->data. An enum admin_exit. */
	int (*end)(struct admin_call *c);
	/* What the text says after all lines. */
	void (*print)(struct admin_call *c);
};

struct admin_task {
	struct admin *admin;
	struct admin_session *session;
	const struct admin_live *live;
	struct admin_call call;
	char who[96];
	uint64_t events, lost, untold; /* untold: lost, and not told yet */
};

extern const struct admin_live admin_partner_test, admin_trace_live, admin_test_im_live, admin_top_live;

/* admin.c: carries out one request; a task may begin if `session` is not NULL. */
void admin_serve(struct admin *a, struct admin_session *session, struct slice who, unsigned roles, struct slice request, struct buf *response);
/* Runs what the request asks for; the response when it could not begin, else NULL. */
json_t *admin_task_begin(struct admin_session *s, const struct admin_live *live, const struct admin_call *c);
/* With its session, silently. */
void admin_task_cancel(struct admin_task *t);

/* session.c */
struct admin_task **admin_session_task(struct admin_session *s);
/* "socket" or "api"; of NULL: socket. */
const char *admin_session_via(const struct admin_session *s);
struct buf *admin_session_out(struct admin_session *s); /* NULL: it may not write by itself */
void admin_session_ready(struct admin_session *s);
/* The task is over: on with what waits, then ready. */
void admin_session_next(struct admin_session *s);
/* admin.c: one line of the protocol; takes the reference. */
void admin_write_line(struct buf *out, json_t *line);
