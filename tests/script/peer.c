/* SPDX-License-Identifier: Apache-2.0 */
/* The home and the partners, played. */
#include "script.h"

#include "base/mem.h"

/* ---- what came out */

void world_keep(void *arg, bool stanza, struct slice bytes)
{
	struct world *w = arg;
	struct thing *t = ARENA_NEW(w->arena, struct thing);
	struct sip_fault fault;
	*t = (struct thing){.stanza = stanza, .bytes = arena_dup(w->arena, bytes)};
	if (stanza) {
		struct xml_node *n;
		struct slice doc = arena_printf(w->arena, "<x xmlns='jabber:server'>%.*s</x>", SFMT(bytes));
		assert_int_equal(xml_parse(&n, w->arena, doc, &xml_limits_default, NULL), 0);
		t->node = xml_first(n);
	} else {
		assert_int_equal(sip_msg_parse(&t->msg, w->arena, t->bytes, &sip_limits_default, &fault), 0);
		if (t->msg->status == 100)
			return; /* the stack's own (RFC 4320) */
	}
	*w->tail = t;
	w->tail = &t->next;
}

static struct talk *talk_by_id(struct world *w, struct slice call_id)
{
	for (struct talk *t = w->talks; t; t = t->next)
		if (slice_eq(t->call_id, call_id))
			return t;
	struct talk *t = ARENA_NEW(w->arena, struct talk);
	*t = (struct talk){.call_id = arena_dup(w->arena, call_id), .next = w->talks};
	return w->talks = t;
}

static struct talk *talk_by_label(struct world *w, struct slice label)
{
	for (struct talk *t = w->talks; t; t = t->next)
		if (slice_eq(t->label, label))
			return t;
	wrong(w, "nothing was called %.*s so far", SFMT(label));
}

static struct slice contact_of(struct world *w, const struct sip_msg *m)
{
	const struct sip_header *h = sip_msg_header(m, SIP_H_CONTACT, 0);
	struct sip_addr c;
	return h && !sip_addr_parse(h->value, &c) ? arena_dup(w->arena, c.uri_text) : SLICE_NONE;
}

/* What the peers know of a dialog when they have seen this. */
struct talk *world_learn(struct world *w, struct sip_msg *m)
{
	struct talk *t = talk_by_id(w, m->call_id);
	struct slice target = contact_of(w, m);
	if (target.len)
		t->gw_target = target;
	if (m->is_request) {
		t->peer = m->to.uri_text;
		if (m->to.tag.len)
			t->peer_tag = m->to.tag;
		t->gw = m->from.uri_text;
		t->gw_tag = m->from.tag;
		if (m->method != SIP_ACK) {
			t->asked = m;
			t->open = true;
			w->last_talk = t;
		}
	} else if (m->to.tag.len) {
		t->gw_tag = m->to.tag;
	}
	if (!m->is_request && m->cseq_method == SIP_INVITE && m->status >= 200)
		t->refused = m->status >= 300;
	return t;
}

void world_settle(struct world *w)
{
	for (struct thing *t = w->things; t; t = t->next) {
		struct slice why;
		for (size_t i = 0; t->stanza && !t->taken && i < w->n_ignored; i++)
			t->taken = match_xml(w, w->ignored[i], t->node, true, &why);
		if (t->stanza || t->taken || !t->msg->is_request)
			continue;
		for (size_t i = 0; i < w->n_always; i++)
			if (slice_eq(t->msg->method_text, w->always[i])) {
				t->taken = true;
				struct talk *last = w->last_talk, *mine = world_learn(w, t->msg);
				char text[64];
				if (t->msg->method == SIP_ACK)
					break;
				snprintf(text, sizeof text, "answers %d", w->always_status[i]);
				home_step(w, slice_str(text), &(struct block){0});
				if (mine != last && last)
					w->last_talk = last;
				break;
			}
	}
}

