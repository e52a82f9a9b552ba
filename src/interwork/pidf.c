/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/pidf.h"

#include <math.h>
#include <stdlib.h>
#include "base/clock.h"
#include "interwork/text.h"
#include "sip/uri.h"
#include "xmpp/jid.h"
#include "xmpp/stanza.h"

#define NS_PIDF S("urn:ietf:params:xml:ns:pidf")

/* ---- reading: elements by local name in any namespace where the right one is missing, because peers get the namespaces wrong
 * (interworking spec 3.4, the Asterisk flavour) */

static const struct xml_node *child(const struct xml_node *n, const char *name)
{
	const struct xml_node *c = n ? xml_child(n, slice_str(name), NS_PIDF) : NULL;
	return c || !n ? c : xml_child(n, slice_str(name), SLICE_NONE);
}

static bool named(const struct xml_node *n, const char *name)
{
	return n->name.p && slice_eq(n->name, slice_str(name));
}

/* What an element says beyond open and closed. */
struct said {
	bool show;     /* .value holds */
	bool anything; /* even if it was "nothing in particular" */
	bool unsure;   /* Lync's 0 */
	bool forbids;  /* the user does not want to be disturbed, and is not just busy */
	enum presence_show value;
	struct slice token; /* of the activity that said it, empty when something else did */
};

/* Of several activities the one that says most: dnd before xa before away before nothing. */
static int weight(enum presence_show s)
{
	return s == PRESENCE_DND ? 3 : s == PRESENCE_XA ? 2 : s == PRESENCE_AWAY ? 1 : 0;
}

/* An activity may say the same as another ("busy" and "on-the-phone"): the one with more to say gives the words. */
static void take_token(struct said *s, struct slice token)
{
	if (!presence_activity_words(s->token).len)
		s->token = token;
}

/* All <activities> directly below `n`: RFC 4480 element names, the draft's <activity>text</activity>, Asterisk's and Cisco's. */
static void read_activities(struct said *ret, const struct xml_node *n, struct arena *a)
{
	for (const struct xml_node *acts = n ? n->first : NULL; acts; acts = acts->next) {
		if (!named(acts, "activities"))
			continue;
		ret->anything = true;
		for (const struct xml_node *c = acts->first; c; c = c->next) {
			enum presence_show s;
			if (!c->name.p)
				continue;
			struct slice token = named(c, "activity") ? slice_trim(xml_text(c, a)) : c->name;
			if (!presence_show_of_activity(token, &s))
				continue;
			ret->forbids = ret->forbids || presence_activity_forbids(token);
			if (!ret->show || weight(s) > weight(ret->value)) {
				ret->value = s;
				ret->show = true;
				ret->token = token;
			} else if (weight(s) == weight(ret->value)) {
				take_token(ret, token);
			}
		}
	}
}

/* Lync: <state><availability>N</availability><activity token="..."/></state>, or the availability (with its text or an attribute)
 * alone. Away is extended away when the token says that the user is out of office. */
static void read_lync(struct said *ret, const struct xml_node *n, struct arena *a)
{
	const struct xml_node *st = child(n, "state"), *av = child(st ? st : n, "availability"), *act = child(st, "activity");
	enum presence_show s;
	uint64_t v;
	if (!av)
		return;
	struct slice agg = xml_attr(av, S("aggregate"));
	if (!slice_u64(slice_trim(agg.p ? agg : xml_text(av, a)), 100000, &v))
		return;
	ret->anything = true;
	if (!presence_show_of_lync((unsigned)v, &ret->value)) {
		ret->unsure = true;
		return;
	}
	ret->show = true;
	ret->forbids = v >= 9000 && v < 12000;
	if (act && presence_show_of_activity(slice_trim(xml_attr(act, S("token"))), &s)) {
		ret->token = slice_trim(xml_attr(act, S("token")));
		if (ret->value == PRESENCE_AWAY && v >= 15000 && s == PRESENCE_XA)
			ret->value = PRESENCE_XA;
	}
}

/* AG Projects: <extended>away</extended> in the status. */
static void read_extended(struct said *ret, const struct xml_node *status, struct arena *a)
{
	for (const struct xml_node *c = status ? status->first : NULL; c; c = c->next)
		if (named(c, "extended") && presence_show_of_extended(slice_trim(xml_text(c, a)), &ret->value)) {
			ret->show = ret->anything = true;
			return;
		}
}

