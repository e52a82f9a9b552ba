/* SPDX-License-Identifier: Apache-2.0 */
/* The way to a partner with several servers: DNS of the test's making, real TLS on 127.0.0.1. Which server gets a request when others are dead, silent,
 * overloaded or somebody else's; how many connections there are; what is remembered. */
#include "site.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/access.h"
#include "edge/sip_stream.h"
#include "fakedns.h"
#include "journal.h"
#include "policy/federation.h"
#include "sip/build.h"
#include "../external.h"

enum { FAST_MS = 1000, HOLE_MS = 5000 }; /* what is promised of dead and of silent servers */

static struct tls_ctx *us, *theirs, *wrong, *bare;

static int group_setup(void **state)
{
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	static const struct {
		const char *name, *san;
	} leaf[] = {{"us", "DNS:sip.contoso.test"},
		    {"theirs", "DNS:a.fabrikam.test,DNS:b.fabrikam.test,DNS:c.fabrikam.test"},
		    {"wrong", "DNS:other.test"},
		    {"bare", "DNS:fabrikam.test"}};
	for (size_t i = 0; i < sizeof leaf / sizeof *leaf; i++) {
		struct pki p = pki_make(&(struct pki_spec){.cn = leaf[i].name, .san = leaf[i].san, .eku = "serverAuth,clientAuth"}, &ca);
		pki_write(leaf[i].name, &p, NULL);
		pki_free(&p);
	}
	pki_free(&ca);
	us = pki_context("us", NULL);
	theirs = pki_context("theirs", NULL);
	wrong = pki_context("wrong", NULL);
	bare = pki_context("bare", NULL);
	if (!getenv("SHOW_LOG"))
		log_set_level(LOG_ERROR);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	tls_ctx_unref(us);
	tls_ctx_unref(theirs);
	tls_ctx_unref(wrong);
	tls_ctx_unref(bare);
	pki_dir_remove();
	return 0;
}

/* ---- a server of the partner */

enum mode { ANSWERS, BUSY /* 503 */, STILL /* takes everything, says nothing any more */ };

struct server;
struct line { /* a connection with it */
	struct server *at;
	struct conn *conn;
	struct sip_stream stream;
};
struct server {
	struct loop *loop;
	struct listener *listener;
	struct tls_ctx *tls;  /* NULL: takes TCP, never does TLS */
	enum mode mode;
	struct line lines[16];
	size_t n, open;
	unsigned got, pings;  /* requests */
	int hole[4];          /* black_hole: sockets that fill its queue */
};

static void line_message(void *owner, struct slice raw)
{
	struct line *l = owner;
	struct arena *a = arena_acquire(l->at->loop->arenas);
	struct sip_msg *m;
	struct sip_fault fault;
	struct buf b;
	if (!sip_msg_parse(&m, a, raw, &sip_limits_default, &fault) && m->is_request) {
		l->at->got++;
		buf_init(&b, 65536);
		sip_build_response(&b, m, l->at->mode == BUSY ? 503 : 200, SLICE_NONE, S("them"), false, SLICE_NONE, 0);
		sip_build_body(&b, SLICE_NONE, SLICE_NONE);
		conn_write(l->conn, buf_slice(&b));
		buf_free(&b);
	}
	arena_release(l->at->loop->arenas, a);
}

static void line_broken(void *owner, const struct sip_frame *f)
{
	(void)owner;
	fail_msg("%s", f->fault.text);
}

static size_t line_data(struct conn *c, struct slice in)
{
	static const struct sip_stream_ops ops = {line_message, line_broken};
	struct line *l = conn_owner(c);
	if (l->at->mode == STILL)
		return in.len;
	l->at->pings += slice_find(in, S("\r\n\r\n")) == 0;
	return sip_stream_input(&l->stream, c, in, &ops, l);
}

static void line_closed(struct conn *c, const struct entente_err *why)
{
	struct line *l = conn_owner(c);
	(void)why;
	l->at->open--;
	l->conn = conn_free(c);
}

static const struct conn_ops line_ops = {.data = line_data, .closed = line_closed};

