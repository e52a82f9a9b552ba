/* SPDX-License-Identifier: Apache-2.0 */
/* A connection of the control socket as a line splitter. */
#include <pwd.h>
#include "admin/admin_int.h"
#include "base/mem.h"

enum { WHO_MAX = 64 };

struct admin_session {
	struct admin *admin;
	char who[WHO_MAX];
	struct buf line;
	bool over;
};

struct admin_session *admin_session_new(struct admin *a, uint32_t uid)
{
	struct admin_session *s = MEM_NEW(struct admin_session);
	struct passwd pw, *found = NULL;
	char mem[4096];
	s->admin = a;
	buf_init(&s->line, ADMIN_REQUEST_MAX + 1);
	if (uid == (uint32_t)-1)
		snprintf(s->who, sizeof s->who, "unknown");
	else if (getpwuid_r(uid, &pw, mem, sizeof mem, &found) == 0 && found)
		snprintf(s->who, sizeof s->who, "%s", found->pw_name);
	else
		snprintf(s->who, sizeof s->who, "uid %u", uid);
	return s;
}

struct admin_session *admin_session_free(struct admin_session *s)
{
	if (!s)
		return NULL;
	buf_free(&s->line);
	return mem_free(s);
}

/* An answer to something that never became a request. */
static int give_up(struct admin_session *s, struct buf *out)
{
	static const char line[] = "{\"exit\":2,\"error\":{\"code\":\"usage\",\"text\":\"the request is too long\"}}\n";
	s->over = true;
	buf_puts(out, line);
	return ENTENTE_ELIMIT;
}

int admin_session_input(struct admin_session *s, struct slice bytes, struct buf *out)
{
	if (s->over)
		return ENTENTE_ELIMIT;
	while (bytes.len) {
		ptrdiff_t end = slice_find_chr(bytes, '\n');
		struct slice piece = end < 0 ? bytes : slice_first(bytes, (size_t)end);
		if (s->line.len + piece.len > ADMIN_REQUEST_MAX)
			return give_up(s, out);
		buf_put(&s->line, piece);
		if (end < 0)
			return 0;
		bytes = slice_skip(bytes, (size_t)end + 1);
		if (!slice_empty(slice_trim(buf_slice(&s->line))))
			admin_execute(s->admin, slice_str(s->who), buf_slice(&s->line), out);
		buf_clear(&s->line);
		if (!buf_ok(out)) {
			s->over = true;
			return ENTENTE_ELIMIT;
		}
	}
	return 0;
}