/* Precedence when sources disagree: jabber:client show, Lync state, RPID, AG Projects' status (interworking spec 3.5). `status` may be
 * NULL. */
static struct said read_said(const struct xml_node *n, const struct xml_node *status, struct arena *a)
{
	struct said s = {0};
	const struct xml_node *show = status ? xml_child(status, S("show"), S("jabber:client")) : NULL;
	if (show && presence_show_of(slice_trim(xml_text(show, a)), &s.value)) {
		s.show = s.anything = s.forbids = true;
		return s;
	}
	read_lync(&s, status, a);
	if (!s.show)
		read_lync(&s, n, a);
	if (!s.show)
		read_activities(&s, status, a);
	if (!s.show)
		read_activities(&s, n, a);
	if (!s.show)
		read_extended(&s, status, a);
	return s;
}

/* RFC 4480 3.13: <user-input last-input="...">idle</user-input> below n. Without a time nobody can say since when. */
static int64_t read_idle(const struct xml_node *n, struct arena *a)
{
	for (const struct xml_node *c = n ? n->first : NULL; c; c = c->next) {
		int64_t ms;
		if (named(c, "user-input") && slice_ieq(slice_trim(xml_text(c, a)), S("idle")))
			return stanza_time_parse(slice_trim(xml_attr(c, S("last-input"))), &ms) && ms > 0 ? ms / 1000 : 0;
	}
	return 0;
}

/* When a timed status begins or ends, the document has to be looked at again. */
static void note_change(struct pidf *p, int64_t at, int64_t now)
{
	if (at > now && (!p->changes_at || at < p->changes_at))
		p->changes_at = at;
}

/* The status of the tuple that holds now: a <timed-status> (RFC 4481) whose time it is, else <status>. RFC 4481 wants the present in
 * <status>, but a document lives longer than the moment it was written in. */
static const struct xml_node *status_now(struct pidf *p, const struct xml_node *tuple, int64_t now, bool *ret_timed)
{
	const struct xml_node *status = child(tuple, "status");
	for (const struct xml_node *c = now ? tuple->first : NULL; c; c = c->next) {
		int64_t from, until = INT64_MAX;
		struct slice end;
		if (!named(c, "timed-status") || !stanza_time_parse(slice_trim(xml_attr(c, S("from"))), &from))
			continue;
		end = slice_trim(xml_attr(c, S("until")));
		if (end.len && !stanza_time_parse(end, &until))
			continue;
		from /= 1000;
		if (end.len)
			until /= 1000;
		if (from >= until)
			continue;
		note_change(p, from, now);
		if (end.len)
			note_change(p, until, now);
		if (from <= now && now < until) {
			status = c;
			*ret_timed = true;
		}
	}
	return status;
}

static void read_notes(struct pidf *p, struct presence_note notes[PRESENCE_MAX_NOTES], size_t *n, const struct xml_node *parent,
		       struct slice lang, struct arena *a)
{
	for (const struct xml_node *c = parent->first; c; c = c->next)
		if (named(c, "note")) {
			struct slice own = xml_lang(c);
			if (presence_note_add(notes, n, a, xml_text(c, a), interwork_lang(own.p ? own : lang), PRESENCE_MAX_NOTE))
				p->cut = true;
		}
}

static void set_notes(struct presence_item *it, const struct presence_note *notes, size_t n, struct arena *a)
{
	struct presence_note *copy = n ? arena_alloc(a, n * sizeof *copy) : NULL;
	if (!copy)
		return;
	memcpy(copy, notes, n * sizeof *copy);
	it->notes = copy;
	it->n_notes = n;
}

/* 0..1 as 0..127; what is no plain number in that range says nothing. */
static int read_priority(const struct xml_node *contact)
{
	char z[32];
	struct slice p = contact ? slice_trim(xml_attr(contact, S("priority"))) : SLICE_NONE;
	if (!p.len || !slice_cstr(p, z, sizeof z) || strspn(z, "0123456789.") != p.len)
		return PRESENCE_NO_PRIORITY;
	char *end;
	double v = strtod(z, &end);
	if (*end || v > 1.0)
		return PRESENCE_NO_PRIORITY;
	return (int)lround(v * 127.0);
}

