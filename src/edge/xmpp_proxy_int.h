/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the XMPP proxy: its parts (xmpp_proxy.c the whole, xmpp_s2s.c a connection and its stream, xmpp_s2s_stream.c what
 * that stream wants, xmpp_link.c outbound links, xmpp_verify.c dialback questions). */
#pragma once
#include "base/log.h"
#include "base/map.h"
#include "edge/dialer.h"
#include "edge/xmpp_proxy.h"
#include "net/conn.h"
#include "xmpp/error.h"

struct s2s { /* a connection and its stream */
	struct list node; /* proxy->all */
	struct map_node by_tag;
	uint64_t tag;     /* what receipts call it: like no other of this proxy or of an earlier one */
	struct xmpp_proxy *proxy;
	uint64_t id, since, heard; /* heard: octets came last, ms */
	bool direct;               /* TLS at once, no STARTTLS */
	bool inbound, started, failed, stream_over, broken, refused;
	bool keep_alive;           /* its partner is expected to say something now and then */
	bool crowded;              /* too much is not done: not read until it is */
	const char *leaving;       /* closed with this stream error once nothing is pending */
	struct conn *conn;
	struct xmpp_stream *stream;
	struct xmpp_link *link;         /* outbound link that it serves, or NULL */
	struct xmpp_asker *asker;       /* dialback questions that it carries, or NULL */
	struct xmpp_quota_pass *pass;
	struct revocation_chain *chain; /* of its certificate, once asked */
	struct xmpp_probe *probe;       /* inbound: its TLSA records are being looked for, or NULL */
	char *how;                      /* outbound: dialer_how; owned */
	struct timer shake;             /* inbound: its turn for a TLS handshake comes */
	struct timer resume;            /* reading goes on, after a partner was too fast */
	struct entente_err err;
	struct loop_hook kill;
	struct xmpp_test *test;         /* that it is made for, or NULL */
	const char *purpose;            /* "messages", "dialback question", "test" */
	/* for the history (xmpp_attempt.c) */
	uint64_t mark;                  /* the present step began, ms */
	uint32_t took[XMPP_STEPS];
	enum xmpp_step at;
	bool up, recorded;
	bool counted_up;           /* among the connections that are up */
	char *remote_proven;            /* owned: the domain of the first pair */
	char address[ADDR_TEXT];
	char remote_ascii[DNS_NAME_MAX + 1];
};

enum link_state { LINK_IDLE, LINK_RESOLVING /* and connecting */, LINK_STREAM, LINK_UP, LINK_BACKOFF };

struct queued {
	struct list node;
	struct xmpp_ticket ticket;
	uint64_t since;
	size_t len;
	char bytes[];
};

struct unacked { /* handed over, but not acknowledged by the partner's server */
	bool by_ack;     /* of the partner's server; else of its kernel */
	uint64_t number; /* of the stanza on the stream, 1 is the first; of its last octet on the connection, 0: not known yet */
	uint64_t since;
	struct xmpp_ticket ticket;
};

struct remote { /* a partner's domain that has links, one for each of our domains */
	struct map_node node;
	struct list links;
	char name[];
};

struct xmpp_link {
	struct map_node node;  /* key: local NUL remote */
	struct list all;       /* proxy->all_links */
	struct remote *at;
	struct list beside;    /* at->links */
	struct xmpp_proxy *proxy;
	char *key;             /* owned */
	char *local, *remote;  /* inside key */
	enum link_state state;
	uint64_t since;
	bool tried;            /* an address, since it began to come up */
	struct s2s *s2s;
	struct dialer *dialer;
	struct list queue;     /* of struct queued */
	size_t n_queue, queue_octets;
	struct loop_hook flush;
	struct unacked *ring;  /* of 2^n places, oldest at head */
	size_t ring_size, ring_head, ring_n;
	size_t ring_told;      /* so many of them, from the oldest on, were told as handed over */
	bool ring_over;        /* their stream is gone */
	bool parted;           /* and both sides had said good-bye: all has arrived */
	bool claimed;          /* in the routes */
	struct timer trust;    /* the next of them is to be told */
	struct timer look;     /* has the kernel of the other side taken more? */
	uint32_t look_ms;
	struct timer patience; /* the oldest queued stanza's time is over */
	uint64_t retry_at;     /* monotonic ms; sends fail at once before it */
	uint32_t backoff_ms;
	struct entente_err err; /* why it failed last */
	uint64_t told_at;      /* when that was logged; the same again is only worth a line now and then */
	enum reason told;
	unsigned untold;
};

struct xmpp_proxy {
	struct revocation_watch *revocation;
	struct xmpp_proxy_config cfg;
	struct worker *worker;
	struct loop *loop;
	const struct xmpp_proxy_ops *ops;
	void *arg;
	struct snapshot_reader policy;
	struct xmpp_stream_config stream_cfg;
	struct tls_ctx *tls;
	struct list all;       /* of struct s2s */
	size_t n_s2s;
	struct list all_links; /* of struct xmpp_link */
	struct map links;
	struct map remotes;    /* of struct remote */
	struct map askers;     /* of struct xmpp_asker */
	struct list tests;     /* of struct xmpp_test */
	struct rate *senders;
	struct timer sweep;    /* looks for silent partners */
	struct map tags;       /* of struct s2s */
	uint64_t first_tag;
	bool quiet, draining;  /* quiet: nobody may come in any more */
	void (*drained)(void *arg);
	void *drained_arg;
};

