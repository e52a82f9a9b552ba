/* SPDX-License-Identifier: Apache-2.0 */
/* PIDF both ways (RFC 3863, 4479, 4480; RFC 8048 tables 1 and 2; interworking spec 3.3-3.5), and the flavours that are met. */
#include <stdio.h>
#include "parse.h"
#include "base/mem.h"
#include "interwork/pidf.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define PIDF "urn:ietf:params:xml:ns:pidf"
#define HEAD "<presence xmlns='" PIDF "' xmlns:dm='" PIDF ":data-model' xmlns:rpid='" PIDF ":rpid'"  \
	     " xmlns:ep='" PIDF ":status:rpid-status' entity='sip:romeo@example.net'>"

enum { NOW = 1600000000 };

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(4 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

/* ---- a document in one line: "[resource] show prio=n note(lang)=text @stamp; ..." */

static const char *shown(const struct pidf *p)
{
	static const char *const names[] = {"offline", "xa", "away", "dnd", "available", "chat"};
	static char text[8192];
	size_t n = 0;
	text[0] = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct presence_item *it = &p->items[i];
		n += (size_t)snprintf(text + n, sizeof text - n, "%s[%.*s] %s%s", i ? "; " : "", SFMT(it->resource),
				      names[it->show], it->unsure ? "?" : "");
		if (it->priority != PRESENCE_NO_PRIORITY)
			n += (size_t)snprintf(text + n, sizeof text - n, " prio=%d", it->priority);
		for (size_t k = 0; k < it->n_notes; k++)
			n += (size_t)snprintf(text + n, sizeof text - n, " note(%.*s)=%.*s", SFMT(it->notes[k].lang),
					      SFMT(it->notes[k].text));
		if (it->idle)
			n += (size_t)snprintf(text + n, sizeof text - n, " idle=%lld", (long long)it->idle);
		if (it->stamp)
			n += (size_t)snprintf(text + n, sizeof text - n, " @%lld", (long long)it->stamp);
	}
	return text;
}

static struct pidf read_doc(struct slice doc, const char *lang)
{
	struct pidf p = {0};
	struct entente_err err = {0};
	if (pidf_read(&p, arena, doc, slice_str(lang), NOW, &err))
		fail_msg("%s in\n%.*s", err.text, SFMT(doc));
	return p;
}

static void assert_doc(const char *doc, const char *want)
{
	struct pidf p = read_doc(slice_str(doc), NULL);
	if (strcmp(shown(&p), want))
		fail_msg("%s\n instead of %s\n for %s", shown(&p), want, doc);
}

static void assert_body(const char *inner, const char *want)
{
	char doc[8192];
	assert_true(snprintf(doc, sizeof doc, HEAD "%s</presence>", inner) < (int)sizeof doc);
	assert_doc(doc, want);
}

/* ---- reading */

static void basic(void **state)
{
	(void)state;
	assert_body("<tuple id='a'><status><basic>open</basic></status></tuple>", "[a] available");
	assert_body("<tuple id='a'><status><basic>closed</basic></status></tuple>", "[a] offline");
	assert_body("<tuple id='a'><status><basic> Open\n</basic></status></tuple>", "[a] available");
	/* open by what else is said, else skipped */
	assert_body("<tuple id='a'><status/></tuple>", "");
	assert_body("<tuple id='a'/>", "");
	assert_body("<tuple id='a'><status><basic>maybe</basic></status></tuple>", "");
	assert_body("<tuple id='a'><status><show xmlns='jabber:client'>xa</show></status></tuple>", "[a] xa");
	assert_body(
		"<tuple id='a'><status/></tuple><dm:person id='p'><rpid:activities><rpid:busy/></rpid:activities></dm:person>",
		"[a] dnd");
	assert_body("<tuple id='a'><ep:activities/></tuple><dm:person "
		    "id='p'><rpid:activities><rpid:busy/></rpid:activities></dm:person>",
		    "[a] dnd");
	/* closed is closed, whatever else is said */
	assert_body("<tuple id='a'><status><basic>closed</basic><show xmlns='jabber:client'>chat</show></status></tuple>",
		    "[a] offline");
	assert_body("<tuple id='a'><status><basic>closed</basic></status></tuple><dm:person "
		    "id='p'><rpid:activities><rpid:permanent-absence/>"
		    "</rpid:activities></dm:person>",
		    "[a] offline");
	assert_body("", "");
	assert_doc("<presence xmlns='" PIDF "' entity='pres:x@y'/>", "");
}

static void several_tuples(void **state)
{
	(void)state;
	assert_body("<tuple id='d'><status><basic>open</basic></status></tuple><tuple "
		    "id='a'><status><basic>closed</basic></status></tuple>"
		    "<tuple "
		    "id='c'><status><basic>open</basic><ep:activities><ep:activity>away</ep:activity></ep:activities></status></"
		    "tuple>",
		    "[d] available; [a] offline; [c] away"); /* in the order of the document */
	/* two that give one resource: the better one */
	assert_body("<tuple id='a'><status><basic>closed</basic></status></tuple><tuple "
		    "id='a'><status><basic>open</basic></status></tuple>"
		    "<tuple id='a'><status><basic>closed</basic></status></tuple>",
		    "[a] available");
	assert_body("<tuple><status><basic>open</basic></status></tuple><tuple><status><basic>closed</basic></status></tuple>",
		    "[] available");
}

static void tuple_limit(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1 << 20);
	buf_puts(&b, HEAD);
	for (int i = 0; i < PRESENCE_MAX_ITEMS + 20; i++)
		buf_printf(&b, "<tuple id='t%d'><status><basic>open</basic></status></tuple>", i);
	buf_puts(&b, "</presence>");
	struct pidf p = read_doc(buf_slice(&b), NULL);
	assert_int_equal(p.count, PRESENCE_MAX_ITEMS);
	buf_free(&b);
}

