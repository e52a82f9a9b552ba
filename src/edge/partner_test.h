/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of partners have in common (edge/xmpp_test.h, edge/sip_test.h): each step is told as it ends, with what was seen. */
#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/reason.h"
#include "edge/xmpp_history.h"
#include "net/tls.h"

struct partner_test_event {
	const char *step;    /* e.g. "policy" "dns" "tcp" "tls"; "verdict" at the end */
	const char *outcome; /* "ok" "failed" "warning" "skipped"; "note": something on the way */
	uint32_t at_ms, took_ms; /* since the beginning of the test, of the step (0 for a note) */
	struct slice text;   /* one line */
	const struct log_kv *facts; /* what else is known; keys are stable */
	size_t n_facts;
	/* Only with "failed" and "verdict": */
	enum reason reason;
	enum xmpp_who who;
};

struct partner_test_ops {
	/* Slices are valid during the call. "verdict" comes exactly once, as the last one, unless the test is cancelled. */
	void (*event)(void *arg, uint64_t id, const struct partner_test_event *e);
};

/* What a certificate and its connection say, as facts of a step: protocol, cipher, alpn, resumed, subject, names, issuer, not-after, usage,
 * trusted, why-not, serial, spki-sha256. */
enum { PARTNER_TEST_CERTIFICATE = 13 };
struct partner_test_certificate {
	struct log_kv facts[PARTNER_TEST_CERTIFICATE]; /* their slices point here and to the certificate */
	char until[CLOCK_TEXT], usage[64];
	struct buf names, pin;
};
void partner_test_certificate_init(struct partner_test_certificate *ret, const struct tls_peer *c);
void partner_test_certificate_free(struct partner_test_certificate *t);
/* "serverAuth, clientAuth", "any" where it does not say. */
void partner_test_usage(const struct tls_peer *c, char *ret, size_t size);
