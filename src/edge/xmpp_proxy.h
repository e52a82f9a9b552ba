/* SPDX-License-Identifier: Apache-2.0 */
/* The XMPP proxy: streams with partners' servers. One instance per worker, used only on its thread.
 *
 * Inbound: accepted connections become receiving streams; each stanza that passed the stream's checks goes up through
 * ops->stanza. Outbound: a link per (local domain, remote domain), living on the worker that owns the remote domain, opened by
 * the first stanza, closed when idle. When the partner's own stream takes stanzas too (XEP-0288) and there is no link, that
 * stream becomes the link, on the worker where it is (xmpp_routes.h). Only servers of configured partners are ever called, for a
 * link or for a dialback question. Stanzas wait in the link's bounded queue while it comes up or reads slowly; what cannot be
 * sent is reported with its ticket. A link that failed refuses at once until its back-off is over; an inbound stream from that
 * domain ends the back-off (xmpp_proxy_alive). */
#pragma once
#include "base/err.h"
#include "edge/rate.h"
#include "edge/pace.h"
#include "edge/trace.h"
#include "edge/xmpp_history.h"
#include "edge/xmpp_quota.h"
#include "edge/xmpp_routes.h"
#include "edge/xmpp_seen.h"
#include "net/dns.h"
#include "net/listener.h"
#include "net/revocation.h"
#include "net/tls.h"
#include "policy/snapshot.h"
#include "xmpp/stream.h"

struct xmpp_proxy;
struct xmpp_tests;

/* Names a stanza for its owner, who may live on another worker. id 0: nobody wants to hear of it. */
struct xmpp_ticket {
	unsigned worker;
	unsigned kind;  /* the owner's */
	bool tell_sent; /* report success too */
	bool confirm;   /* in two steps, where it cannot be confirmed at once: ops->handed, then ops->sent (docs/adr/0053) */
	bool acked_only; /* for a stream that acknowledges (XEP-0198); any other refuses it before it is handed over: server/queue-full */
	uint64_t id;
};

struct xmpp_proxy_ops {
	/* A stanza of a proven pair; the arena is the callee's. Returns for how many ms this stream should not be read, as
	 * whoever takes the stanzas falls behind; 0: go on. When st->receipt.number is not 0, the receipt comes back by
	 * xmpp_proxy_done exactly once, on this worker, maybe from inside. */
	unsigned (*stanza)(void *arg, struct xmpp_stanza *st);
	/* Reason NONE: the partner's server has acknowledged the stanza (XEP-0198; docs/adr/0016), or, where it does not do that, its kernel
	 * has taken the octets while the stream lived; without ticket.confirm also: not soon, but it was handed to the stream. Any other
	 * reason: it could not be handed over, or the stream broke before that; why has one line (empty for NONE). The last word. */
	void (*sent)(void *arg, const struct xmpp_ticket *t, enum reason reason, struct slice why);
	/* With ticket.confirm: it was handed to the stream, and is not confirmed yet (acks: the stream acknowledges, but has not within
	 * ack_wait_ms); `sent` follows. May be NULL. */
	void (*handed)(void *arg, const struct xmpp_ticket *t, bool acks);
	/* The link to a partner came up, or went down and was not closed by us for idleness. */
	void (*link)(void *arg, struct slice local, struct slice remote, bool up);
	/* An answer of the proxy itself: send it by the proxy of the worker that owns `remote`. Copies. */
	void (*reply)(void *arg, struct slice local, struct slice remote, struct slice stanza);
	/* The partner's server has just proven itself: tell the proxy that owns `remote` (xmpp_proxy_alive). */
	void (*alive)(void *arg, struct slice remote);
};

struct xmpp_proxy_settings { /* what may change while the proxy runs */
	size_t max_stanza, max_early;       /* octets */
	unsigned max_depth, max_attributes; /* of XML; 0: the defaults of the xmpp room */
	uint32_t connect_ms;                /* TCP, and TLS */
	uint32_t auth_ms, setup_ms, dialback_ms, ping_ms, idle_ms;
	uint32_t silence_ms;                /* so long a silence closes an inbound stream with keep-alive; 0: never */
	uint32_t queue_ms;                  /* how long a stanza waits for its link, at most */
	size_t queue_stanzas, queue_octets; /* waiting in one link */
	bool kept;                          /* texts (ticket.confirm) that cannot go are not lost: those behind one that waited too long go back with it */
	bool bidi;                          /* one stream for both directions (XEP-0288) is offered and used */
	bool acks;                          /* acknowledgements (XEP-0198) are offered and used */
	uint32_t ack_wait_ms;               /* a stanza without one is told as handed over after so long, without ticket.confirm as sent */
	uint32_t retry_max_ms;              /* longest back-off of a failed link */
	uint32_t partner_rate, sender_rate; /* stanzas a second on average; 0: no limit */
	bool dane;                          /* TLSA records of partners are believed (RFC 7673); needs a trust anchor */
	bool revocation_hard;               /* whose certificate cannot be looked up is not believed */
	bool private_addresses;             /* DNS of partners may lead into networks that are not the Internet (docs/adr/0017) */
};