static void resources(void **state)
{
#define OPEN "<status><basic>open</basic></status>"
	(void)state;
	assert_body("<tuple id='ID-dr4hcr0st3lup4c'>" OPEN "</tuple>", "[dr4hcr0st3lup4c] available"); /* RFC 8048 example 6 */
	assert_body("<tuple id='ID-bare'>" OPEN "</tuple>", "[] available");
	assert_body("<tuple id='ID-'>" OPEN "</tuple>", "[] available");
	assert_body("<tuple id=' sg89ae '>" OPEN "</tuple>", "[sg89ae] available");
	/* gr of the contact before the tuple's id */
	assert_body("<tuple id='x1'>" OPEN "<contact>sip:romeo@example.net;gr=my%20phone%20%C3%A9</contact></tuple>",
		    "[my phone \xc3\xa9] available");
	assert_body("<tuple id='x1'>" OPEN "<contact> sip:romeo@example.net;gr=urn:uuid:f81d4fae-7dec ;</contact></tuple>",
		    "[x1] available");
	assert_body("<tuple id='x1'>" OPEN "<contact>sip:romeo@example.net;gr=urn:uuid:f81d4fae-7dec</contact></tuple>",
		    "[urn:uuid:f81d4fae-7dec] available");
	/* what cannot be a resource falls back */
	assert_body("<tuple id='x1'>" OPEN "<contact>sip:romeo@example.net;gr</contact></tuple>", "[x1] available");
	assert_body("<tuple id='x1'>" OPEN "<contact>sip:romeo@example.net;gr=%00</contact></tuple>", "[x1] available");
	assert_body("<tuple id='x1'>" OPEN "<contact>sip:romeo@example.net;gr=%zz</contact></tuple>", "[x1] available");
	assert_body("<tuple id='x1'>" OPEN "<contact>not a URI</contact></tuple>", "[x1] available");
	assert_body("<tuple id='&#x85;'>" OPEN "</tuple>", "[] available");
	char doc[4096], gr[1100];
	memset(gr, 'g', 1030);
	gr[1030] = 0;
	snprintf(doc, sizeof doc, "<tuple id='x1'>" OPEN "<contact>sip:romeo@example.net;gr=%s</contact></tuple>", gr);
	assert_body(doc, "[x1] available");
}

static void priorities(void **state)
{
	static const struct {
		const char *priority, *want;
	} rows[] = {
		{"0", " prio=0"},
		{"1", " prio=127"},
		{"1.0", " prio=127"},
		{"0.8", " prio=102"},
		{"0.008", " prio=1"},
		{"0.992", " prio=126"},
		{" 0.5 ", " prio=64"},
		{"0.80000000000000004", " prio=102"},
		{".25", " prio=32"},
		{"1.001", ""},
		{"-0.1", ""},
		{"2", ""},
		{"NaN", ""},
		{"inf", ""},
		{"", ""},
		{"high", ""},
		{"0,8", ""},
		{"0x1", ""},
		{"1e-1", ""},
		{"0.8.1", ""},
	};
	char doc[512], want[64];
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(doc, sizeof doc, "<tuple id='a'>" OPEN "<contact priority='%s'>sip:romeo@example.net</contact></tuple>",
			 rows[i].priority);
		snprintf(want, sizeof want, "[a] available%s", rows[i].want);
		assert_body(doc, want);
	}
}

static void note_levels(void **state)
{
	(void)state;
	assert_body("<note>document</note><tuple id='a'>" OPEN
		    "<note>tuple</note></tuple><dm:person id='p'><dm:note>person</dm:note></dm:person>",
		    "[a] available note()=tuple");
	assert_body("<note>document</note><tuple id='a'>" OPEN
		    "<note> </note></tuple><dm:person id='p'><dm:note>person</dm:note></dm:person>",
		    "[a] available note()=person");
	assert_body("<note>document</note><tuple id='a'>" OPEN "</tuple><dm:person id='p'/>", "[a] available note()=document");
	assert_body("<tuple id='a'>" OPEN
		    "<note xml:lang='en'>out</note><note xml:lang='de'>weg</note><note xml:lang='en'>again</note></tuple>",
		    "[a] available note(en)=out note(de)=weg");
	/* who is there speaks for the person */
	assert_body("<tuple id='a'>" OPEN "</tuple><tuple id='b'><status><basic>closed</basic></status></tuple><note>x</note>",
		    "[a] available note()=x; [b] offline");
	assert_body("<tuple id='b'><status><basic>closed</basic></status></tuple><note>back on Monday</note>",
		    "[b] offline note()=back on Monday");
}

static void languages(void **state)
{
	static const char doc[] = HEAD "<tuple id='a'>" OPEN "<note>x</note><note xml:lang='fr'>y</note></tuple></presence>";
	static const char inherited[] = "<presence xml:lang='nl' xmlns='" PIDF "' entity='sip:x@y'><tuple id='a'>" OPEN
					"<note>x</note></tuple></presence>";
	(void)state;
	struct pidf p = read_doc(slice_str(doc), "en-GB, de");
	assert_string_equal(shown(&p), "[a] available note(en-GB)=x note(fr)=y");
	p = read_doc(slice_str(inherited), "en");
	assert_string_equal(shown(&p), "[a] available note(nl)=x");
	p = read_doc(slice_str(doc), "e'n\"<>"); /* no language tag: none at all */
	assert_string_equal(shown(&p), "[a] available note()=x note(fr)=y");
}

static void timestamps(void **state)
{
	(void)state;
#define AT(t) "<tuple id='a'>" OPEN "<timestamp>" t "</timestamp></tuple>"
	assert_body(AT("2020-01-02T03:04:05Z"), "[a] available @1577934245");
	assert_body(AT(" 2020-01-02T03:04:05.999Z\n"), "[a] available @1577934245");
	assert_body(AT("2020-01-02T05:04:05+02:00"), "[a] available @1577934245");
	assert_body(AT("2020-01-01T19:34:05-07:30"), "[a] available @1577934245");
	assert_body(AT("yesterday"), "[a] available");
	assert_body(AT("2020-13-02T03:04:05Z"), "[a] available");
	assert_body(AT(""), "[a] available");
}

