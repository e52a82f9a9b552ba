/* SPDX-License-Identifier: Apache-2.0 */
/* XMPP message -> SIP MESSAGE. */
#include "interwork/date.h"
#include "interwork/im.h"
#include "interwork/text.h"
#include "interwork/xhtml.h"
#include "xmpp/stanza.h"

enum {
	MAX_SUBJECT = 512, MAX_URLS = 8, MAX_URL = 2048, MAX_HOPS = 70, HEADLINE_EXPIRES = 60,
	OVERHEAD = 400, /* what our Via, tags, Call-ID, CSeq and the other headers add to a MESSAGE */
};

static struct interwork_im_verdict refuse(enum reason reason, const char *why)
{
	return (struct interwork_im_verdict){.action = INTERWORK_IM_REFUSE, .reason = reason, .why = why};
}

static struct interwork_im_verdict drop(enum interwork_im_kind kind)
{
	return (struct interwork_im_verdict){.action = INTERWORK_IM_DROP, .kind = kind};
}

/* What the children of a message say, gathered in one pass. */
struct payload {
	const struct xml_node *body, *subject, *thread, *html; /* body: the best so far, see body_rank */
	int rank;
	bool forged, encrypted, ciphertext, state, receipt, receipt_requested, markable;
	struct slice replaces; /* id that is corrected; p == NULL for none */
	struct slice urls[MAX_URLS];
	size_t n_urls;
	int hops; /* SHIM Max-Forwards, -1 when absent */
};

/* The body without xml:lang, else the one in the stanza's language, else the first. */
static int body_rank(const struct xml_node *stanza, const struct xml_node *body)
{
	struct slice lang = xml_attr_ns(body, XML_NS_XML, S("lang"));
	if (!lang.p)
		return 3;
	return slice_ieq(lang, xml_lang(stanza)) ? 2 : 1;
}

static bool is_url(struct slice s)
{
	if (s.len == 0 || s.len > MAX_URL || slice_find_chr(s, ':') <= 0)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	return true;
}

static void add_url(struct payload *p, struct slice url)
{
	url = slice_trim(url);
	if (p->n_urls < MAX_URLS && is_url(url))
		p->urls[p->n_urls++] = url;
}

/* XEP-0447 and XEP-0385 bury the URL in a list of sources: the first one found below n. */
static bool find_source(struct payload *p, const struct xml_node *n, unsigned depth)
{
	if (slice_eq(n->ns, S("http://jabber.org/protocol/url-data")) || (depth && slice_eq(n->ns, S("urn:xmpp:reference:0")))) {
		struct slice url = xml_attr(n, slice_eq(n->name, S("url-data")) ? S("target") : S("uri"));
		if (slice_istarts(url, S("http"))) {
			add_url(p, url);
			return true;
		}
	}
	for (const struct xml_node *c = n->first; c && depth < 6; c = c->next)
		if (c->name.p && find_source(p, c, depth + 1))
			return true;
	return false;
}

static void read_hops(struct payload *p, const struct xml_node *headers, struct arena *a)
{
	for (const struct xml_node *h = xml_child(headers, S("header"), headers->ns); h; h = xml_next_same(h)) {
		uint64_t v;
		if (slice_ieq(xml_attr(h, S("name")), S("Max-Forwards")) && slice_u64(slice_trim(xml_text(h, a)), UINT32_MAX, &v))
			p->hops = v > MAX_HOPS ? MAX_HOPS : (int)v;
	}
}

static bool has_child_text(const struct xml_node *n)
{
	for (const struct xml_node *c = n->first; c; c = c->next)
		if (!c->name.p && slice_trim(c->text).len)
			return true;
	return false;
}

static void read_child(struct payload *p, const struct xml_node *stanza, const struct xml_node *n, struct arena *a)
{
	struct slice ns = n->ns;
	/* jabberd2 passes on what its client wrote with a prefix as it is */
	if (slice_eq(ns, stanza->ns) || slice_eq(ns, XMPP_NS_CLIENT)) {
		if (slice_eq(n->name, S("body"))) {
			int rank = body_rank(stanza, n);
			if (rank > p->rank) {
				p->rank = rank;
				p->body = n;
			}
		} else if (slice_eq(n->name, S("subject"))) {
			if (!p->subject)
				p->subject = n;
		} else if (slice_eq(n->name, S("thread"))) {
			p->thread = n;
		}
	} else if (slice_eq(ns, XMPP_NS_XHTML_IM)) {
		if (!p->html && slice_eq(n->name, S("html")))
			p->html = n;
	} else if (slice_eq(ns, XMPP_NS_CARBONS)) {
		p->forged |= slice_eq(n->name, S("sent")) || slice_eq(n->name, S("received"));
	} else if (slice_starts(ns, S("urn:xmpp:mam:"))) {
		p->forged = true;
	} else if (slice_eq(ns, XMPP_NS_CHATSTATES)) {
		p->state = true;
	} else if (slice_eq(ns, XMPP_NS_RECEIPTS)) {
		if (slice_eq(n->name, S("request")))
			p->receipt_requested = true;
		else
			p->receipt = true;
	} else if (slice_eq(ns, XMPP_NS_MARKERS)) {
		if (slice_eq(n->name, S("markable")))
			p->markable = true;
		else
			p->receipt = true;
	} else if (slice_eq(ns, XMPP_NS_CORRECT)) {
		if (slice_eq(n->name, S("replace")))
			p->replaces = xml_attr(n, S("id"));
	} else if (slice_eq(ns, XMPP_NS_OOB)) {
		struct xml_node *url = xml_child(n, S("url"), ns);
		if (url)
			add_url(p, xml_text(url, a));
	} else if (slice_eq(ns, S("urn:xmpp:sfs:0")) || slice_eq(ns, S("urn:xmpp:reference:0"))) {
		find_source(p, n, 0);
	} else if (slice_eq(ns, S("http://jabber.org/protocol/shim"))) {
		read_hops(p, n, a);
	} else if (slice_eq(ns, S("urn:xmpp:eme:0"))) {
		p->encrypted = true; /* XEP-0380 */
	} else if (slice_eq(ns, S("eu.siacs.conversations.axolotl")) || slice_starts(ns, S("urn:xmpp:omemo:"))) {
		p->ciphertext |= xml_child(n, S("payload"), ns) != NULL; /* without one it only moves keys */
	} else if (slice_eq(ns, S("urn:xmpp:openpgp:0")) || slice_eq(ns, S("jabber:x:encrypted"))) {
		p->ciphertext |= has_child_text(n);
	}
}

