/* SPDX-License-Identifier: Apache-2.0 */
/* Two workers with their threads: messages change hands, answers find their way back, homes are found by DNS. The test's own
 * thread plays homes and devices with blocking sockets. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "../net/pki.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/sip_edge.h"
#include "../net/names.h"
#include "sip/build.h"
#include "sip/frame.h"
#include "site.h"

enum { WORKERS = 2 };

static struct pool *pool;
static struct dns *dns;
static struct sip_edge *edges[WORKERS];
static struct listener *listener;
static struct addr udp_addr_;
static struct tls_material *material;
static struct tls_ctx *contexts[WORKERS];
static struct sip_edge_home homes[2];
static size_t n_homes;
static atomic_uint handled[WORKERS], done_ok, done_failed;
static struct sip_edge_settings set;

/* The first letter of the user decides: even letters live on worker 0. */
static unsigned on_shard(void *arg, const struct sip_msg *m, struct arena *a)
{
	struct slice user = m->is_request ? m->from.uri.user : m->to.uri.user;
	(void)arg, (void)a;
	return user.len ? (unsigned)user.p[0] % WORKERS : 0;
}

static uint32_t on_home_of(void *arg, const struct sip_msg *m)
{
	(void)arg, (void)m;
	return 0;
}

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	struct worker *w = arg;
	(void)from;
	assert_ptr_equal(worker_self(), w);
	assert_int_equal(on_shard(NULL, m, a), w->id);
	atomic_fetch_add(&handled[w->id], 1);
	if (st)
		sip_server_reply(st, 200);
	arena_release(w->loop->arenas, a);
}

static struct sip_edge *on_edge(struct worker *w)
{
	assert_ptr_equal(worker_self(), w);
	return w->state;
}

static const struct sip_edge_ops ops = {on_shard, on_home_of, on_request, on_edge};

static int node_start(struct worker *w, struct entente_err *err)
{
	struct sip_edge_config c = {
		.worker = w, .dns = dns, .sent_by = {S("127.0.0.1"), S("127.0.0.1"), S("127.0.0.1")}, .set = set};
	struct addr at;
	edges[w->id] = w->state = sip_edge_new(&c, &ops, w);
	if (material) {
		assert_int_equal(tls_ctx_new(&contexts[w->id], material, err), 0);
		sip_edge_set_tls(w->state, contexts[w->id]);
	}
	addr_parse(S("127.0.0.1"), 0, &at);
	if (w->id == 0 && sip_edge_udp(w->state, &at, &udp_addr_, err))
		return ENTENTE_ENET;
	return sip_edge_set_homes(w->state, homes, n_homes, err);
}

static void node_end(struct worker *w)
{
	sip_edge_free(w->state);
	w->state = NULL;
	contexts[w->id] = tls_ctx_unref(contexts[w->id]);
}

static const struct pool_ops node_ops = {.start = node_start, .end = node_end};

static void on_tcp(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	(void)arg, (void)from;
	sip_edge_accept(w->state, fd, false, pass);
}

/* The control loop must turn: it deals out connections and carries DNS. */
static void turn_control(uint64_t ms)
{
	for (uint64_t end = clock_ms() + ms; clock_ms() < end;)
		loop_once(pool_control(pool)->loop, 2);
}

static void start(const char *hop)
{
	struct entente_err err;
	struct pool_opts po = {.workers = WORKERS, .ops = &node_ops};
	const char *servers[] = {names_spec()};
	struct dns_opts d = {.servers = servers, .n_servers = 1, .hosts = "", .timeout_ms = 1500};
	struct listener_opts lo = {.accepted = on_tcp};
	set = (struct sip_edge_settings){.limits = sip_limits_default,
					 .keepalive_ms = 60000,
					 .connect_ms = 1500,
					 .queue_messages = 100,
					 .queue_octets = 1 << 20,
					 .queue_ms = 5000};
	homes[0] = (struct sip_edge_home){.name = S("first"), .next_hop = slice_str(hop)};
	n_homes = 1;
	for (unsigned i = 0; i < WORKERS; i++)
		atomic_store(&handled[i], 0);
	atomic_store(&done_ok, 0);
	atomic_store(&done_failed, 0);
	if (pool_new(&pool, &po, &err) || dns_new(&dns, pool_control(pool), &d, &err) || pool_start(pool, &err))
		fail_msg("%s", err.text);
	lo.pool = pool;
	addr_parse(S("127.0.0.1"), 0, &lo.addr);
	if (listener_new(&listener, pool_control(pool)->loop, &lo, &err))
		fail_msg("%s", err.text);
}

static void stop(void)
{
	listener = listener_free(listener);
	pool_stop(pool, 2000);
	dns = dns_free(dns);
	pool = pool_free(pool);
}