/* xmpp_proxy.c */
/* May there be a stream with this partner? *ret_partner (until the snapshot is next asked for) is set even when not, if there is
 * such a partner. */
enum reason xmpp_proxy_judge(struct xmpp_proxy *p, struct slice local, struct slice remote,
			     const struct policy_partner **ret_partner);
enum xmpp_need xmpp_proxy_need(enum policy_negotiation n);
/* `s`: the connection that asks, for what its certificate means; NULL: none. */
struct xmpp_stream_policy xmpp_proxy_policy(struct xmpp_proxy *p, struct s2s *s, struct slice local, struct slice remote);
/* Where the partner's server is to be looked for. False: not a partner (*ret_reason), or no domain. Slices live in `a` or in the
 * snapshot. */
bool xmpp_proxy_target(struct xmpp_proxy *p, struct arena *a, struct slice local, struct slice remote, struct dialer_target *ret,
		       enum reason *ret_reason);
/* A place among the partner's streams; false when all are taken. */
bool xmpp_proxy_admit(struct xmpp_proxy *p, struct s2s *s, struct slice local, struct slice remote);
/* A stream ended: perhaps the last. */
void xmpp_proxy_ended(struct xmpp_proxy *p);

/* xmpp_s2s.c */
struct s2s *xmpp_s2s_new(struct xmpp_proxy *p, bool inbound);
/* Ends connection and stream without callbacks, tells link or asker. */
void xmpp_s2s_free(struct s2s *s);
/* Begins a connection; for tests, which look at each address by itself. */
int xmpp_s2s_connect(struct s2s *s, const struct addr *to, struct entente_err *err);
/* Takes over the dialer's connection and starts the stream (which exists, as link or asker do). */
void xmpp_s2s_adopt(struct s2s *s, struct conn *c, const struct dialer *d);
/* Of its link or asker, or NULL. */
struct dialer *xmpp_s2s_dialer(const struct s2s *s);
/* The handshake is done and what is to be known of the certificate is known. */
void xmpp_s2s_tls_up(struct s2s *s, bool dane);
struct xmpp_stream *xmpp_s2s_initiator(struct s2s *s, struct slice local, struct slice remote, bool verify_only);
void xmpp_s2s_limits(const struct xmpp_proxy *p, struct conn_limits *ret);
/* Says good-bye, with this stream error or (NULL) without one, and waits for the other side where that matters. */
void xmpp_s2s_close(struct s2s *s, const char *condition, struct slice text);
/* The same, but what came is finished and acknowledged first; meanwhile nothing is read. */
void xmpp_s2s_leave(struct s2s *s, const char *condition);
/* Something that came on it is done. */
void xmpp_s2s_settled(struct s2s *s);
/* Where another address may do better. A server that proves nothing, or that does not want us, is not asked elsewhere for another
 * opinion. */
bool xmpp_s2s_worth_another_address(const struct entente_err *err);
/* How the address was found (dialer_how); of an inbound connection whether TLS began at once. */
struct slice xmpp_s2s_how(const struct s2s *s);
/* The stream with what it served: what it may still say concerns nobody. Closes it when it is not closing yet. */
void xmpp_s2s_let_go(struct s2s *s);

/* For who looks (edge/trace.h). `detail` empty: the address. */
void xmpp_s2s_step(struct s2s *s, struct slice what, struct slice detail);

/* xmpp_s2s_stream.c */
extern const struct xmpp_stream_ops xmpp_s2s_stream_ops;
/* Timers: an inbound connection's turn for TLS has come; reading goes on. */
void xmpp_s2s_shake(struct timer *t, uint64_t now);
void xmpp_s2s_resume(struct timer *t, uint64_t now);

/* xmpp_link.c */
void xmpp_link_up(struct xmpp_link *l);
/* A partner's stream that takes stanzas of this proven pair: it becomes the link, if there is none. */
void xmpp_link_adopt(struct s2s *s, struct slice local, struct slice remote);
/* The send queue of the connection has room again. */
void xmpp_link_drained(struct xmpp_link *l);
/* What the other kernel has is confirmed: the stream ends in order. */
void xmpp_link_look(struct xmpp_link *l);
/* The partner's server has taken the first n stanzas of the stream. */
void xmpp_link_acked(struct xmpp_link *l, uint64_t n);
/* The stream is gone; err NULL when it ended cleanly. */
void xmpp_link_down(struct xmpp_link *l, const struct entente_err *err);
void xmpp_link_bounce(struct xmpp_link *l, enum reason reason, struct slice why);
/* Stops coming up, if it does. */
void xmpp_link_halt(struct xmpp_link *l);
/* Its partner is none any more: everything that waits is told, the stream is closed. */
void xmpp_link_remove(struct xmpp_link *l, enum reason reason);
/* Silent. */
void xmpp_link_free(struct xmpp_link *l);
/* Frees those that do nothing and have nothing to remember any more: behind a pattern there are as many domains as somebody
 * writes to. */
