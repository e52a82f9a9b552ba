/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer could do with TLS besides talking: renegotiate, update keys without end, take up another's session, make us
 * compute. */
#include "rawtls.h"

#include <stdio.h>

static struct tls_ctx *ctx;

static int setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "CA", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	pki_issue("us", &(struct pki_spec){.cn = "us", .san = "DNS:us.test"}, &ca, NULL);
	pki_free(&ca);
	ctx = pki_context("us", NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_ctx_unref(ctx);
	pki_dir_remove();
	return 0;
}

/* Whoever connected: some updates are fine, a flood ends the connection. */
static void updates(bool server, unsigned n, bool survives)
{
	struct rawtls r;
	rawtls_open(&r, server, TLS1_3_VERSION, "us", (struct conn_tls){.ctx = ctx});
	rawtls_shake(&r);
	assert_int_equal(r.ours.secured, 1);
	for (unsigned i = 0; i < n; i++) {
		if (SSL_key_update(r.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 || SSL_do_handshake(r.ssl) != 1)
			break;
		if (i % 16 == 15)
			loop_once(r.loop, 1);
	}
	SSL_write(r.ssl, "still here", 10);
	for (int i = 0; i < 2000 && !r.ours.closed && r.ours.got.len < 10; i++)
		loop_once(r.loop, 1);
	assert_int_equal(r.ours.closed, !survives);
	if (survives)
		assert_int_equal(r.ours.got.len, 10);
	else
		assert_non_null(strstr(r.ours.why.text, "changes its TLS keys without need"));
	rawtls_close(&r);
}

static void key_updates_are_bounded(void **state)
{
	(void)state;
	updates(false, 8, true);
	updates(true, 8, true);
	updates(false, 500, false);
	updates(true, 500, false);
}

static void renegotiation_is_refused(void **state)
{
	(void)state;
	for (int server = 0; server < 2; server++) {
		struct rawtls r;
		struct tls_counts before, after;
		char c;
		rawtls_open(&r, server, TLS1_2_VERSION, "us", (struct conn_tls){.ctx = ctx});
		rawtls_shake(&r);
		assert_int_equal(r.ours.secured, 1);
		tls_ctx_counts(ctx, &before);
		assert_int_equal(SSL_renegotiate(r.ssl), 1);
		SSL_do_handshake(r.ssl);
		for (int i = 0; i < 50 && !r.ours.closed; i++) {
			loop_once(r.loop, 1);
			SSL_read(r.ssl, &c, 1);
		}
		tls_ctx_counts(ctx, &after);
		assert_int_equal(r.ours.secured, 1);
		assert_int_equal(after.handshakes, before.handshakes);
		assert_false(SSL_is_init_finished(r.ssl) && SSL_num_renegotiations(r.ssl) > 1);
		rawtls_close(&r);
	}
}

/* A session proves who we were: it must not come back on a connection that shows another certificate, or goes elsewhere. */
static void sessions_keep_apart(void **state)
{
	(void)state;
	static const struct {
		enum tls_slot slot;
		const char *key;
		bool resumed;
	} steps[] = {{TLS_SLOT_CLIENT, "a", false}, {TLS_SLOT_CLIENT, "a", true}, {TLS_SLOT_NONE, "a", false}, {TLS_SLOT_SERVER, "a", false},
		     {TLS_SLOT_CLIENT, "b", false}, {TLS_SLOT_NONE, "a", true},	 {TLS_SLOT_CLIENT, "", false}};
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct conn_tls st = {.ctx = ctx, .server = true},
				ct = {.ctx = ctx, .slot = steps[i].slot, .session_key = slice_str(steps[i].key)};
		struct pair p = {.server_tls = &st, .server.echo = true};
		pair_open(&p);
		pair_connect(&p, &ct);
		PAIR_UNTIL(&p, p.client.secured && p.server.secured);
		conn_write(p.client.c, S("x")); /* the ticket comes after the handshake */
		PAIR_UNTIL(&p, p.client.got.len);
		if (p.client.peer->resumed != steps[i].resumed)
			fail_msg("step %zu", i);
		assert_int_equal(p.server.peer->has_cert, steps[i].slot != TLS_SLOT_NONE); /* what the ticket holds is what was shown */
		conn_close(p.client.c);
		PAIR_UNTIL(&p, p.server.eof);
		conn_close(p.server.c);
		PAIR_UNTIL(&p, p.client.closed && p.server.closed);
		pair_close(&p);
	}
}

static struct gate_pass *enter(struct gate *g, const char *from, uint64_t now)
{
	struct addr a;
	const char *why;
	assert_true(addr_parse(slice_str(from), 1, &a));
	struct gate_pass *p = gate_enter(g, &a, now, &why);
	assert_non_null(p);
	return p;
}

/* Threat 30: computing for strangers is rationed, in all and by network, and nobody is turned away for a short crowd. */
static void handshakes_take_turns(void **state)
{
	(void)state;
	struct gate *g = gate_new(&(struct gate_limits){.handshakes = 100, .handshakes_per_network = 10});
	struct gate_pass *a = enter(g, "192.0.2.1", 0), *neighbour = enter(g, "192.0.2.200", 0), *b = enter(g, "198.51.100.1", 0);
	struct gate_pass *v6 = enter(g, "2001:db8:0:ff00::1", 0);
	uint64_t now = 100000, last = 0;
	for (int i = 0; i < 21; i++) /* two seconds' worth at once */
		assert_int_equal(gate_handshake(i % 2 ? a : neighbour, now), 0);
	for (int i = 0; i < 50; i++) {
		uint64_t w = gate_handshake(a, now);
		assert_true(w > last && w <= last + 101); /* then ten a second, in order */
		last = w;
	}
	assert_int_equal(gate_handshake(neighbour, now), GATE_NEVER); /* five seconds are waiting: no more */
	assert_int_equal(gate_handshake(b, now), 0);                  /* other networks are not concerned */
	assert_int_equal(gate_handshake(v6, now), 0);
	assert_int_equal(gate_handshake(neighbour, now + 8000), 0);   /* it has worn off */
	unsigned free_now = 0;
	for (int i = 0; i < 300; i++) { /* many networks: all together have a limit too */
		char from[32];
		snprintf(from, sizeof from, "10.%d.1.1", i % 250);
		struct gate_pass *p = enter(g, from, now + 8000);
		free_now += gate_handshake(p, now + 8000) == 0;
		gate_leave(p);
	}
	assert_in_range(free_now, 150, 202);
	struct gate_counts c;
	gate_counts(g, &c);
	assert_true(c.delayed_handshakes > 50 && c.refused_handshakes == 1);
	assert_int_equal(gate_handshake(NULL, now), 0);
	gate_leave(a), gate_leave(b), gate_leave(neighbour), gate_leave(v6);
	gate_unref(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(key_updates_are_bounded), cmocka_unit_test(renegotiation_is_refused),
					   cmocka_unit_test(sessions_keep_apart), cmocka_unit_test(handshakes_take_turns)};
	return cmocka_run_group_tests_name("tls-hardening", tests, setup, teardown);
}
