/* SPDX-License-Identifier: Apache-2.0 */
#include "pair.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/loop_int.h"
#include "pki.h"

static struct pki ca, other_ca;
static struct tls_ctx *server_ctx, *client_ctx;

static int group_setup(void **state)
{
	(void)state;
	pki_dir_make();
	ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	other_ca = pki_make(&(struct pki_spec){.cn = "Other CA", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	pki_issue("server", &(struct pki_spec){.cn = "server.test", .san = "DNS:server.test", .eku = "serverAuth"}, &ca, NULL);
	pki_issue("client", &(struct pki_spec){.cn = "client.test", .san = "DNS:client.test", .eku = "serverAuth"}, &ca, NULL);
	pki_issue("clientauth", &(struct pki_spec){.cn = "c", .san = "DNS:client.test", .eku = "clientAuth"}, &ca, NULL);
	pki_issue("both", &(struct pki_spec){.cn = "b", .san = "DNS:client.test", .eku = "serverAuth,clientAuth"}, &ca, NULL);
	pki_issue("noeku", &(struct pki_spec){.cn = "n", .san = "DNS:client.test"}, &ca, NULL);
	pki_issue("expired", &(struct pki_spec){.cn = "e", .san = "DNS:client.test", .from_s = -7200, .to_s = -3600}, &ca, NULL);
	pki_issue("future", &(struct pki_spec){.cn = "f", .san = "DNS:client.test", .from_s = 3600, .to_s = 7200}, &ca, NULL);
	pki_issue("stranger", &(struct pki_spec){.cn = "client.test", .san = "DNS:client.test"}, &other_ca, NULL);
	pki_issue("selfmade", &(struct pki_spec){.cn = "client.test", .san = "DNS:client.test"}, NULL, NULL);
	/* as public authorities issue today: no clientAuth anywhere */
	struct pki between = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1, .eku = "serverAuth"}, &ca);
	struct pki end = pki_make(&(struct pki_spec){.cn = "i", .san = "DNS:client.test", .eku = "serverAuth"}, &between);
	pki_write("chained", &end, &between);
	pki_write("unchained", &end, NULL);
	pki_free(&between);
	pki_free(&end);
	server_ctx = pki_context("server", &(struct tls_settings){.alpn = {"xmpp-server", "sip"}});
	client_ctx = pki_context("client", NULL);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	tls_ctx_unref(server_ctx);
	tls_ctx_unref(client_ctx);
	pki_free(&ca);
	pki_free(&other_ca);
	pki_dir_remove();
	return 0;
}

static bool is(struct slice s, const char *z)
{
	return slice_eq(s, slice_str(z));
}

static void test_direct(void **state)
{
	(void)state;
	struct conn_tls st = {.ctx = server_ctx, .server = true};
	struct conn_tls ct = {.ctx = client_ctx, .sni = S("server.test"), .alpn = S("sip")};
	struct pair p = {.server_tls = &st, .server.echo = true};
	pair_open(&p);
	pair_connect(&p, &ct);
	ct = (struct conn_tls){0}; /* it was copied */
	PAIR_UNTIL(&p, p.client.connected);
	assert_int_equal(conn_write(p.client.c, S("no")), ENTENTE_EAGAIN);
	PAIR_UNTIL(&p, p.client.secured && p.server.secured);
	const struct tls_peer *of_server = p.client.peer, *of_client = p.server.peer;
	assert_ptr_equal(of_server, conn_peer(p.client.c));
	assert_true(of_server->has_cert && of_server->chain_ok);
	assert_int_equal(of_server->why_not.len, 0);
	assert_true(is(of_server->subject, "CN=server.test"));
	assert_true(is(of_server->issuer, "CN=Test CA"));
	assert_int_equal(of_server->n_dns, 1);
	assert_true(is(of_server->dns[0], "server.test"));
	assert_true(is(of_server->protocol, "TLSv1.3"));
	assert_true(of_server->cipher.len > 4);
	assert_true(is(of_server->alpn, "sip"));
	/* serverAuth alone is good enough for a client */
	assert_true(of_client->has_cert && of_client->chain_ok);
	assert_true(of_client->eku_server && !of_client->eku_client);
	assert_true(is(of_client->dns[0], "client.test"));
	assert_true(is(of_client->sni, "server.test"));
	assert_true(is(of_client->alpn, "sip"));
	assert_false(of_client->resumed);
	conn_write(p.client.c, S("hello"));
	conn_write(p.client.c, S(" there"));
	PAIR_UNTIL(&p, p.client.got.len == 11);
	assert_int_equal(p.server.data_calls, 1);
	struct conn_facts f;
	conn_show(p.client.c, &f);
	assert_string_equal(f.state, "secured");
	assert_int_equal(f.out_octets, 11);
	assert_true(f.out_wire > 500);
	conn_close(p.client.c);
	PAIR_UNTIL(&p, p.server.eof);
	conn_close(p.server.c);
	PAIR_UNTIL(&p, p.client.closed && p.server.closed);
	assert_int_equal(p.client.why.code, ENTENTE_OK);
	assert_int_equal(p.server.why.code, ENTENTE_OK);
	assert_ptr_equal(of_server, conn_peer(p.client.c)); /* facts stay */
	pair_close(&p);
}

