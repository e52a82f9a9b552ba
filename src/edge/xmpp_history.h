/* SPDX-License-Identifier: Apache-2.0 */
/* What became of the last attempts to come into contact with a domain, in both directions: the answer to "why" when nobody
 * watched. One object for all workers. Any thread; a lock only where an attempt ends. Bounded: the last XMPP_HISTORY_KEEP
 * attempts of a domain, of XMPP_HISTORY_PARTNERS partners and of XMPP_HISTORY_STRANGERS other domains, the ones longest unheard
 * of go first; what strangers do never pushes out a partner's. */
#pragma once
#include <stdint.h>
#include "base/reason.h"
#include "base/slice.h"
#include "xmpp/stream.h"

enum { XMPP_HISTORY_KEEP = 20, XMPP_HISTORY_PARTNERS = 4096, XMPP_HISTORY_STRANGERS = 128 };

struct xmpp_history;

/* Who has to change something before it works. */
enum xmpp_who { XMPP_WHO_NOBODY, XMPP_WHO_US, XMPP_WHO_PARTNER, XMPP_WHO_NETWORK, XMPP_WHO_DNS, XMPP_WHO_UNCLEAR };
const char *xmpp_who_text(enum xmpp_who w); /* "nobody" "us" "partner" "network" "dns" "unclear" */

/* How far an attempt came: the step that it was in when it ended. */
enum xmpp_step { XMPP_STEP_DNS, XMPP_STEP_TCP, XMPP_STEP_STREAM, XMPP_STEP_TLS, XMPP_STEP_AUTH, XMPP_STEP_UP, XMPP_STEPS };
const char *xmpp_step_text(enum xmpp_step s); /* "dns" "tcp" "stream" "tls" "auth" "up" */

/* As far as one can tell from here. `received`: the other side reported the error; `side` whom the engine blames. */
enum xmpp_who xmpp_blame(enum xmpp_step at, bool inbound, bool received, enum xmpp_side side, const struct entente_err *err);

enum { XMPP_NOT_REACHED = UINT32_MAX };

struct xmpp_attempt {
	uint64_t stream;              /* its number; 0: it never came to a connection */
	int64_t at;                   /* when it began, seconds since 1970 */
	bool inbound;
	const char *purpose;          /* "messages", "dialback question", "test"; static */
	enum xmpp_step step;
	bool ok;                      /* it came up; err tells how it ended since, reason NONE: it is up or ended in order */
	bool over;                    /* it is not up any more */
	uint32_t took[XMPP_STEPS];    /* ms of each step, XMPP_NOT_REACHED; of UP: how long it was up */
	enum reason reason;
	enum xmpp_who who;
	bool received;                /* the partner's server said so */
	struct slice local, remote, address, how, proof, tls, certificate, condition, text;
};

struct xmpp_history *xmpp_history_new(void);
/* Accepts NULL; returns NULL. */
struct xmpp_history *xmpp_history_free(struct xmpp_history *h);
/* Copies. `partner`: the remote domain is one. h may be NULL: nothing is kept. */
void xmpp_history_add(struct xmpp_history *h, const struct xmpp_attempt *a, bool partner);
/* The attempt of this stream, which came up, is over. Only `took[UP]`, reason, who, received, condition and text of `a` count. */
void xmpp_history_end(struct xmpp_history *h, const struct xmpp_attempt *a);
/* Newest first. Empty `remote`: of all domains, in no order of domains. fn must not call back. */
void xmpp_history_each(struct xmpp_history *h, struct slice remote, void (*fn)(void *arg, const struct xmpp_attempt *a),
	void *arg);
