/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile peer against the whole engine: a stack with a subscriber that starts, notifiers for whoever subscribes, and
 * answers to everything else. The input is a list of packets, each ended by octet 30 (RS); a packet of "+n" lets n *
 * 100 ms pass. In packets $c, $f, $t and $v stand for Call-ID, From tag, To tag and branch of the last message that we
 * sent, so that the peer can answer it. */
#include <arpa/inet.h>
#include <stdlib.h>
#include "sip/notifier.h"
#include "sip/options.h"
#include "sip/subscriber.h"

#define MUST(x)                                                                                                                  \
	do {                                                                                                                     \
		if (!(x))                                                                                                        \
			abort();                                                                                                 \
	} while (0)

enum { NOTIFIERS = 8, PACKETS_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct timers timers;
	struct sip_stack *stack;
	struct sip_subscriber *sub;
	struct sip_notifier *notifiers[NOTIFIERS];
	char call_id[128], from_tag[64], to_tag[64], branch[128];
	bool udp, refusing;
	unsigned sent, pending;
};

static struct world *w;

static struct sip_flow flow(void)
{
	struct sip_flow f = {.transport = w->udp ? SIP_UDP : SIP_TLS, .conn = w->udp ? 0 : 7};
	struct sockaddr_in *sin = (struct sockaddr_in *)(void *)&f.remote;
	sin->sin_family = AF_INET;
	sin->sin_port = htons(5060);
	sin->sin_addr.s_addr = htonl(0xC0000201);
	return f;
}

/* Whatever we send must be well-formed and must not be more than was asked for. */
static int on_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	struct arena *a = arena_new(1 << 22);
	struct sip_msg *m;
	struct sip_fault fault;
	(void)arg;
	(void)to;
	int rc = sip_msg_parse(&m, a, bytes, &(struct sip_limits){1 << 22, 1 << 16, 1 << 22}, &fault);
	if (rc && w->refusing) { /* the answer to a faulty request repeats its faults */
		arena_release(NULL, a);
		return 0;
	}
	MUST(rc == 0);
	slice_cstr(m->call_id, w->call_id, sizeof w->call_id);
	slice_cstr(m->from.tag, w->from_tag, sizeof w->from_tag);
	slice_cstr(m->to.tag, w->to_tag, sizeof w->to_tag);
	slice_cstr(m->via.branch, w->branch, sizeof w->branch);
	arena_release(NULL, a);
	return w->sent++ % 13 == 12 ? ENTENTE_ENET : 0;
}

static void gone(void *arg)
{
	struct sip_notifier **slot = arg;
	*slot = NULL;
}

static void on_failed(void *arg, int status, bool local)
{
	(void)status;
	(void)local;
	gone(arg);
}

static const struct sip_notifier_ops notifier_ops = {NULL, gone, gone, on_failed, NULL};

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	static const struct sip_notifier_config config = {.contact = {"<sip:gw@192.0.2.2>", 18}};
	static const struct sip_options_config options = {.allow = {"MESSAGE", 7}};
	struct sip_notifier **slot = NULL;
	(void)arg;
	(void)from;
	if (st && m->method == SIP_SUBSCRIBE) {
		for (int i = 0; i < NOTIFIERS && !slot; i++)
			if (!w->notifiers[i])
				slot = &w->notifiers[i];
		if (!slot)
			sip_server_reply(st, 503);
		else if (sip_notifier_accept(slot, w->stack, st, m, &config, &notifier_ops, slot) == 0 && m->cseq % 2) {
			bool poll = sip_notifier_is_poll(*slot);
			sip_notifier_set(*slot, SIP_SUB_ACTIVE, S("text/plain"), S("x"));
			if (poll)
				*slot = NULL;
		}
	} else if (st && m->method == SIP_OPTIONS) {
		sip_options_answer(st, &options);
	} else if (st) {
		static const int statuses[] = {200, 180, 486, 408, 100, 603};
		if (m->method != SIP_MESSAGE)
			sip_server_reply(st, statuses[m->cseq % 6]);
	}
	arena_release(NULL, a);
}

static const struct sip_stack_ops stack_ops = {.send = on_send, .request = on_request};

static void on_accepted(void *arg, uint32_t expires)
{
	(void)arg;
	(void)expires;
	MUST(w->pending == 1);
}

static void on_rejected(void *arg, int status, int64_t retry_after, struct slice reason, bool local)
{
	(void)arg;
	(void)retry_after;
	(void)reason;
	(void)local;
	MUST(status >= 300);
	MUST(w->pending-- == 1);
}

static int on_notify(void *arg, const struct sip_notification *n)
{
	(void)arg;
	MUST(w->pending == 1);
	return n->body.len % 5 == 4 ? 415 : 200;
}

static void on_ended(void *arg, enum sip_ended why)
{
	(void)arg;
	(void)why;
	MUST(w->pending-- == 1);
}

