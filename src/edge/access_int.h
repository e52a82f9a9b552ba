/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the Access Edge: access.c (the whole, requests of partners), access_conn.c (connections), access_guard.c (what holds callers down), access_srv.c (federation records),
 * access_peer.c (the way to a partner). */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "edge/access.h"
#include "edge/sip_lookup.h"
#include "edge/sip_names.h"
#include "edge/sip_places.h"
#include "edge/sip_stream.h"
#include "net/conn.h"

enum {
	ACCESS_TARGETS = 16,    /* SRV records of one domain */
	ACCESS_PARKED = 256,    /* requests that wait for one look-up ... */
	ACCESS_PARKED_CONN = 32, ACCESS_PARKED_ALL = 1000, /* ... of one connection (it is not read then), in all */
	ACCESS_FULL_MS = 1000,  /* ... for so long: a peer that hears nothing pings after 1.5 s, and must be answered */
	ACCESS_SEEKS = 1000,    /* requests that wait for one partner's connection */
	ACCESS_CONNS_MAX = 10000,
};

/* ---- SRV records, remembered */
enum { ACCESS_SRV_MS = 5000 };
struct access_srv_wait {
	struct list node;
	void (*known)(struct access_srv_wait *w); /* the entry is in the cache; w is in no list any more */
};
struct access_srv {
	struct map_node node; /* key: domain */
	struct list lru;
	struct access *e;
	struct policy_domain domain;
	enum policy_srv state;  /* UNASKED: being asked */
	char names[ACCESS_TARGETS][DNS_NAME_MAX + 1];
	struct slice targets[ACCESS_TARGETS];
	size_t n_targets;
	uint64_t until;
	struct dns_query *query;
	struct timer budget;
	struct list waits;
	size_t n_waits;
};
/* What is known now; NULL: nothing, ask. */
const struct access_srv *access_srv_known(struct access *e, struct slice domain);
/* False: too many wait. `known` is called later, never from inside. */
bool access_srv_ask(struct access *e, struct slice domain, struct access_srv_wait *w);
void access_srv_free_all(struct access *e);

/* ---- connections */
struct access_conn {
	struct map_node node; /* key: id */
	uint64_t id;
	struct access *e;
	struct conn *conn;
	struct sip_stream stream;
	struct access_peer *peer; /* NULL: the partner's connection to us */
	char host[DNS_NAME_MAX + 1]; /* ours: the name that was connected to */
	bool coming, tcp;         /* ours: not proven yet; TCP is up */
	struct list of_peer;
	bool ready, retired;
	bool held;                /* until it is known whether its certificate was revoked; theirs: paused */
	struct revocation_chain *chain;
	enum revocation_state revocation;
	struct access_guest *guest; /* NULL until something was let through it */
	bool stuck;               /* it does not read what it is sent */
	struct timer turn;        /* theirs: its handshake waits; else how long it may be stuck */
	struct timer timer;       /* ours: keep-alive; theirs: how long half a message may take, or a full one is not read */
	struct sip_names names; /* of the certificate, for policy */
	struct policy_domain domain; /* the last one */
	uint64_t requests, since, used;
	size_t n_parked;       /* requests that wait for DNS */
	bool hasty;            /* theirs: it was full for too long, and is read until none is parked any more */
};
/* Theirs: stops reading, for ACCESS_FULL_MS at most, or goes on. */
void access_conn_fill(struct access_conn *c, bool full);
struct access_conn *access_conn_open(struct access_peer *p, const struct sip_place *to, struct entente_err *err);
/* Ours is proven: keeps it alive from now on. */
void access_conn_ready(struct access_conn *c);
/* These octets are being sent over it. */
void access_conn_sent(struct access_conn *c, struct slice bytes);
struct access_conn *access_conn_make(struct access *e);
void access_conn_free(struct access_conn *c);
/* Ends and frees it, and tells all who wait for it. */
void access_conn_end(struct access_conn *c, int code, const char *why);
extern const struct conn_ops access_conn_ops;
struct access_conn *access_conn_find(struct access *e, uint64_t id);
struct sip_flow access_conn_flow(const struct access_conn *c);
/* Secured: is its certificate still good? Then it is used, or kept; else it ends. Again whenever that may have changed. */
void access_conn_admit(struct access_conn *c);
/* The certificate's side of a question. */
void access_conn_names(const struct access_conn *c, struct policy_sip *ret);
void access_conn_limits(const struct access *e, struct conn_limits *ret);

/* ---- what is known of certificates (access_trust.c) */
enum access_trust { ACCESS_TRUSTED, ACCESS_TRUST_WAITS /* until access_trust_news */, ACCESS_UNTRUSTED /* err: why */ };
enum access_trust access_trust_judge(struct access_conn *c, struct entente_err *err);
void access_trust_tell(const struct access_conn *c, const struct entente_err *err);
/* Its certificate was shown; `why` it is not accepted, or empty. */
void access_trust_seen(struct access_conn *c, struct slice why);
/* A request of this domain, or for it, was let pass. */
void access_trust_proved(struct access_conn *c, struct slice domain);
void access_trust_news(void *arg);