static int group_setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	static const struct {
		const char *name, *san;
	} leaf[] = {{"us", "DNS:gw.contoso.test"},
		    {"home", "DNS:tls.test"},
		    {"uri", "URI:sip:tls.test"},
		    {"wrong", "DNS:node.tls.test"}};
	for (size_t i = 0; i < sizeof leaf / sizeof *leaf; i++) {
		struct pki_spec spec = {.cn = leaf[i].name, .san = leaf[i].san, .eku = "serverAuth,clientAuth"};
		pki_issue(leaf[i].name, &spec, &ca, NULL);
	}
	pki_free(&ca);
	names_start();
	journal_open();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	journal_close();
	names_stop();
	pki_dir_remove();
	return 0;
}

/* ---- sockets of the test */

static int tcp_to_edge(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, &listener_addr(listener)->sa, addr_len(listener_addr(listener))), 0);
	return fd;
}

static unsigned count(const struct buf *b, const char *text)
{
	unsigned n = 0;
	for (struct slice rest = buf_slice(b);; n++) {
		ptrdiff_t at = slice_find(rest, slice_str(text));
		if (at < 0)
			return n;
		rest = slice_skip(rest, (size_t)at + 1);
	}
}

/* Reads into b until `text` is there n times; false after 8 seconds. */
static bool read_until(int fd, struct buf *b, const char *text, unsigned n)
{
	for (uint64_t end = clock_ms() + 8000; clock_ms() < end;) {
		char x[4096];
		ssize_t k = recv(fd, x, sizeof x, MSG_DONTWAIT);
		if (k > 0)
			buf_put(b, slice_of(x, (size_t)k));
		if (count(b, text) >= n)
			return true;
		turn_control(2);
	}
	return false;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* ---- messages */

static void test_handover(void **state)
{
	int fd[4];
	struct buf got;
	(void)state;
	names_clear();
	start("sip:127.0.0.1:9;transport=tcp");
	buf_init(&got, 1 << 20);
	for (int i = 0; i < 4; i++)
		fd[i] = tcp_to_edge();
	for (int k = 0; k < 50; k++) {
		for (int i = 0; i < 4; i++) {
			char id[32], from[32];
			snprintf(id, sizeof id, "h%d-%d", i, k);
			snprintf(from, sizeof from, "%c@contoso.test",
				 'a' + (i + k) % 2); /* from one connection to users of both workers */
			say(fd[i], request("MESSAGE", from, id));
		}
	}
	for (int i = 0; i < 4; i++) {
		buf_clear(&got);
		assert_true(read_until(fd[i], &got, "SIP/2.0 200", 50));
		close(fd[i]);
	}
	assert_int_equal(atomic_load(&handled[0]), 100);
	assert_int_equal(atomic_load(&handled[1]), 100);
	stop();
	buf_free(&got);
}

static void test_udp_by_worker_0(void **state)
{
	struct buf got;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	(void)state;
	names_clear();
	start("sip:127.0.0.1:9;transport=udp");
	buf_init(&got, 1 << 20);
	assert_int_equal(connect(fd, &udp_addr_.sa, addr_len(&udp_addr_)), 0);
	for (int k = 0; k < 40; k++) {
		char id[32], from[32];
		snprintf(id, sizeof id, "u%d", k);
		snprintf(from, sizeof from, "%c@contoso.test", 'a' + k % 2);
		say(fd, request("MESSAGE", from, id));
	}
	assert_true(read_until(fd, &got, "SIP/2.0 200", 40));
	assert_int_equal(atomic_load(&handled[0]), 20);
	assert_int_equal(atomic_load(&handled[1]), 20);
	close(fd);
	stop();
	buf_free(&got);
}

/* Stopped in the middle of traffic: nothing is touched that is gone. */
static void test_stop_under_load(void **state)
{
	(void)state;
	names_clear();
	for (int round = 0; round < 5; round++) {
		start("sip:127.0.0.1:9;transport=tcp");
		int fd = tcp_to_edge();
		for (int k = 0; k < 200; k++) {
			char id[32], from[32];
			snprintf(id, sizeof id, "l%d", k);
			snprintf(from, sizeof from, "%c@contoso.test", 'a' + k % 2);
			const char *text = request("MESSAGE", from, id);
			if (send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
				break;
			if (k % 40 == round)
				turn_control(1);
		}
		stop();
		close(fd);
	}
}

/* ---- our requests */

struct ask {
	struct bus_msg bus;
	unsigned n;
};

static void ask_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	(void)arg, (void)ct, (void)from;
	if (m->status == 200)
		atomic_fetch_add(&done_ok, 1);
}

static void ask_done(void *arg, enum sip_done why)
{
	(void)arg;
	if (why != SIP_DONE_ANSWERED)
		atomic_fetch_add(&done_failed, 1);
}

static void ask_run(struct worker *w, struct bus_msg *b)
{
	static const struct sip_client_handler handler = {ask_response, ask_done};
	struct ask *q = CONTAINER_OF(b, struct ask, bus);
	struct sip_edge *e = w->state;
	struct sip_flow flow;
	char text[512];
	assert_true(sip_edge_home_flow(e, 0, &flow, NULL));
	snprintf(text, sizeof text,
		 "MESSAGE sip:%c@contoso.test SIP/2.0\r\nMax-Forwards: 70\r\nFrom: <sip:juliet@fabrikam.test>;tag=x\r\nTo: "
		 "<sip:%c@contoso.test>\r\n"
		 "Call-ID: %u-%u@us\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n",
		 'b' - (char)(w->id == 1), 'b' - (char)(w->id == 1), w->id, q->n);
	if (sip_client_start(NULL, sip_edge_stack(e), &flow, slice_str(text), &handler, NULL, NULL))
		atomic_fetch_add(&done_failed, 1);
	mem_free(q);
}

static void ask(unsigned worker, unsigned n)
{
	struct ask *q = MEM_NEW(struct ask);
	q->bus.run = ask_run;
	q->n = n;
	worker_post_always(pool_worker(pool, worker), &q->bus);
}

/* A home in the test's thread that answers everything, over TCP or UDP. */
static void answer(int fd, struct slice in, const struct sockaddr_in *to)
{
	struct arena *a = arena_new(1 << 20);
	struct sip_framer f;
	struct sip_frame frame;
	sip_framer_init(&f, &sip_limits_default);
	for (; sip_framer_next(&f, in, &frame), frame.kind == SIP_FRAME_MESSAGE || frame.kind == SIP_FRAME_PING; in = slice_skip(in, frame.consume)) {
		struct sip_msg *m;
		struct sip_fault fault;
		struct buf b;
		if (frame.kind == SIP_FRAME_PING || sip_msg_parse(&m, a, frame.message, &sip_limits_default, &fault) || !m->is_request)
			continue;
		buf_init(&b, 65536);
		sip_build_response(&b, m, 200, SLICE_NONE, S("home"), false, SLICE_NONE, 0);
		sip_build_body(&b, SLICE_NONE, SLICE_NONE);
		sendto(fd, buf_slice(&b).p, b.len, MSG_NOSIGNAL, (const struct sockaddr *)to, to ? sizeof *to : 0);
		buf_free(&b);
	}
	arena_release(NULL, a);
}

static int listen_here(uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 16), 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	*ret_port = ntohs(a.sin_port);
	return fd;
}