static struct slice read_resource(const struct xml_node *tuple, const struct xml_node *contact, struct arena *a)
{
	struct sip_uri u;
	struct slice gr, out, id = slice_trim(xml_attr(tuple, S("id")));
	if (contact && !sip_uri_parse(slice_trim(xml_text(contact, a)), &u) && sip_uri_param(&u, S("gr"), &gr) && gr.len) {
		struct buf b;
		buf_init(&b, 1023);
		bool ok = !sip_unescape(gr, &b) && buf_ok(&b) && !xmpp_prep_resource(a, buf_slice(&b), &out);
		if (ok)
			out = arena_dup(a, out);
		buf_free(&b);
		if (ok)
			return out;
	}
	if (slice_eq(id, S("ID-bare")))
		return SLICE_NONE;
	if (slice_starts(id, S("ID-")))
		id = slice_skip(id, 3);
	return id.len && !xmpp_prep_resource(a, id, &out) ? out : SLICE_NONE;
}

struct tuple {
	struct said said;
	bool open, closed; /* <basic> */
	struct presence_item item;
};

static struct slice basic_of(const struct xml_node *status, struct arena *a)
{
	const struct xml_node *basic = child(status, "basic");
	for (const struct xml_node *c = status ? status->first : NULL; c && !basic; c = c->next)
		if (named(c, "basic"))
			basic = c;
	return basic ? slice_trim(xml_text(basic, a)) : SLICE_NONE;
}

static void read_tuple(struct tuple *ret, struct pidf *p, const struct xml_node *n, struct slice lang, int64_t now, struct arena *a)
{
	bool timed = false;
	const struct xml_node *status = status_now(p, n, now, &timed), *contact = child(n, "contact"), *ts = child(n, "timestamp");
	struct slice b = basic_of(status, a);
	struct presence_note notes[PRESENCE_MAX_NOTES];
	size_t n_notes = 0;
	int64_t ms;
	*ret = (struct tuple){
		.said = read_said(n, status, a), .open = slice_ieq(b, S("open")), .closed = slice_ieq(b, S("closed")),
		.item = {.priority = read_priority(contact), .resource = read_resource(n, contact, a), .idle = read_idle(n, a)},
	};
	if (!timed && ts && stanza_time_parse(slice_trim(xml_text(ts, a)), &ms))
		ret->item.stamp = ms / 1000; /* of the <status>, not of what has begun since */
	if (timed)
		read_notes(p, notes, &n_notes, status, lang, a);
	if (!n_notes)
		read_notes(p, notes, &n_notes, n, lang, a);
	set_notes(&ret->item, notes, n_notes, a);
}

/* What is said of the person. */
struct person {
	struct said said;
	struct slice basic; /* Cisco says it here */
	int64_t idle;
};

/* False when neither the tuple nor the person says whether the user is there. */
static bool settle(struct tuple *t, const struct person *p)
{
	if (!t->open && !t->closed) {
		t->open = slice_ieq(p->basic, S("open"));
		t->closed = slice_ieq(p->basic, S("closed"));
	}
	bool basic = t->open || t->closed, own = t->said.show || (basic && t->said.anything && !t->said.unsure) || !p->said.show;
	const struct said *s = own ? &t->said : &p->said;
	if (!basic && !s->show)
		return false;
	t->item.show = t->closed ? PRESENCE_OFFLINE : s->show ? s->value : PRESENCE_AVAILABLE;
	t->item.unsure = !t->closed && !s->show && s->unsure;
	t->item.busy = t->item.show == PRESENCE_DND && !s->forbids;
	if (!t->item.idle)
		t->item.idle = p->idle;
	if (t->item.show == PRESENCE_OFFLINE)
		t->item.idle = 0;
	t->said.token = s->token;
	return true;
}

static void add_item(struct pidf *p, const struct presence_item *it, struct slice *tokens, struct slice token)
{
	size_t i = 0;
	while (i < p->count && !slice_eq(p->items[i].resource, it->resource))
		i++;
	if (i < p->count && presence_rank(it, &p->items[i]) >= 0)
		return;
	p->items[i] = *it;
	tokens[i] = token;
	p->count += i == p->count;
}

/* A tuple without a note says what its activity says. */
static void set_words(struct presence_item *it, struct slice token, struct arena *a)
{
	struct presence_note note = {presence_activity_words(token), S("en")};
	if (it->show != PRESENCE_OFFLINE && !it->n_notes && note.text.len)
		set_notes(it, &note, 1, a);
}

