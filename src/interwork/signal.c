/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/signal.h"

#include "interwork/address.h"
#include "interwork/cpim.h"
#include "interwork/inflate.h"
#include "interwork/iscomposing.h"
#include "interwork/keyboard.h"
#include "sip/msg.h"

enum { MAX_BODY = 65536, MAX_ENCODINGS = 3, MAX_DEPTH = 3 };

struct look {
	struct signal *ret;
	struct arena *arena;
	const struct xmpp_jid *from;
	struct entente_err *err;
};

static bool is(struct slice type, struct slice name)
{
	return slice_ieq(sip_token(type, NULL), name);
}

static enum signal_kind kind_of(struct slice type)
{
	if (is(type, ISCOMPOSING_TYPE) || is(type, S("text/x-msmsgscontrol")) || is(type, KEYBOARD_TYPE))
		return SIGNAL_TYPING;
	return is(type, IMDN_TYPE) ? SIGNAL_IMDN : is(type, IMDN_LYNC_TYPE) ? SIGNAL_LYNC_FAILURE : SIGNAL_NONE;
}

/* Takes off the encodings, the last one first (RFC 3261 20.12: in the order in which they were applied). */
static int decode(struct look *l, struct slice list, struct slice *body)
{
	struct slice names[MAX_ENCODINGS];
	size_t n = 0;
	while (list.len) {
		struct slice name = slice_trim(slice_split(&list, ','));
		if (!name.len)
			continue;
		if (n == MAX_ENCODINGS)
			return err_set(l->err, ENTENTE_EUNSUPPORTED, REASON_CONTENT_TYPE, "too many content encodings");
		names[n++] = name;
	}
	while (n-- > 0) {
		int r = interwork_inflate(body, l->arena, names[n], *body, MAX_BODY);
		if (r == ENTENTE_EUNSUPPORTED)
			return err_set(l->err, r, REASON_CONTENT_TYPE, "the content encoding is not supported");
		if (r == ENTENTE_ELIMIT)
			return err_set(l->err, r, REASON_CONTENT_TOO_LARGE, "the compressed body is larger than allowed");
		if (r)
			return err_set(l->err, r, REASON_CONTENT_MALFORMED, "the compressed body is broken");
	}
	return 0;
}

static int read_notice(struct look *l, struct slice body)
{
	if (l->ret->n == SIGNAL_MAX_NOTICES)
		return err_set(l->err, ENTENTE_ELIMIT, REASON_CONTENT_TOO_LARGE, "too many notifications at once");
	int r = imdn_read(&l->ret->notices[l->ret->n], l->arena, body, l->err);
	l->ret->n += r == 0;
	return r;
}

static int read_typing(struct look *l, struct slice type, struct slice body)
{
	struct signal *s = l->ret;
	if (is(type, ISCOMPOSING_TYPE)) {
		struct iscomposing c;
		int r = iscomposing_read(&c, l->arena, body, l->err);
		if (r)
			return r;
		s->typing = c.active;
		s->holds = c.refresh;
		s->refreshed = true;
		return 0;
	}
	s->holds = KEYBOARD_HOLDS;
	if (!is(type, KEYBOARD_TYPE)) { /* text/x-msmsgscontrol: it is only sent while somebody types */
		s->typing = true;
		return 0;
	}
	int r = keyboard_read(&s->typing, l->arena, body, l->err);
	if (r == ENTENTE_ENOTFOUND || r == ENTENTE_ESYNTAX) { /* application/xml of any other kind */
		s->kind = SIGNAL_NONE;
		return 0;
	}
	return r;
}

static int read_leaf(struct look *l, struct slice type, struct slice body)
{
	l->ret->kind = kind_of(type);
	if (l->ret->kind == SIGNAL_TYPING)
		return read_typing(l, type, body);
	if (l->ret->kind == SIGNAL_IMDN)
		return read_notice(l, body);
	return imdn_lync_read(l->ret->ids, SIGNAL_MAX_NOTICES, &l->ret->n, l->arena, body, l->err);
}

