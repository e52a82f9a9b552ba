/* SPDX-License-Identifier: Apache-2.0 */
/* The machine of a SIP user who watches an XMPP contact: the rows of interworking spec 3.2 that are the machine's (RFC 8048 5.3),
 * under a virtual clock. The dialogs are counted only. */
#include <stdio.h>
#include "parse.h"
#include "interwork/sip_watcher.h"

#define UNIX 1600000000

static struct {
	struct timers timers;
	struct sip_watcher *w;
	struct arena *arena;
	struct buf log; /* what the ops were asked for, "; " between */
} t;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	buf_printf(&t.log, "%s%s", t.log.len ? "; " : "", line);
}

/* The document in short: "ID-a:open,dnd ID-b:closed", "-" for none. */
static void say_body(const char *what)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	sip_watcher_body(t.w, &b);
	assert_true(buf_ok(&b));
	say("%s%s", what, b.len ? "" : " -");
	if (b.len) {
		const struct xml_node *doc = parse_xml(t.arena, buf_slice(&b));
		assert_true(slice_eq(xml_attr(doc, S("entity")), S("sip:juliet@xmpp.example")));
		for (const struct xml_node *c = xml_child(doc, S("tuple"), SLICE_NONE); c; c = xml_next_same(c)) {
			const struct xml_node *status = xml_child(c, S("status"), SLICE_NONE),
					      *show = xml_child(status, S("show"), SLICE_NONE),
					      *note = xml_child(c, S("note"), SLICE_NONE);
			buf_printf(&t.log, " %.*s:%.*s", SFMT(xml_attr(c, S("id"))),
				   SFMT(xml_text(xml_child(status, S("basic"), SLICE_NONE), t.arena)));
			if (show)
				buf_printf(&t.log, ",%.*s", SFMT(xml_text(show, t.arena)));
			if (note)
				buf_printf(&t.log, ",'%.*s'", SFMT(xml_text(note, t.arena)));
		}
	}
	buf_free(&b);
}

static void on_stanza(void *arg, enum sip_watcher_stanza kind)
{
	static const char *const names[] = {"subscribe", "probe", "unavailable"};
	assert_ptr_equal(arg, &t);
	say("%s", names[kind]);
}

static void on_notify(void *arg, bool active)
{
	(void)arg;
	assert_int_equal(active, sip_watcher_active(t.w));
	say_body("NOTIFY");
}

static void on_terminate(void *arg, struct slice reason, uint32_t retry_after)
{
	(void)arg;
	say("TERMINATE %.*s %u", SFMT(reason), retry_after);
}

static void on_polled(void *arg)
{
	(void)arg;
	say_body("POLLED");
}

static void on_ignored(void *arg, const char *why)
{
	(void)arg;
	assert_non_null(why);
	say("ignored");
}

static const struct sip_watcher_ops ops = {on_stanza, on_notify, on_terminate, on_polled, on_ignored};
static const struct sip_watcher_config config = {
	.poll_wait_ms = 3000, .poll_more_ms = 500, .link_grace_ms = 60000, .probe_wait_ms = 30000};

static void make(void)
{
	t.w = sip_watcher_free(t.w);
	t.w = sip_watcher_new(&ops, &t, &t.timers, &config, S("sip:juliet@xmpp.example"));
	buf_clear(&t.log);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	timers_init(&t.timers, 1000000);
	t.arena = arena_new(4 << 20);
	buf_init(&t.log, 1 << 20);
	make();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	t.w = sip_watcher_free(t.w);
	assert_int_equal(t.timers.count, 0);
	timers_free(&t.timers);
	buf_free(&t.log);
	t.arena = arena_release(NULL, t.arena);
	return 0;
}

#define expect(want) expect_((want), __LINE__)
static void expect_(const char *want, int line)
{
	if (!slice_eq(buf_slice(&t.log), slice_str(want)))
		fail_msg("line %d: \"%.*s\" instead of \"%s\"", line, SFMT(buf_slice(&t.log)), want);
	buf_clear(&t.log);
}

static void pass(uint64_t ms)
{
	for (uint64_t until = t.timers.now + ms;;) {
		uint64_t next = timers_next(&t.timers);
		if (next > until) {
			timers_set_now(&t.timers, until);
			return;
		}
		timers_run(&t.timers, next);
	}
}

