/* SPDX-License-Identifier: Apache-2.0 */
/* How long it takes until a partner is found or given up while DNS is slow, silent or half dead: virtual clock, DNS of the test's making. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "edge/dialer.h"
#include "edge/sip_lookup.h"
#include "fakedns.h"

enum { SILENT = 100000000, START = 5000 };

static struct loop loop;
static struct worker self = {.loop = &loop};

static int setup(void **state)
{
	(void)state;
	fakedns_reset(false);
	timers_init(&loop.timers, START);
	loop.arenas = arena_pool_new(1 << 20, 8);
	return 0;
}

static void run_until(uint64_t end)
{
	for (uint64_t due; (due = timers_next(&loop.timers)) <= end;)
		timers_run(&loop.timers, due);
	timers_set_now(&loop.timers, end);
}

static int teardown(void **state)
{
	(void)state;
	run_until(START + 10ull * SILENT); /* the questions end */
	assert_int_equal(loop.timers.count, 0);
	timers_free(&loop.timers);
	arena_pool_free(loop.arenas);
	return 0;
}

static void silent(const char *name)
{
	fakedns(name, DNS_SRV)->delay_ms = SILENT;
	fakedns(name, DNS_A)->delay_ms = SILENT;
	fakedns(name, DNS_AAAA)->delay_ms = SILENT;
	fakedns(name, DNS_TLSA)->delay_ms = SILENT;
}

static void no_service(void)
{
	silent("_xmpp-server._tcp.d.test");
	silent("_xmpps-server._tcp.d.test");
}

static void server(unsigned priority, const char *host)
{
	fakedns_srv("_xmpp-server._tcp.d.test", priority, 0, 5269, host);
}

/* ---- XMPP */

struct caller {
	struct dialer *d;
	char text[512]; /* "2000 192.0.2.1=a.d.test, " ...; at the end "4000 xmpp/dns-failed: ..." */
	unsigned busy_ms; /* so long it tries each address */
	struct timer trying;
	bool over;
};

static void again(struct timer *t, uint64_t now)
{
	struct caller *x = CONTAINER_OF(t, struct caller, trying);
	(void)now;
	dialer_next(x->d);
}

static void on_address(void *arg, const struct addr *to, struct slice host)
{
	struct caller *x = arg;
	char z[ADDR_TEXT];
	size_t n = strlen(x->text);
	addr_host_text(to, z);
	snprintf(x->text + n, sizeof x->text - n, "%u %s=%.*s, ", (unsigned)(loop.timers.now - START), z, SFMT(host));
	if (x->busy_ms)
		timer_arm(&loop.timers, &x->trying, x->busy_ms);
	else
		x->over = true;
}

static void on_exhausted(void *arg, const struct entente_err *err)
{
	struct caller *x = arg;
	size_t n = strlen(x->text);
	snprintf(x->text + n, sizeof x->text - n, "%u %s: %s", (unsigned)(loop.timers.now - START), reason_info(err->reason)->id, err->text);
	x->over = true;
}

static const struct dialer_ops ops = {.address = on_address, .exhausted = on_exhausted};

static const char *dial(struct dialer_target t, unsigned busy_ms)
{
	static struct caller x;
	x = (struct caller){.busy_ms = busy_ms};
	timer_init(&x.trying, again);
	t.domain = S("d.test");
	t.direct = true;
	x.d = dialer_new(&self, NULL, &t, &ops, &x);
	dialer_next(x.d);
	for (uint64_t due; !x.over && (due = timers_next(&loop.timers)) < START + SILENT;)
		timers_run(&loop.timers, due);
	assert_true(x.over);
	x.d = dialer_free(x.d);
	return x.text;
}

static const struct dialer_target plain;
#define FAILED(ms, what) ms " xmpp/dns-failed: " what ": no answer in time"

static void nobody_answers(void **state)
{
	(void)state;
	no_service();
	silent("d.test");
	assert_string_equal(dial(plain, 0), FAILED("4000", "SRV look-up of d.test"));
	assert_int_equal(fakedns_asked("d.test", DNS_A), 1); /* it was tried */
}

static void without_services_the_domain_itself(void **state)
{
	(void)state;
	no_service();
	fakedns_addr("d.test", "192.0.2.1")->delay_ms = 900;
	assert_string_equal(dial(plain, 0), "3900 192.0.2.1=d.test, ");
}

static void one_service_is_enough(void **state)
{
	(void)state;
	silent("_xmpps-server._tcp.d.test");
	server(1, "a.d.test");
	fakedns_addr("a.d.test", "192.0.2.1");
	fakedns("a.d.test", DNS_AAAA);
	assert_string_equal(dial(plain, 0), "3000 192.0.2.1=a.d.test, ");
}

