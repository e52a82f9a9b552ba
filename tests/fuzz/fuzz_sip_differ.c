/* SPDX-License-Identifier: Apache-2.0 */
/* One SIP message in several readings that have to agree: as a datagram, and off a stream that was cut at every place; its Content-Length by the parser, by
 * the framer and by the plain reader below; the URI of From in the message and alone; and the message written anew from what was read. */
#include "fuzz.h"
#include <strings.h>
#include "sip/build.h"
#include "sip/frame.h"
#include "sip/msg.h"

enum { EVERY_PLACE = 1200 };

/* ---- Content-Length, read plainly: unfolded lines up to the empty one. -1: none, -2: several or no number. */

static int64_t plain_length(struct slice raw)
{
	int64_t found = -1;
	while (slice_starts(raw, S("\r\n")))
		raw = slice_skip(raw, 2);
	ptrdiff_t at = slice_find(raw, S("\r\n"));
	if (at < 0)
		return -2;
	raw = slice_skip(raw, (size_t)at + 2);
	while (raw.len && !slice_starts(raw, S("\r\n"))) {
		char name[32] = "", value[64] = "";
		size_t n = 0, v = 0, i = 0;
		while (i < raw.len && raw.p[i] != ':' && raw.p[i] != '\r') {
			if (n + 1 < sizeof name && raw.p[i] != ' ' && raw.p[i] != '\t')
				name[n++] = raw.p[i];
			i++;
		}
		name[n] = 0;
		bool colon = i < raw.len && raw.p[i] == ':';
		for (i += colon; i < raw.len; i++) {
			if (raw.p[i] == '\r' && i + 1 < raw.len && raw.p[i + 1] == '\n') {
				if (i + 2 < raw.len && (raw.p[i + 2] == ' ' || raw.p[i + 2] == '\t')) {
					i++;
					continue;
				}
				break;
			}
			bool space = raw.p[i] == ' ' || raw.p[i] == '\t';
			if (space && (!v || value[v - 1] == ' '))
				continue;
			if (v + 1 < sizeof value)
				value[v++] = space ? ' ' : raw.p[i];
		}
		if (v && value[v - 1] == ' ')
			v--;
		value[v] = 0;
		raw = slice_skip(raw, i + 2);
		if (strcasecmp(name, "content-length") && strcasecmp(name, "l"))
			continue;
		uint64_t number;
		if (found != -1 || !colon || !slice_u64(slice_of(value, v), INT32_MAX, &number))
			return -2;
		found = (int64_t)number;
	}
	return found;
}

/* ---- off a stream */

/* The first `cut` octets arrive, then the rest. */
static void framed(struct slice stream, struct slice message, size_t cut, bool good)
{
	struct sip_framer f;
	struct sip_frame x;
	sip_framer_init(&f, &sip_limits_default);
	char *part = malloc(cut ? cut : 1); /* of its own: the sanitizer sees a look beyond it */
	memcpy(part, stream.p, cut);
	sip_framer_next(&f, slice_of(part, cut), &x);
	if (x.kind == SIP_FRAME_MORE) {
		MUST(cut < stream.len || !good);
		MUST(x.missing && (!good || cut + x.missing <= stream.len));
		sip_framer_next(&f, stream, &x);
	} else if (x.kind == SIP_FRAME_MESSAGE) {
		x.message.p = stream.p + (x.message.p - part);
	}
	free(part);
	if (good)
		MUST(x.kind == SIP_FRAME_MESSAGE && x.message.p == message.p && x.message.len == message.len && x.consume <= stream.len);
	else
		MUST(x.kind == SIP_FRAME_ERROR);
}

static void stream(const struct sip_msg *m)
{
	struct buf b;
	size_t step = m->raw.len > EVERY_PLACE ? m->raw.len / EVERY_PLACE + 1 : 1;
	buf_init(&b, 1 << 20);
	buf_put(&b, m->raw);
	buf_put(&b, S("OPTIONS sip:next SIP/2.0\r\n")); /* what follows on the stream is not ours */
	struct slice all = buf_slice(&b), message = slice_first(all, m->raw.len);
	/* an octet more than nothing is there: what begins with CRLF could be a ping */
	for (size_t cut = 1; cut <= message.len; cut += step)
		framed(m->content_length >= 0 ? slice_first(all, cut & 1 ? all.len : message.len) : message, message, cut, m->content_length >= 0);
	buf_free(&b);
}

