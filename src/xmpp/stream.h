/* SPDX-License-Identifier: Apache-2.0 */
/* XMPP server-to-server streams (RFC 6120, RFC 7590, XEP-0178, XEP-0220, XEP-0185, XEP-0198, XEP-0288, XEP-0478) without I/O:
 * bytes, TLS facts, time and answers come in by function calls, everything else goes out through struct xmpp_stream_ops.
 *
 * A stream carries stanzas in one direction: a receiver (the other side connected) delivers them, an initiator (we connected)
 * sends them. Where both sides agree (XEP-0288: inside TLS only, before authentication) it carries them in both: a receiver also
 * sends for the pairs that the peer has proven, an initiator also delivers what comes from domains that the peer's certificate
 * proves. It serves one or more pairs of a local and a remote domain; each pair is proven by itself. Nothing reaches stanza()
 * without a proven pair, handed on as a struct xmpp_peer, which only this engine can make.
 *
 * The owner: makes the connection, starts the stream, feeds it, does TLS when asked, finds out what the authoritative server says
 * when asked, and frees the stream after close(). One thread; timers of the configuration's queue. Every function but
 * xmpp_stream_input may be called from inside any callback, xmpp_stream_free included (no callback follows it). Domains given to
 * and by the engine are prepared (xmpp/jid.h). Slices in callbacks are valid during the call only.
 *
 * After authentication an element in and a stanza out allocate nothing but the element's arena. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/timer.h"
#include "xmpp/dialback.h"
#include "xmpp/identity.h"
#include "xmpp/jid.h"
#include "xmpp/negotiation.h"
#include "xmpp/xml.h"

struct xmpp_stream;

/* ---- the proven other end */

enum xmpp_proof {
	XMPP_PROOF_EXTERNAL,    /* SASL EXTERNAL: certificate */
	XMPP_PROOF_DIALBACK,    /* the domain's authoritative server vouched (initiator: the peer accepted our key) */
	XMPP_PROOF_CERTIFICATE, /* dialback request granted on the strength of the certificate, where policy allows (XEP-0344) */
	XMPP_PROOF_DANE,        /* SASL EXTERNAL, the certificate vouched for by DNSSEC (RFC 7673) */
};
const char *xmpp_proof_text(enum xmpp_proof p); /* "external" "dialback" "certificate" "dane" */

/* A proven pair of domains. Opaque: made by the engine only, lives as long as its stream. */
struct xmpp_peer;
struct slice xmpp_peer_local(const struct xmpp_peer *p);
struct slice xmpp_peer_remote(const struct xmpp_peer *p);
enum xmpp_proof xmpp_peer_proof(const struct xmpp_peer *p);
bool xmpp_peer_encrypted(const struct xmpp_peer *p); /* proven and used inside TLS */
/* A copy that lives as long as the arena, to travel with a stanza to another thread; NULL when the arena is exhausted. */
const struct xmpp_peer *xmpp_peer_copy(struct arena *a, const struct xmpp_peer *p);

/* The peer of a stanza that our own edge process has taken from a proven stream and handed over by the link: for the receiving
 * end of the room link alone, which knows by mutual TLS who vouches. NULL when the arena is exhausted. */
const struct xmpp_peer *xmpp_peer_vouched(struct arena *a, struct slice local, struct slice remote, enum xmpp_proof proof,
	bool encrypted);

/* ---- what the engine is told */

/* The rules for one pair of domains. */
struct xmpp_stream_policy {
	bool local_ours;  /* the local domain is one of ours */
	bool remote_ours; /* the remote domain is one of ours too: never accepted from outside */
	bool partner;     /* streams with the remote domain are allowed */
	bool verify;      /* without being one it may ask whether a dialback key is ours, nothing else (a test of it runs) */
	enum xmpp_need tls, sasl;
	bool dialback, lenient;   /* see xmpp/negotiation.h */
	bool trust_certificate;   /* grant dialback requests without calling back when the certificate proves the domain */
	bool bidi;                /* stanzas of both directions on one stream (XEP-0288), where the configuration has it too */
	size_t max_stanza;        /* octets of one element from this partner after authentication; 0: the configuration's */
	struct slice refusal;     /* text to the remote administrator when partner is false; empty: a standard text */
	bool barred;              /* the certificate that the peer has shown on this connection (or that it shows none) must not be accepted,
				     whatever else it proves: a pin. Dialback questions of the other side are still answered */
};

