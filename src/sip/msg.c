/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/msg.h"

#include <stdio.h>
#include "sip/lex.h"

const struct sip_limits sip_limits_default = {.max_message = 65536, .max_headers = 128, .max_line = 8192};

enum { FIELDS_ON_STACK = 64 };

struct parser {
	struct arena *arena;
	const struct sip_limits *lim;
	struct sip_fault *fault;
	int code;            /* of the first fault, or 0 */
	struct slice rest;   /* not read yet */
	struct sip_header *fields;
	size_t n, cap;
	bool unanswerable;
};

/* Remembers the first fault; reading goes on as far as it can, so that the request can be answered. */
static void fail(struct parser *p, int code, int status, const char *text)
{
	if (!p->code) {
		p->code = code;
		p->fault->status = status;
		snprintf(p->fault->text, sizeof p->fault->text, "%s", text);
	}
}

static void bad(struct parser *p, const char *text)
{
	fail(p, ENTENTE_ESYNTAX, 400, text);
}

/* RFC 3261 25.1: quoted-pair lets any octet but CR and LF stand in a quoted string. */
static bool controls_escaped(struct slice s)
{
	bool quoted = false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];
		if (quoted && c == '\\' && i + 1 < s.len && s.p[i + 1] != '\r' && s.p[i + 1] != '\n')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (sip_is(c, SIP_C_CTL))
			return false;
	}
	return true;
}

/* Takes one line off p->rest, without its CRLF. False at the end of the octets or at a line that has no end. */
static bool next_line(struct parser *p, struct slice *ret)
{
	const char *s = p->rest.p;
	size_t n = p->rest.len, i = 0;
	bool odd = false;
	for (;; i++) {
		i += sip_find_control(s + i, n - i);
		if (i == n)
			return false;
		if (s[i] == '\r' && i + 1 < n && s[i + 1] == '\n')
			break;
		if (s[i] == '\n') {
			bad(p, "Bare LF in the header");
			break;
		}
		odd = true;
	}
	*ret = slice_of(s, i);
	if (odd && !controls_escaped(*ret))
		bad(p, "Control character in the header");
	p->rest = slice_skip(p->rest, i + (s[i] == '\r' ? 2 : 1));
	return true;
}

static struct sip_header *new_field(struct parser *p)
{
	if (p->n == p->cap) {
		struct sip_header *more = arena_alloc(p->arena, 2 * p->cap * sizeof *more);
		if (!more)
			return NULL;
		memcpy(more, p->fields, p->n * sizeof *more);
		p->fields = more;
		p->cap *= 2;
	}
	return &p->fields[p->n++];
}

static bool line_continues(const struct parser *p)
{
	return p->rest.len && (*p->rest.p == ' ' || *p->rest.p == '\t');
}

/* Header fields up to the blank line. False when reading must stop. */
static bool read_fields(struct parser *p)
{
	for (;;) {
		const char *start = p->rest.p;
		struct slice line;
		if (!next_line(p, &line)) {
			bad(p, "No blank line after the header");
			return false;
		}
		if (!line.len)
			return true;
		struct slice field = line, more;
		while (line_continues(p) && next_line(p, &more))
			field.len = (size_t)(more.p + more.len - field.p);
		if (field.len > p->lim->max_line) {
			fail(p, ENTENTE_ELIMIT, 400, "Header field too long");
			continue;
		}
		const char *colon = memchr(field.p, ':', field.len);
		struct slice name = slice_of(field.p, colon ? (size_t)(colon - field.p) : 0);
		while (name.len && (name.p[name.len - 1] == ' ' || name.p[name.len - 1] == '\t'))
			name.len--;
		enum sip_hdr id = sip_hdr_of(name);
		if (id == SIP_H_OTHER && !sip_is_token(name)) {
			bad(p, "Malformed header field");
			continue;
		}
		if (p->n == p->lim->max_headers) {
			fail(p, ENTENTE_ELIMIT, 400, "Too many header fields");
			return false;
		}
		struct sip_header *h = new_field(p);
		if (!h) {
			fail(p, ENTENTE_ELIMIT, 513, "Message too large");
			return false;
		}
		h->id = id;
		h->name = name;
		h->value = sip_trim(slice_of(colon + 1, (size_t)(field.p + field.len - colon - 1)));
		h->line = slice_of(start, (size_t)(p->rest.p - start));
	}
}