static struct slice thing_text(struct world *w, const struct thing *t)
{
	struct buf b;
	struct slice rest = t->bytes;
	buf_init(&b, 1 << 20);
	while (rest.len) {
		struct slice line = slice_split(&rest, '\n');
		if (slice_ends(line, S("\r")))
			line.len--;
		buf_printf(&b, "      | %.*s\n", SFMT(shown(w, line)));
	}
	struct slice ret = arena_dup(w->arena, buf_slice(&b));
	buf_free(&b);
	return ret;
}

void world_nothing(struct world *w)
{
	for (struct thing *t = w->things; t; t = t->next)
		if (!t->taken)
			wrong(w, "before this, something came %s that the script does not expect:\n%.*s",
			      t->stanza ? "to a partner" : "to the home", SFMT(thing_text(w, t)));
}

/* ---- blocks: "Name: value", "no Name", "| body" */

struct field {
	struct slice name, value;
	bool used;
};

struct parts {
	struct field fields[64];
	size_t n_fields;
	struct slice absent[32];
	size_t n_absent;
	struct slice body; /* lines joined by CRLF; p == NULL: none was given */
	bool no_body;
};

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A line that began with "|\": \xHH \r \n \t \\ . */
static void unescape(struct world *w, struct buf *b, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] != '\\') {
			buf_putc(b, s.p[i]);
		} else if (i + 3 < s.len && s.p[i + 1] == 'x' && hex(s.p[i + 2]) >= 0 && hex(s.p[i + 3]) >= 0) {
			buf_putc(b, (char)(hex(s.p[i + 2]) * 16 + hex(s.p[i + 3])));
			i += 3;
		} else if (i + 1 < s.len && strchr("rnt\\", s.p[i + 1])) {
			buf_putc(b, s.p[i + 1] == 'r' ? '\r' : s.p[i + 1] == 'n' ? '\n' : s.p[i + 1] == 't' ? '\t' : '\\');
			i++;
		} else {
			wrong(w, "after |\\ a backslash is followed by xHH, r, n, t or a backslash");
		}
	}
}

static void read_block(struct world *w, struct parts *ret, const struct block *b)
{
	struct buf body;
	*ret = (struct parts){0};
	buf_init(&body, 1 << 22);
	for (size_t i = 0; i < b->n; i++) {
		struct slice s = b->lines[i].text;
		if (s.p[0] == '|') {
			if (ret->body.p)
				buf_puts(&body, "\r\n");
			ret->body = S("");
			if (slice_starts(s, S("|\\")))
				unescape(w, &body, slice_skip(s, s.len > 2 && s.p[2] == ' ' ? 3 : 2));
			else
				buf_put(&body, slice_skip(s, s.len > 1 && s.p[1] == ' ' ? 2 : 1));
		} else if (slice_eq(s, S("no body"))) {
			ret->no_body = true;
		} else if (slice_starts(s, S("no ")) && slice_find_chr(s, ':') < 0) {
			assert_true(ret->n_absent < 32);
			ret->absent[ret->n_absent++] = slice_trim(slice_skip(s, 3));
		} else {
			struct slice value = s, name = slice_split(&value, ':');
			if (!value.p)
				wrong(w, "line %d is no header field (Name: value), no body (| text), no \"no Name\"", b->lines[i].number);
			assert_true(ret->n_fields < 64);
			ret->fields[ret->n_fields++] = (struct field){expand(w, slice_trim(name)), slice_trim(value), false};
		}
	}
	if (ret->body.p)
		ret->body = arena_dup(w->arena, buf_slice(&body));
	if (ret->body.p && !ret->body.len)
		ret->body = S("");
	buf_free(&body);
}

static bool same_header(struct slice a, struct slice b)
{
	enum sip_hdr x = sip_hdr_of(a);
	return slice_ieq(a, b) || (x != SIP_H_OTHER && x == sip_hdr_of(b));
}

static struct field *field_of(struct parts *p, struct slice name)
{
	for (size_t i = 0; i < p->n_fields; i++)
		if (same_header(p->fields[i].name, name))
			return &p->fields[i];
	return NULL;
}

static bool unwanted(const struct parts *p, struct slice name)
{
	for (size_t i = 0; i < p->n_absent; i++)
		if (same_header(p->absent[i], name))
			return true;
	return false;
}

/* ---- the home sends */

