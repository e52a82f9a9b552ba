/* SPDX-License-Identifier: Apache-2.0 */
/* What a message is made of (RFC 7572, 7573): the content of a SIP MESSAGE, of the ms-body of an INVITE or of an MSRP SEND <-> XMPP
 * message. What carried it does not matter here: the carrier fills a struct interwork_im_content and reads a struct interwork_im_page.
 * One call per message and direction; no state, no I/O. Who may talk to whom, dialogs, queues, duplicates and pending errors are the
 * gateway's. Pure but for the callbacks, any thread. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "interwork/cpim.h"
#include "sip/msg.h"
#include "xmpp/jid.h"
#include "xmpp/xml.h"

struct interwork_im_rules {
	bool type_normal;	 /* SIP -> XMPP: type normal (RFC 7572 5 to the letter) instead of chat */
	size_t max_stanza;	 /* octets of a stanza towards XMPP; default 262144. Less by XEP-0478 is the stream's to say */
	size_t max_message;	 /* octets of a SIP MESSAGE when every hop is TLS or TCP to a configured partner; default 20000 */
	size_t max_message_udp;	 /* the same when the path is not known (RFC 3428 8); default 1300 */
	struct slice correction; /* marker before a corrected text (XEP-0308); default "[corrected] " */
	bool xhtml;		 /* markup both ways beside the text (XHTML-IM, XEP-0071, deprecated), as xhtml.h lets it pass: default no */
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
enum { INTERWORK_IM_ENCODINGS = 3 };
/* A message as its carrier delivered it. What is absent is empty; the texts are raw (folds, controls, malformed octets may be inside),
 * they are cleaned here. */
struct interwork_im_content {
	struct slice type;              /* Content-Type; empty: text/plain */
	struct slice transfer_encoding; /* Content-Transfer-Encoding */
	/* Content-Encoding in the order in which it was applied (RFC 3261 20.12), without "identity". inflate.h knows some; n counts all. */
	struct slice encodings[INTERWORK_IM_ENCODINGS];
	size_t n_encodings;
	struct slice disposition;       /* Content-Disposition */
	struct slice language;          /* Content-Language */
	struct slice body;
	struct slice subject;
	struct slice thread;   /* Call-ID */
	int64_t sent;          /* Date, Unix seconds; 0: not known */
	int64_t expires;       /* when it is too old, Unix seconds; 0: never */
	int max_forwards;      /* hops left, as received; -1: the carrier does not count */
	/* What is the same in every retransmission of this message, and in no other message: of a SIP request the branch, the Call-ID, the
	 * From tag and CSeq; of a SEND the path and Message-ID. */
	struct slice id_material[3];
	uint32_t id_number;
};
/* Of a SIP request with a body: MESSAGE in or out of a dialog, INFO, the ms-body of an INVITE (then put its type and body in). Points
 * into m. */
struct interwork_im_content interwork_im_content_of(const struct sip_msg *m);

/* What the content turned out to be, filled as far as it was read, also when nothing passes: receipts and typing notifications are
 * found by it however they are wrapped. Slices lie in the arena or in the content. */
struct interwork_im_found {
	struct slice id;         /* of the stanza; empty when none was written */
	struct slice type, body; /* the innermost part that decided; its transfer encoding is undone, its charset not */
	bool wrapped;            /* it was in a CPIM message, with these headers */
	struct cpim cpim;
};

struct interwork_im_in {
	struct interwork_im_content content;
	const struct xmpp_jid *from; /* mapped: interwork_sender_to_jid of the asserted identity, of the peer of the session */
	const struct xmpp_jid *to;   /* mapped from the Request-URI */
	int64_t now;		     /* Unix seconds */
	/* Was this Call-ID seen before with this pair? Then true, and *thread (preset to the Call-ID) may be replaced by the XMPP
	 * thread that it belongs to. NULL: never (RFC 7572 maps every Call-ID to a thread; in page mode each message has its own,
	 * so each would open a new window). */
	bool (*call_id_seen)(void *ctx, struct slice call_id, struct slice *thread);
	/* More children of the stanza, in its namespace (a chat state, a request for a receipt); NULL: none. Called once, when a text
	 * passes. */
	void (*children)(void *ctx, struct buf *b, const struct interwork_im_found *found);
	void *ctx; /* of both */
};
/* Appends one <message/> in the default namespace of the stream (no xmlns is written) to b, or nothing. `a` holds scratch
 * (decoded parts). ret (may be NULL) tells what it was; its id is the same for every retransmission. */
struct interwork_im_verdict interwork_im_to_xmpp(struct buf *b, struct arena *a, const struct interwork_im_in *in,
						 const struct interwork_im_rules *rules, struct interwork_im_found *ret);

/* ---- XMPP -> SIP */
struct interwork_im_out {
	const struct xml_node *stanza; /* a message */
	/* Did we forward a message with this id from this sender? NULL: yes. (A correction of something unknown is a plain
	 * message.) */
	bool (*id_known)(void *ctx, struct slice id);
	void *ctx;
};
/* What crosses; empty or -1 when absent. Values are free of CR, LF and controls, but the body's CRLF. */
struct interwork_im_page {
	struct slice content_type, body; /* the text alone: what every carrier can send as it is */
	struct slice html;               /* the same with markup, UTF-8: for interwork_im_pack; empty: none */
	struct slice subject, language, priority, date;
	int64_t expires;
	int max_forwards;        /* always set */
	struct slice id, thread; /* of the stanza, for the gateway's tables; raw */
	bool receipt_requested;  /* XEP-0184 */
	bool markable;           /* XEP-0333 */
};
struct interwork_im_verdict interwork_im_to_sip(struct interwork_im_page *ret, struct arena *a,
						const struct interwork_im_out *out, const struct interwork_im_rules *rules);

/* How a message goes, once that is known. */
struct interwork_im_carrier {
	/* Media types that the other side takes, as Accept or a=accept-types list them, with commas or blanks between; empty:
	 * text/plain only. In a CPIM message `wrapped` (a=accept-wrapped-types), empty: as `accept`. */
	struct slice accept, wrapped;
	const struct cpim_headers *cpim; /* to be wrapped so (a receipt is wanted, the session takes only message/cpim); NULL: not. It is
					  * done only where `accept` lists message/cpim */
	size_t max; /* octets of the body, wrapping included; 0: no limit */
};
/* The body for this carrier in *ret_type and *ret_body: the text, or multipart/alternative of text and markup, each maybe in a CPIM
 * message. PASS, or REFUSE: larger than the carrier takes, or a type that it must not carry. Never cuts. */
struct interwork_im_verdict interwork_im_pack(struct slice *ret_type, struct slice *ret_body, struct arena *a,
					      const struct interwork_im_page *page, const struct interwork_im_carrier *carrier);
/* The octets of a body that a MESSAGE with this page and these URIs may have: the limit of the path less what its other parts take.
 * `reliable`: every hop is TLS or TCP to a configured partner. */
size_t interwork_im_message_room(const struct interwork_im_page *page, struct slice from_uri, struct slice to_uri, bool reliable,
				 const struct interwork_im_rules *rules);
/* Is this media type (parameters do not count) in such a list? "*" and "text/" followed by "*" match. */
bool interwork_accepts(struct slice list, struct slice type);
