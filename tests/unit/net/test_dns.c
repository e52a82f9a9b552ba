/* SPDX-License-Identifier: Apache-2.0 */
/* Real libunbound against a small name server on 127.0.0.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/clock.h"
#include "names.h"
#include "net/dns_int.h"

/* --- what the name server knows --- */

static void naptr(void)
{
	struct buf d;
	buf_init(&d, 256);
	buf_put(&d, S("\0\x0a\0\x64\x01s\x08SIPS+D2T\0"));
	buf_put(&d, S("\5_sips\4_tcp\4good\4test\0"));
	names_record("good.test", DNS_NAPTR, buf_slice(&d));
	buf_free(&d);
}

static int group_setup(void **state)
{
	(void)state;
	names_start();
	names_ttl(300);
	names_srv("_xmpp-server._tcp.good.test", 10, 60, 5269, "Im1.Good.test");
	names_srv("_xmpp-server._tcp.good.test", 20, 0, 5270, "im2.good.test");
	names_srv("_xmpp-server._tcp.good.test", 30, 0, 5270, "bad name.good.test");
	names_srv("_xmpp-server._tcp.none.test", 0, 0, 0, "");
	for (unsigned n = 0; n < 100; n++)
		names_srv("many.test", n, 0, 1, "a.b");
	names_a("a.test", "192.0.2.5");
	names_a("a.test", "2001:db8::1");
	names_record("_5269._tcp.a.test", DNS_TLSA, S("\x03\x01\x01" "0123456789abcdef0123456789abcdef"));
	naptr();
	names_alias("alias.test", "Real.test");
	names_a("real.test", "127.0.0.1");
	names_fail("silent.test", NAMES_SILENT);
	names_fail("empty.test", NAMES_EMPTY);
	names_fail("fail.test", NAMES_SERVFAIL);
	names_fail("refused.test", NAMES_REFUSED);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	names_stop();
	return 0;
}

/* --- asking --- */

struct asked {
	int done;
	enum dns_status status;
	bool secure;
	uint32_t ttl;
	size_t n;
	struct dns_record first, second;
	char name[256], target[256], canonical[256], text[256], why[256], data[64];
	struct loop *loop; /* stopped when done */
};

static void keep(char dst[256], struct slice s)
{
	assert_true(slice_cstr(s, dst, 256));
	assert_true(!s.p || s.p[s.len] == 0);
}

static void done(void *arg, const struct dns_answer *a)
{
	struct asked *k = arg;
	k->done++;
	k->status = a->status;
	k->secure = a->secure;
	k->ttl = a->ttl;
	k->n = a->n;
	keep(k->name, a->name);
	keep(k->canonical, a->canonical);
	keep(k->why, a->why);
	if (a->n) {
		k->first = a->records[0];
		if (a->type == DNS_SRV)
			keep(k->target, a->records[0].srv.target);
		if (a->type == DNS_NAPTR)
			keep(k->target, a->records[0].naptr.replacement), keep(k->text, a->records[0].naptr.service);
		if (a->type == DNS_TLSA)
			slice_cstr(a->records[0].tlsa.data, k->data, sizeof k->data);
	}
	if (a->n > 1)
		k->second = a->records[1];
	if (k->loop)
		loop_stop(k->loop);
}

struct resolver {
	struct pool *pool;
	struct worker *control;
	struct dns *dns;
};

static void open_resolver(struct resolver *r, const struct dns_opts *more)
{
	struct entente_err err = {0};
	const char *servers[] = {names_spec()};
	struct dns_opts o = more ? *more : (struct dns_opts){0};
	struct pool_opts po = {.workers = 1};
	o.servers = servers;
	o.n_servers = 1;
	if (!o.hosts)
		o.hosts = "";
	assert_int_equal(pool_new(&r->pool, &po, &err), 0);
	r->control = pool_control(r->pool);
	if (dns_new(&r->dns, r->control, &o, &err))
		fail_msg("%s", err.text);
}

static void close_resolver(struct resolver *r)
{
	dns_free(r->dns);
	pool_free(r->pool);
}