static void activities(void **state)
{
#define PERSON(x) "<tuple id='a'>" OPEN "</tuple><dm:person id='p'><rpid:activities>" x "</rpid:activities></dm:person>"
	(void)state;
	assert_body(PERSON("<rpid:on-the-phone/>"), "[a] dnd note(en)=On the phone");
	assert_body(PERSON("<rpid:vacation/>"), "[a] xa note(en)=On vacation");
	assert_body(PERSON("<rpid:other>gardening</rpid:other>"), "[a] available");
	assert_body(PERSON("<x:flying xmlns:x='urn:x'/>"), "[a] available");
	assert_body(PERSON("text <rpid:meal/> text"), "[a] away note(en)=Having a meal");
	/* of several the one that says most, in any order */
	assert_body(PERSON("<rpid:away/><rpid:busy/>"), "[a] dnd");
	assert_body(PERSON("<rpid:busy/><rpid:away/>"), "[a] dnd");
	assert_body(PERSON("<rpid:vacation/><rpid:away/>"), "[a] xa note(en)=On vacation");
	assert_body(PERSON("<rpid:away/><rpid:vacation/>"), "[a] xa note(en)=On vacation");
	assert_body(PERSON("<rpid:busy/><rpid:on-the-phone/>"), "[a] dnd note(en)=On the phone"); /* as much, and more to say */
	assert_body(PERSON("<rpid:on-the-phone/><rpid:busy/>"), "[a] dnd note(en)=On the phone");
	assert_body(PERSON("<rpid:on-the-phone/>") "<note>mine</note>", "[a] dnd note()=mine"); /* words only where there are none */
	assert_body(PERSON("<rpid:working/><rpid:meeting/>"), "[a] dnd note(en)=In a meeting");
	/* RFC 4480: several <activities>, several persons */
	assert_body("<tuple id='a'>" OPEN
		    "</tuple><dm:person id='p'><rpid:activities><rpid:working/></rpid:activities><rpid:activities><rpid:meal/>"
		    "</rpid:activities></dm:person><dm:person id='q'><rpid:activities><rpid:busy/></rpid:activities></dm:person>",
		    "[a] dnd");
	/* all open tuples, but those that say their own */
	assert_body("<tuple id='a'>" OPEN
		    "</tuple><tuple id='b'><status><basic>open</basic><show xmlns='jabber:client'>chat</show></status></tuple>"
		    "<tuple id='c'><status><basic>open</basic><ep:activities/></status></tuple><tuple "
		    "id='d'><status><basic>closed</basic></status></tuple>"
		    "<dm:person id='p'><rpid:activities><rpid:busy/></rpid:activities></dm:person>",
		    "[a] dnd; [b] chat; [c] available; [d] offline");
	/* the draft layout of older Lync, linphone, eXosip: in the status, as text */
	assert_body("<tuple "
		    "id='a'><status><basic>open</basic><ep:activities><ep:activity>on-the-phone</ep:activity></ep:activities></"
		    "status></tuple>",
		    "[a] dnd note(en)=On the phone");
	assert_body("<tuple id='a'>" OPEN "<rpid:activities><rpid:away/></rpid:activities></tuple>", "[a] away");
}

static void precedence(void **state)
{
#define SHOW_AWAY "<show xmlns='jabber:client'>away</show>"
#define LYNC(n, token)                                                                                                           \
	"<l:state xmlns:l='urn:lync'><l:availability>" n "</l:availability><l:activity token='" token "'/></l:state>"
#define BUSY "<ep:activities><ep:activity>busy</ep:activity></ep:activities>"
#define ST(x) "<tuple id='a'><status><basic>open</basic>" x "</status></tuple>"
	(void)state;
	assert_body(ST(BUSY LYNC("3500", "") SHOW_AWAY), "[a] away");
	assert_body(ST(BUSY LYNC("3500", "")), "[a] available");
	assert_body(ST(BUSY), "[a] dnd");
	assert_body(ST("<show xmlns='jabber:client'>lunch</show>" BUSY), "[a] dnd"); /* not one of the four: ignored */
	assert_body(ST("<show>away</show>"), "[a] available");			    /* nor in another namespace */
	assert_body(ST("") "<note>On the phone</note>", "[a] available note()=On the phone"); /* no guesses from notes */
	/* Lync */
	assert_body(ST(LYNC("6500", "in-a-meeting")), "[a] dnd note(en)=In a meeting");
	assert_body(ST(LYNC("15500", "away")), "[a] away");
	assert_body(ST(LYNC("15500", "out-of-office")), "[a] xa note(en)=Out of office");
	assert_body(ST(LYNC("17999", "off-work")), "[a] xa note(en)=Off work");
	assert_body(ST(LYNC("12500", "off-work")), "[a] away note(en)=Off work");
	assert_body(ST(LYNC("12500", "be-right-back")), "[a] away note(en)=Be right back");
	assert_body(ST(LYNC("9500", "urgent-interruptions-only")), "[a] dnd note(en)=Urgent interruptions only");
	assert_body(ST(LYNC("6500", "on-the-phone") SHOW_AWAY), "[a] away"); /* the show speaks, the token is not asked */
	/* AG Projects last */
#define AG(x) "<agp:extended xmlns:agp='urn:ag-projects:xml:ns:pidf'>" x "</agp:extended>"
	assert_body(ST(AG("extended-away")), "[a] xa");
	assert_body(ST(AG("busy") BUSY), "[a] dnd");
	assert_body(ST(AG("away") BUSY), "[a] dnd");
	assert_body(ST(AG("gardening")), "[a] available");
	assert_body(ST(LYNC("18500", "")), "[a] offline");
	assert_body(ST(LYNC("0", "")), "[a] available?");
	assert_body(ST(LYNC("0", "") BUSY), "[a] dnd");
	assert_body(ST("<availability aggregate='9500'/>"), "[a] dnd");
	assert_body(ST("<availability>x</availability>"), "[a] available");
	/* and for the person: Lync before RPID too */
	assert_body("<tuple id='a'>" OPEN
		    "</tuple><dm:person><rpid:activities><rpid:busy/></rpid:activities>" LYNC("15500", "") "</dm:person>",
		    "[a] away");
}

