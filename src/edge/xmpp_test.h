/* SPDX-License-Identifier: Apache-2.0 */
/* Testing a partner: one outbound stream, made as a link makes it (dialer, connection, TLS, stream engine), watched step by step,
 * with a ping (XEP-0199) at its end. The streams that carry messages are not touched. Also for a domain that is no partner: the
 * rules are then given with the test, and only what a test needs is let through: no stanza but the ping passes on its stream, and
 * an inbound stream of such a domain may only ask whether a dialback key is ours.
 *
 * The ping's answer comes on a stream that the partner's server opens to us, on any worker: when it does not, we reach them, but
 * they do not reach us. */
#pragma once
#include "base/err.h"
#include "edge/partner_test.h"
#include "edge/xmpp_proxy.h"
#include "net/worker.h"

enum { XMPP_TESTS_MAX = 4 }; /* at once in the whole process */

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

/* Steps: policy, dns, tcp, stream, tls, auth, ping. On the worker that owns the remote domain; `p` has `tests` in its
 * configuration. Events may come before this returns. ENTENTE_ELIMIT: too many tests run; ENTENTE_EINVAL: `local` is not a domain
 * of ours, or `remote` is; ENTENTE_ECLOSED: the server is shutting down. */
int xmpp_test_start(struct xmpp_proxy *p, const struct xmpp_test_spec *spec, const struct partner_test_ops *ops, void *arg,
		    struct entente_err *err);
/* On the same worker. Unknown ids are ignored. */
void xmpp_test_cancel(struct xmpp_proxy *p, uint64_t id);