static struct asked ask(struct resolver *r, const char *name, enum dns_type type)
{
	struct asked k = {0};
	dns_ask(r->dns, r->control, slice_str(name), type, done, &k);
	assert_int_equal(k.done, 0);
	for (int i = 0; i < 20000 && !k.done; i++)
		loop_once(r->control->loop, 1);
	assert_int_equal(k.done, 1);
	return k;
}

static void test_records(void **state)
{
	(void)state;
	struct resolver r;
	open_resolver(&r, NULL);
	struct asked k = ask(&r, "_XMPP-Server._tcp.Good.test", DNS_SRV);
	assert_int_equal(k.status, DNS_OK);
	assert_int_equal(k.n, 2); /* the malformed third is left out */
	assert_string_equal(k.name, "_xmpp-server._tcp.good.test");
	/* libunbound turns the order of a set */
	const struct dns_record *one = k.first.srv.priority == 10 ? &k.first : &k.second;
	assert_int_equal(one->srv.priority, 10);
	assert_int_equal(one->srv.weight, 60);
	assert_int_equal(one->srv.port, 5269);
	assert_true(!strcmp(k.target, "im1.good.test") || !strcmp(k.target, "im2.good.test"));
	assert_in_range(k.ttl, 1, 300);
	assert_false(k.secure);

	k = ask(&r, "_xmpp-server._tcp.none.test.", DNS_SRV);
	assert_int_equal(k.status, DNS_OK);
	assert_int_equal(k.n, 1);
	assert_string_equal(k.target, ""); /* decidedly absent */

	k = ask(&r, "a.test", DNS_A);
	assert_int_equal(k.status, DNS_OK);
	char text[ADDR_TEXT];
	addr_host_text(&k.first.addr, text);
	assert_string_equal(text, "192.0.2.5");
	k = ask(&r, "a.test", DNS_AAAA);
	addr_host_text(&k.first.addr, text);
	assert_string_equal(text, "2001:db8::1");

	k = ask(&r, "_5269._tcp.a.test", DNS_TLSA);
	assert_int_equal(k.status, DNS_OK);
	assert_int_equal(k.first.tlsa.usage, 3);
	assert_int_equal(k.first.tlsa.selector, 1);
	assert_int_equal(k.first.tlsa.matching, 1);
	assert_string_equal(k.data, "0123456789abcdef0123456789abcdef");

	k = ask(&r, "good.test", DNS_NAPTR);
	assert_int_equal(k.status, DNS_OK);
	assert_int_equal(k.first.naptr.order, 10);
	assert_int_equal(k.first.naptr.preference, 100);
	assert_string_equal(k.text, "SIPS+D2T");
	assert_string_equal(k.target, "_sips._tcp.good.test");

	k = ask(&r, "alias.test", DNS_A);
	assert_int_equal(k.status, DNS_OK);
	assert_int_equal(strcasecmp(k.canonical, "real.test"), 0);
	assert_true(addr_is_loopback(&k.first.addr));

	k = ask(&r, "many.test", DNS_SRV);
	assert_int_equal(k.status, DNS_OK);
	assert_int_equal(k.n, DNS_RECORDS_MAX);
	close_resolver(&r);
}

static void test_failures(void **state)
{
	(void)state;
	struct resolver r;
	open_resolver(&r, &(struct dns_opts){.timeout_ms = 3000});
	struct asked k = ask(&r, "nx.test", DNS_A);
	assert_int_equal(k.status, DNS_NXDOMAIN);
	k = ask(&r, "empty.test", DNS_SRV);
	assert_int_equal(k.status, DNS_NODATA);
	k = ask(&r, "fail.test", DNS_A);
	assert_int_equal(k.status, DNS_SERVFAIL);
	assert_true(strlen(k.why) > 4);
	k = ask(&r, "refused.test", DNS_A);
	assert_int_equal(k.status, DNS_SERVFAIL);
	static const char *const bad[] = {"", ".", "a..b", ".a", "a b", "a\\b", "\xc3\xa4.test", "x.y\n",
		"0123456789012345678901234567890123456789012345678901234567890123.test"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		k = ask(&r, bad[i], DNS_A);
		assert_int_equal(k.status, DNS_LIMIT);
	}
	struct dns_counts n;
	dns_counts(r.dns, &n);
	assert_int_equal(n.asked, 4);
	assert_int_equal(n.in_flight, 0);
	close_resolver(&r);
}