/* Serves until `n` requests are done. */
static bool serve(int lfd, unsigned n)
{
	int fd[8], k = 0;
	for (uint64_t end = clock_ms() + 8000; clock_ms() < end && atomic_load(&done_ok) + atomic_load(&done_failed) < n;) {
		int x = accept4(lfd, NULL, NULL, SOCK_NONBLOCK);
		if (x >= 0 && k < 8)
			fd[k++] = x;
		for (int i = 0; i < k; i++) {
			char b[65536];
			ssize_t got = recv(fd[i], b, sizeof b, MSG_DONTWAIT);
			if (got > 0)
				answer(fd[i], slice_of(b, (size_t)got), NULL);
		}
		turn_control(2);
	}
	for (int i = 0; i < k; i++)
		close(fd[i]);
	return atomic_load(&done_ok) + atomic_load(&done_failed) >= n;
}

/* RFC 3263: the first target refuses, the second serves; each worker has a connection of its own. */
static void test_failover(void **state)
{
	uint16_t port;
	int lfd = listen_here(&port);
	(void)state;
	names_clear();
	names_srv("_sip._tcp.ha.test", 10, 0, 1, "dead.ha.test");
	names_srv("_sip._tcp.ha.test", 20, 0, port, "live.ha.test");
	names_a("dead.ha.test", "127.0.0.1");
	names_a("live.ha.test", "127.0.0.1");
	start("sip:ha.test;transport=tcp");
	for (unsigned i = 0; i < 10; i++)
		ask(i % 2, i);
	assert_true(serve(lfd, 10));
	assert_int_equal(atomic_load(&done_ok), 10);
	stop();
	close(lfd);
}

static void test_udp_out(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	char hop[64];
	(void)state;
	names_clear();
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	getsockname(fd, (struct sockaddr *)&a, &len);
	snprintf(hop, sizeof hop, "sip:127.0.0.1:%u;transport=udp", ntohs(a.sin_port));
	start(hop);
	for (unsigned i = 0; i < 20; i++)
		ask(i % 2, i);
	for (uint64_t end = clock_ms() + 8000; clock_ms() < end && atomic_load(&done_ok) < 20;) {
		char b[65536];
		struct sockaddr_in from;
		socklen_t n = sizeof from;
		ssize_t got = recvfrom(fd, b, sizeof b, 0, (struct sockaddr *)&from, &n);
		if (got > 0)
			answer(fd, slice_of(b, (size_t)got), &from);
		turn_control(1);
	}
	assert_int_equal(atomic_load(&done_ok), 20);
	stop();
	close(fd);
}

