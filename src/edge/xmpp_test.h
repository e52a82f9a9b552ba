/* SPDX-License-Identifier: Apache-2.0 */
/* Testing a partner: one outbound stream, made as a link makes it (dialer, connection, TLS, stream engine), watched step by step, with
 * a ping (XEP-0199) at its end. The streams that carry messages are not touched. Also for a domain that is no partner: the rules
 * are then given with the test, and only what a test needs is let through: no stanza but the ping passes on its stream, and an
 * inbound stream of such a domain may only ask whether a dialback key is ours.
 *
 * The ping's answer comes on a stream that the partner's server opens to us, on any worker: when it does not, we reach them, but
 * they do not reach us. */
#pragma once
#include "base/err.h"
#include "base/log.h"
#include "edge/xmpp_history.h"
#include "edge/xmpp_proxy.h"
#include "net/worker.h"

enum { XMPP_TESTS_MAX = 4, XMPP_TEST_FACTS = 16 }; /* tests at once in the whole process; facts of one event */

/* Which tests run, for all workers. */
struct xmpp_tests;
struct xmpp_tests *xmpp_tests_new(void);
/* No test may run any more. Accepts NULL; returns NULL. */
struct xmpp_tests *xmpp_tests_free(struct xmpp_tests *t);

struct xmpp_test_spec {
	uint64_t id;                   /* the caller's, not 0, never used twice */
	struct slice local, remote;    /* prepared domains */
	/* Instead of the partner's settings where given; of a domain that is no partner, instead of the defaults. */
	bool set_tls, set_sasl, set_dialback;
	enum policy_negotiation tls, sasl;
	bool dialback;
	struct slice host;             /* not empty: this server, no SRV */
	uint16_t port;
	uint32_t timeout_ms;           /* for everything */
};

struct xmpp_test_event {
	const char *step;    /* "policy" "dns" "tcp" "stream" "tls" "auth" "ping", "verdict" at the end */
	const char *outcome; /* "ok" "failed" "warning" "skipped"; "note": something on the way */
	uint32_t at_ms, took_ms; /* since the beginning of the test, of the step (0 for a note) */
	struct slice text;   /* one line */
	const struct log_kv *facts; /* what else is known; keys are stable */
	size_t n_facts;
	/* Only with "failed" and "verdict": */
	enum reason reason;
	enum xmpp_who who;
};

struct xmpp_test_ops {
	/* Slices are valid during the call. "verdict" comes exactly once, as the last one, unless the test is cancelled. */
	void (*event)(void *arg, uint64_t id, const struct xmpp_test_event *e);
};

/* On the worker that owns the remote domain; `p` has `tests` in its configuration. Events may come before this returns.
 * ENTENTE_ELIMIT: too many tests run; ENTENTE_EINVAL: `local` is not a domain of ours, or `remote` is; ENTENTE_ECLOSED: the server
 * is shutting down. */
int xmpp_test_start(struct xmpp_proxy *p, const struct xmpp_test_spec *spec, const struct xmpp_test_ops *ops, void *arg,
		    struct entente_err *err);
/* On the same worker. Unknown ids are ignored. */
void xmpp_test_cancel(struct xmpp_proxy *p, uint64_t id);