static void test_timeout_limit_cancel(void **state)
{
	(void)state;
	struct resolver r;
	open_resolver(&r, &(struct dns_opts){.timeout_ms = 150, .in_flight = 2, .waiting = 1});
	uint64_t start = clock_ms();
	struct asked k = ask(&r, "silent.test", DNS_A);
	assert_int_equal(k.status, DNS_TIMEOUT);
	assert_in_range(clock_ms() - start, 140, 3000);
	struct asked many[4] = {{0}};
	for (int i = 0; i < 4; i++)
		dns_ask(r.dns, r.control, S("silent.test"), DNS_A, done, &many[i]);
	for (int i = 0; i < 1000 && !many[3].done; i++)
		loop_once(r.control->loop, 1);
	assert_int_equal(many[3].status, DNS_LIMIT);
	assert_int_equal(many[0].done + many[1].done + many[2].done, 0);
	for (int i = 0; i < 3000 && !(many[0].done && many[1].done && many[2].done); i++)
		loop_once(r.control->loop, 1);
	assert_int_equal(many[0].status, DNS_TIMEOUT);
	assert_int_equal(many[2].status, DNS_TIMEOUT); /* it only waited */
	/* cancelled: never called back, whatever the state */
	struct asked gone = {0};
	dns_cancel(dns_ask(r.dns, r.control, S("a.test"), DNS_A, done, &gone));
	struct dns_query *q = dns_ask(r.dns, r.control, S("silent.test"), DNS_A, done, &gone);
	loop_once(r.control->loop, 5);
	dns_cancel(q);
	uint64_t until = clock_ms() + 250;
	while (clock_ms() < until)
		loop_once(r.control->loop, 5);
	assert_int_equal(gone.done, 0);
	struct dns_counts n;
	dns_counts(r.dns, &n);
	assert_int_equal(n.in_flight, 0);
	/* freed with one on the way */
	struct asked late = {0};
	dns_ask(r.dns, r.control, S("silent.test"), DNS_A, done, &late);
	loop_once(r.control->loop, 5);
	struct asked later = {0};
	dns_ask(r.dns, r.control, S("a.test"), DNS_A, done, &later);
	r.dns = dns_free(r.dns);
	for (int i = 0; i < 1000 && !(late.done && later.done); i++)
		loop_once(r.control->loop, 1);
	assert_int_equal(late.status, DNS_GONE);
	assert_int_equal(later.status, DNS_GONE);
	pool_free(r.pool);
}

/* RFC 8767: what was known is said again when nobody answers any more, soon enough for whoever waits; better news are taken at once. */
static void test_stale(void **state)
{
	(void)state;
	struct resolver r;
	names_clear();
	names_ttl(1);
	names_a("known.test", "192.0.2.7");
	open_resolver(&r, &(struct dns_opts){.timeout_ms = 30000});
	assert_int_equal(ask(&r, "known.test", DNS_A).status, DNS_OK);
	for (uint64_t end = clock_ms() + 2100; clock_ms() < end;)
		loop_once(r.control->loop, 50);
	names_silent(true);
	unsigned before = names_asked("known.test");
	uint64_t start = clock_ms();
	struct asked k = ask(&r, "known.test", DNS_A);
	assert_int_equal(k.status, DNS_OK);
	assert_int_equal(k.first.addr.v4.sin_addr.s_addr, htonl(0xc0000207));
	assert_in_range(clock_ms() - start, DNS_STALE_AFTER_MS - 50, DNS_TIMEOUT_MS - 500);
	assert_true(names_asked("known.test") > before); /* it was asked first */
	names_silent(false);
	names_clear();
	names_a("known.test", "192.0.2.8");
	for (uint64_t end = clock_ms() + 20000; k.first.addr.v4.sin_addr.s_addr != htonl(0xc0000208) && clock_ms() < end;)
		k = ask(&r, "known.test", DNS_A);
	assert_int_equal(k.first.addr.v4.sin_addr.s_addr, htonl(0xc0000208));
	close_resolver(&r);
}

