/* SPDX-License-Identifier: Apache-2.0 */
/* The hot path takes nothing from the heap. The linker puts these functions between our code and malloc (OpenSSL's own
 * allocations go past them). */
#include "pair.h"
#include "pki.h"

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);

static unsigned long calls;

void *__wrap_malloc(size_t n)
{
	calls++;
	return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	calls++;
	return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	calls++;
	return __real_realloc(p, size);
}

static size_t bounce(struct conn *c, struct slice in)
{
	struct end *e = conn_owner(c);
	size_t whole = in.len - in.len % 1000; /* parts of a message stay behind now and then */
	if (whole)
		conn_write(c, slice_first(in, whole));
	e->data_calls++;
	return whole;
}

static void lost(struct conn *c, const struct entente_err *why)
{
	(void)c;
	fail_msg("%s", why->text);
}

static const struct conn_ops ping_pong = {.data = bounce, .closed = lost};

static void play(struct pair *p, const struct conn_tls *tls)
{
	static char message[1000];
	pair_open(p);
	pair_connect(p, tls);
	PAIR_UNTIL(p, tls ? p->client.secured && p->server.secured : p->client.connected && p->server.connected);
	conn_set_ops(p->client.c, &ping_pong, &p->client);
	conn_set_ops(p->server.c, &ping_pong, &p->server);
	for (int i = 0; i < 5; i++) {
		conn_write(p->client.c, slice_of(message, 1000));
		loop_once(p->loop, 1);
	}
	conn_write(p->client.c, slice_of(message, 300)); /* shifts the borders of the reads */
	loop_once(p->loop, 1);
	conn_write(p->client.c, slice_of(message, 700));
	PAIR_UNTIL(p, p->client.data_calls > 50);
	unsigned long before = calls;
	PAIR_UNTIL(p, p->client.data_calls > 500);
	assert_int_equal(calls - before, 0);
	pair_close(p);
}

static void test_plain(void **state)
{
	(void)state;
	struct pair p = {0};
	play(&p, NULL);
	assert_true(calls > 0); /* the wrapping works */
}

static void test_tls(void **state)
{
	(void)state;
	struct tls_material *m;
	struct tls_ctx *t;
	pki_dir_make();
	struct pki cert = pki_make(&(struct pki_spec){.cn = "a", .san = "DNS:a.test"}, NULL);
	pki_write("a", &cert, NULL);
	struct tls_settings s = {
		.server_chain = pki_path("a.pem"), .server_key = pki_path("a.key"), .trust_file = pki_path("a.pem")};
	assert_int_equal(tls_material_load(&m, &s, NULL), 0);
	assert_int_equal(tls_ctx_new(&t, m, NULL), 0);
	struct conn_tls st = {.ctx = t, .server = true}, ct = {.ctx = t};
	struct pair p = {.server_tls = &st};
	play(&p, &ct);
	tls_ctx_unref(t);
	tls_material_unref(m);
	pki_free(&cert);
	pki_dir_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_tls),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
