/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/buf.h"
#include "scratch.h"
#include "store/store_federation.h"

static int show_partner(void *arg, const struct policy_partner *p)
{
	buf_printf(arg, "%.*s %s %d %s %s %d %d %u %.*s:%u '%.*s'", SFMT(p->domain), policy_partner_type_name(p->type),
		   p->enabled, policy_negotiation_name(p->tls), policy_negotiation_name(p->sasl), p->dialback, p->keep_alive,
		   p->connection_limit, SFMT(p->server_host), p->server_port, SFMT(p->description));
	for (size_t i = 0; i < p->n_additional; i++)
		buf_printf(arg, " %.*s", SFMT(p->additional[i]));
	for (size_t i = 0; i < p->n_pins; i++)
		policy_pin_print(arg, &p->pins[i]);
	if (p->own_certificate || p->pin_mode || !p->dane || p->delegation)
		buf_printf(arg, " %s %s %d %d", policy_own_certificate_name(p->own_certificate), policy_pin_mode_name(p->pin_mode), p->dane,
			   p->delegation);
	buf_putc(arg, '\n');
	return 0;
}

static int show_block(void *arg, const struct store_block *b)
{
	buf_printf(arg, "blocked %.*s '%.*s'\n", SFMT(b->domain), SFMT(b->comment));
	return b->since > 1600000000 ? 0 : 9;
}

static int show_change(void *arg, const struct store_change *c)
{
	buf_printf(arg, "%lld %.*s: %.*s\n", (long long)c->generation, SFMT(c->who), SFMT(c->what));
	return c->at > 1600000000 ? 0 : 9;
}

static void policy_is(struct store *s, int64_t generation, const char *want)
{
	struct buf out;
	int64_t got = -1;
	buf_init(&out, 1 << 20);
	assert_int_equal(store_load_policy(s, show_partner, show_block, &out, &got, NULL), 0);
	buf_putc(&out, '\0');
	assert_string_equal(buf_slice(&out).p, want);
	assert_int_equal(got, generation);
	buf_free(&out);
}

static struct policy_partner partner(const char *domain)
{
	struct policy_partner p = {.domain = slice_str(domain)};
	policy_partner_defaults(&p);
	return p;
}

static void test_partners(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct entente_err err = {0};
	policy_is(s, 0, "");
	const struct slice more[] = {S("z.test"), S("a.test")};
	struct policy_partner b = partner("b.test"), c = partner("c.test");
	b.additional = more;
	b.n_additional = 2;
	b.type = POLICY_FEDERATED;
	b.enabled = false;
	b.tls = POLICY_OPTIONAL;
	b.sasl = POLICY_NOT_SUPPORTED;
	b.dialback = true;
	b.keep_alive = false;
	b.connection_limit = UINT32_MAX;
	b.server_host = S("xmpp.b.test");
	b.server_port = 65535;
	b.description = S("it's \"quoted\"; \303\244");
	assert_int_equal(WAIT(&err, store_partner_add(s, &b, S("root"), done, arg)), 0);
	assert_int_equal(WAIT(&err, store_partner_add(s, &c, S("root"), done, arg)), 0);
#define B "b.test federated 0 optional not-supported 1 0 4294967295 xmpp.b.test:65535 'it's \"quoted\"; \303\244' z.test a.test\n"
#define C "c.test public-unverified 1 required optional 1 1 0 :0 ''\n"
	policy_is(s, 2, B C);

	/* whose the domain is, in every position */
	assert_int_equal(WAIT(&err, store_partner_add(s, &b, S("root"), done, arg)), ENTENTE_EEXIST);
	struct policy_partner z = partner("z.test"), d = partner("d.test");
	assert_int_equal(WAIT(&err, store_partner_add(s, &z, S("root"), done, arg)), ENTENTE_EEXIST);
	assert_string_equal(err.text, "the domain z.test belongs to the partner b.test already");
	const struct slice clash[] = {S("d2.test"), S("c.test")};
	d.additional = clash;
	d.n_additional = 2;
	assert_int_equal(WAIT(&err, store_partner_add(s, &d, S("root"), done, arg)), ENTENTE_EEXIST);
	assert_string_equal(err.text, "the domain c.test belongs to the partner c.test already");
	c.additional = more + 1;
	c.n_additional = 1;
	c.type = POLICY_PUBLIC_VERIFIED;
	assert_int_equal(WAIT(&err, store_partner_set(s, &c, S("root"), done, arg)), ENTENTE_EEXIST);
	policy_is(s, 2, B C); /* nothing was half done */
	assert_int_equal(WAIT(&err, store_partner_set(s, &d, S("root"), done, arg)), ENTENTE_ENOTFOUND);
	assert_int_equal(WAIT(&err, store_partner_remove(s, S("z.test"), S("root"), done, arg)), ENTENTE_ENOTFOUND);
	policy_is(s, 2, B C);

	/* set replaces all, and frees the domains that are gone */
	b = partner("b.test");
	assert_int_equal(WAIT(&err, store_partner_set(s, &b, S("eve"), done, arg)), 0);
	assert_int_equal(WAIT(&err, store_partner_set(s, &c, S("eve"), done, arg)), 0);
	store_close(s);
	s = scratch_open();
	policy_is(s, 4, "b.test public-unverified 1 required optional 1 1 0 :0 ''\n"
			"c.test public-verified 1 required optional 1 1 0 :0 '' a.test\n");
	assert_int_equal(WAIT(&err, store_partner_remove(s, S("c.test"), S("eve"), done, arg)), 0);
	struct policy_partner a = partner("a.test");
	assert_int_equal(WAIT(&err, store_partner_add(s, &a, S("eve"), done, arg)), 0);
	policy_is(s, 6, "a.test public-unverified 1 required optional 1 1 0 :0 ''\n"
			"b.test public-unverified 1 required optional 1 1 0 :0 ''\n");

	struct buf out;
	buf_init(&out, 65536);
	assert_int_equal(store_load_history(s, 3, show_change, &out, NULL), 0);
	buf_putc(&out, '\0');
	assert_string_equal(
		buf_slice(&out).p,
		"6 eve: partner add a.test type=public-unverified enabled=yes tls=required sasl=optional dialback=yes "
		"keep-alive=yes\n"
		"5 eve: partner remove c.test\n"
		"4 eve: partner set c.test type=public-verified enabled=yes tls=required sasl=optional dialback=yes "
		"keep-alive=yes additional=a.test\n");
	buf_free(&out);

	a.type = 3;
	assert_int_equal(store_partner_add(s, &a, S("eve"), NULL, NULL), ENTENTE_EINVAL);
	a = partner("");
	assert_int_equal(store_partner_add(s, &a, S("eve"), NULL, NULL), ENTENTE_EINVAL);
	assert_int_equal(store_partner_remove(s, SLICE_NONE, S("eve"), NULL, NULL), ENTENTE_EINVAL);
	a = partner("n.test");
	a.additional = more;
	a.n_additional = POLICY_ADDITIONAL_MAX + 1;
	assert_int_equal(store_partner_add(s, &a, S("eve"), NULL, NULL), ENTENTE_EINVAL);
	store_close(s);
}

