/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/dialog.h"

#include "base/mem.h"
#include "sip/build.h"
#include "sip/lex.h"

/* A dialog in the making: texts one behind the other, known by their offsets until the block stands still. */
enum part { CALL_ID, LOCAL_TAG, REMOTE_TAG, LOCAL, REMOTE, TARGET, ROUTES, PARTS };

struct draft {
	struct buf b;
	size_t at[PARTS], len[PARTS];
};

static void draft_init(struct draft *d)
{
	*d = (struct draft){0};
	buf_init(&d->b, SIP_DIALOG_MAX);
}

static void part_begin(struct draft *d, enum part p)
{
	d->at[p] = d->b.len;
}

static void part_end(struct draft *d, enum part p)
{
	d->len[p] = d->b.len - d->at[p];
}

static void part(struct draft *d, enum part p, struct slice s)
{
	part_begin(d, p);
	sip_unfold(s, &d->b);
	part_end(d, p);
}

/* Moves the texts into *ret, whose other fields stay. ENTENTE_ELIMIT when they were too long. */
static int draft_finish(struct draft *d, struct sip_dialog *ret)
{
	if (!buf_ok(&d->b)) {
		buf_free(&d->b);
		return ENTENTE_ELIMIT;
	}
	char *mem = mem_strndup(d->b.mem ? d->b.mem + d->b.off : "", d->b.len);
	struct slice *slot[PARTS] = {&ret->call_id, &ret->local_tag, &ret->remote_tag, &ret->local,
				     &ret->remote,  &ret->target,    &ret->routes};
	for (int i = 0; i < PARTS; i++)
		*slot[i] = slice_of(mem + d->at[i], d->len[i]);
	ret->mem = mem;
	buf_free(&d->b);
	return 0;
}

void sip_dialog_free(struct sip_dialog *d)
{
	mem_free(d->mem);
	*d = (struct sip_dialog){0};
}

/* --- kept --- */

struct sip_dialog_kept {
	uint32_t local_cseq, remote_cseq;
	bool remote_cseq_known, secure;
	uint16_t len[PARTS]; /* of the texts behind it */
	char text[];
};
_Static_assert(SIP_DIALOG_MAX < UINT16_MAX, "lengths of a kept dialog");

static void keep_numbers(struct sip_dialog_kept *k, const struct sip_dialog *d)
{
	k->local_cseq = d->local_cseq;
	k->remote_cseq = d->remote_cseq;
	k->remote_cseq_known = d->remote_cseq_known;
	k->secure = d->secure;
}

struct sip_dialog_kept *sip_dialog_keep(struct sip_dialog *d)
{
	const struct slice texts[PARTS] = {d->call_id, d->local_tag, d->remote_tag, d->local, d->remote, d->target, d->routes};
	size_t len = 0;
	for (int i = 0; i < PARTS; i++)
		len += texts[i].len;
	struct sip_dialog_kept *k = mem_calloc(1, sizeof *k + len);
	char *at = k->text;
	for (int i = 0; i < PARTS; i++) {
		k->len[i] = (uint16_t)texts[i].len;
		if (texts[i].len)
			memcpy(at, texts[i].p, texts[i].len);
		at += texts[i].len;
	}
	keep_numbers(k, d);
	sip_dialog_free(d);
	return k;
}

void sip_dialog_look(const struct sip_dialog_kept *k, struct sip_dialog *ret)
{
	struct slice *slot[PARTS] = {&ret->call_id, &ret->local_tag, &ret->remote_tag, &ret->local, &ret->remote, &ret->target, &ret->routes};
	const char *at = k->text;
	for (int i = 0; i < PARTS; i++) {
		*slot[i] = slice_of(at, k->len[i]);
		at += k->len[i];
	}
	ret->local_cseq = k->local_cseq;
	ret->remote_cseq = k->remote_cseq;
	ret->remote_cseq_known = k->remote_cseq_known;
	ret->secure = k->secure;
	ret->mem = NULL;
}

void sip_dialog_put_back(struct sip_dialog_kept **k, struct sip_dialog *d)
{
	if (d->mem) { /* other texts */
		mem_free(*k);
		*k = sip_dialog_keep(d);
		return;
	}
	keep_numbers(*k, d);
	*d = (struct sip_dialog){0};
}

/* --- texts of the peer --- */

