/* SPDX-License-Identifier: Apache-2.0 */
/* Testing a SIP partner step by step, as the Access Edge would reach it: the policy; DNS (_sipfederationtls._tcp, or the one server that is
 * configured) with Lync's rule that the server stands directly below the domain; and of each address TCP, TLS with the certificate and what
 * it is for on both sides, the identity rule (the same policy_sip_prove that judges requests), and an OPTIONS there and back. On
 * connections of its own: those that carry requests are not touched. The domain need not be allowed, and sip.external-listen need not be
 * set; nothing is let in by a test.
 *
 * Steps: policy, dns, tcp, tls, identity, options. All addresses are tried, the verdict is "ok" when one of them answers; else it is the
 * failure that came farthest.
 *
 * Thread: its worker's. */
#pragma once
#include "base/err.h"
#include "edge/partner_test.h"
#include "net/dns.h"
#include "net/tls.h"
#include "policy/snapshot.h"

/* Tests at once on one worker; addresses of one test; how long an address may take to connect, for TLS, to answer. */
enum { SIP_TESTS_MAX = 4, SIP_TEST_ADDRESSES = 16, SIP_TEST_WAIT_MS = 8000 };

struct sip_tests;

struct sip_tests_config {
	struct worker *worker;
	struct dns *dns;
	struct snapshot_slot *policy;
	struct slice name;      /* ours with the port, for Via and Contact: "sip.contoso.com:5061"; borrowed */
	uint16_t port;          /* of a server that is given without one; 0: 5061 */
};
struct sip_tests *sip_tests_new(const struct sip_tests_config *cfg);
/* Tests that run end without a verdict, unless sip_tests_end came before. Accepts NULL; returns NULL. */
struct sip_tests *sip_tests_free(struct sip_tests *t);
void sip_tests_set_tls(struct sip_tests *t, struct tls_ctx *tls);
/* The server is shutting down: each gets that verdict. */
void sip_tests_end(struct sip_tests *t);

struct sip_test_spec {
	uint64_t id;                /* the caller's, not 0, never used twice */
	struct slice local, remote; /* domains in lower-case A-labels */
	struct slice host;          /* not empty: this server, no SRV; it alone is then believed, as with proxy-fqdn */
	uint16_t port;              /* 0: as configured */
	uint32_t timeout_ms;        /* for everything */
};
/* Events may come before this returns. ENTENTE_ELIMIT: too many tests run; ENTENTE_EINVAL: `local` is not a domain of ours, or `remote`
 * is; ENTENTE_ETLS: we have no certificate. */
int sip_test_start(struct sip_tests *t, const struct sip_test_spec *spec, const struct partner_test_ops *ops, void *arg, struct entente_err *err);
/* Unknown ids are ignored. */
void sip_test_cancel(struct sip_tests *t, uint64_t id);
