/* SPDX-License-Identifier: Apache-2.0 */
/* The head of an MSRP request or response: reading (zero-copy) and writing (RFC 4975 7, 9). Pure, any thread. */
#pragma once
#include "base/buf.h"
#include "msrp/uri.h"

enum msrp_method { MSRP_RESPONSE, MSRP_SEND, MSRP_REPORT, MSRP_OTHER };
enum msrp_failure { MSRP_FAILURE_YES, MSRP_FAILURE_NO, MSRP_FAILURE_PARTIAL };

enum { MSRP_UNKNOWN = -1 };
/* The largest octet position that is read; a message of ours is never near it. */
#define MSRP_POSITION_MAX INT64_C(0x7ffffffffffff)

struct msrp_range {
	int64_t start;        /* of the first octet, from 1 */
	int64_t end, total;   /* MSRP_UNKNOWN for "*" */
};

struct msrp_head {
	enum msrp_method method;
	struct slice tid;             /* transaction identifier */
	struct slice method_name;     /* of a request */
	int status;                   /* of a response; of a REPORT its Status (namespace 000), 0 without one */
	struct slice comment;         /* of either; may be empty */
	int status_namespace;         /* of a REPORT; -1 without Status */
	struct msrp_path to, from;    /* n == 0: missing or malformed; then the head has a fault */
	struct slice message_id;      /* empty when absent */
	bool has_range;
	struct msrp_range range;      /* 1-*, * of unknown total when absent */
	bool success_report;          /* Success-Report: yes */
	enum msrp_failure failure_report; /* absent: yes */
	struct slice content_type;    /* empty: none */
	struct slice headers;         /* the lines after From-Path, for msrp_head_field */
	const char *fault;            /* NULL, or why it is answered with 400; static */
};

/* Reads a piece's head. Always fills tid and method; what is wrong is in `fault`: To-Path and From-Path not first and second or
 * malformed, a header that is no header, a known header twice or with a value outside its grammar, no Message-ID in SEND or REPORT. */
void msrp_head_parse(struct slice head, struct msrp_head *ret);
/* The value of any header, names without case. False: absent. */
bool msrp_head_field(const struct msrp_head *h, struct slice name, struct slice *ret);
/* Lenient: the session of the To-Path's first URI in a head, without judging the rest; empty when there is none. */
struct slice msrp_head_session(struct slice head);

/* Phrases of the status codes of RFC 4975, 4976 and 7701; "" for others. */
const char *msrp_status_text(int status);

/* ---- writing: the buffer fails at its limit or when a value has CR, LF or NUL */
struct msrp_send { /* one chunk */
	struct slice tid, to_path, from_path, message_id;
	bool no_range;
	struct msrp_range range;
	bool success_report;
	enum msrp_failure failure_report;
	struct slice headers;         /* whole lines with CRLF, before Content-Type; may be empty */
	struct slice content_type;    /* empty: bodiless */
	struct slice data;
	char flag;
};
void msrp_put_send(struct buf *b, const struct msrp_send *s);
void msrp_put_response(struct buf *b, struct slice tid, int status, struct slice comment, struct slice to_path, struct slice from_path);
void msrp_put_report(struct buf *b, struct slice tid, struct slice to_path, struct slice from_path, struct slice message_id,
		     const struct msrp_range *range, int status, struct slice comment);
