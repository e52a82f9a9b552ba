/* SPDX-License-Identifier: Apache-2.0 */
/* Page-mode IM (RFC 7572): SIP MESSAGE <-> XMPP message. One call per message and direction; no state, no I/O. Who may talk to
 * whom, dialogs, queues, duplicates and pending errors are the gateway's. Pure but for the callbacks, any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "sip/msg.h"
#include "xmpp/jid.h"
#include "xmpp/xml.h"

struct interwork_im_rules {
	bool type_normal;	 /* SIP -> XMPP: type normal (RFC 7572 5 to the letter) instead of chat */
	size_t max_stanza;	 /* octets of a stanza towards XMPP; default 262144 */
	size_t max_message;	 /* octets of a SIP MESSAGE when every hop is TLS or TCP to a configured partner; default 20000 */
	size_t max_message_udp;	 /* the same when the path is not known (RFC 3428 8); default 1300 */
	struct slice correction; /* marker before a corrected text (XEP-0308); default "[corrected] " */
};
extern const struct interwork_im_rules interwork_im_rules_default;

enum interwork_im_action {
	INTERWORK_IM_PASS,   /* send what was written */
	INTERWORK_IM_DROP,   /* nothing crosses and nobody is told: towards SIP answer 200 */
	INTERWORK_IM_REFUSE, /* `reason` and `header` say how; build the answer with errormap.h */
};
/* What the message was. Only TEXT passes here; the other kinds serve later stages, counters and the log. */
enum interwork_im_kind {
	INTERWORK_IM_TEXT,
	INTERWORK_IM_EMPTY,     /* no body, or an empty one */
	INTERWORK_IM_COMPOSING, /* application/im-iscomposing+xml, or only a chat state (XEP-0085) */
	INTERWORK_IM_RECEIPT,   /* message/imdn+xml, or only a receipt or marker (XEP-0184, XEP-0333) */
	INTERWORK_IM_EXPIRED,   /* its Expires had passed on arrival */
	INTERWORK_IM_FORGED,    /* carbons or archive results from a remote domain (XEP-0280, XEP-0313) */
	INTERWORK_IM_ERROR,     /* an XMPP error: match it with a pending request, never answer */
};
struct interwork_im_verdict {
	enum interwork_im_action action;
	enum interwork_im_kind kind;
	enum reason reason;                     /* of a refusal, else REASON_NONE */
	struct slice header_name, header_value; /* one more header for the refusal towards SIP, or empty */
	const char *why;                        /* of a refusal: English, static */
};

/* ---- SIP -> XMPP */
struct interwork_im_in {
	const struct sip_msg *msg;   /* a MESSAGE */
	const struct xmpp_jid *from; /* mapped: interwork_sender_to_jid of the asserted identity */
	const struct xmpp_jid *to;   /* mapped from the Request-URI */
	int64_t now;		     /* Unix seconds */
	/* Was this Call-ID seen before with this pair? Then true, and *thread (preset to the Call-ID) may be replaced by the XMPP
	 * thread that it belongs to. NULL: never (RFC 7572 maps every Call-ID to a thread; in page mode each message has its own,
	 * so each would open a new window). */
	bool (*call_id_seen)(void *ctx, struct slice call_id, struct slice *thread);
	void *ctx;
};
/* Appends one <message/> in the default namespace of the stream (no xmlns is written) to b, or nothing. `a` holds scratch
 * (decoded parts). *ret_id (may be NULL) gets its id, in the arena: the same for every retransmission of the request. */
struct interwork_im_verdict interwork_im_to_xmpp(struct buf *b, struct arena *a, const struct interwork_im_in *in,
						 const struct interwork_im_rules *rules, struct slice *ret_id);

/* ---- XMPP -> SIP */
struct interwork_im_out {
	const struct xml_node *stanza; /* a message */
	struct slice from_uri, to_uri; /* mapped; their length counts towards the size limit */
	bool reliable_path;	       /* every hop is TLS or TCP to a configured partner */
	/* Did we forward a message with this id from this sender? NULL: yes. (A correction of something unknown is a plain
	 * message.) */
	bool (*id_known)(void *ctx, struct slice id);
	void *ctx;
};
/* Parts of the MESSAGE; empty or -1 when absent. Values are free of CR, LF and controls, but the body's CRLF. */
struct interwork_im_page {
	struct slice content_type, body;
	struct slice subject, language, priority, date;
	int64_t expires;
	int max_forwards;        /* always set */
	struct slice id, thread; /* of the stanza, for the gateway's tables; raw */
	bool receipt_requested;  /* XEP-0184 */
};
struct interwork_im_verdict interwork_im_to_sip(struct interwork_im_page *ret, struct arena *a,
						const struct interwork_im_out *out, const struct interwork_im_rules *rules);