static void accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct server *s = arg;
	struct entente_err err;
	(void)w, (void)from, (void)pass;
	assert_true(s->n < 16);
	struct line *l = &s->lines[s->n++];
	struct conn_tls t = {.ctx = s->tls, .server = true};
	struct conn_opts o = {.ops = &line_ops, .owner = l, .tls = s->tls ? &t : NULL};
	*l = (struct line){.at = s};
	sip_stream_init(&l->stream, &sip_limits_default, 0);
	s->open++;
	assert_int_equal(conn_accept(&l->conn, s->loop, fd, &o, &err), 0);
}

static void server_open(struct server *s, struct loop *loop, struct tls_ctx *tls)
{
	struct entente_err err;
	struct listener_opts o = {.accepted = accepted, .arg = s};
	*s = (struct server){.loop = loop, .tls = tls, .hole = {-1, -1, -1, -1}};
	addr_parse(S("127.0.0.1"), 0, &o.addr);
	assert_int_equal(listener_new(&s->listener, loop, &o, &err), 0);
}

static uint16_t server_port(const struct server *s)
{
	return addr_port(listener_addr(s->listener));
}

static void lines_reset(struct server *s)
{
	for (size_t i = 0; i < s->n; i++)
		s->lines[i].conn = conn_free(s->lines[i].conn);
	s->open = 0;
}

/* Nobody listens there any more. */
static void server_die(struct server *s)
{
	lines_reset(s);
	s->listener = listener_free(s->listener);
}

/* A port whose queue is full: SYNs are not answered. */
static uint16_t black_hole(struct server *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	*s = (struct server){0};
	s->hole[0] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(s->hole[0], (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(s->hole[0], 0), 0);
	getsockname(s->hole[0], (struct sockaddr *)&a, &len);
	for (int i = 1; i < 4; i++) {
		s->hole[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(s->hole[i], (struct sockaddr *)&a, sizeof a);
	}
	return ntohs(a.sin_port);
}

static void server_free(struct server *s)
{
	if (s->loop)
		server_die(s);
	for (int i = 0; i < 4 && s->hole[0] > 0; i++)
		close(s->hole[i]);
}

/* ---- our side */

struct rig {
	struct loop *loop;
	struct worker worker;
	struct snapshot_slot policy;
	struct access_shared *shared;
	struct record_log *records;
	struct sip_stack *inner;
	struct access *access;
	struct access_settings set;
	struct buf done;      /* "id status\n", answers to the home */
	struct server a, b, c;
	unsigned next;
};

static bool op_home(void *arg, uint32_t home, struct sip_flow *ret, struct slice *ret_contact)
{
	(void)arg;
	*ret = (struct sip_flow){.transport = SIP_TCP, .conn = 1, .target = home};
	*ret_contact = S("sip:10.0.0.2:5060;transport=tcp");
	return home == 0;
}

static bool op_lync(void *arg, uint32_t home)
{
	(void)arg, (void)home;
	return false;
}

static int inner_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	struct rig *r = arg;
	struct arena *a = arena_acquire(r->loop->arenas);
	struct sip_msg *m;
	struct sip_fault fault;
	(void)to;
	assert_int_equal(sip_msg_parse(&m, a, bytes, &sip_limits_default, &fault), 0);
	if (!m->is_request && m->status >= 200)
		buf_printf(&r->done, "%.*s %d\n", SFMT(m->call_id), m->status);
	arena_release(r->loop->arenas, a);
	return 0;
}

static void inner_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	access_request(((struct rig *)arg)->access, st, m, a, from);
}

static void inner_cancelled(void *arg, struct sip_server_trans *st)
{
	access_cancelled(((struct rig *)arg)->access, st);
}

static void inner_gone(void *arg, struct sip_server_trans *st)
{
	access_gone(((struct rig *)arg)->access, st);
}

static void publish(struct rig *r)
{
	struct entente_err err;
	struct slice domain = S("contoso.test");
	struct snapshot_builder *b = snapshot_builder_new();
	everybody_may(b);
	struct policy_home h = {.name = S("home"), .next_hop = S("sip:127.0.0.1:9"), .domains = &domain, .n_domains = 1};
	struct policy_access access;
	struct policy_allowed allowed;
	assert_int_equal(snapshot_builder_home(b, &h, &err), 0);
	policy_fields_defaults(POLICY_TABLE_ACCESS, &access);
	access.federated_users = true;
	assert_int_equal(snapshot_builder_access(b, &access, &err), 0);
	policy_fields_defaults(POLICY_TABLE_ALLOWED, &allowed);
	allowed.domain = S("fabrikam.test");
	assert_int_equal(snapshot_builder_allow(b, &allowed, &err), 0);
	struct snapshot *first = snapshot_builder_freeze(b, 1);
	snapshot_slot_init(&r->policy, first);
	snapshot_unref(first);
}

