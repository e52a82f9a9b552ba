/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "msrp/message.h"

/* ---- reading */

static bool clean(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t')
			return false;
	return true;
}

static bool token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", s.p[i]))
			return false;
	return s.len > 0;
}

static void fault(struct msrp_head *h, const char *why)
{
	if (!h->fault)
		h->fault = why;
}

/* The next line without its CRLF; false at the end. */
static bool next_line(struct slice *rest, struct slice *ret)
{
	ptrdiff_t n = slice_find(*rest, S("\r\n"));
	if (n < 0)
		return false;
	*ret = slice_first(*rest, (size_t)n);
	*rest = slice_skip(*rest, (size_t)n + 2);
	return true;
}

static bool field(struct slice line, struct slice *ret_name, struct slice *ret_value)
{
	ptrdiff_t n = slice_find_chr(line, ':');
	if (n < 0)
		return false;
	*ret_name = slice_first(line, (size_t)n);
	*ret_value = slice_trim(slice_skip(line, (size_t)n + 1));
	return token(*ret_name) && clean(*ret_value);
}

static bool position(struct slice s, int64_t *ret)
{
	uint64_t n;
	if (slice_eq(s, S("*"))) {
		*ret = MSRP_UNKNOWN;
		return true;
	}
	if (!slice_u64(s, (uint64_t)MSRP_POSITION_MAX, &n))
		return false;
	*ret = (int64_t)n;
	return true;
}

static bool byte_range(struct slice v, struct msrp_range *ret)
{
	struct slice start, end;
	start = slice_split(&v, '-');
	end = slice_split(&v, '/');
	return v.p && position(start, &ret->start) && ret->start >= 1 && position(end, &ret->end) && position(v, &ret->total) &&
	       (ret->end < 0 || ret->end >= ret->start - 1) && (ret->end < 0 || ret->total < 0 || ret->end <= ret->total);
}

static bool status_code(struct slice s, int *ret)
{
	uint64_t n;
	if (s.len != 3 || !slice_u64(s, 999, &n))
		return false;
	*ret = (int)n;
	return true;
}

static bool report_status(struct slice v, struct msrp_head *h)
{
	struct slice space = slice_split(&v, ' '), code = slice_split(&v, ' ');
	int ns, status;
	if (!status_code(space, &ns) || !status_code(code, &status))
		return false;
	h->status_namespace = ns;
	h->status = ns ? 0 : status;
	h->comment = v;
	return true;
}

static void start_line(struct slice line, struct msrp_head *h)
{
	struct slice rest = slice_skip(line, 5), word;
	h->tid = slice_split(&rest, ' ');
	word = slice_split(&rest, ' ');
	h->method = MSRP_OTHER;
	h->method_name = word;
	if (status_code(word, &h->status)) {
		h->method = MSRP_RESPONSE;
		h->method_name = SLICE_NONE;
		h->comment = rest;
		return;
	}
	if (rest.p)
		fault(h, "malformed start line");
	if (slice_eq(word, S("SEND")))
		h->method = MSRP_SEND;
	else if (slice_eq(word, S("REPORT")))
		h->method = MSRP_REPORT;
	for (size_t i = 0; i < word.len; i++)
		if (word.p[i] < 'A' || word.p[i] > 'Z')
			fault(h, "malformed method");
	if (slice_empty(word))
		fault(h, "malformed method");
	if (!clean(line))
		fault(h, "control character in the start line");
}

enum known { KNOWN_ID = 1, KNOWN_RANGE = 2, KNOWN_SUCCESS = 4, KNOWN_FAILURE = 8, KNOWN_STATUS = 16, KNOWN_TYPE = 32, KNOWN_PATH = 64 };

static bool ident(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= 0x20 || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.len > 0 && s.len <= 128; /* RFC 4975: 32; longer ones are met and harmless */
}

