/* SPDX-License-Identifier: Apache-2.0 */
/* What subscriptions cost: heap of each, both ways, and processor time of a refresh. A test for a few thousand, with limits; called with a
 * number it holds so many and prints the figures:
 *
 *   test_gateway_footprint 100000 */
#include <malloc.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "../external.h"
#include "../xmpp/stream_rig.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "sip/build.h"

/* Octets of heap that one subscription may take: all of its records, the subscription's dialog, both maps and the timers. */
enum { MOST_TO_SIP = 1800, MOST_TO_XMPP = 2150 };
enum { CONTACTS = 100 /* of each user */, WARM = 1000 /* before the count begins */, LINE = 4096 };

static struct {
	struct timers timers;
	struct arena_pool *arenas;
	struct snapshot_slot policy;
	struct xmpp_service service;
	struct sip_stack *stack;
	struct gateway *gateway;
	struct rig rig;
	struct end in, out; /* ours, the partner's */
	struct xmpp_stream_ops ops;
	struct buf wire;    /* what was sent to the home and is not answered yet: length, octets */
	uint64_t n_stanzas, n_subscribes, n_notifies;
	unsigned branch;
	char (*tags)[16]; /* To tags of the dialogs that SIP users opened */
} t;

int64_t __wrap_clock_unix(void);
int64_t __wrap_clock_unix(void)
{
	return 1600000000 + (int64_t)(t.timers.now / 1000);
}

/* ---- what the gateway asks for */

static int on_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	(void)arg;
	(void)to;
	buf_put(&t.wire, slice_of((const char *)&bytes.len, sizeof bytes.len));
	buf_put(&t.wire, bytes);
	return 0;
}

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	(void)arg;
	gateway_request(t.gateway, st, m, a, from);
}

static void on_xmpp_send(void *arg, struct slice local, struct slice remote, struct slice stanza, const struct gateway_ticket *k)
{
	(void)arg;
	(void)local;
	(void)remote;
	(void)stanza;
	t.n_stanzas++;
	if (k->id && k->tell_sent)
		gateway_sent(t.gateway, k, REASON_NONE, SLICE_NONE);
}

static void on_stanza_done(void *arg, const struct xmpp_receipt *r)
{
	(void)arg;
	(void)r;
}

static bool on_home(void *arg, uint32_t home, struct gateway_home *ret)
{
	(void)arg;
	(void)home;
	ret->flow = (struct sip_flow){.transport = SIP_TCP, .conn = 7, .target = 0};
	ret->contact = S("sip:gw.contoso.test:5060;transport=tcp");
	return true;
}

static void on_contact_put(void *arg, struct slice local, struct slice remote, enum gateway_how how)
{
	(void)arg, (void)local, (void)remote, (void)how;
}

static bool on_watch_put(void *arg, struct slice watcher, struct slice presentity)
{
	(void)arg, (void)watcher, (void)presentity;
	return false;
}

static void on_watch_delete(void *arg, struct slice watcher, struct slice presentity)
{
	(void)arg, (void)watcher, (void)presentity;
}

static void on_dialog_put(void *arg, struct slice id, struct slice local, struct slice remote, struct slice blob, int64_t expires_at)
{
	(void)arg, (void)id, (void)local, (void)remote, (void)blob, (void)expires_at;
}

static void on_dialog_delete(void *arg, struct slice id)
{
	(void)arg, (void)id;
}

static const struct gateway_ops ops = {
	.xmpp_send = on_xmpp_send,
	.stanza_done = on_stanza_done,
	.home = on_home,
	.contact_put = on_contact_put,
	.watch_put = on_watch_put,
	.watch_delete = on_watch_delete,
	.dialog_put = on_dialog_put,
	.dialog_delete = on_dialog_delete,
};

/* ---- the home: accepts everything, and says where its users are */

static void sip_in(struct slice bytes)
{
	struct sip_flow from = {.transport = SIP_TCP, .conn = 7, .target = 0};
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&from.remote;
	struct arena *a = arena_acquire(t.arenas);
	struct sip_msg *m;
	struct sip_fault fault;
	*sin = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xC0000201), .sin_port = htons(5060)};
	assert_int_equal(sip_msg_parse(&m, a, arena_dup(a, bytes), &sip_limits_default, &fault), 0);
	sip_stack_input(t.stack, &from, m, a);
}