/* A default, unless the script has its own or wants none. */
static void put(struct buf *b, struct parts *p, struct slice name, struct slice value)
{
	if (!field_of(p, name) && !unwanted(p, name) && value.len)
		buf_printf(b, "%.*s: %.*s\r\n", SFMT(name), SFMT(value));
}

static void put_rest(struct world *w, struct buf *b, struct parts *p)
{
	struct slice body = p->body.p ? expand(w, p->body) : SLICE_NONE;
	for (size_t i = 0; i < p->n_fields; i++)
		if (!p->fields[i].used)
			buf_printf(b, "%.*s: %.*s\r\n", SFMT(p->fields[i].name), SFMT(expand(w, p->fields[i].value)));
	if (body.len)
		put(b, p, S("Content-Type"),
		    slice_starts(body, S("v=0"))                                                                     ? S("application/sdp")
		    : slice_find(body, S("<presence")) >= 0 && slice_starts(body, S("<")) ? S("application/pidf+xml")
													      : S("text/plain"));
	if (!field_of(p, S("Content-Length")) && !unwanted(p, S("Content-Length")))
		buf_printf(b, "Content-Length: %zu\r\n", body.len);
	buf_puts(b, "\r\n");
	buf_put(b, body);
}

/* From or To: "romeo" and "romeo@contoso.test" will do. */
static struct slice address(struct world *w, struct parts *p, struct slice name, struct slice uri, struct slice tag, struct slice *ret_uri,
			    struct slice *ret_tag)
{
	struct field *f = field_of(p, name);
	struct sip_addr a;
	if (f) {
		struct slice v = expand(w, f->value);
		f->used = true;
		if (slice_find_chr(v, ':') >= 0) {
			if (tag.len && slice_find(v, S(";tag=")) < 0)
				v = arena_printf(w->arena, "%.*s%.*s%.*s;tag=%.*s", slice_find_chr(v, '<') < 0, "<", SFMT(v),
						 slice_find_chr(v, '<') < 0, ">", SFMT(tag));
			if (!sip_addr_parse(v, &a)) {
				*ret_uri = a.uri_text;
				*ret_tag = a.tag;
			}
			return v;
		}
		uri = arena_printf(w->arena, "sip:%.*s%s", SFMT(v), slice_find_chr(v, '@') < 0 ? "@contoso.test" : "");
	}
	*ret_uri = uri;
	*ret_tag = tag;
	return tag.len ? arena_printf(w->arena, "<%.*s>;tag=%.*s", SFMT(uri), SFMT(tag)) : arena_printf(w->arena, "<%.*s>", SFMT(uri));
}

static void give(struct world *w, struct talk *t, struct buf *b)
{
	struct slice bytes = arena_dup(w->arena, buf_slice(b));
	assert_true(buf_ok(b));
	buf_free(b);
	if (t)
		t->last = bytes;
	w->moved = true;
	house_sip_in(w->house, bytes);
}

static void home_raw(struct world *w, struct parts *p)
{
	struct buf b;
	buf_init(&b, 1 << 22);
	buf_put(&b, expand(w, p->body));
	give(w, NULL, &b);
}