static void one_field(struct msrp_head *h, struct slice name, struct slice v, unsigned *seen)
{
	enum known k = 0;
	bool ok = true;
	if (slice_ieq(name, S("Message-ID"))) {
		k = KNOWN_ID;
		if ((ok = ident(v)))
			h->message_id = v;
	} else if (slice_ieq(name, S("Byte-Range"))) {
		k = KNOWN_RANGE;
		ok = h->has_range = byte_range(v, &h->range);
	} else if (slice_ieq(name, S("Success-Report"))) {
		k = KNOWN_SUCCESS;
		h->success_report = slice_ieq(v, S("yes"));
		ok = h->success_report || slice_ieq(v, S("no"));
	} else if (slice_ieq(name, S("Failure-Report"))) {
		k = KNOWN_FAILURE;
		h->failure_report = slice_ieq(v, S("no"))        ? MSRP_FAILURE_NO
				    : slice_ieq(v, S("partial")) ? MSRP_FAILURE_PARTIAL
								 : MSRP_FAILURE_YES;
		ok = h->failure_report != MSRP_FAILURE_YES || slice_ieq(v, S("yes"));
	} else if (slice_ieq(name, S("Status")) && h->method == MSRP_REPORT) {
		k = KNOWN_STATUS;
		ok = report_status(v, h);
	} else if (slice_ieq(name, S("Content-Type"))) {
		k = KNOWN_TYPE;
		h->content_type = v;
		ok = v.len > 0;
	} else if (slice_ieq(name, S("To-Path")) || slice_ieq(name, S("From-Path"))) {
		k = KNOWN_PATH;
		ok = false;
	}
	if (!ok || (*seen & (unsigned)k))
		fault(h, k == KNOWN_RANGE    ? "malformed Byte-Range"
			 : k == KNOWN_PATH   ? "a path out of its place"
			 : k == KNOWN_STATUS ? "malformed Status"
					     : "a header twice, or with a value that it cannot have");
	*seen |= (unsigned)k;
}

static void path(struct slice *rest, struct slice name, struct msrp_path *ret)
{
	struct slice line, n, v;
	ret->n = 0;
	if (next_line(rest, &line) && field(line, &n, &v) && slice_ieq(n, name) && msrp_path_parse(v, ret))
		ret->n = 0;
}

void msrp_head_parse(struct slice head, struct msrp_head *h)
{
	struct slice rest = head, line, name, value;
	unsigned seen = 0;
	memset(h, 0, sizeof *h);
	h->status_namespace = -1;
	h->range = (struct msrp_range){1, MSRP_UNKNOWN, MSRP_UNKNOWN};
	if (!next_line(&rest, &line))
		line = head, rest = SLICE_NONE;
	start_line(line, h);
	path(&rest, S("To-Path"), &h->to);
	path(&rest, S("From-Path"), &h->from);
	if (!h->to.n || !h->from.n)
		fault(h, "no To-Path and From-Path, or malformed ones");
	h->headers = rest;
	while (next_line(&rest, &line)) {
		if (field(line, &name, &value))
			one_field(h, name, value, &seen);
		else
			fault(h, "a line that is no header");
	}
	if ((h->method == MSRP_SEND || h->method == MSRP_REPORT) && !h->message_id.len)
		fault(h, "no Message-ID");
	if (h->method == MSRP_REPORT && h->status_namespace < 0)
		fault(h, "no Status");
}

bool msrp_head_field(const struct msrp_head *h, struct slice name, struct slice *ret)
{
	struct slice rest = h->headers, line, n, v;
	while (next_line(&rest, &line))
		if (field(line, &n, &v) && slice_ieq(n, name)) {
			*ret = v;
			return true;
		}
	return false;
}

struct slice msrp_head_session(struct slice head)
{
	struct slice rest = head, line, n, v;
	struct msrp_uri u;
	if (next_line(&rest, &line) && next_line(&rest, &line) && field(line, &n, &v) && slice_ieq(n, S("To-Path")) &&
	    !msrp_uri_parse(slice_split(&v, ' '), &u))
		return u.session;
	return SLICE_NONE;
}