void sip_unfold(struct slice value, struct buf *b)
{
	value = slice_trim(value);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.p[i];
		if (c != '\r' && c != '\n') {
			buf_putc(b, c);
			continue;
		}
		while (i + 1 < value.len && sip_is(value.p[i + 1], SIP_C_LWS))
			i++;
		buf_putc(b, ' ');
	}
}

void sip_addr_without_tag(const struct sip_addr *a, struct buf *b)
{
	struct slice rest = a->params, name, value;
	if (!rest.p) {
		sip_unfold(a->raw, b);
		return;
	}
	/* white space may stand on either side of the semicolon */
	struct slice head = slice_trim(slice_of(a->raw.p, (size_t)(rest.p - a->raw.p)));
	if (slice_ends(head, S(";")))
		head = slice_trim(slice_first(head, head.len - 1));
	sip_unfold(head, b);
	while (sip_next_param(&rest, &name, &value) > 0) {
		if (SIP_WORD(name, "tag"))
			continue;
		buf_putc(b, ';');
		buf_put(b, name);
		if (value.p) {
			buf_putc(b, '=');
			sip_unfold(value, b);
		}
	}
}

/* What may stand in a Request-URI: no headers (RFC 3261 19.1.1). */
static struct slice request_uri(const struct sip_addr *a)
{
	return a->uri.headers.p ? slice_of(a->uri_text.p, (size_t)(a->uri.headers.p - a->uri_text.p) - 1) : a->uri_text;
}

struct slice sip_contact_uri(const struct sip_msg *m)
{
	struct sip_values it = {0};
	struct slice value;
	struct sip_addr a;
	while (sip_msg_next_value(m, SIP_H_CONTACT, &it, &value))
		if (sip_addr_parse(value, &a) == 0 && !a.star &&
		    (a.uri.scheme == SIP_SCHEME_SIP || a.uri.scheme == SIP_SCHEME_SIPS))
			return request_uri(&a);
	return SLICE_NONE;
}

/* The Record-Route values as lines, in order or turned round. ENTENTE_ELIMIT when there are too many. */
static int route_set(const struct sip_msg *m, bool reversed, struct buf *b)
{
	struct slice v[SIP_DIALOG_ROUTES];
	struct sip_values it = {0};
	size_t n = 0;
	struct slice value;
	while (sip_msg_next_value(m, SIP_H_RECORD_ROUTE, &it, &value)) {
		if (n == SIP_DIALOG_ROUTES)
			return ENTENTE_ELIMIT;
		v[n++] = value;
	}
	for (size_t i = 0; i < n; i++) {
		sip_unfold(v[reversed ? n - 1 - i : i], b);
		buf_putc(b, '\n');
	}
	return 0;
}

/* --- making --- */

int sip_dialog_uas(struct sip_dialog *ret, const struct sip_msg *m, struct slice local_tag, bool over_tls)
{
	struct slice target = sip_contact_uri(m);
	struct draft d;
	if (slice_empty(target))
		return ENTENTE_ESYNTAX;
	draft_init(&d);
	part(&d, CALL_ID, m->call_id);
	part(&d, LOCAL_TAG, local_tag);
	part(&d, REMOTE_TAG, m->from.tag);
	part_begin(&d, LOCAL);
	sip_addr_without_tag(&m->to, &d.b);
	part_end(&d, LOCAL);
	part_begin(&d, REMOTE);
	sip_addr_without_tag(&m->from, &d.b);
	part_end(&d, REMOTE);
	part(&d, TARGET, target);
	part_begin(&d, ROUTES);
	int rc = route_set(m, false, &d.b);
	part_end(&d, ROUTES);
	if (rc < 0) {
		buf_free(&d.b);
		return rc;
	}
	struct sip_dialog r = {
		.remote_cseq = m->cseq, .remote_cseq_known = true, .secure = over_tls && m->uri.scheme == SIP_SCHEME_SIPS};
	if ((rc = draft_finish(&d, &r)) == 0)
		*ret = r;
	return rc;
}