struct xmpp_proxy_config {
	struct worker *worker;
	struct dns *dns;
	struct snapshot_slot *policy;
	struct xmpp_quota *quota;       /* shared by the workers; NULL: no limits per partner */
	struct xmpp_routes *routes;     /* shared by the workers; NULL: there is one */
	struct xmpp_history *history;   /* shared by the workers; NULL: nothing is remembered */
	struct trace *trace;            /* shared by the workers; NULL: nobody looks */
	struct xmpp_tests *tests;       /* shared by the workers (edge/xmpp_test.h); NULL: no tests */
	struct pace *pace;              /* shared by the workers; NULL: one for each call */
	struct xmpp_seen *seen;         /* shared by the workers; NULL: certificates are not remembered */
	struct revocation *revocation;  /* shared by the workers; NULL: nobody is looked up */
	struct slice dialback_secret;   /* xmpp_dialback_secrets_init */
	struct slice features;          /* ready XML for the last stream features (caps) */
	struct xmpp_proxy_settings set;
};

struct xmpp_proxy *xmpp_proxy_new(const struct xmpp_proxy_config *cfg, const struct xmpp_proxy_ops *ops, void *arg);
/* Ends everything at once, without callbacks. Accepts NULL; returns NULL. */
struct xmpp_proxy *xmpp_proxy_free(struct xmpp_proxy *p);
/* The present TLS context; the proxy takes a reference. New connections use it. */
void xmpp_proxy_set_tls(struct xmpp_proxy *p, struct tls_ctx *tls);
/* Another secret for dialback keys (octets); keys that were made with the one before are worth nothing any more. */
void xmpp_proxy_set_secret(struct xmpp_proxy *p, struct slice secret);
/* New settings; streams that are open follow where that is possible. */
void xmpp_proxy_set(struct xmpp_proxy *p, const struct xmpp_proxy_settings *set);

/* Takes an accepted socket. `direct`: TLS begins at once (XEP-0368). */
void xmpp_proxy_accept(struct xmpp_proxy *p, int fd, bool direct, struct gate_pass *pass);
/* One stanza, ready as bytes in the jabber:server namespace; copied. Domains prepared. ops->sent may come before this returns. */
void xmpp_proxy_send(struct xmpp_proxy *p, struct slice local, struct slice remote, struct slice stanza,
		     const struct xmpp_ticket *t);
/* The fate of a stanza that ops->stanza passed on is final (struct xmpp_receipt). The stream may be gone. */
void xmpp_proxy_done(struct xmpp_proxy *p, const struct xmpp_receipt *r);
/* Whoever had the stanzas is gone (another process) and will give no receipt back: streams that wait for one are closed with this
 * stream error and without acknowledging it, so that the partner's server knows what was lost. */
void xmpp_proxy_abandon(struct xmpp_proxy *p, const char *condition, struct slice text);
/* The partner is there: links in back-off may try again at once. */
void xmpp_proxy_alive(struct xmpp_proxy *p, struct slice remote);

/* Shutting down, first step: no new streams come in, and those that did are told system-shutdown, so that partners stop sending.
 * Links go on. */
void xmpp_proxy_quiesce(struct xmpp_proxy *p);
/* After it: the streams whose good-bye waits for the fate of what came on them. */
size_t xmpp_proxy_leaving(const struct xmpp_proxy *p);
/* Second step: what waits is reported as server/shutdown, all streams are closed with system-shutdown; `done` once all have
 * ended. */
void xmpp_proxy_drain(struct xmpp_proxy *p, void (*done)(void *arg), void *arg);
/* The policy changed: streams that it does not allow any more are closed, back-offs forgotten. */
void xmpp_proxy_recheck(struct xmpp_proxy *p);

struct xmpp_proxy_facts {
	uint64_t id;            /* of the stream, unique in the process; 0: a link without one */
	bool inbound;
	bool bidi;              /* carries stanzas of both directions */
	const char *purpose;    /* "messages", "dialback question", "test" */
	const char *state;      /* xmpp_stream_state_text, or "resolving", "connecting", "backoff" */
	struct slice local, remote, address, how, proof, tls, cipher;
	uint64_t stanzas_in, stanzas_out, age_ms;
	size_t queued, queued_octets;
	uint64_t waiting_ms;    /* of the oldest that waits */
	uint64_t pending, unacked; /* stanzas: that came and are not done, that went and are not acknowledged */
	struct slice last_error; /* of a link in back-off */
	uint64_t retry_ms;       /* a link in back-off: until it may be tried again */
	/* NULL where there is none; valid during the call: */
	const struct xmpp_stream_info *stream;
	const struct tls_peer *certificate; /* the peer's, and facts of the connection */
	uint64_t in_octets, out_octets;     /* on the socket */
	uint64_t heard_ms;                  /* since octets came last */
};
void xmpp_proxy_each(struct xmpp_proxy *p, void (*fn)(void *arg, const struct xmpp_proxy_facts *f), void *arg);