static void request_uri(struct parser *p, struct sip_msg *m)
{
	if (sip_uri_parse(m->uri_text, &m->uri)) {
		bad(p, "Malformed Request-URI");
		m->uri = (struct sip_uri){.raw = m->uri_text};
	} else if ((m->uri.scheme == SIP_SCHEME_SIP || m->uri.scheme == SIP_SCHEME_SIPS) && m->uri.headers.len) {
		bad(p, "Header fields in the Request-URI"); /* RFC 3261 19.1.1 table 1, RFC 4475 3.1.2.11 */
	}
}

static bool is_version(struct slice s)
{
	return slice_istarts(s, S("SIP/")) && s.len >= 7 && sip_is(s.p[4], SIP_C_DIGIT);
}

static void start_line(struct parser *p, struct sip_msg *m, struct slice line)
{
	if (line.len > p->lim->max_line)
		fail(p, ENTENTE_ELIMIT, 414, "Request-URI Too Long");
	if (slice_istarts(line, S("SIP/"))) { /* "/" cannot stand in a method */
		uint64_t status;
		m->is_request = false;
		p->unanswerable = true;
		/* without a reason phrase its space is sometimes forgotten */
		if (!slice_istarts(line, S("SIP/2.0 ")) || line.len < 11 || (line.len > 11 && line.p[11] != ' ') ||
		    !slice_u64(slice_of(line.p + 8, 3), 699, &status) || status < 100) {
			bad(p, "Malformed status line");
			return;
		}
		m->status = (int)status;
		m->reason = slice_skip(line, 12);
		return;
	}
	m->is_request = true;
	struct slice rest = line;
	m->method_text = slice_split(&rest, ' ');
	m->uri_text = slice_split(&rest, ' ');
	m->method = sip_method_of(m->method_text);
	if (!sip_is_token(m->method_text)) {
		bad(p, "Malformed request line");
		p->unanswerable = true; /* not SIP at all */
		return;
	}
	/* white space too much, or in the URI: look whether it was meant to be SIP, to answer only that */
	struct slice version = slice_trim(rest);
	ptrdiff_t sp;
	while ((sp = slice_find_chr(version, ' ')) >= 0)
		version = slice_trim(slice_skip(version, (size_t)sp + 1));
	if (!is_version(version)) {
		bad(p, "Malformed request line");
		p->unanswerable = true;
	} else if (version.p != rest.p || version.len != rest.len) {
		bad(p, "White space in the request line");
	} else if (!slice_ieq(version, S("SIP/2.0"))) {
		fail(p, ENTENTE_ESYNTAX, 505, "Version Not Supported");
	}
	request_uri(p, m);
	if (m->method == SIP_ACK)
		p->unanswerable = true;
}

static bool all_digits(struct slice s)
{
	return s.len && sip_take(&s, SIP_C_DIGIT).p && !s.len;
}

static void read_cseq(struct parser *p, struct sip_msg *m, struct slice s)
{
	uint64_t n;
	if (!slice_u64(sip_take(&s, SIP_C_DIGIT), INT32_MAX, &n) || !s.len || !sip_is(*s.p, SIP_C_LWS)) {
		bad(p, "Malformed CSeq");
		return;
	}
	m->cseq = (uint32_t)n;
	m->cseq_method_text = sip_skip_lws(s);
	if (!sip_is_token(m->cseq_method_text)) {
		bad(p, "Malformed CSeq");
		return;
	}
	if (!m->is_request) {
		m->cseq_method = sip_method_of(m->cseq_method_text);
		return;
	}
	m->cseq_method = m->method;
	if (!slice_eq(m->cseq_method_text, m->method_text)) {
		m->cseq_method = sip_method_of(m->cseq_method_text);
		if (m->method == SIP_METHOD_OTHER)
			fail(p, ENTENTE_ESYNTAX, 501, "CSeq method mismatch");
		else
			bad(p, "CSeq method mismatch");
	}
}

