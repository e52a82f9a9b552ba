/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/build.h"

#include <arpa/inet.h>
#include <stdio.h>
#include "sip/lex.h"

static bool clean(struct slice s)
{
	if (!s.len)
		return true;
	return !memchr(s.p, '\r', s.len) && !memchr(s.p, '\n', s.len) && !memchr(s.p, 0, s.len);
}

/* One element of a line: a value that could end the line spoils the whole message. */
static void put_clean(struct buf *b, struct slice s)
{
	if (clean(s))
		buf_put(b, s);
	else
		b->failed = true;
}

/* The same for what must not hold spaces either: method, Request-URI, header name. */
static void put_word(struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (sip_is(s.p[i], SIP_C_LWS | SIP_C_CTL))
			b->failed = true;
	if (!s.len)
		b->failed = true;
	buf_put(b, s);
}

static void put_line_end(struct buf *b)
{
	buf_put(b, S("\r\n"));
}

void sip_build_request(struct buf *b, struct slice method, struct slice uri)
{
	if (!sip_is_token(method))
		b->failed = true;
	put_word(b, method);
	buf_putc(b, ' ');
	put_word(b, uri);
	buf_put(b, S(" SIP/2.0\r\n"));
}

void sip_build_status(struct buf *b, int status, struct slice reason)
{
	if (status < 100 || status > 699)
		b->failed = true;
	buf_put(b, S("SIP/2.0 "));
	buf_u64(b, (uint64_t)status);
	buf_putc(b, ' ');
	put_clean(b, reason.len ? reason : slice_str(sip_status_phrase(status)));
	put_line_end(b);
}

void sip_build_header(struct buf *b, enum sip_hdr id, struct slice value)
{
	sip_build_header_named(b, sip_hdr_name(id), value);
}

void sip_build_header_named(struct buf *b, struct slice name, struct slice value)
{
	if (!sip_is_token(name))
		b->failed = true;
	buf_put(b, name);
	buf_put(b, S(": "));
	put_clean(b, value);
	put_line_end(b);
}

void sip_build_header_uint(struct buf *b, enum sip_hdr id, uint64_t value)
{
	buf_put(b, sip_hdr_name(id));
	buf_put(b, S(": "));
	buf_u64(b, value);
	put_line_end(b);
}

void sip_build_header_fmt(struct buf *b, enum sip_hdr id, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	buf_put(b, sip_hdr_name(id));
	buf_put(b, S(": "));
	char text[512], *p = text;
	int n = vsnprintf(text, sizeof text, fmt, ap);
	if (n >= (int)sizeof text) {
		p = buf_reserve(b, (size_t)n + 1); /* committed below only if it is clean */
		if (p)
			vsnprintf(p, (size_t)n + 1, fmt, again);
	}
	if (n < 0 || !p || !clean(slice_of(p, (size_t)n)))
		b->failed = true;
	else if (p == text)
		buf_put(b, slice_of(p, (size_t)n));
	else
		buf_commit(b, (size_t)n);
	va_end(again);
	va_end(ap);
	put_line_end(b);
}

void sip_build_body(struct buf *b, struct slice content_type, struct slice body)
{
	if (content_type.len)
		sip_build_header(b, SIP_H_CONTENT_TYPE, content_type);
	sip_build_header_uint(b, SIP_H_CONTENT_LENGTH, body.len);
	put_line_end(b);
	buf_put(b, body);
}

/* A value of a parsed message: its folds become one space each, as RFC 3261 7.3.1 allows. The parser has seen to it that no other
 * CR or LF is inside. */
static void put_unfolded(struct buf *b, struct slice s)
{
	ptrdiff_t cr;
	while ((cr = slice_find_chr(s, '\r')) >= 0) {
		buf_put(b, sip_trim(slice_first(s, (size_t)cr)));
		buf_putc(b, ' ');
		s = sip_skip_lws(slice_skip(s, (size_t)cr));
	}
	buf_put(b, s);
}

static void copy_header(struct buf *b, enum sip_hdr id, struct slice value)
{
	buf_put(b, sip_hdr_name(id));
	buf_put(b, S(": "));
	put_unfolded(b, value);
	put_line_end(b);
}

static void copy_all(struct buf *b, const struct sip_msg *m, enum sip_hdr id)
{
	for (size_t i = 0; i < m->n_headers; i++)
		if (m->headers[i].id == id)
			copy_header(b, id, m->headers[i].value);
}

