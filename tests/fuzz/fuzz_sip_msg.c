/* SPDX-License-Identifier: Apache-2.0 */
/* Any octets as a datagram: parse, read everything through every accessor, answer, and parse the answer. */
#include <stdlib.h>
#include "base/arena.h"
#include "sip/build.h"
#include "sip/msg.h"
#include "sip/uas_check.h"

#define MUST(x)                                                                                                            \
	do {                                                                                                               \
		if (!(x))                                                                                                  \
			abort();                                                                                           \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct slice raw;

static size_t sum; /* of all octets that an accessor showed: reading them lets the sanitizer see where they lie */

static void inside(struct slice s)
{
	MUST(!s.len || (s.p >= raw.p && s.p + s.len <= raw.p + raw.len));
	for (size_t i = 0; i < s.len; i++)
		sum += (unsigned char)s.p[i];
}

static void show_uri(const struct sip_uri *u)
{
	struct slice v;
	inside(u->raw);
	inside(u->user);
	inside(u->password);
	inside(u->host);
	inside(u->params);
	inside(u->headers);
	inside(u->opaque);
	if (sip_uri_param(u, S("transport"), &v))
		inside(v);
}

static void show_addr(const struct sip_addr *a)
{
	struct slice v;
	inside(a->raw);
	inside(a->display);
	inside(a->params);
	inside(a->tag);
	show_uri(&a->uri);
	if (sip_param(a->params, S("expires"), &v))
		inside(v);
}

static void show(const struct sip_msg *m)
{
	struct slice v, params;
	struct sip_addr addr;
	struct sip_via via;
	uint32_t n;
	inside(m->raw);
	inside(m->body);
	inside(m->reason);
	inside(m->call_id);
	inside(m->cseq_method_text);
	show_uri(&m->uri);
	show_addr(&m->from);
	show_addr(&m->to);
	inside(m->via.host);
	inside(m->via.branch);
	inside(m->via.received);
	inside(m->via.params);
	MUST(m->max_forwards >= -1 && m->max_forwards <= 255);
	for (size_t i = 0; i < m->n_headers; i++) {
		inside(m->headers[i].name);
		inside(m->headers[i].value);
		inside(m->headers[i].line);
		MUST(sip_msg_header_named(m, m->headers[i].name).p);
	}
	for (int id = 0; id < SIP_H_COUNT; id++) {
		struct sip_values it = {0};
		for (size_t values = 0; sip_msg_next_value(m, (enum sip_hdr)id, &it, &v); values++) {
			MUST(v.len && values < raw.len);
			inside(v);
			inside(sip_token(v, &params));
			inside(params);
			if (!sip_addr_parse(v, &addr))
				show_addr(&addr);
			if (!sip_via_parse(v, &via))
				inside(via.host);
		}
		sum += sip_msg_uint(m, (enum sip_hdr)id, UINT32_MAX, &n);
		sum += sip_msg_lists(m, (enum sip_hdr)id, S("100rel"));
	}
}

static void answer(const struct sip_msg *m, bool sound, struct arena *a)
{
	struct buf b;
	struct sip_msg *back;
	struct sip_fault fault;
	buf_init(&b, 1 << 20);
	sip_build_response(&b, m, 400, SLICE_NONE, S("fuzz"), true, S("192.0.2.1"), 5060);
	sip_build_body(&b, SLICE_NONE, SLICE_NONE);
	MUST(buf_ok(&b));
	size_t copied = 0;
	for (size_t i = 0; i < m->n_headers; i++) {
		enum sip_hdr id = m->headers[i].id;
		copied += (id == SIP_H_VIA && m->headers[i].value.len) || id == SIP_H_RECORD_ROUTE;
	}
	int rc = sip_msg_parse(&back, a, buf_slice(&b), &(struct sip_limits){1 << 21, 1 << 16, 1 << 21}, &fault);
	if (sound) { /* what was good comes back as it was, and with it no header of anybody else's */
		MUST(rc == 0);
		MUST(back->status == 400 && back->cseq == m->cseq && back->body.len == 0);
		MUST(slice_eq(back->call_id, m->call_id));
		MUST(slice_eq(back->via.branch, m->via.branch));
		MUST(slice_eq(back->from.tag, m->from.tag));
		MUST(back->to.tag.len);
		MUST(back->n_headers == copied + 5 + (sip_msg_header(m, SIP_H_TIMESTAMP, 0) != NULL));
	}
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct slice types[] = {{"application/sdp", 15}, {"text/*", 6}};
	static const struct sip_uas_caps caps = {.schemes = 3, .types = {types, 2}, .produces = {types, 1}};
	char *exact = malloc(size ? size : 1); /* without the NUL: no octet past the end may be looked at */
	struct arena *a = arena_new(1 << 22);
	struct sip_msg *m;
	struct sip_fault fault;
	struct sip_uas_verdict verdict;
	memcpy(exact, data, size);
	raw = slice_of(exact, size);
	int rc = sip_msg_parse(&m, a, raw, &sip_limits_default, &fault);
	MUST(rc || (m && !fault.status));
	MUST(!rc || (!m == !fault.status && fault.text[0]));
	if (m) {
		show(m);
		if (m->is_request) {
			answer(m, !rc, a);
			sip_uas_check(m, &caps, a, &verdict);
		}
	}
	arena_release(NULL, a);
	free(exact);
	return 0;
}