static void slow_is_not_silent(void **state)
{
	(void)state;
	server(1, "a.d.test");
	fakedns("_xmpp-server._tcp.d.test", DNS_SRV)->delay_ms = 2500;
	fakedns_addr("a.d.test", "192.0.2.1")->delay_ms = 1400;
	fakedns("a.d.test", DNS_AAAA)->delay_ms = 1400;
	assert_string_equal(dial(plain, 0), "3900 192.0.2.1=a.d.test, ");
}

static void the_servers_have_silent_names(void **state)
{
	(void)state;
	char host[32];
	for (unsigned i = 0; i < 16; i++) {
		snprintf(host, sizeof host, "h%u.d.test", i);
		server(i, host);
		silent(host);
	}
	assert_string_equal(dial(plain, 0), FAILED("4000", "address look-up of h0.d.test"));
	assert_int_equal(fakedns_asked("h15.d.test", DNS_A), 1);
}

static void one_silent_name_leaves_time_for_the_next(void **state)
{
	(void)state;
	server(1, "a.d.test");
	server(2, "b.d.test");
	silent("a.d.test");
	fakedns_addr("b.d.test", "2001:db8::1")->delay_ms = 800;
	fakedns("b.d.test", DNS_A)->delay_ms = 800;
	assert_string_equal(dial(plain, 0), "2800 2001:db8::1=b.d.test, ");
}

static void one_silent_family(void **state)
{
	(void)state;
	server(1, "a.d.test");
	silent("a.d.test");
	fakedns_addr("a.d.test", "192.0.2.1")->delay_ms = 10;
	assert_string_equal(dial(plain, 0), "60 192.0.2.1=a.d.test, ");
}

/* The other family's answer is awaited while the first is tried, but not for ever. */
static void one_silent_family_and_the_other_is_of_no_use(void **state)
{
	(void)state;
	server(1, "a.d.test");
	silent("a.d.test");
	fakedns_addr("a.d.test", "192.0.2.1")->delay_ms = 10;
	assert_string_equal(dial(plain, 100), "60 192.0.2.1=a.d.test, 4000 xmpp/dns-failed: address look-up of a.d.test: no answer in time");
}

/* Whoever knocks at doors has time again. */
static void what_was_tried_does_not_count(void **state)
{
	(void)state;
	server(1, "a.d.test");
	server(2, "b.d.test");
	fakedns_addr("a.d.test", "192.0.2.1")->delay_ms = 1000;
	fakedns("a.d.test", DNS_AAAA);
	silent("b.d.test");
	assert_string_equal(dial(plain, 10000), "1000 192.0.2.1=a.d.test, 15000 xmpp/dns-failed: address look-up of b.d.test: no answer in time");
}

/* Whoever can make the TLSA answer vanish gains nothing by it. */
static void silent_tlsa(void **state)
{
	(void)state;
	fakedns_reset(true);
	server(1, "a.d.test");
	fakedns_addr("a.d.test", "192.0.2.1");
	silent("_5269._tcp.a.d.test");
	assert_string_equal(dial((struct dialer_target){.dane = true}, 0), FAILED("4000", "TLSA look-up of a.d.test"));
}

static struct dialer_target dane(unsigned delay_ms)
{
	fakedns_reset(true);
	for (const char *h = "ab"; *h; h++) {
		char host[16], tlsa[32];
		snprintf(host, sizeof host, "%c.d.test", *h);
		snprintf(tlsa, sizeof tlsa, "_5269._tcp.%c.d.test", *h);
		server((unsigned)(*h - 'a'), host);
		fakedns_addr(host, *h == 'a' ? "192.0.2.1" : "192.0.2.2")->delay_ms = delay_ms;
		fakedns(host, DNS_AAAA)->delay_ms = delay_ms;
		fakedns(tlsa, DNS_TLSA)->delay_ms = delay_ms;
	}
	fakedns("_xmpp-server._tcp.d.test", DNS_SRV)->delay_ms = delay_ms;
	return (struct dialer_target){.dane = true};
}

/* Of two servers the first has time for addresses and TLSA, each of which comes after a second when its time is over (RFC 8767). */
static void old_answers_for_dane(void **state)
{
	(void)state;
	assert_string_equal(dial(dane(1000), 0), "3000 192.0.2.1=a.d.test, ");
}

static void dane_ends_in_time(void **state)
{
	(void)state;
	struct dialer_target t = dane(0);
	silent("a.d.test");
	fakedns_addr("a.d.test", "192.0.2.1")->delay_ms = 0;
	silent("_5269._tcp.a.d.test");
	silent("b.d.test");
	unsigned ms = 0;
	const char *text = dial(t, 0);
	assert_int_equal(sscanf(text, "%u xmpp/dns-failed", &ms), 1);
	assert_in_range(ms, 3800, 4000);
}