static void home_sends(struct world *w, struct slice words, const struct block *block)
{
	struct slice method = slice_split(&words, ' '), uri = SLICE_NONE, in = SLICE_NONE, as = SLICE_NONE, tag, unused;
	struct parts p;
	struct buf b;
	read_block(w, &p, block);
	if (slice_eq(method, S("raw"))) {
		home_raw(w, &p);
		return;
	}
	while (words.len) {
		struct slice word = slice_split(&words, ' ');
		if (slice_eq(word, S("in")))
			in = slice_split(&words, ' ');
		else if (slice_eq(word, S("as")))
			as = slice_split(&words, ' ');
		else
			uri = expand(w, word);
	}
	struct talk *t = in.len ? talk_by_label(w, in) : NULL;
	bool ack = slice_eq(method, S("ACK")), cancel = slice_eq(method, S("CANCEL")), first = !t;
	unsigned n = ++w->numbers;
	if (!t) {
		struct field *id = field_of(&p, S("Call-ID"));
		t = talk_by_id(w, id ? expand(w, id->value) : arena_printf(w->arena, "call-%u", n));
		if (!t->peer_tag.len)
			t->peer_tag = arena_printf(w->arena, "home-%u", n);
		t->peer = S("sip:romeo@contoso.test");
		t->gw_tag = SLICE_NONE;
	}
	if (as.len)
		t->label = as;
	if (!t->peer_tag.len) /* a NOTIFY before the answer makes the dialog */
		t->peer_tag = arena_printf(w->arena, "home-%u", ++w->numbers);
	if (!uri.len)
		uri = cancel ? t->uri : t->gw_target.len ? t->gw_target : t->gw;
	else if (slice_find_chr(uri, ':') < 0)
		uri = arena_printf(w->arena, "sip:%.*s", SFMT(uri));
	if (!uri.len)
		wrong(w, "to whom?");
	if (first)
		t->gw = uri;
	struct slice branch = ack || cancel ? t->branch : arena_printf(w->arena, "z9hG4bK-%u", n);
	if (ack && !t->refused)
		branch = arena_printf(w->arena, "z9hG4bK-%u", n);
	if (ack && t->refused)
		uri = t->uri;
	struct field *cseq = field_of(&p, S("CSeq"));
	struct slice number = cseq ? expand(w, cseq->value) : SLICE_NONE;
	uint64_t given = 0;
	if (cseq && slice_u64(slice_split(&number, ' '), 1u << 31, &given))
		t->cseq = (unsigned)given;
	else if (!ack && !cancel)
		t->cseq++;
	buf_init(&b, 1 << 22);
	buf_printf(&b, "%.*s %.*s SIP/2.0\r\n", SFMT(method), SFMT(uri));
	put(&b, &p, S("Via"), arena_printf(w->arena, "SIP/2.0/TCP 192.0.2.1:5060;branch=%.*s", SFMT(branch)));
	put(&b, &p, S("Max-Forwards"), S("70"));
	struct slice from = address(w, &p, S("From"), t->peer, t->peer_tag, &t->peer, &tag);
	buf_printf(&b, "From: %.*s\r\n", SFMT(from));
	struct slice to = address(w, &p, S("To"), t->gw, cancel ? SLICE_NONE : t->gw_tag, &t->gw, &unused);
	buf_printf(&b, "To: %.*s\r\n", SFMT(to));
	put(&b, &p, S("Call-ID"), t->call_id);
	put(&b, &p, S("CSeq"), arena_printf(w->arena, "%u %.*s", ack || cancel ? t->invite_cseq : t->cseq, SFMT(method)));
	if (slice_eq(method, S("INVITE")) || slice_eq(method, S("SUBSCRIBE")) || slice_eq(method, S("NOTIFY")) || slice_eq(method, S("UPDATE")))
		put(&b, &p, S("Contact"), arena_printf(w->arena, "<%.*s>", SFMT(t->peer)));
	if (slice_eq(method, S("SUBSCRIBE"))) {
		put(&b, &p, S("Event"), S("presence"));
		put(&b, &p, S("Accept"), S("application/pidf+xml"));
		put(&b, &p, S("Expires"), S("3600"));
	} else if (slice_eq(method, S("NOTIFY"))) {
		put(&b, &p, S("Event"), S("presence"));
		put(&b, &p, S("Subscription-State"), S("active;expires=3600"));
	} else if (slice_eq(method, S("INVITE"))) {
		t->branch = branch;
		t->uri = uri;
		t->invite_cseq = t->cseq;
	}
	put_rest(w, &b, &p);
	give(w, t, &b);
}