/* More than may be asked at once wait their turn, and all are answered. */
static void test_waiting(void **state)
{
	(void)state;
	struct resolver r;
	struct asked many[24] = {{0}};
	struct dns_counts n;
	open_resolver(&r, &(struct dns_opts){.timeout_ms = 5000, .in_flight = 2});
	for (size_t i = 0; i < 24; i++)
		dns_ask(r.dns, r.control, S("a.test"), DNS_A, done, &many[i]);
	for (int i = 0; i < 5000 && !many[23].done; i++)
		loop_once(r.control->loop, 1);
	for (size_t i = 0; i < 24; i++)
		assert_int_equal(many[i].status, DNS_OK);
	dns_counts(r.dns, &n);
	assert_int_equal(n.in_flight + n.waiting, 0);
	/* freed while some wait: told so */
	struct asked late[3] = {{0}};
	for (int i = 0; i < 3; i++)
		dns_ask(r.dns, r.control, S("silent.test"), DNS_A, done, &late[i]);
	loop_once(r.control->loop, 5);
	dns_counts(r.dns, &n);
	assert_int_equal(n.waiting, 1);
	r.dns = dns_free(r.dns);
	for (int i = 0; i < 1000 && !late[2].done; i++)
		loop_once(r.control->loop, 1);
	assert_int_equal(late[2].status, DNS_GONE);
	pool_free(r.pool);
}

static void test_cache(void **state)
{
	(void)state;
	struct resolver r;
	open_resolver(&r, NULL);
	ask(&r, "a.test", DNS_A);
	unsigned before = names_asked("a.test");
	struct asked k = ask(&r, "A.TEST", DNS_A);
	assert_int_equal(k.status, DNS_OK);
	assert_int_equal(names_asked("a.test"), before);
	close_resolver(&r);
}

