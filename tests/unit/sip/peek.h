/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a parsed message by name, so that a table can say what they must be. */
#pragma once
#include <stdlib.h>
#include "sip_test.h"

static inline struct slice peek_number(struct arena *a, int64_t n)
{
	return arena_printf(a, "%lld", (long long)n);
}

static inline struct slice peek_uri(struct arena *a, const struct sip_uri *u, const char *what)
{
	static const char *const schemes[] = {"sip", "sips", "tel", "im", "pres", "other"};
	if (!strcmp(what, "scheme"))
		return slice_str(schemes[u->scheme]);
	if (!strcmp(what, "user"))
		return u->user;
	if (!strcmp(what, "password"))
		return u->password;
	if (!strcmp(what, "host"))
		return u->host;
	if (!strcmp(what, "port"))
		return peek_number(a, u->port);
	if (!strcmp(what, "params"))
		return u->params;
	if (!strcmp(what, "headers"))
		return u->headers;
	if (!strcmp(what, "opaque"))
		return u->opaque;
	if (!strcmp(what, "lr"))
		return sip_uri_param(u, S("lr"), NULL) ? S("yes") : S("no");
	return S("?");
}

static inline struct slice peek_addr(struct arena *a, const struct sip_addr *x, const char *what)
{
	if (!strcmp(what, "display"))
		return x->display;
	if (!strcmp(what, "uri"))
		return x->uri_text;
	if (!strcmp(what, "tag"))
		return x->tag;
	if (!strcmp(what, "params"))
		return x->params;
	return peek_uri(a, &x->uri, what);
}

static inline bool peek_value(const struct sip_msg *m, enum sip_hdr id, size_t n, struct slice *ret)
{
	struct sip_values it = {0};
	do {
		if (!sip_msg_next_value(m, id, &it, ret))
			return false;
	} while (n--);
	return true;
}

/* "method" "uri.host" "from.tag" "via.branch" "via2.host" (the second value) "contact1.params" "route1.uri" "#via" (how many
 * values) "body" (its length) "=Name" (raw value of a header) ... */
static inline struct slice peek(struct arena *a, const struct sip_msg *m, const char *name)
{
	const char *dot = strchr(name, '.'), *what = dot ? dot + 1 : "";
	struct slice value;
	struct sip_addr addr;
	struct sip_via via = m->via;
	size_t n = dot && dot > name && dot[-1] >= '1' && dot[-1] <= '9' ? (size_t)(dot[-1] - '1') : 0;
	if (*name == '=')
		return sip_msg_header_named(m, slice_str(name + 1));
	if (*name == '#') {
		enum sip_hdr id = sip_hdr_of(slice_str(name + 1));
		for (n = 0; peek_value(m, id, n, &value); n++)
			;
		return peek_number(a, (int64_t)n);
	}
	if (!strcmp(name, "method"))
		return m->method_text;
	if (!strcmp(name, "known"))
		return sip_method_name(m->method);
	if (!strcmp(name, "uri"))
		return m->uri_text;
	if (!strncmp(name, "uri.", 4))
		return peek_uri(a, &m->uri, what);
	if (!strcmp(name, "status"))
		return peek_number(a, m->status);
	if (!strcmp(name, "reason"))
		return m->reason;
	if (!strcmp(name, "call-id"))
		return m->call_id;
	if (!strcmp(name, "cseq"))
		return arena_printf(a, "%u %.*s", m->cseq, SFMT(m->cseq_method_text));
	if (!strcmp(name, "max-forwards"))
		return peek_number(a, m->max_forwards);
	if (!strcmp(name, "body"))
		return peek_number(a, (int64_t)m->body.len);
	if (!strcmp(name, "length"))
		return peek_number(a, m->content_length);
	if (!strncmp(name, "from.", 5))
		return peek_addr(a, &m->from, what);
	if (!strncmp(name, "to.", 3))
		return peek_addr(a, &m->to, what);
	if (!strncmp(name, "via", 3)) {
		if (n && (!peek_value(m, SIP_H_VIA, n, &value) || sip_via_parse(value, &via)))
			return S("?");
		return !strcmp(what, "transport")  ? via.transport
		       : !strcmp(what, "host")	   ? via.host
		       : !strcmp(what, "branch")   ? via.branch
		       : !strcmp(what, "received") ? via.received
		       : !strcmp(what, "port")	   ? peek_number(a, via.port)
						   : S("?");
	}
	enum sip_hdr id = !strncmp(name, "contact", 7) ? SIP_H_CONTACT
			  : !strncmp(name, "route", 5) ? SIP_H_ROUTE
						       : SIP_H_RECORD_ROUTE;
	if (!peek_value(m, id, n, &value) || sip_addr_parse(value, &addr))
		return S("?");
	return peek_addr(a, &addr, what);
}
