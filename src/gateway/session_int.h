/* SPDX-License-Identifier: Apache-2.0 */
/* Between session.c (the machine), session_call.c (how a session begins, and what it says of itself) and session_lync.c (Lync's headers). */
#pragma once
#include "gateway/session.h"

extern const struct sip_session_ops session_ops;

/* ---- session.c */
/* One that is neither called nor calling yet; it is in g->sessions, but not its conversation's. */
struct session *session_make(struct conversation *c, const struct gateway_home *h, uint32_t home);
/* It has not begun. */
void session_free(struct session *s);
void session_keep_types(struct session *s, const struct sdp_im_media *im);
/* `by` takes over from the conversation's present one. */
void session_replace(struct session *old, struct session *by);

/* ---- session_texts.c */
/* Among those that the leg has not, in the order in which they were said: one that comes back from another session is older. */
void session_text_add(struct session *s, struct outgoing *o);
void session_text_remove(struct session *s, struct outgoing *o);
/* The first that the leg has not; NULL: none. */
struct outgoing *session_text_next(const struct session *s);
/* All texts, or those that the leg does not have, go to `to` in their order. */
void session_texts_move(struct session *s, struct session *to, bool all);
/* All of them end this way. */
void session_texts_end(struct session *s, void (*end)(struct outgoing *o, const void *how), const void *how);

/* ---- session_call.c */
/* Calls the SIP user, with the URIs, thread and (as a foretaste) the text of `o`, which is not taken. */
enum reason session_call(struct session **ret, struct conversation *c, uint32_t home, const struct outgoing *o);
/* Writes our description: the answer to the one in `offer`, or an offer where that is empty. The status: 200, or of the refusal. */
int session_write_sdp(struct session *s, struct slice offer, struct arena *a, struct buf *b);
enum sdp_im session_form(const struct dialect *d);

/* ---- session_keep.c */
/* Is this record of the store a session? */
bool session_is_kept(struct slice blob);
/* Goes on with it, where policy allows it and its session timer has not run out. */
void session_load(struct gateway *g, struct slice local, struct slice remote, struct slice blob);

/* ---- session_sip.c */
/* The leg of a session that goes on. */
void session_leg_sip_resume(struct session *s);

/* ---- session_lync.c */
enum { SESSION_LYNC_HEADERS = 4 };
/* On every INVITE, and answers to it: Ms-Conversation-ID. `theirs` (may be NULL) is the INVITE that opens the session: its own is kept. */
size_t session_lync_headers(struct session *s, struct sip_extra *ret, struct arena *a, const struct sip_msg *theirs);
/* On our first INVITE: EndPoints, ms-text-format. */
size_t session_lync_invite_headers(struct session *s, struct sip_extra *ret, struct arena *a, const struct outgoing *o);
/* The epid of the XMPP user's device, for Contact; and ";epid=..." for From. */
struct slice session_lync_epid(const struct conversation *c, struct arena *a);
struct slice session_lync_epid_param(const struct conversation *c, struct arena *a);
/* The text that came with this INVITE (ms-text-format with ms-body). False: none, or none that can be read. */
bool session_first_text(const struct sip_msg *invite, struct arena *a, struct slice *ret_type, struct slice *ret_body);
/* Says this 2xx that the text of our INVITE was taken? */
bool session_first_supported(const struct sip_msg *m);