static const struct sip_subscriber_ops subscriber_ops = {on_accepted, on_rejected, on_notify, on_ended, NULL};

static void on_response(void *arg, struct sip_client_trans *ct, const struct sip_msg *m, const struct sip_flow *from)
{
	unsigned *open = arg;
	(void)m;
	(void)from;
	MUST(*open);
	if (m->cseq % 3 == 2)
		sip_client_cancel(ct);
}

static void on_done(void *arg, enum sip_done why)
{
	unsigned *open = arg;
	(void)why;
	MUST((*open)-- > 0);
}

static const struct sip_client_handler client_handler = {on_response, on_done};

static void pass(uint64_t ms)
{
	uint64_t until = w->timers.now + ms;
	for (uint64_t next; (next = timers_next(&w->timers)) <= until;)
		timers_run(&w->timers, next);
	timers_set_now(&w->timers, until);
}

static void packet(struct slice in)
{
	struct buf b;
	struct arena *a = arena_new(1 << 20);
	struct sip_msg *m;
	struct sip_fault fault;
	struct sip_flow from = flow();
	buf_init(&b, 1 << 18);
	for (size_t i = 0; i < in.len; i++) {
		const char *v = NULL;
		if (in.p[i] == '$' && i + 1 < in.len) {
			char c = in.p[i + 1];
			v = c == 'c' ? w->call_id : c == 'f' ? w->from_tag : c == 't' ? w->to_tag : c == 'v' ? w->branch : NULL;
		}
		if (v) {
			buf_puts(&b, v);
			i++;
		} else {
			if (in.p[i] == '\n' && (!i || in.p[i - 1] != '\r'))
				buf_putc(&b, '\r'); /* a corpus with plain line ends can be read and edited */
			buf_putc(&b, in.p[i]);
		}
	}
	struct slice raw = arena_dup(a, buf_slice(&b));
	buf_free(&b);
	if (raw.p && sip_msg_parse(&m, a, raw, &sip_limits_default, &fault) == 0) {
		sip_stack_input(w->stack, &from, m, a);
		return;
	}
	w->refusing = true;
	if (raw.p && m)
		sip_stack_refuse(w->stack, &from, m, fault.status, slice_str(fault.text));
	w->refusing = false;
	arena_release(NULL, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sip_subscriber_config config = {.uri = {"sip:bob@b.example", 17},
							    .from = {"<sip:juliet@a.example>", 22},
							    .contact = {"<sip:gw@192.0.2.2>", 18},
							    .event = {"presence", 8}};
	static const struct sip_stack_config stack_config = {.max_server = 40, .max_client = 40};
	struct world world = {.udp = size && data[0] % 2};
	unsigned open = 0;
	w = &world;
	timers_init(&w->timers, 1000);
	w->stack = sip_stack_new(&stack_ops, NULL, &w->timers, &stack_config);
	w->sub = sip_subscriber_new(w->stack, &config, &subscriber_ops, NULL);
	struct slice rest = slice_of((const char *)data, size);
	for (int n = 0; n < PACKETS_MAX && !slice_empty(rest); n++) {
		struct slice p = slice_split(&rest, 30);
		struct sip_flow to = flow();
		uint64_t v;
		if (p.len && *p.p == '+' && slice_u64(slice_skip(p, 1), 100000, &v))
			pass(v * 100);
		else if (slice_eq(p, S("subscribe")))
			w->pending += sip_subscriber_start(w->sub, &to, 600) == 0;
		else if (slice_eq(p, S("poll")))
			w->pending += sip_subscriber_start(w->sub, &to, 0) == 0;
		else if (slice_eq(p, S("stop")))
			sip_subscriber_stop(w->sub);
		else if (slice_eq(p, S("refresh")))
			sip_subscriber_refresh(w->sub);
		else if (slice_eq(p, S("fail")))
			sip_stack_transport_failed(w->stack, &to);
		else if (slice_eq(p, S("invite")))
			open += sip_client_start(NULL, w->stack, &to,
						 S("INVITE sip:b@b SIP/2.0\r\nFrom: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: "
						   "i\r\nCSeq: 2 INVITE\r\n"
						   "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"),
						 &client_handler, &open, NULL) == 0;
		else
			packet(p);
	}
	/* In the end everything is over, each transaction told exactly once. */
	for (int i = 0; i < NOTIFIERS; i++)
		if (w->notifiers[i])
			sip_notifier_terminate(w->notifiers[i], S("deactivated"), -1, SLICE_NONE, SLICE_NONE);
	sip_subscriber_stop(w->sub);
	pass(1000000);
	MUST(open == 0);
	MUST(sip_stack_stats(w->stack)->clients == 0);
	MUST(sip_stack_stats(w->stack)->servers == 0);
	MUST(w->pending == 0 && !sip_subscriber_running(w->sub));
	sip_subscriber_free(w->sub);
	sip_stack_free(w->stack);
	timers_free(&w->timers);
	return 0;
}