int pidf_read(struct pidf *ret, struct arena *a, struct slice doc, struct slice lang, int64_t now_unix, struct entente_err *err)
{
	struct xml_node *root;
	int rc = xml_parse(&root, a, doc, &xml_limits_default, err);
	if (rc)
		return rc;
	if (!named(root, "presence"))
		return err_set(err, ENTENTE_ESYNTAX, REASON_CONTENT_MALFORMED,
			       "the presence document's root is <%.*s>, not <presence>", SFMT(slice_first(root->name, 40)));
	struct pidf p = {.entity = slice_trim(xml_attr(root, S("entity"))),
			 .items = arena_alloc(a, PRESENCE_MAX_ITEMS * sizeof *p.items)};
	struct slice *tokens = arena_alloc(a, PRESENCE_MAX_ITEMS * sizeof *tokens);
	if (!p.items || !tokens)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the presence document is too large");

	/* What is said of the person holds for every open tuple that says nothing of its own. A device's idleness is the person's, too
	 * (RFC 4480 3.13). */
	struct person person = {0};
	struct presence_note notes[PRESENCE_MAX_NOTES];
	size_t n_notes = 0;
	for (const struct xml_node *c = root->first; c; c = c->next) {
		if (named(c, "person")) {
			struct said s = read_said(c, child(c, "status"), a);
			if (s.anything && (!person.said.show || (s.show && weight(s.value) > weight(person.said.value))))
				person.said = s;
			if (!person.basic.len)
				person.basic = basic_of(child(c, "status"), a);
			read_notes(&p, notes, &n_notes, c, lang, a);
		} else if (named(c, "display-name") && !p.name.len) {
			p.name = slice_trim(xml_text(c, a));
		}
		if ((named(c, "person") || named(c, "device")) && !person.idle)
			person.idle = read_idle(c, a);
	}
	if (!n_notes)
		read_notes(&p, notes, &n_notes, root, lang, a);

	for (const struct xml_node *c = root->first; c && p.count < PRESENCE_MAX_ITEMS; c = c->next) {
		struct tuple t;
		if (!named(c, "tuple"))
			continue;
		read_tuple(&t, &p, c, lang, now_unix, a);
		if (settle(&t, &person))
			add_item(&p, &t.item, tokens, t.said.token);
	}

	/* Likewise the notes of the person or of the document; those of somebody who is nowhere open belong to the closed
	 * tuples. */
	bool any_open = false;
	for (size_t i = 0; i < p.count; i++)
		any_open = any_open || p.items[i].show != PRESENCE_OFFLINE;
	for (size_t i = 0; i < p.count; i++) {
		if (!p.items[i].n_notes && (p.items[i].show != PRESENCE_OFFLINE) == any_open)
			set_notes(&p.items[i], notes, n_notes, a);
		set_words(&p.items[i], tokens[i], a);
	}
	*ret = p;
	return ENTENTE_OK;
}

/* ---- writing */

static bool id_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

void pidf_tuple_id(struct buf *b, struct slice resource)
{
	if (!resource.len) {
		buf_puts(b, "ID-bare");
		return;
	}
	bool ok = resource.len <= 128 && !slice_eq(resource, S("bare"));
	for (size_t i = 0; ok && i < resource.len; i++)
		ok = id_char(resource.p[i]);
	buf_puts(b, "ID-");
	if (ok) {
		buf_put(b, resource);
		return;
	}
	uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a: the same after a restart, unlike hash_slice */
	for (size_t i = 0; i < resource.len; i++)
		h = (h ^ (unsigned char)resource.p[i]) * 0x100000001b3ULL;
	buf_printf(b, "%016llx", (unsigned long long)h);
}

static void write_notes(struct buf *b, const char *element, const struct presence_item *it)
{
	for (size_t i = 0; i < it->n_notes; i++) {
		buf_printf(b, "<%s", element);
		if (it->notes[i].lang.len) {
			buf_puts(b, " xml:lang='");
			xml_escape(b, it->notes[i].lang);
			buf_putc(b, '\'');
		}
		buf_putc(b, '>');
		xml_escape(b, it->notes[i].text);
		buf_printf(b, "</%s>", element);
	}
}

static void write_time(struct buf *b, const char *before, int64_t at, const char *after)
{
	char t[CLOCK_TEXT];
	clock_text_at(at, t);
	buf_puts(b, before);
	buf_puts(b, t);
	buf_puts(b, after);
}

struct doc {
	const struct pidf_writing *w;
	bool aggregate;   /* one tuple for all resources */
	bool person_busy; /* the document says something of the person that is not true of each tuple unless that says its own */
};