/* Connects with the certificate `name` as client; facts as the server sees them through check. */
static void with_client(const char *name, const struct tls_settings *more, void (*check)(const struct tls_peer *p))
{
	struct tls_ctx *t = pki_context(name, more);
	struct conn_tls st = {.ctx = server_ctx, .server = true}, ct = {.ctx = t};
	struct pair p = {.server_tls = &st};
	pair_open(&p);
	pair_connect(&p, &ct);
	PAIR_UNTIL(&p, p.client.secured && p.server.secured); /* never aborted */
	check(p.server.peer);
	conn_write(p.server.c, S("still here"));
	PAIR_UNTIL(&p, p.client.got.len == 10);
	pair_close(&p);
	tls_ctx_unref(t);
}

static void ok(const struct tls_peer *p)
{
	assert_true(p->has_cert && p->chain_ok);
	assert_int_equal(p->verify_code, 0);
}

static void purpose(const struct tls_peer *p)
{
	assert_false(p->chain_ok);
	assert_non_null(strstr(p->why_not.p, "purpose"));
	assert_true(p->eku_client && !p->eku_server);
	assert_true(is(p->dns[0], "client.test"));
}

static void expired(const struct tls_peer *p)
{
	assert_false(p->chain_ok);
	assert_string_equal(p->why_not.p, "certificate has expired (depth 0: CN=e)");
	assert_int_equal(p->verify_code, X509_V_ERR_CERT_HAS_EXPIRED);
}

static void future(const struct tls_peer *p)
{
	assert_false(p->chain_ok);
	assert_non_null(strstr(p->why_not.p, "not yet valid"));
}