/* What mime_part_read does not know. */
static struct slice encoding_of(struct slice entity)
{
	struct slice name, value;
	while (mime_next_header(&entity, &name, &value))
		if (slice_ieq(name, S("Content-Encoding")))
			return value;
	return SLICE_NONE;
}

static int look(struct look *l, struct slice type, struct slice encoding, struct slice transfer, struct slice body, unsigned depth);

static int look_entity(struct look *l, const struct mime_part *part, struct slice entity, unsigned depth)
{
	return look(l, part->type, encoding_of(entity), part->encoding, part->body, depth + 1);
}

/* Notifications and nothing else, or it is left to others. */
static int look_multipart(struct look *l, struct slice type, struct slice body, unsigned depth)
{
	struct slice boundary, rest = body, entity;
	struct mime_part part;
	bool started = false, all = true;
	size_t n = 0;
	if (!mime_param(type, S("boundary"), l->arena, &boundary))
		return 0;
	while (all && mime_next_part(&rest, &started, boundary, &entity)) {
		mime_part_read(&part, entity);
		all = is(part.type, IMDN_TYPE);
		n++;
	}
	rest = body;
	started = false;
	for (int r; all && n && mime_next_part(&rest, &started, boundary, &entity);) {
		mime_part_read(&part, entity);
		l->ret->kind = SIGNAL_IMDN;
		if ((r = look_entity(l, &part, entity, depth)))
			return r;
	}
	return 0;
}

static int look_cpim(struct look *l, struct slice body, unsigned depth)
{
	struct slice entity = body, name, value;
	struct xmpp_jid from;
	struct cpim c;
	if (l->ret->cpim || cpim_read(&c, l->arena, body))
		return 0; /* im.h finds the words */
	l->ret->cpim = true;
	imdn_request_of(&l->ret->request, &c);
	while (mime_next_header(&entity, &name, &value))
		;
	int r = look_entity(l, &c.content, entity, depth);
	if (l->ret->kind == SIGNAL_NONE)
		return r;
	l->ret->request = (struct imdn_request){0}; /* a notification never asks for one */
	if (c.several_from || (c.from.p && (interwork_uri_to_jid(&from, l->arena, c.from, NULL) || !slice_eq(from.bare, l->from->bare))))
		return err_set(l->err, ENTENTE_EAUTH, REASON_CONTENT_IDENTITY, "the sender in CPIM is not the sender of the message");
	return r;
}

static int look(struct look *l, struct slice type, struct slice encoding, struct slice transfer, struct slice body, unsigned depth)
{
	bool cpim = is(type, CPIM_TYPE), multipart = is(type, S("multipart/mixed")), leaf = kind_of(type) != SIGNAL_NONE;
	if ((!cpim && !multipart && !leaf) || depth > MAX_DEPTH)
		return 0;
	if (leaf)
		l->ret->kind = kind_of(type);
	int r = mime_decode(&body, l->arena, transfer, body);
	if (r && leaf)
		return err_set(l->err, r, r == ENTENTE_EUNSUPPORTED ? REASON_CONTENT_TYPE : REASON_CONTENT_MALFORMED, "the transfer encoding is broken");
	if (r || (r = decode(l, encoding, &body)))
		return leaf ? r : 0;
	if (cpim)
		return look_cpim(l, body, depth);
	return multipart ? look_multipart(l, type, body, depth) : read_leaf(l, type, body);
}

int signal_read(struct signal *ret, struct arena *a, const struct signal_body *b, struct entente_err *err)
{
	struct entente_err own;
	struct look l = {.ret = ret, .arena = a, .from = b->from, .err = err ? err : &own};
	*ret = (struct signal){0};
	int r = look(&l, b->type, b->encoding, SLICE_NONE, b->body, 0);
	if (r && l.err->reason == REASON_XMPP_MALFORMED) /* as the XML reader calls it */
		l.err->reason = r == ENTENTE_ELIMIT ? REASON_CONTENT_TOO_LARGE : REASON_CONTENT_MALFORMED;
	return r;
}