/* A presence stanza of the contact. */
static void presence(const char *resource, const char *type, const char *inner)
{
	char doc[4096];
	snprintf(doc, sizeof doc,
		 "<presence xmlns='jabber:server' from='juliet@xmpp.example%s%s' to='romeo@example.net'%s%s%s>%s</presence>",
		 *resource ? "/" : "", resource, type ? " type='" : "", type ? type : "", type ? "'" : "", inner);
	struct slice copy = arena_dup(t.arena, slice_str(doc));
	sip_watcher_presence_in(t.w, parse_xml(t.arena, copy), arena_dup(t.arena, slice_str(resource)), t.arena, UNIX);
}

static void error(const char *resource, const char *condition)
{
	char inner[256];
	snprintf(inner, sizeof inner, "<error type='cancel'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
		 condition);
	presence(resource, "error", inner);
}

static void activate(void)
{
	sip_watcher_opened(t.w);
	presence("", "subscribed", "");
	presence("balcony", NULL, "");
	expect("subscribe; NOTIFY -; probe; NOTIFY ID-balcony:open");
}

/* ---- the way to ACTIVE */

static void approved(void **state)
{
	(void)state;
	assert_true(sip_watcher_idle(t.w));
	sip_watcher_opened(t.w);
	expect("subscribe"); /* the probe of a stranger would be answered "unsubscribed" */
	assert_false(sip_watcher_idle(t.w));
	assert_false(sip_watcher_active(t.w));
	struct buf b;
	buf_init(&b, 100);
	sip_watcher_body(t.w, &b);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	presence("", "subscribed", "");
	expect("NOTIFY -; probe"); /* active, nothing known yet */
	assert_true(sip_watcher_active(t.w));
	presence("", "subscribed", ""); /* once more */
	expect("");
	presence("balcony", NULL, "<show>dnd</show><status>x</status><priority>5</priority>");
	expect("NOTIFY ID-balcony:open,dnd,'x'");
}

static void presence_implies_approval(void **state)
{
	(void)state;
	sip_watcher_opened(t.w);
	presence("balcony", NULL, "<show>away</show>");
	expect("subscribe; NOTIFY ID-balcony:open,away");
	presence("", "subscribed", "");
	expect("");
	make();
	sip_watcher_opened(t.w);
	presence("balcony", "unavailable", "");
	expect("subscribe; NOTIFY ID-bare:closed");
	assert_true(sip_watcher_active(t.w));
}

/* Prosody says "unavailable" when it has taken note of the request. */
static void unavailable_is_no_approval(void **state)
{
	(void)state;
	sip_watcher_opened(t.w);
	presence("", "unavailable", "");
	expect("subscribe");
	assert_false(sip_watcher_active(t.w));
	presence("", "subscribed", "");
	expect("NOTIFY ID-bare:closed; probe");
}

static void denied(void **state)
{
	(void)state;
	sip_watcher_opened(t.w);
	presence("", "unsubscribed", "");
	expect("subscribe; TERMINATE rejected 0");
	assert_true(sip_watcher_idle(t.w));
	presence("", "unsubscribed", "");
	presence("balcony", NULL, ""); /* nobody looks any more */
	expect("");
	assert_false(sip_watcher_active(t.w));
	activate();
	presence("", "unsubscribed", ""); /* taken back */
	expect("TERMINATE rejected 0");
	assert_int_equal(sip_watcher_presence(t.w)->count, 0);
}