static void test_blocks(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct entente_err err;
	assert_int_equal(WAIT(&err, store_block_add(s, S("evil.test"), S("spam"), S("root"), done, arg)), 0);
	assert_int_equal(WAIT(&err, store_block_add(s, S("evil.test"), S("again"), S("root"), done, arg)), ENTENTE_EEXIST);
	policy_is(s, 1, "blocked evil.test 'spam'\n");
	assert_int_equal(WAIT(&err, store_block_remove(s, S("evil.test"), S("root"), done, arg)), 0);
	assert_int_equal(WAIT(&err, store_block_remove(s, S("evil.test"), S("root"), done, arg)), ENTENTE_ENOTFOUND);
	policy_is(s, 2, "");
	int64_t g = 0;
	assert_int_equal(store_load_policy(s, NULL, NULL, NULL, &g, NULL), 0);
	assert_int_equal(g, 2);
	store_close(s);
}

/* A refused change in the middle of a group leaves the others of the group alone. */
static void test_group(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	char name[100][16];
	struct store_wait w[100];
	int added = 0;
	for (int i = 0; i < 100; i++) {
		snprintf(name[i], sizeof name[i], "p%02d.test", i % 60); /* the last forty exist already */
		struct policy_partner p = partner(name[i]);
		store_wait_init(&w[i]);
		assert_int_equal(store_partner_add(s, &p, S("root"), store_wait_done, &w[i]), 0);
	}
	for (int i = 0; i < 100; i++) {
		int rc = store_wait(&w[i], NULL);
		assert_int_equal(rc, i < 60 ? 0 : ENTENTE_EEXIST);
		added += !rc;
	}
	int64_t g;
	assert_int_equal(store_load_policy(s, NULL, NULL, NULL, &g, NULL), 0);
	assert_int_equal(g, added);
	assert_int_equal(store_flush(s), 0); /* refusals are not failures of the store */
	store_close(s);
}

static int count(void *arg, const struct store_change *c)
{
	(void)c;
	++*(int *)arg;
	return 0;
}

