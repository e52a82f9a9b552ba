/* SPDX-License-Identifier: Apache-2.0 */
/* A gateway in a house of its own: a real SIP stack towards a home that the test plays, proven streams from partners that the
 * test plays, a store in memory, a virtual clock (also clock_unix). Everything that goes out is written into one log in short
 * form, in order:
 *
 *   S 403 MESSAGE policy/contact-required                     a SIP response, with its Entente-Reason
 *   S MESSAGE sip:romeo@contoso.test 'text'                   a SIP request
 *   S SUBSCRIBE sip:romeo@contoso.test 3600                   with its Expires
 *   S INVITE sip:romeo@contoso.test m=message 5060 sip null   with its first medium
 *   S NOTIFY active ID-balcony:open,dnd,'note'                with its state and document ("-" for none)
 *   X presence/subscribe romeo@contoso.test>juliet@fabrikam.test
 *   X presence romeo@contoso.test/desk>juliet@fabrikam.test away 'note'
 *   X message juliet@...>romeo@... 'text'                     and errors: X message/error a>b not-allowed/cancel
 *   store +watch juliet@fabrikam.test romeo@contoso.test      what was made
 * durable */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/buf.h"
#include "gateway/gateway.h"
#include "gateway/seen.h"

enum { HOUSE_SENT = 8192, HOUSE_RECORDS = 256, HOUSE_LINKS = 8, HOUSE_RECEIPTS = 65536, HOUSE_UNIX = 1600000000 };

enum house_link {
	LINK_FINE,
	LINK_SILENT /* never reported */,
	LINK_BAD /* refused at once with `why` */,
	LINK_QUEUED, /* by house_release */
	LINK_HANDED, /* in two steps: handed over at once, the rest by house_release */
	LINK_SLOW /* the same, of a stream that acknowledges */
};

struct house_sent { /* a SIP message that went out */
	char *bytes;
	size_t len;
};

struct house_record {
	char *key, *value; /* NULL: free */
};

struct house_entry { /* of the journal */
	struct gateway_queued q;
	char *partner, *pair, *octets;
	size_t n_octets;
	bool durable, reading;
};

struct house_ticket {
	struct gateway_ticket ticket;
	bool used;
};

struct house {
	struct timers timers;
	struct arena_pool *arenas;
	struct snapshot_slot policy;
	uint64_t generation;
	struct xmpp_service service;
	struct gateway_config cfg;
	struct sip_stack *stack;
	struct record_log *records;
	struct gateway *gateway;
	struct buf log;
	/* For worlds that look at everything themselves: each SIP message and each stanza as it goes out. From inside the gateway: keep a
	 * copy, do nothing else. NULL: none. */
	void (*out)(void *arg, bool stanza, struct slice bytes);
	void *out_arg;
	struct house_sent sent[HOUSE_SENT];
	int n_sent;
	char *stanza;      /* the last one that went out */
	enum gateway_dialect dialect, learned; /* of the home: as set, as found out; AUTO */
	bool no_home;      /* ops->home says no */
	bool slow_disk;    /* the test says gateway_stored */
	bool dying;        /* what is sent now is lost with the process */
	bool home_unreachable; /* nothing can be sent */
	bool udp;          /* the home is reached by UDP */
	bool msrp;         /* there is a place for MSRP, without TLS */
	uint64_t msrp_line, msrp_closed; /* the last one that was opened, closed */
	char msrp_to[256]; /* whereto: host and fingerprint */
	struct buf msrp_out;
	enum house_link link;
	enum reason why;
	struct house_ticket queued[512];
	struct house_record contacts[HOUSE_RECORDS], watches[HOUSE_RECORDS], dialogs[HOUSE_RECORDS];
	unsigned puts;     /* dialog_put calls */
	struct buf seen;   /* what seen_put wrote */
	unsigned seen_puts, seen_purges;
	bool killed;       /* nothing is written any more: what is under way when the process dies */
	bool journal;      /* there is one: house_journal */
	bool disk_full, disk_failing; /* it has no room; what it took comes to nothing */
	int64_t jump;      /* of the time of day, by which queued texts do not grow old */
	unsigned room_for; /* so many entries more; 0: any number */
	bool disk_unread, disk_busy; /* what is read cannot be read just now; no reads are taken */
	bool crashed;      /* house_stop: the process dies of a signal that leaves a mark */
	bool bare;         /* stanzas come over streams without acknowledgements */
	bool alone;        /* a suspect goes alone */
	struct gateway_under_way under_way;
	struct {
		uint64_t name;
		unsigned crashes;
	} suspects[64];    /* that were under way when it crashed; name 0: free */
	struct house_entry entries[HOUSE_RECORDS];
	uint64_t n_entries;
	unsigned journal_puts, journal_reads;
	struct timer disk;
	uint64_t stream;   /* on which stanzas come; 0: each on its own */
	struct house_stream *streams[HOUSE_LINKS];
	int branch;
	const char *watcher;
	/* every stanza has a receipt; at the end each must have come back, but for those that a stopped gateway took along */
	uint64_t n_receipts, n_done;
	uint64_t unreported; /* what LINK_SILENT holds back */
	bool done[HOUSE_RECEIPTS];
	uint64_t receipt_streams[HOUSE_RECEIPTS + 1];
};

