/* SPDX-License-Identifier: Apache-2.0 */
/* Two sessions, their octets in buffers between them, the clock in our hands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include "link/session.h"

struct side {
	struct link_session *s;
	struct buf out; /* on its way to the other side */
	char seen[4096];
	struct entente_err err;
	bool up, failed, left;
};

static struct timers clock_;
static struct side edge, gateway;

static void on_write(void *arg, struct slice bytes)
{
	struct side *d = arg;
	buf_put(&d->out, bytes);
}

static void note(struct side *d, const char *text)
{
	size_t n = strlen(d->seen);
	snprintf(d->seen + n, sizeof d->seen - n, "%s ", text);
}

static void on_up(void *arg, const struct link_hello *h)
{
	struct side *d = arg;
	assert_false(d->up);
	d->up = true;
	note(d, link_role_text(h->role));
}

static void on_frame(void *arg, const struct link_frame *f)
{
	note(arg, link_kind_text(f->kind));
}

static void on_leaving(void *arg, enum link_bye why, struct slice text)
{
	struct side *d = arg;
	(void)text;
	assert_int_equal(why, LINK_BYE_STOPPING);
	d->left = true;
}

static void on_failed(void *arg, const struct entente_err *err)
{
	struct side *d = arg;
	assert_false(d->failed);
	d->failed = true;
	d->err = *err;
}

static const struct link_session_ops ops = {.write = on_write, .up = on_up, .frame = on_frame, .leaving = on_leaving, .failed = on_failed};

static void begin(struct side *d, enum link_role role)
{
	struct link_session_config c = {.timers = &clock_, .own = {.version = LINK_VERSION, .role = role, .workers = 1, .software = S("test")}};
	link_session_defaults(&c);
	*d = (struct side){0};
	buf_init(&d->out, 1 << 20);
	d->s = link_session_new(&c, &ops, d);
}

static void deliver(struct side *from, struct side *to)
{
	buf_consume(&from->out, link_session_input(to->s, buf_slice(&from->out)));
}

static void talk(void)
{
	for (int i = 0; i < 10; i++) {
		deliver(&edge, &gateway);
		deliver(&gateway, &edge);
	}
}

static int setup(void **state)
{
	(void)state;
	timers_init(&clock_, 1000);
	begin(&edge, LINK_EDGE);
	begin(&gateway, LINK_GATEWAY);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	struct side *all[] = {&edge, &gateway};
	for (int i = 0; i < 2; i++) {
		link_session_free(all[i]->s);
		buf_free(&all[i]->out);
	}
	assert_int_equal(clock_.count, 0);
	timers_free(&clock_);
	return 0;
}

static void hello_and_frames(void **state)
{
	(void)state;
	struct link_frame done = {.kind = LINK_DONE, .number = 4};
	assert_int_equal(link_session_send(gateway.s, &done), ENTENTE_EAGAIN);
	talk();
	assert_true(edge.up && gateway.up && link_session_up(edge.s));
	assert_string_equal(edge.seen, "gateway ");
	assert_string_equal(gateway.seen, "edge ");
	assert_int_equal(link_session_send(gateway.s, &done), 0);
	link_session_send(edge.s, &(struct link_frame){.kind = LINK_PAIR, .pair = {true, S("a"), S("b")}});
	talk();
	assert_string_equal(edge.seen, "gateway done ");
	assert_string_equal(gateway.seen, "edge pair ");
}

static void octet_by_octet(void **state)
{
	(void)state;
	struct buf held;
	buf_init(&held, 1 << 16);
	for (size_t i = 0; i < edge.out.len; i++) {
		buf_putc(&held, buf_slice(&edge.out).p[i]);
		buf_consume(&held, link_session_input(gateway.s, buf_slice(&held)));
		assert_int_equal(gateway.up, i + 1 == edge.out.len);
	}
	assert_int_equal(held.len, 0);
	buf_free(&held);
}

static void no_hello(void **state)
{
	(void)state;
	timers_run(&clock_, 1000 + 9999);
	assert_false(edge.failed);
	timers_run(&clock_, 1000 + 10000);
	assert_true(edge.failed);
	assert_int_equal(edge.err.reason, REASON_LINK_TIMEOUT);
}