static void home_says(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void home_says(const char *fmt, ...)
{
	char text[LINE];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	assert_true(n > 0 && n < LINE);
	sip_in(slice_of(text, (size_t)n));
}

static void notify(const struct sip_msg *m, uint32_t expires)
{
	char body[LINE];
	int n = snprintf(body, sizeof body,
			 "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='%.*s'><tuple id='t1'><status><basic>open</basic></status>"
			 "<contact priority='0.8'>%.*s</contact><note>at the desk</note></tuple></presence>",
			 SFMT(m->to.uri_text), SFMT(m->to.uri_text));
	home_says("NOTIFY sip:gw.contoso.test:5060 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKn%u\r\nMax-Forwards: 70\r\n"
		  "From: <%.*s>;tag=hometag\r\nTo: <%.*s>;tag=%.*s\r\nCall-ID: %.*s\r\nCSeq: %u NOTIFY\r\n"
		  "Contact: <sip:192.0.2.1:5060;transport=tcp>\r\nEvent: presence\r\nSubscription-State: active;expires=%u\r\n"
		  "Content-Type: application/pidf+xml\r\nContent-Length: %d\r\n\r\n%s",
		  ++t.branch, SFMT(m->to.uri_text), SFMT(m->from.uri_text), SFMT(m->from.tag), SFMT(m->call_id), m->cseq, expires, n, body);
}

static void answer(struct slice bytes)
{
	struct arena *a = arena_acquire(t.arenas);
	struct sip_msg *m;
	struct sip_fault fault;
	struct buf b;
	assert_int_equal(sip_msg_parse(&m, a, arena_dup(a, bytes), &sip_limits_default, &fault), 0);
	if (!m->is_request) {
		unsigned long i;
		if (m->status >= 300)
			fail_msg("refused: %.*s", SFMT(bytes));
		if (t.tags && m->cseq_method == SIP_SUBSCRIBE && sscanf(m->call_id.p, "call-%lu@", &i) == 1)
			slice_cstr(m->to.tag, t.tags[i], sizeof t.tags[i]);
		arena_release(t.arenas, a);
		return;
	}
	buf_init(&b, 1 << 16);
	sip_build_response(&b, m, 200, SLICE_NONE, S("hometag"), false, SLICE_NONE, 0);
	sip_build_header(&b, SIP_H_CONTACT, S("<sip:192.0.2.1:5060;transport=tcp>"));
	if (m->method == SIP_SUBSCRIBE)
		sip_build_header_uint(&b, SIP_H_EXPIRES, 3600);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	sip_in(buf_slice(&b));
	buf_free(&b);
	if (m->method == SIP_SUBSCRIBE) {
		t.n_subscribes++;
		notify(m, 3600);
	} else {
		t.n_notifies++;
	}
	arena_release(t.arenas, a);
}

static void settle(void)
{
	while (t.wire.len) {
		size_t len;
		memcpy(&len, buf_slice(&t.wire).p, sizeof len);
		char *copy = mem_strndup(buf_slice(&t.wire).p + sizeof len, len);
		buf_consume(&t.wire, sizeof len + len);
		answer(slice_of(copy, len));
		mem_free(copy);
	}
}

static void pass(uint64_t ms)
{
	uint64_t until = t.timers.now + ms;
	for (uint64_t next; (next = timers_next(&t.timers)) <= until;) {
		timers_run(&t.timers, next > t.timers.now ? next : t.timers.now);
		settle();
	}
	timers_set_now(&t.timers, until);
}

/* ---- the partner */

static void to_gateway(void *arg, struct xmpp_stanza *st)
{
	(void)arg;
	gateway_stanza(t.gateway, st);
}

static void partner_says(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void partner_says(const char *fmt, ...)
{
	char text[LINE];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	assert_true(n > 0 && n < LINE);
	assert_int_equal(xmpp_stream_send(t.out.s, slice_of(text, (size_t)n)), 0);
	pump(&t.in, &t.out, 0);
	assert_false(t.in.closed || t.out.closed);
	buf_clear(&t.out.wire); /* the rig keeps everything */
	settle();
}

/* ---- life */

static void policy(void)
{
	static const struct slice domains[] = {S("contoso.test")};
	struct snapshot_builder *b = snapshot_builder_new();
	struct policy_home home = {.name = S("contoso"), .next_hop = S("sip:192.0.2.1;transport=tcp"), .transport = POLICY_TCP,
				   .domains = domains, .n_domains = 1};
	struct policy_partner p = {.domain = S("fabrikam.test")};
	struct policy_gateway g;
	everybody_may(b);
	assert_int_equal(snapshot_builder_home(b, &home, NULL), 0);
	policy_partner_defaults(&p);
	p.type = POLICY_FEDERATED;
	assert_int_equal(snapshot_builder_partner(b, &p, NULL), 0);
	policy_gateway_defaults(&g);
	g.xmpp_access = true;
	snapshot_builder_gateway(b, &g);
	struct snapshot *s = snapshot_builder_freeze(b, 1);
	snapshot_slot_init(&t.policy, s);
	snapshot_unref(s);
}

static void open_stream(void)
{
	rig_init(&t.rig);
	end_init(&t.in, &t.rig, "contoso.test");
	end_init(&t.out, &t.rig, "fabrikam.test");
	t.ops = rig_ops;
	t.ops.stanza = to_gateway;
	t.in.s = xmpp_stream_new_receiver(&t.rig.cfg, &t.ops, &t.in);
	xmpp_stream_start(t.in.s);
	end_initiator(&t.out, "fabrikam.test", "contoso.test", false);
	t.in.peer = &t.out;
	t.out.peer = &t.in;
	xmpp_stream_start(t.out.s);
	pump(&t.in, &t.out, 0);
	xmpp_stream_verify_done(t.in.s, &t.in.asked, XMPP_VALID, SLICE_NONE);
	pump(&t.in, &t.out, 0);
	assert_true(happened(&t.out, "established"));
}

static int setup(void **state)
{
	struct sip_stack_config c = {.sent_by = {S("gw.contoso.test:5060"), S("gw.contoso.test:5060"), S("gw.contoso.test:5061")}};
	static const struct sip_stack_ops stack_ops = {.send = on_send, .request = on_request};
	(void)state;
	memset(&t, 0, sizeof t);
	timers_init(&t.timers, 1000000);
	t.arenas = arena_pool_new(1 << 20, 8);
	buf_init(&t.wire, 1 << 30);
	policy();
	t.service = (struct xmpp_service){.name = S("Entente"), .version = S("1"), .url = S("https://entente.example/")};
	xmpp_service_init(&t.service);
	c.pool = t.arenas;
	t.stack = sip_stack_new(&stack_ops, NULL, &t.timers, &c);
	struct gateway_config cfg = {
		.stack = t.stack, .timers = &t.timers, .arenas = t.arenas, .policy = &t.policy, .service = &t.service,
		.im = interwork_im_rules_default, .errors = interwork_error_rules_default, .subscription_expires = 3600,
		.notify_interval_ms = 5000, .error_wait_ms = 500, .max_queue = 5, .max_queue_octets = 64000,
		.max_subscriptions = 10000000, .max_conversations = 100, .xmpp_retry_ms = 10000,
	};
	t.gateway = gateway_new(&cfg, &ops, NULL);
	open_stream();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end_free(&t.in);
	end_free(&t.out);
	rig_free(&t.rig);
	t.gateway = gateway_free(t.gateway);
	t.stack = sip_stack_free(t.stack);
	snapshot_slot_destroy(&t.policy);
	arena_pool_free(t.arenas);
	assert_int_equal(t.timers.count, 0);
	timers_free(&t.timers);
	buf_free(&t.wire);
	return 0;
}

/* ---- figures */

static unsigned long wanted = 2000;
static bool loud;

static size_t heap(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

static double cpu(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void report(const char *what, size_t before, double began, size_t most)
{
	if (!before) /* a sanitizer's heap counts nothing */
		return;
	size_t each = (heap() - before) / wanted;
	if (loud)
		printf("# %s: %lu, %zu octets of heap each, %.1f us each to make\n", what, wanted, each, (cpu() - began) * 1e6 / (double)wanted);
	if (most && each > most)
		fail_msg("%s: %zu octets each, at most %zu", what, each, most);
}

static void refreshes(const char *what, uint64_t *count, uint64_t per_hour)
{
	uint64_t before = *count;
	double began = cpu();
	pass(3600000);
	if (*count - before < per_hour)
		fail_msg("%s: %llu refreshes in an hour", what, (unsigned long long)(*count - before));
	if (loud)
		printf("# %s: %.1f us of processor for each refresh, the home's part included\n", what,
		       (cpu() - began) * 1e6 / (double)(*count - before));
}

/* XMPP users watch SIP users. */
static void to_sip(void **state)
{
	(void)state;
	size_t before = 0;
	double began = 0;
	for (unsigned long i = 0; i < wanted + WARM; i++) {
		if (i == WARM) { /* pools and tables have their size */
			pass(70000);
			before = heap();
			began = cpu();
		}
		partner_says("<presence type='subscribe' from='watcher%lu@fabrikam.test' to='somebody%lu@contoso.test'/>", i / CONTACTS, i % 977 + i / CONTACTS);
		if (i % 500 == 499)
			pass(100);
	}
	pass(70000);
	assert_int_equal(t.n_subscribes, wanted + WARM);
	report("XMPP users watching SIP users", before, began, MOST_TO_SIP);
	refreshes("XMPP users watching SIP users", &t.n_subscribes, wanted);
}

static void subscribe(unsigned long i, unsigned cseq)
{
	char tag[24] = "";
	if (cseq > 1)
		snprintf(tag, sizeof tag, ";tag=%s", t.tags[i]);
	home_says("SUBSCRIBE sip:friend%lu@fabrikam.test SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKs%u\r\nMax-Forwards: 70\r\n"
		  "From: <sip:user%lu@contoso.test>;tag=t%lu\r\nTo: <sip:friend%lu@fabrikam.test>%s\r\nCall-ID: call-%lu@192.0.2.1\r\n"
		  "CSeq: %u SUBSCRIBE\r\nContact: <sip:user%lu@192.0.2.1:5060;transport=tcp>\r\nRecord-Route: <sip:192.0.2.1;lr;ftag=t%lu>\r\n"
		  "Event: presence\r\nAccept: application/pidf+xml\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n",
		  i, ++t.branch, i / CONTACTS, i, i, tag, i, cseq, i / CONTACTS, i);
	settle();
}

/* SIP users watch XMPP users, who have two resources and say something. */
static void to_xmpp(void **state)
{
	(void)state;
	t.tags = mem_calloc(wanted + WARM, sizeof *t.tags);
	size_t before = 0;
	double began = 0;
	for (unsigned long i = 0; i < wanted + WARM; i++) {
		if (i == WARM) {
			pass(70000);
			before = heap();
			began = cpu();
		}
		subscribe(i, 1);
		partner_says("<presence type='subscribed' from='friend%lu@fabrikam.test' to='user%lu@contoso.test'/>", i, i / CONTACTS);
		partner_says("<presence from='friend%lu@fabrikam.test/laptop.Qx7' to='user%lu@contoso.test'><show>away</show><status>at "
			     "lunch</status><priority>5</priority></presence>", i, i / CONTACTS);
		partner_says("<presence from='friend%lu@fabrikam.test/phone.91Ab' to='user%lu@contoso.test'><priority>1</priority>"
			     "</presence>", i, i / CONTACTS);
		if (i % 500 == 499)
			pass(100);
	}
	pass(70000);
	report("SIP users watching XMPP users", before, began, MOST_TO_XMPP);
	uint64_t notifies = t.n_notifies;
	began = cpu();
	for (unsigned long i = 0; i < wanted; i++)
		subscribe(i, 2);
	assert_int_equal(t.n_notifies - notifies, wanted); /* full state after each */
	if (loud)
		printf("# SIP users watching XMPP users: %.1f us of processor for each refresh, the home's part included\n",
		       (cpu() - began) * 1e6 / (double)wanted);
	t.tags = mem_free(t.tags);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(to_sip, setup, teardown),
		cmocka_unit_test_setup_teardown(to_xmpp, setup, teardown),
	};
	if (argc > 1) {
		wanted = strtoul(argv[1], NULL, 10);
		loud = true;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