/* While DNS has not said where a home is, nobody can be called a stranger for good. */
static void test_unsure(void **state)
{
	struct buf got;
	(void)state;
	names_clear();
	names_silent(true);
	start("sip:slow.test;transport=tcp");
	buf_init(&got, 1 << 20);
	int fd = tcp_to_edge();
	say(fd, request("MESSAGE", "a@contoso.test", "n1"));
	assert_true(read_until(fd, &got, "SIP/2.0 503", 1));
	assert_true(count(&got, "Retry-After") == 1);
	names_a("slow.test", "127.0.0.1");
	names_silent(false);
	bool in = false;
	for (int i = 0; i < 100 && !in; i++) { /* it is asked again by itself */
		char id[16];
		snprintf(id, sizeof id, "n%d", i + 2);
		say(fd, request("MESSAGE", "a@contoso.test", id));
		turn_control(150);
		char x[8192];
		ssize_t k = recv(fd, x, sizeof x, MSG_DONTWAIT);
		if (k > 0)
			buf_put(&got, slice_of(x, (size_t)k));
		in = count(&got, "SIP/2.0 200") > 0;
	}
	assert_true(in);
	/* DNS fails later: who was known stays known */
	names_clear();
	names_silent(true);
	say(fd, request("MESSAGE", "a@contoso.test", "last"));
	assert_true(read_until(fd, &got, "SIP/2.0 200", 2));
	names_silent(false);
	close(fd);
	stop();
	buf_free(&got);
}

struct facts {
	char state[16], error[256];
	atomic_bool ready;
	struct bus_msg bus;
};

static void on_home(void *arg, const struct sip_edge_facts *f)
{
	struct facts *x = arg;
	snprintf(x->state, sizeof x->state, "%s", f->state);
	snprintf(x->error, sizeof x->error, "%.*s", SFMT(f->error));
}

static void facts_run(struct worker *w, struct bus_msg *b)
{
	struct facts *x = CONTAINER_OF(b, struct facts, bus);
	sip_edge_each_home(w->state, on_home, x);
	atomic_store(&x->ready, true);
}

/* Of worker 0. */
static void look(struct facts *x)
{
	*x = (struct facts){.bus.run = facts_run};
	worker_post_always(pool_worker(pool, 0), &x->bus);
	while (!atomic_load(&x->ready))
		turn_control(1);
}

/* The certificate must hold the host of the next hop, not the node that SRV leads to (RFC 5922). */
static void test_tls_names(void **state)
{
	static const struct {
		const char *certificate, *error;
	} cases[] = {{"home", NULL}, {"uri", NULL}, {"wrong", "does not name tls.test"}};
	struct entente_err err;
	struct tls_settings us = {
		.server_chain = pki_path("us.pem"), .server_key = pki_path("us.key"), .trust_file = pki_path("ca.pem")};
	(void)state;
	if (tls_material_load(&material, &us, &err))
		fail_msg("%s", err.text);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct site side = {0}; /* a loop of its own for the TLS home */
		struct base b = {.tls = NULL, .answer = true};
		struct facts f = {0};
		names_clear();
		assert_int_equal(loop_new(&side.loop, NULL, NULL), 0);
		b.tls = pki_context(cases[i].certificate, NULL);
		base_open(&b, &side, 0);
		names_srv("_sips._tcp.tls.test", 0, 0, base_port(&b), "node.tls.test");
		names_srv("_sip._tls.tls.test", 0, 0, base_port(&b), "node.tls.test");
		names_a("node.tls.test", "127.0.0.1");
		start("sip:tls.test;transport=tls");
		for (uint64_t end = clock_ms() + 8000; clock_ms() < end && strcmp(f.state, "up") && strcmp(f.state, "down");) {
			loop_once(side.loop, 1);
			look(&f);
		}
		assert_string_equal(f.state, cases[i].error ? "down" : "up");
		if (cases[i].error)
			assert_non_null(strstr(f.error, cases[i].error));
		stop();
		base_close(&b);
		tls_ctx_unref(b.tls);
		loop_free(side.loop);
	}
	material = tls_material_unref(material);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handover),  cmocka_unit_test(test_udp_by_worker_0), cmocka_unit_test(test_stop_under_load),
		cmocka_unit_test(test_failover),  cmocka_unit_test(test_udp_out),	  cmocka_unit_test(test_unsure),
		cmocka_unit_test(test_tls_names),
	};
	return cmocka_run_group_tests_name("sip_workers", tests, group_setup, group_teardown);
}
