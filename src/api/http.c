/* SPDX-License-Identifier: Apache-2.0 */
#include "api/http.h"

struct parse {
	struct http_request *r;
	int status;
	const char *why;
	bool has_host, has_encoding;
};

static bool bad(struct parse *p, int status, const char *why)
{
	p->status = status;
	p->why = why;
	return false;
}

/* RFC 9110 5.6.2 */
static bool is_token(struct slice s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || memchr(others, c, sizeof others - 1)))
			return false;
	}
	return s.len;
}

static bool is_value(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

static bool target_parse(struct parse *p, struct slice t)
{
	struct http_request *r = p->r;
	if (t.len > HTTP_TARGET_MAX)
		return bad(p, 414, "the target is too long");
	for (size_t i = 0; i < t.len; i++)
		if ((unsigned char)t.p[i] <= ' ' || (unsigned char)t.p[i] >= 0x7f || t.p[i] == '#')
			return bad(p, 400, "the target holds what may not stand in a URI");
	bool absolute = slice_istarts(t, S("http://")) || slice_istarts(t, S("https://"));
	if (absolute) { /* RFC 9112 3.2.2: it overrules Host */
		t = slice_skip(t, (size_t)slice_find(t, S("://")) + 3);
		size_t n = 0;
		while (n < t.len && t.p[n] != '/' && t.p[n] != '?')
			n++;
		r->host = slice_first(t, n);
		t = slice_skip(t, n);
		if (!r->host.len)
			return bad(p, 400, "the target has no host");
	}
	if (!slice_starts(t, S("/")))
		return bad(p, 400, "the target is no path");
	r->path = slice_split(&t, '?');
	r->query = t;
	return true;
}

static bool line_parse(struct parse *p, struct slice line)
{
	struct slice rest = line, method = slice_split(&rest, ' '), target = slice_split(&rest, ' '), version = rest;
	if (!is_token(method) || !version.p)
		return bad(p, 400, "the request line is malformed");
	if (!slice_eq(version, S("HTTP/1.1")) && !slice_eq(version, S("HTTP/1.0")))
		return slice_starts(version, S("HTTP/")) ? bad(p, 505, "HTTP/1.1 is spoken here") : bad(p, 400, "the request line is malformed");
	p->r->method = method;
	p->r->minor_0 = slice_eq(version, S("HTTP/1.0"));
	p->r->keep = !p->r->minor_0;
	return target_parse(p, target);
}

/* Is the word one of a list with commas? */
static bool listed(struct slice list, struct slice word)
{
	while (list.p && list.len)
		if (slice_ieq(slice_trim(slice_split(&list, ',')), word))
			return true;
	return false;
}

static bool once(struct parse *p, struct slice *to, struct slice value)
{
	if (to->p)
		return bad(p, 400, "a header stands there twice");
	*to = value.p ? value : S("");
	return true;
}

static bool header_parse(struct parse *p, struct slice line)
{
	struct http_request *r = p->r;
	struct slice value = line, name = slice_split(&value, ':');
	uint64_t n;
	if (!value.p || !is_token(name))
		return bad(p, 400, "a header line is malformed");
	value = slice_trim(value);
	if (!is_value(value))
		return bad(p, 400, "a header holds control characters");
	if (slice_ieq(name, S("host"))) {
		if (p->has_host)
			return bad(p, 400, "there are two Host headers");
		p->has_host = true;
		if (!r->host.p)
			r->host = value.p ? value : S("");
	} else if (slice_ieq(name, S("content-length"))) {
		if (r->has_length || !slice_u64(value, SIZE_MAX >> 1, &n))
			return bad(p, 400, "Content-Length is malformed, or there are two");
		r->has_length = true;
		r->length = (size_t)n;
	} else if (slice_ieq(name, S("transfer-encoding"))) {
		p->has_encoding = true;
	} else if (slice_ieq(name, S("connection"))) {
		if (listed(value, S("close")))
			r->keep = false;
	} else if (slice_ieq(name, S("expect"))) {
		if (!slice_ieq(value, S("100-continue")))
			return bad(p, 417, "only 100-continue can be expected");
		r->expect = !r->minor_0;
	} else if (slice_ieq(name, S("authorization"))) {
		return once(p, &r->authorization, value);
	} else if (slice_ieq(name, S("content-type"))) {
		return once(p, &r->content_type, value);
	} else if (slice_ieq(name, S("if-match"))) {
		return once(p, &r->if_match, value);
	} else if (slice_ieq(name, S("last-event-id"))) {
		return once(p, &r->last_event_id, value);
	} else if (slice_ieq(name, S("accept")) && !r->accept.p) {
		r->accept = value.p ? value : S("");
	}
	return true;
}

static bool head_parse(struct parse *p, struct slice head)
{
	size_t n = 0;
	bool first = true;
	while (head.len) {
		ptrdiff_t end = slice_find_chr(head, '\n');
		if (end < 1 || head.p[end - 1] != '\r')
			return bad(p, 400, "a line does not end with CR LF");
		struct slice line = slice_first(head, (size_t)end - 1);
		head = slice_skip(head, (size_t)end + 1);
		if (line.len && memchr(line.p, '\r', line.len))
			return bad(p, 400, "a line does not end with CR LF");
		if (!first && !line.len)
			break;
		if (!first && n++ == HTTP_HEADERS_MAX)
			return bad(p, 431, "there are too many headers");
		if (!(first ? line_parse(p, line) : header_parse(p, line)))
			return false;
		first = false;
	}
	if (p->has_encoding)
		return p->r->has_length ? bad(p, 400, "both Transfer-Encoding and Content-Length") : bad(p, 411, "a body needs Content-Length here");
	if (!p->has_host && !p->r->minor_0)
		return bad(p, 400, "the Host header is missing");
	return true;
}

enum http_result http_request_parse(struct http_request *ret, struct slice in, size_t *scanned, size_t *ret_head, int *ret_status, const char **ret_why)
{
	struct parse p = {.r = ret};
	struct slice look = slice_first(in, HTTP_HEAD_MAX);
	size_t from = *scanned > 3 ? *scanned - 3 : 0;
	ptrdiff_t end = slice_find(slice_skip(look, from), S("\r\n\r\n"));
	*ret = (struct http_request){0};
	bool strange = in.len && (unsigned char)in.p[0] < 'A'; /* what can never become a request is not waited for */
	if (strange || (end < 0 && in.len >= HTTP_HEAD_MAX)) {
		*ret_status = strange ? 400 : 431;
		*ret_why = strange ? "this is not HTTP" : "the head of the request is too large";
		return HTTP_BAD;
	}
	if (end < 0) {
		*scanned = look.len;
		return HTTP_MORE;
	}
	*ret_head = from + (size_t)end + 4;
	if (head_parse(&p, slice_first(in, *ret_head)))
		return HTTP_DONE;
	*ret_status = p.status;
	*ret_why = p.why;
	return HTTP_BAD;
}

const char *http_status_text(int status)
{
	static const struct {
		int status;
		const char *text;
	} table[] = {
		{100, "Continue"}, {200, "OK"}, {204, "No Content"}, {400, "Bad Request"}, {401, "Unauthorized"}, {403, "Forbidden"}, {404, "Not Found"},
		{405, "Method Not Allowed"}, {408, "Request Timeout"}, {409, "Conflict"}, {411, "Length Required"}, {412, "Precondition Failed"},
		{413, "Content Too Large"}, {414, "URI Too Long"}, {415, "Unsupported Media Type"}, {417, "Expectation Failed"}, {421, "Misdirected Request"},
		{422, "Unprocessable Content"}, {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
		{503, "Service Unavailable"}, {505, "HTTP Version Not Supported"},
	};
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (table[i].status == status)
			return table[i].text;
	return "Error";
}

bool http_type_is(struct slice content_type, struct slice type)
{
	return slice_ieq(slice_trim(slice_split(&content_type, ';')), type);
}

bool http_accepts(struct slice accept, struct slice type)
{
	while (accept.p && accept.len) {
		struct slice params = slice_split(&accept, ','), name = slice_trim(slice_split(&params, ';'));
		bool never = false;
		while (params.p && params.len) {
			struct slice one = slice_trim(slice_split(&params, ';'));
			never = never || slice_ieq(one, S("q=0")) || slice_ieq(one, S("q=0.0")) || slice_ieq(one, S("q=0.00")) || slice_ieq(one, S("q=0.000"));
		}
		if (slice_ieq(name, type))
			return !never;
	}
	return false;
}

struct slice http_host_name(struct slice host)
{
	struct slice name = host, port = SLICE_NONE;
	uint64_t n;
	if (slice_starts(host, S("["))) {
		ptrdiff_t end = slice_find_chr(host, ']');
		if (end < 2)
			return SLICE_NONE;
		name = slice_of(host.p + 1, (size_t)end - 1);
		port = slice_skip(host, (size_t)end + 1);
		if (port.len && port.p[0] != ':')
			return SLICE_NONE;
		if (port.len)
			port = slice_skip(port, 1);
		else
			port = SLICE_NONE;
	} else {
		ptrdiff_t colon = slice_find_chr(host, ':');
		if (colon >= 0) {
			name = slice_first(host, (size_t)colon);
			port = slice_skip(host, (size_t)colon + 1);
		}
	}
	if ((port.p && port.len && !slice_u64(port, 65535, &n)) || !name.len)
		return SLICE_NONE;
	return name;
}
