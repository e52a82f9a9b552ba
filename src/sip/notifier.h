/* SPDX-License-Identifier: Apache-2.0 */
/* One subscription that someone else holds at us (RFC 6665 4.2; RFC 3856 6). The owner judges the SUBSCRIBE (event,
 * authorisation) before sip_notifier_accept, then tells the state by sip_notifier_set whenever it changes; this object
 * keeps the dialog, sends the NOTIFYs (one in flight, the last state wins, not faster than the interval) and watches
 * the expiry.
 *
 * The object ends itself: with the return of unsubscribed(), expired() or failed(), of sip_notifier_terminate, or of
 * the one sip_notifier_set of a poll, the owner's pointer is void (a last NOTIFY may still be on its way, nobody needs
 * to care). Not thread-safe. */
#pragma once
#include "sip/dialog.h"
#include "sip/subscriber.h"
#include "sip/trans.h"

struct sip_notifier;

struct sip_notifier_document {
	struct slice content_type, language; /* of the body; language, for Content-Language, may be empty */
};

struct sip_notifier_ops {
	/* A SUBSCRIBE in the dialog extended it (already answered 200; a NOTIFY with full state follows the return).
	 * Time to save. May be NULL. */
	void (*refreshed)(void *arg, uint32_t expires);
	void (*unsubscribed)(void *arg);  /* Expires: 0 came; the last NOTIFY with the present state is sent */
	void (*expired)(void *arg);       /* not refreshed in time, or a poll that the owner did not serve in time */
	void (*failed)(void *arg, int status, bool local); /* a NOTIFY was refused for good; local: 408 timeout, 503 transport */
	void (*route)(void *arg, struct slice next_hop, struct sip_flow *flow); /* as in subscriber.h; may be NULL */
	/* Appends the present state, when a NOTIFY is about to be written; nothing for no body. `last`: the subscriber has unsubscribed
	 * or is late, this is what it is left with. The texts of *ret must live until the return only if b is empty, else until the
	 * next call. With this, sip_notifier_set is told the state alone, and nothing of a document is kept between two NOTIFYs. May
	 * be NULL. */
	void (*document)(void *arg, bool last, struct sip_notifier_document *ret, struct buf *b);
};

struct sip_notifier_config {
	struct slice contact;         /* our Contact value */
	uint32_t min_expires, default_expires, max_expires; /* seconds; 0: 60, 3600, 3600 */
	uint32_t interval_ms;         /* least time between NOTIFYs (0: 5000, RFC 3856 6.10; UINT32_MAX: none) */
	uint32_t patience_ms;         /* how long the owner may take to give the first state; then a NOTIFY without body goes out
					 (0: 1000; a poll: 10000) */
	enum sip_substate initial;    /* state of that NOTIFY: pending or active */
	uint32_t transport_tries;     /* failures to send a NOTIFY before the subscription is given up; 30 s apart (0: 1) */
	const struct sip_extra *headers; /* on every NOTIFY, and on 2xx to SUBSCRIBE */
	size_t n_headers;
};

/* Answers the dialog-creating SUBSCRIBE `m` of `st`: 200 with the granted Expires, and *ret is the subscription. Or 423
 * (too brief), 400 (no Contact), 489 (no Event): then ENTENTE_EREFUSED and *ret is untouched. `m` stays the caller's. The
 * config is copied. Call sip_notifier_set next, in the same turn when the state is known. */
int sip_notifier_accept(struct sip_notifier **ret, struct sip_stack *s, struct sip_server_trans *st, const struct sip_msg *m,
			const struct sip_notifier_config *config, const struct sip_notifier_ops *ops, void *arg);
/* The present state (pending or active) as a whole document; copied, or asked for by ops->document. Sends a NOTIFY when allowed, none
 * when it is what was told last. The pace is for documents: a change between pending and active goes out at once, and so does the
 * first document after it. For a poll: the one answer. */
void sip_notifier_set(struct sip_notifier *n, enum sip_substate state, struct slice content_type, struct slice body);
/* Ends it: NOTIFY terminated with this reason ("rejected", "deactivated", "noresource" ...; empty for none),
 * retry_after seconds or -1, and a body (may be empty). */
void sip_notifier_terminate(struct sip_notifier *n, struct slice reason, int64_t retry_after, struct slice content_type,
			    struct slice body);
/* Forgets it without a word. Accepts NULL; returns NULL. */
struct sip_notifier *sip_notifier_free(struct sip_notifier *n);

bool sip_notifier_is_poll(const struct sip_notifier *n);
uint32_t sip_notifier_remaining(const struct sip_notifier *n); /* seconds */

/* Appends a text that sip_notifier_restore understands, here or in another process; polls save nothing. Save after
 * accept and after each refreshed(). */
void sip_notifier_save(const struct sip_notifier *n, int64_t now_unix, struct buf *b);
/* Goes on with a saved subscription: the CSeq jumps ahead of everything that may have been sent since, the expiry is
 * the saved point of time. Nothing is sent before sip_notifier_set. ENTENTE_ESYNTAX; ENTENTE_ETIMEOUT when it has
 * expired meanwhile; ENTENTE_EEXIST when that dialog lives here already. */
int sip_notifier_restore(struct sip_notifier **ret, struct sip_stack *s, struct slice text, int64_t now_unix,
			 const struct sip_notifier_config *config, const struct sip_notifier_ops *ops, void *arg);