static void write_tuple(struct buf *b, const struct doc *d, const struct presence_item *it)
{
	struct slice act = presence_activity(it->show), show = presence_show_text(it->show);
	struct slice resource = d->aggregate ? SLICE_NONE : it->resource;
	bool open = it->show != PRESENCE_OFFLINE;
	buf_puts(b, "<tuple id='");
	pidf_tuple_id(b, resource);
	buf_printf(b, "'><status><basic>%s</basic>", open ? "open" : "closed");
	if (act.len)
		buf_printf(b, "<ep:activities><ep:activity>%.*s</ep:activity></ep:activities>", SFMT(act));
	else if (open && d->person_busy && !show.len)
		buf_puts(b, "<ep:activities/>");
	if (open && show.len)
		buf_printf(b, "<show xmlns='jabber:client'>%.*s</show>", SFMT(show));
	buf_puts(b, "</status>");
	if (open && it->idle) /* RFC 4480: elements of other namespaces between status and contact */
		write_time(b, "<rpid:user-input last-input='", it->idle, "'>idle</rpid:user-input>");
	buf_puts(b, "<contact");
	if (it->priority >= 0) {
		int thousandths = (it->priority * 2000 + 127) / 254; /* not by printf: that writes what the locale likes */
		buf_printf(b, " priority='%d.%03d'", thousandths / 1000, thousandths % 1000);
	}
	buf_putc(b, '>');
	xml_escape(b, d->w->entity);
	if (resource.len) {
		struct buf gr;
		buf_init(&gr, 4096);
		sip_escape_param(resource, &gr);
		buf_puts(b, ";gr=");
		xml_escape(b, buf_slice(&gr));
		buf_free(&gr);
	}
	buf_puts(b, "</contact>");
	if (!d->w->hide_notes)
		write_notes(b, "note", it);
	if (it->stamp)
		write_time(b, "<timestamp>", it->stamp, "</timestamp>");
	buf_puts(b, "</tuple>");
}

static void write_person(struct buf *b, const struct doc *d, const struct presence_item *best, bool note)
{
	struct slice act = presence_activity(best->show);
	bool basic = d->w->flavour == PIDF_CISCO;
	if (!act.len && !note && !basic)
		return;
	buf_puts(b, "<dm:person id='person'>");
	if (basic)
		buf_printf(b, "<status><basic>%s</basic></status>", best->show == PRESENCE_OFFLINE ? "closed" : "open");
	if (act.len)
		buf_printf(b, "<rpid:activities><rpid:%.*s/></rpid:activities>", SFMT(act));
	if (note)
		write_notes(b, "dm:note", best);
	buf_puts(b, "</dm:person>");
}

void pidf_write(struct buf *b, const struct pidf_writing *w, struct presence_set *set)
{
	static struct presence_item offline = {.show = PRESENCE_OFFLINE, .priority = PRESENCE_NO_PRIORITY};
	struct presence_set nobody = {.items = &offline, .count = 1};
	const struct presence_set *s = set->count ? set : &nobody;
	presence_set_sort(set);
	const struct presence_item *best = &s->items[0];
	struct doc d = {.w = w, .aggregate = w->flavour != PIDF_SIMPLE, .person_busy = presence_activity(best->show).len > 0};
	size_t count = d.aggregate ? 1 : s->count;
	/* A reader gives the person's note to all tuples that have none: only where none is open or closed like the best and
	 * silent. */
	bool note = best->n_notes && !w->hide_notes;
	for (size_t i = 1; note && i < count; i++)
		note = s->items[i].n_notes || (s->items[i].show == PRESENCE_OFFLINE) != (best->show == PRESENCE_OFFLINE);

	buf_puts(b, "<?xml version='1.0' encoding='UTF-8'?>\r\n<presence xmlns='urn:ietf:params:xml:ns:pidf'"
		    " xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid'"
		    " xmlns:ep='urn:ietf:params:xml:ns:pidf:status:rpid-status' xmlns:ci='urn:ietf:params:xml:ns:pidf:cipid' entity='");
	xml_escape(b, w->entity);
	buf_puts(b, "'>");
	for (size_t i = 0; i < count; i++)
		write_tuple(b, &d, &s->items[i]);
	write_person(b, &d, best, note);
	if (w->name.len && !w->hide_notes) {
		buf_puts(b, "<ci:display-name>");
		xml_escape(b, w->name);
		buf_puts(b, "</ci:display-name>");
	}
	buf_puts(b, "</presence>\r\n");
}