static const char *file_with(const char *text)
{
	static char path[64];
	snprintf(path, sizeof path, "/tmp/entente-test-XXXXXX");
	int fd = mkstemp(path);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void test_bogus(void **state)
{
	(void)state;
	/* A zone that must be signed, served without signatures. */
	const char *anchor = file_with("signed.test. IN DS 12345 13 2 "
		"0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF\n");
	struct resolver r;
	open_resolver(&r, &(struct dns_opts){.trust_anchor_file = anchor});
	struct asked k = ask(&r, "www.signed.test", DNS_A);
	assert_int_equal(k.status, DNS_BOGUS);
	assert_int_equal(k.n, 0);
	k = ask(&r, "a.test", DNS_A); /* beside it: merely insecure */
	assert_int_equal(k.status, DNS_OK);
	assert_false(k.secure);
	close_resolver(&r);
	unlink(anchor);
}

static void test_hosts_and_bad_configuration(void **state)
{
	(void)state;
	const char *hosts = file_with("192.0.2.77 home.example\n");
	struct resolver r;
	open_resolver(&r, &(struct dns_opts){.hosts = hosts});
	struct asked k = ask(&r, "home.example", DNS_A);
	assert_int_equal(k.status, DNS_OK);
	char text[ADDR_TEXT];
	addr_host_text(&k.first.addr, text);
	assert_string_equal(text, "192.0.2.77");
	close_resolver(&r);
	unlink(hosts);

	struct entente_err err = {0};
	struct pool *p;
	struct pool_opts po = {.workers = 1};
	struct dns *d = NULL;
	assert_int_equal(pool_new(&p, &po, NULL), 0);
	const char *servers[] = {"not-an-address"};
	struct dns_opts bad_server = {.servers = servers, .n_servers = 1};
	assert_int_equal(dns_new(&d, pool_control(p), &bad_server, &err), ENTENTE_EIO);
	assert_non_null(strstr(err.text, "not-an-address"));
	struct dns_opts no_conf = {.resolv_conf = "/nonexistent/resolv.conf"};
	assert_int_equal(dns_new(&d, pool_control(p), &no_conf, &err), ENTENTE_EIO);
	assert_non_null(strstr(err.text, "/nonexistent/resolv.conf"));
	struct dns_opts no_anchor = {.resolv_conf = "", .trust_anchor_file = "/nonexistent/anchor"};
	assert_int_equal(dns_new(&d, pool_control(p), &no_anchor, &err), ENTENTE_EIO);
	assert_non_null(strstr(err.text, "/nonexistent/anchor"));
	const char *junk = file_with("this is no trust anchor\n");
	struct dns_opts bad_anchor = {.resolv_conf = "", .trust_anchor_file = junk};
	assert_int_equal(dns_new(&d, pool_control(p), &bad_anchor, &err), ENTENTE_EIO);
	unlink(junk);
	/* no private server, no /etc: works too */
	struct dns_opts empty = {.resolv_conf = "", .hosts = ""};
	assert_int_equal(dns_new(&d, pool_control(p), &empty, &err), 0);
	d = dns_free(d);
	pool_free(p);
}

/* From a worker on another thread. */
static struct asked remote;
static struct dns *remote_dns;

struct order {
	struct bus_msg msg;
	struct worker *control;
};

static void run_done(struct worker *w, struct bus_msg *m)
{
	(void)m;
	loop_stop(w->loop);
}

static struct order report = {.msg.run = run_done};

static void done_there(void *arg, const struct dns_answer *a)
{
	struct worker *w = arg;
	assert_ptr_equal(worker_self(), w);
	done(&remote, a);
	worker_post_always(pool_control(w->pool), &report.msg);
}

static void run_ask_there(struct worker *w, struct bus_msg *m)
{
	(void)m;
	dns_ask(remote_dns, w, S("a.test"), DNS_A, done_there, w);
}

static void test_from_another_thread(void **state)
{
	(void)state;
	struct resolver r;
	open_resolver(&r, NULL);
	remote_dns = r.dns;
	assert_int_equal(pool_start(r.pool, NULL), 0);
	struct order o = {.msg.run = run_ask_there};
	worker_post_always(pool_worker(r.pool, 0), &o.msg);
	pool_run(r.pool);
	assert_true(pool_stop(r.pool, 2000));
	assert_int_equal(remote.done, 1);
	assert_int_equal(remote.status, DNS_OK);
	close_resolver(&r);
}

static void test_parse_limits(void **state)
{
	(void)state;
	struct arena *a = arena_new(1 << 16);
	struct dns_record r;
	static const struct {
		enum dns_type type;
		struct slice data;
		bool ok;
	} rows[] = {
		{DNS_A, S("\1\2\3"), false},
		{DNS_A, S("\1\2\3\4\5"), false},
		{DNS_AAAA, S("\1\2\3\4"), false},
		{DNS_SRV, S("\0\1\0\1\0\1\1a\0"), true},
		{DNS_SRV, S("\0\1\0\1\0\1\1a"), false},      /* no end */
		{DNS_SRV, S("\0\1\0\1\0\1\1a\0x"), false},   /* more behind it */
		{DNS_SRV, S("\0\1\0\1\0\1\xc0\x0c"), false}, /* compression */
		{DNS_SRV, S("\0\1\0\1\0\1\5a\0"), false},
		{DNS_SRV, S("\0\1\0\1\0"), false},
		{DNS_SRV, S("\0\1\0\1\0\1\3a.b\0"), false},  /* a dot inside a label */
		{DNS_SRV, S("\0\1\0\1\0\1\2a\0\0"), false},  /* NUL */
		{DNS_TLSA, S("\3\1\1"), false},
		{DNS_TLSA, S("\3\1\1x"), true},
		{DNS_NAPTR, S("\0\1\0\1\1s\0\0\0"), true},
		{DNS_NAPTR, S("\0\1\0\1\1s\0\5ab"), false},
		{DNS_NAPTR, S("\0\1\0\1\1\n\0\0\0"), false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (dns_parse(rows[i].type, rows[i].data, a, &r) != rows[i].ok)
			fail_msg("row %zu", i);
	struct buf b;
	buf_init(&b, 1024);
	buf_put(&b, S("\0\1\0\1\0\1"));
	for (int i = 0; i < 4; i++) {
		buf_putc(&b, 63);
		for (int j = 0; j < 63; j++)
			buf_putc(&b, 'a');
	}
	buf_putc(&b, 0);
	assert_false(dns_parse(DNS_SRV, buf_slice(&b), a, &r)); /* 255 characters of text */
	buf_free(&b);
	arena_release(NULL, a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_timeout_limit_cancel),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_cache),
		cmocka_unit_test(test_bogus),
		cmocka_unit_test(test_hosts_and_bad_configuration),
		cmocka_unit_test(test_from_another_thread),
		cmocka_unit_test(test_parse_limits),
		cmocka_unit_test(test_stale), /* last: the others' names are gone */
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
