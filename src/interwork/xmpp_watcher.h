/* SPDX-License-Identifier: Apache-2.0 */
/* An XMPP user watches a SIP user (RFC 8048 5.2; interworking spec 3.1): one machine per (bare watcher, bare presentity). Stanzas
 * and subscription events come in, actions go out through the ops table; the SIP dialog itself is the owner's (sip/subscriber.h),
 * so is policy.
 *
 * Two things are remembered: `authorised` (durable: the watcher was told "subscribed") and the dialog's state (volatile). After a
 * restart the owner makes a machine with authorised = true and calls xmpp_watcher_resume: the watcher is not told anything
 * twice. */
#pragma once
#include "base/timer.h"
#include "interwork/pidf.h"

struct xmpp_watcher;

enum xmpp_watcher_state {
	XMPP_WATCHER_NONE,    /* no dialog; the machine may be freed when not authorised */
	XMPP_WATCHER_TRYING,  /* SUBSCRIBE sent */
	XMPP_WATCHER_NEUTRAL, /* accepted, not yet active */
	XMPP_WATCHER_ACTIVE,
	XMPP_WATCHER_WAIT,    /* failed for now; tries again by itself */
	XMPP_WATCHER_DORMANT, /* authorised, but nobody looks or may look; no dialog */
	XMPP_WATCHER_FINAL,   /* the state will never change (RFC 6665 "invariant") */
	XMPP_WATCHER_POLLING, /* asked once, without authorisation and without a lasting subscription */
};
const char *xmpp_watcher_state_name(enum xmpp_watcher_state s);

enum xmpp_watcher_stanza { XMPP_WATCHER_PRESENCE, XMPP_WATCHER_SUBSCRIBED, XMPP_WATCHER_UNSUBSCRIBED };

struct xmpp_watcher_ops {
	/* Send SUBSCRIBE in a new dialog; an older dialog of this machine is forgotten. expires in seconds; 0: a poll. */
	void (*subscribe)(void *arg, uint32_t expires);
	/* End the dialog with SUBSCRIBE Expires: 0; its last NOTIFY is answered by the owner and reported no more. */
	void (*unsubscribe)(void *arg);
	/* A stanza to the watcher's bare address. For PRESENCE `item` says what (its show OFFLINE = type unavailable; a stamp
	 * only when it is old) and from which resource; for the others it is NULL and the sender is the bare address. */
	void (*stanza)(void *arg, enum xmpp_watcher_stanza kind, const struct presence_item *item);
	/* Make the authorisation durable, or forget it. */
	void (*authorise)(void *arg, bool authorised);
	/* Ask again inside the dialog: what is known is old. */
	void (*refresh)(void *arg);
	/* A document, or something of it, was not used; why, for the log (English, static). */
	void (*ignored)(void *arg, const char *why);
};

struct xmpp_watcher_config {
	uint32_t expires;        /* seconds asked for, default 3600 */
	uint32_t backoff_min_s, backoff_max_s; /* 30, 3600 */
	uint32_t absence_s;      /* a watcher that is nowhere for so long is not watched for any more; 0: always */
	bool busy_away;          /* who is busy is shown away, not dnd */
	bool hide_notes;         /* the partner never sees the SIP user's notes (interworking spec 3.6) */
};

/* The text of entity_uri stays the caller's and must outlive the machine. */
struct xmpp_watcher *xmpp_watcher_new(const struct xmpp_watcher_ops *ops, void *arg, struct timers *timers,
				      const struct xmpp_watcher_config *cfg, struct slice entity_uri, bool authorised);
struct xmpp_watcher *xmpp_watcher_free(struct xmpp_watcher *w); /* silent; accepts NULL; not from inside an op */

enum xmpp_watcher_state xmpp_watcher_state(const struct xmpp_watcher *w);
bool xmpp_watcher_authorised(const struct xmpp_watcher *w);
const struct presence_set *xmpp_watcher_presence(const struct xmpp_watcher *w);
/* The owner's settings have changed: from the next subscription and document on. hide_notes stays as it is. */
void xmpp_watcher_set_rules(struct xmpp_watcher *w, const struct xmpp_watcher_config *rules);
/* Takes notes that were shown back. */
void xmpp_watcher_set_hide_notes(struct xmpp_watcher *w, bool hide);

/* From the XMPP side (policy has allowed it). */
void xmpp_watcher_subscribe(struct xmpp_watcher *w);
void xmpp_watcher_probe(struct xmpp_watcher *w);
void xmpp_watcher_unsubscribe(struct xmpp_watcher *w);
/* A probe of somebody of whom no authorisation is known, but whom the presentity knows (RFC 8048 7.1): the home is asked once, the watcher
 * told what it says, or "unsubscribed" when it says no. Does nothing unless state is NONE. */
void xmpp_watcher_poll(struct xmpp_watcher *w);
/* The watcher is known to be nowhere, or is back. Away for absence_s it sleeps (DORMANT, silently); back, it is shown everything
 * anew. */
void xmpp_watcher_absent(struct xmpp_watcher *w, bool absent);
/* Nobody can, may or wants to look for now: the dialog ends, the authorisation stays. `show_gone`: the watcher is told unavailable. */
void xmpp_watcher_sleep(struct xmpp_watcher *w, bool show_gone);
/* After a restart, or after sleep: subscribe silently after delay_ms. */
void xmpp_watcher_resume(struct xmpp_watcher *w, uint64_t delay_ms);
/* Tell the watcher the present state again (its server came back). */
void xmpp_watcher_announce(struct xmpp_watcher *w);

/* From the SIP side. retry_after in seconds, 0 for none. status 0 means no answer or no connection. */
void xmpp_watcher_accepted(struct xmpp_watcher *w);
void xmpp_watcher_rejected(struct xmpp_watcher *w, int status, uint32_t retry_after);
/* The dialog ended without a terminating NOTIFY. */
void xmpp_watcher_lost(struct xmpp_watcher *w);

enum xmpp_watcher_substate { SUBSTATE_PENDING, SUBSTATE_ACTIVE, SUBSTATE_TERMINATED };
/* A NOTIFY: returns the status to answer it with: 200, 400 (body not readable) or 415. content_type is the media type without
 * parameters, empty for no body. `reason` as in Subscription-State. now_unix: seconds since 1970, to see what is old. */
int xmpp_watcher_notify(struct xmpp_watcher *w, enum xmpp_watcher_substate state, struct slice reason, uint32_t retry_after,
			struct slice content_type, struct slice content_language, struct slice body, int64_t now_unix);