/* `peer` is the field that names the other end in `m`. */
static int make_client(struct sip_dialog *ret, const struct sip_dialog_local *l, const struct sip_msg *m,
		       const struct sip_addr *peer)
{
	bool reversed = !m->is_request;
	struct slice target = sip_contact_uri(m);
	struct draft d;
	if (slice_empty(target))
		return ENTENTE_ESYNTAX;
	draft_init(&d);
	part(&d, CALL_ID, l->call_id);
	part(&d, LOCAL_TAG, l->local_tag);
	part(&d, REMOTE_TAG, peer->tag);
	part(&d, LOCAL, l->local);
	part_begin(&d, REMOTE);
	sip_addr_without_tag(peer, &d.b);
	part_end(&d, REMOTE);
	part(&d, TARGET, target);
	part_begin(&d, ROUTES);
	int rc = route_set(m, reversed, &d.b);
	part_end(&d, ROUTES);
	if (rc < 0) {
		buf_free(&d.b);
		return rc;
	}
	struct sip_dialog r = {.local_cseq = l->cseq, .secure = l->secure};
	if (m->is_request) {
		r.remote_cseq = m->cseq;
		r.remote_cseq_known = true;
	}
	if ((rc = draft_finish(&d, &r)) == 0)
		*ret = r;
	return rc;
}

int sip_dialog_uac(struct sip_dialog *ret, const struct sip_dialog_local *local, const struct sip_msg *response)
{
	return make_client(ret, local, response, &response->to);
}

int sip_dialog_notified(struct sip_dialog *ret, const struct sip_dialog_local *local, const struct sip_msg *notify)
{
	return make_client(ret, local, notify, &notify->from);
}

/* Exchanges two texts; a NULL pointer keeps the old one. Without room all stays as it was. */
static void replace(struct sip_dialog *d, struct slice target, const struct buf *routes)
{
	struct draft n;
	draft_init(&n);
	part(&n, CALL_ID, d->call_id);
	part(&n, LOCAL_TAG, d->local_tag);
	part(&n, REMOTE_TAG, d->remote_tag);
	part(&n, LOCAL, d->local);
	part(&n, REMOTE, d->remote);
	part(&n, TARGET, target.p ? target : d->target);
	part_begin(&n, ROUTES);
	buf_put(&n.b, routes ? buf_slice(routes) : d->routes);
	part_end(&n, ROUTES);
	char *old = d->mem;
	if (draft_finish(&n, d) == 0)
		mem_free(old);
}

void sip_dialog_refresh(struct sip_dialog *d, const struct sip_msg *m)
{
	struct slice target = sip_contact_uri(m);
	if (target.p && !slice_eq(target, d->target))
		replace(d, target, NULL);
}

void sip_dialog_adopt_routes(struct sip_dialog *d, const struct sip_msg *response)
{
	struct buf b;
	if (!slice_empty(d->routes))
		return;
	buf_init(&b, SIP_DIALOG_MAX);
	if (route_set(response, true, &b) == 0 && buf_ok(&b) && b.len)
		replace(d, SLICE_NONE, &b);
	buf_free(&b);
}

/* --- requests --- */

static bool is_loose(struct slice route, struct slice *ret_uri)
{
	struct sip_addr a;
	if (sip_addr_parse(route, &a) < 0)
		return true; /* cannot be judged: leave it in its place */
	*ret_uri = request_uri(&a);
	return sip_uri_param(&a.uri, S("lr"), NULL);
}

struct slice sip_dialog_next_hop(const struct sip_dialog *d)
{
	struct slice rest = d->routes, uri = SLICE_NONE;
	if (!slice_empty(rest))
		is_loose(slice_split(&rest, '\n'), &uri);
	return uri.p ? uri : d->target;
}

void sip_dialog_request(struct sip_dialog *d, struct buf *b, enum sip_method method, uint32_t cseq)
{
	struct slice name = sip_method_name(method), rest = d->routes, uri = d->target, strict = SLICE_NONE;
	if (method != SIP_ACK && method != SIP_CANCEL)
		cseq = ++d->local_cseq;
	if (!slice_empty(rest)) {
		struct slice after = rest, first = slice_split(&after, '\n');
		if (!is_loose(first, &strict)) {
			uri = strict;
			rest = after;
		} else {
			strict = SLICE_NONE;
		}
	}
	sip_build_request(b, name, uri);
	sip_build_header(b, SIP_H_MAX_FORWARDS, S("70"));
	while (!slice_empty(rest))
		sip_build_header(b, SIP_H_ROUTE, slice_split(&rest, '\n'));
	if (strict.p)
		sip_build_header_fmt(b, SIP_H_ROUTE, "<%.*s>", SFMT(d->target));
	sip_build_header_fmt(b, SIP_H_FROM, "%.*s;tag=%.*s", SFMT(d->local), SFMT(d->local_tag));
	if (slice_empty(d->remote_tag))
		sip_build_header(b, SIP_H_TO, d->remote);
	else
		sip_build_header_fmt(b, SIP_H_TO, "%.*s;tag=%.*s", SFMT(d->remote), SFMT(d->remote_tag));
	sip_build_header(b, SIP_H_CALL_ID, d->call_id);
	sip_build_header_fmt(b, SIP_H_CSEQ, "%u %.*s", cseq, SFMT(name));
}

