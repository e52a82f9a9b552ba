/* SPDX-License-Identifier: Apache-2.0 */
#include "life.h"

#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"

static const char *const users[] = {"romeo@contoso.test", "mercutio@contoso.test"};
static const char *const contacts[] = {"juliet@fabrikam.test", "nurse@fabrikam.test"};
static const char *const resources[] = {"", "/balcony", "/phone"};
static const char *const shows[] = {"", "away", "dnd", "xa"};

enum kind {
	X_TEXT, S_TEXT, X_ERROR, X_STATE, X_PRESENCE, X_SUBSCRIBE, S_SUBSCRIBE, S_END_LOOK, S_NOTIFY, ANSWER, FORK, S_INVITE, S_SAY, S_TYPING,
	S_BYE, S_REINVITE, S_CANCEL, LINK_MODE, RELEASE, LINK_UP_DOWN, RESTART, POLICY, HOME, PASS, KINDS
};
_Static_assert((int)KINDS == (int)LIFE_KINDS, "life.h");

void life_wrong(struct life *l, const char *fmt, ...)
{
	va_list ap;
	fflush(stdout);
	fprintf(stderr, "%.*s", SFMT(buf_slice(&l->story)));
	fprintf(stderr, "# a rule is broken: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

__attribute__((format(printf, 2, 3))) static void tell(struct life *l, const char *fmt, ...)
{
	struct arena *a = arena_new(1 << 20);
	va_list ap;
	va_start(ap, fmt);
	struct slice s = arena_vprintf(a, fmt, ap);
	va_end(ap);
	buf_printf(&l->story, "%.*s\n", SFMT(s));
	arena_release(NULL, a);
}

/* A step of a script: words, and lines below them. */
static void step(struct life *l, bool home, const char *text)
{
	struct line *lines = arena_alloc(l->w->arena, 64 * sizeof *lines);
	struct block b = {lines, 0};
	struct slice rest = arena_dup(l->w->arena, slice_str(text)), words = slice_split(&rest, '\n');
	while (rest.len && b.n < 64)
		lines[b.n++] = (struct line){0, true, slice_split(&rest, '\n')};
	tell(l, "%s %.*s", home ? "home" : "partner", SFMT(words));
	for (size_t i = 0; i < b.n; i++)
		tell(l, "    %.*s", SFMT(b.lines[i].text));
	if (home)
		home_step(l->w, words, &b);
	else
		partner_step(l->w, words, &b);
}

__attribute__((format(printf, 3, 4))) static void stepf(struct life *l, bool home, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	struct slice s = arena_vprintf(l->w->arena, fmt, ap);
	va_end(ap);
	char *z = arena_alloc(l->w->arena, s.len + 1);
	memcpy(z, s.p, s.len);
	step(l, home, z);
}

/* ---- what came out */

static int text_of(struct slice body)
{
	uint64_t n;
	ptrdiff_t at = slice_find(body, S("text-"));
	if (at < 0)
		return -1;
	struct slice rest = slice_skip(body, (size_t)at + 5), number = slice_split(&rest, '.');
	return slice_u64(number, LIFE_TEXTS - 1, &n) ? (int)n : -1;
}

static int index_of(const char *const *names, struct slice jid)
{
	struct slice bare = slice_split(&jid, '/');
	for (int i = 0; i < 2; i++)
		if (slice_eq(bare, slice_str(names[i])))
			return i;
	return -1;
}

/* Is there anything that makes it unknown what became of it? */
static void out_text(struct life *l, int n, const struct xml_node *node)
{
	struct text *t = &l->text[n];
	if (!t->to_xmpp)
		life_wrong(l, "text-%d came back", n);
	t->stanzas++;
	t->id = arena_dup(l->w->arena, xml_attr(node, S("id")));
	if (t->stanzas > 1)
		life_wrong(l, "text-%d was given to the partner twice", n);
	switch (l->w->house->link) {
	case LINK_BAD: t->failed_on_the_way++; return;
	case LINK_SILENT: t->unknown = true; break;
	case LINK_QUEUED:
		if (l->n_waiting < 64)
			l->waiting[l->n_waiting++] = n;
		break;
	default: break;
	}
	int *last = &l->last_to_xmpp[t->user][t->contact];
	if (n < *last)
		life_wrong(l, "text-%d came after text-%d", n, *last);
	*last = n;
	buf_printf(&l->seen[t->user][t->contact], ">%d\n", n);
}

static void on_message(struct life *l, const struct xml_node *node)
{
	struct slice type = xml_attr(node, S("type"));
	if (slice_eq(type, S("error"))) {
		struct slice id = xml_attr(node, S("id")); /* "mN" */
		uint64_t n;
		if (id.len > 1 && id.p[0] == 'm' && slice_u64(slice_skip(id, 1), LIFE_TEXTS - 1, &n) && !l->text[n].to_xmpp) {
			struct text *t = &l->text[n];
			tell(l, "#   text-%d failed", (int)n);
			if (++t->errors > 1)
				life_wrong(l, "text-%d was reported as failed twice", (int)n);
			if (t->taken)
				life_wrong(l, "text-%d was delivered, and reported as failed", (int)n);
		}
		return;
	}
	const struct xml_node *body = xml_child(node, S("body"), SLICE_NONE);
	int n = body ? text_of(xml_text(body, l->w->arena)) : -1;
	if (n >= 0) {
		tell(l, "#   text-%d goes to the partner", n);
		out_text(l, n, node);
	}
}

static void absorb(struct life *l);

static void answer_presence(struct life *l, struct slice type, int user, int contact)
{
	/* A server that knows its contact answers for it. */
	if (slice_eq(type, S("subscribe"))) {
		stepf(l, false, "sends <presence type='subscribed' from='%s' to='%s'/>", contacts[contact], users[user]);
		absorb(l);
	}
	if (slice_eq(type, S("subscribe")) || slice_eq(type, S("probe")))
		stepf(l, false, "sends <presence from='%s/balcony' to='%s'>%s%s%s</presence>", contacts[contact], users[user],
		      l->contact_shows[contact] ? "<show>" : "", shows[l->contact_shows[contact]], l->contact_shows[contact] ? "</show>" : "");
}

static void on_presence(struct life *l, const struct xml_node *node)
{
	struct slice type = xml_attr(node, S("type"));
	int user = index_of(users, xml_attr(node, S("from"))), contact = index_of(contacts, xml_attr(node, S("to")));
	if (user < 0 || contact < 0)
		return;
	if (slice_eq(type, S("subscribe")) || slice_eq(type, S("probe"))) {
		if (l->n_todo < 64)
			l->todo[l->n_todo++] = (struct todo){arena_dup(l->w->arena, type), user, contact};
		return;
	}
	if (slice_eq(type, S("subscribed")) || slice_eq(type, S("unsubscribed")))
		l->asking[user][contact] = false;
	if (slice_find_chr(xml_attr(node, S("from")), '/') < 0 && slice_eq(type, S("unavailable")))
		return; /* the user looks away (RFC 8048 5.3.3); his devices speak for themselves */
	if (type.len && slice_eq(l->shown_user[user][contact], S("nothing")))
		return; /* after "unsubscribed" this is news to nobody */
	if (!type.len || slice_eq(type, S("unavailable"))) {
		const struct xml_node *show = xml_child(node, S("show"), SLICE_NONE);
		l->shown_user[user][contact] = type.len ? S("gone") : show ? arena_dup(l->w->arena, xml_text(show, l->w->arena)) : S("here");
	} else if (slice_eq(type, S("unsubscribed"))) {
		l->shown_user[user][contact] = S("nothing");
	}
}

static void on_notify(struct life *l, const struct talk *t, const struct sip_msg *m)
{
	ptrdiff_t at = slice_find(m->body, S("<show xmlns='jabber:client'>"));
	struct slice rest = at < 0 ? SLICE_NONE : slice_skip(m->body, (size_t)at + 28);
	struct slice state = sip_msg_header(m, SIP_H_SUBSCRIPTION_STATE, 0)->value;
	for (int i = 0; i < l->n_looks; i++)
		if (l->looks[i] == t && slice_starts(state, S("terminated")))
			l->shown_look[i] = S("nothing");
		else if (l->looks[i] == t && slice_starts(state, S("active")))
			l->shown_look[i] = at >= 0			      ? arena_dup(l->w->arena, slice_split(&rest, '<'))
					   : slice_find(m->body, S(">open<")) >= 0 ? S("here")
										   : S("gone");
}

static void on_response(struct life *l, const struct sip_msg *m)
{
	for (int i = 0; i < l->n_texts; i++) {
		struct text *t = &l->text[i];
		if (!t->to_xmpp || m->cseq_method != SIP_MESSAGE || m->cseq != t->cseq || !slice_eq(m->call_id, t->call_id))
			continue;
		tell(l, "#   text-%d is answered %d", i, m->status);
		t->status = m->status;
		if (m->status == 481 && !l->chaos && l->n_again < 16) { /* RFC 3261 12.2.1.2 */
			l->again[l->n_again++] = i;
			continue;
		}
		if (++t->finals > 1)
			life_wrong(l, "text-%d was answered twice", i);
		if (m->status < 300 && (t->failed_on_the_way || t->errors_sent))
			life_wrong(l, "text-%d failed, and was answered %d", i, m->status);
	}
	for (int i = 0; i < l->n_calls; i++)
		if (m->cseq_method == SIP_INVITE && slice_eq(m->call_id, l->call[i].talk->call_id) && m->status >= 200) {
			tell(l, "#   call %d is answered %d", i, m->status);
			if (m->status < 300)
				l->call[i].open = true;
			else if (!l->call[i].open)
				l->call[i].over = true;
		} else if (m->status == 481 && slice_eq(m->call_id, l->call[i].talk->call_id)) {
			l->call[i].over = true;
		}
}

static void on_request(struct life *l, struct talk *t, struct sip_msg *m)
{
	if (m->method == SIP_ACK)
		return;
	if (l->n_pending == LIFE_PENDING)
		life_wrong(l, "too many requests without an answer");
	int n = m->method == SIP_MESSAGE ? text_of(m->body) : -1;
	tell(l, "#   home gets %.*s%s", SFMT(m->method_text), n >= 0 ? ":" : "");
	if (n >= 0)
		tell(l, "#      text-%d", n);
	if (n >= 0 && l->text[n].to_xmpp) { /* a notice that quotes it */
		struct text *x = &l->text[n];
		if (!x->late_errors || ++x->notices > x->late_errors)
			life_wrong(l, "text-%d came back", n);
		n = -1;
	}
	if (n >= 0 && l->text[n].errors)
		life_wrong(l, "text-%d was reported as failed, and is sent", n);
	if (n >= 0 && l->text[n].taken)
		life_wrong(l, "text-%d is sent again after it was delivered", n);
	if (m->method == SIP_NOTIFY)
		on_notify(l, t, m);
	l->pending[l->n_pending++] = (struct pending){t, m, l->w->house->timers.now, ++l->arrivals, n};
}

static void pending_drop(struct life *l, int i)
{
	memmove(&l->pending[i], &l->pending[i + 1], (size_t)(--l->n_pending - i) * sizeof *l->pending);
}

static const char sdp[] = "| v=0\n| o=- 0 0 IN IP4 192.0.2.1\n| s=session\n| c=IN IP4 192.0.2.1\n| t=0 0\n| m=message 5060 sip null\n"
			  "| a=accept-types:text/plain text/html application/im-iscomposing+xml";

static struct block *block_of(struct life *l, const char *text)
{
	struct line *lines = arena_alloc(l->w->arena, 32 * sizeof *lines);
	struct block *b = ARENA_NEW(l->w->arena, struct block);
	struct slice rest = arena_dup(l->w->arena, slice_str(text));
	*b = (struct block){lines, 0};
	while (rest.len && b->n < 32)
		lines[b->n++] = (struct line){0, true, slice_split(&rest, '\n')};
	return b;
}

static void notify_watch(struct life *l, struct talk *t, int user)
{
	stepf(l, true, "sends NOTIFY in %.*s\n| <presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:%s'><tuple id='desk'><status>"
	      "<basic>open</basic>%s%s%s</status></tuple></presence>", SFMT(t->label), users[user],
	      l->shows[user] ? "<show xmlns='jabber:client'>" : "", shows[l->shows[user]], l->shows[user] ? "</show>" : "");
}

static void answer(struct life *l, int i, int status)
{
	struct pending p = l->pending[i];
	struct talk *t = p.talk;
	struct text *x = p.text >= 0 ? &l->text[p.text] : NULL;
	bool invite = p.msg->method == SIP_INVITE, ok = status >= 200 && status < 300;
	if (status >= 200)
		pending_drop(l, i);
	/* Nobody listens any more: what the home says is not heard (its transaction is over, or it was another life of ours). */
	bool heard = l->w->house->timers.now - p.at < 32000;
	tell(l, "home answers %.*s %d", SFMT(p.msg->method_text), status);
	if (x && ok && heard) {
		if (x->errors)
			life_wrong(l, "text-%d was reported as failed, and is delivered", p.text);
		if (++x->taken > 1)
			life_wrong(l, "text-%d is delivered twice", p.text);
		x->arrived = p.arrived;
		for (int k = 0; k < l->n_texts; k++) {
			const struct text *o = &l->text[k];
			if (o->taken && !o->to_xmpp && o->user == x->user && o->contact == x->contact && (k < p.text) != (o->arrived < x->arrived) && o != x)
				life_wrong(l, "text-%d and text-%d came in the wrong order", k, p.text);
		}
		buf_printf(&l->seen[x->user][x->contact], "<%d\n", p.text);
	}
	home_answer(l->w, t, p.msg, status, SLICE_NONE,
		    block_of(l, invite && ok ? sdp : p.msg->method == SIP_SUBSCRIBE && status == 423 ? "Min-Expires: 3700" : ""));
	if (invite && ok && l->n_calls < LIFE_CALLS) {
		int user = index_of(users, slice_skip(p.msg->to.uri_text, 4)), contact = index_of(contacts, slice_skip(p.msg->from.uri_text, 4));
		bool known = false;
		for (int k = 0; k < l->n_calls; k++)
			known |= l->call[k].talk == t;
		if (!known)
			l->call[l->n_calls++] = (struct call){.talk = t, .open = true, .user = (unsigned)user, .contact = (unsigned)contact};
	}
	if (p.msg->method == SIP_BYE)
		for (int k = 0; k < l->n_calls; k++)
			if (l->call[k].talk == t)
				l->call[k].over = true;
	if (p.msg->method == SIP_CANCEL)
		for (int k = 0; k < l->n_pending; k++)
			if (l->pending[k].msg->method == SIP_INVITE && l->pending[k].talk == t) {
				answer(l, k, 487);
				break;
			}
	absorb(l);
	if (p.msg->method == SIP_SUBSCRIBE && ok && !l->chaos) {
		int user = index_of(users, slice_skip(p.msg->to.uri_text, 4));
		const struct sip_header *h = sip_msg_header(p.msg, SIP_H_EXPIRES, 0);
		if (h && slice_eq(h->value, S("0")))
			stepf(l, true, "sends NOTIFY in %.*s\nSubscription-State: terminated;reason=timeout", SFMT(t->label));
		else
			notify_watch(l, t, user);
		absorb(l);
	}
}

static void absorb(struct life *l)
{
	struct world *w = l->w;
	struct thing *t = w->things;
	w->things = NULL;
	w->tail = &w->things;
	house_forget(w->house, 8);
	for (; t; t = t->next) {
		if (t->stanza) {
			if (slice_eq(t->node->name, S("message")))
				on_message(l, t->node);
			else if (slice_eq(t->node->name, S("presence")))
				on_presence(l, t->node);
			continue;
		}
		struct talk *k = world_learn(w, t->msg);
		if (!k->label.len)
			k->label = arena_printf(w->arena, "t%u", ++w->numbers);
		if (t->msg->is_request)
			on_request(l, k, t->msg);
		else
			on_response(l, t->msg);
	}
	/* a call that we made is acknowledged, unless an event takes its time */
	for (int i = 0; i < l->n_calls; i++) {
		struct call *c = &l->call[i];
		if (c->by_home && (c->open || c->over) && c->talk->invite_cseq) {
			unsigned acked = c->talk->invite_cseq;
			char text[80];
			snprintf(text, sizeof text, "sends ACK in %.*s", SFMT(c->talk->label));
			step(l, true, text);
			c->talk->invite_cseq = 0;
			(void)acked;
		}
	}
	if (!l->chaos) {
		while (l->n_todo && w->house->link == LINK_FINE) {
			struct todo d = l->todo[0];
			memmove(l->todo, l->todo + 1, (size_t)--l->n_todo * sizeof d);
			answer_presence(l, d.type, d.user, d.contact);
			absorb(l);
		}
		while (l->n_pending && !l->slow)
			answer(l, 0, 200);
		while (l->n_again) {
			int n = l->again[--l->n_again];
			struct text *x = &l->text[n];
			x->call_id = arena_printf(w->arena, "again-%d", n);
			x->cseq = 1;
			stepf(l, true, "sends MESSAGE %s\nCall-ID: again-%d\nFrom: %s\n| text-%d.", contacts[x->contact], n, users[x->user], n);
			absorb(l);
		}
	}
	for (int i = 0; i < l->n_texts && w->house->home_unreachable; i++)
		if (l->text[i].to_xmpp && !l->text[i].finals)
			l->text[i].unknown = true; /* the answer had no way */
	if (w->things)
		absorb(l);
}

/* ---- events */

static int text_new(struct life *l, bool to_xmpp, unsigned user, unsigned contact)
{
	if (l->n_texts == LIFE_TEXTS)
		return -1;
	l->text[l->n_texts] = (struct text){.to_xmpp = to_xmpp, .user = user, .contact = contact, .at = l->w->house->timers.now};
	return l->n_texts++;
}

static void user_text(struct life *l, struct talk *t, unsigned user, unsigned contact)
{
	int n = text_new(l, true, user, contact);
	if (n < 0)
		return;
	struct text *x = &l->text[n];
	if (t) {
		x->call_id = t->call_id;
		x->cseq = t->cseq + 1;
		stepf(l, true, "sends MESSAGE in %.*s\n| text-%d.", SFMT(t->label), n);
	} else {
		x->call_id = arena_printf(l->w->arena, "page-%d", n);
		x->cseq = 1;
		stepf(l, true, "sends MESSAGE %s\nCall-ID: page-%d\nFrom: %s\n| text-%d.", contacts[contact], n, users[user], n);
	}
}

static struct call *call_pick(struct life *l, unsigned n, bool open)
{
	for (int i = 0; i < l->n_calls; i++) {
		struct call *c = &l->call[(n + (unsigned)i) % (unsigned)l->n_calls];
		if (!c->over && c->open == open && (open || c->by_home))
			return c;
	}
	return NULL;
}

/* The last one of the two that is open. */
static struct talk *call_of(struct life *l, unsigned user, unsigned contact)
{
	for (int i = l->n_calls; i--;)
		if (l->call[i].open && !l->call[i].over && l->call[i].user == user && l->call[i].contact == contact)
			return l->call[i].talk;
	return NULL;
}

static void texts_unknown(struct life *l)
{
	for (int i = 0; i < l->n_texts; i++) {
		struct text *t = &l->text[i];
		if (t->to_xmpp ? !t->finals : !t->taken && !t->errors)
			t->unknown = true;
	}
}

void life_kill(struct life *l)
{
	tell(l, "restart");
	absorb(l);
	texts_unknown(l);
	l->n_waiting = l->n_todo = 0;
	l->n_pending = 0; /* nobody waits for these answers */
	house_restart(l->w->house, 0);
	house_pass(l->w->house, 0);
	absorb(l);
	for (int u = 0; u < LIFE_USERS && !l->chaos; u++)
		for (int c = 0; c < LIFE_CONTACTS; c++)
			if (l->asking[u][c]) { /* their server asks again (RFC 6121 3.1.2) */
				stepf(l, false, "sends <presence type='subscribe' from='%s' to='%s'/>", contacts[c], users[u]);
				absorb(l);
			}
}

struct slice life_seen(struct life *l, const struct life *other, int user, int contact)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	for (const char *way = "><"; *way; way++)
		for (struct slice rest = buf_slice(&l->seen[user][contact]); rest.len;) {
			struct slice line = slice_split(&rest, '\n');
			uint64_t n;
			if (line.p[0] == *way && slice_u64(slice_skip(line, 1), LIFE_TEXTS - 1, &n) && !l->text[n].unknown && !other->text[n].unknown)
				buf_printf(&b, "%.*s ", SFMT(line));
		}
	for (int i = 0; i < l->n_texts; i++) { /* answers and errors; when they come may differ (a contact has to be confirmed anew) */
		const struct text *t = &l->text[i];
		if ((int)t->user == user && (int)t->contact == contact && !t->unknown && !other->text[i].unknown)
			buf_printf(&b, "%d:%d,%d ", i, t->status, t->errors);
	}
	struct slice ret = arena_dup(l->w->arena, buf_slice(&b));
	buf_free(&b);
	return ret;
}

static void release(struct life *l, enum reason why)
{
	for (int i = 0; i < l->n_waiting; i++) {
		struct text *t = &l->text[l->waiting[i]];
		t->failed_on_the_way += why != REASON_NONE;
		t->unknown |= l->w->house->timers.now - t->at >= 32000; /* its request is over */
	}
	l->n_waiting = 0;
	tell(l, "link releases %s", why ? reason_info(why)->id : "");
	house_release(l->w->house, why);
}

static void link_mode(struct life *l, enum house_link mode, enum reason why)
{
	static const char *const name[] = {"fine", "silent", "refuses", "queued"};
	if (l->w->house->link == LINK_QUEUED && mode != LINK_QUEUED)
		release(l, REASON_NONE);
	tell(l, "link %s %s", name[mode], mode == LINK_BAD ? reason_info(why)->id : "");
	l->w->house->link = mode;
	l->w->house->why = why;
}

static void pass(struct life *l, uint64_t ms)
{
	struct house *h = l->w->house;
	unsigned turns = 0;
	tell(l, "wait %llu ms", (unsigned long long)ms);
	for (uint64_t until = h->timers.now + ms; h->timers.now < until;) {
		uint64_t next = timers_next(&h->timers);
		house_pass(h, next > until ? until - h->timers.now : next > h->timers.now ? next - h->timers.now : 0);
		absorb(l);
		if (++turns % 100 == 0) /* the edge holds nothing for long */
			release(l, REASON_XMPP_UNREACHABLE);
		if (next > until)
			break;
	}
}

static void invite(struct life *l, unsigned user, unsigned contact)
{
	if (l->n_calls == LIFE_CALLS)
		return;
	unsigned n = ++l->w->numbers;
	char label[32];
	snprintf(label, sizeof label, "c%u", n);
	stepf(l, true, "sends INVITE %s as %s\nCall-ID: call-by-home-%u\nFrom: %s\n%s", contacts[contact], label, n, users[user], sdp);
	for (struct talk *t = l->w->talks; t; t = t->next)
		if (slice_eq(t->label, slice_str(label)))
			l->call[l->n_calls++] = (struct call){.talk = t, .by_home = true, .user = user, .contact = contact};
}

void life_event(struct life *l, const struct event *e)
{
	static const int statuses[] = {200, 200, 200, 200, 202, 180, 403, 404, 408, 423, 480, 481, 486, 488, 500, 503, 603};
	static const enum reason reasons[] = {REASON_XMPP_DNS, REASON_XMPP_UNREACHABLE, REASON_LIMIT_QUEUE_FULL};
	static const char *const states[] = {"active;expires=3600", "active;expires=3600", "pending;expires=600", "terminated;reason=deactivated",
					     "terminated;reason=timeout", "terminated;reason=rejected", "terminated;reason=probation;retry-after=7",
					     "terminated;reason=noresource"};
	static const char *const chat_states[] = {"composing", "active", "paused", "inactive", "gone"};
	unsigned user = e->a % LIFE_USERS, contact = e->b % LIFE_CONTACTS;
	struct house *h = l->w->house;
	struct call *c;
	int n;
	switch ((enum kind)e->kind) {
	case X_TEXT:
		if ((n = text_new(l, false, user, contact)) >= 0)
			stepf(l, false, "sends <message type='chat' id='m%d' from='%s%s' to='%s'><body>text-%d.</body>%s</message>", n,
			      contacts[contact], resources[e->c % 3], users[user], n,
			      e->c & 8 ? "<request xmlns='urn:xmpp:receipts'/><active xmlns='http://jabber.org/protocol/chatstates'/>" : "");
		break;
	case S_TEXT:
		user_text(l, NULL, user, contact);
		break;
	case S_SAY:
		if (!l->chaos) { /* who says it to whom does not hang on what calls there are */
			user_text(l, call_of(l, user, contact), user, contact);
			break;
		}
		if ((c = call_pick(l, e->c, true)))
			user_text(l, c->talk, c->user, c->contact);
		break;
	case X_ERROR:
		n = l->n_texts ? (int)(e->c % (unsigned)l->n_texts) : -1;
		for (int i = 0; i < l->n_waiting; i++)
			if (l->waiting[i] == n)
				n = -1; /* it has not got there */
		if (n >= 0 && l->text[n].to_xmpp && l->text[n].id.len && !l->text[n].errors_sent) {
			if (!l->text[n].finals)
				l->text[n].errors_sent++;
			l->text[n].late_errors++; /* before the answer of a text that is in the air this may be late, too */
			stepf(l, false, "sends <message type='error' id='%.*s' from='%s' to='%s'><error type='cancel'><item-not-found "
			      "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", SFMT(l->text[n].id),
			      contacts[l->text[n].contact], users[l->text[n].user]);
		}
		break;
	case X_STATE:
		stepf(l, false, "sends <message type='chat' from='%s%s' to='%s'><%s xmlns='http://jabber.org/protocol/chatstates'/></message>",
		      contacts[contact], resources[1 + e->c % 2], users[user], chat_states[e->c / 4 % 5]);
		break;
	case X_PRESENCE:
		l->contact_shows[contact] = e->c % 4;
		for (unsigned u = 0; u < LIFE_USERS; u++) {
			stepf(l, false, "sends <presence from='%s/balcony' to='%s'>%s%s%s</presence>", contacts[contact], users[u],
			      e->c % 4 ? "<show>" : "", shows[e->c % 4], e->c % 4 ? "</show>" : "");
			absorb(l);
		}
		break;
	case X_SUBSCRIBE: {
		static const char *const types[] = {"subscribe", "subscribe", "probe", "unsubscribe", "unsubscribed", "subscribed"};
		const char *type = types[l->chaos ? e->c % 6 : e->c % 3 == 2 ? 3 : 0]; /* a look that is under way is lost with a kill */
		l->asking[user][contact] |= !strcmp(type, "subscribe");
		stepf(l, false, "sends <presence type='%s' from='%s' to='%s'/>", type, contacts[contact], users[user]);
		break;
	}
	case S_SUBSCRIBE:
		if (l->n_looks < LIFE_CALLS) {
			unsigned k = ++l->w->numbers;
			stepf(l, true, "sends SUBSCRIBE %s as look%u\nFrom: %s\nCall-ID: look-%u\nExpires: %u", contacts[contact], k, users[user], k,
			      600 + e->c % 3000);
			for (struct talk *t = l->w->talks; t; t = t->next)
				if (slice_starts(t->call_id, S("look-"))) {
					l->shown_look[l->n_looks] = S("nothing");
					l->look_ends[l->n_looks] = h->timers.now + (600 + e->c % 3000) * 1000;
					l->looks[l->n_looks++] = t;
					break;
				}
		}
		break;
	case S_END_LOOK:
		if (l->n_looks) {
			struct talk *t = l->looks[e->c % (unsigned)l->n_looks];
			if (t->gw_tag.len)
				stepf(l, true, "sends SUBSCRIBE in %.*s\nExpires: %d", SFMT(t->label), e->a & 4 ? 1800 : 0);
		}
		break;
	case S_NOTIFY:
		if (!l->chaos) {
			l->shows[user] = e->c % 4;
			for (struct talk *t = l->w->talks; t; t = t->next) /* every watch of this user */
				if (t->asked && t->asked->method == SIP_SUBSCRIBE && index_of(users, slice_skip(t->peer, 4)) == (int)user) {
					notify_watch(l, t, (int)user);
					absorb(l);
				}
			break;
		}
		n = (int)(e->c % 8);
		for (struct talk *t = l->w->talks; t; t = t->next)
			if (t->asked && t->asked->method == SIP_SUBSCRIBE && n-- == 0) {
				stepf(l, true, "sends NOTIFY in %.*s\nSubscription-State: %s\n| <presence xmlns='urn:ietf:params:xml:ns:pidf' "
				      "entity='%.*s'><tuple id='%s'><status><basic>open</basic></status></tuple></presence>", SFMT(t->label),
				      states[e->a % 8], SFMT(t->peer), e->b & 1 ? "desk" : "phone");
				break;
			}
		break;
	case ANSWER:
		if (l->n_pending) {
			int status = statuses[e->b % (sizeof statuses / sizeof *statuses)];
			n = (int)(e->a % (unsigned)l->n_pending);
			if (status == 180 && l->pending[n].msg->method != SIP_INVITE)
				status = 200;
			answer(l, n, e->c % 4 ? 200 : status);
		}
		break;
	case FORK:
		for (n = 0; n < l->n_pending; n++)
			if (l->pending[n].msg->method == SIP_INVITE) {
				struct pending p = l->pending[n];
				if (p.msg->to.tag.len)
					break; /* a re-INVITE does not fork */
				answer(l, n, 200);
				struct slice tag = p.talk->peer_tag;
				tell(l, "home answers INVITE 200, another branch");
				home_answer(l->w, p.talk, p.msg, 200, SLICE_NONE,
					    block_of(l, arena_printf(l->w->arena, "To: <%.*s>;tag=fork%u\n%s%c", SFMT(p.msg->to.uri_text),
								     ++l->w->numbers, sdp, 0).p));
				p.talk->peer_tag = tag;
				break;
			}
		break;
	case S_INVITE:
		invite(l, user, contact);
		break;
	case S_TYPING:
		if ((c = call_pick(l, e->c, true)))
			stepf(l, true, e->a & 1 ? "sends INFO in %.*s\nContent-Type: application/xml\n| <KeyboardActivity><status status=\"type\"/>"
				       "</KeyboardActivity>" : "sends MESSAGE in %.*s\nContent-Type: application/im-iscomposing+xml\n"
				       "| <isComposing xmlns='urn:ietf:params:xml:ns:im-iscomposing'><state>active</state></isComposing>", SFMT(c->talk->label));
		break;
	case S_BYE:
		if ((c = call_pick(l, e->c, true))) {
			stepf(l, true, "sends BYE in %.*s", SFMT(c->talk->label));
			c->over = true;
		}
		break;
	case S_REINVITE:
		if ((c = call_pick(l, e->c, true)) && !c->talk->invite_cseq) {
			stepf(l, true, "sends INVITE in %.*s\n%s", SFMT(c->talk->label), sdp);
			c->by_home = true; /* to be acknowledged */
		}
		break;
	case S_CANCEL:
		if ((c = call_pick(l, e->c, false)))
			stepf(l, true, "sends CANCEL in %.*s", SFMT(c->talk->label));
		break;
	case LINK_MODE:
		if (!l->chaos) {
			link_mode(l, e->a % 2 ? LINK_QUEUED : LINK_FINE, REASON_NONE);
			break;
		}
		link_mode(l, (enum house_link)(e->a % 4), reasons[e->b % 3]);
		break;
	case RELEASE:
		release(l, e->a % 3 ? REASON_NONE : reasons[e->b % 3]);
		break;
	case LINK_UP_DOWN:
		tell(l, "link fabrikam.test %s", e->a & 1 ? "up" : "down");
		house_link(h, "fabrikam.test", e->a & 1);
		break;
	case RESTART:
		life_kill(l);
		break;
	case POLICY:
		tell(l, "policy fabrikam.test type %d", (int)(e->a % 2));
		house_policy(h, e->a % 2 ? POLICY_FEDERATED : POLICY_PUBLIC_VERIFIED, e->b % 4 != 0, true);
		gateway_recheck(h->gateway);
		house_pass(h, 0);
		break;
	case HOME:
		if (!l->chaos) {
			l->slow = e->a % 2;
			tell(l, "# home takes %s", l->slow ? "its time" : "no time");
			break;
		}
		h->home_unreachable = e->a % 4 == 0;
		h->no_home = e->a % 8 == 1;
		tell(l, "home %s", h->home_unreachable ? "cannot be reached" : h->no_home ? "is gone" : "is back");
		break;
	case PASS:
		if (!l->chaos) { /* nothing is under way for so long that it fails */
			l->slow = false;
			absorb(l);
			link_mode(l, LINK_FINE, REASON_NONE);
			absorb(l);
		}
		pass(l, e->a % 3 ? e->b % 7000 : e->c % 3 ? e->b % 100000 : e->b % 2000000);
		break;
	case KINDS:
		break;
	}
	absorb(l);
	if (l->n_waiting > 30)
		release(l, REASON_NONE);
	absorb(l);
}

static unsigned next(unsigned *seed)
{
	*seed = *seed * 1103515245u + 12345u;
	return *seed >> 8 & 0xffffff;
}

void life_random(struct event *ret, unsigned *seed, bool chaos)
{
	static const unsigned char weights[KINDS] = {
		[X_TEXT] = 16, [S_TEXT] = 10, [X_ERROR] = 2, [X_STATE] = 4, [X_PRESENCE] = 5, [X_SUBSCRIBE] = 6, [S_SUBSCRIBE] = 3, [S_END_LOOK] = 3,
		[S_NOTIFY] = 6, [ANSWER] = 34, [FORK] = 2, [S_INVITE] = 4, [S_SAY] = 10, [S_TYPING] = 3, [S_BYE] = 3, [S_REINVITE] = 1, [S_CANCEL] = 1,
		[LINK_MODE] = 3, [RELEASE] = 3, [LINK_UP_DOWN] = 2, [RESTART] = 1, [POLICY] = 1, [HOME] = 2, [PASS] = 12,
	};
	/* both sides behave: what there is to compare is what a kill alone does */
	static const unsigned char calm[KINDS] = {
		[X_TEXT] = 20, [S_TEXT] = 14, [X_STATE] = 3, [X_PRESENCE] = 8, [X_SUBSCRIBE] = 6, [S_SUBSCRIBE] = 4, [S_NOTIFY] = 8, [S_INVITE] = 4,
		[S_SAY] = 12, [S_BYE] = 3, [PASS] = 16, [LINK_MODE] = 6, [HOME] = 8,
	};
	const unsigned char *w = chaos ? weights : calm;
	unsigned sum = 0, at;
	for (unsigned i = 0; i < KINDS; i++)
		sum += w[i];
	at = next(seed) % sum;
	*ret = (struct event){0};
	while (at >= w[ret->kind])
		at -= w[ret->kind++];
	ret->a = next(seed);
	ret->b = next(seed);
	ret->c = next(seed);
}

/* ---- beginning and end */

struct life *life_new(bool chaos)
{
	static const struct script nothing = {"life", "life", NULL, 0};
	static const struct line here = {0, false, {"a random life", 13}};
	struct life *l = MEM_NEW(struct life);
	l->w = world_new(&nothing, &here);
	l->chaos = chaos;
	if (!chaos) { /* a kill empties queues: that they are full is no difference to look for */
		l->w->house->cfg.max_queue = LIFE_TEXTS;
		l->w->house->cfg.max_queue_octets = 0;
		house_restart(l->w->house, 0);
	}
	for (int u = 0; u < LIFE_USERS; u++)
		for (int c = 0; c < LIFE_CONTACTS; c++) {
			l->last_to_xmpp[u][c] = -1;
			buf_init(&l->seen[u][c], 1 << 20);
			l->shown_user[u][c] = S("nothing");
		}
	buf_init(&l->story, 64 << 20);
	return l;
}

void life_free(struct life *l)
{
	for (int u = 0; u < LIFE_USERS; u++)
		for (int c = 0; c < LIFE_CONTACTS; c++)
			buf_free(&l->seen[u][c]);
	buf_free(&l->story);
	world_free(l->w);
	mem_free(l);
}

static void stuck_conversation(void *arg, const struct gateway_conversation_facts *f)
{
	struct life *l = arg;
	if (f->queued)
		life_wrong(l, "%zu texts of %.*s and %.*s are stuck", f->queued, SFMT(f->local), SFMT(f->remote));
	if (f->state[0])
		life_wrong(l, "the session of %.*s and %.*s is stuck: %s", SFMT(f->local), SFMT(f->remote), f->state);
}

static void stuck_subscription(void *arg, const struct gateway_subscription_facts *f)
{
	struct life *l = arg;
	life_wrong(l, "the subscription of %.*s to %.*s is stuck: %s, %u dialogs", SFMT(f->watcher), SFMT(f->presentity), f->state, f->dialogs);
}

static void answer_all(struct life *l)
{
	for (int i = 0; l->n_pending && i < 1000; i++)
		answer(l, 0, 200);
}

static void check_texts(struct life *l)
{
	for (int i = 0; i < l->n_texts; i++) {
		const struct text *t = &l->text[i];
		if (t->unknown)
			continue;
		if (t->to_xmpp && !t->finals)
			life_wrong(l, "text-%d was never answered", i);
		if (t->to_xmpp && t->status < 300 && !t->stanzas)
			life_wrong(l, "text-%d was answered %d, but the partner never got it", i, t->status);
		if (t->to_xmpp && t->status >= 300 && t->stanzas && !t->failed_on_the_way && !t->errors_sent)
			life_wrong(l, "text-%d was answered %d, but the partner got it", i, t->status);
		if (!t->to_xmpp && !t->taken && !t->errors)
			life_wrong(l, "text-%d was neither delivered nor reported as failed", i);
	}
}

void life_end(struct life *l)
{
	struct house *h = l->w->house;
	tell(l, "# ---- all becomes calm");
	l->slow = false;
	link_mode(l, LINK_FINE, REASON_NONE);
	release(l, REASON_NONE);
	h->home_unreachable = h->no_home = false;
	house_policy(h, POLICY_FEDERATED, true, true);
	gateway_recheck(h->gateway);
	house_link(h, "fabrikam.test", true);
	absorb(l);
	for (int i = 0; i < 30; i++) {
		answer_all(l);
		pass(l, 60000);
	}
	answer_all(l);
	gateway_each_conversation(h->gateway, stuck_conversation, l);
	check_texts(l);
	for (int i = 0; i < l->n_looks; i++)
		if (l->look_ends[i] <= h->timers.now)
			l->shown_look[i] = S("nothing"); /* told or not: the user's client counts, too */
	if (!l->chaos)
		return;
	for (int u = 0; u < LIFE_USERS; u++)
		for (int c = 0; c < LIFE_CONTACTS; c++) {
			stepf(l, false, "sends <presence type='unsubscribe' from='%s' to='%s'/>", contacts[c], users[u]);
			absorb(l);
			if (c) /* what the other one's users watch has to end by itself */
				stepf(l, false, "sends <presence type='unsubscribed' from='%s' to='%s'/>", contacts[c], users[u]);
			absorb(l);
			answer_all(l);
		}
	for (int i = 0; i < 45; i++) {
		pass(l, 100000);
		answer_all(l);
	}
	gateway_each_subscription(h->gateway, stuck_subscription, l);
	if (house_records(h->dialogs) || house_records(h->watches))
		life_wrong(l, "the store has %zu dialogs and %zu watches left", house_records(h->dialogs), house_records(h->watches));
	const struct sip_stats *st = sip_stack_stats(h->stack);
	if (st->servers || st->clients)
		life_wrong(l, "%zu server and %zu client transactions are left", st->servers, st->clients);
	if (h->timers.count)
		life_wrong(l, "%zu timers are left", h->timers.count);
}
