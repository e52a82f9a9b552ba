/* SPDX-License-Identifier: Apache-2.0 */
/* Dialogs between homes and SIP partners, as far as a proxy sees them: it is told of each request and answer that passes, keeps a row for each dialog
 * that they begin (INVITE, SUBSCRIBE, REFER; RFC 3261 12, RFC 6665), and counts what goes on inside. Nothing is decided by it: a dialog that is not
 * here passes all the same, and what ends without a word to us stays until it is ACCESS_DIALOG_SILENT_MS silent, its own time (Expires,
 * Session-Expires) is over, or room is needed: then the one that was silent longest goes; of sessions that are not answered yet, at most 1000
 * are kept, the oldest goes (its answer brings it back). A restart forgets all. `now` may differ a little between workers.
 * One object for all workers, any thread; a lock for a moment where a message belongs to a dialog, none for others. */
#pragma once
#include <stdint.h>
#include "base/slice.h"
#include "sip/msg.h"

enum { ACCESS_DIALOGS_MAX = 20000, ACCESS_DIALOG_URI = 256, ACCESS_DIALOG_SILENT_MS = 4 * 3600 * 1000 };

struct access_dialogs;
struct access_dialogs *access_dialogs_new(size_t max); /* 0: ACCESS_DIALOGS_MAX */
/* Accepts NULL; returns NULL. */
struct access_dialogs *access_dialogs_free(struct access_dialogs *d);

/* A request that went on its way; `outward`: to a partner. d may be NULL, here and below. */
void access_dialogs_request(struct access_dialogs *d, uint64_t now, bool outward, const struct sip_msg *m);
/* An answer that went back, to a request that went `outward`. */
void access_dialogs_response(struct access_dialogs *d, uint64_t now, bool outward, const struct sip_msg *m);

struct access_dialog_facts { /* slices are valid during the call */
	bool outward;              /* the home's side has begun it */
	const char *kind;          /* "session" "subscription" */
	const char *state;         /* "early" "up" "ending" */
	struct slice local, remote; /* URIs, cut at ACCESS_DIALOG_URI */
	struct slice event;        /* of a subscription */
	struct slice call_id;
	uint64_t requests_in, requests_out; /* inside it, from the partner and to it; the one that began it too */
	uint64_t age_ms, idle_ms;
	uint64_t left_ms;          /* until its own time is over; 0: it has none */
};
/* In no order; fn may take its time, it is told from a copy. */
void access_dialogs_each(struct access_dialogs *d, uint64_t now, void (*fn)(void *arg, const struct access_dialog_facts *f), void *arg);
struct access_dialog_counts {
	size_t open;
	uint64_t begun, ended, forgotten; /* forgotten: for want of room, or silent for too long */
};
void access_dialogs_counts(struct access_dialogs *d, struct access_dialog_counts *ret);