static int setup(void **state)
{
	static const struct sip_stack_ops inner_ops = {
		.send = inner_send, .request = inner_request, .cancelled = inner_cancelled, .gone = inner_gone};
	static const struct access_ops ops = {.home = op_home, .lync = op_lync};
	struct rig *r = MEM_NEW(struct rig);
	fakedns_reset(false);
	assert_int_equal(loop_new(&r->loop, NULL, NULL), 0);
	r->worker.loop = r->loop;
	publish(r);
	buf_init(&r->done, 1 << 20);
	r->shared = access_shared_new(100);
	r->records = record_log_new(1 << 16, 0, &r->loop->timers.now, clock_unix() * 1000);
	r->set = (struct access_settings){.limits = sip_limits_default, .connect_ms = 10000, .keepalive_ms = 60000, .queue_octets = 65536,
					  .rules = access_rules_default, .stuck_ms = 10000, .unproven_ms = 10000, .conns_per_partner = 100};
	struct sip_stack_config sc = {.pool = r->loop->arenas};
	r->inner = sip_stack_new(&inner_ops, r, &r->loop->timers, &sc);
	struct access_config c = {.worker = &r->worker, .policy = &r->policy, .shared = r->shared, .inner = r->inner, .name = S("sip.contoso.test"),
				  .outer_name = S("sip.contoso.test:5061"), .set = r->set, .records = r->records};
	r->access = access_new(&c, &ops, r);
	access_set_tls(r->access, us);
	access_set(r->access, &r->set);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;
	access_free(r->access);
	sip_stack_free(r->inner);
	server_free(&r->a);
	server_free(&r->b);
	server_free(&r->c);
	loop_once(r->loop, 0);
	snapshot_slot_destroy(&r->policy);
	access_shared_free(r->shared);
	record_log_free(r->records);
	loop_free(r->loop);
	buf_free(&r->done);
	mem_free(r);
	return 0;
}

#define SRV "_sipfederationtls._tcp.fabrikam.test"

static void place(const char *srv, unsigned priority, const char *host, uint16_t port)
{
	char name[64];
	snprintf(name, sizeof name, "%s.fabrikam.test", host);
	fakedns_srv(srv, priority, 0, port, name);
	if (!fakedns(name, DNS_A)->n)
		fakedns_addr(name, "127.0.0.1");
}

/* A request of the home; `route`: of a dialog, with this route left after us. Its Call-ID. */
static const char *send_within(struct rig *r, const char *method, const char *route)
{
	static char id[16];
	char text[2048], routes[256] = "";
	struct sip_msg *m;
	struct sip_fault fault;
	struct sip_flow from = {.transport = SIP_TCP, .conn = 1, .target = 0};
	snprintf(id, sizeof id, "m%u", r->next++);
	if (route)
		snprintf(routes, sizeof routes, "Route: <%s>\r\n", route);
	snprintf(text, sizeof text,
		 "%s sip:juliet@fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\n%s"
		 "From: <sip:romeo@contoso.test>;tag=t\r\nTo: <sip:juliet@fabrikam.test>%s\r\nCall-ID: %s\r\nCSeq: 1 %s\r\nContent-Length: 0\r\n\r\n",
		 method, id, routes, route ? ";tag=u" : "", id, method);
	loop_touch(r->loop);
	struct arena *a = arena_acquire(r->loop->arenas);
	assert_int_equal(sip_msg_parse(&m, a, arena_dup(a, slice_str(text)), &sip_limits_default, &fault), 0);
	sip_stack_input(r->inner, &from, m, a);
	return id;
}

/* Waits for the answer; *ret_ms: how long it took. */
static int answered(struct rig *r, const char *id, uint64_t *ret_ms)
{
	uint64_t began = clock_ms(), status;
	char key[24];
	ptrdiff_t at;
	snprintf(key, sizeof key, "%s ", id);
	UNTIL(r->loop, buf_has(&r->done, key));
	at = slice_find(buf_slice(&r->done), slice_str(key));
	if (ret_ms)
		*ret_ms = clock_ms() - began;
	assert_true(slice_u64(slice_first(slice_skip(buf_slice(&r->done), (size_t)at + strlen(key)), 3), 999, &status));
	return (int)status;
}

