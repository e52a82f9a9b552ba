/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy core, first half: what a request asks for, and whether it is one that a proxy carries at all (RFC 3261 16.3, 16.4). */
#include "edge/access_proxy_int.h"

#include <stdio.h>
#include "base/enc.h"
#include "sip/uas_check.h"

/* Lync's federation carries these, as far as is known; the rest stays within an organisation. */
#define M(name) (1u << SIP_##name)
const struct access_rules access_rules_default = {
	.methods = M(INVITE) | M(ACK) | M(BYE) | M(CANCEL) | M(MESSAGE) | M(INFO) | M(SUBSCRIBE) | M(NOTIFY) | M(BENOTIFY) | M(REFER) | M(UPDATE) |
		   M(PRACK) | M(OPTIONS),
};

void access_proxy_set(struct access_proxy *p, const struct access_rules *rules)
{
	static const enum sip_method all[] = {
#define X(m) SIP_##m,
		SIP_METHODS(X)
#undef X
	};
	size_t n = 0;
	p->rules = *rules;
	p->allow[0] = '\0';
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct slice name = sip_method_name(all[i]);
		if ((rules->methods & 1u << all[i]) && n + name.len + 3 < sizeof p->allow)
			n += (size_t)snprintf(p->allow + n, sizeof p->allow - n, "%s%.*s", n ? ", " : "", SFMT(name));
	}
}

enum policy_kind access_kind(enum sip_method m)
{
	switch (m) {
	case SIP_MESSAGE: return POLICY_MESSAGE;
	case SIP_SUBSCRIBE: return POLICY_PRESENCE_SUBSCRIBE;
	case SIP_NOTIFY:
	case SIP_BENOTIFY: return POLICY_PRESENCE_STATE;
	case SIP_INVITE:
	case SIP_ACK:
	case SIP_BYE:
	case SIP_INFO:
	case SIP_UPDATE:
	case SIP_PRACK: return POLICY_SESSION;
	default: return POLICY_REQUEST;
	}
}

/* RFC 4566 5.14. A port of 0 is a stream that is not wanted (RFC 3264 6). */
static bool calls(struct slice line)
{
	if (!slice_starts(line, S("m=audio ")) && !slice_starts(line, S("m=video ")))
		return false;
	line = slice_skip(line, 8);
	struct slice port = slice_split(&line, ' ');
	return !slice_eq(port, S("0"));
}

/* The part of a multipart body that follows cannot be read here (RFC 2045 6). */
static bool coded(struct slice line)
{
	static const struct slice plain[] = {S("7bit"), S("8bit"), S("binary")};
	if (!slice_istarts(line, S("Content-Transfer-Encoding:")))
		return false;
	line = slice_trim(slice_skip(line, sizeof "Content-Transfer-Encoding:" - 1));
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (slice_ieq(line, plain[i]))
			return false;
	return true;
}

bool access_media(const struct sip_msg *m)
{
	struct slice rest = m->body, coding;
	struct sip_values it = {0};
	if (m->method != SIP_INVITE && m->method != SIP_UPDATE && m->method != SIP_ACK && m->method != SIP_PRACK)
		return false;
	while (rest.len && sip_msg_next_value(m, SIP_H_CONTENT_ENCODING, &it, &coding))
		if (!slice_ieq(coding, S("identity")))
			return true;
	while (!slice_empty(rest)) { /* any part of a multipart body */
		struct slice lines = slice_split(&rest, '\n');
		while (!slice_empty(lines)) { /* some read a CR alone as the end of a line, too */
			struct slice line = slice_split(&lines, '\r');
			if (calls(line) || coded(line))
				return true;
		}
	}
	return m->method == SIP_INVITE && slice_empty(m->body);
}

bool access_own_uri(const struct access_proxy *p, const struct sip_uri *u)
{
	struct slice t;
	uint16_t port = u->port;
	if (u->scheme != SIP_SCHEME_SIP && u->scheme != SIP_SCHEME_SIPS)
		return false;
	for (size_t i = 0; i < p->cfg.n_own; i++) {
		if (!slice_ieq(p->cfg.own[i].host, u->host))
			continue;
		if (!port)
			port = u->scheme == SIP_SCHEME_SIPS || (sip_uri_param(u, S("transport"), &t) && slice_ieq(t, S("tls"))) ? 5061 : 5060;
		if (!p->cfg.own[i].port || p->cfg.own[i].port == port)
			return true;
	}
	return false;
}