/* Partners: fabrikam.test (federated), verified.test, public.test (unverified), off.test (disabled). Home: contoso.test. */
struct house *house_new(void);
void house_free(struct house *h);
/* Another policy: types of fabrikam.test, or -1 for no such partner. */
void house_policy(struct house *h, int fabrikam, bool enabled, bool xmpp_access);
/* The gateway and its stack end (as if killed, or orderly) and begin again with what the store holds. */
void house_restart(struct house *h, uint64_t down_ms);
void house_start(struct house *h);
/* From now on there is a journal; the gateway begins anew. */
void house_journal(struct house *h);
/* Entries in it. */
unsigned house_journaled(const struct house *h);
/* house_journal.c, for house.c */
void house_journal_ops(struct gateway_ops *ops);
void house_journal_load(struct house *h);
void house_journal_crash(struct house *h);
void house_disk_fired(struct timer *t, uint64_t now);
void house_entry_drop(struct house_entry *e);
void house_stop(struct house *h);

/* Time goes by. */
void house_pass(struct house *h, uint64_t ms);

/* The log since the last look is exactly this; it is forgotten. */
#define expect(h, want) house_expect((h), (want), __FILE__, __LINE__)
void house_expect(struct house *h, const char *want, const char *file, int line);
/* As many entries contain this; all is forgotten. */
#define expect_count(h, part, n) house_count((h), (part), (n), __FILE__, __LINE__)
void house_count(struct house *h, const char *part, int n, const char *file, int line);

/* ---- the home speaks */
/* A raw message; \n become CRLF, Content-Length is added. */
void home_says(struct house *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One whole message as it stands. What does not parse is answered as the edge would. */
void house_sip_in(struct house *h, struct slice bytes);
/* A MESSAGE from romeo@contoso.test or another to a SIP address. */
void home_message(struct house *h, const char *from, const char *to, const char *text);
/* Answers the last request with this method (or the one before it ...: back 1, 2). `extra` header lines with \n. */
void home_answers(struct house *h, const char *method, int back, int status, const char *extra);
/* SUBSCRIBE of a SIP user; call_id names the dialog; to_tag NULL opens it. */
void home_subscribes(struct house *h, const char *call_id, unsigned cseq, const char *from, const char *to, const char *to_tag,
		     int expires);
/* NOTIFY in the dialog of our last SUBSCRIBE to this address (and, when h->watcher is set, from that one). state:
 * "active;expires=3600". */
void home_notifies(struct house *h, const char *user, unsigned cseq, const char *state, const char *body);
#define PIDF(user, tuples) "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:" user "'>" tuples "</presence>"
#define OPEN(id, more) "<tuple id='" id "'><status><basic>open</basic>" more "</status></tuple>"
#define SHOW(s) "<show xmlns='jabber:client'>" s "</show>"

/* The n-th last (0: last) SIP message that went out and begins so; parsed in *a, which the caller releases. */
struct sip_msg *house_sip(struct house *h, struct arena **a, const char *start, int back);
/* Does that message have this text? */
bool house_sip_has(struct house *h, const char *start, int back, const char *text);
/* To tag of the response that opened the dialog with this Call-ID; static buffer. */
const char *house_tag(struct house *h, const char *call_id);

/* ---- the partner speaks: a stanza over its stream to contoso.test */
void partner_says(struct house *h, const char *domain, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* <presence from= to= type=>inner</presence>; type NULL: available. The domain is that of `from`. */
void partner_presence(struct house *h, const char *from, const char *to, const char *type, const char *inner);
void partner_message(struct house *h, const char *from, const char *to, const char *text);
/* Reports the stanzas that LINK_QUEUED held back. */
void house_release(struct house *h, enum reason reason);
void house_link(struct house *h, const char *partner, bool up);

/* Forgets the log and what was sent, but for the last `keep` messages. */
void house_forget(struct house *h, int keep);

/* The store knows that the local user has the other as contact. */
void house_contact(struct house *h, struct slice local, struct slice remote);
size_t house_records(const struct house_record *r);
