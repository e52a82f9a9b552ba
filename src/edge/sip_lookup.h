/* SPDX-License-Identifier: Apache-2.0 */
/* One look-up of a SIP URI in DNS (RFC 3263, 2782): drives sip/target.h with net/dns.h. For homes and for partners alike.
 * It takes dns_patience() at most. Thread: its worker's. Limits: those of sip/target.h, and LOOKUP_QUESTIONS at the same time. */
#pragma once
#include "net/dns.h"
#include "sip/target.h"

struct sip_lookup;

struct sip_lookup_config {
	struct dns *dns;
	struct worker *worker;
	const struct sip_uri *uri;              /* only during sip_lookup_new */
	const struct sip_target_config *target; /* likewise, but draw_arg is kept */
	/* What was found, in the order to try; valid until sip_lookup_free, which may be called from here. `unsure`: DNS has failed for a part
	 * of it, so that none, or these few, is not certain. */
	void (*done)(void *arg, const struct sip_target_entry *e, size_t n, bool unsure);
	void *arg;
	/* Each answer as it comes, before it counts; may be NULL. */
	void (*seen)(void *arg, const struct dns_answer *a);
};

/* Begins; `done` comes exactly once, unless the look-up is freed before: for a literal address from inside this call, after *ret is set, else later.
 * As sip_target_new: ENTENTE_EINVAL, ENTENTE_EUNSUPPORTED; *ret is then untouched and done does not come. */
int sip_lookup_new(struct sip_lookup **ret, const struct sip_lookup_config *cfg);
/* At any time. Accepts NULL; returns NULL. */
struct sip_lookup *sip_lookup_free(struct sip_lookup *l);
