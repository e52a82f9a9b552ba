/* SPDX-License-Identifier: Apache-2.0 */
/* A connection of the control socket as a line splitter; while a command takes its time, what follows waits. */
#include <pwd.h>
#include <stdio.h>
#include "admin/role.h"
#include "admin/task.h"
#include "base/kept.h"
#include "base/mem.h"

enum { WHO_MAX = 96 };

struct admin_session {
	struct admin *admin;
	char who[WHO_MAX];
	unsigned roles;
	struct buf in;
	struct admin_task *task;
	struct buf *out;          /* of admin_session_output */
	void (*ready)(void *arg);
	void *ready_arg;
	bool api;                 /* it comes by HTTP */
	bool over, busy;          /* busy: inside admin_session_input */
};

/* From the local file alone: the name service may be somewhere on the network, and nothing here may wait for that. */
bool admin_user_name(uint32_t uid, char *ret, size_t size)
{
	char mem[4096];
	struct passwd pw, *found = NULL;
	bool old = false, there = false;
	FILE *f = uid == (uint32_t)-1 ? NULL : kept_open("/etc/passwd", &old);
	bool unsure = old || (!f && uid != (uint32_t)-1);
	snprintf(ret, size, uid == (uint32_t)-1 ? "unknown" : "uid %u", uid);
	while (f && fgetpwent_r(f, &pw, mem, sizeof mem, &found) == 0)
		if (found->pw_uid == uid) {
			snprintf(ret, size, "%s", found->pw_name);
			there = true;
			break;
		}
	if (f)
		fclose(f);
	return unsure && !there;
}

struct admin_session *admin_session_new(struct admin *a, uint32_t uid)
{
	char who[WHO_MAX];
	admin_user_name(uid, who, sizeof who);
	return admin_session_new_as(a, slice_str(who), ADMIN_ROLES_ALL);
}

struct admin_session *admin_session_new_as(struct admin *a, struct slice who, unsigned roles)
{
	struct admin_session *s = MEM_NEW(struct admin_session);
	s->admin = a;
	buf_init(&s->in, 2 * ADMIN_REQUEST_MAX + 2);
	slice_cstr(who, s->who, sizeof s->who);
	s->roles = roles;
	return s;
}

void admin_session_by_api(struct admin_session *s)
{
	s->api = true;
}

struct admin_session *admin_session_free(struct admin_session *s)
{
	if (!s)
		return NULL;
	if (s->task)
		admin_task_cancel(s->task);
	buf_free(&s->in);
	return mem_free(s);
}

void admin_session_output(struct admin_session *s, struct buf *out, void (*ready)(void *arg), void *arg)
{
	s->out = out;
	s->ready = ready;
	s->ready_arg = arg;
}

struct admin_task **admin_session_task(struct admin_session *s)
{
	return &s->task;
}

const char *admin_session_via(const struct admin_session *s)
{
	return s && s->api ? "api" : "socket";
}

struct buf *admin_session_out(struct admin_session *s)
{
	return s->out;
}

void admin_session_ready(struct admin_session *s)
{
	if (!s->busy)
		s->ready(s->ready_arg);
}

/* An answer to something that never became a request. */
static int give_up(struct admin_session *s, struct buf *out)
{
	static const char line[] = "{\"exit\":2,\"error\":{\"code\":\"usage\",\"text\":\"the request is too long\"}}\n";
	s->over = true;
	buf_puts(out, line);
	return ENTENTE_ELIMIT;
}

static int serve(struct admin_session *s, struct buf *out)
{
	ptrdiff_t end;
	while (!s->over && !s->task && (end = slice_find_chr(buf_slice(&s->in), '\n')) >= 0) {
		struct slice line = slice_first(buf_slice(&s->in), (size_t)end);
		if (line.len > ADMIN_REQUEST_MAX)
			return give_up(s, out);
		if (!slice_empty(slice_trim(line)))
			admin_serve(s->admin, s->out ? s : NULL, slice_str(s->who), s->roles, line, out);
		buf_consume(&s->in, (size_t)end + 1);
		if (!buf_ok(out)) {
			s->over = true;
			return ENTENTE_ELIMIT;
		}
	}
	if (!s->in.len)
		buf_shrink(&s->in, 4096);
	return s->over ? ENTENTE_ELIMIT : 0;
}

int admin_session_input(struct admin_session *s, struct slice bytes, struct buf *out)
{
	int rc = 0;
	s->busy = true;
	while (!rc && bytes.len) {
		size_t room = 2 * ADMIN_REQUEST_MAX + 2 - s->in.len, take = bytes.len < room ? bytes.len : room;
		buf_put(&s->in, slice_first(bytes, take));
		bytes = slice_skip(bytes, take);
		rc = serve(s, out);
		/* no line, and none can come of it; or more than one waits behind a command that takes its time */
		if (!rc && ((s->in.len > ADMIN_REQUEST_MAX && slice_find_chr(buf_slice(&s->in), '\n') < 0) || (bytes.len && !take)))
			rc = give_up(s, out);
	}
	s->busy = false;
	return s->over ? ENTENTE_ELIMIT : rc;
}

void admin_session_next(struct admin_session *s)
{
	if (s->busy) /* goes on by itself */
		return;
	s->busy = true;
	serve(s, s->out);
	s->busy = false;
	s->ready(s->ready_arg);
}