void xmpp_link_sweep(struct xmpp_proxy *p);
/* Has this reason been logged lately? Then a failure is not worth more than a debug line. */
bool xmpp_link_told(const struct xmpp_link *l, enum reason reason);

/* xmpp_verify.c */
/* A receiving stream wants a key verified: asks on a connection of its own. */
void xmpp_verify_start(struct s2s *receiver, const struct xmpp_verify *v);
/* A stream that asks has the answer. */
void xmpp_verify_answer(struct s2s *s, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition);
void xmpp_verify_started(struct s2s *s);
struct dialer *xmpp_verify_dialer(const struct s2s *s);
/* The stream that asks is gone. */
void xmpp_verify_down(struct s2s *s);
/* This receiver does not want to know any more. */
void xmpp_verify_forget(struct s2s *receiver);
/* Ends all questions; `tell`: their receivers hear "undecided". */
void xmpp_verify_end_all(struct xmpp_proxy *p, bool tell);

/* xmpp_log.c: a line about a stream, with all that is known of it and `more`. peer: the pair that it is about; NULL: the stream's
 * own. limit: not NULL, at most so many lines about this (base/log.h). */
void xmpp_s2s_log(struct s2s *s, enum log_level level, const char *event, const struct xmpp_peer *peer, const struct slice *limit,
		  const struct log_kv *more, size_t n);

/* xmpp_attempt.c: what a connection was good for, for the history */
void xmpp_attempt_begin(struct s2s *s);
/* `done` is over, `next` begins. Returns how long it took, ms. */
uint32_t xmpp_attempt_step(struct s2s *s, enum xmpp_step done, enum xmpp_step next);
void xmpp_attempt_up(struct s2s *s, const struct xmpp_peer *peer);
/* f is NULL when not the stream failed. Only the first failure counts. */
void xmpp_attempt_failed(struct s2s *s, const struct entente_err *err, const struct xmpp_failure *f);
/* The stream is going; in order, when no failure came before. */
void xmpp_attempt_end(struct s2s *s);
/* It never came to a connection. since: ms, when it began. */
void xmpp_attempt_unreached(struct xmpp_proxy *p, const char *purpose, struct slice local, struct slice remote, uint64_t since,
			    const struct entente_err *err);

/* xmpp_test.c: what happens to the stream of a test */
struct xmpp_stream_policy xmpp_test_rules(const struct xmpp_test *t);
struct slice xmpp_test_how(const struct xmpp_test *t);
void xmpp_test_connected(struct s2s *s);
void xmpp_test_starting_tls(struct s2s *s);
void xmpp_test_secured(struct s2s *s, const struct tls_peer *c); /* before the stream is told */
void xmpp_test_established(struct s2s *s, const struct xmpp_peer *peer);
void xmpp_test_failed(struct s2s *s, const struct xmpp_failure *f);
void xmpp_test_trace(struct s2s *s, enum xmpp_trace what, struct slice text);
/* The connection could not be made. */
void xmpp_test_try_next(struct s2s *s, const struct entente_err *why);
/* The stream is gone. */
void xmpp_test_down(struct s2s *s);
/* Is this the answer to a test's ping? Then it was dealt with. */
bool xmpp_test_takes(struct s2s *s, const struct xmpp_stanza *st);
/* Does a test of this pair run, with dialback allowed? Then its server may ask about our keys, by these rules. */
bool xmpp_test_covers(struct xmpp_proxy *p, struct slice local, struct slice remote, struct xmpp_stream_policy *rules);
/* tell: with a verdict, else silently */
void xmpp_test_end_all(struct xmpp_proxy *p, bool tell);
struct dialer *xmpp_test_dialer(const struct xmpp_test *t);

/* xmpp_cert.c */
/* Is the key one of the partner's pins (true when it has none)? */
bool xmpp_cert_pinned(const struct policy_partner *partner, const struct tls_peer *t);
/* Does a pin forbid what the connection shows? Says so. */
bool xmpp_cert_barred(struct s2s *s, const struct policy_partner *partner);
/* Says so in the log. */
bool xmpp_cert_refused(struct s2s *s);
/* TLS_REVOKED, or TLS_REVOCATION where it cannot be known and has to be; `why` may be NULL. */
enum reason xmpp_cert_revoked(struct s2s *s, char *why, size_t size);
/* Adds to *i what DNSSEC and pins say of the certificate of a server that we called. */
void xmpp_cert_outbound(struct s2s *s, const struct tls_peer *t, struct xmpp_tls_info *i);
/* Remembers the certificate of a partner; `proof` empty: it has proven nothing yet. */
void xmpp_cert_seen(struct s2s *s, struct slice remote, const char *proof);
/* Looks for TLSA records that the certificate of a calling partner fits; xmpp_s2s_tls_up follows. False: nothing to look for. */
bool xmpp_cert_probe(struct s2s *s, const struct tls_peer *t);
/* Stops looking. */
void xmpp_cert_forget(struct s2s *s);
