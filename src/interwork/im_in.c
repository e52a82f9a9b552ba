/* SPDX-License-Identifier: Apache-2.0 */
/* SIP MESSAGE -> XMPP message. */
#include "base/map.h"
#include "interwork/address.h"
#include "interwork/cpim.h"
#include "interwork/date.h"
#include "interwork/im.h"
#include "interwork/inflate.h"
#include "interwork/plaintext.h"
#include "interwork/text.h"
#include "interwork/xhtml.h"
#include "xmpp/stanza.h"

enum { MAX_DEPTH = 3, MAX_PARTS = 16, MAX_SUBJECT = 512, MAX_CALL_ID = 256, MAX_SKEW = 60 };

#define ACCEPT S("text/plain, text/html, message/cpim, multipart/alternative, multipart/mixed")

const struct interwork_im_rules interwork_im_rules_default = {
	.max_stanza = 262144,
	.max_message = 20000,
	.max_message_udp = 1300,
	.correction = {"[corrected] ", sizeof "[corrected] " - 1},
};

static struct interwork_im_verdict refuse(enum reason reason, const char *why)
{
	return (struct interwork_im_verdict){.action = INTERWORK_IM_REFUSE, .reason = reason, .why = why};
}

static struct interwork_im_verdict drop(enum interwork_im_kind kind)
{
	return (struct interwork_im_verdict){.action = INTERWORK_IM_DROP, .kind = kind};
}

static struct interwork_im_verdict unsupported(const char *why)
{
	struct interwork_im_verdict v = refuse(REASON_CONTENT_TYPE, why);
	v.header_name = S("Accept");
	v.header_value = ACCEPT;
	return v;
}

/* ---- finding the text */

struct content {
	struct arena *arena;
	const struct xmpp_jid *from;
	struct interwork_im_found found;
	struct slice text;          /* UTF-8 as far as it is well-formed, not yet clean */
	struct slice lang;          /* of the text */
	struct slice markup;        /* the inside of an XHTML-IM body, or empty */
	bool xhtml;                 /* it is wanted */
	struct slice subject, subject_lang;
	unsigned parts;
	bool in_cpim;
};

static struct interwork_im_verdict take(struct content *c, const struct mime_part *part, unsigned depth);

static struct interwork_im_verdict take_text(struct content *c, const struct mime_part *part, struct slice subtype)
{
	struct slice raw, charset = SLICE_NONE;
	int r = mime_decode(&raw, c->arena, part->encoding, part->body);
	c->found.type = part->type;
	c->found.body = r ? SLICE_NONE : raw;
	if (r == ENTENTE_EUNSUPPORTED)
		return unsupported("the transfer encoding is not supported");
	if (r)
		return refuse(REASON_CONTENT_MALFORMED, "the transfer encoding is broken");
	if (slice_ieq(subtype, S("rtf"))) {
		c->text = interwork_rtf_to_text(c->arena, raw);
		if (!c->text.p)
			return refuse(REASON_CONTENT_MALFORMED, "the rich text is malformed");
	} else {
		mime_param(part->type, S("charset"), c->arena, &charset);
		r = interwork_from_charset(&c->text, c->arena, charset, raw);
		if (r == ENTENTE_EUNSUPPORTED)
			return refuse(REASON_CONTENT_CHARSET, "the charset is not known");
		if (r == 0 && slice_ieq(subtype, S("html"))) {
			if (c->xhtml)
				c->markup = interwork_xhtml_from_html(c->arena, c->text);
			c->text = interwork_html_to_text(c->arena, c->text);
			r = c->text.p ? 0 : ENTENTE_ELIMIT;
		}
		if (r)
			return refuse(REASON_CONTENT_TOO_LARGE, "the text is too large to be converted");
	}
	if (c->text.len == 0)
		return drop(INTERWORK_IM_EMPTY);
	c->lang = interwork_lang(part->language);
	return (struct interwork_im_verdict){0};
}