static void stranger(const struct tls_peer *p)
{
	assert_false(p->chain_ok);
	assert_int_equal(p->verify_code, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	assert_false(p->self_signed);
}

static void selfmade(const struct tls_peer *p)
{
	assert_false(p->chain_ok);
	assert_true(p->self_signed);
	assert_int_equal(p->verify_code, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
}

static void nobody(const struct tls_peer *p)
{
	assert_false(p->has_cert || p->chain_ok);
	assert_string_equal(p->why_not.p, "no certificate was shown");
	assert_int_equal(p->n_dns, 0);
}

static void test_client_certificates(void **state)
{
	(void)state;
	with_client("both", NULL, ok);
	with_client("noeku", NULL, ok);
	with_client("clientauth", NULL, purpose);
	with_client("expired", NULL, expired);
	with_client("future", NULL, future);
	with_client("stranger", NULL, stranger);
	with_client("chained", NULL, ok);
	with_client("unchained", NULL, stranger);
	with_client("selfmade", NULL, selfmade);
	with_client("client", &(struct tls_settings){.client_none = true}, nobody);
	with_client(NULL, NULL, nobody);
}

static void test_server_certificates(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		bool ok;
	} rows[] = {{"clientauth", false}, {"expired", false}, {"stranger", false}, {"both", true}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct tls_ctx *t = pki_context(rows[i].name, NULL);
		struct conn_tls st = {.ctx = t, .server = true}, ct = {.ctx = client_ctx, .slot = TLS_SLOT_NONE};
		struct pair p = {.server_tls = &st};
		pair_open(&p);
		pair_connect(&p, &ct);
		PAIR_UNTIL(&p, p.client.secured && p.server.secured);
		assert_int_equal(p.client.peer->chain_ok, rows[i].ok);
		assert_false(p.server.peer->has_cert); /* slot none */
		pair_close(&p);
		tls_ctx_unref(t);
	}
}

static void upgrade_server(struct end *e, struct slice in)
{
	static struct conn_tls st;
	st = (struct conn_tls){.ctx = server_ctx, .server = true};
	if (e->secured || !slice_starts(in, S("starttls")))
		return;
	e->take = 8;
	assert_int_equal(conn_write(e->c, S("proceed")), 0);
	assert_int_equal(conn_start_tls(e->c, &st, NULL), 0);
	assert_int_equal(conn_write(e->c, S("x")), ENTENTE_EAGAIN);
	assert_int_equal(conn_start_tls(e->c, &st, NULL), ENTENTE_EINVAL);
}

static void upgrade_client(struct end *e, struct slice in)
{
	struct conn_tls ct = {.ctx = client_ctx};
	if (!e->secured && slice_starts(in, S("proceed")))
		assert_int_equal(conn_start_tls(e->c, &ct, NULL), 0);
}

static void all_from_here(struct end *e)
{
	e->take = 0;
}

static void test_starttls(void **state)
{
	(void)state;
	struct pair p = {.server = {.on_data = upgrade_server, .on_secured = all_from_here}, .client.on_data = upgrade_client};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	conn_write(p.client.c, S("starttls"));
	PAIR_UNTIL(&p, p.client.secured && p.server.secured);
	assert_true(p.server.peer->chain_ok && p.client.peer->chain_ok);
	assert_int_equal(p.client.got.len, 7);
	assert_int_equal(p.server.got.len, 8);
	conn_write(p.client.c, S("secret"));
	PAIR_UNTIL(&p, p.server.got.len == 14);
	pair_close(&p);
}

/* Plain text sent behind <starttls/> must never be taken for what came over TLS. */
static void test_starttls_injection(void **state)
{
	(void)state;
	struct pair p = {.server = {.on_data = upgrade_server, .on_secured = all_from_here}};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.client.connected && p.server.connected);
	conn_write(p.client.c, S("starttls<message from='attacker'/>"));
	PAIR_UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.why.code, ENTENTE_ETLS);
	assert_int_equal(p.server.secured, 0);
	assert_int_equal(p.server.got.len, 8);
	pair_close(&p);
}

/* A client that sends its ClientHello in the same segment is only quick: the octets are TLS and work. */
static void test_starttls_pipelined(void **state)
{
	(void)state;
	struct pair p = {.server = {.on_data = upgrade_server, .on_secured = all_from_here}};
	pair_open(&p);
	struct sockaddr_in a = listener_addr(p.listener)->v4;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	SSL_do_handshake(ssl);
	char bytes[8192];
	memcpy(bytes, "starttls", 8);
	int n = BIO_read(out, bytes + 8, sizeof bytes - 8);
	assert_true(n > 0);
	assert_int_equal(send(fd, bytes, (size_t)n + 8, 0), n + 8);
	bool seen_proceed = false;
	for (int i = 0; i < 2000 && !SSL_is_init_finished(ssl); i++) {
		loop_once(p.loop, 1);
		ssize_t r = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
		if (r <= 0)
			continue;
		char *q = bytes;
		if (!seen_proceed) {
			assert_memory_equal(bytes, "proceed", 7);
			seen_proceed = true;
			q += 7;
			r -= 7;
		}
		BIO_write(in, q, (int)r);
		SSL_do_handshake(ssl);
		if ((n = BIO_read(out, bytes, sizeof bytes)) > 0)
			send(fd, bytes, (size_t)n, 0);
	}
	PAIR_UNTIL(&p, p.server.secured);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	pair_close(&p);
}

static void finish(struct pair *p)
{
	conn_close(p->client.c);
	PAIR_UNTIL(p, p->server.eof);
	conn_close(p->server.c);
	PAIR_UNTIL(p, p->client.closed && p->server.closed);
	p->client.c = conn_free(p->client.c);
	p->server.c = conn_free(p->server.c);
}