static void entities(void **state)
{
	static const char *const forms[] = {"sip:romeo@example.net", "pres:romeo@example.net", "romeo@example.net", ""};
	char doc[256];
	(void)state;
	for (size_t i = 0; i < COUNT(forms); i++) {
		snprintf(doc, sizeof doc, "<presence xmlns='" PIDF "' entity=' %s '/>", forms[i]);
		struct pidf p = read_doc(slice_str(doc), NULL);
		assert_true(slice_eq(p.entity, slice_str(forms[i])));
	}
	struct pidf p = read_doc(S("<presence xmlns='" PIDF "'/>"), NULL);
	assert_int_equal(p.entity.len, 0);
}

static void flavours(void **state)
{
	(void)state;
	/* Asterisk (chan_sip): wrong namespaces, ISO-8859-1, the activity in a person's status */
	assert_doc("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>\n<presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \n"
		   "xmlns:pp=\"urn:ietf:params:xml:ns:pidf:person\"\nxmlns:es=\"urn:ietf:params:xml:ns:pidf:rpid:status:rpid-"
		   "status\"\n"
		   "xmlns:ep=\"urn:ietf:params:xml:ns:pidf:rpid:rpid-person\"\nentity=\"sip:200@pbx.example\">\n"
		   "<pp:person><status>\n<ep:activities><ep:busy/></ep:activities>\n</status></pp:person>\n<note>im Gespr\xe4"
		   "ch</note>\n"
		   "<tuple id=\"200\">\n<contact "
		   "priority=\"1\">sip:200@pbx.example</contact>\n<status><basic>open</basic></status>\n</tuple>\n</presence>\n",
		   "[200] dnd prio=127 note()=im Gespr\xc3\xa4"
		   "ch");
	assert_doc("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" "
		   "xmlns:pp=\"urn:ietf:params:xml:ns:pidf:person\" xmlns:ep=\"urn:ietf:params:xml:ns:pidf:rpid:rpid-person\" "
		   "entity=\"sip:200@pbx.example\">"
		   "<pp:person><status>\n</status></pp:person>\n<note>Unavailable</note>\n<tuple id=\"200\">\n<contact "
		   "priority=\"1\">sip:200@pbx.example</contact>\n"
		   "<status><basic>closed</basic></status>\n</tuple>\n</presence>\n",
		   "[200] offline prio=127 note()=Unavailable");
	/* no namespace at all */
	assert_doc(
		"<presence entity='sip:a@b'><tuple id='t'><status><basic>open</basic></status><note>n</note></tuple></presence>",
		"[t] available note()=n");
	/* the right namespace wins over the same local name */
	assert_body("<tuple id='a'><x:status xmlns:x='urn:x'><x:basic>closed</x:basic></x:status>" OPEN "</tuple>",
		    "[a] available");
	/* UTF-16 as a device writes it */
	struct pidf p = read_doc(S("\xff\xfe<\0p\0r\0e\0s\0e\0n\0c\0e\0 \0e\0n\0t\0i\0t\0y\0=\0'\0x\0'\0/\0>\0"), NULL);
	assert_int_equal(p.count, 0);
}

/* Cisco IM&P: the basic state in the person, activities in two namespaces. */
static void cisco(void **state)
{
#define CISCO(basic, act)                                                                                                        \
	"<dm:person id='u'><status><basic>" basic "</basic></status><e:activities xmlns:e='" PIDF ":status:rpid' "                \
	"xmlns:ce='urn:cisco:params:xml:ns:pidf:rpid'>" act "</e:activities></dm:person>"
	(void)state;
	assert_body(CISCO("open", "<ce:available/>") "<tuple id='a'><status/><contact>sip:romeo@example.net</contact></tuple>",
		    "[a] available");
	assert_body(CISCO("open", "<ce:dnd/>") "<tuple id='a'><status/></tuple>", "[a] dnd note(en)=Do not disturb");
	assert_body(CISCO("open", "<e:on-the-phone/>") "<tuple id='a'><status/></tuple>", "[a] dnd note(en)=On the phone");
	assert_body(CISCO("closed", "<ce:available/>") "<tuple id='a'><status/></tuple>", "[a] offline");
	/* a tuple's own word counts for it */
	assert_body(CISCO("open", "") "<tuple id='a'><status><basic>closed</basic></status></tuple>", "[a] offline");
}

/* RFC 4480 3.13: of the tuple, else of the person or a device; only of who is there. */
static void idleness(void **state)
{
#define IDLE(t) "<rpid:user-input last-input='" t "' idle-threshold='600'>idle</rpid:user-input>"
#define ONCE "2020-01-02T03:04:05Z"
	(void)state;
	assert_body("<tuple id='a'>" OPEN IDLE(ONCE) "</tuple>", "[a] available idle=1577934245");
	assert_body("<tuple id='a'>" OPEN "</tuple><dm:person id='p'>" IDLE(ONCE) "</dm:person>", "[a] available idle=1577934245");
	assert_body("<tuple id='a'>" OPEN "</tuple><dm:device id='d'>" IDLE(ONCE) "</dm:device>", "[a] available idle=1577934245");
	assert_body("<tuple id='a'>" OPEN IDLE(ONCE) "</tuple><tuple id='b'>" OPEN "</tuple>",
		    "[a] available idle=1577934245; [b] available");
	assert_body("<tuple id='a'><status><basic>closed</basic></status>" IDLE(ONCE) "</tuple>", "[a] offline");
	assert_body("<tuple id='a'>" OPEN "<rpid:user-input last-input='" ONCE "'>active</rpid:user-input></tuple>", "[a] available");
	assert_body("<tuple id='a'>" OPEN "<rpid:user-input>idle</rpid:user-input></tuple>", "[a] available");
	assert_body("<tuple id='a'>" OPEN IDLE("yesterday") "</tuple>", "[a] available");
}