static void read_call_id(struct parser *p, struct sip_msg *m, struct slice s)
{
	m->call_id = s;
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] <= ' ' || s.p[i] == 127) {
			bad(p, "Malformed Call-ID");
			return;
		}
	}
}

static void read_field(struct parser *p, struct sip_msg *m, const struct sip_header *h)
{
	uint64_t n;
	size_t at = 0;
	struct slice top;
	switch (h->id) {
	case SIP_H_VIA:
		if (m->via.raw.len || !sip_next_item(h->value, &at, &top))
			return;
		if (sip_via_read(top, &m->via)) {
			bad(p, "Malformed Via");
			m->via.params = SLICE_NONE; /* an answer takes it as a whole, as it came */
		}
		return;
	case SIP_H_FROM:
		if (sip_addr_parse(h->value, &m->from) || m->from.star) {
			m->from = (struct sip_addr){.raw = h->value};
			bad(p, "Malformed From");
		}
		return;
	case SIP_H_TO:
		if (sip_addr_parse(h->value, &m->to) || m->to.star) {
			m->to = (struct sip_addr){.raw = h->value};
			bad(p, "Malformed To");
		}
		return;
	case SIP_H_CALL_ID:
		read_call_id(p, m, h->value);
		return;
	case SIP_H_CSEQ:
		read_cseq(p, m, h->value);
		return;
	case SIP_H_MAX_FORWARDS:
		if (!all_digits(h->value))
			bad(p, "Malformed Max-Forwards");
		else
			m->max_forwards = slice_u64(h->value, 255, &n) ? (int)n : 255;
		return;
	case SIP_H_CONTENT_LENGTH:
		if (!slice_u64(h->value, INT32_MAX, &n))
			bad(p, "Malformed Content-Length");
		else
			m->content_length = (int64_t)n;
		return;
	default:
		return;
	}
}

static const enum sip_hdr required[] = {SIP_H_VIA, SIP_H_FROM, SIP_H_TO, SIP_H_CALL_ID, SIP_H_CSEQ};

static void read_values(struct parser *p, struct sip_msg *m)
{
	const uint64_t once = UINT64_C(1) << SIP_H_FROM | UINT64_C(1) << SIP_H_TO | UINT64_C(1) << SIP_H_CALL_ID |
			      UINT64_C(1) << SIP_H_CSEQ | UINT64_C(1) << SIP_H_MAX_FORWARDS | UINT64_C(1) << SIP_H_CONTENT_LENGTH;
	uint64_t seen = 0;
	char text[64];
	_Static_assert(SIP_H_COUNT <= 64, "one bit per known header");
	for (size_t i = 0; i < m->n_headers; i++) {
		const struct sip_header *h = &m->headers[i];
		uint64_t bit = UINT64_C(1) << h->id;
		m->has |= bit;
		if (!(seen & bit & once)) {
			read_field(p, m, h);
		} else {
			snprintf(text, sizeof text, "Two %s header fields", sip_hdr_name(h->id).p);
			bad(p, text);
		}
		if (h->value.len && (h->id != SIP_H_VIA || m->via.raw.len)) /* "Via:" and "Via: ," are none */
			seen |= bit;
	}
	for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
		if (!(seen & UINT64_C(1) << required[i])) {
			snprintf(text, sizeof text, "Missing %s", sip_hdr_name(required[i]).p);
			bad(p, text);
		}
	}
}