static void test_resumption(void **state)
{
	(void)state;
	/* Two server contexts of one material stand for two workers. */
	struct tls_settings s = {.server_chain = pki_path("server.pem"), .server_key = pki_path("server.key"),
		.trust_file = pki_path("ca.pem")};
	struct tls_material *m;
	struct tls_ctx *worker[2], *fresh = pki_context("client", NULL);
	assert_int_equal(tls_material_load(&m, &s, NULL), 0);
	assert_int_equal(tls_ctx_new(&worker[0], m, NULL), 0);
	assert_int_equal(tls_ctx_new(&worker[1], m, NULL), 0);
	static const struct {
		const char *key;
		enum tls_slot slot;
		int worker;
		bool resumed, abrupt;
	} rows[] = {
		{"a", TLS_SLOT_CLIENT, 0, false, false},
		{"a", TLS_SLOT_CLIENT, 0, true, false},
		{"a", TLS_SLOT_CLIENT, 1, true, true},  /* another worker; ended by force */
		{"a", TLS_SLOT_CLIENT, 1, true, false},
		{"b", TLS_SLOT_CLIENT, 0, false, false}, /* another partner */
		{"a", TLS_SLOT_NONE, 0, false, false},  /* another face of ours */
		{"", TLS_SLOT_CLIENT, 0, false, false}, /* none kept */
		{"", TLS_SLOT_CLIENT, 0, false, false},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct conn_tls st = {.ctx = worker[rows[i].worker], .server = true};
		struct conn_tls ct = {.ctx = fresh, .session_key = slice_str(rows[i].key), .slot = rows[i].slot};
		struct pair p = {.server_tls = &st};
		pair_open(&p);
		pair_connect(&p, &ct);
		PAIR_UNTIL(&p, p.client.secured && p.server.secured);
		assert_int_equal(p.client.peer->resumed, rows[i].resumed);
		assert_int_equal(p.server.peer->resumed, rows[i].resumed);
		/* what was proved the first time still counts */
		assert_true(p.client.peer->chain_ok);
		assert_int_equal(p.server.peer->chain_ok, rows[i].slot != TLS_SLOT_NONE);
		if (rows[i].slot == TLS_SLOT_CLIENT)
			assert_true(is(p.server.peer->dns[0], "client.test"));
		conn_write(p.server.c, S("tickets go with the first data"));
		PAIR_UNTIL(&p, p.client.got.len);
		if (rows[i].abrupt)
			p.client.c = conn_free(p.client.c);
		else
			finish(&p);
		pair_close(&p);
	}
	struct tls_counts n;
	tls_ctx_counts(fresh, &n);
	assert_int_equal(n.handshakes, 8);
	assert_int_equal(n.resumed, 3);
	assert_int_equal(n.sessions, 3);
	/* New material (a reload) takes up none of the old tickets. */
	struct conn_tls st = {.ctx = server_ctx, .server = true}, ct = {.ctx = fresh, .session_key = S("a")};
	struct pair p = {.server_tls = &st};
	pair_open(&p);
	pair_connect(&p, &ct);
	PAIR_UNTIL(&p, p.client.secured && p.server.secured);
	assert_false(p.server.peer->resumed);
	pair_close(&p);
	tls_ctx_unref(worker[0]);
	tls_ctx_unref(worker[1]);
	tls_ctx_unref(fresh);
	tls_material_unref(m);
}

static void test_bad_stays_bad_when_resumed(void **state)
{
	(void)state;
	struct tls_ctx *t = pki_context("stranger", NULL);
	for (int i = 0; i < 2; i++) {
		struct conn_tls st = {.ctx = server_ctx, .server = true}, ct = {.ctx = t, .session_key = S("k")};
		struct pair p = {.server_tls = &st};
		pair_open(&p);
		pair_connect(&p, &ct);
		PAIR_UNTIL(&p, p.client.secured && p.server.secured);
		assert_int_equal(p.server.peer->resumed, i);
		assert_false(p.server.peer->chain_ok);
		assert_true(p.server.peer->why_not.len > 0);
		conn_write(p.server.c, S("x"));
		PAIR_UNTIL(&p, p.client.got.len);
		finish(&p);
		pair_close(&p);
	}
	tls_ctx_unref(t);
}

static void test_large_transfer(void **state)
{
	(void)state;
	struct conn_limits big = CONN_LIMITS_DEFAULT;
	big.out_max = 32 << 20;
	struct conn_tls st = {.ctx = server_ctx, .server = true}, ct = {.ctx = client_ctx};
	struct pair p = {.server.echo = true, .client_limits = &big, .server_limits = &big, .server_tls = &st};
	pair_open(&p);
	pair_connect(&p, &ct);
	PAIR_UNTIL(&p, p.client.secured && p.server.secured);
	size_t n = 6 << 20;
	char *data = mem_realloc(NULL, n);
	for (size_t i = 0; i < n; i++)
		data[i] = (char)(i * 131 >> 4);
	assert_int_equal(conn_write(p.client.c, slice_of(data, n)), 0);
	conn_pause(p.server.c);
	pair_turn(&p, 20);
	assert_int_equal(p.server.got.len, 0);
	conn_resume(p.server.c);
	for (int i = 0; i < 20; i++) { /* pauses at odd places lose nothing */
		pair_turn(&p, 1);
		conn_pause(p.server.c);
		conn_pause(p.client.c);
		pair_turn(&p, 1);
		conn_resume(p.server.c);
		conn_resume(p.client.c);
	}
	PAIR_UNTIL(&p, p.client.got.len == n);
	assert_memory_equal(p.client.got.mem, data, n);
	mem_free(data);
	finish(&p);
	pair_close(&p);
}