/* What a TLS handshake found out. Copied. */
struct xmpp_tls_info {
	struct slice protocol, cipher;  /* "TLSv1.3", "TLS_AES_256_GCM_SHA384" */
	bool certificate;               /* the peer gave one */
	bool trusted;                   /* its chain is valid and it may be used by a server */
	struct slice why;               /* when not trusted: "certificate has expired" */
	struct xmpp_cert_names names;
	/* DANE proved the certificate for the stream's remote domain: as good as trusted, with that name. */
	bool dane;
	/* The name of the server stands in it, and a DNSSEC-secure SRV record led there (RFC 7712 5.1): as good as the domain's
	 * name. */
	bool delegated;
	/* Not empty: the certificate must not be accepted, nor any other proof on this stream (TLSA records that it does not fit,
	 * a pin): one line why. */
	struct slice barred;
	enum reason barred_reason;
};

/* Shared by the streams of one worker; must outlive them. */
struct xmpp_stream_config {
	struct timers *timers;
	struct arena_pool *pool;
	struct xmpp_dialback_secrets secrets;
	struct slice features;          /* ready XML added to the last features (entity capabilities) */
	uint32_t auth_ms;               /* receiver: from start to the first proven pair */
	uint32_t setup_ms;              /* initiator: the same */
	uint32_t dialback_ms;           /* one answer to one dialback question, either side */
	uint32_t close_ms;              /* patience for the other side's closing tag */
	uint32_t ping_ms;               /* a space is sent when we sent nothing for so long, earlier if the peer is impatient
					   (XEP-0478); 0: never */
	uint32_t idle_ms;               /* clean close when no stanza passed for so long; 0: never */
	/* nothing came for so long: the parser's memory is given back until something does; 0: never */
	uint32_t rest_ms;
	size_t max_early;               /* octets of one element before authentication */
	size_t max_stanza;              /* and after it; a larger one is skipped (oversize), twice as large it ends the stream */
	size_t max_out;                 /* we never send a larger one; the peer may announce less (XEP-0478) */
	unsigned max_depth, max_attributes; /* of XML; 0: xml_limits_default */
	bool acks;                      /* acknowledgements (XEP-0198) are offered and used, without resumption */
	uint32_t ack_ms;                /* initiator: an acknowledgement is awaited, and not an octet came for so long: the peer is
					   dead; 0: never */
	bool bidi;                      /* XEP-0288 is offered and used, as far as the policy allows */
	unsigned max_pairs;             /* of one stream */
	unsigned max_pending;           /* dialback questions outstanding on one stream */
};
/* The numbers: 30 s, 60 s, 25 s, 5 s, 5 min, 30 min, 5 s; 10000, 256 KiB, 256 KiB; acknowledgements, 5 min; XEP-0288; 64, 16. A
 * random dialback secret. */
void xmpp_stream_config_defaults(struct xmpp_stream_config *c);

/* ---- dialback questions between streams */

/* "Is `key` what the authoritative server of `remote` made for us (`local`), on our stream `id`?" */
struct xmpp_verify {
	struct slice local, remote, id, key;
};
enum xmpp_verdict {
	XMPP_VALID,
	XMPP_INVALID,
	XMPP_UNDECIDED, /* nobody could be asked, or the answer was an error */
};

/* ---- what the engine says */

enum xmpp_side { XMPP_SIDE_NONE, XMPP_SIDE_LOCAL, XMPP_SIDE_REMOTE };

struct xmpp_failure {
	struct entente_err err;  /* reason, and one line for an administrator */
	const char *stage;       /* xmpp_stream_state_text of where it happened */
	struct slice condition;  /* the stream error, empty when there was none */
	struct slice text;       /* its text */
	bool received;           /* the peer sent it; else we did */
	enum xmpp_side fault;    /* who has to change something, as far as one can tell from here */
};