/* It may be one of yesterday's. */
static void late_denial_is_no_denial(void **state)
{
	(void)state;
	fakedns_fail("d.test", DNS_A, DNS_NXDOMAIN)->delay_ms = 1000;
	fakedns_fail("d.test", DNS_AAAA, DNS_NXDOMAIN)->delay_ms = 1000;
	assert_non_null(strstr(dial(plain, 0), "1000 xmpp/dns-failed: address look-up of d.test"));
	fakedns_reset(false);
	assert_non_null(strstr(dial(plain, 0), "0 xmpp/dns-not-found: address look-up of d.test"));
}

/* ---- SIP */

struct search {
	struct sip_lookup *l;
	size_t n;
	unsigned took, said;
	bool unsure, over;
};

static void found(void *arg, const struct sip_target_entry *e, size_t n, bool unsure)
{
	struct search *s = arg;
	(void)e;
	s->took = (unsigned)(loop.timers.now - START);
	s->n = n;
	s->unsure = unsure;
	s->over = true;
	s->l = sip_lookup_free(s->l);
}

static void seen(void *arg, const struct dns_answer *a)
{
	struct search *s = arg;
	s->said += a->status == DNS_TIMEOUT;
}

static struct search search(void)
{
	struct search s = {0};
	struct sip_uri uri;
	struct sip_target_config c = {.transports = {SIP_TLS}, .n_transports = 1, .fallback = SIP_TLS, .federation = S("_sipfederationtls._tcp"),
				      .federation_fallback = true, .ipv4 = true, .ipv6 = true};
	assert_int_equal(sip_uri_parse(S("sips:d.test"), &uri), 0);
	struct sip_lookup_config look = {.worker = &self, .uri = &uri, .target = &c, .done = found, .arg = &s, .seen = seen};
	assert_int_equal(sip_lookup_new(&s.l, &look), 0);
	for (uint64_t due; !s.over && (due = timers_next(&loop.timers)) < START + SILENT;)
		timers_run(&loop.timers, due);
	assert_true(s.over);
	return s;
}

static void sip_nobody_answers(void **state)
{
	(void)state;
	silent("_sipfederationtls._tcp.d.test");
	silent("_sips._tcp.d.test");
	silent("d.test");
	struct search s = search();
	assert_int_equal(s.n, 0);
	assert_true(s.unsure);
	assert_int_equal(s.took, 3000); /* without the record there is nowhere else to look */
	assert_int_equal(s.said, 1);
}

/* Eight are asked for at once: the ninth has its time, too. */
static void sip_silent_names_leave_time_for_the_next(void **state)
{
	(void)state;
	char host[32];
	for (unsigned i = 0; i < 9; i++) {
		snprintf(host, sizeof host, "h%u.d.test", i);
		fakedns_srv("_sipfederationtls._tcp.d.test", i, 0, 5061, host)->delay_ms = 400;
		if (i < 8)
			silent(host);
	}
	fakedns_addr("h8.d.test", "192.0.2.1")->delay_ms = 100;
	fakedns("h8.d.test", DNS_AAAA)->delay_ms = 100;
	struct search s = search();
	assert_int_equal(s.n, 1);
	assert_true(s.unsure);
	assert_in_range(s.took, 3000, 3999);
}

static void sip_many_silent_names(void **state)
{
	(void)state;
	char host[32];
	for (unsigned i = 0; i < 16; i++) {
		snprintf(host, sizeof host, "h%u.d.test", i);
		fakedns_srv("_sipfederationtls._tcp.d.test", i, 0, 5061, host);
		silent(host);
	}
	struct search s = search();
	assert_int_equal(s.n, 0);
	assert_true(s.unsure);
	assert_in_range(s.took, 3900, 4000);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(nobody_answers),
		T(without_services_the_domain_itself),
		T(one_service_is_enough),
		T(slow_is_not_silent),
		T(the_servers_have_silent_names),
		T(one_silent_name_leaves_time_for_the_next),
		T(one_silent_family),
		T(one_silent_family_and_the_other_is_of_no_use),
		T(what_was_tried_does_not_count),
		T(silent_tlsa),
		T(old_answers_for_dane),
		T(dane_ends_in_time),
		T(late_denial_is_no_denial),
		T(sip_nobody_answers),
		T(sip_silent_names_leave_time_for_the_next),
		T(sip_many_silent_names),
	};
	return cmocka_run_group_tests_name("patience", tests, NULL, NULL);
}