static void errors(void **state)
{
	static const struct {
		const char *condition, *pending, *active;
	} rows[] = {
		{"item-not-found", "TERMINATE noresource 0", "TERMINATE noresource 0"},
		{"remote-server-not-found", "TERMINATE noresource 0", "TERMINATE noresource 0"},
		{"gone", "TERMINATE noresource 0", "TERMINATE noresource 0"},
		{"redirect", "TERMINATE noresource 0", "TERMINATE noresource 0"},
		{"remote-server-timeout", "TERMINATE probation 300", "TERMINATE probation 300"},
		{"recipient-unavailable", "TERMINATE probation 300", "TERMINATE probation 300"},
		{"forbidden", "TERMINATE rejected 0", "TERMINATE rejected 0"},
		{"not-allowed", "TERMINATE rejected 0", "TERMINATE rejected 0"},
		{"policy-violation", "TERMINATE rejected 0", "TERMINATE rejected 0"},
		{"service-unavailable", "TERMINATE rejected 0", "TERMINATE rejected 0"},
		{"not-authorized", "TERMINATE rejected 0", "TERMINATE rejected 0"},
		/* the request got lost somewhere: it must not stay pending for an hour */
		{"resource-constraint", "TERMINATE probation 300", ""},
		{"internal-server-error", "TERMINATE probation 300", ""},
		{"undefined-condition", "", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		make();
		sip_watcher_opened(t.w);
		buf_clear(&t.log);
		error("", rows[i].condition);
		expect(rows[i].pending);
		assert_int_equal(sip_watcher_idle(t.w), rows[i].pending[0] != 0);
		make();
		activate();
		error("", rows[i].condition);
		expect(rows[i].active);
	}
}

/* ---- states */

static void resources(void **state)
{
	(void)state;
	activate();
	presence("balcony", NULL, "");
	expect(""); /* twice the same */
	presence("phone", NULL, "<show>xa</show><priority>10</priority>");
	expect("NOTIFY ID-phone:open,xa ID-balcony:open"); /* all of them, the best first */
	presence("balcony", NULL, "<show>chat</show><priority>20</priority>");
	expect("NOTIFY ID-balcony:open,chat ID-phone:open,xa");
	presence("phone", "unavailable", "<status>bye</status>");
	expect("NOTIFY ID-balcony:open,chat");
	presence("phone", "unavailable", "");
	expect("");
	presence("balcony", "unavailable", "");
	expect("NOTIFY ID-bare:closed");
	presence("a", NULL, "");
	presence("b", NULL, "");
	buf_clear(&t.log);
	presence("", "unavailable", ""); /* of the bare address: all; but nobody said good-bye */
	expect("probe");
	presence("", "unavailable", "");
	expect("NOTIFY ID-bare:closed");
	presence("", "unavailable", "");
	expect("");
	presence("a", "invisible", "");
	presence("a", "subscribe", "");
	expect("");
}

/* Prosody sends what it queued while it connected after what came later: here its answer to the request, after the approval. */
static void early_answer_late(void **state)
{
	(void)state;
	sip_watcher_opened(t.w);
	presence("", "subscribed", "");
	presence("balcony", NULL, "");
	buf_clear(&t.log);
	presence("", "unavailable", "");
	expect("probe"); /* still shown */
	presence("balcony", NULL, "");
	presence("", "unavailable", ""); /* and once more, against what the probe has found */
	expect("probe");
	presence("balcony", NULL, "");
	pass(3600000);
	expect("");
	/* a contact without resources, a gateway for example, may well say so */
	make();
	sip_watcher_opened(t.w);
	presence("", "subscribed", "");
	presence("", NULL, "");
	buf_clear(&t.log);
	presence("", "unavailable", "");
	expect("NOTIFY ID-bare:closed");
}

static void storm(void **state)
{
	(void)state;
	activate();
	for (int i = 0; i < 1000; i++)
		presence("balcony", NULL, "<show>dnd</show><status>x</status>");
	expect("NOTIFY ID-balcony:open,dnd,'x'");
	/* more resources than we keep */
	for (int i = 0; i < 100; i++) {
		char r[16];
		snprintf(r, sizeof r, "r%d", i);
		presence(r, NULL, "");
		buf_clear(&t.log);
		arena_reset(t.arena);
	}
	assert_int_equal(sip_watcher_presence(t.w)->count, PRESENCE_MAX_ITEMS);
}

static void reads(void **state)
{
	static const struct {
		const char *inner, *type;
		enum presence_show show;
		int priority;
		int64_t stamp;
	} rows[] = {
		{"", NULL, PRESENCE_AVAILABLE, 0, UNIX},
		{"<show>away</show>", NULL, PRESENCE_AWAY, 0, UNIX},
		{"<show> xa\n</show>", NULL, PRESENCE_XA, 0, UNIX},
		{"<show>dnd</show><priority>-128</priority>", NULL, PRESENCE_DND, -128, UNIX},
		{"<show>chat</show><priority> 127 </priority>", NULL, PRESENCE_CHAT, 127, UNIX},
		{"<show>lunch</show><priority>128</priority>", NULL, PRESENCE_AVAILABLE, 0, UNIX},
		{"<show/><priority>high</priority>", NULL, PRESENCE_AVAILABLE, 0, UNIX},
		{"<priority>99999999999999999999</priority>", NULL, PRESENCE_AVAILABLE, 0, UNIX},
		{"<show>chat</show>", "unavailable", PRESENCE_OFFLINE, 0, UNIX},
		{"<delay xmlns='urn:xmpp:delay' stamp='2020-01-02T05:04:05.5+02:00'/>", NULL, PRESENCE_AVAILABLE, 0, 1577934245},
		{"<delay xmlns='urn:xmpp:delay' stamp='now'/>", NULL, PRESENCE_AVAILABLE, 0, UNIX},
	};
	struct presence_item it;
	char doc[512];
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(doc, sizeof doc, "<presence xmlns='jabber:server'%s>%s</presence>",
			 rows[i].type ? " type='unavailable'" : "", rows[i].inner);
		sip_watcher_read(parse_xml(t.arena, slice_str(doc)), S("r"), t.arena, UNIX, &it);
		if (it.show != rows[i].show || it.priority != rows[i].priority || it.stamp != rows[i].stamp || it.n_notes)
			fail_msg("%s: %d %d %lld", doc, it.show, it.priority, (long long)it.stamp);
	}
	sip_watcher_read(
		parse_xml(t.arena,
			  S("<presence xmlns='jabber:server' xml:lang='en'><status>out</status><status xml:lang='de'>weg</status>"
			    "<status xml:lang='en'>again</status><status xml:lang='fr'/></presence>")),
		S("r"), t.arena, UNIX, &it);
	assert_int_equal(it.n_notes, 2);
	assert_true(slice_eq(it.notes[0].text, S("out")) && slice_eq(it.notes[0].lang, S("en")));
	assert_true(slice_eq(it.notes[1].text, S("weg")) && slice_eq(it.notes[1].lang, S("de")));
	assert_true(slice_eq(it.resource, S("r")));
}