void home_answer(struct world *w, struct talk *t, const struct sip_msg *m, int status, struct slice words, const struct block *block)
{
	struct slice uri, tag;
	struct parts p;
	struct buf b;
	read_block(w, &p, block);
	buf_init(&b, 1 << 22);
	if (!t->peer_tag.len && status > 100)
		t->peer_tag = arena_printf(w->arena, "home-%u", ++w->numbers);
	buf_printf(&b, "SIP/2.0 %d %.*s\r\n", (int)status, SFMT(words.len ? expand(w, words) : S("Words")));
	const struct sip_header *h;
	for (size_t i = 0; (h = sip_msg_header(m, SIP_H_VIA, i)); i++)
		buf_put(&b, h->line);
	buf_put(&b, sip_msg_header(m, SIP_H_FROM, 0)->line);
	struct slice to = address(w, &p, S("To"), m->to.uri_text,
				  m->to.tag.len ? m->to.tag : status > 100 ? t->peer_tag : SLICE_NONE, &uri, &tag);
	buf_printf(&b, "To: %.*s\r\n", SFMT(to));
	t->peer_tag = tag;
	put(&b, &p, S("Call-ID"), m->call_id);
	put(&b, &p, S("CSeq"), sip_msg_header(m, SIP_H_CSEQ, 0)->value);
	if (status > 100 && status < 300 && (m->method == SIP_INVITE || m->method == SIP_SUBSCRIBE || m->method == SIP_UPDATE))
		put(&b, &p, S("Contact"), arena_printf(w->arena, "<%.*s>", SFMT(t->peer)));
	if (m->method == SIP_SUBSCRIBE && status < 300 && sip_msg_header(m, SIP_H_EXPIRES, 0))
		put(&b, &p, S("Expires"), sip_msg_header(m, SIP_H_EXPIRES, 0)->value);
	put_rest(w, &b, &p);
	give(w, NULL, &b);
}


static void home_answers_step(struct world *w, struct slice words, const struct block *block)
{
	struct slice word = slice_split(&words, ' ');
	struct talk *t = w->last_talk;
	uint64_t status;
	bool labelled = false;
	word = expand(w, word);
	if (!slice_u64(word, 699, &status)) {
		t = talk_by_label(w, word);
		labelled = true;
		word = expand(w, slice_split(&words, ' '));
		if (!slice_u64(word, 699, &status))
			wrong(w, "answers what? (a status from 100 to 699)");
	}
	if (!t || !t->asked)
		wrong(w, "there is nothing to answer");
	if (!t->open && !labelled) /* forks answer more than once */
		wrong(w, "it has its answer already");
	t->open = status < 200;
	home_answer(w, t, t->asked, (int)status, words, block);
}

/* ---- somebody gets */

static uint64_t within(struct world *w, struct slice *words)
{
	ptrdiff_t at = slice_find(*words, S("within "));
	uint64_t ms = 0, n;
	if (at < 0)
		return 0;
	struct slice rest = expand(w, slice_skip(*words, (size_t)at + 7)), number = slice_split(&rest, ' ');
	if (!slice_u64(number, 1000000, &n))
		wrong(w, "within how long?");
	ms = slice_eq(rest, S("ms")) ? 1 : slice_eq(rest, S("s")) ? 1000 : slice_eq(rest, S("min")) ? 60000 : slice_eq(rest, S("h")) ? 3600000 : 0;
	if (!ms)
		wrong(w, "within a number of ms, s, min or h");
	*words = slice_trim(slice_first(*words, (size_t)at));
	return n * ms;
}

/* The next on this side; time goes by until there is one. */
static struct thing *next_thing(struct world *w, bool stanza, uint64_t ms)
{
	uint64_t until = w->house->timers.now + ms;
	for (;;) {
		world_settle(w);
		for (struct thing *t = w->things; t; t = t->next)
			if (t->stanza == stanza && !t->taken)
				return t;
		uint64_t next = timers_next(&w->house->timers);
		if (next > until)
			return NULL;
		house_pass(w->house, next > w->house->timers.now ? next - w->house->timers.now : 0);
	}
}

