/* SPDX-License-Identifier: Apache-2.0 */
/* SIP messages: a zero-copy index over the bytes as received (RFC 3261 7, 20, 25). Nothing is unfolded, unescaped or reordered;
 * the headers that every layer needs are parsed once into typed fields. The index lives in an arena; the bytes must outlive it.
 * Limits (struct sip_limits) bound what a peer can make us do. Pure, any thread. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "sip/uri.h"

#define SIP_METHODS(X)                                                                                                     \
	X(INVITE) X(ACK) X(BYE) X(CANCEL) X(OPTIONS) X(REGISTER) X(MESSAGE) X(SUBSCRIBE) X(NOTIFY) X(BENOTIFY) X(INFO) X(UPDATE) \
	X(PRACK) X(REFER) X(PUBLISH) X(SERVICE) X(NEGOTIATE)
enum sip_method {
	SIP_METHOD_OTHER,
#define X(m) SIP_##m,
	SIP_METHODS(X)
#undef X
};
/* "" for SIP_METHOD_OTHER. */
struct slice sip_method_name(enum sip_method m);
/* Case-sensitive (RFC 3261 7.1). */
enum sip_method sip_method_of(struct slice name);

/* Known header fields: name, compact form or 0. Unknown ones are SIP_H_OTHER. */
#define SIP_HEADERS(X)                                                                                                      \
	X(VIA, "Via", 'v') X(FROM, "From", 'f') X(TO, "To", 't') X(CALL_ID, "Call-ID", 'i') X(CSEQ, "CSeq", 0)              \
	X(CONTACT, "Contact", 'm') X(MAX_FORWARDS, "Max-Forwards", 0) X(CONTENT_LENGTH, "Content-Length", 'l')               \
	X(CONTENT_TYPE, "Content-Type", 'c') X(CONTENT_ENCODING, "Content-Encoding", 'e')                                   \
	X(CONTENT_LANGUAGE, "Content-Language", 0) X(CONTENT_DISPOSITION, "Content-Disposition", 0)                         \
	X(RECORD_ROUTE, "Record-Route", 0) X(ROUTE, "Route", 0) X(EXPIRES, "Expires", 0) X(MIN_EXPIRES, "Min-Expires", 0)   \
	X(EVENT, "Event", 'o') X(ALLOW_EVENTS, "Allow-Events", 'u') X(SUBSCRIPTION_STATE, "Subscription-State", 0)          \
	X(ACCEPT, "Accept", 0) X(ALLOW, "Allow", 0) X(SUPPORTED, "Supported", 'k') X(REQUIRE, "Require", 0)                  \
	X(PROXY_REQUIRE, "Proxy-Require", 0) X(UNSUPPORTED, "Unsupported", 0) X(RETRY_AFTER, "Retry-After", 0)              \
	X(REASON, "Reason", 0) X(WARNING, "Warning", 0) X(SUBJECT, "Subject", 's') X(DATE, "Date", 0)                       \
	X(USER_AGENT, "User-Agent", 0) X(SERVER, "Server", 0) X(PRIORITY, "Priority", 0)                                    \
	X(P_ASSERTED_IDENTITY, "P-Asserted-Identity", 0) X(IN_REPLY_TO, "In-Reply-To", 0) X(MIME_VERSION, "MIME-Version", 0) \
	X(TIMESTAMP, "Timestamp", 0) X(REPLACES, "Replaces", 0) X(REFER_TO, "Refer-To", 'r') X(REFERRED_BY, "Referred-By", 'b')
enum sip_hdr {
	SIP_H_OTHER,
#define X(id, name, compact) SIP_H_##id,
	SIP_HEADERS(X)
#undef X
	SIP_H_COUNT
};
/* "" for SIP_H_OTHER. */
struct slice sip_hdr_name(enum sip_hdr h);
/* Without case, compact forms too. */
enum sip_hdr sip_hdr_of(struct slice name);

struct sip_header {
	enum sip_hdr id;
	struct slice name;  /* as written, trailing white space off */
	struct slice value; /* outer white space off, folds still inside */
	struct slice line;  /* the raw field with its CRLF, for edits over the original bytes */
};

/* One via-parm (RFC 3261 20.42). */
struct sip_via {
	struct slice raw, transport, host, params; /* host with brackets for IPv6 */
	uint16_t port;                             /* 0 when absent */
	struct slice branch;                       /* empty when absent */
	struct slice received;                     /* empty when absent */
	bool rport;                                /* ";rport" present */
	uint16_t rport_value;                      /* 0 when valueless */
};

