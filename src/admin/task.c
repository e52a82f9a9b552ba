/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that take time: what happens meanwhile goes to the session, bounded, and the response comes at the end. */
#include "admin/task.h"

#include "base/mem.h"

enum { OUT_FULL = 512 << 10 }; /* octets that wait for a slow reader; more events are lost */

static void task_free(struct admin_task *t)
{
	admin_call_free(&t->call);
	json_decref(t->call.args);
	mem_free(t);
}

json_t *admin_task_begin(struct admin_session *s, const struct admin_live *live, const struct admin_call *c)
{
	struct admin_task *t = MEM_NEW(struct admin_task);
	t->admin = c->admin;
	t->session = s;
	t->live = live;
	t->call = *c;
	json_incref(t->call.args);
	slice_cstr(c->who, t->who, sizeof t->who);
	t->call.who = slice_str(t->who);
	admin_call_init(&t->call);
	int exit = live->begin(t);
	if (exit != ADMIN_EXIT_OK) {
		json_t *response = admin_call_response(&t->call, exit, NULL);
		task_free(t);
		return response;
	}
	*admin_session_task(s) = t;
	return NULL;
}

static void write_event(struct admin_task *t, json_t *event)
{
	struct admin_call *c = &t->call;
	struct buf *out = admin_session_out(t->session);
	if (c->json) {
		admin_write_line(out, json_pack("{s:O}", "event", event));
		return;
	}
	buf_clear(&c->text);
	t->live->print_event(c, event);
	if (c->text.len)
		admin_write_line(out, json_pack("{s:o}", "line", admin_json_text(buf_slice(&c->text))));
	buf_clear(&c->text);
}

static void write_lost(struct admin_task *t)
{
	struct buf *out = admin_session_out(t->session);
	char text[120];
	if (t->call.json) {
		admin_write_line(out, json_pack("{s:{s:s s:I}}", "event", "event", "lost", "lost", (json_int_t)t->untold));
	} else {
		snprintf(text, sizeof text, "... %ju lost here: they come faster than this terminal reads\n", (uintmax_t)t->untold);
		admin_write_line(out, json_pack("{s:s}", "line", text));
	}
	t->untold = 0;
}

void admin_task_event(struct admin_task *t, json_t *event)
{
	json_int_t lost = json_integer_value(json_object_get(event, "lost")); /* on the way to us */
	t->events++;
	if (lost) {
		t->lost += (uint64_t)lost;
		t->untold += (uint64_t)lost;
	}
	if (t->live->event)
		t->live->event(&t->call, event);
	if (admin_session_out(t->session)->len > OUT_FULL) {
		t->lost += !lost;
		t->untold += !lost;
	} else {
		if (t->untold)
			write_lost(t);
		if (!lost)
			write_event(t, event);
		admin_session_ready(t->session);
	}
	json_decref(event);
}

void admin_task_end(struct admin_task *t, const struct entente_err *err)
{
	struct admin_session *s = t->session;
	struct buf *out = admin_session_out(s);
	int exit;
	if (t->untold)
		write_lost(t);
	if (err) {
		exit = admin_fail_err(&t->call, "", err, NULL);
	} else {
		json_object_set_new(t->call.data, "events", json_integer((json_int_t)t->events));
		json_object_set_new(t->call.data, "lost", json_integer((json_int_t)t->lost));
		exit = t->live->end(&t->call);
	}
	admin_write_line(out, admin_call_response(&t->call, exit, t->live->print));
	*admin_session_task(s) = NULL;
	task_free(t);
	admin_session_next(s);
}

void admin_task_cancel(struct admin_task *t)
{
	t->admin->ops->cancel(t->admin->arg, t);
	*admin_session_task(t->session) = NULL;
	task_free(t);
}
