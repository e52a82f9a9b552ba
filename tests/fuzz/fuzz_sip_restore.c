/* SPDX-License-Identifier: Apache-2.0 */
/* Saved subscriptions as a damaged store would give them back. What is accepted can be saved and read again, and its
 * NOTIFY is well-formed. */
#include <stdlib.h>
#include "sip/notifier.h"

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
	sip_notifier_free(again);
	sip_stack_free(s);
	timers_free(&timers);
	return 0;
}