/* ---- the URI of From */

static void alone(const struct sip_addr *in)
{
	struct sip_uri u;
	MUST(sip_uri_parse(in->uri_text, &u) == 0);
	MUST(slice_eq(u.raw, in->uri.raw) && u.scheme == in->uri.scheme && u.port == in->uri.port && slice_eq(u.user, in->uri.user) && slice_eq(u.host, in->uri.host));
	MUST(slice_eq(u.password, in->uri.password) && slice_eq(u.params, in->uri.params) && slice_eq(u.headers, in->uri.headers) && slice_eq(u.opaque, in->uri.opaque));
	MUST(sip_uri_equal(&u, &in->uri));
}

/* ---- written anew */

static void put_value(struct buf *b, struct slice v)
{
	for (size_t i = 0; i < v.len; i++)
		buf_putc(b, v.p[i] == '\r' || v.p[i] == '\n' ? ' ' : v.p[i]);
}

static void same_addr(const struct sip_addr *a, const struct sip_addr *b)
{
	MUST(slice_eq(a->uri_text, b->uri_text) && slice_eq(a->tag, b->tag) && sip_uri_equal(&a->uri, &b->uri));
}

static void written(const struct sip_msg *m, struct arena *a)
{
	struct sip_msg *back;
	struct sip_fault fault;
	struct buf b, v;
	buf_init(&b, 1 << 20);
	buf_init(&v, 1 << 20);
	if (m->is_request)
		sip_build_request(&b, m->method_text, m->uri_text);
	else
		sip_build_status(&b, m->status, m->reason.len ? m->reason : S("x"));
	size_t n = 0;
	for (size_t i = 0; i < m->n_headers; i++) {
		const struct sip_header *h = &m->headers[i];
		if (h->id == SIP_H_CONTENT_LENGTH)
			continue;
		buf_clear(&v);
		put_value(&v, h->value);
		sip_build_header_named(&b, h->name, buf_slice(&v));
		n++;
	}
	sip_build_body(&b, SLICE_NONE, m->body);
	if (buf_ok(&b)) { /* a NUL in a value is not written */
		MUST(sip_msg_parse(&back, a, buf_slice(&b), &(struct sip_limits){1 << 20, 256, 1 << 16}, &fault) == 0);
		MUST(back->n_headers == n + 1 && back->is_request == m->is_request && back->status == m->status && back->cseq == m->cseq && back->method == m->method);
		MUST(back->content_length == (int64_t)m->body.len && slice_eq(back->body, m->body) && slice_eq(back->call_id, m->call_id));
		MUST(slice_eq(back->uri_text, m->uri_text) && back->max_forwards == m->max_forwards && slice_eq(back->via.branch, m->via.branch) && back->via.port == m->via.port);
		same_addr(&m->from, &back->from);
		same_addr(&m->to, &back->to);
		for (int id = 1; id < SIP_H_COUNT; id++) {
			struct sip_values x = {0}, y = {0};
			struct slice p, q;
			while (id != SIP_H_CONTENT_LENGTH && sip_msg_next_value(m, (enum sip_hdr)id, &x, &p)) {
				MUST(sip_msg_next_value(back, (enum sip_hdr)id, &y, &q) && p.len == q.len);
				for (size_t i = 0; i < p.len; i++)
					MUST(p.p[i] == q.p[i] || ((p.p[i] == '\r' || p.p[i] == '\n') && q.p[i] == ' '));
			}
			MUST(id == SIP_H_CONTENT_LENGTH || !sip_msg_next_value(back, (enum sip_hdr)id, &y, &q));
		}
	}
	buf_free(&b);
	buf_free(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sip_msg *m;
	struct sip_fault fault;
	if (size > 16384)
		return 0;
	char *exact = malloc(size ? size : 1);
	struct arena *a = arena_new(1 << 22);
	memcpy(exact, data, size);
	if (sip_msg_parse(&m, a, slice_of(exact, size), &sip_limits_default, &fault) == 0) {
		MUST(plain_length(m->raw) == m->content_length);
		stream(m);
		if (m->from.uri_text.len)
			alone(&m->from);
		if (m->to.uri_text.len)
			alone(&m->to);
		written(m, a);
	}
	arena_release(NULL, a);
	free(exact);
	return 0;
}
