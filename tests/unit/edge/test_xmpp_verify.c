/* SPDX-License-Identifier: Apache-2.0 */
/* Dialback, asked and answered; the questions that strangers cause: shared out by where they come from, and what becomes of them
 * when nobody can be asked. */
#include "org.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"

/* a asks without TLS; b accepts, and says nothing. */
static int silence(void **state)
{
	orgs_begin(state);
	struct orgs *o = *state;
	o->a.partner.tls = POLICY_OPTIONAL;
	org_publish(&o->a);
	o->b.hold = true;
	return 0;
}

enum { MOST = 64 };

struct claims {
	struct orgs *o;
	int fd[MOST];
	bool refused[MOST];
	size_t n;
	char condition[64]; /* of the last refusal */
};

/* From 127.0.0.`host`: "I am b.test". */
static void claim(struct claims *c, unsigned host)
{
	int fd = stranger_connect(&c->o->a, host);
	stranger_send(fd, STRANGER_CLAIM("k"));
	assert_true(c->n < MOST);
	c->fd[c->n++] = fd;
	UNTIL(c->o->loop, org_streams(&c->o->a, "negotiation", true) >= c->n); /* it was read */
	turn(c->o->loop, 5);
}

static size_t refused(struct claims *c, size_t from, size_t to)
{
	size_t n = 0;
	for (size_t i = 0; i < c->n; i++) {
		char x[4096];
		ssize_t got = recv(c->fd[i], x, sizeof x - 1, MSG_DONTWAIT);
		x[got > 0 ? got : 0] = '\0';
		const char *error = strstr(x, "<error type='");
		if (error) {
			c->refused[i] = true;
			const char *at = strchr(error + 1, '<');
			snprintf(c->condition, sizeof c->condition, "%.*s", at ? (int)strcspn(at + 1, " ") : 0, at ? at + 1 : "");
		}
		n += i >= from && i < to && c->refused[i];
	}
	return n;
}

static void hang_up(struct claims *c)
{
	for (size_t i = 0; i < c->n; i++)
		close(c->fd[i]);
}

/* One source has a few places; two that fill all of them must make room for a third. */
static void test_shared(void **state)
{
	struct claims c = {.o = *state};
	for (int i = 0; i < 17; i++)
		claim(&c, 2);
	assert_int_equal(refused(&c, 0, 17), 1);
	assert_true(c.refused[16]);
	assert_string_equal(c.condition, "resource-constraint");
	for (int i = 0; i < 16; i++)
		claim(&c, 3);
	assert_int_equal(refused(&c, 0, 33), 1); /* all places are taken now */
	for (unsigned i = 0; i < 8; i++)
		claim(&c, 4);
	assert_int_equal(refused(&c, 33, 41), 0);
	assert_int_equal(refused(&c, 0, 33), 1 + 8); /* those who have most gave way */
	claim(&c, 2); /* and they do not get it back */
	assert_true(refused(&c, 41, 42) == 1 || refused(&c, 0, 41) == 1 + 8);
	hang_up(&c);
}

/* The server that should be asked hangs up: it is not waited for, and the claim is refused with what happened. */
static void test_hangs_up(void **state)
{
	struct orgs *o = *state;
	struct claims c = {.o = o};
	claim(&c, 2);
	UNTIL(o->loop, o->b.n_held == 1);
	close(o->b.held[--o->b.n_held]);
	for (uint64_t end = clock_ms() + 1500; !refused(&c, 0, 1) && clock_ms() < end;) /* the time for an answer would be 2 s */
		turn(o->loop, 10);
	assert_int_equal(refused(&c, 0, 1), 1);
	assert_string_equal(c.condition, "remote-connection-failed");
	hang_up(&c);
}

/* b's certificate proves nothing, but a allows dialback: a asks b back on another connection. */
static void test_dialback(void **state)
{
	struct orgs *o = *state;
	org_tls(&o->b, "self");
	org_send(&o->b, "a.test", "1");
	UNTIL(o->loop, buf_has(&o->a.seen, "u@b.test>v@a.test message 1\n"));
	assert_true(buf_has(&journal, "proof=dialback"));
	UNTIL(o->loop, !org_streams(&o->a, NULL, false)); /* the connection that asked is closed */
	UNTIL(o->loop, !org_streams(&o->b, NULL, true));
}

/* Whoever claims a partner's name often makes us call the partner once. */
static void test_one_question_per_name(void **state)
{
	struct orgs *o = *state;
	struct buf got;
	int fd[8];
	buf_init(&got, 1 << 20);
	o->a.partner.tls = POLICY_OPTIONAL;
	org_publish(&o->a);
	o->b.hold = true; /* b accepts, and says nothing */
	for (size_t i = 0; i < 8; i++) {
		fd[i] = stranger_connect(&o->a, 1);
		stranger_send(fd[i], STRANGER_CLAIM("k"));
	}
	UNTIL(o->loop, o->b.n_held);
	turn(o->loop, 100);
	assert_int_equal(o->b.n_held, 1);
	assert_int_equal(org_streams(&o->a, NULL, true), 8);
	/* nobody answers: all are refused, none is let in */
	for (size_t i = 0; i < 8; i++) {
		for (uint64_t end = clock_ms() + 8000; clock_ms() < end && !buf_has(&got, "remote-server-timeout");)
			stranger_read(o, fd[i], &got);
		assert_true(buf_has(&got, "type='error'"));
		assert_true(buf_has(&got, "remote-server-timeout"));
		buf_clear(&got);
		close(fd[i]);
	}
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
	assert_int_equal(o->a.seen.len, 0);
	buf_free(&got);
}

/* Who asked is gone: nobody needs the answer, and nobody is called any longer. */
static void test_receiver_gone(void **state)
{
	struct orgs *o = *state;
	o->a.partner.tls = POLICY_OPTIONAL;
	org_publish(&o->a);
	o->b.hold = true;
	int fd = stranger_connect(&o->a, 1);
	stranger_send(fd, STRANGER_CLAIM("k"));
	UNTIL(o->loop, o->b.n_held);
	close(fd);
	UNTIL(o->loop, !org_streams(&o->a, NULL, true));
	UNTIL(o->loop, !org_streams(&o->a, NULL, false));
}

/* A forged key: b is asked, and knows nothing of it. */
static void test_dialback_forged(void **state)
{
	struct orgs *o = *state;
	struct buf got;
	buf_init(&got, 1 << 20);
	o->a.partner.tls = POLICY_OPTIONAL;
	org_publish(&o->a);
	int fd = stranger_connect(&o->a, 1);
	stranger_send(fd, STRANGER_CLAIM("0123456789abcdef")
		     "<message from='u@b.test' to='v@a.test' id='1'><body>let me in</body></message>");
	for (int i = 0; i < 200 && !buf_has(&got, "</stream:stream>"); i++)
		stranger_read(o, fd, &got);
	assert_true(buf_has(&got, "type='invalid'") || buf_has(&got, "not-authorized"));
	assert_int_equal(o->a.seen.len, 0);
	close(fd);
	buf_free(&got);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, silence, orgs_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_shared),
		T(test_hangs_up),
		cmocka_unit_test_setup_teardown(test_dialback, orgs_begin, orgs_end),
		cmocka_unit_test_setup_teardown(test_one_question_per_name, orgs_begin, orgs_end),
		cmocka_unit_test_setup_teardown(test_receiver_gone, orgs_begin, orgs_end),
		cmocka_unit_test_setup_teardown(test_dialback_forged, orgs_begin, orgs_end),
	};
	return cmocka_run_group_tests_name("xmpp_verify", tests, orgs_group_setup, orgs_group_teardown);
}
