/* SPDX-License-Identifier: Apache-2.0 */
/* Saved subscriptions and sessions as a damaged store would give them back. What is accepted can be saved and read again, and its
 * NOTIFY or MESSAGE is well-formed. */
#include <stdlib.h>
#include "sip/notifier.h"
#include "sip/session.h"

#define MUST(x)                                                                                                                  \
	do {                                                                                                                     \
		if (!(x))                                                                                                        \
			abort();                                                                                                 \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_send(void *arg, const struct sip_flow *to, struct slice bytes)
{
	(void)arg;
	(void)to;
	(void)bytes;
	return 0;
}

static void on_request(void *arg, struct sip_server_trans *st, struct sip_msg *m, struct arena *a, const struct sip_flow *from)
{
	(void)arg;
	(void)st;
	(void)m;
	(void)from;
	arena_release(NULL, a);
}

/* A text that fits no header: the notifier ends itself. */
static void on_failed(void *arg, int status, bool local)
{
	(void)status;
	(void)local;
	*(struct sip_notifier **)arg = NULL;
}

static void on_sent(void *arg, void *token, const struct sip_session_result *r)
{
	(void)arg, (void)token, (void)r;
}

static void on_ended(void *arg, const struct sip_session_end *e)
{
	(void)e;
	*(struct sip_session **)arg = NULL;
}

static void session(struct sip_stack *stack, struct timers *timers, struct slice text)
{
	static const struct sip_session_ops ops = {.sent = on_sent, .ended = on_ended};
	static const struct sip_session_request message = {.method = SIP_MESSAGE, .content_type = {"text/plain", 10}, .body = {"x", 1}};
	struct sip_session *one = NULL, *two = NULL;
	struct buf a, b;
	if (sip_session_restore(&one, stack, &text, 1700000000, &ops, &one))
		return;
	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	if (one && sip_session_save(one, 1700000000, &a)) {
		struct slice in = buf_slice(&a);
		MUST(sip_session_restore(&two, stack, &in, 1700000000, &ops, &two) == ENTENTE_EEXIST);
		sip_session_forget(one);
		in = buf_slice(&a);
		MUST(sip_session_restore(&two, stack, &in, 1700000000, &ops, &two) == 0 && !in.len);
		MUST(sip_session_save(two, 1700000000, &b) && slice_eq(buf_slice(&a), buf_slice(&b)));
		sip_session_send(two, &message);
		timers_run(timers, timers->now + 100000);
		sip_session_free(two);
	} else {
		sip_session_free(one);
	}
	buf_free(&a);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct sip_stack_ops ops = {.send = on_send, .request = on_request};
	static const struct sip_notifier_ops watch = {.failed = on_failed};
	static const struct sip_stack_config stack_config;
	static const struct sip_notifier_config config = {.contact = {"<sip:gw@x>", 10}};
	struct timers timers;
	struct sip_notifier *n = NULL, *again = NULL;
	struct buf b;
	timers_init(&timers, 1000);
	struct sip_stack *s = sip_stack_new(&ops, NULL, &timers, &stack_config);
	if (sip_notifier_restore(&n, s, slice_of((const char *)data, size), 1700000000, &config, &watch, &again) == 0) {
		buf_init(&b, 1 << 20);
		sip_notifier_save(n, 1700000000, &b);
		MUST(sip_notifier_restore(&again, s, buf_slice(&b), 1700000000, &config, &watch, &again) == ENTENTE_EEXIST);
		sip_notifier_free(n);
		MUST(sip_notifier_restore(&again, s, buf_slice(&b), 1700000000, &config, &watch, &again) == 0);
		sip_notifier_set(again, SIP_SUB_ACTIVE, S("text/plain"), S("x"));
		buf_free(&b);
	}
	session(s, &timers, slice_of((const char *)data, size));
	sip_notifier_free(again);
	sip_stack_free(s);
	timers_free(&timers);
	return 0;
}
