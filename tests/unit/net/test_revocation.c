/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation end to end in one thread's loops: certificates shown in real handshakes, lists from a real HTTP server, under a clock that
 * the test moves. */
#include "rawtls.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "net/revocation.h"

/* ---- the clock */

uint64_t __real_clock_ms(void);
int64_t __real_clock_unix(void);
uint64_t __wrap_clock_ms(void);
int64_t __wrap_clock_unix(void);
static atomic_llong later_s;

uint64_t __wrap_clock_ms(void)
{
	return __real_clock_ms() + (uint64_t)later_s * 1000;
}

int64_t __wrap_clock_unix(void)
{
	return __real_clock_unix() + later_s;
}

/* ---- the HTTP server: what a path leads to */

struct page {
	const char *path;
	char head[512];
	unsigned char *body;
	size_t len;
	atomic_int hits;
	atomic_bool silent;  /* answers nothing */
	atomic_bool endless; /* never ends */
};
static struct page pages[16];
static atomic_size_t n_pages;
static pthread_mutex_t pages_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP; /* what a page says */
#define CHANGE(...) do { pthread_mutex_lock(&pages_lock); __VA_ARGS__; pthread_mutex_unlock(&pages_lock); } while (0)
static int web = -1;
static uint16_t web_port;
static pthread_t web_thread;
static atomic_bool web_end;

static void serve(int fd)
{
	char in[4096], path[256] = "", head[sizeof pages[0].head];
	ssize_t n = recv(fd, in, sizeof in - 1, 0);
	in[n > 0 ? n : 0] = 0;
	sscanf(in, "GET %255s HTTP/1.1", path);
	for (size_t i = 0; i < n_pages; i++) {
		struct page *p = &pages[i];
		if (strcmp(p->path, path) != 0)
			continue;
		p->hits++;
		while (p->silent && !web_end && recv(fd, in, sizeof in, MSG_DONTWAIT) != 0)
			usleep(1000);
		pthread_mutex_lock(&pages_lock);
		memcpy(head, p->head, sizeof head);
		size_t len = p->len;
		unsigned char *body = OPENSSL_memdup(len ? p->body : (const void *)"", len + !len);
		pthread_mutex_unlock(&pages_lock);
		send(fd, head, strlen(head), MSG_NOSIGNAL);
		if (len)
			send(fd, body, len, MSG_NOSIGNAL);
		OPENSSL_free(body);
		memset(in, '0', sizeof in); /* no line ends in it */
		while (p->endless && !web_end && send(fd, in, sizeof in, MSG_NOSIGNAL) > 0)
			;
	}
}

static void *serve_all(void *arg)
{
	(void)arg;
	while (!web_end) {
		int fd = accept4(web, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0)
			break;
		serve(fd);
		close(fd);
	}
	return NULL;
}

static struct page *page(const char *path, unsigned char *body, size_t len)
{
	struct page *p = &pages[n_pages];
	p->path = path;
	CHANGE(p->body = body);
	CHANGE(p->len = len);
	CHANGE(snprintf(p->head, sizeof p->head, "HTTP/1.1 200 OK\r\nContent-Type: application/pkix-crl\r\nContent-Length: %zu\r\n\r\n", len));
	n_pages++;
	return p;
}

static struct page *redirect(const char *path, const char *to)
{
	struct page *p = page(path, NULL, 0);
	snprintf(p->head, sizeof p->head, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to);
	return p;
}

/* ---- the rest */

static struct pki ca, between;
static struct tls_ctx *ours;
static struct pool *pool;
static struct worker *control;
static struct revocation *rev;
static int told;

static void news(void *arg)
{
	(void)arg;
	told++;
}

static int setup(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	(void)state;
	web = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(web, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(web, 16), 0);
	getsockname(web, (struct sockaddr *)&a, &len);
	web_port = ntohs(a.sin_port);
	pki_dir_make();
	ca = pki_make(&(struct pki_spec){.cn = "CA", .ca = 1, .ku = "critical,keyCertSign,cRLSign"}, NULL);
	pki_write("ca", &ca, NULL);
	struct entente_err err;
	struct tls_settings s = {.server_chain = pki_path("us.pem"), .server_key = pki_path("us.key"), .trust_file = pki_path("ca.pem")};
	struct pki us = pki_make(&(struct pki_spec){.cn = "us", .san = "DNS:us.test"}, &ca);
	struct tls_material *m = NULL;
	pki_write("us", &us, NULL);
	if (tls_material_load(&m, &s, &err) || tls_ctx_new(&ours, m, &err))
		fail_msg("%s", err.text);
	tls_material_unref(m);
	pki_free(&us);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tls_ctx_unref(ours);
	pki_free(&ca);
	pki_free(&between);
	pki_dir_remove();
	return 0;
}