/* RFC 4481: what a status will be, or was; it holds when its time is. NOW is 2020-09-13T12:26:40Z. */
static void timed(void **state)
{
	static const struct {
		const char *inner, *want;
		int64_t changes_at;
	} rows[] = {
#define TIMED(attrs, x) "<t:timed-status xmlns:t='" PIDF ":timed-status' " attrs ">" x "</t:timed-status>"
#define SHUT "<t:basic>closed</t:basic>"
		{TIMED("from='2020-09-13T12:00:00Z' until='2020-09-13T13:00:00Z'", SHUT), "[a] offline", NOW + 2000},
		{TIMED("from='2020-09-13T14:00:00+02:00' until='2020-09-13T15:00:00+02:00'", SHUT), "[a] offline", NOW + 2000},
		{TIMED("from='2020-09-13T13:00:00Z' until='2020-09-13T14:00:00Z'", SHUT), "[a] available", NOW + 2000},
		{TIMED("from='2020-09-13T11:00:00Z' until='2020-09-13T12:00:00Z'", SHUT), "[a] available", 0},
		{TIMED("from='2020-09-13T12:00:00Z'", SHUT), "[a] offline", 0}, /* from then on */
		{TIMED("from='2020-09-13T12:26:40Z' until='2020-09-13T12:26:41Z'", SHUT), "[a] offline", NOW + 1},
		{TIMED("from='2020-09-13T12:00:00Z' until='2020-09-13T12:26:40Z'", SHUT), "[a] available", 0}, /* until then */
		{TIMED("from='2020-09-13T12:00:00Z' until='2020-09-13T13:00:00Z'",
		       "<t:basic>open</t:basic><rpid:activities><rpid:meeting/></rpid:activities>"),
		 "[a] dnd note(en)=In a meeting", NOW + 2000},
		{TIMED("from='2020-09-13T12:00:00Z' until='2020-09-13T13:00:00Z'", SHUT "<note>asleep</note>") "<note>awake</note>",
		 "[a] offline note(en)=asleep", NOW + 2000},
		/* what makes no sense is not there */
		{TIMED("until='2020-09-13T13:00:00Z'", SHUT), "[a] available", 0},
		{TIMED("from='2020-09-13T12:00:00Z' until='soon'", SHUT), "[a] available", 0},
		{TIMED("from='2020-09-13T13:00:00Z' until='2020-09-13T12:00:00Z'", SHUT), "[a] available", 0},
		/* the nearest of several */
		{TIMED("from='2020-09-13T15:00:00Z'", SHUT) TIMED("from='2020-09-13T13:00:00Z' until='2020-09-13T14:00:00Z'", SHUT),
		 "[a] available", NOW + 2000},
	};
	char doc[2048];
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(doc, sizeof doc, HEAD "<tuple id='a'>" OPEN "%s</tuple></presence>", rows[i].inner);
		struct pidf p = read_doc(slice_str(doc), "en");
		if (strcmp(shown(&p), rows[i].want) || p.changes_at != rows[i].changes_at)
			fail_msg("row %zu: %s, changes at %+lld", i, shown(&p), (long long)(p.changes_at ? p.changes_at - NOW : 0));
		struct entente_err err;
		assert_int_equal(pidf_read(&p, arena, slice_str(doc), SLICE_NONE, 0, &err), 0); /* without a clock: only <status> */
		assert_true(p.items[0].show == PRESENCE_AVAILABLE && !p.changes_at);
	}
	/* the timestamp is the <status>'s */
	assert_body("<tuple id='a'>" OPEN "<timestamp>" ONCE "</timestamp></tuple>", "[a] available @1577934245");
	assert_body("<tuple id='a'>" OPEN TIMED("from='2020-09-13T12:00:00Z'", SHUT) "<timestamp>" ONCE "</timestamp></tuple>",
		    "[a] offline");
}

static void huge_notes(void **state)
{
	char doc[8000];
	(void)state;
	snprintf(doc, sizeof doc, HEAD "<tuple id='a'>" OPEN "<note>%05000d</note></tuple><tuple id='b'>" OPEN
		 "<note>short</note></tuple></presence>", 1);
	struct pidf p = read_doc(slice_str(doc), NULL);
	assert_true(p.cut);
	assert_int_equal(p.count, 2);
	assert_int_equal(p.items[0].notes[0].text.len, PRESENCE_MAX_NOTE - 1 + 3);
	assert_true(slice_ends(p.items[0].notes[0].text, S("0\u2026")));
	assert_true(slice_eq(p.items[1].notes[0].text, S("short"))); /* the neighbour is unharmed */
	assert_false(read_doc(S("<presence xmlns='" PIDF "' entity='x'/>"), NULL).cut);
}

static void display_name(void **state)
{
	struct pidf p = read_doc(S("<presence xmlns='" PIDF "' xmlns:ci='" PIDF ":cipid' entity='x'><ci:display-name> Romeo "
				   "</ci:display-name></presence>"), NULL);
	(void)state;
	assert_true(slice_eq(p.name, S("Romeo")));
	assert_int_equal(read_doc(S("<presence xmlns='" PIDF "' entity='x'/>"), NULL).name.len, 0);
}

static void malformed(void **state)
{
	static const struct slice bad[] = {
		S(""),
		S("   "),
		S("open"),
		S("<presence"),
		S("<presence xmlns='" PIDF "'><tuple></presence>"),
		S("<pidf xmlns='" PIDF "'/>"),
		S("<presence xmlns='" PIDF "'/><presence xmlns='" PIDF "'/>"),
		S("<presence>\xff</presence>"),
		S("<presence>&unknown;</presence>"),
		S("<!DOCTYPE presence [<!ENTITY a 'b'>]><presence xmlns='" PIDF "'>&a;</presence>"),
		S("<presence a='1' a='2'/>"),
		S("\0\0\0\0"),
		S("<?xml version='1.0' encoding='KLINGON'?><presence/>"),
	};
	struct pidf p = {.count = 77};
	struct entente_err err;
	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		if (pidf_read(&p, arena, bad[i], SLICE_NONE, NOW, &err) == 0)
			fail_msg("accepted: %.*s", SFMT(bad[i]));
	assert_int_equal(p.count, 77);
}