static int message(struct rig *r)
{
	return answered(r, send_within(r, "MESSAGE", NULL), NULL);
}

static size_t count;
static void count_one(void *arg, const struct access_conn_facts *f)
{
	(void)arg;
	count += !f->inbound;
}

static size_t conns(struct rig *r)
{
	count = 0;
	access_each_conn(r->access, count_one, NULL);
	return count;
}

/* ---- tests */

static void test_first(void **state)
{
	struct rig *r = *state;
	server_open(&r->a, r->loop, theirs);
	server_open(&r->b, r->loop, theirs);
	place(SRV, 20, "b", server_port(&r->b));
	place(SRV, 10, "a", server_port(&r->a)); /* the lower number, not the first record */
	for (int i = 0; i < 5; i++)
		assert_int_equal(message(r), 200);
	assert_int_equal(r->a.got, 5);
	assert_int_equal(r->b.n, 0);
	assert_int_equal(r->a.n, 1); /* one connection is enough */
	assert_int_equal(r->a.pings, 1);
}

static void test_dead(void **state)
{
	struct rig *r = *state;
	uint64_t ms = 0;
	server_open(&r->a, r->loop, theirs);
	server_open(&r->b, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	place(SRV, 20, "b", server_port(&r->b));
	server_die(&r->a);
	assert_int_equal(answered(r, send_within(r, "INVITE", NULL), &ms), 200);
	assert_in_range(ms, 0, FAST_MS);
	assert_int_equal(r->b.got, 1);
	assert_int_equal(message(r), 200);
	assert_int_equal(r->b.n, 1);
}

/* The connection that is in use dies with its server: the request that finds out goes on to the other one. */
static void test_dies(void **state)
{
	struct rig *r = *state;
	uint64_t ms = 0;
	server_open(&r->a, r->loop, theirs);
	server_open(&r->b, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	place(SRV, 20, "b", server_port(&r->b));
	assert_int_equal(message(r), 200);
	server_die(&r->a);
	assert_int_equal(answered(r, send_within(r, "MESSAGE", NULL), &ms), 200);
	assert_in_range(ms, 0, FAST_MS);
	assert_int_equal(r->b.got, 1);
}

static void test_black_hole(void **state)
{
	struct rig *r = *state;
	uint64_t ms = 0;
	server_open(&r->b, r->loop, theirs);
	place(SRV, 10, "a", black_hole(&r->a));
	place(SRV, 20, "b", server_port(&r->b));
	assert_int_equal(answered(r, send_within(r, "MESSAGE", NULL), &ms), 200);
	assert_in_range(ms, 250, HOLE_MS); /* it had its chance */
	/* remembered: the next connection goes to the good one at once, not after the head start of the hole. One of five has to show it: the machine
	 * may be busy. */
	for (int i = 0; i < 5 && (!i || ms >= 250); i++) {
		lines_reset(&r->b);
		UNTIL(r->loop, !conns(r));
		assert_int_equal(answered(r, send_within(r, "MESSAGE", NULL), &ms), 200);
	}
	assert_in_range(ms, 0, 249);
}

/* TCP is taken, TLS never comes. */
static void test_mute(void **state)
{
	struct rig *r = *state;
	uint64_t ms = 0;
	server_open(&r->a, r->loop, NULL);
	r->a.mode = STILL;
	server_open(&r->b, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	place(SRV, 20, "b", server_port(&r->b));
	assert_int_equal(answered(r, send_within(r, "MESSAGE", NULL), &ms), 200);
	assert_in_range(ms, 1000, HOLE_MS);
	assert_int_equal(r->b.got, 1);
}

/* It worked, and hangs now: TCP acknowledges, nobody answers. */
static void test_hangs(void **state)
{
	struct rig *r = *state;
	uint64_t ms = 0;
	server_open(&r->a, r->loop, theirs);
	server_open(&r->b, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	place(SRV, 20, "b", server_port(&r->b));
	assert_int_equal(message(r), 200);
	r->a.mode = STILL;
	assert_int_equal(answered(r, send_within(r, "MESSAGE", NULL), &ms), 200);
	assert_in_range(ms, 2 * SIP_STREAM_SILENT_MS - 200, HOLE_MS);
	assert_int_equal(r->b.got, 1);
	assert_int_equal(answered(r, send_within(r, "MESSAGE", NULL), &ms), 200); /* and is remembered */
	assert_int_equal(r->b.got, 2);
	assert_int_equal(r->a.n, 1);
}

static void test_busy(void **state)
{
	struct rig *r = *state;
	server_open(&r->a, r->loop, theirs);
	server_open(&r->b, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	place(SRV, 20, "b", server_port(&r->b));
	r->a.mode = BUSY;
	assert_int_equal(message(r), 200);
	assert_int_equal(r->a.got, 1);
	assert_int_equal(r->b.got, 1);
	r->a.mode = ANSWERS;
	assert_int_equal(message(r), 200);
	assert_int_equal(r->b.got, 2); /* it stays away from the one that was overloaded */
	r->b.mode = BUSY; /* now the other one: back to the first */
	assert_int_equal(message(r), 200);
	assert_int_equal(r->a.got, 2);
	assert_int_equal(r->b.got, 3);
}

static void test_only_one_busy(void **state)
{
	struct rig *r = *state;
	server_open(&r->a, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	r->a.mode = BUSY;
	assert_int_equal(message(r), 504);
	assert_int_equal(r->a.got, 1); /* not asked again */
}

static bool note_outcome(void *arg, const struct record *r)
{
	*(int *)arg = r->outcome;
	return false;
}

/* What is remembered of the latest request. */
static int outcome(const struct rig *r)
{
	int found = -1;
	record_each(r->records, note_outcome, &found);
	return found;
}

/* A server that proves somebody else is passed over; what is remembered is what became of the request. */
static void test_wrong(void **state)
{
	struct rig *r = *state;
	server_open(&r->a, r->loop, wrong);
	server_open(&r->b, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	place(SRV, 20, "b", server_port(&r->b));
	assert_int_equal(message(r), 200);
	assert_int_equal(r->a.got, 0);
	assert_int_equal(r->b.got, 1);
	assert_int_equal(outcome(r), RECORD_DELIVERED);
	server_die(&r->b);
	UNTIL(r->loop, conns(r) == 0);
	assert_int_equal(message(r), 504);
	assert_int_equal(outcome(r), RECORD_FAILED);
}

static void test_none(void **state)
{
	struct rig *r = *state;
	uint64_t ms;
	server_open(&r->a, r->loop, theirs);
	server_open(&r->b, r->loop, wrong);
	place(SRV, 10, "a", server_port(&r->a));
	place(SRV, 20, "b", server_port(&r->b));
	server_die(&r->a);
	assert_int_equal(answered(r, send_within(r, "MESSAGE", NULL), &ms), 504);
	assert_int_equal(r->b.got, 0);
	/* the domain is not poisoned: as soon as one is right, it works */
	server_die(&r->b);
	server_open(&r->c, r->loop, theirs);
	fakedns(SRV, DNS_SRV)->n = 0;
	place(SRV, 10, "a", server_port(&r->c));
	access_free(r->access); /* what DNS said is remembered for a minute; a new edge asks */
	r->access = NULL;
	struct access_config c = {.worker = &r->worker, .policy = &r->policy, .shared = r->shared, .inner = r->inner, .name = S("sip.contoso.test"),
				  .outer_name = S("sip.contoso.test:5061"), .set = r->set};
	static const struct access_ops ops = {.home = op_home, .lync = op_lync};
	r->access = access_new(&c, &ops, r);
	access_set_tls(r->access, us);
	assert_int_equal(message(r), 200);
}

/* Requests of a dialog go to the server that is in its route, as long as that lives. */
static void test_route(void **state)
{
	struct rig *r = *state;
	char route[128];
	server_open(&r->a, r->loop, theirs);
	server_open(&r->b, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	place(SRV, 20, "b", server_port(&r->b));
	assert_int_equal(message(r), 200);
	snprintf(route, sizeof route, "sip:b.fabrikam.test:%u;transport=tls;lr", server_port(&r->b));
	assert_int_equal(answered(r, send_within(r, "INFO", route), NULL), 200);
	assert_int_equal(r->a.got, 1);
	assert_int_equal(r->b.got, 1);
	assert_int_equal(answered(r, send_within(r, "INFO", route), NULL), 200);
	assert_int_equal(r->b.got, 2);
	assert_int_equal(r->b.n, 1);
	assert_int_equal(message(r), 200); /* others are not drawn along */
	assert_int_equal(r->a.got, 2);
	/* a host of another domain, an address, another transport: not followed */
	assert_int_equal(answered(r, send_within(r, "INFO", "sip:b.evil.test:5061;transport=tls;lr"), NULL), 200);
	assert_int_equal(answered(r, send_within(r, "INFO", "sip:127.0.0.1:1;transport=tls;lr"), NULL), 200);
	assert_int_equal(answered(r, send_within(r, "INFO", "sip:b.fabrikam.test:1;transport=tcp;lr"), NULL), 200);
	assert_int_equal(r->a.got, 5);
	assert_int_equal(fakedns_asked("b.evil.test", DNS_A), 0);
	/* it dies: another one of the pool may carry the dialog */
	server_die(&r->b);
	assert_int_equal(answered(r, send_within(r, "INFO", route), NULL), 200);
	assert_int_equal(r->a.got, 6);
}

/* Without the federation record: nobody, unless RFC 3263 is switched on; then the certificate has to name the domain. */
static void test_fallback(void **state)
{
	struct rig *r = *state;
	server_open(&r->a, r->loop, theirs);
	place("_sips._tcp.fabrikam.test", 10, "a", server_port(&r->a));
	assert_int_equal(message(r), 504);
	assert_int_equal(fakedns_asked("_sips._tcp.fabrikam.test", DNS_SRV), 0);
	r->set.sips_fallback = true;
	access_set(r->access, &r->set);
	assert_int_equal(message(r), 504); /* its name is not the domain's */
	assert_int_equal(r->a.n, 1);
	assert_int_equal(r->a.got, 0);
}

static void test_fallback_proven(void **state)
{
	struct rig *r = *state;
	server_open(&r->b, r->loop, bare);
	place("_sips._tcp.fabrikam.test", 10, "b", server_port(&r->b));
	r->set.sips_fallback = true;
	access_set(r->access, &r->set);
	assert_int_equal(message(r), 200);
	assert_int_equal(r->b.got, 1);
}

/* DNS of a stranger does not make us knock at other services, or at everybody. */
static void test_not_called(void **state)
{
	struct rig *r = *state;
	place(SRV, 10, "a", 25);
	place(SRV, 20, "b", 0);
	fakedns_addr("group.fabrikam.test", "224.0.0.1");
	fakedns_addr("any.fabrikam.test", "0.0.0.0");
	place(SRV, 30, "group", 5061);
	place(SRV, 40, "any", 5061);
	journal_open();
	log_set_level(LOG_WARNING);
	assert_int_equal(message(r), 504);
	buf_putc(&journal, '\0');
	assert_non_null(strstr(buf_slice(&journal).p, "none that may be called"));
	journal_close();
	log_set_level(LOG_ERROR);
}

/* Many at once share what comes up first. */
static void test_many(void **state)
{
	struct rig *r = *state;
	char id[50][16];
	server_open(&r->a, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	for (int i = 0; i < 50; i++)
		snprintf(id[i], sizeof *id, "%s", send_within(r, "MESSAGE", NULL));
	for (int i = 0; i < 50; i++)
		assert_int_equal(answered(r, id[i], NULL), 200);
	assert_int_equal(r->a.got, 50);
	assert_int_equal(conns(r), 1);
}

/* A connection whose queue is full gets company, up to the limit. */
static void test_count(void **state)
{
	struct rig *r = *state;
	server_open(&r->a, r->loop, theirs);
	place(SRV, 10, "a", server_port(&r->a));
	r->set.queue_octets = 1;
	access_set(r->access, &r->set);
	assert_int_equal(message(r), 200);
	for (int i = 0; i < 40; i++) {
		for (int k = 0; k < 8; k++)
			send_within(r, "MESSAGE", NULL);
		loop_once(r->loop, 1);
	}
	UNTIL(r->loop, buf_lines(&r->done) == 321);
	assert_in_range(conns(r), 2, 4);
	assert_int_equal(r->a.got, 321);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_not_called) /* first: the log repeats itself only so often */, T(test_first), T(test_dead),	 T(test_dies),	T(test_black_hole), T(test_mute),     T(test_hangs),
					   T(test_busy),  T(test_only_one_busy), T(test_wrong), T(test_none),	    T(test_route),    T(test_fallback),
					   T(test_fallback_proven), T(test_many), T(test_count)};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