/* RFC 3261 18.2.1: is the address in sent-by the one that the packet came from? */
static bool same_address(struct slice host, struct slice ip)
{
	char a[INET6_ADDRSTRLEN], z[INET6_ADDRSTRLEN];
	struct in6_addr x, y;
	if (slice_eq(host, ip))
		return true;
	if (host.len < 2 || *host.p != '[')
		return false;
	return slice_cstr(slice_of(host.p + 1, host.len - 2), a, sizeof a) && slice_cstr(ip, z, sizeof z) &&
	       inet_pton(AF_INET6, a, &x) == 1 && inet_pton(AF_INET6, z, &y) == 1 && memcmp(&x, &y, sizeof x) == 0;
}

/* The topmost via-parm with what the source address tells; what the sender wrote about itself there is replaced. */
static void put_top_via(struct buf *b, const struct sip_via *via, struct slice ip, uint16_t port)
{
	bool received = via->rport || !same_address(via->host, ip); /* RFC 3581 4: with rport always */
	struct slice rest = via->params, name, value;
	if (!rest.len) {
		/* a malformed one goes back as it came: its sender may know it by that */
		put_unfolded(b, via->raw);
	} else {
		struct slice head = slice_of(via->raw.p, (size_t)(rest.p - via->raw.p) - 1);
		put_unfolded(b, sip_trim(head));
		while (sip_next_param(&rest, &name, &value) > 0) {
			if (slice_ieq(name, S("received")))
				continue;
			buf_putc(b, ';');
			buf_put(b, name);
			if (slice_ieq(name, S("rport"))) {
				buf_putc(b, '=');
				buf_u64(b, port);
			} else if (value.p) {
				buf_putc(b, '=');
				put_unfolded(b, value);
			}
		}
	}
	if (received) {
		buf_put(b, S(";received="));
		put_clean(b, ip);
	}
}

static void put_vias(struct buf *b, const struct sip_msg *req, struct slice ip, uint16_t port)
{
	bool top = true;
	for (size_t i = 0; i < req->n_headers; i++) {
		struct slice value = req->headers[i].value, item;
		size_t at = 0;
		if (req->headers[i].id != SIP_H_VIA || !value.len)
			continue;
		if (!top || !ip.len || !sip_next_item(value, &at, &item) || item.p != req->via.raw.p) {
			copy_header(b, SIP_H_VIA, value);
			continue;
		}
		top = false;
		buf_put(b, S("Via: "));
		put_top_via(b, &req->via, ip, port);
		struct slice more = sip_trim(slice_skip(value, at));
		if (more.len) {
			buf_put(b, S(", "));
			put_unfolded(b, more);
		}
		put_line_end(b);
	}
}

static void put_to(struct buf *b, const struct sip_msg *req, struct slice tag)
{
	struct slice to = req->to.raw;
	if (!to.len)
		return;
	buf_put(b, S("To: "));
	put_unfolded(b, to);
	if (tag.len && !req->to.tag.len) {
		if (!sip_is_token(tag))
			b->failed = true;
		buf_put(b, S(";tag="));
		buf_put(b, tag);
	}
	put_line_end(b);
}

void sip_build_response(struct buf *b, const struct sip_msg *req, int status, struct slice reason, struct slice to_tag,
			bool copy_record_route, struct slice source_ip, uint16_t source_port)
{
	const struct sip_header *h;
	sip_build_status(b, status, reason);
	put_vias(b, req, source_ip, source_port);
	if (copy_record_route)
		copy_all(b, req, SIP_H_RECORD_ROUTE);
	if ((h = sip_msg_header(req, SIP_H_FROM, 0)))
		copy_header(b, SIP_H_FROM, h->value);
	put_to(b, req, to_tag);
	if ((h = sip_msg_header(req, SIP_H_CALL_ID, 0)))
		copy_header(b, SIP_H_CALL_ID, h->value);
	if ((h = sip_msg_header(req, SIP_H_CSEQ, 0)))
		copy_header(b, SIP_H_CSEQ, h->value);
	if ((h = sip_msg_header(req, SIP_H_TIMESTAMP, 0)))
		copy_header(b, SIP_H_TIMESTAMP, h->value);
}