static void pause_first(struct end *e, struct slice in)
{
	(void)in;
	if (e->data_calls == 1)
		conn_pause(e->c);
}

static void pause_when_secured(struct end *e)
{
	conn_pause(e->c);
}

static void test_pause(void **state)
{
	(void)state;
	struct conn_tls st = {.ctx = server_ctx, .server = true}, ct = {.ctx = client_ctx};
	struct pair p = {.server_tls = &st, .server = {.on_data = pause_first, .on_secured = pause_when_secured, .take = 1}};
	pair_open(&p);
	pair_connect(&p, &ct);
	PAIR_UNTIL(&p, p.client.secured && p.server.secured);
	conn_write(p.client.c, S("abc"));
	pair_turn(&p, 5);
	conn_write(p.client.c, S("def"));
	conn_shutdown(p.client.c);
	pair_turn(&p, 10);
	assert_int_equal(p.server.data_calls, 0);
	conn_resume(p.server.c);
	PAIR_UNTIL(&p, p.server.data_calls == 1); /* pauses itself again */
	pair_turn(&p, 5);
	assert_int_equal(p.server.got.len, 1);
	assert_int_equal(p.server.eof, 0);
	p.server.take = 0;
	conn_resume(p.server.c);
	PAIR_UNTIL(&p, p.server.eof);
	assert_int_equal(p.server.got.len, 6);
	assert_memory_equal(p.server.got.mem, "abcdef", 6);
	pair_close(&p);
}

static void test_half_close(void **state)
{
	(void)state;
	for (int v = 0; v < 2; v++) {
		struct tls_ctx *t = v ? server_ctx : pki_context("server", &(struct tls_settings){.tls13_only = true});
		struct conn_tls st = {.ctx = t, .server = true}, ct = {.ctx = client_ctx};
		struct pair p = {.server_tls = &st};
		pair_open(&p);
		pair_connect(&p, &ct);
		PAIR_UNTIL(&p, p.client.secured && p.server.secured);
		conn_write(p.client.c, S("</stream>"));
		conn_shutdown(p.client.c);
		PAIR_UNTIL(&p, p.server.eof);
		assert_int_equal(p.server.got.len, 9);
		conn_write(p.server.c, S("rest"));
		conn_close(p.server.c);
		PAIR_UNTIL(&p, p.client.eof && p.server.closed);
		assert_int_equal(p.client.got.len, 4);
		assert_int_equal(p.client.closed, 0);
		conn_close(p.client.c);
		PAIR_UNTIL(&p, p.client.closed);
		assert_int_equal(p.client.why.code, ENTENTE_OK);
		pair_close(&p);
		if (!v)
			tls_ctx_unref(t);
	}
}

/* A peer as blocking OpenSSL in a thread: what our own client would never do. */
struct rude {
	struct addr to;
	int max_version;
	enum { CUT, GARBAGE, SILENT, REFUSE_OURS, OLD, HELLO_ONLY } how;
	pthread_t thread;
	bool handshake;
};

static int never(int okay, X509_STORE_CTX *x)
{
	(void)okay, (void)x;
	return 0;
}

static void *rude_main(void *arg)
{
	struct rude *r = arg;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval tv = {5, 0};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	if (connect(fd, &r->to.sa, sizeof r->to.v4))
		return NULL;
	char junk[4096];
	if (r->how == GARBAGE || r->how == SILENT) {
		if (r->how == GARBAGE)
			send(fd, "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL);
		while (recv(fd, junk, sizeof junk, 0) > 0)
			;
		close(fd);
		return NULL;
	}
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (r->max_version)
		SSL_CTX_set_max_proto_version(ctx, r->max_version);
	if (r->how == OLD) {
		SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
		SSL_CTX_set_security_level(ctx, 0);
	}
	if (r->how == REFUSE_OURS)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, never);
	SSL *ssl = SSL_new(ctx);
	SSL_set_fd(ssl, fd);
	r->handshake = SSL_connect(ssl) == 1;
	if (r->handshake && r->how == CUT) {
		SSL_write(ssl, "half a wor", 10);
		shutdown(fd, SHUT_WR); /* no close_notify */
		while (recv(fd, junk, sizeof junk, 0) > 0)
			;
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd);
	return NULL;
}