/* Marker, text, and the URLs that the text does not show already. */
static struct slice compose(struct arena *a, const struct payload *p, struct slice marker, struct slice text)
{
	struct slice urls[MAX_URLS];
	size_t n = 0, size = marker.len + text.len;
	for (size_t i = 0; i < p->n_urls; i++) {
		bool shown = slice_find(text, p->urls[i]) >= 0;
		for (size_t k = 0; k < n; k++)
			shown = shown || slice_eq(urls[k], p->urls[i]);
		if (!shown) {
			urls[n++] = p->urls[i];
			size += p->urls[i].len + 1;
		}
	}
	if (marker.len == 0 && n == 0)
		return text;
	char *out = arena_bytes(a, size + 1), *q = out;
	if (!out)
		return SLICE_NONE;
	q = (char *)mempcpy(q, marker.p ? marker.p : "", marker.len);
	q = (char *)mempcpy(q, text.p ? text.p : "", text.len);
	for (size_t i = 0; i < n; i++) {
		if (q != out)
			*q++ = '\n';
		q = (char *)mempcpy(q, urls[i].p, urls[i].len);
	}
	return slice_of(out, (size_t)(q - out));
}

size_t interwork_im_message_room(const struct interwork_im_page *page, struct slice from_uri, struct slice to_uri, bool reliable,
				 const struct interwork_im_rules *rules)
{
	size_t max = reliable ? rules->max_message : rules->max_message_udp;
	size_t taken = OVERHEAD + from_uri.len + 2 * to_uri.len + page->subject.len;
	return max > taken ? max - taken : 0;
}

struct interwork_im_verdict interwork_im_to_sip(struct interwork_im_page *ret, struct arena *a,
						const struct interwork_im_out *out, const struct interwork_im_rules *rules)
{
	const struct xml_node *stanza = out->stanza;
	struct interwork_im_page page = {.expires = -1, .max_forwards = MAX_HOPS};
	struct payload p = {.hops = -1};
	struct slice text = SLICE_NONE, marker = SLICE_NONE;
	int64_t sent;

	switch (stanza_type(stanza)) {
	case STANZA_TYPE_ERROR:
		return drop(INTERWORK_IM_ERROR);
	case STANZA_TYPE_GROUPCHAT:
		return refuse(REASON_XMPP_UNSUPPORTED, "a groupchat message to a user");
	case STANZA_TYPE_HEADLINE:
		page.priority = S("non-urgent");
		page.expires = HEADLINE_EXPIRES;
		break;
	default:
		break;
	}
	for (const struct xml_node *n = stanza->first; n; n = n->next)
		if (n->name.p)
			read_child(&p, stanza, n, a);
	if (p.forged)
		return drop(INTERWORK_IM_FORGED);
	if (p.body) {
		text = xml_text(p.body, a);
		if (!text.p)
			return refuse(REASON_CONTENT_TOO_LARGE, "the text is too large to be put together");
	}
	if (p.ciphertext || (p.encrypted && text.len) || slice_starts(text, S("?OTR")))
		return refuse(REASON_CONTENT_ENCRYPTED, "encrypted messages cannot cross this gateway");
	if (text.len == 0 && p.n_urls == 0)
		return drop(p.receipt ? INTERWORK_IM_RECEIPT : p.state ? INTERWORK_IM_COMPOSING : INTERWORK_IM_EMPTY);
	if (p.hops == 0)
		return refuse(REASON_SIP_TOO_MANY_HOPS, "no hops are left");
	if (p.hops > 0)
		page.max_forwards = p.hops - 1;

	if (p.replaces.len && (!out->id_known || out->id_known(out->ctx, p.replaces)))
		marker = rules->correction;
	struct slice written = text;
	text = compose(a, &p, marker, text);
	page.body = text.p ? interwork_crlf(a, text) : SLICE_NONE;
	if (!page.body.p)
		return refuse(REASON_CONTENT_TOO_LARGE, "the message is too large to be converted");
	if (rules->xhtml && p.html && text.p == written.p) { /* what we added would be missing in it */
		struct slice markup = interwork_xhtml_from_stanza(a, p.html);
		if (markup.len)
			page.html = arena_printf(a, "<html><body>%.*s</body></html>", SFMT(markup));
	}
	page.content_type = S("text/plain;charset=UTF-8");
	page.language = interwork_lang(xml_lang(p.body ? p.body : stanza));
	if (p.subject)
		page.subject = interwork_line(a, xml_text(p.subject, a), MAX_SUBJECT);
	if (stanza_delay_read(stanza, &sent))
		page.date = interwork_date_format(a, sent / 1000);
	page.id = stanza_id(stanza);
	page.thread = p.thread ? slice_trim(xml_text(p.thread, a)) : SLICE_NONE;
	page.receipt_requested = p.receipt_requested && page.id.len;
	page.markable = p.markable && page.id.len;

	*ret = page;
	return (struct interwork_im_verdict){0};
}