static void test_history_trim(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	for (int i = 0; i < STORE_HISTORY_MAX / 2 + 20; i++) {
		assert_int_equal(store_block_add(s, S("x.test"), SLICE_NONE, S("r"), NULL, NULL), 0);
		assert_int_equal(store_block_remove(s, S("x.test"), S("r"), NULL, NULL), 0);
	}
	assert_int_equal(store_flush(s), 0);
	int n = 0;
	int64_t g;
	assert_int_equal(store_load_history(s, SIZE_MAX, count, &n, NULL), 0);
	assert_int_equal(n, STORE_HISTORY_MAX);
	assert_int_equal(store_load_policy(s, NULL, NULL, NULL, &g, NULL), 0);
	assert_int_equal(g, STORE_HISTORY_MAX + 40);
	store_close(s);
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

static void test_pins(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct entente_err err = {0};
	struct policy_pin pins[POLICY_PINS_MAX];
	struct policy_partner p = partner("p.test");
	for (size_t i = 0; i < POLICY_PINS_MAX; i++)
		memset(pins[i].sha256, (int)i, sizeof pins[i].sha256);
	p.pins = pins;
	p.n_pins = POLICY_PINS_MAX;
	p.pin_mode = POLICY_PIN_BLOCK;
	p.own_certificate = POLICY_OWN_NONE;
	p.dane = false;
	p.delegation = true;
	assert_int_equal(WAIT(&err, store_partner_add(s, &p, S("root"), done, arg)), 0);
	struct buf out;
	buf_init(&out, 1 << 16);
	buf_puts(&out, "p.test public-unverified 1 required optional 1 1 0 :0 ''");
	for (size_t i = 0; i < POLICY_PINS_MAX; i++)
		policy_pin_print(&out, &pins[i]);
	buf_puts(&out, " none block 0 1\n");
	buf_putc(&out, 0);
	policy_is(s, 1, buf_slice(&out).p);
	buf_free(&out);
	p.n_pins = POLICY_PINS_MAX + 1;
	assert_int_equal(store_partner_set(s, &p, S("root"), NULL, NULL), ENTENTE_EINVAL);
	p = partner("p.test");
	assert_int_equal(WAIT(&err, store_partner_set(s, &p, S("root"), done, arg)), 0);
	policy_is(s, 2, "p.test public-unverified 1 required optional 1 1 0 :0 ''\n");
	store_close(s);
}

static int count_contact(void *arg, const struct store_contact *c)
{
	*(int *)arg += c->how == STORE_BY_ADMIN ? 100 : 1;
	return 0;
}

static int newest(void *arg, const struct store_change *c)
{
	slice_cstr(c->what, arg, 200);
	return 1;
}

/* What an administrator does with contacts is in the history; what is learned is not. */
static void contacts_of_administrators(void **state)
{
	(void)state;
	struct store *s = scratch_open();
	struct entente_err err = {0};
	char what[200] = "";
	int n = 0;
	struct slice romeo = S("romeo@contoso.test"), juliet = S("juliet@fabrikam.test"), nurse = S("nurse@fabrikam.test");
	struct store_contact learned = {.local_user = romeo, .remote_user = nurse, .learned_at = 7, .how = STORE_BY_MESSAGE};
	assert_int_equal(WAIT(&err, store_contact_put(s, &learned, done, arg)), 0);
	assert_int_equal(store_load_history(s, 1, newest, what, &err), 0);
	assert_string_equal(what, "");
	assert_int_equal(WAIT(&err, store_contact_add(s, romeo, juliet, S("alice"), done, arg)), 0);
	assert_int_equal(WAIT(&err, store_contact_add(s, romeo, juliet, S("alice"), done, arg)), ENTENTE_EEXIST);
	assert_int_equal(WAIT(&err, store_contact_add(s, romeo, nurse, S("alice"), done, arg)), ENTENTE_EEXIST);
	assert_int_equal(store_load_contacts(s, count_contact, &n, &err), 0);
	assert_int_equal(n, 101);
	store_load_history(s, 1, newest, what, &err);
	assert_string_equal(what, "contact add romeo@contoso.test juliet@fabrikam.test");
	assert_int_equal(WAIT(&err, store_contact_remove(s, romeo, nurse, S("alice"), done, arg)), 0);
	assert_int_equal(WAIT(&err, store_contact_remove(s, romeo, nurse, S("alice"), done, arg)), ENTENTE_ENOTFOUND);
	assert_non_null(strstr(err.text, "does not have nurse@fabrikam.test as contact"));
	store_load_history(s, 1, newest, what, &err);
	assert_string_equal(what, "contact remove romeo@contoso.test nurse@fabrikam.test");
	assert_int_equal(store_contact_add(s, S(""), juliet, S("alice"), NULL, NULL), ENTENTE_EINVAL);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {FRESH(test_partners), FRESH(test_pins), FRESH(test_blocks), FRESH(test_group), FRESH(test_history_trim), FRESH(contacts_of_administrators)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