static void rude_run(struct rude *r, struct pair *p)
{
	pair_open(p);
	r->to = *listener_addr(p->listener);
	pthread_create(&r->thread, NULL, rude_main, r);
}

static void test_cut(void **state)
{
	(void)state;
	struct conn_tls st = {.ctx = server_ctx, .server = true};
	struct pair p = {.server_tls = &st};
	struct rude r = {.how = CUT, .max_version = TLS1_2_VERSION};
	rude_run(&r, &p);
	PAIR_UNTIL(&p, p.server.eof);
	assert_true(is(p.server.peer->protocol, "TLSv1.2"));
	assert_false(p.server.peer->has_cert);
	assert_int_equal(p.server.got.len, 10);
	conn_close(p.server.c);
	PAIR_UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.why.code, ENTENTE_ECLOSED);
	pthread_join(r.thread, NULL);
	pair_close(&p);
}

static void test_garbage(void **state)
{
	(void)state;
	struct conn_tls st = {.ctx = server_ctx, .server = true};
	struct pair p = {.server_tls = &st};
	struct rude r = {.how = GARBAGE};
	rude_run(&r, &p);
	PAIR_UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.why.code, ENTENTE_ETLS);
	assert_non_null(strstr(p.server.why.text, "http request"));
	pthread_join(r.thread, NULL);
	pair_close(&p);
}

static void test_handshake_timeout(void **state)
{
	(void)state;
	struct conn_limits quick = CONN_LIMITS_DEFAULT;
	quick.handshake_ms = 50;
	struct conn_tls st = {.ctx = server_ctx, .server = true};
	struct pair p = {.server_tls = &st, .server_limits = &quick};
	struct rude r = {.how = SILENT};
	rude_run(&r, &p);
	PAIR_UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.why.code, ENTENTE_ETIMEOUT);
	pthread_join(r.thread, NULL);
	pair_close(&p);
}

static void test_refuses_our_certificate(void **state)
{
	(void)state;
	struct conn_tls st = {.ctx = server_ctx, .server = true};
	struct pair p = {.server_tls = &st};
	struct rude r = {.how = REFUSE_OURS};
	rude_run(&r, &p);
	PAIR_UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.why.code, ENTENTE_ETLS);
	assert_non_null(strstr(p.server.why.text, "does not accept our certificate"));
	pthread_join(r.thread, NULL);
	pair_close(&p);
}

static void test_old_versions(void **state)
{
	(void)state;
	struct tls_ctx *legacy = pki_context("server", &(struct tls_settings){.legacy = true, .ciphers = "ALL:@SECLEVEL=0"});
	for (int allowed = 0; allowed < 2; allowed++) {
		struct conn_tls st = {.ctx = allowed ? legacy : server_ctx, .server = true};
		struct pair p = {.server_tls = &st};
		struct rude r = {.how = OLD, .max_version = TLS1_1_VERSION};
		rude_run(&r, &p);
		if (allowed) {
			PAIR_UNTIL(&p, p.server.secured);
			assert_true(is(p.server.peer->protocol, "TLSv1.1"));
		} else {
			PAIR_UNTIL(&p, p.server.closed);
			assert_int_equal(p.server.why.code, ENTENTE_ETLS);
			assert_non_null(strstr(p.server.why.text, "protocol"));
		}
		p.server.c = conn_free(p.server.c);
		pthread_join(r.thread, NULL);
		pair_close(&p);
	}
	tls_ctx_unref(legacy);
}

static struct tls_ctx *choose(void *arg, struct slice sni)
{
	return slice_eq(sni, S("other.test")) ? arg : NULL;
}