size_t access_own_routes(const struct access_proxy *p, const struct sip_msg *m, size_t *ret_all)
{
	struct sip_values it = {0};
	struct slice value;
	struct sip_addr a;
	size_t own = 0, all = 0;
	for (; sip_msg_next_value(m, SIP_H_ROUTE, &it, &value); all++)
		if (own == all && sip_addr_parse(value, &a) == 0 && access_own_uri(p, &a.uri))
			own++;
	*ret_all = all;
	return own;
}

struct slice access_target(const struct sip_msg *m)
{
	return m->to.tag.len ? m->to.uri.host : m->uri.host;
}

/* ---- loops (RFC 5393 4.2): our branches end with "-", the worker, and a hash of what routing depends on */

enum { BRANCH_HEAD = 7 + 16, BRANCH_SUFFIX = 1 + 2 + 16, PARTS = 16 };

uint64_t access_loop_hash(const struct sip_msg *m, bool outward)
{
	struct sip_values it = {0};
	struct slice route, parts[PARTS] = {m->uri_text, S("\n"), m->from.tag, S("\n"), m->to.tag, S("\n"), m->call_id};
	char text[512];
	size_t n = 7;
	while (n + 2 <= PARTS && sip_msg_next_value(m, SIP_H_ROUTE, &it, &route)) {
		parts[n++] = S("\n");
		parts[n++] = route;
	}
	struct slice all = n + 2 <= PARTS ? slice_join(text, sizeof text, parts, n) : SLICE_NONE;
	if (all.p) /* one hash, nearly always */
		return (hash_slice(all) ^ (outward ? 1 : 2)) * 31 + m->cseq;
	uint64_t h = hash_slice(m->uri_text) ^ (outward ? 1 : 2);
	it = (struct sip_values){0};
	while (sip_msg_next_value(m, SIP_H_ROUTE, &it, &route))
		h = h * 31 + hash_slice(route);
	h = h * 31 + hash_slice(m->from.tag);
	h = h * 31 + hash_slice(m->to.tag);
	h = h * 31 + hash_slice(m->call_id);
	return h * 31 + m->cseq;
}

static bool suffix_of(struct slice branch, unsigned *ret_worker, uint64_t *ret_hash)
{
	uint64_t v[2] = {0, 0};
	if (branch.len != BRANCH_HEAD + BRANCH_SUFFIX || branch.p[BRANCH_HEAD] != '-')
		return false;
	for (size_t i = BRANCH_HEAD + 1; i < branch.len; i++) {
		char c = branch.p[i];
		unsigned d = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10) : 16;
		if (d == 16)
			return false;
		uint64_t *x = &v[i >= BRANCH_HEAD + 3];
		*x = *x << 4 | d;
	}
	*ret_worker = (unsigned)v[0];
	*ret_hash = v[1];
	return true;
}

bool access_branch_worker(const struct sip_msg *m, unsigned *ret)
{
	uint64_t hash;
	return suffix_of(m->via.branch, ret, &hash);
}

/* Is there anything in it of the length and shape of our branches? Most Vias need not be read for it. */
static bool like_ours(struct slice via)
{
	struct slice cookie = S("z9hG4bK");
	for (ptrdiff_t at; (at = slice_find(via, cookie)) >= 0; via = slice_skip(via, (size_t)at + cookie.len))
		if (via.len - (size_t)at >= BRANCH_HEAD + BRANCH_SUFFIX && via.p[at + BRANCH_HEAD] == '-')
			return true;
	return false;
}

/* The hash is keyed anew in each process, so nobody else can make one that fits. */
static bool looped(const struct sip_msg *m, bool outward)
{
	struct sip_values it = {0};
	struct slice value;
	struct sip_via via;
	uint64_t mine = 0, hash;
	bool have = false;
	unsigned worker;
	while (sip_msg_next_value(m, SIP_H_VIA, &it, &value)) {
		if (!like_ours(value) || sip_via_parse(value, &via) || !suffix_of(via.branch, &worker, &hash))
			continue;
		if (!have)
			mine = access_loop_hash(m, outward);
		have = true;
		if (hash == mine)
			return true;
	}
	return false;
}

