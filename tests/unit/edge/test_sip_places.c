/* SPDX-License-Identifier: Apache-2.0 */
/* Which address next: order, failures, their memory; no clock but the test's. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "edge/sip_places.h"

static struct sip_target_entry entry(const char *ip, uint16_t port, const char *host)
{
	struct sip_target_entry e = {.transport = SIP_TLS, .host = slice_str(host)};
	struct sockaddr_in *a = (struct sockaddr_in *)(void *)&e.addr;
	a->sin_family = AF_INET;
	a->sin_port = htons(port);
	inet_pton(AF_INET, ip, &a->sin_addr);
	return e;
}

static void fill(struct sip_places *p)
{
	struct sip_target_entry e[] = {entry("192.0.2.1", 5061, "a.test"), entry("192.0.2.2", 5061, "a.test"), entry("192.0.2.1", 5061, "b.test"),
				       entry("192.0.2.3", 5061, "b.test"), entry("192.0.2.3", 5062, "b.test")};
	sip_places_init(p);
	sip_places_add(p, e, 5, 0);
}

static const char *next(struct sip_places *p, uint64_t now, const char *host)
{
	static char z[ADDR_TEXT];
	struct sip_place *x = sip_places_next(p, now, slice_str(host));
	return x ? addr_text(&x->addr, z), z : "-";
}

static void fails(struct sip_places *p, const char *addr, uint64_t now)
{
	struct addr a;
	assert_true(addr_parse(slice_str(addr), 0, &a));
	sip_places_failed(p, &a, SIP_TLS, now);
}

static void test_order(void **state)
{
	struct sip_places p;
	(void)state;
	fill(&p);
	assert_int_equal(p.n, 4); /* one address once, under the name that came first */
	assert_string_equal(p.list[0].host, "a.test");
	assert_string_equal(next(&p, 1, ""), "192.0.2.1:5061");
	assert_string_equal(next(&p, 1, ""), "192.0.2.2:5061");
	assert_string_equal(next(&p, 1, ""), "192.0.2.3:5061");
	assert_string_equal(next(&p, 1, ""), "192.0.2.3:5062");
	assert_string_equal(next(&p, 1, ""), "-");
	sip_places_round(&p);
	assert_string_equal(next(&p, 1, "B.test"), "192.0.2.3:5061"); /* of one host alone */
	assert_string_equal(next(&p, 1, "B.test"), "192.0.2.3:5062");
	assert_string_equal(next(&p, 1, "B.test"), "-");
	assert_string_equal(next(&p, 1, ""), "192.0.2.1:5061"); /* the others are still to be had in this round */
	sip_places_free(&p);
}

static void test_memory(void **state)
{
	struct sip_places p, q, other;
	(void)state;
	fill(&p);
	fill(&other);
	fails(&p, "192.0.2.2:5061", 1000);
	fails(&p, "192.0.2.1:5061", 2000);
	fails(&p, "198.51.100.1:5061", 2000); /* not there */
	assert_string_equal(next(&p, 3000, ""), "192.0.2.3:5061"); /* the port counts: only what failed */
	assert_string_equal(next(&p, 3000, ""), "192.0.2.3:5062");
	assert_string_equal(next(&p, 3000, ""), "192.0.2.2:5061"); /* last, but not never: the oldest failure first */
	assert_string_equal(next(&p, 3000, ""), "192.0.2.1:5061");
	assert_string_equal(next(&other, 3000, ""), "192.0.2.1:5061"); /* another domain knows nothing of it */
	/* a new answer of DNS does not wipe it away */
	struct sip_target_entry e[] = {entry("192.0.2.1", 5061, "a.test"), entry("192.0.2.9", 5061, "a.test")};
	sip_places_init(&q);
	sip_places_add(&q, e, 2, 0);
	sip_places_take(&p, &q);
	assert_int_equal(q.n, 0);
	assert_string_equal(next(&p, 2000 + SIP_PLACE_FAILED_MS - 1, ""), "192.0.2.9:5061");
	sip_places_round(&p);
	assert_string_equal(next(&p, 2000 + SIP_PLACE_FAILED_MS, ""), "192.0.2.1:5061"); /* forgotten by now */
	fails(&p, "192.0.2.1:5061", 50000);
	sip_places_good(&p, &p.list[0].addr, SIP_TLS);
	sip_places_round(&p);
	assert_string_equal(next(&p, 50001, ""), "192.0.2.1:5061"); /* it works again */
	sip_places_free(&p);
	sip_places_free(&q);
	sip_places_free(&other);
}

static void test_bound(void **state)
{
	struct sip_places p;
	char ip[32];
	(void)state;
	sip_places_init(&p);
	for (int i = 0; i < 3 * SIP_PLACES_MAX; i++) {
		snprintf(ip, sizeof ip, "192.0.2.%d", i % 200 + 1);
		struct sip_target_entry e = entry(ip, (uint16_t)(5000 + i), "a.test");
		sip_places_add(&p, &e, 1, (uint32_t)i);
	}
	assert_int_equal(p.n, SIP_PLACES_MAX);
	assert_int_equal(p.list[SIP_PLACES_MAX - 1].hop, SIP_PLACES_MAX - 1); /* the first ones stay */
	sip_places_free(&p);
	assert_null(sip_places_next(&p, 1, S("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_memory), cmocka_unit_test(test_bound)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