static struct revocation_watch *watch;

static void begin(const struct revocation_settings *s)
{
	struct pool_opts o = {.workers = 1};
	later_s = 0;
	assert_int_equal(pool_new(&pool, &o, NULL), 0);
	control = pool_control(pool);
	rev = revocation_new(control, NULL, s);
	told = 0;
	watch = revocation_watch(rev, control, news, NULL);
	web_end = false;
	n_pages = 0;
	memset(pages, 0, sizeof pages);
	pthread_create(&web_thread, NULL, serve_all, NULL);
}

static void end(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(web_port)};
	watch = revocation_unwatch(watch);
	revocation_free(rev);
	pool_free(pool);
	web_end = true;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	connect(fd, (struct sockaddr *)&a, sizeof a);
	close(fd);
	pthread_join(web_thread, NULL);
	for (size_t i = 0; i < n_pages; i++)
		OPENSSL_free(pages[i].body);
}

static const struct revocation_settings on = {.private_ok = true, .timeout_ms = 5000, .list_max = 100000};

static char *at(const char *path)
{
	static char ring[8][128];
	static unsigned i;
	char *z = ring[i++ % 8];
	snprintf(z, sizeof ring[0], "URI:http://127.0.0.1:%u%s", web_port, path);
	return z;
}

static struct pki leaf_at(const char *crl, const struct pki *by)
{
	struct pki p = pki_make(&(struct pki_spec){.cn = "them", .san = "DNS:them.test", .crl = crl}, by ? by : &ca);
	pki_write("them", &p, by);
	return p;
}

struct shown {
	struct rawtls r;
	struct revocation_chain *chain;
	char why[300];
};

static void show(struct shown *x)
{
	rawtls_open(&x->r, false, TLS1_3_VERSION, "them", (struct conn_tls){.ctx = ours});
	rawtls_shake(&x->r);
	assert_int_equal(x->r.ours.secured, 1);
	assert_true(x->r.ours.peer->chain_ok);
	x->chain = revocation_chain_of(rev, x->r.ours.c);
}

static void hide(struct shown *x)
{
	x->chain = revocation_chain_unref(rev, x->chain);
	rawtls_close(&x->r);
}

static enum revocation_state state_of(struct shown *x)
{
	return revocation_check(rev, x->chain, x->why, sizeof x->why);
}

/* Turns until it is known. */
static enum revocation_state settled(struct shown *x)
{
	enum revocation_state s = state_of(x);
	for (int i = 0; i < 20000 && s == REVOCATION_PENDING; i++) {
		loop_once(control->loop, 1);
		s = state_of(x);
	}
	return s;
}

static enum revocation_state once(const char *crl, char *why, size_t size)
{
	struct pki p = leaf_at(crl, NULL);
	struct shown x;
	show(&x);
	enum revocation_state s = settled(&x);
	snprintf(why, size, "%s", x.why);
	hide(&x);
	pki_free(&p);
	return s;
}

static void test_good_and_revoked(void **state)
{
	(void)state;
	for (int gone = 0; gone < 2; gone++) {
		begin(&on);
		struct pki p = leaf_at(at("/a.crl"), NULL);
		size_t len;
		unsigned char *der = pki_list(&(struct pki_list){.gone = {gone ? &p : NULL}}, &ca, &len);
		struct page *g = page("/a.crl", der, len);
		struct shown x, y;
		show(&x);
		assert_int_equal(state_of(&x), REVOCATION_PENDING);
		assert_int_equal(settled(&x), gone ? REVOCATION_REVOKED : REVOCATION_GOOD);
		if (gone)
			assert_non_null(strstr(x.why, "CN=them: its authority has revoked it on 20"));
		else
			assert_string_equal(x.why, "");
		loop_once(control->loop, 0);
		assert_int_equal(told, 1); /* once for all that changed */
		show(&y); /* the next connection has its answer at once, and the same chain */
		assert_ptr_equal(x.chain, y.chain);
		assert_int_equal(state_of(&y), gone ? REVOCATION_REVOKED : REVOCATION_GOOD);
		assert_int_equal(g->hits, 1);
		hide(&x);
		hide(&y);
		pki_free(&p);
		end();
	}
}