/* Whatever the arena cannot hold is missing or refused, never a crash. */
static void small_arena(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 1 << 20);
	buf_puts(&b, HEAD);
	for (int i = 0; i < 200; i++)
		buf_printf(&b, "<tuple id='t%d'>" OPEN "<contact>sip:x@y;gr=%%41%d</contact><note>%0200d</note></tuple>", i, i,
			   i);
	buf_puts(&b, "</presence>");
	for (size_t max = ARENA_BLOCK; max < 20 * ARENA_BLOCK; max += ARENA_BLOCK / 2) {
		struct arena *small = arena_new(max);
		struct pidf p;
		int rc = pidf_read(&p, small, buf_slice(&b), SLICE_NONE, NOW, NULL);
		assert_true(rc == 0 || rc == ENTENTE_ELIMIT);
		arena_release(NULL, small);
	}
	buf_free(&b);
}

/* ---- writing */

static void assert_id(struct slice resource, const char *want)
{
	struct buf b;
	buf_init(&b, 256);
	pidf_tuple_id(&b, resource);
	if (!slice_eq(buf_slice(&b), slice_str(want)))
		fail_msg("%.*s instead of %s", SFMT(buf_slice(&b)), want);
	buf_free(&b);
}

static void tuple_ids(void **state)
{
	char longer[200];
	(void)state;
	assert_id(S("orchard"), "ID-orchard");
	assert_id(S("dr4hcr0st3lup4c"), "ID-dr4hcr0st3lup4c");
	assert_id(S("9lives-._"), "ID-9lives-._");
	assert_id(SLICE_NONE, "ID-bare");
	/* stable, and never what another resource gets */
	assert_id(S("bare"), "ID-9a7a059baa52c9cd");
	assert_id(S("my phone"), "ID-98b66ad62c7ccce3");
	assert_id(S("\xc3\xa9"), "ID-0ac21707b7181e01");
	memset(longer, 'x', sizeof longer);
	struct buf b;
	buf_init(&b, 256);
	pidf_tuple_id(&b, slice_of(longer, sizeof longer));
	assert_int_equal(b.len, 19);
	buf_free(&b);
}

static struct slice write_set(struct presence_set *s, bool hide)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	pidf_write(&b, &(struct pidf_writing){.entity = S("sip:juliet@xmpp.example"), .hide_notes = hide}, s);
	assert_true(buf_ok(&b));
	struct slice doc = arena_dup(arena, buf_slice(&b));
	buf_free(&b);
	parse_xml(arena, doc);
	return doc;
}

static void assert_has(struct slice doc, const char *part)
{
	if (slice_find(doc, slice_str(part)) < 0)
		fail_msg("no %s in\n%.*s", part, SFMT(doc));
}

static void assert_lacks(struct slice doc, const char *part)
{
	if (slice_find(doc, slice_str(part)) >= 0)
		fail_msg("%s in\n%.*s", part, SFMT(doc));
}

static void put(struct presence_set *s, const char *resource, enum presence_show show, int priority, const char *note,
		const char *lang, int64_t stamp)
{
	struct presence_note n = {slice_str(note), slice_str(lang)};
	struct presence_item it = {.resource = slice_str(resource),
				   .show = show,
				   .priority = priority,
				   .notes = &n,
				   .n_notes = note != NULL,
				   .stamp = stamp};
	presence_set_put(s, &it);
}

static void written(void **state)
{
	struct presence_set s = {0};
	struct slice doc;
	(void)state;
	put(&s, "balcony", PRESENCE_DND, 13, "wooing", "en", 1577934245);
	doc = write_set(&s, false);
	assert_has(doc, "<?xml version='1.0' encoding='UTF-8'?>");
	assert_has(doc, "<presence xmlns='urn:ietf:params:xml:ns:pidf'");
	assert_has(doc, "entity='sip:juliet@xmpp.example'");
	assert_has(
		doc,
		"<tuple id='ID-balcony'><status><basic>open</basic><ep:activities><ep:activity>busy</ep:activity></ep:activities>"
		"<show xmlns='jabber:client'>dnd</show></status>"
		"<contact priority='0.102'>sip:juliet@xmpp.example;gr=balcony</contact><note xml:lang='en'>wooing</note>"
		"<timestamp>2020-01-02T03:04:05Z</timestamp></tuple>"); /* the order of RFC 3863's schema */
	assert_has(doc, "<dm:person id='person'><rpid:activities><rpid:busy/></rpid:activities><dm:note "
			"xml:lang='en'>wooing</dm:note></dm:person>");
	doc = write_set(&s, true);
	assert_lacks(doc, "note");
	assert_lacks(doc, "wooing");
	presence_set_free(&s);
}

static void written_rows(void **state)
{
	static const struct {
		enum presence_show show;
		const char *has, *lacks;
	} rows[] = {
		{PRESENCE_AVAILABLE, "<status><basic>open</basic></status>", "person"},
		{PRESENCE_CHAT, "<status><basic>open</basic><show xmlns='jabber:client'>chat</show></status>", "activities"},
		{PRESENCE_AWAY, "<ep:activity>away</ep:activity></ep:activities><show xmlns='jabber:client'>away</show>", "busy"},
		{PRESENCE_XA, "<ep:activity>away</ep:activity></ep:activities><show xmlns='jabber:client'>xa</show>", "busy"},
		{PRESENCE_DND, "<rpid:activities><rpid:busy/></rpid:activities>", "away"},
		{PRESENCE_OFFLINE, "<status><basic>closed</basic></status>", "show"},
	};
	struct presence_set s = {0};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		put(&s, "r", rows[i].show, 0, NULL, NULL, 0);
		struct slice doc = write_set(&s, false);
		assert_has(doc, rows[i].has);
		assert_lacks(doc, rows[i].lacks);
		assert_lacks(doc, "timestamp");
	}
	presence_set_free(&s);
	/* nobody: one closed tuple for the bare address */
	struct slice doc = write_set(&s, false);
	assert_has(doc, "<tuple "
			"id='ID-bare'><status><basic>closed</basic></status><contact>sip:juliet@xmpp.example</contact></tuple></"
			"presence>");
	assert_int_equal(s.count, 0);
}