enum xmpp_trace {
	XMPP_TRACE_IN, XMPP_TRACE_OUT, /* raw XML: has message bodies and keys, for a guarded trace only */
	XMPP_TRACE_STEP,               /* negotiation step, safe to log */
	XMPP_TRACE_ODD,                /* something wrong was tolerated or ignored, safe to log */
};

/* Names a delivered stanza whose sender's server counts what was taken (XEP-0198). Whoever decides the stanza's fate gives the
 * receipt back once, when nothing can be lost any more: then, and not before, the stanza is acknowledged. Plain data: copy it,
 * send it over process borders. */
struct xmpp_receipt {
	uint64_t stream; /* which one, over all restarts: set by the owner of the stream (0 from the engine) */
	/* of the stanza on it, 1 is the first that is counted; 0: nobody counts, there is nothing to give back */
	uint64_t number;
	unsigned worker; /* where the stream lives: set by the owner too */
	uint32_t place;  /* of whoever takes the stanza: 0 at first */
};

/* A stanza that passed all checks of the stream. */
struct xmpp_stanza {
	const struct xmpp_peer *peer;
	struct xml_node *node;
	struct arena *arena;           /* holds node and addresses; yours now: arena_release */
	struct xmpp_jid from, to;      /* from.domain and to.domain are the peer's pair */
	struct xmpp_receipt receipt;   /* to be given back by xmpp_stream_done */
};

struct xmpp_stream_ops {
	/* The rules. `local` or `remote` may be empty when the peer did not name itself or us yet: then give the loosest rules
	 * that any partner has (partner true, local_ours true); the decision is made again with names before anything is granted.
	 */
	struct xmpp_stream_policy (*policy)(void *arg, struct slice local, struct slice remote);
	/* Send. Gathered: a header and its features come in one piece. */
	void (*write)(void *arg, struct slice bytes);
	/* Send what was written, then start TLS (as server when receiver, as client when initiator, server name = remote domain;
	 * for direct TLS ALPN "xmpp-server");
	 * then call xmpp_stream_tls_up or _failed. Octets of the peer that were read together with what asked for TLS are dropped
	 * by the engine. */
	void (*start_tls)(void *arg);
	/* Send what was written, then end the connection. Exactly once, the last callback. */
	void (*close)(void *arg);
	/* A pair is proven: a receiver may deliver for it, an initiator may send for it. */
	void (*established)(void *arg, const struct xmpp_peer *peer);
	/* A pair was refused and the stream goes on; the first pair of an initiator ends in failed() instead. */
	void (*pair_failed)(void *arg, struct slice local, struct slice remote, const struct entente_err *err);
	/* Receiver, or XEP-0288: a stanza. Ownership of the arena passes. */
	void (*stanza)(void *arg, struct xmpp_stanza *st);
	/* The same for a stanza of a proven pair with an address whose local part or resource nobody can use (`which` is "from"
	 * or "to"). One user's odd resource must not end the stream of a whole domain: answer jid-malformed or drop. Domains in
	 * the peer. Ownership of the arena passes. */
	void (*misaddressed)(void *arg, const struct xmpp_peer *peer, struct xml_node *node, struct arena *a, const char *which);
	/* The same for a stanza of a proven pair that was skipped because it is too large, too deep or too manifold: `node` is
	 * its tag with from, to, id and type. Answer policy-violation. NULL: such a stanza ends the stream. */
	void (*oversize)(void *arg, const struct xmpp_peer *peer, struct xml_node *node, struct arena *a);
	/* Receiver: ask the authoritative server of v->remote (xmpp_stream_verify on a stream to it, never on this one), then
	 * call xmpp_stream_verify_done. */
	void (*verify)(void *arg, const struct xmpp_verify *v);
	/* Initiator: the answer to xmpp_stream_verify; condition is why it is undecided ("remote-server-timeout"). v->key is
	 * empty. */
	void (*verified)(void *arg, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition);
	/* With xmpp_stream_acks: the peer has taken the first `n` stanzas of this stream (n as xmpp_stream_send counts them);
	 * also when it turns out that it does not acknowledge at all: then nothing more is to be awaited. May be NULL. */
	void (*acked)(void *arg, uint64_t n);
	/* The stream failed. At most once, before close(); a clean end has none. What was not sent yet must bounce. */
	void (*failed)(void *arg, const struct xmpp_failure *f);
	/* May be NULL. */
	void (*trace)(void *arg, enum xmpp_trace what, struct slice text);
};