static void test_choose_by_sni(void **state)
{
	(void)state;
	struct tls_ctx *other = pki_context("both", NULL), *first = pki_context("server", NULL);
	tls_ctx_set_choose(first, choose, other);
	static const struct {
		struct slice sni;
		const char *cn;
	} rows[] = {
		{S("other.test"), "b"},
		{S("server.test"), "server.test"},
		{SLICE_NONE, "server.test"},
		{S("192.0.2.1"), "server.test"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct conn_tls st = {.ctx = first, .server = true};
		struct conn_tls ct = {.ctx = client_ctx, .sni = rows[i].sni, .alpn = S("unknown")};
		struct pair p = {.server_tls = &st};
		pair_open(&p);
		pair_connect(&p, &ct);
		PAIR_UNTIL(&p, p.client.secured && p.server.secured);
		assert_true(is(p.client.peer->cn, rows[i].cn));
		assert_int_equal(p.client.peer->alpn.len, 0);
		assert_int_equal(p.server.peer->sni.len, i < 2 ? rows[i].sni.len : 0); /* a literal is never sent */
		assert_true(p.server.peer->chain_ok);
		pair_close(&p);
	}
	tls_ctx_unref(first);
	tls_ctx_unref(other);
}

static void free_self(struct end *e)
{
	struct slice name = e->peer->dns[0];
	e->c = conn_free(e->c);
	assert_true(name.len && e->peer->chain_ok); /* the facts outlive the call */
}

enum { CROWD = 96 };

struct crowd {
	struct pair pair;
	struct end servers[CROWD], clients[CROWD];
	int accepted;
};

static void crowd_accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct crowd *c = arg;
	struct conn_tls t = {.ctx = server_ctx, .server = true};
	struct end *e = &c->servers[c->accepted++];
	struct conn_opts o = {.ops = &end_ops, .owner = e, .tls = &t, .pass = pass};
	struct entente_err err;
	(void)w, (void)from;
	assert_int_equal(conn_accept(&e->c, c->pair.loop, fd, &o, &err), 0);
}

/* A crowd that comes at once leaves something of each turn to the others; all of it gets in. */
static void test_crowd(void **state)
{
	(void)state;
	static struct crowd c;
	struct listener *listener;
	struct entente_err err;
	struct conn_tls t = {.ctx = client_ctx, .sni = S("server.test")};
	struct listener_opts lo = {.accepted = crowd_accepted, .arg = &c};
	int waited = 0, done = 0;
	memset(&c, 0, sizeof c);
	assert_int_equal(loop_new(&c.pair.loop, NULL, &err), 0);
	assert_true(addr_parse(S("127.0.0.1"), 0, &lo.addr));
	assert_int_equal(listener_new(&listener, c.pair.loop, &lo, &err), 0);
	for (int i = 0; i < CROWD; i++) {
		struct conn_opts o = {.ops = &end_ops, .owner = &c.clients[i], .tls = &t};
		assert_int_equal(conn_connect(&c.clients[i].c, c.pair.loop, listener_addr(listener), &o, &err), 0);
	}
	for (int turn = 0; turn < 20000 && done < 2 * CROWD; turn++) {
		loop_once(c.pair.loop, 1);
		waited += !list_empty(&c.pair.loop->own->shakers);
		done = 0;
		for (int i = 0; i < CROWD; i++)
			done += c.clients[i].secured + c.servers[i].secured;
	}
	assert_int_equal(done, 2 * CROWD);
	assert_true(waited > 1); /* a turn's share is less than the crowd needs */
	for (int i = 0; i < CROWD; i++) {
		assert_int_equal(c.clients[i].closed + c.servers[i].closed, 0);
		conn_free(c.clients[i].c);
		conn_free(c.servers[i].c);
	}
	/* one that is freed, and one that is closed, while it waits */
	memset(c.clients, 0, sizeof c.clients);
	memset(c.servers, 0, sizeof c.servers);
	c.accepted = 0;
	for (int i = 0; i < CROWD; i++) {
		struct conn_opts o = {.ops = &end_ops, .owner = &c.clients[i], .tls = &t};
		assert_int_equal(conn_connect(&c.clients[i].c, c.pair.loop, listener_addr(listener), &o, &err), 0);
	}
	for (int turn = 0; turn < 20000 && list_empty(&c.pair.loop->own->shakers); turn++)
		loop_once(c.pair.loop, 1);
	assert_false(list_empty(&c.pair.loop->own->shakers));
	for (int i = 0; i < CROWD; i++) {
		if (i % 2)
			c.clients[i].c = conn_free(c.clients[i].c);
		else
			conn_close(c.clients[i].c);
	}
	for (int turn = 0; turn < 200; turn++)
		loop_once(c.pair.loop, 1);
	listener_free(listener);
	loop_free(c.pair.loop);
	for (int i = 0; i < CROWD; i++) {
		buf_free(&c.clients[i].got);
		buf_free(&c.servers[i].got);
	}
}