/* The diff: what was wanted, line by line, with what is there instead. */
static bool match_sip(struct world *w, struct slice words, struct parts *p, struct thing *t, struct buf *diff)
{
	const struct sip_msg *m = t->msg;
	struct slice start = words, first = slice_split(&words, ' '), why;
	bool yes;
	uint64_t status;
	if (slice_u64(expand(w, slice_find_chr(first, '$') == 0 ? first : S("x")), 699, &status))
		first = expand(w, first);
	if (slice_u64(first, 699, &status))
		yes = !m->is_request && m->status == (int)status && (!words.len || match_text(w, words, m->reason));
	else
		yes = m->is_request && match_text(w, first, m->method_text) && (!words.len || match_text(w, words, m->uri_text));
	buf_printf(diff, "   %s | %.*s\n", yes ? " " : "-", SFMT(start));
	if (!yes && m->is_request)
		buf_printf(diff, "   + | %.*s %.*s\n", SFMT(m->method_text), SFMT(m->uri_text));
	else if (!yes)
		buf_printf(diff, "   + | %d %.*s (%.*s)\n", m->status, SFMT(m->reason), SFMT(m->cseq_method_text));
	for (size_t i = 0; i < p->n_fields; i++) {
		struct field *f = &p->fields[i];
		bool found = false;
		for (size_t k = 0; k < m->n_headers && !found; k++)
			found = same_header(f->name, m->headers[k].name) && match_text(w, f->value, slice_trim(m->headers[k].value));
		buf_printf(diff, "   %s | %.*s: %.*s\n", found ? " " : "-", SFMT(f->name), SFMT(f->value));
		for (size_t k = 0; k < m->n_headers && !found; k++)
			if (same_header(f->name, m->headers[k].name))
				buf_printf(diff, "   + | %.*s: %.*s\n", SFMT(m->headers[k].name), SFMT(m->headers[k].value));
		yes &= found;
	}
	for (size_t i = 0; i < p->n_absent; i++)
		for (size_t k = 0; k < m->n_headers; k++)
			if (same_header(p->absent[i], m->headers[k].name)) {
				buf_printf(diff, "   - | no %.*s\n   + | %.*s: %.*s\n", SFMT(p->absent[i]), SFMT(m->headers[k].name),
					   SFMT(m->headers[k].value));
				yes = false;
			}
	if (p->no_body && m->body.len) {
		buf_puts(diff, "   - | no body\n");
		yes = false;
	}
	if (p->body.p && !match_body(w, p->body, m->body, &why)) {
		buf_printf(diff, "   - | (body) %.*s\n", SFMT(why));
		yes = false;
	}
	return yes;
}

static void home_gets(struct world *w, struct slice words, const struct block *block, bool anywhere)
{
	struct parts p;
	struct slice as = SLICE_NONE, to = SLICE_NONE;
	struct buf diff;
	uint64_t ms = within(w, &words);
	ptrdiff_t at;
	read_block(w, &p, block);
	if ((at = slice_find(words, S(" as "))) > 0) {
		as = slice_trim(slice_skip(words, (size_t)at + 4));
		words = slice_first(words, (size_t)at);
	}
	if ((at = slice_find(words, S(" to "))) > 0) {
		to = slice_trim(slice_skip(words, (size_t)at + 4));
		words = slice_first(words, (size_t)at);
	}
	struct thing *t = next_thing(w, false, ms);
	if (!t)
		wrong(w, "nothing came to the home");
	buf_init(&diff, 1 << 20);
	for (; t; t = t->next) {
		if (t->stanza || t->taken)
			continue;
		size_t mark = w->n_vars;
		bool here = match_sip(w, words, &p, t, &diff);
		if (here && (!to.len || slice_eq(talk_by_label(w, to)->call_id, t->msg->call_id)))
			break;
		w->n_vars = mark;
		if (!anywhere)
			wrong(w, "the home got something else:\n%.*s   in\n%.*s", SFMT(buf_slice(&diff)), SFMT(thing_text(w, t)));
	}
	if (!t)
		wrong(w, "the home got nothing like this:\n%.*s", SFMT(buf_slice(&diff)));
	buf_free(&diff);
	t->taken = true;
	struct talk *k = world_learn(w, t->msg);
	if (as.len)
		k->label = as;
}

