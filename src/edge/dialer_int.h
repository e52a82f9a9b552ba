/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the dialer: dialer.c which step comes next, dialer_dns.c what DNS says, dialer_race.c one address against the
 * other. */
#pragma once
#include "edge/dialer.h"
#include "xmpp/srv.h"

enum {
	MAX_ADDRESSES = 16,
};

struct target {
	char host[DNS_NAME_MAX + 1];
	uint16_t port;
	bool direct, srv, secure; /* secure: DNSSEC vouches for the way from the domain to this target */
	char how[DNS_NAME_MAX + 64];
};

struct attempt { /* one address being connected to */
	struct dialer *dialer;
	struct addr to;
	struct conn *conn;
	struct pace_place place;
	bool active;
};

struct dialer {
	struct worker *w;
	struct dns *dns;
	const struct dialer_ops *ops;
	void *arg;
	struct pace *pace;
	struct conn_limits limits;
	char domain[DNS_NAME_MAX + 1];
	struct arena *found; /* records, until both services have answered */
	struct service {     /* 0: STARTTLS, 1: direct TLS */
		struct dialer *dialer;
		struct dns_query *query;
		struct xmpp_srv_answer answer;
		bool secure;
	} srv[2];
	struct dns_query *a, *aaaa, *tlsa;
	struct timer late;         /* one family has answered, the other not yet */
	struct timer patience;     /* with what is being asked now */
	uint64_t deadline;         /* of all questions until something can be tried, ms of the loop's clock; 0: none has been asked since */
	bool addresses_secure;     /* all answers that gave addresses are */
	char alias[DNS_NAME_MAX + 1]; /* where CNAMEs of the target end, DNSSEC-secure; else empty */
	struct target targets[XMPP_TARGETS];
	size_t n_targets, target;  /* target: the next one to resolve */
	struct addr addrs[MAX_ADDRESSES];
	size_t n_addrs, addr;
	struct tls_tlsa records[DIALER_TLSA];
	size_t n_records;
	struct attempt attempts[DIALER_TRIES];
	struct attempt *won;       /* its place is held until the peer speaks */
	struct timer stagger;
	unsigned tries;
	bool asked, fixed, direct, private_addresses, dane;
	bool racing;               /* a callback is owed and attempts are under way */
	uint64_t since;            /* when TCP began with the present target */
	bool waiting;              /* a callback is owed as soon as the other family has answered */
	bool resolved;             /* the present target's addresses may be used */
	struct entente_err err;    /* the first cause that DNS gave */
	struct entente_err failed; /* and the first that an address gave: the better explanation */
};

static inline struct timers *dialer_timers(struct dialer *d)
{
	return &d->w->loop->timers;
}

static inline const struct target *dialer_present(const struct dialer *d)
{
	return d->target ? &d->targets[d->target - 1] : NULL;
}

/* Addresses are left, and tries. */
static inline bool dialer_more(const struct dialer *d)
{
	return d->addr < d->n_addrs && d->tries < DIALER_TRIES;
}

/* dialer.c */
/* The next thing to do: give out an address or a connection, resolve the next target, look SRV up, or give up. */
void dialer_step(struct dialer *d);
void dialer_exhausted(struct dialer *d);

/* dialer_dns.c */
/* SRV of both services; dialer_step follows, or dialer_exhausted. */
void dialer_look_up(struct dialer *d);
/* The target's addresses, and TLSA where that can be; dialer_step follows as soon as one can be tried. */
void dialer_resolve(struct dialer *d, struct target *t);
/* Stops all questions and forgets the answers. */
void dialer_dns_end(struct dialer *d);
void dialer_late(struct timer *t, uint64_t now);
void dialer_dns_silent(struct timer *t, uint64_t now);

/* dialer_race.c */
/* An attempt more, when none is under way; or the next step. */
void dialer_race(struct dialer *d);
/* All attempts but this one (NULL: all). */
void dialer_stop_attempts(struct dialer *d, const struct attempt *but);
void dialer_may_connect(void *attempt);
void dialer_stagger(struct timer *t, uint64_t now);
