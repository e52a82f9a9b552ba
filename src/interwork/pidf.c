/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/pidf.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>
#include "base/clock.h"
#include "base/enc.h"
#include "sip/uri.h"
#include "xmpp/jid.h"
#include "xmpp/xml.h"

/* Element of this local name in any namespace: peers get the namespaces wrong (interworking spec 3.4, the Asterisk flavour). */
static struct xml_node *child(const struct xml_node *n, const char *name)
{
	return n ? xml_child(n, slice_str(name), SLICE_NONE) : NULL;
}

/* RFC 3339 to seconds, 0 when unreadable. */
static int64_t read_time(struct slice s)
{
	char z[40];
	struct tm tm = {0};
	if (!slice_cstr(slice_trim(s), z, sizeof z))
		return 0;
	char *end = strptime(z, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end)
		return 0;
	int64_t t = (int64_t)timegm(&tm);
	if (*end == '.')
		do
			end++;
		while (*end >= '0' && *end <= '9');
	if (*end == '+' || *end == '-') {
		struct slice off = slice_str(end + 1), hh = slice_split(&off, ':');
		uint64_t h, m;
		if (!slice_u64(hh, 23, &h) || !slice_u64(off, 59, &m))
			return 0;
		int64_t d = (int64_t)(h * 3600 + m * 60);
		t += *end == '+' ? -d : d;
	}
	return t;
}

/* Activities below `n`: RFC 4480 element names, the draft's <activity>text</activity>, and Asterisk's. */
static bool read_activities(const struct xml_node *n, struct arena *a, enum presence_show *ret)
{
	const struct xml_node *acts = child(n, "activities");
	bool found = false;
	for (const struct xml_node *c = acts ? acts->first : NULL; c; c = c->next) {
		enum presence_show s;
		if (!c->name.p)
			continue;
		struct slice token = slice_eq(c->name, S("activity")) ? slice_trim(xml_text(c, a)) : c->name;
		/* several activities: the one that says most wins, dnd before away before nothing */
		if (presence_show_of_activity(token, &s) && (!found || (s != PRESENCE_AVAILABLE && *ret != PRESENCE_DND))) {
			*ret = s;
			found = true;
		}
	}
	return found;
}

/* <state ...><availability>N</availability></state> of Lync's documents, anywhere below n. */
static bool read_lync(const struct xml_node *n, struct arena *a, enum presence_show *ret)
{
	const struct xml_node *st = child(n, "state"), *av = child(st ? st : n, "availability");
	uint64_t v;
	if (!av)
		return false;
	struct slice agg = xml_attr(av, S("aggregate"));
	return slice_u64(slice_trim(agg.p ? agg : xml_text(av, a)), 100000, &v) && presence_show_of_lync((unsigned)v, ret);
}

static struct slice read_note(const struct xml_node *n, struct arena *a, struct slice *lang)
{
	const struct xml_node *note = child(n, "note");
	if (!note)
		return SLICE_NONE;
	struct slice l = xml_lang(note);
	if (l.p)
		*lang = l;
	return slice_trim(xml_text(note, a));
}

static int read_priority(const struct xml_node *contact)
{
	char z[16], *end;
	struct slice p = contact ? slice_trim(xml_attr(contact, S("priority"))) : SLICE_NONE;
	if (!p.len || !slice_cstr(p, z, sizeof z))
		return PRESENCE_NO_PRIORITY;
	double v = strtod(z, &end);
	if (*end || !(v >= 0.0 && v <= 1.0))
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
		if (!sip_unescape(gr, &b) && !xmpp_prep_resource(a, buf_slice(&b), &out)) {
			out = arena_dup(a, out);
			buf_free(&b);
			return out;
		}
		buf_free(&b);
	}
	if (slice_eq(id, S("ID-bare")))
		return SLICE_NONE;
	if (slice_starts(id, S("ID-")))
		id = slice_skip(id, 3);
	return id.len && !xmpp_prep_resource(a, id, &out) ? out : SLICE_NONE;
}

/* One tuple; false when it says neither open nor closed. */
static bool read_tuple(struct presence_item *ret, const struct xml_node *tuple, struct arena *a)
{
	const struct xml_node *status = child(tuple, "status"), *basic = child(status, "basic"), *contact = child(tuple, "contact");
	const struct xml_node *jshow = status ? xml_child(status, S("show"), S("jabber:client")) : NULL;
	struct slice b = basic ? slice_trim(xml_text(basic, a)) : SLICE_NONE;
	enum presence_show show = PRESENCE_AVAILABLE;
	bool said = (jshow && presence_show_of(slice_trim(xml_text(jshow, a)), &show)) || read_lync(status, a, &show) ||
		    read_lync(tuple, a, &show) || read_activities(status, a, &show) || read_activities(tuple, a, &show);
	if (slice_ieq(b, S("closed")))
		show = PRESENCE_OFFLINE;
	else if (!slice_ieq(b, S("open")) && !said)
		return false;
	*ret = (struct presence_item){.show = show, .priority = read_priority(contact), .resource = read_resource(tuple, contact, a)};
	ret->note = read_note(tuple, a, &ret->lang);
	const struct xml_node *ts = child(tuple, "timestamp");
	ret->stamp = ts ? read_time(xml_text(ts, a)) : 0;
	return true;
}