static struct interwork_im_verdict take_cpim(struct content *c, const struct mime_part *part, unsigned depth)
{
	struct cpim cpim;
	struct slice doc;
	struct xmpp_jid from;
	if (c->in_cpim)
		return unsupported("CPIM within CPIM");
	if (mime_decode(&doc, c->arena, part->encoding, part->body) != 0 || cpim_read(&cpim, c->arena, doc) != 0)
		return refuse(REASON_CONTENT_MALFORMED, "the CPIM message is malformed");
	/* Who signs inside must be who was authenticated outside. */
	if (cpim.several_from ||
	    (cpim.from.p && (interwork_uri_to_jid(&from, c->arena, cpim.from, NULL) != 0 || !slice_eq(from.bare, c->from->bare))))
		return refuse(REASON_CONTENT_IDENTITY, "the sender in CPIM is not the sender in SIP");
	if (cpim.requires)
		return unsupported("the CPIM message requires what is not known here");
	c->in_cpim = c->found.wrapped = true;
	c->found.cpim = cpim;
	struct interwork_im_verdict v = take(c, &cpim.content, depth + 1);
	c->in_cpim = false;
	if (v.action == INTERWORK_IM_PASS && !c->subject.p) {
		c->subject = cpim.subject;
		c->subject_lang = interwork_lang(cpim.subject_lang);
	}
	return v;
}

static bool is_type(struct slice value, struct slice type)
{
	return slice_ieq(sip_token(value, NULL), type);
}

/* The markup of an alternative to the text that was taken: of the richest one, which comes last. */
static void take_markup(struct content *c, const struct mime_part *parts, size_t n)
{
	struct slice raw, charset = SLICE_NONE;
	while (n-- > 0 && !c->markup.len) {
		if (!is_type(parts[n].type, S("text/html")) || mime_decode(&raw, c->arena, parts[n].encoding, parts[n].body) != 0)
			continue;
		mime_param(parts[n].type, S("charset"), c->arena, &charset);
		if (interwork_from_charset(&raw, c->arena, charset, raw) == 0)
			c->markup = interwork_xhtml_from_html(c->arena, raw);
	}
}

/* Not to be shown in place: attachments, icons, recipient lists. */
static bool is_displayed(struct slice disposition)
{
	struct slice token = sip_token(disposition, NULL);
	return token.len == 0 || slice_ieq(token, S("render")) || slice_ieq(token, S("inline"));
}

/* A notification, for others to read. */
static struct interwork_im_verdict take_signal(struct content *c, const struct mime_part *part, enum interwork_im_kind kind)
{
	c->found.type = part->type;
	if (mime_decode(&c->found.body, c->arena, part->encoding, part->body) != 0)
		return refuse(REASON_CONTENT_MALFORMED, "the transfer encoding is broken");
	return drop(kind);
}

/* The first part that gives a text; a refusal or an empty part is remembered in *found until something better comes. False: look
 * no further. */
static bool consider(struct content *c, const struct mime_part *part, unsigned depth, struct interwork_im_verdict *found,
		     bool *have)
{
	struct interwork_im_verdict v = take(c, part, depth + 1);
	if (v.action == INTERWORK_IM_PASS || v.reason == REASON_CONTENT_IDENTITY) {
		*found = v;
		*have = true;
		return false;
	}
	if (!*have || (found->action == INTERWORK_IM_REFUSE && v.action == INTERWORK_IM_DROP)) {
		*found = v;
		*have = true;
	}
	return true;
}

static struct interwork_im_verdict take_multipart(struct content *c, const struct mime_part *part, struct slice subtype,
						  unsigned depth)
{
	struct slice boundary, rest = part->body, entity;
	struct mime_part parts[MAX_PARTS];
	size_t n = 0;
	bool started = false, have = false;
	struct interwork_im_verdict found = {0};

	if (slice_ieq(subtype, S("encrypted")))
		return refuse(REASON_CONTENT_ENCRYPTED, "the message is encrypted");
	if (depth == MAX_DEPTH)
		return unsupported("multipart bodies nested too deeply");
	if (!mime_param(part->type, S("boundary"), c->arena, &boundary))
		return refuse(REASON_CONTENT_MALFORMED, "a multipart body without boundary");
	while (c->parts < MAX_PARTS && mime_next_part(&rest, &started, boundary, &entity)) {
		c->parts++;
		mime_part_read(&parts[n++], entity);
	}
	if (n == 0)
		return started ? unsupported("a multipart body with too many parts")
			       : refuse(REASON_CONTENT_MALFORMED, "a multipart body without parts");
	if (slice_ieq(subtype, S("alternative"))) {
		/* A sender's own plain text is better than what we would make of the rich one, which comes last. */
		for (size_t i = 0; i < n; i++)
			if ((parts[i].type.len == 0 || is_type(parts[i].type, S("text/plain"))) &&
			    !consider(c, &parts[i], depth, &found, &have)) {
				if (c->xhtml && found.action == INTERWORK_IM_PASS)
					take_markup(c, parts, n);
				return found;
			}
		for (size_t i = n; i-- > 0;)
			if (parts[i].type.len && !is_type(parts[i].type, S("text/plain")) &&
			    !consider(c, &parts[i], depth, &found, &have))
				return found;
		return found;
	}
	for (size_t i = 0; i < n; i++)
		if (is_displayed(parts[i].disposition) && !consider(c, &parts[i], depth, &found, &have))
			return found;
	return have ? found : unsupported("a multipart body without text");
}

