/* SPDX-License-Identifier: Apache-2.0 */
#include "org.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "xmpp/stanza.h"
#include "../external.h"

bool buf_has(const struct buf *b, const char *text)
{
	return slice_find(buf_slice(b), slice_str(text)) >= 0;
}

unsigned buf_lines(const struct buf *b)
{
	unsigned n = 0;
	for (size_t i = 0; i < b->len; i++)
		n += buf_slice(b).p[i] == '\n';
	return n;
}

void turn(struct loop *l, uint64_t ms)
{
	for (uint64_t end = clock_ms() + ms; clock_ms() < end;)
		loop_once(l, 2);
}

/* ---- what the proxy says */

static unsigned on_stanza(void *arg, struct xmpp_stanza *st)
{
	struct org *o = arg;
	buf_printf(&o->seen, "%.*s>%.*s %.*s %.*s\n", SFMT(st->from.full), SFMT(st->to.full), SFMT(st->node->name),
		   SFMT(stanza_id(st->node)));
	if (o->pong && stanza_kind(st->node) == STANZA_IQ && stanza_type(st->node) == STANZA_TYPE_GET) {
		static const struct xmpp_ticket none;
		struct buf b;
		buf_init(&b, 4096);
		buf_printf(&b, "<iq type='result' from='%.*s' to='%.*s' id='%.*s'/>", SFMT(st->to.full), SFMT(st->from.full),
			   SFMT(stanza_id(st->node)));
		xmpp_proxy_send(o->proxy, st->to.domain, st->from.domain, buf_slice(&b), &none);
		buf_free(&b);
	}
	arena_release(o->worker.loop->arenas, st->arena);
	if (!o->keep)
		xmpp_proxy_done(o->proxy, &st->receipt);
	else if (o->n_receipts < sizeof o->receipts / sizeof *o->receipts)
		o->receipts[o->n_receipts++] = st->receipt;
	return o->busy_ms;
}

static void on_sent(void *arg, const struct xmpp_ticket *t, enum reason reason, struct slice why)
{
	struct org *o = arg;
	buf_printf(&o->sent, "%llu %s %.*s\n", (unsigned long long)t->id, reason_info(reason)->id, SFMT(why));
	if (o->on_sent)
		o->on_sent(o, t, reason);
}

static void on_handed(void *arg, const struct xmpp_ticket *t, bool acks)
{
	struct org *o = arg;
	buf_printf(&o->sent, "%llu handed%s\n", (unsigned long long)t->id, acks ? " acks" : "");
}

static void on_link(void *arg, struct slice local, struct slice remote, bool up)
{
	struct org *o = arg;
	buf_printf(&o->links, "%s %.*s %.*s\n", up ? "up" : "down", SFMT(local), SFMT(remote));
}

static void on_reply(void *arg, struct slice local, struct slice remote, struct slice stanza)
{
	static const struct xmpp_ticket none;
	struct org *o = arg;
	xmpp_proxy_send(o->proxy, local, remote, stanza, &none);
}

static void on_alive(void *arg, struct slice remote)
{
	struct org *o = arg;
	if (o->forward_alive)
		xmpp_proxy_alive(o->proxy, remote);
}

static const struct xmpp_proxy_ops ops = {
	.stanza = on_stanza, .sent = on_sent, .handed = on_handed, .link = on_link, .reply = on_reply, .alive = on_alive};

static void on_accepted(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct org *o = arg;
	(void)w, (void)from;
	if (o->hold) {
		assert_true(o->n_held < sizeof o->held / sizeof *o->held);
		o->held[o->n_held++] = fd;
		return;
	}
	xmpp_proxy_accept(o->proxy, fd, false, pass);
}

static void on_accepted_direct(void *arg, struct worker *w, int fd, const struct addr *from, struct gate_pass *pass)
{
	struct org *o = arg;
	(void)w, (void)from;
	xmpp_proxy_accept(o->proxy, fd, true, pass);
}

/* ---- making one */

uint16_t org_port(const struct org *o)
{
	return addr_port(listener_addr(o->listener));
}