static void keep_alive(void **state)
{
	(void)state;
	talk();
	for (uint64_t t = 2000; t <= 60000; t += 1000) {
		timers_run(&clock_, t);
		talk();
	}
	assert_false(edge.failed || gateway.failed);
	assert_true(link_session_delay(edge.s) == 0);
	uint64_t heard = clock_.now;
	for (uint64_t t = heard; t < heard + 20000 && !edge.failed; t += 100) /* now nothing arrives any more */
		timers_run(&clock_, t);
	assert_true(edge.failed && gateway.failed);
	assert_int_equal(edge.err.reason, REASON_LINK_TIMEOUT);
	assert_true(clock_.now - heard <= 15000 && clock_.now - heard > 9000);
}

static void wrong_version(void **state)
{
	(void)state;
	char *at = edge.out.mem + edge.out.off + 5 + 8; /* length, kind, magic */
	at[1]++;
	talk();
	assert_true(gateway.failed && edge.failed && !gateway.up);
	assert_int_equal(gateway.err.reason, REASON_LINK_VERSION);
	assert_int_equal(edge.err.reason, REASON_LINK_VERSION); /* it is told */
	assert_non_null(strstr(edge.err.text, "same release"));
}

static void same_role(void **state)
{
	(void)state;
	link_session_free(edge.s);
	buf_free(&edge.out);
	begin(&edge, LINK_GATEWAY);
	talk();
	assert_true(gateway.failed && edge.failed && !gateway.up);
	assert_int_equal(gateway.err.reason, REASON_LINK_ROLE);
	assert_int_equal(edge.err.reason, REASON_LINK_ROLE);
}

static void not_its_turn(void **state)
{
	(void)state;
	talk();
	link_session_send(edge.s, &(struct link_frame){.kind = LINK_POLICY, .policy = {1, 0, true, S("")}}); /* the edge owns no policy */
	talk();
	assert_true(gateway.failed);
	assert_int_equal(gateway.err.reason, REASON_LINK_PROTOCOL);
	assert_true(edge.failed);
	assert_string_equal(gateway.seen, "edge ");
	assert_int_equal(link_session_send(gateway.s, &(struct link_frame){.kind = LINK_DONE}), ENTENTE_ECLOSED);
}

static void frame_before_hello(void **state)
{
	(void)state;
	buf_clear(&edge.out);
	link_frame_write(&edge.out, &(struct link_frame){.kind = LINK_PAIR, .pair = {true, S("a"), S("b")}});
	talk();
	assert_true(gateway.failed && !gateway.up);
	assert_int_equal(gateway.err.reason, REASON_LINK_PROTOCOL);
}

static void large_before_hello(void **state)
{
	(void)state;
	buf_clear(&edge.out);
	buf_put(&edge.out, slice_of("\0\0\x08\0\1", 5));
	talk();
	assert_true(gateway.failed);
	assert_int_equal(gateway.err.code, ENTENTE_ELIMIT);
}

static void good_bye(void **state)
{
	(void)state;
	talk();
	link_session_goodbye(gateway.s, LINK_BYE_STOPPING, S("restart"));
	link_session_goodbye(gateway.s, LINK_BYE_STOPPING, S("again"));
	talk();
	assert_true(edge.left && !edge.failed);
	/* what is under way is still answered */
	assert_int_equal(link_session_send(gateway.s, &(struct link_frame){.kind = LINK_DONE, .number = 1}), 0);
	assert_int_equal(link_session_send(edge.s, &(struct link_frame){.kind = LINK_SENT, .sent = {1}}), 0);
	talk();
	assert_string_equal(edge.seen, "gateway done ");
	assert_string_equal(gateway.seen, "edge sent ");
}

static void replaced(void **state)
{
	(void)state;
	talk();
	link_session_goodbye(edge.s, LINK_BYE_REPLACED, S("another gateway came"));
	talk();
	assert_true(gateway.failed && !gateway.left);
	assert_int_equal(gateway.err.reason, REASON_LINK_REPLACED);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(hello_and_frames), T(octet_by_octet), T(no_hello), T(keep_alive), T(wrong_version), T(same_role), T(not_its_turn),
		T(frame_before_hello), T(large_before_hello), T(good_bye), T(replaced),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
