/* SPDX-License-Identifier: Apache-2.0 */
/* Session descriptions (RFC 8866) as offer and answer (RFC 3264): a bounded, zero-copy reader, and writers for sessions of
 * instant messages: m=message as Lync writes it ("sip null"), and MSRP (RFC 4975 8). Pure, any thread. Nothing here knows media
 * other than to refuse them: an answer has an m-line for each one of the offer, in its order, port 0 for all but one. */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

enum { SDP_MAX = 32768, SDP_LINES_MAX = 512, SDP_MEDIA_MAX = 16, SDP_PATHS_MAX = 8 };

/* "application/sdp" */
#define SDP_TYPE S("application/sdp")

struct sdp_media {
	struct slice line;        /* value of the m-line */
	struct slice type;        /* "message", "x-ms-message", "audio" */
	uint16_t port;            /* 0: refused or gone */
	struct slice proto;       /* "sip", "TCP/MSRP", "RTP/AVP" */
	struct slice fmt;         /* the rest: "null", "sip:bob@b.example", "*", "0 8 101"; may be empty */
	struct slice connection;  /* value of its own c-line, else of the session's; may be empty */
	struct slice lines;       /* what follows its m-line, up to the next one: for sdp_attribute */
};

struct sdp {
	struct slice origin, name, connection; /* values of o=, s= and the session's c=; may be empty */
	struct slice lines;                    /* before the first m-line: for sdp_attribute */
	struct sdp_media media[SDP_MEDIA_MAX];
	size_t n_media;
};

/* Reads a description; `ret` points into `text`. Begins with "v=0"; line ends may be CRLF or LF; lines of unknown letters and
 * fields that are missing (o=, s=, t=) are tolerated, clients leave them out. ENTENTE_ESYNTAX: a line that is not "letter=value",
 * a NUL or a bare CR, an m-line without type, port and proto. ENTENTE_ELIMIT: past the limits above. *ret is then undefined. */
int sdp_parse(struct sdp *ret, struct slice text);

/* Steps through the attributes (a=) of `lines`: *lines is cut behind the one found. Attribute names are compared exactly (RFC 8866:
 * they are case-sensitive). The value is empty for a property ("a=recvonly"). False at the end. */
bool sdp_attribute_next(struct slice *lines, struct slice *ret_name, struct slice *ret_value);
/* The first one of that name. ret_value may be NULL. */
bool sdp_attribute(struct slice lines, struct slice name, struct slice *ret_value);

/* --- instant messages in a description --- */

enum sdp_im {
	SDP_IM_NONE,
	SDP_IM_SIP,  /* m=message or m=x-ms-message, proto "sip": texts travel as MESSAGE in the dialog; port and fmt mean nothing */
	SDP_IM_MSRP, /* m=message TCP/MSRP or TCP/TLS/MSRP, with a path */
};

struct sdp_im_media {
	enum sdp_im form;
	size_t index;                       /* of its m-line */
	bool tls;                           /* MSRP: TCP/TLS/MSRP */
	struct slice word;                  /* SIP: "message" or "x-ms-message", to be mirrored */
	struct slice accept_types;          /* "text/plain text/html", may be empty (Lync's oldest form: text/plain) */
	struct slice accept_wrapped_types;  /* may be empty */
	struct slice path;                  /* MSRP: the URIs, separated by spaces, nearest first; never empty then */
	struct slice setup;                 /* MSRP: "active", "passive", "actpass" or empty (RFC 6135: the offerer is active) */
	struct slice fingerprint;           /* of a=fingerprint, empty when absent */
	uint64_t max_size;                  /* MSRP: 0 when not said */
	bool can_send, can_receive;         /* the peer: a=sendrecv, sendonly, recvonly, inactive of the media or session */
	bool file;                          /* RFC 5547 a=file-selector: a file transfer, not a conversation */
};

/* Which m-line of instant messages to take: the first one with a port other than 0 that has one of `forms` (1u << SDP_IM_SIP | ...),
 * is no file transfer and, for MSRP, names a path. False: none; `ret` is then zeroed. */
bool sdp_im_find(const struct sdp *s, unsigned forms, struct sdp_im_media *ret);

/* Is `content_type` (parameters do not count) in the list "text/plain text/html" (RFC 4975 8.6: also "text/" star, star)? An empty
 * list holds text/plain. */
bool sdp_accepts(struct slice accept_types, struct slice content_type);
/* Appends the types of `ours` that `theirs` accepts, in the order of `ours`, separated by spaces; all of `ours` when none would be
 * left (Lync's lists lie; each side may say what it can read: RFC 4975 8.6 demands no intersection). */
void sdp_accept_both(struct buf *b, struct slice ours, struct slice theirs);

/* --- writing --- */

/* What we say of ourselves. Values with CR, LF or NUL spoil the buffer. */
struct sdp_local {
	struct slice address;               /* o= and c=: an IP literal (IPv6 without brackets) or a host name; empty: 0.0.0.0 */
	uint64_t id, version;               /* of o=; a changed description of the same session has a greater version (RFC 3264 8) */
	enum sdp_im form;
	struct slice word;                  /* SIP: of the offer; empty: "message" */
	struct slice fmt;                   /* SIP: "null" when empty; MSRP always "*" */
	uint16_t port;                      /* 0: 5060 for SIP, 2855 for MSRP (which ignores it: RFC 4975 8.1, the path counts) */
	bool tls;
	struct slice accept_types, accept_wrapped_types; /* written when not empty */
	struct slice path;                  /* MSRP */
	struct slice setup, fingerprint;    /* MSRP; written when not empty */
	uint64_t max_size;                  /* MSRP; written when not 0 */
};

/* A whole description with one m-line. */
void sdp_write_offer(struct buf *b, const struct sdp_local *local);
/* The answer to `offer`: `local` at m-line `index`, every other one mirrored with port 0. `word` of the local is taken from the
 * offer. index SIZE_MAX refuses all. */
void sdp_write_answer(struct buf *b, const struct sdp *offer, size_t index, const struct sdp_local *local);
