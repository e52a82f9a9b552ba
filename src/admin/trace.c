/* SPDX-License-Identifier: Apache-2.0 */
/* `trace`: what passes, as it passes. Message bodies only for who asks for them, and that is logged. */
#include "admin/task.h"
#include "base/log.h"

enum { PLAIN_S = 600, BODIES_MAX_S = 3600, MOST = 500 };

static int begin(struct admin_task *t)
{
	struct admin_call *c = &t->call;
	struct entente_err err = {0};
	char jid[ADMIN_ADDRESS_MAX];
	bool is_sip, bodies = admin_arg_bool(c, "bodies", false);
	uint64_t since = admin_arg_uint(c, "since", 0), seconds = admin_arg_uint(c, "for", since ? 0 : PLAIN_S);
	struct slice user = admin_arg_text(c, "user");
	struct admin_trace what = {.partner = admin_arg_text(c, "partner"), .bodies = bodies, .failed = admin_arg_bool(c, "failed", false),
				   .ms = (uint32_t)(seconds * 1000), .since_ms = (uint32_t)(since * 1000),
				   .most = (uint32_t)admin_arg_uint(c, "limit", MOST)};
	if (bodies && since)
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "what people have written is not kept: --bodies is for what passes from now on");
	if (bodies && seconds > BODIES_MAX_S)
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "bodies are shown for an hour at most: --for 1h or less");
	if (!slice_empty(user)) {
		if (c->admin->ops->address(c->admin->arg, user, &is_sip, jid, sizeof jid, &err))
			return admin_fail_err(c, "--user", &err, NULL);
		what.user = slice_str(jid);
	}
	if (bodies && slice_empty(what.partner) && slice_empty(what.user))
		return admin_fail(c, ADMIN_EXIT_USAGE, "usage", NULL, "bodies are shown of one partner or one user: --partner or --user");
	if (c->admin->ops->trace(c->admin->arg, &what, t, &err))
		return admin_fail_err(c, "the trace cannot begin", &err, NULL);
	char text[24];
	snprintf(text, sizeof text, "%ju", (uintmax_t)seconds);
	log_event(bodies ? LOG_WARNING : LOG_INFO, "admin/trace",
		  (const struct log_kv[]){{"who", c->who}, {"partner", what.partner}, {"user", what.user},
					  {"bodies", bodies ? S("shown") : S("hidden")}, {"seconds", slice_str(text)}}, 5);
	return ADMIN_EXIT_OK;
}

/* 12:34:56.789  SIP  main            --> entente         MESSAGE romeo@... -> juliet@...  [detail] */
static void print_event(struct admin_call *c, json_t *e)
{
	struct buf *out = &c->text, line;
	const char *kind = admin_get_text(e, "event"), *at = admin_get_text(e, "at"), *detail = admin_get_text(e, "detail");
	bool outwards = slice_eq(slice_str(admin_get_text(e, "direction")), S("out"));
	json_t *size = json_object_get(e, "size"), *body_size = json_object_get(e, "body_size");
	size_t len = strlen(at);
	char cell[64];
	if (slice_eq(slice_str(kind), S("left-out"))) {
		buf_printf(out, "... and %jd older ones: --limit shows more\n", (intmax_t)admin_get_int(e, "left_out"));
		return;
	}
	buf_init(&line, 65536);
	admin_styled(out, c->color, ADMIN_DIM, len > 12 ? slice_of(at + 11, len - 12) : slice_str(at));
	snprintf(cell, sizeof cell, "  %-5s%s ", kind, outwards ? "-->" : "<--");
	buf_puts(out, cell);
	buf_printf(&line, "%s  %s", admin_get_text(e, "peer"), admin_get_text(e, "what"));
	if (*admin_get_text(e, "from") || *admin_get_text(e, "to"))
		buf_printf(&line, "  %s -> %s", admin_get_text(e, "from"), admin_get_text(e, "to"));
	if (*detail)
		buf_printf(&line, "  (%s)", detail);
	if (json_is_integer(size))
		buf_printf(&line, "  %jd octets", (intmax_t)json_integer_value(size));
	if (json_is_integer(body_size) && !json_object_get(e, "body"))
		buf_printf(&line, ", body of %jd hidden", (intmax_t)json_integer_value(body_size));
	admin_clean(out, buf_slice(&line));
	buf_putc(out, '\n');
	struct slice rest = slice_str(admin_get_text(e, "body"));
	while (rest.len) { /* line by line: a body cannot pretend to be a line of the trace */
		struct slice one = slice_trim(slice_split(&rest, '\n'));
		buf_puts(out, "                   | ");
		admin_clean(out, one);
		buf_putc(out, '\n');
	}
	buf_free(&line);
}

static int end(struct admin_call *c)
{
	(void)c;
	return ADMIN_EXIT_OK;
}

static void print(struct admin_call *c)
{
	buf_printf(&c->text, "%jd events", (intmax_t)admin_get_int(c->data, "events"));
	if (admin_get_int(c->data, "lost"))
		buf_printf(&c->text, ", %jd of them lost", (intmax_t)admin_get_int(c->data, "lost"));
	buf_puts(&c->text, "\n");
}

const struct admin_live admin_trace_live = {begin, NULL, print_event, end, print};
