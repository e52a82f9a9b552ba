/* SPDX-License-Identifier: Apache-2.0 */
/* DNS with DNSSEC status, by libunbound on its own thread. Asked from any worker, answered on the same worker. The cache is
 * libunbound's: when no server answers, an answer that it still has is given although its time is over (RFC 8767); `secure` is then what it was. Records come parsed and checked; malformed ones are left out. RFC 1035, 2782, 3403, 6698. */
#pragma once
#include "net/addr.h"
#include "net/worker.h"

enum dns_type { DNS_A = 1, DNS_AAAA = 28, DNS_SRV = 33, DNS_NAPTR = 35, DNS_TLSA = 52 };

enum dns_status {
	DNS_OK,       /* at least one usable record */
	DNS_NODATA,   /* the name exists, not with this type (or with none that can be used) */
	DNS_NXDOMAIN,
	DNS_SERVFAIL, /* servers unreachable or failing; other response codes too */
	DNS_BOGUS,    /* DNSSEC says that the answer is forged or broken: a failure, never "no record" */
	DNS_TIMEOUT,
	DNS_LIMIT,    /* too many queries in flight, or an impossible name */
	DNS_GONE,     /* the resolver was freed */
};
const char *dns_status_text(enum dns_status s);

enum { DNS_RECORDS_MAX = 64, DNS_NAME_MAX = 253 };

struct dns_record { /* names in lower case, no final dot */
	enum dns_type type;
	union {
		struct addr addr; /* A, AAAA: port 0 */
		struct {
			uint16_t priority, weight, port;
			struct slice target; /* empty: the service is decidedly absent (RFC 2782 ".") */
		} srv;
		struct {
			uint16_t order, preference;
			struct slice flags, service, regexp, replacement;
		} naptr;
		struct {
			uint8_t usage, selector, matching;
			struct slice data;
		} tlsa;
	};
};

struct dns_answer { /* valid inside the callback only; all slices NUL-terminated except tlsa.data */
	enum dns_status status;
	enum dns_type type;
	bool secure;      /* DNSSEC-validated; false: the zone is not signed or no trust anchor is configured */
	bool late;        /* it took DNS_STALE_AFTER_MS or longer: its time may be over, and what did not exist then may exist now */
	uint32_t ttl;     /* seconds */
	struct slice name, canonical; /* asked for; after CNAMEs (may equal name) */
	unsigned cnames;  /* how many aliases led there */
	const struct dns_record *records;
	size_t n;
	struct slice why; /* text for a failure: "SERVFAIL", libunbound's bogus reason, ... */
};

struct dns_opts {
	const char *const *servers;    /* forwarders, "192.0.2.1", "192.0.2.1@5353", "::1"; NULL = system's resolv.conf */
	size_t n_servers;
	const char *resolv_conf;       /* NULL = /etc/resolv.conf; "" = none (full recursion from the root) */
	const char *hosts;             /* NULL = /etc/hosts; "" = none */
	const char *trust_anchor_file; /* DS or DNSKEY records; NULL = no validation */
	unsigned timeout_ms;           /* of one question, and of all that finding one destination takes (dns_patience); 0 = 4000 */
	unsigned in_flight;            /* asked at the same time; 0 = 512 */
	unsigned waiting;              /* that wait until fewer are; more are answered DNS_LIMIT. Their time runs. 0 = 16384 */
};

enum {
	DNS_TIMEOUT_MS = 4000, /* whoever sends a message waits five seconds for an answer, and some of it is not ours */
	/* Who knows an answer that is too old gives it after this time, when the servers have said nothing better (RFC 8767) ... */
	DNS_STALE_AFTER_MS = 1000,
	DNS_STALE_FOR_S = 86400, /* ... for so long after its end */
};

struct dns;
struct dns_query;

/* `home` (the control worker) carries libunbound's results; its thread makes and frees the resolver. */
int dns_new(struct dns **ret, struct worker *home, const struct dns_opts *o, struct entente_err *err);
/* How long all questions together may take that find one destination (SRV, addresses, TLSA), ms: opts.timeout_ms. Whoever asks one
 * after the other keeps the time himself. Any thread; NULL: DNS_TIMEOUT_MS. */
unsigned dns_patience(const struct dns *d);

/* On home's thread. Queries still open are answered DNS_GONE. Accepts NULL; returns NULL. Nobody may ask any more.
 * Messages on their way stay valid; frees itself when the last one is back. */
struct dns *dns_free(struct dns *d);

/* On the asking worker's thread (`self`). `done` comes exactly once, later, on that thread, unless cancelled. Never NULL.
 * A name that is not plain letters, digits, hyphens and underscores in dotted labels, or too long, is answered DNS_LIMIT.
 * The final dot is optional. */
struct dns_query *dns_ask(struct dns *d, struct worker *self, struct slice name, enum dns_type type,
	void (*done)(void *arg, const struct dns_answer *a), void *arg);
/* On the asking thread, before `done`: it will not come. Accepts NULL; returns NULL. */
struct dns_query *dns_cancel(struct dns_query *q);

struct dns_counts {
	uint64_t asked, ok, nodata, nxdomain, failed, bogus, timeout, limit;
	unsigned in_flight, waiting;
};
/* On home's thread. */
void dns_counts(const struct dns *d, struct dns_counts *ret);
