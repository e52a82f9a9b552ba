/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at what passes, live: SIP messages, stanzas, steps of streams; and at the SIP messages that passed lately (edge/trace_ring.h). One
 * object for all workers. When nobody looks it costs one relaxed load where something passes, and for SIP the copy of the headers; nothing
 * is put together for what no watch wants. Keys and secrets never get here; bodies only to a watch that asked for them, live. Any thread. */
#pragma once
#include <stdint.h>
#include "base/slice.h"

enum { TRACE_WATCHES = 8 };

struct trace;
struct xml_node;
struct sip_msg;

enum trace_kind { TRACE_SIP, TRACE_XMPP, TRACE_STEP };

struct trace_event { /* slices are valid during the call */
	enum trace_kind kind;
	bool out;              /* away from us */
	bool partner;          /* SIP: on the side of a SIP partner */
	int64_t at_ms;         /* since 1970; 0: now */
	struct slice peer;     /* the home, or the partner's domain */
	struct slice what;     /* "MESSAGE", "200 OK", "message chat", "STARTTLS" */
	struct slice from, to; /* addresses */
	struct slice detail;
	uint64_t stream;       /* its number, 0: none */
	size_t size, body_size;
	struct slice body;     /* p == NULL unless the watch asked for bodies */
};

struct trace_watch {
	uint64_t id;           /* the caller's, not 0 */
	struct slice partner;  /* a domain, A-labels; empty: all */
	struct slice user;     /* a bare address; empty: all. Steps of streams are then left out */
	bool bodies;
	bool failed;           /* only what failed: SIP answers from 400 on but challenges, error stanzas, failed streams */
	/* On the thread where it happens. Must not call back. */
	void (*event)(void *arg, uint64_t id, const struct trace_event *e);
	void *arg;
};

/* `keep`: octets for the SIP messages that passed lately, 0: none are kept. */
struct trace *trace_new(size_t keep);
/* Nobody may use it any more. Accepts NULL; returns NULL. */
struct trace *trace_free(struct trace *t);
/* Copies. False: TRACE_WATCHES look already. */
bool trace_watch(struct trace *t, const struct trace_watch *w);
/* No event comes after it returns. */
void trace_unwatch(struct trace *t, uint64_t id);

/* Does anybody look? t may be NULL. */
bool trace_on(const struct trace *t);
/* Keeps what passes; t may be NULL. */
void trace_keep(struct trace *t, bool out, bool partner, struct slice peer, struct slice raw);
/* What was kept since `since_ms` (since 1970), oldest first, as far as `w` wants it, the last `most` of them; with w->failed every message of a
 * transaction that failed. Returns how many more there were. w->event is called with w->id. */
size_t trace_recall(struct trace *t, const struct trace_watch *w, int64_t since_ms, size_t most);
/* Only after trace_on. `peer`: the home's name. */
void trace_sip(struct trace *t, bool out, struct slice peer, const struct sip_msg *m);
/* The same with a SIP partner; `domain` is its, as far as it is known. */
void trace_sip_partner(struct trace *t, bool out, struct slice domain, const struct sip_msg *m);
/* A stanza of a stream with `remote`. */
void trace_stanza(struct trace *t, bool out, struct slice remote, uint64_t stream, const struct xml_node *n, size_t size);
/* The same of one that was sent, from its octets in the namespace jabber:server. */
void trace_octets(struct trace *t, struct slice remote, uint64_t stream, struct slice stanza);
/* A step of a stream; remote may be empty (not known yet). */
void trace_step(struct trace *t, bool out, struct slice remote, uint64_t stream, struct slice what, struct slice detail);