static void written_priorities(void **state)
{
	struct presence_set s = {0};
	char seen[1001] = {0}, want[64];
	(void)state;
	for (int n = 0; n <= 127; n++) {
		put(&s, "r", PRESENCE_AVAILABLE, n, NULL, NULL, 0);
		struct slice doc = write_set(&s, false);
		int thousandths = (int)(n * 1000.0 / 127.0 + 0.5);
		assert_false(seen[thousandths]); /* each n its own value */
		seen[thousandths] = 1;
		snprintf(want, sizeof want, "<contact priority='%d.%03d'>", thousandths / 1000, thousandths % 1000);
		assert_has(doc, want);
		struct pidf p = read_doc(doc, NULL);
		assert_int_equal(p.items[0].priority, n);
		arena_reset(arena);
	}
	put(&s, "r", PRESENCE_AVAILABLE, -1, NULL, NULL, 0); /* MUST NOT be mapped; the tuple stays */
	struct slice doc = write_set(&s, false);
	assert_has(doc, "<contact>sip:juliet@xmpp.example;gr=r</contact>");
	put(&s, "r", PRESENCE_AVAILABLE, PRESENCE_NO_PRIORITY, NULL, NULL, 0);
	assert_has(write_set(&s, false), "<contact>");
	presence_set_free(&s);
}

/* A reader gives what is said of the person to all tuples that say nothing: the others must not get what the best one says. */
static void person_is_the_best(void **state)
{
	struct presence_set s = {0};
	struct slice doc;
	(void)state;
	put(&s, "idle", PRESENCE_AVAILABLE, 1, NULL, NULL, 0);
	put(&s, "best", PRESENCE_DND, 9, "note of the best", NULL, 0);
	put(&s, "gone", PRESENCE_OFFLINE, 0, NULL, NULL, 0);
	doc = write_set(&s, false);
	assert_true(slice_find(doc, S("ID-best")) < slice_find(doc, S("ID-idle"))); /* old readers take the first */
	assert_true(slice_find(doc, S("ID-idle")) < slice_find(doc, S("ID-gone")));
	assert_has(doc, "<rpid:busy/>");
	assert_lacks(doc, "dm:note>");
	struct pidf p = read_doc(doc, NULL);
	assert_string_equal(shown(&p),
			    "[best] dnd prio=9 note()=note of the best; [idle] available prio=1; [gone] offline prio=0");
	put(&s, "idle", PRESENCE_AVAILABLE, 1, "mine", NULL, 0);
	assert_has(write_set(&s, false), "<dm:note>note of the best</dm:note>");
	presence_set_free(&s);
}

static struct slice write_as(struct presence_set *s, enum pidf_flavour flavour, const char *name, bool hide)
{
	struct pidf_writing w = {
		.entity = S("sip:juliet@xmpp.example"), .name = slice_str(name), .flavour = flavour, .hide_notes = hide};
	struct buf b;
	buf_init(&b, 1 << 20);
	pidf_write(&b, &w, s);
	assert_true(buf_ok(&b));
	struct slice doc = arena_dup(arena, buf_slice(&b));
	buf_free(&b);
	parse_xml(arena, doc);
	return doc;
}

/* What a Lync front end and its clients read: one tuple, first, with a stable id; the draft's activities inside the status; the name
 * last. */
static void written_lync(void **state)
{
	static const struct {
		enum presence_show show;
		const char *status;
	} rows[] = {
		{PRESENCE_CHAT, "<status><basic>open</basic><show xmlns='jabber:client'>chat</show></status>"},
		{PRESENCE_AVAILABLE, "<status><basic>open</basic></status>"},
		{PRESENCE_AWAY, "<status><basic>open</basic><ep:activities><ep:activity>away</ep:activity></ep:activities><show "},
		{PRESENCE_XA, "<status><basic>open</basic><ep:activities><ep:activity>away</ep:activity></ep:activities><show "},
		{PRESENCE_DND, "<status><basic>open</basic><ep:activities><ep:activity>busy</ep:activity></ep:activities><show "},
		{PRESENCE_OFFLINE, "<status><basic>closed</basic></status>"},
	};
	struct presence_set s = {0};
	struct slice doc;
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		put(&s, "desk", rows[i].show, 5, "a note", "en", 0);
		doc = write_as(&s, PIDF_LYNC, "Juliet <C>", false);
		assert_has(doc, rows[i].status);
		assert_has(doc, "entity='sip:juliet@xmpp.example'><tuple id='ID-bare'><status>");
		assert_has(doc, "<contact priority='0.039'>sip:juliet@xmpp.example</contact><note xml:lang='en'>a note</note></tuple>");
		assert_has(doc, "<ci:display-name>Juliet &lt;C&gt;</ci:display-name></presence>");
	}
	put(&s, "phone", PRESENCE_DND, 9, NULL, NULL, 0);
	doc = write_as(&s, PIDF_LYNC, "", false);
	struct pidf p = read_doc(doc, NULL);
	assert_string_equal(shown(&p), "[] dnd prio=9"); /* the best, and its priority and notes, not another's */
	assert_lacks(doc, "a note");
	assert_lacks(doc, "display-name");
	presence_set_free(&s);
	doc = write_as(&s, PIDF_LYNC, "", false);
	assert_has(doc, "<tuple id='ID-bare'><status><basic>closed</basic></status>");
}