/* ---- */

static bool own_uri(const void *arg, const struct sip_uri *u)
{
	return access_own_uri(arg, u);
}

struct access_hide access_hide_of(const struct access_proxy *p)
{
	return (struct access_hide){.keys = &p->rules.keys, .name = p->cfg.outer_name, .own = own_uri, .arg = p};
}

/* The mark is of the tag of whoever began the dialog, who may be on either end of a request in it. */
static bool marks(const struct access_proxy *p, char kind, const struct sip_uri *u, const struct sip_msg *m)
{
	const struct access_hide_keys *k = &p->rules.keys;
	struct slice token;
	if (!access_own_uri(p, u) || !sip_uri_param(u, S(ACCESS_MARK_PARAM), &token))
		return false;
	return (m->from.tag.len && access_hide_marked(k, kind, m->call_id, m->from.tag, token)) ||
	       (m->to.tag.len && access_hide_marked(k, kind, m->call_id, m->to.tag, token));
}

enum { OWN_MAX = 4 }; /* Routes of ours that are looked at: there are two, and each look is a hash over the Call-ID */

/* Is it inside a dialog that was made through us? Then our Record-Route is on top, with the mark that it was given there. A tag in To
 * alone is easily made up. */
static bool recorded(const struct access_proxy *p, char kind, const struct sip_msg *m)
{
	struct sip_values it = {0};
	struct slice value;
	struct sip_addr r;
	if (marks(p, kind, &m->uri, m)) /* put there by a strict router */
		return true;
	for (int i = 0; i < OWN_MAX && sip_msg_next_value(m, SIP_H_ROUTE, &it, &value) && !sip_addr_parse(value, &r) && access_own_uri(p, &r.uri); i++)
		if (marks(p, kind, &r.uri, m))
			return true;
	return false;
}

/* May a partner's request inside a dialog be passed on where it says? Where partners see nothing of what is behind us, what they name there
 * must be what we gave them in this dialog; else the dialog must be one of ours, or the way lead straight to To's domain, where policy judges
 * the recipient as if it were a first request. Between two partners nothing is hidden. */
static bool may_go_there(const struct access_proxy *p, const struct sip_msg *m, struct arena *a, bool more_routes, enum access_place *ret)
{
	struct access_hide h = access_hide_of(p);
	struct slice routes;
	bool ours = access_own_uri(p, &m->uri), sealed;
	if (!p->rules.keys.n)
		return true;
	sealed = access_hide_target(&h, a, m).p;
	if (!access_hide_routes(&h, a, m, &routes) || (ours && m->uri.user.len && !sealed))
		return false;
	if (!more_routes && (ours || slice_ieq(m->uri.host, m->to.uri.host)))
		return true;
	*ret = !p->rules.hide && recorded(p, ACCESS_DIALOG_MARK, m) ? ACCESS_PLACE_HOME : ACCESS_PLACE_PARTNER;
	return *ret == ACCESS_PLACE_HOME || recorded(p, ACCESS_TRANSIT_MARK, m);
}

static void refuse(struct access_look *l, int status, enum reason reason)
{
	l->status = status ? status : reason_info(reason)->sip_status;
	l->reason = reason;
}

/* The next octet, an escape undone as whoever reads it behind us may do: "%2B4930" is a number, too. */
static char octet(struct slice *s)
{
	char c = *s->p;
	int high = s->len > 2 && c == '%' ? hex_value(s->p[1]) : -1, low = high >= 0 ? hex_value(s->p[2]) : -1;
	*s = slice_skip(*s, low >= 0 ? 3 : 1);
	return low >= 0 ? (char)(high << 4 | low) : c;
}

static bool spells(struct slice s, const char *word)
{
	while (s.len && *word)
		if ((octet(&s) | 0x20) != *word++)
			return false;
	return !s.len && !*word;
}