static struct interwork_im_verdict take(struct content *c, const struct mime_part *part, unsigned depth)
{
	struct slice type = sip_token(part->type, NULL), subtype = type;
	if (type.len == 0) /* RFC 2045 5.2; SIP demands the header, and phones forget it */
		return take_text(c, part, S("plain"));
	struct slice main = slice_trim(slice_split(&subtype, '/'));
	subtype = slice_trim(subtype);
	if (slice_ieq(main, S("text"))) {
		if (slice_ieq(subtype, S("plain")) || slice_ieq(subtype, S("html")) || slice_ieq(subtype, S("rtf")))
			return take_text(c, part, subtype);
		if (slice_ieq(subtype, S("x-msmsgsinvite")))
			return refuse(REASON_CONTENT_FILE, "an invitation to a file transfer");
		if (slice_ieq(subtype, S("x-msmsgscontrol")))
			return take_signal(c, part, INTERWORK_IM_COMPOSING);
	} else if (slice_ieq(main, S("multipart"))) {
		return take_multipart(c, part, subtype, depth);
	} else if (slice_ieq(main, S("message"))) {
		if (slice_ieq(subtype, S("cpim")))
			return take_cpim(c, part, depth);
		if (slice_ieq(subtype, S("imdn+xml")))
			return take_signal(c, part, INTERWORK_IM_RECEIPT);
	} else if (slice_ieq(main, S("application"))) {
		if (slice_ieq(subtype, S("im-iscomposing+xml")))
			return take_signal(c, part, INTERWORK_IM_COMPOSING);
		if (slice_ieq(subtype, S("ms-imdn+xml")))
			return take_signal(c, part, INTERWORK_IM_RECEIPT);
		if (slice_ieq(subtype, S("ms-conf-invite+xml")))
			return refuse(REASON_GROUP_CHAT, "an invitation to a conference");
		if (slice_ieq(subtype, S("rtf")))
			return take_text(c, part, subtype);
		if (slice_ieq(subtype, S("pkcs7-mime")) || slice_ieq(subtype, S("x-pkcs7-mime")))
			return refuse(REASON_CONTENT_ENCRYPTED, "the message is encrypted");
	}
	return unsupported("the content type cannot be shown as text");
}

/* ---- writing the stanza */

/* Opaque, unique, and the same for every retransmission: what identifies the transaction (RFC 3261 17.2.3), hashed. Two
 * halves of 64 bits with different seeds; stable, so that a retransmission that reaches us after a restart is known by its id. */
static void stanza_hash(const struct interwork_im_content *m, char id[27])
{
	static const char base32[] = "abcdefghijklmnopqrstuvwxyz234567";
	char in[1024];
	const struct slice *pieces = m->id_material;
	size_t n = 0;
	for (size_t i = 0; i < sizeof m->id_material / sizeof *m->id_material; i++) {
		size_t len = pieces[i].len;
		if (len > 300) { /* of a long one its own hash, so that all of it counts */
			uint64_t h = hash_slice_stable(pieces[i], 0);
			memcpy(in + n, &h, sizeof h);
			n += sizeof h;
		} else if (len) {
			memcpy(in + n, pieces[i].p, len);
			n += len;
		}
		in[n++] = 0;
	}
	memcpy(in + n, &m->id_number, sizeof m->id_number);
	n += sizeof m->id_number;
	for (int half = 0; half < 2; half++) {
		uint64_t h = hash_slice_stable(slice_of(in, n), (uint64_t)half + 1);
		for (int k = 0; k < 13; k++, h >>= 5)
			*id++ = base32[h & 31];
	}
	*id = '\0';
}