/* ---- what holds callers down: access_guard.c */
void access_guard_init(struct access_conn *c);
void access_guard_end(struct access_conn *c);
/* Theirs: TLS, when it is its turn. May free it. */
void access_guard_connected(struct access_conn *c);
void access_guard_limits(const struct access_conn *c, struct conn_limits *ret);
/* A request may pass: from here on it is a partner's connection, and *ret has one more request under way. Else the reason: its certificate
 * has too many connections to us, or too many requests of the partner or for it are under way. */
enum reason access_guard_ask(struct access_conn *c, struct access_guest **ret);
/* After writing, and when the queue has emptied. */
void access_guard_wrote(struct access_conn *c);
void access_guard_drained(struct access_conn *c);

/* ---- partners that we connect to: access_peer.c (who needs a way, and which), access_race.c (connections coming up) */
enum {
	ACCESS_PEERS_MAX = 10000,
	ACCESS_RACE_MAX = 4,     /* connection attempts of one peer at the same time */
	ACCESS_STAGGER_MS = 300, /* an address that has not answered TCP for so long gets company (RFC 8305 5) ... */
	ACCESS_SHAKE_MS = 1500,  /* ... one that has answered, but not finished TLS, after so long */
};
struct access_peer {
	struct map_node node;  /* key: "~domain" (by SRV), "=host" (configured), "@host:port" (a route of a dialog) */
	struct access *e;
	char key[DNS_NAME_MAX + 16], text[DNS_NAME_MAX + 64];
	struct sip_uri uri;    /* of text */
	struct sip_lookup *lookup; /* while it works */
	struct sip_places places;  /* the last that DNS gave; kept while it gives nothing better */
	uint64_t known_until;
	struct list conns;     /* of struct access_conn */
	size_t n_coming;       /* of them being opened */
	struct list seeks;     /* of struct seek */
	size_t n_seeks;
	struct timer patience, race;
	struct entente_err err; /* why the present round fails, so far */
	uint64_t shun_until;   /* "@": failed lately, dialogs go by the domain meanwhile */
};
/* "~" "=" "@": how it is found. */
static inline char access_peer_kind(const struct access_peer *p)
{
	return p->key[0];
}
static inline struct slice access_peer_name(const struct access_peer *p)
{
	return slice_str(p->key + 1);
}
/* Goes for one more connection, unless that is under way: looks the peer up where needed. Ends in access_peer_secured or access_peer_failed, maybe
 * before this returns. */
void access_race_begin(struct access_peer *p);
void access_race_free(struct access_peer *p);
void access_race_fired(struct timer *t, uint64_t now); /* p->race */
/* A connection that was coming up is of no use, for this reason (the first one of a round is remembered in p->err): the next address. */
void access_race_failed(struct access_peer *p, struct access_conn *c, enum reason reason, const char *text);
/* One has won: the others give up. */
void access_race_won(struct access_peer *p, struct access_conn *winner);
/* Everything was tried; p->err says why the first failed. */
void access_peer_failed(struct access_peer *p);
void access_peer_free_all(struct access *e);
/* A connection of ours is proven, or not; or gone: it is freed. */
void access_peer_secured(struct access_peer *p, struct access_conn *c);
void access_peer_lost(struct access_peer *p, struct access_conn *c, const struct entente_err *why);
extern const struct access_proxy_ops access_way_ops;

struct access {
	struct access_config cfg;
	const struct access_ops *ops;
	void *arg;
	struct worker *worker;
	struct loop *loop;
	struct tls_ctx *tls;
	struct sip_stack *outer;
	struct access_proxy *proxy;
	struct snapshot_reader policy;
	struct revocation_watch *revocation; /* or NULL */
	struct map conns, srvs, peers, seeks;
	struct list srv_lru, parked;
	size_t n_parked;
	struct timer report;   /* worker 0: what discovered partners did */
	uint64_t next_conn;
	bool quiet;
};

/* access_record.c: what the decision log is told */
void access_record_begin(struct access *e, struct sip_server_trans *st, const struct sip_msg *m, const struct sip_flow *from, const struct access_look *look,
			 bool outward);
void access_record_verdict(struct access *e, uint64_t record, const struct policy_question *q, const struct policy_verdict *v);

/* access.c */
void access_input(struct access *e, struct access_conn *c, struct slice raw);
/* Does it lead to a public IM service? */
bool access_public(struct access *e, enum policy_class c);
/* The local part of the user as everywhere in Entente (access_ops.user); and "local@domain" in lower case, empty without a user. */
struct slice access_local_part(struct access *e, struct arena *a, const struct sip_uri *u);
struct slice access_user(struct access *e, struct arena *a, const struct sip_uri *u);
