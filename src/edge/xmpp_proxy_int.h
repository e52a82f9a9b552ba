/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the XMPP proxy: its parts (xmpp_proxy.c streams, xmpp_link.c outbound links, xmpp_verify.c dialback questions). */
#pragma once
#include "base/map.h"
#include "edge/dialer.h"
#include "edge/xmpp_proxy.h"
#include "net/conn.h"
#include "xmpp/error.h"

struct s2s { /* a connection and its stream */
	struct list node; /* proxy->all */
	struct xmpp_proxy *proxy;
	uint64_t id, since;
	bool inbound, started, failed, stream_over, overflow;
	struct conn *conn;
	struct xmpp_stream *stream;
	struct xmpp_link *link;         /* outbound link that it serves, or NULL */
	struct xmpp_verification *verification; /* verify-only connection, or NULL */
	struct entente_err err;
	struct loop_hook kill;
	char address[ADDR_TEXT];
	char remote_ascii[DNS_NAME_MAX + 1];
};

enum link_state { LINK_IDLE, LINK_RESOLVING, LINK_CONNECTING, LINK_STREAM, LINK_UP, LINK_BACKOFF };

struct queued {
	struct list node;
	struct xmpp_ticket ticket;
	uint64_t since;
	size_t len;
	char bytes[];
};

struct xmpp_link {
	struct map_node node;  /* key: local NUL remote */
	struct xmpp_proxy *proxy;
	char *key;             /* owned */
	char *local, *remote;  /* inside key */
	enum link_state state;
	uint64_t since;
	struct s2s *s2s;
	struct dialer *dialer;
	struct list queue;     /* of struct queued */
	size_t n_queue, queue_octets;
	struct timer patience; /* the oldest queued stanza's time is over */
	uint64_t retry_at;     /* monotonic ms; sends fail at once before it */
	uint32_t backoff_ms;
	bool was_up;
	struct entente_err err; /* why it failed last */
};

struct xmpp_proxy {
	struct xmpp_proxy_config cfg;
	struct worker *worker;
	struct loop *loop;
	const struct xmpp_proxy_ops *ops;
	void *arg;
	struct snapshot_reader policy;
	struct xmpp_stream_config stream_cfg;
	struct tls_ctx *tls;
	struct list all;       /* of struct s2s */
	struct list verifies;  /* of struct xmpp_verification */
	size_t n_s2s, n_verifies;
	struct map links;
	uint64_t next_id;
	bool draining;
	void (*drained)(void *arg);
	void *drained_arg;
};

/* xmpp_proxy.c */
const struct policy_partner *xmpp_proxy_partner(struct xmpp_proxy *p, struct arena *a, struct slice remote);
struct s2s *xmpp_s2s_new(struct xmpp_proxy *p, bool inbound);
/* Ends connection and stream without callbacks, tells link or verification. */
void xmpp_s2s_free(struct s2s *s);
int xmpp_s2s_connect(struct s2s *s, const struct addr *to, struct entente_err *err);
struct xmpp_stream *xmpp_s2s_initiator(struct s2s *s, struct slice local, struct slice remote, bool verify_only);

/* xmpp_link.c */
void xmpp_link_up(struct xmpp_link *l);
/* The stream is gone; err NULL when it ended cleanly. */
void xmpp_link_down(struct xmpp_link *l, const struct entente_err *err);
void xmpp_link_try_next(struct xmpp_link *l);
void xmpp_link_bounce(struct xmpp_link *l, enum reason reason, struct slice why);
void xmpp_link_free(struct xmpp_link *l);
void xmpp_proxy_clear_backoff(struct xmpp_proxy *p, struct slice remote);

/* xmpp_verify.c */
/* A receiving stream wants a key verified: asks on a connection of its own. */
void xmpp_verify_start(struct s2s *receiver, const struct xmpp_verify *v);
/* A verify-only stream has the answer. */
void xmpp_verify_answer(struct s2s *asker, const struct xmpp_verify *v, enum xmpp_verdict verdict, struct slice condition);
/* s goes away: as receiver its questions are dropped, as asker its question is answered "undecided". */
void xmpp_verify_forget(struct s2s *s);
void xmpp_verify_free_all(struct xmpp_proxy *p);