static void put_attr(struct buf *b, const char *name, struct slice value)
{
	buf_putc(b, ' ');
	buf_puts(b, name);
	buf_put(b, S("='"));
	xml_escape(b, value);
	buf_putc(b, '\'');
}

static void put_element(struct buf *b, const char *name, struct slice lang, struct slice text)
{
	buf_putc(b, '<');
	buf_puts(b, name);
	if (lang.len)
		put_attr(b, "xml:lang", lang);
	buf_putc(b, '>');
	interwork_put_body(b, text);
	buf_put(b, S("</"));
	buf_puts(b, name);
	buf_putc(b, '>');
}

static struct slice header_value(const struct sip_msg *m, enum sip_hdr id)
{
	const struct sip_header *h = sip_msg_header(m, id, 0);
	return h ? h->value : SLICE_NONE;
}

struct interwork_im_content interwork_im_content_of(const struct sip_msg *m)
{
	struct interwork_im_content c = {
		.type = header_value(m, SIP_H_CONTENT_TYPE),
		.transfer_encoding = sip_msg_header_named(m, S("Content-Transfer-Encoding")),
		.disposition = header_value(m, SIP_H_CONTENT_DISPOSITION),
		.language = header_value(m, SIP_H_CONTENT_LANGUAGE),
		.body = m->body,
		.subject = header_value(m, SIP_H_SUBJECT),
		.thread = m->call_id,
		.max_forwards = m->max_forwards,
		.id_material = {m->via.branch.len ? m->via.branch : m->via.raw, m->call_id, m->from.tag},
		.id_number = m->cseq,
	};
	struct sip_values it = {0};
	struct slice v;
	uint32_t seconds;
	while (sip_msg_next_value(m, SIP_H_CONTENT_ENCODING, &it, &v))
		if (!slice_ieq(v, S("identity")) && c.n_encodings++ < INTERWORK_IM_ENCODINGS)
			c.encodings[c.n_encodings - 1] = v;
	if (interwork_date_parse(header_value(m, SIP_H_DATE), &c.sent) && sip_msg_uint(m, SIP_H_EXPIRES, UINT32_MAX, &seconds))
		c.expires = c.sent + (int64_t)seconds;
	return c;
}

/* Beside the text, so it is left out where there is no room for it. */
static void put_markup(struct buf *b, struct slice markup, size_t end)
{
	size_t before = b->len;
	if (!markup.len || !buf_ok(b))
		return;
	buf_put(b, S("<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>"));
	buf_put(b, markup);
	buf_put(b, S("</body></html></message>"));
	if (!buf_ok(b) || b->len > end) {
		buf_truncate(b, before);
		b->failed = false;
	} else {
		buf_truncate(b, b->len - strlen("</message>"));
	}
}

/* `end`: where the stanza has to end. */
static void write_stanza(struct buf *b, const struct interwork_im_in *in, struct content *c,
			 const struct interwork_im_rules *rules, struct slice id, size_t end)
{
	const struct interwork_im_content *m = &in->content;
	struct slice lang = c->lang.len ? c->lang : interwork_lang(m->language);
	struct slice thread = m->thread;

	buf_put(b, S("<message"));
	put_attr(b, "from", in->from->full);
	put_attr(b, "to", in->to->full);
	put_attr(b, "id", id);
	if (!rules->type_normal)
		buf_put(b, S(" type='chat'"));
	if (lang.len)
		put_attr(b, "xml:lang", lang);
	buf_putc(b, '>');

	if (!c->subject.p)
		c->subject = m->subject;
	struct slice subject = interwork_line(c->arena, c->subject, MAX_SUBJECT);
	if (subject.len)
		put_element(b, "subject", slice_ieq(c->subject_lang, lang) ? SLICE_NONE : c->subject_lang, subject);
	put_element(b, "body", SLICE_NONE, c->text);
	if (thread.len <= MAX_CALL_ID && in->call_id_seen && in->call_id_seen(in->ctx, m->thread, &thread) && thread.len)
		put_element(b, "thread", SLICE_NONE, thread);
	buf_put(b, S("<origin-id xmlns='urn:xmpp:sid:0'"));
	put_attr(b, "id", id);
	buf_put(b, S("/>"));
	if (m->sent && in->now - m->sent > MAX_SKEW) {
		buf_put(b, S("<delay xmlns='urn:xmpp:delay'"));
		put_attr(b, "stamp", stanza_time_format(c->arena, m->sent * 1000));
		buf_put(b, S("/>"));
	}
	if (m->max_forwards > 0) {
		buf_put(b, S("<headers xmlns='http://jabber.org/protocol/shim'><header name='Max-Forwards'>"));
		buf_u64(b, (uint64_t)m->max_forwards - 1);
		buf_put(b, S("</header></headers>"));
	}
	if (in->children)
		in->children(in->ctx, b, &c->found);
	put_markup(b, c->markup, end);
	buf_put(b, S("</message>"));
}