const char *msrp_status_text(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 403: return "Forbidden";
	case 404: return "Not Found";
	case 408: return "Timeout";
	case 413: return "Stop Sending";
	case 415: return "Unsupported Media Type";
	case 423: return "Out Of Bounds";
	case 424: return "Malformed Nickname";
	case 425: return "Nickname In Use";
	case 428: return "No Private Messages";
	case 481: return "No Such Session";
	case 501: return "Unknown Method";
	case 506: return "Session In Use";
	default: return "";
	}
}

/* ---- writing */

static void put(struct buf *b, struct slice v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.p[i] == '\r' || v.p[i] == '\n' || !v.p[i])
			b->failed = true;
	buf_put(b, v);
}

static void line(struct buf *b, const char *name, struct slice v)
{
	buf_puts(b, name);
	put(b, v);
	buf_put(b, S("\r\n"));
}

static void first(struct buf *b, struct slice tid, struct slice word, struct slice to, struct slice from)
{
	buf_put(b, S("MSRP "));
	put(b, tid);
	buf_putc(b, ' ');
	put(b, word);
	buf_put(b, S("\r\n"));
	line(b, "To-Path: ", to);
	line(b, "From-Path: ", from);
}

static void last(struct buf *b, struct slice tid, char flag)
{
	buf_put(b, S("-------"));
	put(b, tid);
	buf_putc(b, flag);
	buf_put(b, S("\r\n"));
}

static void put_position(struct buf *b, int64_t n)
{
	if (n < 0)
		buf_putc(b, '*');
	else
		buf_u64(b, (uint64_t)n);
}

static void put_range(struct buf *b, const struct msrp_range *r)
{
	buf_put(b, S("Byte-Range: "));
	put_position(b, r->start);
	buf_putc(b, '-');
	put_position(b, r->end);
	buf_putc(b, '/');
	put_position(b, r->total);
	buf_put(b, S("\r\n"));
}

void msrp_put_send(struct buf *b, const struct msrp_send *s)
{
	first(b, s->tid, S("SEND"), s->to_path, s->from_path);
	line(b, "Message-ID: ", s->message_id);
	if (!s->no_range)
		put_range(b, &s->range);
	if (s->success_report)
		buf_put(b, S("Success-Report: yes\r\n"));
	if (s->failure_report != MSRP_FAILURE_YES)
		line(b, "Failure-Report: ", s->failure_report == MSRP_FAILURE_NO ? S("no") : S("partial"));
	if (s->content_type.len) {
		buf_put(b, s->headers);
		line(b, "Content-Type: ", s->content_type);
		buf_put(b, S("\r\n"));
		buf_put(b, s->data);
		buf_put(b, S("\r\n"));
	}
	last(b, s->tid, s->flag);
}

static void put_status(struct buf *b, int status, struct slice comment)
{
	buf_u64(b, (uint64_t)status);
	if (!comment.len)
		comment = slice_str(msrp_status_text(status));
	if (comment.len) {
		buf_putc(b, ' ');
		put(b, comment);
	}
	buf_put(b, S("\r\n"));
}

void msrp_put_response(struct buf *b, struct slice tid, int status, struct slice comment, struct slice to_path, struct slice from_path)
{
	buf_put(b, S("MSRP "));
	put(b, tid);
	buf_putc(b, ' ');
	put_status(b, status, comment);
	line(b, "To-Path: ", to_path);
	line(b, "From-Path: ", from_path);
	last(b, tid, '$');
}

void msrp_put_report(struct buf *b, struct slice tid, struct slice to_path, struct slice from_path, struct slice message_id,
		     const struct msrp_range *range, int status, struct slice comment)
{
	first(b, tid, S("REPORT"), to_path, from_path);
	line(b, "Message-ID: ", message_id);
	put_range(b, range);
	buf_put(b, S("Status: 000 "));
	put_status(b, status, comment);
	last(b, tid, '$');
}