int pidf_read(struct pidf *ret, struct arena *a, struct slice doc, struct slice lang, struct entente_err *err)
{
	struct xml_node *root;
	int rc = xml_parse(&root, a, doc, &xml_limits_default, err);
	if (rc)
		return rc;
	if (!slice_eq(root->name, S("presence")))
		return err_set(err, ENTENTE_ESYNTAX, REASON_CONTENT_MALFORMED, "the presence document's root is <%.*s>, not <presence>",
			       SFMT(slice_first(root->name, 40)));
	struct presence_item *items = arena_alloc(a, PRESENCE_MAX_ITEMS * sizeof *items);
	if (!items)
		return err_set(err, ENTENTE_ELIMIT, REASON_LIMIT_SIZE, "the presence document is too large");
	size_t n = 0;
	for (const struct xml_node *t = child(root, "tuple"); t && n < PRESENCE_MAX_ITEMS; t = xml_next_same(t))
		if (read_tuple(&items[n], t, a))
			n++;

	/* What is said of the person, or of the whole document, holds for every open tuple that does not say its own. */
	const struct xml_node *person = child(root, "person");
	enum presence_show pshow = PRESENCE_AVAILABLE;
	bool pact = read_activities(person, a, &pshow) || read_lync(person, a, &pshow);
	struct slice plang = lang, pnote = read_note(person, a, &plang);
	if (!pnote.len)
		pnote = read_note(root, a, &plang);
	for (size_t i = 0; i < n; i++) {
		if (pact && items[i].show == PRESENCE_AVAILABLE)
			items[i].show = pshow;
		if (!items[i].note.len && pnote.len) {
			items[i].note = pnote;
			items[i].lang = plang;
		}
		if (!items[i].lang.p)
			items[i].lang = lang;
	}
	*ret = (struct pidf){.entity = slice_trim(xml_attr(root, S("entity"))), .items = items, .count = n};
	return ENTENTE_OK;
}

static bool name_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

void pidf_tuple_id(struct buf *b, struct slice resource)
{
	if (!resource.len) {
		buf_puts(b, "ID-bare");
		return;
	}
	bool ok = resource.len <= 128 && !slice_eq(resource, S("bare"));
	for (size_t i = 0; ok && i < resource.len; i++) {
		char c = resource.p[i];
		ok = name_start(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
	}
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

static void write_note(struct buf *b, const char *element, const struct presence_item *it)
{
	buf_printf(b, "<%s", element);
	if (it->lang.len) {
		buf_puts(b, " xml:lang='");
		xml_escape(b, it->lang);
		buf_putc(b, '\'');
	}
	buf_putc(b, '>');
	xml_escape(b, it->note);
	buf_printf(b, "</%s>", element);
}

static void write_tuple(struct buf *b, struct slice uri, const struct presence_item *it, bool hide_notes)
{
	struct slice act = presence_activity(it->show), show = presence_show_text(it->show);
	bool open = it->show != PRESENCE_OFFLINE;
	buf_puts(b, "<tuple id='");
	pidf_tuple_id(b, it->resource);
	buf_printf(b, "'><status><basic>%s</basic>", open ? "open" : "closed");
	if (act.len)
		buf_printf(b, "<ep:activities><ep:activity>%.*s</ep:activity></ep:activities>", SFMT(act));
	if (open && show.len)
		buf_printf(b, "<show xmlns='jabber:client'>%.*s</show>", SFMT(show));
	buf_puts(b, "</status><contact");
	if (it->priority >= 0)
		buf_printf(b, " priority='%.3f'", it->priority / 127.0);
	buf_putc(b, '>');
	xml_escape(b, uri);
	if (it->resource.len) {
		struct buf gr;
		buf_init(&gr, 4096);
		sip_escape_param(it->resource, &gr);
		buf_puts(b, ";gr=");
		xml_escape(b, buf_slice(&gr));
		buf_free(&gr);
	}
	buf_puts(b, "</contact>");
	if (it->note.len && !hide_notes)
		write_note(b, "note", it);
	if (it->stamp) {
		char t[CLOCK_TEXT];
		clock_text_at(it->stamp, t);
		buf_printf(b, "<timestamp>%s</timestamp>", t);
	}
	buf_puts(b, "</tuple>");
}

void pidf_write(struct buf *b, struct slice entity_uri, struct presence_set *set, bool hide_notes)
{
	static const struct presence_item offline = {.show = PRESENCE_OFFLINE, .priority = PRESENCE_NO_PRIORITY};
	presence_set_sort(set);
	const struct presence_item *best = set->count ? &set->items[0] : &offline;
	buf_puts(b, "<?xml version='1.0' encoding='UTF-8'?>\r\n<presence xmlns='urn:ietf:params:xml:ns:pidf'"
		    " xmlns:dm='urn:ietf:params:xml:ns:pidf:data-model' xmlns:rpid='urn:ietf:params:xml:ns:pidf:rpid'"
		    " xmlns:ep='urn:ietf:params:xml:ns:pidf:status:rpid-status' entity='");
	xml_escape(b, entity_uri);
	buf_puts(b, "'>");
	for (size_t i = 0; i < set->count; i++)
		write_tuple(b, entity_uri, &set->items[i], hide_notes);
	if (!set->count)
		write_tuple(b, entity_uri, &offline, true);
	struct slice act = presence_activity(best->show);
	bool note = best->note.len && !hide_notes;
	if (act.len || note) {
		buf_puts(b, "<dm:person id='person'>");
		if (act.len)
			buf_printf(b, "<rpid:activities><rpid:%.*s/></rpid:activities>", SFMT(act));
		if (note)
			write_note(b, "dm:note", best);
		buf_puts(b, "</dm:person>");
	}
	buf_puts(b, "</presence>\r\n");
}