/* Takes off the encodings, the last one first. What is larger than any stanza would not pass anyway. */
static struct interwork_im_verdict decompress(struct arena *a, const struct interwork_im_content *m, struct slice *body, size_t max)
{
	int r = m->n_encodings > INTERWORK_IM_ENCODINGS ? ENTENTE_EUNSUPPORTED : 0;
	for (size_t n = m->n_encodings; !r && n-- > 0;)
		r = interwork_inflate(body, a, m->encodings[n], *body, max);
	if (r == ENTENTE_EUNSUPPORTED) {
		struct interwork_im_verdict v = refuse(REASON_CONTENT_TYPE, "the content encoding is not supported");
		v.header_name = S("Accept-Encoding");
		v.header_value = INTERWORK_ENCODINGS;
		return v;
	}
	if (r == ENTENTE_ELIMIT)
		return refuse(REASON_CONTENT_TOO_LARGE, "the compressed body is larger than allowed");
	return r ? refuse(REASON_CONTENT_MALFORMED, "the compressed body is broken") : (struct interwork_im_verdict){0};
}

static struct interwork_im_verdict read_content(struct content *c, const struct interwork_im_in *in, size_t max)
{
	const struct interwork_im_content *m = &in->content;
	struct mime_part whole = {.type = m->type, .encoding = m->transfer_encoding, .language = m->language, .body = m->body};
	struct slice handling;
	if (m->max_forwards == 0)
		return refuse(REASON_SIP_TOO_MANY_HOPS, "no hops are left");
	struct interwork_im_verdict v = decompress(c->arena, m, &whole.body, max);
	if (v.action != INTERWORK_IM_PASS)
		return v;
	if (whole.body.len == 0)
		return drop(INTERWORK_IM_EMPTY);
	v = take(c, &whole, 0);
	if (v.action != INTERWORK_IM_PASS)
		return v;
	if (!is_displayed(m->disposition)) /* RFC 3261 20.11: required unless it says otherwise */
		return mime_param(m->disposition, S("handling"), c->arena, &handling) && slice_ieq(handling, S("optional"))
			       ? drop(INTERWORK_IM_EMPTY)
			       : unsupported("a content disposition that cannot be shown");
	return m->expires && m->expires < in->now ? drop(INTERWORK_IM_EXPIRED) : v;
}

struct interwork_im_verdict interwork_im_to_xmpp(struct buf *b, struct arena *a, const struct interwork_im_in *in,
						 const struct interwork_im_rules *rules, struct interwork_im_found *ret)
{
	struct content c = {.arena = a, .from = in->from, .xhtml = rules->xhtml};
	char id[27];

	struct interwork_im_verdict v = read_content(&c, in, rules->max_stanza);
	if (ret)
		*ret = c.found;
	if (v.action != INTERWORK_IM_PASS)
		return v;
	stanza_hash(&in->content, id);
	size_t start = b->len;
	bool was_ok = buf_ok(b);
	write_stanza(b, in, &c, rules, slice_of(id, 26), start + rules->max_stanza);
	if (!buf_ok(b) || b->len - start > rules->max_stanza) {
		buf_truncate(b, start);
		b->failed = !was_ok;
		return refuse(REASON_CONTENT_TOO_LARGE, "the stanza would be larger than XMPP servers accept");
	}
	if (ret)
		ret->id = arena_dup(a, slice_of(id, 26));
	return v;
}