static void test_kept_until_next_update(void **state)
{
	(void)state;
	begin(&on);
	struct pki p = leaf_at(at("/a.crl"), NULL);
	size_t len, len2, len3;
	unsigned char *first = pki_list(&(struct pki_list){.from_s = -60, .to_s = 3600}, &ca, &len);
	unsigned char *second = pki_list(&(struct pki_list){.from_s = 3000, .to_s = 7200, .gone = {&p}}, &ca, &len2);
	unsigned char *replay = pki_list(&(struct pki_list){.from_s = -120, .to_s = 9000}, &ca, &len3);
	struct page *g = page("/a.crl", first, len);
	struct shown x;
	show(&x);
	assert_int_equal(settled(&x), REVOCATION_GOOD);
	later_s = 3100; /* not yet: seven eighths of the time are not over */
	assert_int_equal(settled(&x), REVOCATION_GOOD);
	loop_once(control->loop, 0);
	assert_int_equal(g->hits, 1);
	CHANGE(g->silent = true); /* its server is gone: the list counts until its end */
	later_s = 3400;
	assert_int_equal(state_of(&x), REVOCATION_GOOD);
	for (int i = 0; i < 20000 && g->hits < 2; i++)
		loop_once(control->loop, 1);
	later_s = 3500;
	assert_int_equal(state_of(&x), REVOCATION_GOOD);
	later_s = 3700; /* its time is over, and no other one has come */
	for (int i = 0; i < 20000 && told < 2; i++)
		loop_once(control->loop, 1);
	assert_int_equal(settled(&x), REVOCATION_UNKNOWN);
	assert_non_null(strstr(x.why, "no answer in time"));
	CHANGE(g->silent = false);
	CHANGE(g->body = second);
	CHANGE(g->len = len2);
	CHANGE(snprintf(g->head, sizeof g->head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len2));
	later_s = 3900; /* a minute after the failure it is tried again */
	assert_int_equal(settled(&x), REVOCATION_REVOKED);
	CHANGE(g->body = replay); /* an older one does not make it good again, though it would be valid longer */
	CHANGE(g->len = len3);
	CHANGE(snprintf(g->head, sizeof g->head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len3));
	later_s = 7190;
	int before = g->hits;
	assert_int_equal(state_of(&x), REVOCATION_REVOKED);
	for (int i = 0; i < 20000 && g->hits == before; i++)
		loop_once(control->loop, 1);
	for (int i = 0; i < 50; i++)
		loop_once(control->loop, 1);
	assert_int_equal(state_of(&x), REVOCATION_REVOKED);
	hide(&x);
	pki_free(&p);
	CHANGE(g->body = second);
	OPENSSL_free(first);
	OPENSSL_free(replay);
	end();
}

static void test_told_when_due(void **state)
{
	(void)state;
	begin(&on);
	struct pki p = leaf_at(at("/a.crl"), NULL);
	size_t len;
	unsigned char *der = pki_list(&(struct pki_list){.from_s = -60, .to_s = 3600}, &ca, &len);
	page("/a.crl", der, len);
	struct shown x;
	show(&x);
	assert_int_equal(settled(&x), REVOCATION_GOOD);
	loop_once(control->loop, 0);
	assert_int_equal(told, 1);
	later_s = 3500; /* whoever has connections open learns that it is time to ask again */
	for (int i = 0; i < 20000 && told < 2; i++)
		loop_once(control->loop, 1);
	assert_int_equal(told, 2);
	assert_int_equal(state_of(&x), REVOCATION_GOOD);
	for (int i = 0; i < 20000 && pages[0].hits < 2; i++)
		loop_once(control->loop, 1);
	assert_int_equal(pages[0].hits, 2);
	hide(&x);
	pki_free(&p);
	end();
}

