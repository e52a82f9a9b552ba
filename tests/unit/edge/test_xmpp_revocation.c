/* SPDX-License-Identifier: Apache-2.0 */
/* Streams whose certificate is revoked, between two proxies. What the lists say is the test's making; what the lists are is tests/unit/net's. */
#include "org.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "net/revocation.h"

static enum revocation_state says;
static const char *subject; /* of whose certificate */
static void (*told[2])(void *arg);
static void *told_arg[2];
static int chains;

struct revocation_chain {
	bool his;
};

struct revocation_chain *__wrap_revocation_chain_of(struct revocation *r, const struct conn *c);
struct revocation_chain *__wrap_revocation_chain_unref(struct revocation *r, struct revocation_chain *k);
enum revocation_state __wrap_revocation_check(struct revocation *r, struct revocation_chain *k, char *why, size_t size);
struct revocation_watch *__wrap_revocation_watch(struct revocation *r, struct worker *self, void (*news)(void *arg), void *arg);
struct revocation_watch *__wrap_revocation_unwatch(struct revocation_watch *w);

struct revocation_chain *__wrap_revocation_chain_of(struct revocation *r, const struct conn *c)
{
	struct revocation_chain *k = calloc(1, sizeof *k);
	(void)r;
	chains++;
	k->his = slice_find(conn_peer(c)->subject, slice_str(subject)) >= 0;
	return k;
}

struct revocation_chain *__wrap_revocation_chain_unref(struct revocation *r, struct revocation_chain *k)
{
	(void)r;
	chains -= k != NULL;
	free(k);
	return NULL;
}

enum revocation_state __wrap_revocation_check(struct revocation *r, struct revocation_chain *k, char *why, size_t size)
{
	(void)r;
	if (why && size)
		snprintf(why, size, "the test says so");
	return k->his ? says : REVOCATION_GOOD;
}

struct revocation_watch *__wrap_revocation_watch(struct revocation *r, struct worker *self, void (*news)(void *arg), void *arg)
{
	int i = told[0] != NULL;
	(void)r, (void)self;
	told[i] = news;
	told_arg[i] = arg;
	return (struct revocation_watch *)(void *)&told[i];
}

struct revocation_watch *__wrap_revocation_unwatch(struct revocation_watch *w)
{
	assert_non_null(w);
	*(void (**)(void *))(void *)w = NULL;
	return NULL;
}

static void news(void)
{
	for (int i = 0; i < 2; i++)
		told[i](told_arg[i]);
}

static int setup(void **state)
{
	static char somebody;
	org_revocation = (struct revocation *)(void *)&somebody;
	says = REVOCATION_GOOD;
	subject = "CN=b";
	orgs_begin(state);
	struct orgs *o = *state;
	o->a.partner.dialback = o->b.partner.dialback = true; /* and dialback does not go round it */
	org_publish(&o->a);
	org_publish(&o->b);
	return 0;
}

static int teardown(void **state)
{
	int rc = orgs_end(state);
	assert_int_equal(chains, 0);
	assert_true(!told[0] && !told[1]);
	return rc;
}

static void passes(struct orgs *o, struct org *from, const char *id)
{
	struct org *to = from == &o->a ? &o->b : &o->a;
	char line[32];
	org_send(from, to->domain, id);
	snprintf(line, sizeof line, "message %s\n", id);
	UNTIL(o->loop, buf_has(&to->seen, line) || buf_has(&from->sent, id));
	if (!buf_has(&to->seen, line))
		fail_msg("%.*s", SFMT(buf_slice(&from->sent)));
}

static void refused(struct orgs *o, struct org *from, const char *id, const char *reason)
{
	struct org *to = from == &o->a ? &o->b : &o->a;
	char line[64], none[32];
	snprintf(line, sizeof line, "%s %s", id, reason);
	snprintf(none, sizeof none, "%s none", id);
	org_send(from, to->domain, id);
	UNTIL(o->loop, buf_has(&from->sent, id));
	if (!buf_has(&from->sent, line) || buf_has(&from->sent, none))
		fail_msg("%.*s, not %s", SFMT(buf_slice(&from->sent)), reason);
	assert_int_equal(to->seen.len, 0);
}

static void good(void **state)
{
	struct orgs *o = *state;
	passes(o, &o->a, "1");
	passes(o, &o->b, "2");
}

static void revoked_out(void **state)
{
	struct orgs *o = *state;
	says = REVOCATION_REVOKED;
	refused(o, &o->a, "1", "tls/certificate-revoked");
	assert_true(buf_has(&journal, "tls/certificate-refused"));
}

static void revoked_in(void **state)
{
	struct orgs *o = *state;
	says = REVOCATION_REVOKED;
	subject = "CN=a"; /* b, to whom a connects, looks it up */
	refused(o, &o->a, "1", "");
	assert_true(buf_has(&journal, "tls/certificate-revoked"));
}

static void unknown_soft(void **state)
{
	says = REVOCATION_UNKNOWN;
	good(state);
}

static void unknown_hard(void **state)
{
	struct orgs *o = *state;
	says = REVOCATION_UNKNOWN;
	o->a.set.revocation_hard = true;
	xmpp_proxy_set(o->a.proxy, &o->a.set);
	refused(o, &o->a, "1", "tls/revocation-unknown");
}

/* A stream does not wait for the list; what it says later holds for streams that are open. */
static void later(void **state)
{
	struct orgs *o = *state;
	says = REVOCATION_PENDING;
	passes(o, &o->a, "1");
	UNTIL(o->loop, buf_has(&o->a.sent, "1 none"));
	news(); /* about somebody else */
	turn(o->loop, 20);
	passes(o, &o->a, "2");
	UNTIL(o->loop, buf_has(&o->a.sent, "2 none"));
	says = REVOCATION_REVOKED;
	news();
	buf_clear(&o->b.seen);
	refused(o, &o->a, "3", "tls/certificate-revoked");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {T(good), T(revoked_out), T(revoked_in), T(unknown_soft), T(unknown_hard), T(later)};
	return cmocka_run_group_tests_name("xmpp-revocation", tests, orgs_group_setup, orgs_group_teardown);
}
