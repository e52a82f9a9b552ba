/* SPDX-License-Identifier: Apache-2.0 */
/* Dialback questions that strangers cause: shared out by where they come from, and what becomes of them when nobody can be asked. */
#include "org.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static void on_log(void *arg, struct slice line)
{
	(void)arg;
	if (getenv("SHOW_LOG"))
		fprintf(stderr, "%.*s", SFMT(line));
}

static int group_setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	struct pki a = pki_make(&(struct pki_spec){.cn = "a", .san = "DNS:a.test", .eku = "serverAuth"}, &ca);
	pki_write("ca", &ca, NULL);
	pki_write("a", &a, NULL);
	pki_free(&a);
	pki_free(&ca);
	log_set_sink(on_log, NULL);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	pki_dir_remove();
	return 0;
}

static int setup(void **state)
{
	struct orgs *o = MEM_NEW(struct orgs);
	orgs_setup(o);
	org_tls(&o->a, "a");
	o->a.partner.tls = POLICY_OPTIONAL;
	org_publish(&o->a);
	o->b.hold = true; /* b accepts, and says nothing */
	*state = o;
	return 0;
}

static int teardown(void **state)
{
	orgs_teardown(*state);
	mem_free(*state);
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
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000 + host)};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(org_port(&c->o->a)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static const char text[] = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
				   "xmlns:db='jabber:server:dialback' from='b.test' to='a.test' version='1.0'>"
				   "<db:result from='b.test' to='a.test'>k</db:result>";
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(send(fd, text, sizeof text - 1, MSG_NOSIGNAL), (ssize_t)sizeof text - 1);
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

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_shared), T(test_hangs_up)};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