static void test_cannot_be_had(void **state)
{
	static const struct {
		const char *path, *why;
	} rows[] = {
		{"/none.crl", "HTTP status 404"}, {"/big.crl", "larger than 100000 octets"}, {"/endless.crl", "larger than 100000 octets"},
		{"/html", "no revocation list"}, {"/other.crl", "another authority"}, {"/old.crl", "out of date"}, {"/future.crl", "out of date"},
		{"/to-https", "not followed"}, {"/to-file", "not followed"}, {"/loop", "too many redirects"}, {"/silent.crl", "no answer in time"},
		{"/empty.crl", "empty"}, {"/broken", ""}, {"/packed", "encoding"}, {":1/x", ""},
	};
	size_t len;
	char why[300];
	(void)state;
	struct revocation_settings s = on;
	s.timeout_ms = 700;
	struct pki other = pki_make(&(struct pki_spec){.cn = "Other", .ca = 1}, NULL);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		begin(&s);
		unsigned char *good = pki_list(&(struct pki_list){0}, &ca, &len);
		struct page *g = page("/good", good, len);
		(void)g;
		CHANGE(snprintf(page("/none.crl", NULL, 0)->head, 512, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
		page("/big.crl", OPENSSL_zalloc(200000), 200000);
		struct page *e = page("/endless.crl", NULL, 0);
		CHANGE(snprintf(e->head, sizeof e->head, "HTTP/1.1 200 OK\r\n\r\n"));
		CHANGE(e->endless = true);
		page("/html", OPENSSL_memdup("<html>", 6), 6);
		unsigned char *bad = pki_list(&(struct pki_list){0}, &other, &len);
		page("/other.crl", bad, len);
		bad = pki_list(&(struct pki_list){.from_s = -7200, .to_s = -60}, &ca, &len);
		page("/old.crl", bad, len);
		bad = pki_list(&(struct pki_list){.from_s = 3600, .to_s = 7200}, &ca, &len);
		page("/future.crl", bad, len);
		redirect("/to-https", "https://127.0.0.1/x");
		redirect("/to-file", "file:///etc/passwd");
		redirect("/loop", "/loop");
		CHANGE(page("/silent.crl", NULL, 0)->silent = true);
		page("/empty.crl", NULL, 0);
		CHANGE(snprintf(page("/broken", NULL, 0)->head, 512, "this is no HTTP\r\n\r\n"));
		struct page *z = page("/packed", OPENSSL_memdup("x", 1), 1);
		CHANGE(snprintf(z->head, sizeof z->head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n"));
		const char *crl = *rows[i].path == ':' ? "URI:http://127.0.0.1:1/x" : at(rows[i].path);
		enum revocation_state got = once(crl, why, sizeof why);
		if (got != REVOCATION_UNKNOWN || !strstr(why, rows[i].why))
			fail_msg("%s: %s, %s", rows[i].path, revocation_state_name(got), why);
		end();
	}
	pki_free(&other);
}

/* Two lists of which there is room for one: they do not drive each other out, fetch by fetch. */
static void test_no_room_for_both(void **state)
{
	struct revocation_settings s = on;
	size_t len;
	(void)state;
	s.memory_max = 48; /* an empty list takes 32 */
	begin(&s);
	struct pki p = leaf_at(at("/a.crl"), NULL);
	struct shown x, y;
	struct page *a = page("/a.crl", pki_list(&(struct pki_list){0}, &ca, &len), 0);
	CHANGE(a->len = len);
	CHANGE(snprintf(a->head, sizeof a->head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len));
	struct page *b = page("/b.crl", pki_list(&(struct pki_list){0}, &ca, &len), 0);
	CHANGE(b->len = len);
	CHANGE(snprintf(b->head, sizeof b->head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len));
	show(&x);
	assert_int_equal(settled(&x), REVOCATION_GOOD);
	struct pki q = leaf_at(at("/b.crl"), NULL);
	show(&y);
	assert_int_equal(settled(&y), REVOCATION_GOOD);
	for (int i = 0; i < 300; i++) { /* both are in use */
		state_of(&x), state_of(&y);
		loop_once(control->loop, 1);
	}
	assert_int_equal(state_of(&x), REVOCATION_UNKNOWN);
	assert_non_null(strstr(x.why, "no memory is left for it"));
	assert_int_equal(state_of(&y), REVOCATION_GOOD);
	assert_int_equal(a->hits + b->hits, 2);
	later_s = 70;
	assert_int_equal(settled(&x), REVOCATION_GOOD);
	assert_int_equal(state_of(&y), REVOCATION_UNKNOWN);
	hide(&x), hide(&y);
	pki_free(&p), pki_free(&q);
	end();
}

/* The size of a chunk that never ends: nothing that libevent would count. */
static void test_endless_line(void **state)
{
	char why[300];
	(void)state;
	begin(&on);
	struct page *e = page("/line.crl", NULL, 0);
	CHANGE(snprintf(e->head, sizeof e->head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
	CHANGE(e->endless = true);
	assert_int_equal(once(at("/line.crl"), why, sizeof why), REVOCATION_UNKNOWN);
	assert_non_null(strstr(why, "larger than 100000 octets"));
	end();
}

/* Who keeps us from the next list does not make a certificate good again. */
static void test_revoked_for_good(void **state)
{
	(void)state;
	begin(&on);
	struct pki p = leaf_at(at("/a.crl"), NULL);
	size_t len;
	unsigned char *der = pki_list(&(struct pki_list){.from_s = -60, .to_s = 3600, .gone = {&p}}, &ca, &len);
	struct page *g = page("/a.crl", der, len);
	struct shown x;
	show(&x);
	assert_int_equal(settled(&x), REVOCATION_REVOKED);
	CHANGE(snprintf(g->head, sizeof g->head, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
	CHANGE(g->len = 0);
	later_s = 3700;
	assert_int_equal(state_of(&x), REVOCATION_PENDING);
	assert_int_equal(settled(&x), REVOCATION_REVOKED);
	assert_non_null(strstr(x.why, "has revoked it on 20"));
	assert_int_equal(g->hits, 2);
	hide(&x);
	pki_free(&p);
	end();
}

/* That the list of one certificate cannot be had does not cut short the waiting for another one's. */
static void test_pending_before_unknown(void **state)
{
	size_t len;
	(void)state;
	begin(&on);
	struct pki mid = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1, .ku = "critical,keyCertSign,cRLSign", .crl = "URI:http://127.0.0.1:1/x"}, &ca);
	struct pki p = leaf_at(at("/between.crl"), &mid);
	unsigned char *der = pki_list(&(struct pki_list){.gone = {&p}}, &mid, &len);
	struct page *g = page("/between.crl", der, len);
	CHANGE(g->silent = true);
	struct shown x;
	show(&x);
	assert_int_equal(state_of(&x), REVOCATION_PENDING);
	for (int i = 0; i < 4000 && !told; i++)
		loop_once(control->loop, 1);
	assert_int_equal(told, 1); /* of the authority's list there is nothing */
	assert_int_equal(state_of(&x), REVOCATION_PENDING);
	CHANGE(g->silent = false);
	assert_int_equal(settled(&x), REVOCATION_REVOKED);
	hide(&x);
	pki_free(&p);
	pki_free(&mid);
	end();
}

static void test_other_ways(void **state)
{
	char why[300], two[300];
	size_t len;
	(void)state;
	begin(&on); /* a redirect within http, and an answer in chunks */
	unsigned char *good = pki_list(&(struct pki_list){.pem = 1}, &ca, &len);
	redirect("/first", "/second");
	struct page *p = page("/second", good, len);
	CHANGE(snprintf(p->head, sizeof p->head, "HTTP/1.1 200 OK\r\n\r\n"));
	assert_int_equal(once(at("/first"), why, sizeof why), REVOCATION_GOOD);
	end();

	begin(&on); /* the second point, when the first cannot be had; ldap does not count */
	good = pki_list(&(struct pki_list){0}, &ca, &len);
	page("/good", good, len);
	CHANGE(snprintf(page("/none", NULL, 0)->head, 512, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"));
	snprintf(two, sizeof two, "URI:ldap://x.test/cn=x,%s,%s", at("/none"), at("/good"));
	assert_int_equal(once(two, why, sizeof why), REVOCATION_GOOD);
	assert_int_equal(pages[1].hits, 1);
	end();

	begin(&on); /* nothing to look at */
	assert_int_equal(once(NULL, why, sizeof why), REVOCATION_NONE);
	assert_int_equal(once("URI:https://127.0.0.1/x", why, sizeof why), REVOCATION_NONE);
	end();
}

/* On a resumed session a server has the leaf alone: what its chain was is remembered. */
static void test_resumed(void **state)
{
	size_t len;
	char octet;
	(void)state;
	begin(&on);
	struct pki p = leaf_at(at("/a.crl"), NULL);
	unsigned char *gone = pki_list(&(struct pki_list){.gone = {&p}}, &ca, &len);
	page("/a.crl", gone, len);
	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		SSL_SESSION *kept = NULL;
		for (int again = 0; again < 2; again++) {
			struct shown x;
			rawtls_open(&x.r, false, version, "them", (struct conn_tls){.ctx = ours});
			if (kept)
				SSL_set_session(x.r.ssl, kept);
			rawtls_shake(&x.r);
			assert_true(x.r.ours.peer->chain_ok);
			assert_int_equal(x.r.ours.peer->resumed, again);
			x.chain = revocation_chain_of(rev, x.r.ours.c);
			assert_non_null(x.chain);
			assert_int_equal(settled(&x), REVOCATION_REVOKED);
			for (int i = 0; i < 50 && version == TLS1_3_VERSION; i++) { /* the ticket comes after the handshake */
				rawtls_turn(&x.r);
				SSL_read(x.r.ssl, &octet, 1);
			}
			if (!again)
				kept = SSL_get1_session(x.r.ssl);
			SSL_set_shutdown(x.r.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
			hide(&x);
		}
		SSL_SESSION_free(kept);
	}
	assert_int_equal(pages[0].hits, 1);
	pki_free(&p);
	end();
}

static void test_private(void **state)
{
	char why[300];
	size_t len;
	(void)state;
	struct revocation_settings s = on;
	s.private_ok = false;
	begin(&s);
	unsigned char *good = pki_list(&(struct pki_list){0}, &ca, &len);
	struct page *p = page("/a.crl", good, len);
	assert_int_equal(once(at("/a.crl"), why, sizeof why), REVOCATION_UNKNOWN);
	assert_non_null(strstr(why, "not public"));
	assert_int_equal(p->hits, 0);
	end();
}

static void test_off(void **state)
{
	char why[300];
	(void)state;
	struct revocation_settings s = on;
	s.off = true;
	begin(&s);
	struct page *p = page("/a.crl", NULL, 0);
	assert_int_equal(once(at("/a.crl"), why, sizeof why), REVOCATION_NONE);
	assert_int_equal(p->hits, 0);
	end();
}

static void test_authority_revoked(void **state)
{
	size_t len;
	(void)state;
	begin(&on);
	between = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1, .ku = "critical,keyCertSign,cRLSign", .crl = at("/root.crl")}, &ca);
	struct pki p = leaf_at(at("/between.crl"), &between);
	unsigned char *good = pki_list(&(struct pki_list){0}, &between, &len);
	page("/between.crl", good, len);
	unsigned char *root = pki_list(&(struct pki_list){.gone = {&between}}, &ca, &len);
	page("/root.crl", root, len);
	struct shown x;
	show(&x);
	assert_int_equal(settled(&x), REVOCATION_REVOKED);
	assert_non_null(strstr(x.why, "CN=Between"));
	hide(&x);
	pki_free(&p);
	end();
}

static void row(void *arg, const struct revocation_facts *f)
{
	struct revocation_facts *to = arg;
	*to = *f;
	assert_non_null(memmem(f->url.p, f->url.len, "/a.crl", 6));
	assert_string_equal(f->state, "failed");
	assert_true(slice_eq(f->why, S("no memory is left for it")));
}

static void test_memory(void **state)
{
	struct revocation_settings s = on;
	struct revocation_facts f = {0};
	char why[300];
	size_t len;
	(void)state;
	s.memory_max = 16;
	begin(&s);
	unsigned char *good = pki_list(&(struct pki_list){0}, &ca, &len);
	page("/a.crl", good, len);
	assert_int_equal(once(at("/a.crl"), why, sizeof why), REVOCATION_UNKNOWN);
	revocation_each(rev, row, &f);
	assert_int_equal(f.fetches, 1);
	assert_int_equal(f.failures, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_and_revoked), cmocka_unit_test(test_kept_until_next_update), cmocka_unit_test(test_told_when_due),
		cmocka_unit_test(test_cannot_be_had), cmocka_unit_test(test_other_ways), cmocka_unit_test(test_private), cmocka_unit_test(test_resumed),
		cmocka_unit_test(test_off), cmocka_unit_test(test_authority_revoked), cmocka_unit_test(test_memory),
		cmocka_unit_test(test_endless_line), cmocka_unit_test(test_no_room_for_both), cmocka_unit_test(test_revoked_for_good), cmocka_unit_test(test_pending_before_unknown),
	};
	return cmocka_run_group_tests_name("revocation", tests, setup, teardown);
}