static void partner_gets(struct world *w, struct slice words, const struct block *block, bool anywhere)
{
	struct slice text = words, why = SLICE_NONE;
	uint64_t ms = 0;
	if (!slice_starts(words, S("<"))) {
		ms = within(w, &words);
		text = SLICE_NONE;
	}
	for (size_t i = 0; i < block->n; i++)
		text = text.len ? arena_printf(w->arena, "%.*s%.*s", SFMT(text), SFMT(block->lines[i].text)) : block->lines[i].text;
	struct xml_node *pattern = xml_pattern(w, text);
	struct thing *t = next_thing(w, true, ms);
	if (!t)
		wrong(w, "nothing came to a partner");
	for (; t; t = t->next) {
		if (!t->stanza || t->taken)
			continue;
		if (match_xml(w, pattern, t->node, true, &why))
			break;
		if (!anywhere)
			wrong(w, "the partner got something else:\n   - | %.*s\n   + | %.*s\n   at %.*s", SFMT(text), SFMT(shown(w, t->bytes)),
			      SFMT(why));
	}
	if (!t)
		wrong(w, "the partner got nothing like this: at %.*s", SFMT(why));
	t->taken = true;
}

/* ---- the words of a step */

void home_step(struct world *w, struct slice words, const struct block *b)
{
	struct house *h = w->house;
	struct slice all = words, verb = slice_split(&words, ' ');
	uint64_t status;
	if (slice_eq(verb, S("gets")) || slice_eq(verb, S("finds"))) {
		home_gets(w, words, b, slice_eq(verb, S("finds")));
		return;
	}
	if (slice_eq(verb, S("always"))) { /* always answers MESSAGE 200 */
		slice_split(&words, ' ');
		assert_true(w->n_always < 16);
		w->always[w->n_always] = slice_split(&words, ' ');
		if (!slice_u64(words, 699, &status))
			wrong(w, "home always answers METHOD STATUS");
		w->always_status[w->n_always++] = (int)status;
		return;
	}
	if (slice_eq(verb, S("answers"))) {
		home_answers_step(w, words, b);
		return;
	}
	world_settle(w);
	world_nothing(w);
	if (slice_eq(verb, S("sends"))) {
		home_sends(w, words, b);
	} else if (slice_eq(verb, S("repeats"))) {
		struct talk *t = talk_by_label(w, words);
		house_sip_in(h, t->last);
	} else if (slice_eq(all, S("cannot be reached"))) {
		h->home_unreachable = true;
	} else if (slice_eq(all, S("is gone"))) {
		h->no_home = true;
	} else if (slice_eq(all, S("is back"))) {
		h->home_unreachable = h->no_home = false;
	} else {
		wrong(w, "a home sends, gets, finds, answers, always answers, repeats, \"cannot be reached\", \"is gone\", \"is back\"");
	}
}

void partner_step(struct world *w, struct slice words, const struct block *b)
{
	struct slice verb = slice_split(&words, ' ');
	if (slice_eq(verb, S("gets")) || slice_eq(verb, S("finds"))) {
		partner_gets(w, words, b, slice_eq(verb, S("finds")));
		return;
	}
	if (slice_eq(verb, S("ignores"))) {
		assert_true(w->n_ignored < 16);
		w->ignored[w->n_ignored++] = xml_pattern(w, words);
		return;
	}
	if (slice_eq(verb, S("heeds"))) {
		world_settle(w);
		w->n_ignored = 0;
		return;
	}
	if (!slice_eq(verb, S("sends")))
		wrong(w, "a partner sends, gets, finds, ignores, or heeds everything");
	world_settle(w);
	world_nothing(w);
	struct slice text = words;
	for (size_t i = 0; i < b->n; i++)
		text = arena_printf(w->arena, "%.*s%.*s", SFMT(text), SFMT(b->lines[i].text));
	text = expand(w, text);
	struct xml_node *n = xml_pattern(w, text);
	struct slice from = xml_attr(n, S("from"));
	ptrdiff_t at = slice_find_chr(from, '@');
	if (at >= 0)
		from = slice_skip(from, (size_t)at + 1);
	char domain[256];
	slice_cstr(slice_split(&from, '/'), domain, sizeof domain);
	for (char *c = domain; *c; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 'a' - 'A') : *c;
	w->moved = true;
	partner_says(w->house, domain, "%.*s", SFMT(text));
}