static void test_free_in_secured(void **state)
{
	(void)state;
	struct conn_tls st = {.ctx = server_ctx, .server = true}, ct = {.ctx = client_ctx};
	struct pair p = {.server_tls = &st, .server.on_secured = free_self};
	pair_open(&p);
	pair_connect(&p, &ct);
	PAIR_UNTIL(&p, p.server.secured && (p.client.eof || p.client.closed));
	pair_close(&p);
}

static void test_close_during_handshake(void **state)
{
	(void)state;
	struct conn_tls st = {.ctx = server_ctx, .server = true}, ct = {.ctx = client_ctx};
	struct pair p = {.server_tls = &st};
	pair_open(&p);
	pair_connect(&p, &ct);
	PAIR_UNTIL(&p, p.client.connected);
	conn_close(p.client.c);
	PAIR_UNTIL(&p, p.client.closed && p.server.closed);
	assert_int_equal(p.client.why.code, ENTENTE_OK);
	assert_true(p.server.why.code == ENTENTE_ETLS || p.server.why.code == ENTENTE_ECLOSED); /* FIN, or RST when it had answered already */
	pair_close(&p);
}

static void test_material_errors(void **state)
{
	(void)state;
	struct tls_material *m = NULL;
	static const struct {
		const char *chain, *key, *trust, *ciphers, *text;
		int code;
	} rows[] = {
		{"none.pem", "server.key", NULL, NULL, "No such file", ENTENTE_EIO},
		{"server.pem", "client.key", NULL, NULL, "does not belong", ENTENTE_ETLS},
		{"server.key", "server.key", NULL, NULL, "no valid PEM certificate", ENTENTE_ETLS},
		{"server.pem", "server.pem", NULL, NULL, "no valid PEM key", ENTENTE_ETLS},
		{"server.pem", NULL, NULL, NULL, "both", ENTENTE_EINVAL},
		{"server.pem", "server.key", "server.key", NULL, "trust anchors", ENTENTE_ETLS},
		{"server.pem", "server.key", "ca.pem", "NONSENSE", "cannot be set up", ENTENTE_ETLS},
		{".", "server.key", NULL, NULL, "regular file", ENTENTE_EIO},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct entente_err err = {0};
		struct tls_settings s = {.ciphers = rows[i].ciphers};
		s.server_chain = pki_path(rows[i].chain);
		s.server_key = rows[i].key ? pki_path(rows[i].key) : NULL;
		s.trust_file = rows[i].trust ? pki_path(rows[i].trust) : NULL;
		assert_int_equal(tls_material_load(&m, &s, &err), rows[i].code);
		assert_null(m);
		if (!strstr(err.text, rows[i].text))
			fail_msg("%s: %s", rows[i].text, err.text);
	}
	const struct tls_peer *f = tls_material_facts(tls_ctx_material(server_ctx), TLS_SLOT_SERVER);
	assert_true(f && is(f->cn, "server.test"));
	assert_null(tls_material_facts(tls_ctx_material(server_ctx), TLS_SLOT_NONE));
	struct tls_settings system_trust = {.server_chain = pki_path("server.pem"), .server_key = pki_path("server.key")};
	assert_int_equal(tls_material_load(&m, &system_trust, NULL), 0);
	m = tls_material_unref(m);
	struct tls_ctx *clients_only = pki_context(NULL, NULL);
	struct conn_tls st = {.ctx = clients_only, .server = true};
	struct pair p = {.server_tls = &st};
	pair_open(&p);
	pair_connect(&p, NULL);
	PAIR_UNTIL(&p, p.server.closed);
	assert_int_equal(p.server.why.code, ENTENTE_EINVAL);
	pair_close(&p);
	tls_ctx_unref(clients_only);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_client_certificates),
		cmocka_unit_test(test_server_certificates),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_starttls_injection),
		cmocka_unit_test(test_starttls_pipelined),
		cmocka_unit_test(test_resumption),
		cmocka_unit_test(test_bad_stays_bad_when_resumed),
		cmocka_unit_test(test_large_transfer),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_handshake_timeout),
		cmocka_unit_test(test_refuses_our_certificate),
		cmocka_unit_test(test_old_versions),
		cmocka_unit_test(test_choose_by_sni),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_free_in_secured),
		cmocka_unit_test(test_close_during_handshake),
		cmocka_unit_test(test_material_errors),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
