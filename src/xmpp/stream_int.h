/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of a stream, shared by stream.c, stream_in.c, stream_out.c, stream_dialback.c and features.c.
 *
 * Every entry point stands between stream_enter and stream_leave. Output gathers in `out`; the outermost leave writes it in one
 * piece, then starts TLS or ends the connection when that was decided. The owner may call back into the stream from any callback,
 * also to free it: it is then a shell without callbacks until the outermost leave. */
#pragma once
#include <stdarg.h>
#include "base/buf.h"
#include "base/list.h"
#include "xmpp/ack_window.h"
#include "xmpp/ns.h"
#include "xmpp/stream.h"
#include "xmpp/xml_stream.h"

struct xmpp_peer {
	struct slice local, remote;
	enum xmpp_proof proof;
	bool encrypted;
};

/* A pair of domains: proven, or waiting for the answer to a dialback question. */
struct pair {
	struct list link;
	struct xmpp_stream *s;
	struct xmpp_peer peer;
	struct timer timer;
	bool waiting, valid;
	bool delivers; /* initiator with XEP-0288: stanzas of this pair may come */
};

/* Initiator: a db:verify of ours. */
struct question {
	struct list link;
	struct xmpp_stream *s;
	struct xmpp_verify v; /* own copies, in one block with the struct */
	struct timer timer;
	bool sent;
};

enum { /* what the peer's features said; for its header see peer_db */
	FEATURE_STARTTLS = 1, FEATURE_STARTTLS_REQUIRED = 2, FEATURE_MECHANISMS = 4, FEATURE_EXTERNAL = 8, FEATURE_DIALBACK = 16,
	FEATURE_DIALBACK_ERRORS = 32, FEATURE_ACKS = 64, FEATURE_BIDI = 128,
};

struct xmpp_stream {
	const struct xmpp_stream_config *cfg;
	const struct xmpp_stream_ops *ops;
	void *arg;
	bool initiator, verify_only;
	enum xmpp_stream_state state;

	/* entry, output, end */
	unsigned depth;
	bool freed, want_tls, want_close;
	bool discard;        /* failed: what still comes is not looked at */
	bool fault_told;     /* failed() was called, or must not be */
	bool peer_closed;    /* its closing tag came */
	bool peer_ended;     /* it was the first to end the stream */
	bool peer_failed;    /* by an error: what it has read before is not known */
	struct buf out, writing;

	/* this header and what came before */
	struct xml_stream *xml;
	bool feeding, restart; /* restart: a new parser must take over after this feed */
	bool header_sent, db_declared;
	bool legacy;         /* the peer is older than XMPP 1.0: no features */
	bool peer_db;        /* it declared the dialback prefix */
	struct slice local, remote, id; /* owned */
	struct xmpp_stream_policy policy;
	struct xmpp_methods methods;

	/* TLS and SASL */
	bool secured, external_done, extended;
	bool bidi;           /* XEP-0288: agreed */
	struct xmpp_tls_info tls; /* own copies in tls_block */
	void *tls_block;
	enum xmpp_identity identity; /* of the peer's certificate for `remote` */
	unsigned auth_failures;

	unsigned features;   /* of the peer, FEATURE_* */
	size_t peer_max_stanza;
	uint32_t peer_idle_ms; /* it may end a stream that was silent for so long (XEP-0478); 0: not announced */

	/* XEP-0198 */
	bool acks;           /* what goes out: we asked the peer to count, and it did not refuse */
	bool ack_awaited;    /* an <r/> is out */
	uint64_t ack_base;   /* stanzas that went before the counting began */
	uint64_t ack_taken;  /* of stanzas_out, what the peer has acknowledged */
	struct timer ack;
	bool counts;         /* what comes: the peer wants to know */
	bool counted;        /* it did, until we said good-bye: what comes after is lost, and the peer knows it */
	struct ack_window came;
	uint64_t told, asked; /* the last <a/>, and what had come when the last <r/> did */
	struct timer news;   /* the next <a/> that nobody asks for */
	uint64_t last_in;    /* octets came last */

	struct list pairs, questions;
	unsigned n_pairs, n_pending, n_valid, n_questions;
	struct pair *recent; /* the pair of the last stanza */

	struct timer setup, patience, beat;
	struct timer rest;   /* perhaps nothing came for a while */
	bool resting;
	uint64_t started, opened, last_out, last_stanza;
	uint64_t stanzas_in, stanzas_out, bytes_in, bytes_out;
	uint64_t answered;   /* db:verify requests of the peer */
};