/* A document larger than what it is written into says less, but something. */
static void large_body(void **state)
{
	char inner[1200], resource[300];
	struct buf b;
	(void)state;
	sip_watcher_opened(t.w);
	for (int i = 0; i < PRESENCE_MAX_ITEMS; i++) {
		snprintf(inner, sizeof inner, "<status>%0900d</status><priority>%d</priority>", i, i);
		memset(resource, 'r', sizeof resource);
		snprintf(resource + 290, 10, "%d", i);
		presence(resource, NULL, inner);
		buf_clear(&t.log);
	}
	buf_init(&b, 1 << 20);
	sip_watcher_body(t.w, &b);
	assert_true(slice_find(buf_slice(&b), S("note")) > 0);
	size_t whole = b.len;
	buf_free(&b);
	buf_init(&b, whole - 1);
	sip_watcher_body(t.w, &b);
	assert_true(buf_ok(&b) && slice_find(buf_slice(&b), S("note")) < 0);
	parse_xml(t.arena, buf_slice(&b));
	buf_free(&b);
	buf_init(&b, 2000);
	sip_watcher_body(t.w, &b);
	assert_true(buf_ok(&b) && b.len > 0);
	parse_xml(t.arena, buf_slice(&b));
	buf_free(&b);
	buf_init(&b, 100);
	sip_watcher_body(t.w, &b);
	assert_false(buf_ok(&b));
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void huge_note(void **state)
{
	char inner[4200];
	(void)state;
	activate();
	snprintf(inner, sizeof inner, "<status>%03000d</status>", 7);
	presence("balcony", NULL, inner);
	assert_true(slice_starts(buf_slice(&t.log), S("ignored; NOTIFY ID-balcony:open,'0000")));
	assert_true(slice_ends(buf_slice(&t.log), S("000\u2026'")));
	buf_clear(&t.log);
	presence("tower", NULL, "<status>short</status>"); /* the neighbour is unharmed */
	assert_true(slice_find(buf_slice(&t.log), S("ID-tower:open,'short'")) > 0);
}

static struct slice body_now(void)
{
	struct buf b;
	buf_init(&b, 1 << 20);
	sip_watcher_body(t.w, &b);
	struct slice doc = arena_dup(t.arena, buf_slice(&b));
	buf_free(&b);
	return doc;
}

/* XEP-0172: the name that the contact gives itself, once it may be seen; a presence without one takes nothing back. */
static void nick(void **state)
{
	static const char named[] = "<nick xmlns='http://jabber.org/protocol/nick'> Juliet &lt;C.&gt;\n </nick>";
	(void)state;
	activate();
	presence("balcony", NULL, named);
	expect("NOTIFY ID-balcony:open");
	assert_true(slice_find(body_now(), S("<ci:display-name>Juliet &lt;C.&gt;</ci:display-name></presence>")) > 0);
	presence("balcony", NULL, named);
	expect("");
	presence("balcony", NULL, "<show>away</show>");
	assert_true(slice_find(body_now(), S("display-name")) > 0);
	presence("balcony", NULL, "<nick xmlns='http://jabber.org/protocol/nick'>Capulet</nick><show>away</show>");
	assert_true(slice_find(body_now(), S(">Capulet<")) > 0);
	make(); /* a request's name is nobody's, until the contact has approved */
	sip_watcher_opened(t.w);
	presence("", "subscribe", named);
	assert_int_equal(body_now().len, 0);
	presence("balcony", NULL, "");
	assert_true(slice_find(body_now(), S("display-name")) < 0);
}

/* One tuple for a home whose clients read one; more for others. */
static void flavours(void **state)
{
	(void)state;
	activate();
	presence("tower", NULL, "<show>dnd</show><priority>7</priority>");
	expect("NOTIFY ID-tower:open,dnd ID-balcony:open");
	sip_watcher_set_flavour(t.w, PIDF_LYNC);
	presence("tower", NULL, "<show>away</show><priority>7</priority>");
	expect("NOTIFY ID-bare:open,away");
	presence("tower", "unavailable", "");
	expect("NOTIFY ID-bare:open"); /* the same tuple, whoever speaks */
}

static void language(void **state)
{
	(void)state;
	activate();
	assert_int_equal(sip_watcher_language(t.w).len, 0);
	presence("balcony", NULL, "<status xml:lang='de'>weg</status>");
	assert_true(slice_eq(sip_watcher_language(t.w), S("de")));
	presence("balcony", NULL, "<status xml:lang='de'>weg</status><status xml:lang='en'>away</status>");
	assert_int_equal(sip_watcher_language(t.w).len, 0);
}

/* Who is known to be nowhere need not be watched for by the other side. */
static void contact_gone(void **state)
{
	(void)state;
	sip_watcher_opened(t.w);
	assert_false(sip_watcher_contact_gone(t.w)); /* not approved: nobody knows */
	presence("", "subscribed", "");
	assert_false(sip_watcher_contact_gone(t.w)); /* not heard of */
	presence("balcony", NULL, "");
	assert_false(sip_watcher_contact_gone(t.w));
	presence("balcony", "unavailable", "");
	assert_true(sip_watcher_contact_gone(t.w));
	sip_watcher_link(t.w, false);
	assert_false(sip_watcher_contact_gone(t.w));
	pass(60000);
	assert_false(sip_watcher_contact_gone(t.w)); /* shown closed, but not known */
	sip_watcher_link(t.w, true);
	presence("", "unavailable", "");
	pass(30000);
	assert_true(sip_watcher_contact_gone(t.w));
}

/* ---- dialogs */

static void several_dialogs(void **state)
{
	(void)state;
	activate();
	sip_watcher_opened(t.w);
	expect(""); /* one XMPP subscription for all */
	sip_watcher_closed(t.w);
	expect("");
	presence("balcony", NULL, "<show>away</show>");
	expect("NOTIFY ID-balcony:open,away");
	sip_watcher_closed(t.w);
	expect("unavailable"); /* the last one; not unsubscribe (RFC 8048 5.3.3) */
	assert_true(sip_watcher_idle(t.w));
	presence("balcony", NULL, "");
	expect("");
	sip_watcher_closed(t.w);
	expect("");
	/* again: asked anew, the approval comes by itself */
	activate();
}

/* ---- polls */

static void poll(void **state)
{
	(void)state;
	/* nothing known, nobody answers */
	sip_watcher_poll(t.w);
	expect("probe");
	assert_false(sip_watcher_idle(t.w));
	sip_watcher_poll(t.w);
	expect("");
	pass(2999);
	expect("");
	pass(1);
	expect("POLLED -");
	assert_true(sip_watcher_idle(t.w));
	/* several resources answer */
	sip_watcher_poll(t.w);
	presence("a", NULL, "");
	pass(100);
	presence("b", NULL, "<show>dnd</show>");
	pass(399);
	expect("probe");
	pass(1);
	expect("POLLED ID-a:open ID-b:open,dnd");
	assert_true(sip_watcher_idle(t.w));
	/* what was heard then is not known for ever */
	sip_watcher_poll(t.w);
	expect("probe");
	pass(2700); /* late, but in time */
	presence("a", NULL, "");
	pass(300);
	expect("POLLED ID-a:open");
	/* nobody is there */
	sip_watcher_poll(t.w);
	presence("", "unavailable", "");
	expect("probe; POLLED ID-bare:closed");
	/* no such user, no permission */
	sip_watcher_poll(t.w);
	error("", "item-not-found");
	expect("probe; POLLED -");
	sip_watcher_poll(t.w);
	presence("", "unsubscribed", "");
	expect("probe; POLLED -");
	pass(10000);
	expect("");
}

static void poll_beside_dialogs(void **state)
{
	(void)state;
	sip_watcher_opened(t.w);
	sip_watcher_poll(t.w);
	expect("subscribe; POLLED -"); /* a probe now would end the request */
	presence("", "subscribed", "");
	expect("NOTIFY -; probe");
	sip_watcher_poll(t.w);
	expect("probe");
	presence("a", NULL, "");
	expect("NOTIFY ID-a:open");
	pass(500);
	expect("POLLED ID-a:open");
	sip_watcher_poll(t.w);
	expect("POLLED ID-a:open"); /* from what is known */
	/* the dialogs end while a poll waits */
	sip_watcher_closed(t.w);
	expect("unavailable");
	sip_watcher_poll(t.w);
	sip_watcher_opened(t.w);
	expect("probe; subscribe");
	presence("", "unsubscribed", "");
	expect("TERMINATE rejected 0; POLLED -");
}

/* ---- the link */

static void link_lost(void **state)
{
	(void)state;
	sip_watcher_link(t.w, false); /* nobody looks */
	sip_watcher_link(t.w, true);
	expect("");
	activate();
	presence("phone", NULL, "<status>secret</status>");
	buf_clear(&t.log);
	sip_watcher_link(t.w, false);
	pass(30000);
	sip_watcher_link(t.w, false); /* the next attempt failed too: the minute counts from the first */
	pass(29999);
	expect("");
	pass(1);
	expect("NOTIFY ID-bare:closed"); /* no stale "available", no note */
	sip_watcher_link(t.w, false);
	pass(600000);
	expect("");
	assert_true(sip_watcher_active(t.w));
	sip_watcher_link(t.w, true);
	expect("probe");
	presence("phone", NULL, "");
	expect("NOTIFY ID-phone:open"); /* and nothing of the other one */
	pass(600000);
	expect("");
}

static void link_back_in_time(void **state)
{
	(void)state;
	activate();
	presence("phone", NULL, "");
	buf_clear(&t.log);
	sip_watcher_link(t.w, false);
	pass(20000);
	sip_watcher_link(t.w, true);
	expect("probe");
	presence("balcony", NULL, "");
	expect(""); /* as before */
	pass(29999);
	expect("");
	pass(1);
	expect("NOTIFY ID-balcony:open"); /* the phone has not confirmed: it went while the stream was down */
	/* nobody answers at all */
	sip_watcher_link(t.w, false);
	sip_watcher_link(t.w, true);
	expect("probe");
	pass(30000);
	expect("NOTIFY ID-bare:closed");
	presence("balcony", NULL, "");
	expect("NOTIFY ID-balcony:open");
	/* all confirmed: nothing to say; lost again while asked: a minute again */
	sip_watcher_link(t.w, false);
	sip_watcher_link(t.w, true);
	presence("balcony", NULL, "");
	pass(10000);
	sip_watcher_link(t.w, false);
	pass(59999);
	expect("probe");
	sip_watcher_link(t.w, true);
	presence("balcony", NULL, "");
	pass(100000);
	expect("probe");
	/* gone, says the server */
	sip_watcher_link(t.w, false);
	sip_watcher_link(t.w, true);
	presence("", "unavailable", "");
	pass(100000);
	expect("probe; NOTIFY ID-bare:closed");
}

/* Our stream to the partner fails, the partner's to us does not. */
static void heard_while_lost(void **state)
{
	(void)state;
	activate();
	sip_watcher_link(t.w, false);
	pass(59000);
	presence("balcony", NULL, "");
	pass(59000);
	expect("");
}

static void link_pending(void **state)
{
	(void)state;
	sip_watcher_opened(t.w);
	sip_watcher_link(t.w, false);
	pass(100000);
	expect("subscribe"); /* nothing was shown, nothing is stale */
	sip_watcher_link(t.w, true);
	expect("subscribe"); /* the first may have been lost */
	presence("", "subscribed", "");
	presence("a", NULL, "");
	expect("NOTIFY ID-bare:closed; probe; NOTIFY ID-a:open");
}

/* ---- restart */

static void restored(void **state)
{
	(void)state;
	sip_watcher_restored(t.w, true);
	expect("probe"); /* no subscribe: nobody is asked again */
	sip_watcher_restored(t.w, true);
	expect("");
	assert_true(sip_watcher_active(t.w));
	presence("balcony", NULL, "<show>away</show>");
	expect("NOTIFY ID-balcony:open,away");
	pass(100000);
	expect("");
	sip_watcher_closed(t.w);
	expect("");
	sip_watcher_closed(t.w);
	expect("unavailable");
}

static void restored_unanswered(void **state)
{
	(void)state;
	sip_watcher_restored(t.w, true);
	pass(29999);
	expect("probe");
	pass(1);
	expect("NOTIFY ID-bare:closed");
	presence("balcony", NULL, "");
	expect("NOTIFY ID-balcony:open");
	make();
	sip_watcher_restored(t.w, true);
	presence("", "unsubscribed", ""); /* taken back meanwhile */
	expect("probe; TERMINATE rejected 0");
}

/* A server that could not reach us for a while throws its answers away. */
static void asked_again(void **state)
{
	static const struct sip_watcher_config asking = {.link_grace_ms = 60000, .probe_wait_ms = 30000, .probe_again_ms = 5000};
	(void)state;
	t.w = sip_watcher_free(t.w);
	t.w = sip_watcher_new(&ops, &t, &t.timers, &asking, S("sip:juliet@xmpp.example"));
	sip_watcher_restored(t.w, true);
	pass(4999);
	expect("probe");
	pass(1);
	expect("probe");
	pass(10000);
	expect("probe");
	presence("balcony", NULL, "");
	expect("NOTIFY ID-balcony:open");
	pass(3600000);
	expect("");
	/* nobody ever answers: closed after a while, and an end of asking */
	sip_watcher_link(t.w, true);
	pass(34999);
	expect("probe; probe; probe; NOTIFY ID-bare:closed");
	pass(1275000 - 34999);
	expect("probe; probe; probe; probe; probe; probe");
	pass(86400000);
	expect("");
	presence("balcony", NULL, "");
	expect("NOTIFY ID-balcony:open");
	/* the stream is lost again: whoever brings it back asks */
	sip_watcher_link(t.w, true);
	sip_watcher_link(t.w, false);
	expect("probe");
	pass(50000);
	expect("");
	sip_watcher_link(t.w, true);
	expect("probe");
	sip_watcher_closed(t.w);
	pass(86400000);
	expect("unavailable");
}

static void restored_pending(void **state)
{
	(void)state;
	sip_watcher_restored(t.w, false);
	expect("subscribe");
	pass(100000);
	expect("");
	sip_watcher_restored(t.w, true); /* of another device */
	expect("probe");
	presence("a", NULL, "");
	expect("NOTIFY ID-a:open");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(approved),
		TEST(presence_implies_approval),
		TEST(unavailable_is_no_approval),
		TEST(denied),
		TEST(errors),
		TEST(resources), TEST(early_answer_late),
		TEST(storm),
		TEST(reads),
		TEST(large_body),
		TEST(huge_note),
		TEST(nick),
		TEST(flavours),
		TEST(language),
		TEST(contact_gone),
		TEST(several_dialogs),
		TEST(poll),
		TEST(poll_beside_dialogs),
		TEST(link_lost),
		TEST(link_back_in_time),
		TEST(heard_while_lost),
		TEST(link_pending),
		TEST(restored),
		TEST(restored_unanswered),
		TEST(asked_again),
		TEST(restored_pending),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
