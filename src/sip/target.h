/* SPDX-License-Identifier: Apache-2.0 */
/* Where a SIP URI leads (RFC 3263 4, RFC 2782): from the URI to an ordered list of transport, address and port.
 * Sans-I/O: the machine asks DNS questions, the owner looks them up (in any order, in parallel) and feeds the answers.
 * Not thread-safe. Limits: SIP_TARGETS_MAX addresses, SIP_TARGET_SRV_MAX SRV records per name; what exceeds them is
 * cut, best first. */
#pragma once
#include <netinet/in.h>
#include "base/err.h"
#include "base/slice.h"
#include "sip/flow.h"
#include "sip/uri.h"

enum { SIP_TARGETS_MAX = 32, SIP_TARGET_SRV_MAX = 16, SIP_TARGET_NAME_MAX = 256 };

enum sip_dns { SIP_DNS_NAPTR, SIP_DNS_SRV, SIP_DNS_A, SIP_DNS_AAAA };

struct sip_target_config {
	enum sip_transport transports[3]; /* that we speak, best first */
	size_t n_transports;
	enum sip_transport fallback;      /* sip: with an IP literal, a port, or no SRV (RFC 3263 4.1: UDP) */
	bool naptr;                       /* ask NAPTR first */
	struct slice federation;          /* service "_sipfederationtls._tcp": asked alone, TLS; empty for the normal way */
	bool federation_fallback;         /* no such record: go on with the normal way */
	bool ipv4, ipv6;                  /* families to look up; IPv6 first within one name */
	uint64_t (*draw)(void *arg, uint64_t below); /* uniform in [0, below); NULL: rand_below */
	void *draw_arg;
};

struct sip_target_question {
	unsigned id;
	enum sip_dns type;
	struct slice name; /* lives as long as the machine */
};

struct sip_target_record {
	struct slice name;       /* SRV target, NAPTR replacement */
	uint16_t priority, weight, port; /* SRV; NAPTR: order, preference, - */
	struct slice service, flags;     /* NAPTR: "SIPS+D2T", "s" */
	struct in_addr a;
	struct in6_addr aaaa;
};

struct sip_target_entry {
	enum sip_transport transport;
	struct sockaddr_storage addr; /* with port */
	struct slice host;            /* whose address it is, for TLS and log; lives as long as the machine */
};

struct sip_target;

/* ENTENTE_EINVAL for a URI that is not sip or sips or has no host; ENTENTE_EUNSUPPORTED when it demands a transport
 * that we do not speak (or sips over UDP). */
int sip_target_new(struct sip_target **ret, const struct sip_uri *uri, const struct sip_target_config *config);
struct sip_target *sip_target_free(struct sip_target *t);
/* The next question to ask; false when there is none now (answers are outstanding, or all is done). */
bool sip_target_ask(struct sip_target *t, struct sip_target_question *ret);
/* `failed`: no answer (timeout, SERVFAIL, bogus); else n may be 0 for none. */
void sip_target_answer(struct sip_target *t, unsigned id, bool failed, const struct sip_target_record *records, size_t n);
bool sip_target_done(const struct sip_target *t);
/* The result after done, in the order to try; n == 0: nothing found. `*ret_failed` (may be NULL): some look-up failed,
 * so that "none" is not certain. */
const struct sip_target_entry *sip_target_entries(const struct sip_target *t, size_t *ret_n, bool *ret_failed);
