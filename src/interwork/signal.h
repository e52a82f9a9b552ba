/* SPDX-License-Identifier: Apache-2.0 */
/* What a SIP body says that is no text: who types (RFC 3994, KeyboardActivity, MSN's TypingUser), what became of a message (RFC 5438), and what
 * a text in CPIM asks to be told. One look at each body of a MESSAGE, an INFO or a SEND, before anything takes it for a text. Pure, any
 * thread; results lie in the arena or the body. */
#pragma once
#include "interwork/imdn.h"
#include "xmpp/jid.h"

enum signal_kind {
	SIGNAL_NONE,         /* not a signal: a text, or something that im.h refuses */
	SIGNAL_TYPING,
	SIGNAL_IMDN,
	SIGNAL_LYNC_FAILURE, /* application/ms-imdn+xml */
};

enum { SIGNAL_MAX_NOTICES = 16 }; /* linphone sends several at once */

struct signal {
	enum signal_kind kind;
	bool typing;
	uint32_t holds;      /* seconds that `typing` is true if it is not said again */
	bool refreshed;      /* RFC 3994: the peer says it again before that; else Lync's way, which may just stop */
	struct imdn notices[SIGNAL_MAX_NOTICES];
	struct slice ids[SIGNAL_MAX_NOTICES]; /* LYNC_FAILURE */
	size_t n;            /* of notices or ids */
	bool cpim;           /* it came in CPIM, so the peer can take CPIM */
	struct imdn_request request; /* of a text */
};

struct signal_body {
	struct slice type;       /* Content-Type; empty: text */
	struct slice encoding;   /* Content-Encoding, a list; empty: none */
	struct slice body;
	const struct xmpp_jid *from; /* whose message it is: From of a CPIM envelope must say the same */
};

/* Looks. 0, also for what is no signal. What is a signal and cannot be read never becomes text; err->reason says how to refuse it:
 * CONTENT_MALFORMED; CONTENT_TYPE: compressed in a way that we do not know (answer with Accept-Encoding: INTERWORK_ENCODINGS);
 * CONTENT_IDENTITY: CPIM names another sender; CONTENT_TOO_LARGE. *ret is set in any case, its kind as far as it is known. */
int signal_read(struct signal *ret, struct arena *a, const struct signal_body *b, struct entente_err *err);
