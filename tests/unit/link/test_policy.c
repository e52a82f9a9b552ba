/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/err.h"
#include "link/policy.h"

static struct snapshot *make(int blocked)
{
	static const struct slice one[] = {{"a.test", 6}, {"b.test", 6}}, two[] = {{"c.test", 6}}, more[] = {{"y.test", 6}, {"z.test", 6}};
	static const struct policy_pin pins[] = {{{1, 2, 3}}, {{255, 0, 9}}};
	struct snapshot_builder *b = snapshot_builder_new();
	struct policy_home h = {.name = S("one"), .next_hop = S("sip:10.0.0.5:5060"), .domains = one, .n_domains = 2};
	assert_int_equal(snapshot_builder_home(b, &h, NULL), 0);
	h = (struct policy_home){.name = S("two"), .next_hop = S("sip:10.0.0.6:5060"), .domains = two, .n_domains = 1};
	assert_int_equal(snapshot_builder_home(b, &h, NULL), 0);
	struct policy_partner p = {.domain = S("x.test"), .additional = more, .n_additional = 2, .type = POLICY_PUBLIC_VERIFIED,
				   .tls = POLICY_OPTIONAL, .sasl = POLICY_NOT_SUPPORTED, .enabled = true, .dialback = true, .keep_alive = false,
				   .connection_limit = 70000, .server_host = S("192.0.2.9"), .server_port = 5270, .description = S("caf\xc3\xa9"), .own_certificate = POLICY_OWN_NONE,
				   .pins = pins, .n_pins = 2, .pin_mode = POLICY_PIN_BLOCK, .dane = true, .delegation = true};
	assert_int_equal(snapshot_builder_partner(b, &p, NULL), 0);
	policy_partner_defaults(&p);
	p.domain = S("plain.test");
	p.additional = NULL;
	p.n_additional = 0;
	p.server_host = p.description = SLICE_NONE;
	assert_int_equal(snapshot_builder_partner(b, &p, NULL), 0);
	snapshot_builder_block(b, S("evil.test"), NULL);
	snapshot_builder_block(b, S("worse.test"), NULL);
	for (int i = 0; i < blocked; i++) {
		char name[24];
		snprintf(name, sizeof name, "bad-%d.test", i);
		snapshot_builder_block(b, slice_str(name), NULL);
	}
	struct policy_gateway g = {.negotiation = POLICY_LYNC, .connection_limit = 123, .partner_connection_limit = 4, .xmpp_access = false};
	snapshot_builder_gateway(b, &g);
	return snapshot_builder_freeze(b, 41);
}

static void whole(void **state)
{
	struct snapshot *s = make(100), *t; /* blocked domains of which some share a bucket */
	struct slice secret;
	struct buf b;
	uint32_t home;
	(void)state;
	buf_init(&b, 1 << 20);
	link_policy_write(&b, s, S("secret\0octets"));
	assert_true(buf_ok(&b));
	assert_true(slice_find(buf_slice(&b), S("10.0.0.")) < 0); /* where the homes are is nobody's business out there */
	assert_int_equal(link_policy_read(&t, &secret, buf_slice(&b), 42, NULL), 0);
	assert_true(slice_eq(secret, S("secret\0octets")));
	assert_true(snapshot_generation(t) == 42);
	assert_true(snapshot_local(t, S("a.test"), &home) && snapshot_local(t, S("b.test"), &home) && snapshot_local(t, S("c.test"), &home));
	assert_false(snapshot_local(t, S("x.test"), &home));
	assert_int_equal(snapshot_partner_count(t), 2);
	const struct policy_partner *p = snapshot_partner(t, S("z.test"));
	assert_non_null(p);
	assert_true(slice_eq(p->domain, S("x.test")) && p->n_additional == 2);
	assert_int_equal(p->type, POLICY_PUBLIC_VERIFIED);
	assert_int_equal(p->tls, POLICY_OPTIONAL);
	assert_int_equal(p->sasl, POLICY_NOT_SUPPORTED);
	assert_true(p->enabled && p->dialback && !p->keep_alive);
	assert_int_equal(p->connection_limit, 70000);
	assert_true(slice_eq(p->server_host, S("192.0.2.9")) && p->server_port == 5270 && slice_eq(p->description, S("caf\xc3\xa9")));
	assert_true(p->own_certificate == POLICY_OWN_NONE && p->n_pins == 2 && p->pin_mode == POLICY_PIN_BLOCK && p->dane && p->delegation);
	assert_true(p->pins[1].sha256[0] == 255 && p->pins[1].sha256[2] == 9 && p->pins[0].sha256[1] == 2);
	assert_true(slice_eq(snapshot_blocked(t, S("sub.evil.test")), S("evil.test")));
	assert_true(snapshot_blocked(t, S("worse.test")).len);
	const struct policy_gateway *g = snapshot_gateway(t);
	assert_int_equal(g->negotiation, POLICY_LYNC);
	assert_int_equal(g->connection_limit, 123);
	assert_int_equal(g->partner_connection_limit, 4);
	assert_false(g->xmpp_access);
	/* what is read writes the same again */
	struct buf c;
	buf_init(&c, 1 << 20);
	link_policy_write(&c, t, secret);
	assert_true(slice_eq(buf_slice(&c), buf_slice(&b)));
	buf_free(&c);
	snapshot_unref(s);
	snapshot_unref(t);
	buf_free(&b);
}

static void only_domains(void **state)
{
	struct snapshot *t;
	struct slice secret;
	(void)state;
	assert_int_equal(link_policy_read(&t, &secret, S("h\0\0\0\6a.test"), 1, NULL), 0);
	assert_true(snapshot_local(t, S("a.test"), NULL));
	snapshot_unref(t);
	assert_int_equal(link_policy_read(&t, &secret, SLICE_NONE, 1, NULL), 0);
	assert_int_equal(snapshot_home_count(t), 0);
	snapshot_unref(t);
}

static void cut(void **state)
{
	struct snapshot *s = make(0), *t;
	struct slice secret;
	struct entente_err err;
	struct buf b;
	unsigned refused = 0;
	(void)state;
	buf_init(&b, 1 << 20);
	link_policy_write(&b, s, S("secret"));
	for (size_t i = 1; i < b.len; i++) {
		int rc = link_policy_read(&t, &secret, slice_first(buf_slice(&b), i), 1, &err);
		if (rc)
			refused++;
		else
			snapshot_unref(t); /* cut between two records */
	}
	assert_true(refused > b.len - 20);
	assert_int_equal(link_policy_read(&t, &secret, S("q"), 1, &err), ENTENTE_ESYNTAX);
	assert_int_equal(err.reason, REASON_LINK_PROTOCOL);
	assert_int_equal(link_policy_read(&t, &secret, S("h\xff\xff\xff\xff"), 1, &err), ENTENTE_ESYNTAX);
	snapshot_unref(s);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(only_domains), cmocka_unit_test(cut)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