/* name-addr or addr-spec with header parameters: From, To, Contact, Route, Record-Route ... */
struct sip_addr {
	struct slice raw, display; /* display name as written, quotes included */
	struct slice uri_text;     /* without brackets */
	struct sip_uri uri;
	struct slice params;       /* header parameters after the first ";", without it */
	struct slice tag;          /* empty when absent */
	bool star;                 /* Contact: * */
};

struct sip_limits {
	size_t max_message;  /* octets, start line to end of body */
	size_t max_headers;  /* fields */
	size_t max_line;     /* octets of one unfolded field */
};
/* 64 KiB, 128 fields, 8 KiB. */
extern const struct sip_limits sip_limits_default;

struct sip_msg {
	struct slice raw; /* start line .. end of body */
	bool is_request;
	/* request */
	enum sip_method method;
	struct slice method_text, uri_text;
	struct sip_uri uri;
	/* response */
	int status;
	struct slice reason;
	/* both */
	struct sip_header *headers;
	size_t n_headers;
	uint64_t has;     /* 1 << enum sip_hdr of each: most are looked for in vain */
	struct slice body;
	struct sip_via via; /* the topmost */
	struct sip_addr from, to;
	struct slice call_id;
	uint32_t cseq;
	enum sip_method cseq_method;
	struct slice cseq_method_text;
	int max_forwards;        /* -1 when absent */
	int64_t content_length;  /* -1 when absent */
};

/* What was wrong and how to answer it (RFC 3261 8.2, 16.3; RFC 4475 for the cases). */
struct sip_fault {
	int status;        /* 400, 413, 416, 505 ...; 0: nothing can be answered (drop; on a stream close) */
	char text[96];     /* reason phrase for the answer and the log */
};

/* Parses one complete message (framing already done: `raw` ends with the body; for datagrams, octets after Content-Length are
 * ignored and too few are a fault). CRLFs before the start line are stepped over. On success *ret is set, 0 is returned. On a
 * fault returns ENTENTE_ESYNTAX or ENTENTE_ELIMIT; if the message is a request (not ACK) whose topmost Via can be read, *ret is
 * set too, for sip_build_response only (fields that could not be read are empty or raw), and fault->status is the status to send;
 * else *ret is NULL and fault->status 0. A faulty response is never answered. Faults beside plain syntax: Via, From, To, Call-ID
 * or CSeq missing; From, To, Call-ID, CSeq, Max-Forwards or Content-Length twice; CSeq of 2^31 and more or with another method
 * than the request's (501 when we do not know the method); headers inside the Request-URI; a bare CR or LF, a control character
 * outside a quoted-pair; another SIP version (505). Accepted: no tag in From (RFC 2543), Max-Forwards absent or above 255 (read
 * as 255), any scheme in any URI (sip_uas_check refuses), unknown methods, headers and Via transports. */
int sip_msg_parse(struct sip_msg **ret, struct arena *a, struct slice raw, const struct sip_limits *lim, struct sip_fault *fault);

/* The n-th (from 0) header field with this ID, or NULL. */
const struct sip_header *sip_msg_header(const struct sip_msg *m, enum sip_hdr id, size_t n);
/* By name, without case; also for unknown names. Value only, p == NULL when absent. */
struct slice sip_msg_header_named(const struct sip_msg *m, struct slice name);

/* Iterates over the comma-separated values of all fields with this ID, in order, quotes and brackets respected.
 * Start with *it = {0}. False at the end. */
struct sip_values {
	size_t field, offset;
};
bool sip_msg_next_value(const struct sip_msg *m, enum sip_hdr id, struct sip_values *it, struct slice *ret);

/* Typed readings of one value. 0 or ENTENTE_ESYNTAX. */
int sip_via_parse(struct slice value, struct sip_via *ret);
int sip_addr_parse(struct slice value, struct sip_addr *ret);
/* ";name=value" lists of headers (not URIs): names without case; quoted values keep their quotes. */
bool sip_param(struct slice params, struct slice name, struct slice *ret);
/* Splits "type/subtype;params" or "presence;id=x" into token and params. */
struct slice sip_token(struct slice value, struct slice *ret_params);
/* delta-seconds etc.; false when absent or malformed or > max. */
bool sip_msg_uint(const struct sip_msg *m, enum sip_hdr id, uint32_t max, uint32_t *ret);
/* True when any value of the list header equals the token without case (Require: x, Supported: y ...). */
bool sip_msg_lists(const struct sip_msg *m, enum sip_hdr id, struct slice token);