void org_publish(struct org *o)
{
	struct snapshot_builder *b = snapshot_builder_new();
	everybody_may(b);
	struct slice domain = slice_str(o->domain);
	struct policy_home h = {.name = S("home"),
				.next_hop = S("sip:192.0.2.1;transport=tcp"),
				.transport = POLICY_TCP,
				.domains = &domain,
				.n_domains = 1};
	struct entente_err err;
	struct policy_gateway g;
	if (snapshot_builder_home(b, &h, &err))
		fail_msg("%s", err.text);
	if (o->partner.domain.len && snapshot_builder_partner(b, &o->partner, &err))
		fail_msg("%s", err.text);
	policy_gateway_defaults(&g);
	if (o->partner_limit)
		g.partner_connection_limit = o->partner_limit;
	snapshot_builder_gateway(b, &g);
	struct snapshot *s = snapshot_builder_freeze(b, 1);
	snapshot_slot_publish(&o->policy, s);
	snapshot_unref(s);
	if (o->proxy)
		xmpp_proxy_recheck(o->proxy);
}

static void org_make(struct org *o, struct loop *loop, const char *domain)
{
	struct entente_err err;
	struct listener_opts lo = {.accepted = on_accepted, .arg = o};
	*o = (struct org){.domain = domain, .worker = {.loop = loop}, .forward_alive = true};
	o->set = (struct xmpp_proxy_settings){
		.max_stanza = 65536,
		.max_early = 10000,
		.connect_ms = 1500,
		.auth_ms = 3000,
		.setup_ms = 3000,
		.dialback_ms = 2000,
		.ping_ms = 60000,
		.idle_ms = 600000,
		.silence_ms = 0,
		.queue_ms = 4000,
		.queue_stanzas = 20,
		.queue_octets = 200000,
		.retry_max_ms = 8000,
		.private_addresses = true,
		.acks = true,
		.ack_wait_ms = 3000,
	};
	buf_init(&o->seen, 1 << 20);
	buf_init(&o->sent, 1 << 20);
	buf_init(&o->links, 1 << 20);
	addr_parse(S("127.0.0.1"), 0, &lo.addr);
	assert_int_equal(listener_new(&o->listener, loop, &lo, &err), 0);
	snapshot_slot_init(&o->policy, NULL);
	o->quota = xmpp_quota_new();
	o->history = xmpp_history_new();
	o->tests = xmpp_tests_new();
	o->trace = trace_new(0);
	o->certificates = xmpp_seen_new();
}

struct revocation *org_revocation;

static void org_start(struct org *o, const struct org *other)
{
	struct xmpp_proxy_config c = {.worker = &o->worker,
				      .policy = &o->policy,
				      .quota = o->quota,
				      .history = o->history,
				      .tests = o->tests,
				      .trace = o->trace,
				      .seen = o->certificates,
				      .revocation = org_revocation,
				      .dialback_secret = slice_str(o->domain),
				      .set = o->set};
	policy_partner_defaults(&o->partner);
	o->partner.domain = slice_str(other->domain);
	o->partner.type = POLICY_FEDERATED;
	o->partner.server_host = S("127.0.0.1");
	o->partner.server_port = org_port(other);
	org_publish(o);
	o->proxy = xmpp_proxy_new(&c, &ops, o);
}

void org_listen_5270(struct org *o, struct org *other, bool direct)
{
	struct entente_err err;
	struct listener_opts lo = {.accepted = direct ? on_accepted_direct : on_accepted, .arg = o};
	unsigned n = (unsigned)getpid(); /* an address of our own: tests run side by side */
	snprintf(o->address, sizeof o->address, "127.%u.%u.%u", 64 + (n >> 16 & 63), n >> 8 & 255, 1 + (n & 127));
	addr_parse(slice_str(o->address), 5270, &lo.addr);
	if (listener_new(&o->second, o->worker.loop, &lo, &err))
		fail_msg("%s", err.text);
	other->partner.server_host = slice_str(o->address);
	other->partner.server_port = 5270;
	org_publish(other);
}

static void org_free(struct org *o)
{
	listener_free(o->listener);
	listener_free(o->second);
	xmpp_proxy_free(o->proxy);
	xmpp_quota_free(o->quota);
	xmpp_history_free(o->history);
	xmpp_tests_free(o->tests);
	trace_free(o->trace);
	xmpp_seen_free(o->certificates);
	snapshot_slot_destroy(&o->policy);
	for (size_t i = 0; i < o->n_held; i++)
		close(o->held[i]);
	buf_free(&o->seen);
	buf_free(&o->sent);
	buf_free(&o->links);
}

void orgs_setup(struct orgs *o)
{
	assert_int_equal(loop_new(&o->loop, NULL, NULL), 0);
	org_make(&o->a, o->loop, "a.test");
	org_make(&o->b, o->loop, "b.test");
	org_start(&o->a, &o->b);
	org_start(&o->b, &o->a);
}