/* ---- life */

struct xmpp_stream *xmpp_stream_new_receiver(const struct xmpp_stream_config *cfg, const struct xmpp_stream_ops *ops, void *arg);
/* `verify_only`: never authenticates, only asks dialback questions; closes by itself when all are answered. */
struct xmpp_stream *xmpp_stream_new_initiator(const struct xmpp_stream_config *cfg, const struct xmpp_stream_ops *ops, void *arg,
					      struct slice local, struct slice remote, bool verify_only);
/* Accepts NULL; returns NULL. Outstanding questions are dropped without a callback. */
struct xmpp_stream *xmpp_stream_free(struct xmpp_stream *s);

/* The connection is there. */
void xmpp_stream_start(struct xmpp_stream *s);
/* The same with TLS at once (XEP-0368): start_tls() is asked for before anything else, and STARTTLS is neither offered nor taken
 * inside. Where the rules switch TLS off an initiator fails. */
void xmpp_stream_start_direct(struct xmpp_stream *s);
void xmpp_stream_input(struct xmpp_stream *s, struct slice bytes);
/* The handshake that start_tls() asked for. Also a certificate that is missing, untrusted or for another name comes by tls_up:
 * whether it is needed is decided here. */
void xmpp_stream_tls_up(struct xmpp_stream *s, const struct xmpp_tls_info *info);
void xmpp_stream_tls_failed(struct xmpp_stream *s, struct slice why);
/* The connection is gone (`why` empty: the peer ended it orderly). */
void xmpp_stream_disconnected(struct xmpp_stream *s, struct slice why);

/* One stanza, ready as bytes in the jabber:server namespace. ENTENTE_EAGAIN: no pair is proven yet; ENTENTE_ECLOSED: too late;
 * ENTENTE_ELIMIT: larger than the peer takes (answer policy-violation to the sender); ENTENTE_EREFUSED: a receiver without
 * XEP-0288 does not send. The owner asks xmpp_stream_peer for the pair first. */
int xmpp_stream_send(struct xmpp_stream *s, struct slice stanza);
/* Will the peer acknowledge the stanzas that are sent (XEP-0198)? If so, *ret_n is how many were sent on this stream so far. */
bool xmpp_stream_acks(const struct xmpp_stream *s, uint64_t *ret_n);
/* The fate of the delivered stanza with this receipt number is final: delivered, answered, or refused with an error that was
 * sent. The acknowledgements say how many stanzas are done from the first without a gap, so the order of the calls does not
 * matter; they go out gathered, once a turn at most. A number that was not delivered, is done already, or is 0 is ignored. May be
 * called from inside stanza(). */
void xmpp_stream_done(struct xmpp_stream *s, uint64_t number);
/* How many delivered stanzas are not done yet. */
size_t xmpp_stream_pending(const struct xmpp_stream *s);
/* How far the oldest of them is behind the newest stanza: one octet of memory for eight. At XMPP_PENDING_MAX the stream fails
 * with resource-constraint; do not read on when it comes near. */
uint64_t xmpp_stream_pending_span(const struct xmpp_stream *s);
enum { XMPP_PENDING_MAX = 1 << 20 };
/* The proven pair, or NULL. */
const struct xmpp_peer *xmpp_stream_peer(const struct xmpp_stream *s, struct slice local, struct slice remote);
/* The rules have changed: proven pairs that ops->policy does not allow any more, or not by the method that proved them, are gone,
 * each with pair_failed(); a stanza of theirs ends the stream as if they had never been proven. Returns how many are left; what
 * to do with a stream that has none is for the owner. */