bool sip_dialog_matches(const struct sip_dialog *d, const struct sip_msg *request)
{
	return slice_eq(d->remote_tag, request->from.tag);
}

bool sip_dialog_accept(struct sip_dialog *d, const struct sip_msg *request)
{
	if (d->remote_cseq_known && request->cseq < d->remote_cseq)
		return false;
	d->remote_cseq = request->cseq;
	d->remote_cseq_known = true;
	return true;
}

/* --- text --- */

static void save_line(struct buf *b, const char *name, struct slice value)
{
	buf_printf(b, "%s %.*s\n", name, SFMT(value));
}

void sip_dialog_save(const struct sip_dialog *d, struct buf *b)
{
	save_line(b, "call-id", d->call_id);
	save_line(b, "local-tag", d->local_tag);
	save_line(b, "remote-tag", d->remote_tag);
	save_line(b, "local", d->local);
	save_line(b, "remote", d->remote);
	save_line(b, "target", d->target);
	for (struct slice rest = d->routes; !slice_empty(rest);)
		save_line(b, "route", slice_split(&rest, '\n'));
	buf_printf(b, "local-cseq %u\n", d->local_cseq);
	if (d->remote_cseq_known)
		buf_printf(b, "remote-cseq %u\n", d->remote_cseq);
	if (d->secure)
		buf_puts(b, "secure 1\n");
	buf_puts(b, "end\n");
}

int sip_dialog_restore(struct sip_dialog *ret, struct slice *text)
{
	static const char *const names[PARTS] = {"call-id", "local-tag", "remote-tag", "local", "remote", "target", "route"};
	struct slice rest = *text, value[PARTS] = {{0}};
	struct sip_dialog r = {0};
	struct buf routes;
	struct sip_uri uri;
	uint64_t n;
	bool ended = false;
	size_t n_routes = 0;
	int rc = ENTENTE_ESYNTAX;
	buf_init(&routes, SIP_DIALOG_MAX);
	while (!ended && !slice_empty(rest)) {
		struct slice v = slice_split(&rest, '\n'), name = slice_split(&v, ' ');
		if (slice_find_chr(v, '\r') >= 0 || slice_find_chr(v, '\0') >= 0)
			goto out;
		if (slice_eq(name, S("end"))) {
			ended = true;
		} else if (slice_eq(name, S("local-cseq")) || slice_eq(name, S("remote-cseq"))) {
			if (!slice_u64(v, INT32_MAX, &n))
				goto out;
			if (name.p[0] == 'l') {
				r.local_cseq = (uint32_t)n;
			} else {
				r.remote_cseq = (uint32_t)n;
				r.remote_cseq_known = true;
			}
		} else if (slice_eq(name, S("secure"))) {
			r.secure = true;
		} else if (slice_eq(name, S("route"))) {
			if (++n_routes > SIP_DIALOG_ROUTES)
				goto out;
			buf_put(&routes, v);
			buf_putc(&routes, '\n');
		} else {
			for (int i = 0; i < ROUTES; i++)
				if (slice_eq(name, slice_str(names[i])))
					value[i] = slice_trim(v);
		}
	}
	if (!ended || slice_empty(value[CALL_ID]) || slice_empty(value[LOCAL_TAG]) || slice_empty(value[LOCAL]) ||
	    slice_empty(value[REMOTE]) || sip_uri_parse(value[TARGET], &uri) < 0 || uri.headers.p)
		goto out;
	struct draft d;
	draft_init(&d);
	for (int i = 0; i < ROUTES; i++)
		part(&d, (enum part)i, value[i]);
	part_begin(&d, ROUTES);
	buf_put(&d.b, buf_slice(&routes));
	part_end(&d, ROUTES);
	if ((rc = draft_finish(&d, &r)) == 0) {
		*ret = r;
		*text = rest;
	}
out:
	buf_free(&routes);
	return rc;
}