void orgs_teardown(struct orgs *o)
{
	org_free(&o->a);
	org_free(&o->b);
	loop_free(o->loop);
}

void org_tls_slots(struct org *o, const char *server, const char *client)
{
	char chain[64], key[64];
	snprintf(chain, sizeof chain, "%s.pem", client);
	snprintf(key, sizeof key, "%s.key", client);
	struct tls_ctx *t = pki_context(server, &(struct tls_settings){.client_chain = pki_path(chain),
		.client_key = pki_path(key)});
	xmpp_proxy_set_tls(o->proxy, t);
	tls_ctx_unref(t);
}

void org_tls(struct org *o, const char *certificate)
{
	org_tls_slots(o, certificate, certificate);
}

void org_send_octets(struct org *o, const char *to, const char *id, size_t octets)
{
	struct buf b;
	struct xmpp_ticket t = {.tell_sent = true, .confirm = o->confirm, .acked_only = o->acked_only};
	uint64_t n;
	assert_true(slice_u64(slice_str(id), UINT32_MAX, &n));
	t.id = n;
	loop_touch(o->worker.loop);
	buf_init(&b, 4 << 20);
	buf_printf(&b, "<message from='u@%s' to='v@%s' id='%s'><body>", o->domain, to, id);
	while (b.len < octets)
		buf_puts(&b, "0123456789");
	buf_puts(&b, "</body></message>");
	xmpp_proxy_send(o->proxy, slice_str(o->domain), slice_str(to), buf_slice(&b), &t);
	buf_free(&b);
}

void org_send(struct org *o, const char *to, const char *id)
{
	org_send_octets(o, to, id, 0);
}

struct counting {
	const char *state;
	bool inbound;
	unsigned n;
};

static void count(void *arg, const struct xmpp_proxy_facts *f)
{
	struct counting *c = arg;
	c->n += f->inbound == c->inbound && (!c->state || !strcmp(f->state, c->state));
}

unsigned org_streams(struct org *o, const char *state, bool inbound)
{
	struct counting c = {state, inbound, 0};
	xmpp_proxy_each(o->proxy, count, &c);
	return c.n;
}

/* ---- fixtures */

int orgs_group_setup(void **state)
{
	static const struct {
		const char *name;
		struct pki_spec spec;
		bool self;
	} leaf[] = {
		{"a", {.san = "DNS:a.test"}, false},
		{"b", {.san = "DNS:b.test"}, false},
		{"b2", {.san = "DNS:b.test"}, false},
		{"wrong", {.san = "DNS:other.test"}, false},
		{"old", {.san = "DNS:b.test", .from_s = -7200, .to_s = -3600}, false},
		{"self", {.san = "DNS:b.test"}, true},
	};
	(void)state;
	pki_dir_make();
	struct pki ca = pki_make(&(struct pki_spec){.cn = "Test CA", .ca = 1}, NULL);
	pki_write("ca", &ca, NULL);
	for (size_t i = 0; i < sizeof leaf / sizeof *leaf; i++) {
		struct pki_spec s = leaf[i].spec;
		s.cn = leaf[i].name;
		s.eku = "serverAuth,clientAuth";
		pki_issue(leaf[i].name, &s, leaf[i].self ? NULL : &ca, NULL);
	}
	pki_free(&ca);
	journal_open();
	return 0;
}

int orgs_group_teardown(void **state)
{
	(void)state;
	journal_close();
	pki_dir_remove();
	return 0;
}

int orgs_begin(void **state)
{
	struct orgs *o = MEM_NEW(struct orgs);
	buf_clear(&journal);
	orgs_setup(o);
	org_tls(&o->a, "a");
	org_tls(&o->b, "b");
	*state = o;
	return 0;
}

int orgs_end(void **state)
{
	orgs_teardown(*state);
	mem_free(*state);
	return 0;
}

/* ---- strangers */

int stranger_connect(const struct org *to, unsigned host)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000000 + host)};
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(org_port(to)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof from), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

void stranger_send(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void stranger_read(struct orgs *o, int fd, struct buf *b)
{
	char x[4096];
	turn(o->loop, 20);
	for (ssize_t n; (n = recv(fd, x, sizeof x, MSG_DONTWAIT)) > 0;)
		buf_put(b, slice_of(x, (size_t)n));
}