unsigned xmpp_stream_review(struct xmpp_stream *s);
/* Initiator, open: proves one more pair by dialback; ends in established() or pair_failed(). ENTENTE_EEXIST; ENTENTE_EAGAIN: not
 * open yet; ENTENTE_EUNSUPPORTED: the peer does not do dialback, or (another remote domain) not dialback errors;
 * ENTENTE_EREFUSED: by policy; ENTENTE_ELIMIT. */
int xmpp_stream_add(struct xmpp_stream *s, struct slice local, struct slice remote);

/* Initiator: asks the peer, as authoritative server of v->remote, now or as soon as the stream can. Ends in verified() exactly
 * once unless the stream is freed. ENTENTE_EINVAL on a receiver or for another remote domain than the stream's, ENTENTE_ECLOSED,
 * ENTENTE_ELIMIT. */
int xmpp_stream_verify(struct xmpp_stream *s, const struct xmpp_verify *v);
/* Receiver: the answer to verify(). Ignored when nobody waits for it any more. `condition` for XMPP_UNDECIDED: a stanza error
 * condition of XEP-0220 2.4.2, empty for remote-server-not-found. */
void xmpp_stream_verify_done(struct xmpp_stream *s, const struct xmpp_verify *v, enum xmpp_verdict verdict,
			     struct slice condition);

/* Closes cleanly: closing tag, the other side's is awaited, then close(). Harmless when closing. */
void xmpp_stream_close(struct xmpp_stream *s);
/* Closes with a stream error of RFC 6120 4.9.3 ("system-shutdown", "reset"); no failed(). */
void xmpp_stream_close_error(struct xmpp_stream *s, const char *condition, struct slice text);

/* ---- looking at it */

enum xmpp_stream_state {
	XMPP_STREAM_NEW,       /* not started */
	XMPP_STREAM_HEADER,    /* the peer's header is awaited, at first or after TLS or SASL */
	XMPP_STREAM_FEATURES,  /* initiator: features are awaited */
	XMPP_STREAM_STARTTLS,  /* initiator: asked for TLS */
	XMPP_STREAM_TLS,       /* the handshake runs */
	XMPP_STREAM_NEGOTIATE, /* receiver: features are out, nothing proven yet */
	XMPP_STREAM_SASL,      /* initiator: EXTERNAL is on its way */
	XMPP_STREAM_DIALBACK,  /* initiator: our key is being verified */
	XMPP_STREAM_VERIFY,    /* initiator, verify_only: questions can be asked */
	XMPP_STREAM_OPEN,      /* at least one pair is proven */
	XMPP_STREAM_CLOSING,   /* our closing tag is out */
	XMPP_STREAM_CLOSED,
};
const char *xmpp_stream_state_text(enum xmpp_stream_state st);

struct xmpp_stream_info {
	bool initiator, verify_only;
	enum xmpp_stream_state state;
	struct slice local, remote;      /* of the header, empty when not given */
	struct slice id;                 /* identifier given by the receiving side, of the present header */
	bool tls;
	struct slice tls_protocol, tls_cipher;
	bool certificate_trusted;
	enum xmpp_identity identity;     /* how the certificate proves `remote` */
	struct slice certificate_why;    /* why it does not */
	unsigned pairs;                  /* proven */
	uint64_t stanzas_in, stanzas_out, bytes_in, bytes_out;
	uint64_t started, opened;        /* time of the timer queue; 0: not yet */
	size_t peer_max_stanza;          /* XEP-0478; 0: not announced */
	bool peer_dialback, peer_dialback_errors;
	bool bidi;                       /* both directions (XEP-0288) */
	bool peer_ended;                 /* the peer ended it, or the connection */
	bool peer_closed;                /* its closing tag came: it has read what went before ours */
	bool acks;                       /* stanzas are acknowledged (XEP-0198) */
	uint64_t unacked;                /* sent, not acknowledged yet */
	uint64_t pending;                /* delivered, not done yet */
	bool resting;                    /* nothing came for rest_ms, and there is no parser */
};
/* Slices live as long as the stream stays in this state. */
void xmpp_stream_info(const struct xmpp_stream *s, struct xmpp_stream_info *ret);