static void written_cisco(void **state)
{
	struct presence_set s = {0};
	(void)state;
	put(&s, "desk", PRESENCE_AWAY, 5, NULL, NULL, 0);
	put(&s, "phone", PRESENCE_OFFLINE, 9, NULL, NULL, 0);
	struct slice doc = write_as(&s, PIDF_CISCO, "J", false);
	assert_has(doc, "<dm:person id='person'><status><basic>open</basic></status><rpid:activities><rpid:away/>");
	struct pidf p = read_doc(doc, NULL);
	assert_string_equal(shown(&p), "[] away prio=5");
	assert_lacks(write_as(&s, PIDF_CISCO, "J", true), "display-name");
	presence_set_free(&s);
	p = read_doc(write_as(&s, PIDF_CISCO, "", false), NULL);
	assert_string_equal(shown(&p), "[] offline");
}

static void written_idle(void **state)
{
	struct presence_set s = {0};
	struct presence_item it = {.resource = S("r"), .show = PRESENCE_AWAY, .priority = PRESENCE_NO_PRIORITY, .idle = 1577934245};
	(void)state;
	presence_set_put(&s, &it);
	struct slice doc = write_set(&s, false);
	assert_has(doc, "</status><rpid:user-input last-input='2020-01-02T03:04:05Z'>idle</rpid:user-input><contact>");
	assert_string_equal(shown(&(struct pidf){.items = s.items, .count = 1}), "[r] away idle=1577934245");
	struct pidf p = read_doc(doc, NULL);
	assert_string_equal(shown(&p), "[r] away idle=1577934245");
	it.show = PRESENCE_OFFLINE; /* who is not there is not idle */
	presence_set_put(&s, &it);
	assert_lacks(write_set(&s, false), "user-input");
	presence_set_free(&s);
}

/* Everything there is, out and back in. */
static void round_trip(void **state)
{
	static const char *const strange[] = {
		"r", "bare",	     "ID-bare", "my phone \xc3\xa9", "a/b@c;d=e", "<&>\"'", "%41", "\xf0\x9f\x98\x80",
		"5", "urn:uuid:1-2",
	};
	struct presence_set s = {0};
	(void)state;
	for (enum presence_show show = PRESENCE_OFFLINE; show <= PRESENCE_CHAT; show++)
		for (size_t i = 0; i < COUNT(strange); i++) {
			struct presence_note notes[3] = {{S("caf\xc3\xa9 <&> ]]> \"x\" 'y'"), SLICE_NONE},
							 {S("zwei\nZeilen"), S("de-CH")},
							 {S("1"), S("x-klingon")}};
			struct presence_item it = {.resource = slice_str(strange[i]),
						   .show = show,
						   .priority = (int)i * 12,
						   .notes = notes,
						   .n_notes = i % 4,
						   .stamp = i % 2 ? 1600000000 + (int64_t)i : 0};
			presence_set_put(&s, &it);
			struct slice doc = write_set(&s, false);
			struct pidf p = read_doc(doc, NULL);
			assert_int_equal(p.count, s.count);
			for (size_t k = 0; k < p.count; k++) {
				const struct presence_item *want = presence_set_find(&s, p.items[k].resource), *got = &p.items[k];
				assert_non_null(want);
				if (got->show != want->show || got->priority != want->priority || got->stamp != want->stamp ||
				    got->unsure || !presence_notes_equal(got, want))
					fail_msg("[%.*s] came back as %s\n%.*s", SFMT(want->resource), shown(&p), SFMT(doc));
			}
			arena_reset(arena);
		}
	presence_set_free(&s);
}

static void hostile_text(void **state)
{
	struct presence_set s = {0};
	struct presence_note n = {S("a\0b\x01\x1f</note><tuple id='x'>\xff\xed\xa0\x80]]>&amp;\xef\xbf\xbe\x7f"),
				  S("en' onload='")};
	struct presence_item it = {.resource = S("<r>&'\""), .show = PRESENCE_AWAY, .notes = &n, .n_notes = 1};
	(void)state;
	presence_set_put(&s, &it);
	struct buf b;
	buf_init(&b, 1 << 16);
	pidf_write(&b, &(struct pidf_writing){.entity = S("sip:a'b<c>&\x02@xmpp.example")}, &s);
	assert_true(buf_ok(&b));
	struct pidf p = read_doc(buf_slice(&b), NULL);
	assert_int_equal(p.count, 1);
	assert_true(slice_starts(p.items[0].notes[0].text, S("a\xef\xbf\xbd" "b\xef\xbf\xbd\xef\xbf\xbd</note><tuple id='x'>")));
	assert_int_equal(p.items[0].notes[0].lang.len, 0);
	buf_free(&b);
	presence_set_free(&s);
}

static void buffer_limit(void **state)
{
	struct presence_set s = {0};
	struct buf b;
	(void)state;
	put(&s, "r", PRESENCE_AWAY, 5, "note", NULL, 0);
	for (size_t max = 0; max < 900; max += 7) {
		buf_init(&b, max);
		pidf_write(&b, &(struct pidf_writing){.entity = S("sip:juliet@xmpp.example")}, &s);
		if (buf_ok(&b))
			parse_xml(arena, buf_slice(&b));
		buf_free(&b);
	}
	presence_set_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(basic),
		cmocka_unit_test(several_tuples),
		cmocka_unit_test(tuple_limit),
		cmocka_unit_test(resources),
		cmocka_unit_test(priorities),
		cmocka_unit_test(note_levels),
		cmocka_unit_test(languages),
		cmocka_unit_test(timestamps),
		cmocka_unit_test(activities),
		cmocka_unit_test(precedence),
		cmocka_unit_test(entities),
		cmocka_unit_test(flavours),
		cmocka_unit_test(cisco),
		cmocka_unit_test(idleness),
		cmocka_unit_test(timed),
		cmocka_unit_test(huge_notes),
		cmocka_unit_test(display_name),
		cmocka_unit_test(malformed),
		cmocka_unit_test(small_arena),
		cmocka_unit_test(tuple_ids),
		cmocka_unit_test(written),
		cmocka_unit_test(written_rows),
		cmocka_unit_test(written_lync),
		cmocka_unit_test(written_cisco),
		cmocka_unit_test(written_idle),
		cmocka_unit_test(written_priorities),
		cmocka_unit_test(person_is_the_best),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(hostile_text),
		cmocka_unit_test(buffer_limit),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