/* A call to it may cost money, whoever makes it: "+", digits and visual separators (RFC 3966), or said to be one. */
static bool telephone(const struct sip_uri *u)
{
	struct slice v, rest = u->user;
	size_t digits = 0;
	if (sip_uri_param(u, S("user"), &v) && spells(v, "phone"))
		return true;
	if (!rest.len || octet(&rest) != '+')
		return false;
	while (rest.len) {
		char c = octet(&rest);
		if (c == ';')
			break;
		if (c >= '0' && c <= '9')
			digits++;
		else if (!memchr("-.()", c, 4))
			return false;
	}
	return digits > 0;
}

/* Does it begin something, or, from a partner, only say that it is inside a dialog? If not, it is to stay with those whose dialog it is. */
static bool begins(const struct access_proxy *p, const struct sip_msg *m, struct arena *a, bool outward, enum access_place *ret)
{
	struct access_hide h = access_hide_of(p);
	struct slice routes;
	if (outward || slice_empty(m->to.tag) || !p->rules.keys.n)
		return slice_empty(m->to.tag);
	bool home = recorded(p, ACCESS_DIALOG_MARK, m) || (access_hide_routes(&h, a, m, &routes) && routes.p);
	*ret = home ? ACCESS_PLACE_HOME : ACCESS_PLACE_PARTNER;
	return !home && !recorded(p, ACCESS_TRANSIT_MARK, m);
}

/* RFC 5393 5.3.3: nothing is left of what may be going on at once. */
static bool no_breadth(const struct sip_msg *m)
{
	uint64_t n;
	return slice_u64(sip_msg_header_named(m, S("Max-Breadth")), 0, &n);
}

void access_proxy_look(struct access_proxy *p, const struct sip_msg *m, struct arena *a, bool outward, struct access_look *ret)
{
	static const struct slice known[] = {S("ms-benotify")};
	struct sip_uas_verdict v;
	size_t all, own = access_own_routes(p, m, &all);
	struct sip_uas_caps caps = {.proxy = true, .schemes = 1u << SIP_SCHEME_SIP | 1u << SIP_SCHEME_SIPS, .extensions = {known, 1}, .routes = own};
	bool to_us = access_own_uri(p, &m->uri) && slice_empty(m->uri.user);
	*ret = (struct access_look){.kind = access_kind(m->method), .media = access_media(m), .own_routes = own, .routes = all};
	ret->local = outward ? m->from.uri.host : access_target(m);
	ret->remote = outward ? access_target(m) : m->from.uri.host;
	if (m->method == SIP_NEGOTIATE) { /* gates the first request of a Lync edge: at once, and no compression */
		ret->for_us = true;
		ret->status = 405;
		ret->header = S("Allow");
		ret->value = slice_str(p->allow);
	} else if (m->method == SIP_OPTIONS && ((to_us && own == all) || m->max_forwards == 0)) {
		ret->for_us = true;
		ret->status = 200;
		ret->header = S("Allow");
		ret->value = slice_str(p->allow);
	} else if (sip_uas_check(m, &caps, a, &v)) {
		refuse(ret, v.status, v.status == 483 ? REASON_SIP_TOO_MANY_HOPS : v.status == 420 ? REASON_SIP_EXTENSION
					  : v.status == 416					  ? REASON_ADDRESS_SCHEME
												  : REASON_SIP_MALFORMED);
		ret->header = v.header;
		ret->value = v.value;
	} else if (!(p->rules.methods & 1u << m->method) && m->method != SIP_CANCEL) {
		refuse(ret, to_us ? 405 : 0, to_us ? REASON_SIP_METHOD : REASON_POLICY_METHOD);
		ret->header = to_us ? S("Allow") : SLICE_NONE;
		ret->value = slice_str(p->allow);
	} else if (no_breadth(m)) {
		refuse(ret, 440, REASON_SIP_TOO_MANY_HOPS);
	} else if (looped(m, outward)) {
		refuse(ret, 0, REASON_SIP_LOOP);
	} else if (!p->rules.telephone && telephone(&m->uri) && begins(p, m, a, outward, &ret->place)) {
		refuse(ret, 0, REASON_POLICY_TELEPHONE);
	} else if (!outward && (slice_empty(m->to.tag) ? all > own : !may_go_there(p, m, a, all > own, &ret->place))) {
		refuse(ret, 0, REASON_POLICY_ROUTE); /* who asks for a way of its own wants a relay */
	}
}