static void read_body(struct parser *p, struct sip_msg *m)
{
	m->body = p->rest;
	if (m->content_length < 0)
		return;
	if ((uint64_t)m->content_length > m->body.len)
		bad(p, "Content-Length exceeds the message");
	else
		m->body.len = (size_t)m->content_length;
}

int sip_msg_parse(struct sip_msg **ret, struct arena *a, struct slice raw, const struct sip_limits *lim, struct sip_fault *fault)
{
	struct sip_header on_stack[FIELDS_ON_STACK];
	struct parser p = {.arena = a, .lim = lim, .fault = fault, .rest = raw, .fields = on_stack, .cap = FIELDS_ON_STACK};
	struct sip_msg *m = arena_alloc(a, sizeof *m);
	struct slice line;
	*ret = NULL;
	*fault = (struct sip_fault){0};
	if (!m) {
		fail(&p, ENTENTE_ELIMIT, 0, "Message too large");
		return p.code;
	}
	m->max_forwards = -1;
	m->content_length = -1;
	while (slice_starts(p.rest, S("\r\n")))
		p.rest = slice_skip(p.rest, 2);
	if (raw.len > lim->max_message)
		fail(&p, ENTENTE_ELIMIT, 513, "Message too large");
	m->raw = p.rest;
	if (!next_line(&p, &line)) {
		bad(&p, "No start line");
		goto out;
	}
	start_line(&p, m, line);
	if (p.unanswerable && p.code)
		goto out;
	bool whole = read_fields(&p);
	m->headers = p.fields;
	m->n_headers = p.n;
	if (p.fields == on_stack && p.n) {
		m->headers = arena_alloc(a, p.n * sizeof *m->headers);
		if (!m->headers) {
			m->n_headers = 0;
			fail(&p, ENTENTE_ELIMIT, 0, "Message too large");
			goto out;
		}
		memcpy(m->headers, on_stack, p.n * sizeof *m->headers);
	}
	read_values(&p, m);
	if (whole)
		read_body(&p, m);
	m->raw.len = m->body.p ? (size_t)(m->body.p + m->body.len - m->raw.p) : m->raw.len;
out:
	if (!p.code || (m->is_request && !p.unanswerable && m->via.host.len))
		*ret = m;
	else
		fault->status = 0;
	return p.code;
}

const struct sip_header *sip_msg_header(const struct sip_msg *m, enum sip_hdr id, size_t n)
{
	if (!(m->has >> id & 1))
		return NULL;
	for (size_t i = 0; i < m->n_headers; i++)
		if (m->headers[i].id == id && n-- == 0)
			return &m->headers[i];
	return NULL;
}

struct slice sip_msg_header_named(const struct sip_msg *m, struct slice name)
{
	enum sip_hdr id = sip_hdr_of(name);
	if (!(m->has >> id & 1))
		return SLICE_NONE;
	for (size_t i = 0; i < m->n_headers; i++)
		if (m->headers[i].id == id && (id != SIP_H_OTHER || slice_ieq(m->headers[i].name, name)))
			return m->headers[i].value;
	return SLICE_NONE;
}

bool sip_msg_uint(const struct sip_msg *m, enum sip_hdr id, uint32_t max, uint32_t *ret)
{
	const struct sip_header *h = sip_msg_header(m, id, 0);
	uint64_t n;
	if (!h)
		return false;
	struct slice s = h->value, digits = sip_take(&s, SIP_C_DIGIT);
	/* Retry-After and its like may go on with a comment or parameters */
	if (!slice_u64(digits, max, &n) || (s.len && !sip_is(*s.p, SIP_C_LWS) && *s.p != ';' && *s.p != '('))
		return false;
	*ret = (uint32_t)n;
	return true;
}

bool sip_msg_lists(const struct sip_msg *m, enum sip_hdr id, struct slice token)
{
	struct sip_values it = {0};
	struct slice value;
	while (sip_msg_next_value(m, id, &it, &value))
		if (slice_ieq(sip_token(value, NULL), token))
			return true;
	return false;
}
