/* SPDX-License-Identifier: Apache-2.0 */
/* The decision log: what became of each message and request, in memory. A ring of slots of one size, one for each worker and that
 * worker's alone: no lock, no allocation, the oldest slot is taken again. Addresses, identifiers and what was decided are
 * kept, as far as a slot has room; never what was written.
 *
 * The number of a record is the trace ID that stands in log lines (`trace`), in `entente show messages` and in `entente explain
 * --message`. It grows with time, also over a restart, and names the worker; a number whose slot is taken by another one is not
 * found any more. All functions accept a log that is NULL, and the number 0: then nothing is recorded. */
#pragma once
#include "policy/decide.h"

enum {
	RECORD_SLOT = 512,      /* octets */
	RECORD_HOPS = 8,        /* of one message; when there are more, the last one is overwritten */
	RECORD_ID_TEXT = 17,    /* with its NUL */
	RECORD_WORKERS = 256,
};

enum record_what {
	RECORD_WAITS,     /* for DNS, a stream, a connection, or its turn */
	RECORD_GIVEN,     /* to the stream of the partner's domain, which sends it when it is up */
	RECORD_SENT,      /* to `via` */
	RECORD_HEARD,     /* an answer of `via`: status */
	RECORD_AGAIN,     /* another server or connection is tried: reason or status tells why */
	RECORD_TOLD,      /* the sender was answered: status of SIP, 0: by a stanza; reason, if it is a refusal */
	RECORD_DROPPED,   /* on purpose, without a word: it was nothing for the other network */
	RECORD_WHAT_COUNT
};
const char *record_what_name(enum record_what w); /* "waits" "given" ... */

enum record_outcome {
	RECORD_OPEN,      /* under way, or its end was not seen */
	RECORD_DELIVERED, /* the other side took it */
	RECORD_REFUSED,   /* by us, before it left: policy or limits, or it cannot be translated */
	RECORD_FAILED,    /* it could not be delivered, or the other side refused it */
	RECORD_IGNORED,   /* dropped on purpose */
};
const char *record_outcome_name(enum record_outcome o);
bool record_outcome_parse(enum record_outcome *ret, struct slice text);

struct record_hop {
	uint32_t ms;      /* since the record began */
	uint16_t status;  /* SIP, or 0 */
	uint8_t what;     /* enum record_what */
	uint8_t reason;   /* enum reason, or 0 */
};

struct record { /* one slot */
	uint64_t id;         /* 0: empty */
	int64_t at_ms;       /* since 1970 */
	uint64_t began;      /* of the worker's clock */
	uint64_t generation; /* of the policy that decided; 0: it was not asked */
	uint64_t key;        /* hash of the sender's identifier, also where its text did not fit */
	const char *rule, *detail; /* that decided, static; NULL: policy was not asked */
	uint32_t conn;       /* low half of the number of the connection or stream it came by */
	uint16_t home;       /* 1 + index; 0: none */
	uint8_t reason;      /* enum reason: of the verdict, later of what failed */
	uint8_t kind, direction, outcome, cls, identity, mark; /* the enumerations of policy/decide.h; outcome: above */
	bool sip, transit, allowed, asked, contact, cut; /* sip: network; asked: policy was; cut: some text was too long */
	uint8_t n_hops;
	uint8_t from_len, to_len, key_len, peer_len, method_len, via_len, partner_len;
	struct record_hop hops[RECORD_HOPS];
	char text[]; /* from, to, key, peer, method, then via, partner; see record_text */
};
enum record_text { RECORD_FROM, RECORD_TO, RECORD_KEY, RECORD_PEER, RECORD_METHOD, RECORD_VIA, RECORD_PARTNER };
/* RECORD_KEY: Call-ID, or id of the stanza. RECORD_PEER: what the connection that it came by has proved: a domain, or a name of the certificate; of a
 * home, nothing. RECORD_VIA: where it went: server, or home. RECORD_PARTNER: the partner's first domain, where it is another one than the address's. */
struct slice record_text(const struct record *r, enum record_text which);

struct record_log;

/* `octets`: for this worker; less than one slot: returns NULL. `now`: its clock in ms, read whenever something is recorded.
 * `unix_ms`: the time of day now. */
struct record_log *record_log_new(size_t octets, unsigned worker, const uint64_t *now, int64_t unix_ms);
/* Accepts NULL; returns NULL. */
struct record_log *record_log_free(struct record_log *l);

struct record_start {
	enum policy_kind kind;
	enum policy_direction direction;
	bool sip;                           /* between SIP organisations; else with an XMPP partner */
	struct slice from, to, key, method; /* addresses as they came; method: of SIP, or empty */
	uint64_t conn;
};
/* Begins a record; its number, never 0 unless l is NULL. */
uint64_t record_begin(struct record_log *l, const struct record_start *s);
/* What was decided about it. A later verdict (other side of a clearing house; the connection is there) stands in its place. `q` gives contact
 * and mark. A no ends the record, unless it is about a connection to a SIP partner: then whoever finds no other one ends it. */
void record_verdict(struct record_log *l, uint64_t id, const struct policy_verdict *v, const struct policy_question *q, uint64_t generation);
/* RECORD_PEER and RECORD_VIA; the last one counts. */
void record_peer(struct record_log *l, uint64_t id, struct slice peer);
void record_via(struct record_log *l, uint64_t id, struct slice via);
void record_hop(struct record_log *l, uint64_t id, enum record_what what, int status, enum reason reason);
/* Its end; RECORD_REFUSED and RECORD_FAILED with the reason (REASON_NONE: the other side's answer says it). One that has ended stays as it is, but for
 * a failure after what was taken for delivered. */
void record_end(struct record_log *l, uint64_t id, enum record_outcome o, enum reason reason);

/* ---- reading: on the worker's thread */
/* NULL: not of this log, or its slot was taken. */
const struct record *record_find(const struct record_log *l, uint64_t id);
/* From the newest to the oldest; until fn says false. */
void record_each(const struct record_log *l, bool (*fn)(void *arg, const struct record *r), void *arg);
size_t record_count(const struct record_log *l);
size_t record_room(const struct record_log *l);

void record_id_print(uint64_t id, char dst[RECORD_ID_TEXT]);
/* The same as a slice, for log lines; empty for 0. */
struct slice record_id_text(uint64_t id, char dst[RECORD_ID_TEXT]);
/* 16 hexadecimal digits. */
bool record_id_parse(uint64_t *ret, struct slice text);
unsigned record_id_worker(uint64_t id);