/* Calls back unless the owner freed the stream meanwhile. */
#define TELL(s, op, ...)                                                                           \
	do {                                                                                       \
		if (!(s)->freed)                                                                   \
			(s)->ops->op((s)->arg, ##__VA_ARGS__);                                     \
	} while (0)

/* ---- stream.c */
void stream_enter(struct xmpp_stream *s);
void stream_leave(struct xmpp_stream *s);
void stream_trace(struct xmpp_stream *s, enum xmpp_trace what, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void stream_set(struct slice *dst, struct slice src);
void stream_attr(struct buf *b, const char *name, struct slice value); /* " name='value'" */
void stream_write_header(struct xmpp_stream *s);
/* Everything learned is forgotten; a new parser waits for a new header. */
void stream_restart(struct xmpp_stream *s);
/* Asks the policy about the stream's own domains. */
void stream_judge(struct xmpp_stream *s);
/* The first pair is proven. */
void stream_open(struct xmpp_stream *s);
/* Checks namespaces and version of a header; false after a failure. */
bool stream_check_header(struct xmpp_stream *s, const struct xml_node *header, struct slice default_ns);

/* ---- stream_end.c */
/* Ends without an error: closing tag, patience. */
void stream_finish(struct xmpp_stream *s);
/* Ends with failed(). `condition` NULL: no stream error is sent. The text goes to the peer and to the administrator. */
void stream_fail(struct xmpp_stream *s, const char *condition, int code, enum reason reason, enum xmpp_side fault,
		 const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* <failure/> of STARTTLS, then the end. */
/* What an administrator has to know of a stream that the peer gave up: not how it said so, but what was missing. `condition` is
 * the stream error, empty when it just left. */
enum reason stream_cause(const struct xmpp_stream *s, struct slice condition, enum reason otherwise);
void stream_refuse_tls(struct xmpp_stream *s);
/* A <stream:error/> of the peer. */
void stream_error_received(struct xmpp_stream *s, const struct xml_node *el, struct arena *a);

/* ---- stream_info.c */
void stream_keep_tls(struct xmpp_stream *s, const struct xmpp_tls_info *info);
/* One line why the peer's certificate does not prove `remote`, NUL-terminated in `ret`. */
void stream_certificate_text(const struct xmpp_stream *s, char *ret, size_t size);
static inline bool stream_certificate_good(const struct xmpp_stream *s)
{
	return s->secured && (s->tls.dane || (s->tls.trusted && (s->tls.delegated || s->identity != XMPP_IDENTITY_NONE)));
}

/* ---- stream_in.c */
void stream_in_header(struct xmpp_stream *s, const struct xml_node *header);
void stream_in_element(struct xmpp_stream *s, struct xml_node *el, struct arena *a); /* takes the arena */
/* A stanza of either role, or what is left of one that was too much; true when the arena was passed on. */
bool stream_in_stanza(struct xmpp_stream *s, struct xml_node *el, struct arena *a, bool oversize);
static inline bool stream_may_receive(const struct xmpp_stream *s)
{
	return !s->initiator || s->bidi;
}

/* ---- stream_out.c */
void stream_out_header(struct xmpp_stream *s, const struct xml_node *header);
void stream_out_element(struct xmpp_stream *s, struct xml_node *el, struct arena *a); /* takes the arena */
void stream_out_secured(struct xmpp_stream *s);

/* ---- stream_dialback.c */
struct pair *pair_find(const struct xmpp_stream *s, struct slice local, struct slice remote);
struct pair *pair_add(struct xmpp_stream *s, struct slice local, struct slice remote);
void pair_prove(struct pair *p, enum xmpp_proof proof); /* also opens the stream */
void pair_remove(struct pair *p);
void dialback_element(struct xmpp_stream *s, const struct xml_node *el, struct arena *a);
/* Initiator: sends our key for the pair; false after a failure. */
bool dialback_request(struct xmpp_stream *s, struct pair *p);
void questions_flush(struct xmpp_stream *s);
/* Nothing will be answered any more. */
void dialback_settle(struct xmpp_stream *s, const struct entente_err *err);

/* ---- stream_acks.c */
/* Initiator, authenticated: asks the peer to count, if it offers that. */
void acks_begin(struct xmpp_stream *s);
/* Initiator: a stanza went out. */
void acks_sent(struct xmpp_stream *s);
/* A stanza is delivered. False when too many are not done. */
bool acks_came(struct xmpp_stream *s, uint64_t *ret_number);
void acks_news_fired(struct timer *t, uint64_t now);
/* The last word on what came, before the stream ends. */
void acks_finish(struct xmpp_stream *s);
void acks_element(struct xmpp_stream *s, const struct xml_node *el);
void acks_fired(struct timer *t, uint64_t now);

/* ---- features.c */
void features_write(struct xmpp_stream *s);
void features_read(struct xmpp_stream *s, const struct xml_node *features, struct arena *a);
bool features_offer_external(const struct xmpp_stream *s);
bool features_offer_starttls(const struct xmpp_stream *s);
bool features_offer_dialback(const struct xmpp_stream *s);
bool features_offer_bidi(const struct xmpp_stream *s);
/* The request, with what we take (XEP-0478). */
void features_write_bidi(struct xmpp_stream *s);
/* That of the peer. */
void features_read_bidi(struct xmpp_stream *s, const struct xml_node *bidi, struct arena *a);
