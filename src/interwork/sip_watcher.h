/* SPDX-License-Identifier: Apache-2.0 */
/* A SIP user watches an XMPP contact (RFC 8048 5.3; interworking spec 3.2): one machine per (bare SIP watcher, bare contact),
 * shared by all of the watcher's dialogs. Presence stanzas and dialog events come in; stanzas and the state for the dialogs go
 * out. The dialogs themselves (sip/notifier.h: refresh, expiry, pacing of NOTIFY) are the owner's, so is policy. */
#pragma once
#include "base/timer.h"
#include "interwork/pidf.h"
#include "xmpp/xml.h"

struct sip_watcher;

enum sip_watcher_stanza { SIP_WATCHER_SUBSCRIBE, SIP_WATCHER_PROBE, SIP_WATCHER_UNAVAILABLE };

struct sip_watcher_ops {
	/* A presence stanza from the watcher's bare address to the contact's. */
	void (*stanza)(void *arg, enum sip_watcher_stanza kind);
	/* The state changed: set it on every dialog. Body: sip_watcher_body, none while pending. */
	void (*notify)(void *arg, bool active);
	/* End every dialog with this reason (RFC 6665 4.2.2); retry_after 0 = none. The machine is in no dialog afterwards. */
	void (*terminate)(void *arg, struct slice reason, uint32_t retry_after);
	/* The answer to a poll is there (or its time is over): send it, sip_watcher_body may be empty. */
	void (*polled)(void *arg);
	/* Something of the contact's presence was left out; why, for the log (English, static). May be NULL. */
	void (*ignored)(void *arg, const char *why);
};

struct sip_watcher_config {
	uint32_t poll_wait_ms;   /* 3000: how long a poll waits for the first presence */
	uint32_t poll_more_ms;   /* 500: and then for that of further resources */
	uint32_t link_grace_ms;  /* 60000: how long the contact's state is believed after the stream is lost */
	uint32_t probe_wait_ms;	 /* 30000: what a probe has not confirmed by then is gone; a restored or a lost state is shown
				    closed */
	uint32_t probe_again_ms; /* 5000: a probe that nobody answers is sent again after this, then at growing intervals; 0 =
				    never */
	bool hide_notes;
	enum pidf_flavour flavour; /* of the documents, by the home's dialect */
};

struct sip_watcher *sip_watcher_new(const struct sip_watcher_ops *ops, void *arg, struct timers *timers,
				    const struct sip_watcher_config *cfg, struct slice contact_uri);
struct sip_watcher *sip_watcher_free(struct sip_watcher *w); /* silent; accepts NULL; not from inside an op */

/* The home turned out to be another: from the next document on. */
void sip_watcher_set_flavour(struct sip_watcher *w, enum pidf_flavour flavour);
/* The language of all notes of the present state, for Content-Language; empty when there is none, or several. Valid until the next
 * event. */
struct slice sip_watcher_language(const struct sip_watcher *w);
/* Is the contact known to be nowhere: approved, heard of, and every resource gone? Not while its server cannot be reached. */
bool sip_watcher_contact_gone(const struct sip_watcher *w);

bool sip_watcher_active(const struct sip_watcher *w);
bool sip_watcher_idle(const struct sip_watcher *w); /* no dialog and no poll: may be freed */
const struct presence_set *sip_watcher_presence(const struct sip_watcher *w);

/* A dialog was opened (the owner has sent the 2xx) / ended for whatever reason. Opening the first sends subscribe; the approval
 * brings a probe. Ending the last sends unavailable and keeps the authorisation (RFC 8048 5.3.3). */
void sip_watcher_opened(struct sip_watcher *w);
void sip_watcher_closed(struct sip_watcher *w);
/* A dialog restored after a restart: asks again, changes nothing that the watcher sees until the answer. */
void sip_watcher_restored(struct sip_watcher *w, bool was_active);
/* Ends all dialogs with this reason (RFC 6665 4.1.3; retry_after 0: none), silently towards the contact: it cannot be asked, or
 * policy does not allow it any more. */
void sip_watcher_end(struct sip_watcher *w, struct slice reason, uint32_t retry_after);
/* SUBSCRIBE with Expires 0 outside a dialog: `polled` follows, at once when the state is known or the contact has not approved
 * yet. */
void sip_watcher_poll(struct sip_watcher *w);

/* A presence stanza from the contact (any type but probe, subscribe, unsubscribe), `resource` of its from; now_unix: seconds
 * since 1970. */
void sip_watcher_presence_in(struct sip_watcher *w, const struct xml_node *stanza, struct slice resource, struct arena *a,
			     int64_t now_unix);
/* The partner's stream was lost / is back. */
void sip_watcher_link(struct sip_watcher *w, bool up);

/* Appends the PIDF of the present state; nothing while pending or when nothing is known. What is too large for b loses its notes,
 * then all but the best resource. The contact's name is what it calls itself (XEP-0172), believed from the approval on. */
void sip_watcher_body(struct sip_watcher *w, struct buf *b);

/* As sip_watcher_body, but closed whatever the state: what a watcher who unsubscribes is left with (RFC 8048 5.3.3). */
void sip_watcher_body_closed(struct sip_watcher *w, struct buf *b);

/* Reads show, status (one note per language, PRESENCE_SIP_NOTE characters), priority, delay (XEP-0203), idleness (XEP-0319, XEP-0256)
 * of an available or unavailable presence stanza. Text in the arena. True when a note was cut. */
bool sip_watcher_read(const struct xml_node *stanza, struct slice resource, struct arena *a, int64_t now_unix,
		      struct presence_item *ret);
