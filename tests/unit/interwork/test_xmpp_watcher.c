/* SPDX-License-Identifier: Apache-2.0 */
/* The machine of an XMPP user who watches a SIP user: every row of interworking spec 3.1 (RFC 8048 5.2, RFC 6665 4.1), under a
 * virtual clock. */
#include <stdio.h>
#include "parse.h"
#include "base/buf.h"
#include "interwork/xmpp_watcher.h"

#define UNIX 1600000000

static struct {
	struct timers timers;
	struct xmpp_watcher *w;
	struct buf log; /* what the ops were asked for, "; " between */
	bool no_home;   /* subscribe fails at once */
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

static void on_subscribe(void *arg, uint32_t expires)
{
	assert_ptr_equal(arg, &t);
	say("SUBSCRIBE %u", expires);
	if (t.no_home)
		xmpp_watcher_rejected(t.w, 0, 0);
}

static void on_unsubscribe(void *arg)
{
	(void)arg;
	say("UNSUBSCRIBE");
}

static void on_stanza(void *arg, enum xmpp_watcher_stanza kind, const struct presence_item *it)
{
	static const char *const names[] = {"unavailable", "xa", "away", "dnd", "available", "chat"};
	char note[256] = "", delay[32] = "";
	(void)arg;
	if (kind != XMPP_WATCHER_PRESENCE) {
		assert_null(it);
		say("%s", kind == XMPP_WATCHER_SUBSCRIBED ? "subscribed" : "unsubscribed");
		return;
	}
	for (size_t i = 0, n = 0; i < it->n_notes; i++)
		n += (size_t)snprintf(note + n, sizeof note - n, " '%.*s'", SFMT(it->notes[i].text));
	if (it->stamp)
		snprintf(delay, sizeof delay, " @%lld", (long long)it->stamp);
	if (it->idle)
		snprintf(delay + strlen(delay), sizeof delay - strlen(delay), " idle%lld", (long long)it->idle - UNIX);
	say("%s%s%.*s%s%s", names[it->show], it->resource.len ? "/" : "", SFMT(it->resource), note, delay);
}

static void on_authorise(void *arg, bool yes)
{
	(void)arg;
	say(yes ? "+auth" : "-auth");
}

static void on_refresh(void *arg)
{
	(void)arg;
	say("REFRESH");
}

static void on_ignored(void *arg, const char *why)
{
	(void)arg;
	assert_non_null(why);
	say("ignored");
}

static const struct xmpp_watcher_ops ops = {on_subscribe, on_unsubscribe, on_stanza, on_authorise, on_refresh, on_ignored};
static const struct xmpp_watcher_config config = {.expires = 3600, .backoff_min_s = 30, .backoff_max_s = 3600};

static void make(const struct xmpp_watcher_config *c, bool authorised)
{
	t.w = xmpp_watcher_free(t.w);
	t.w = xmpp_watcher_new(&ops, &t, &t.timers, c, S("sip:romeo@example.net"), authorised);
	buf_clear(&t.log);
}

static int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	timers_init(&t.timers, 1000000);
	buf_init(&t.log, 1 << 16);
	make(&config, false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	t.w = xmpp_watcher_free(t.w);
	assert_int_equal(t.timers.count, 0);
	timers_free(&t.timers);
	buf_free(&t.log);
	return 0;
}

/* What was done since the last look. */
#define expect(want) expect_((want), __LINE__)
static void expect_(const char *want, int line)
{
	if (!slice_eq(buf_slice(&t.log), slice_str(want)))
		fail_msg("line %d: \"%.*s\" instead of \"%s\"", line, SFMT(buf_slice(&t.log)), want);
	buf_clear(&t.log);
}

#define expect_state(want) assert_string_equal(xmpp_watcher_state_name(xmpp_watcher_state(t.w)), (want))

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

/* Nothing happens in less than `from` seconds, but before `to`. */
static void expect_retry(uint32_t from, uint32_t to)
{
	pass((uint64_t)from * 1000 - 1);
	expect("");
	expect_state("wait");
	pass((uint64_t)(to - from) * 1000 + 1);
	expect("SUBSCRIBE 3600");
	expect_state("trying");
}

#define OPEN(id, more) "<tuple id='" id "'><status><basic>open</basic>" more "</status></tuple>"
#define SHUT(id) "<tuple id='" id "'><status><basic>closed</basic></status></tuple>"
#define SHOW(s) "<show xmlns='jabber:client'>" s "</show>"

static int notify_full(enum xmpp_watcher_substate state, const char *reason, uint32_t retry_after, const char *type,
		       const char *body)
{
	return xmpp_watcher_notify(t.w, state, slice_str(reason), retry_after, slice_str(type), S("en"), slice_str(body), UNIX);
}

static int notify_as(enum xmpp_watcher_substate state, const char *entity, const char *tuples)
{
	char doc[8192];
	assert_true(snprintf(doc, sizeof doc, "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='%s'>%s</presence>", entity,
			     tuples) < (int)sizeof doc);
	return notify_full(state, NULL, 0, "application/pidf+xml", doc);
}

static void notify(const char *tuples)
{
	assert_int_equal(notify_as(SUBSTATE_ACTIVE, "sip:romeo@example.net", tuples), 200);
}

static void notify_empty(enum xmpp_watcher_substate state)
{
	assert_int_equal(notify_full(state, NULL, 0, NULL, NULL), 200);
}

static void terminated(const char *reason, uint32_t retry_after)
{
	assert_int_equal(notify_full(SUBSTATE_TERMINATED, reason, retry_after, NULL, NULL), 200);
}

/* ACTIVE, "orchard" available. */
static void activate(void)
{
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	expect_state("active");
	buf_clear(&t.log);
}

/* ---- the way to ACTIVE */

static void subscribe(void **state)
{
	(void)state;
	expect_state("none");
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	expect_state("trying");
	xmpp_watcher_accepted(t.w);
	expect(""); /* 2xx is not approval (RFC 8048 5.2.1) */
	expect_state("neutral");
	notify_empty(SUBSTATE_PENDING);
	expect(""); /* MUST */
	expect_state("neutral");
	notify(OPEN("orchard", SHOW("away")));
	expect("+auth; subscribed; away/orchard");
	expect_state("active");
	assert_true(xmpp_watcher_authorised(t.w));
	notify(OPEN("orchard", SHOW("dnd")));
	expect("dnd/orchard"); /* subscribed only once */
	assert_int_equal(xmpp_watcher_presence(t.w)->count, 1);
}

/* A NOTIFY may overtake the answer to SUBSCRIBE. */
static void notify_first(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	notify(OPEN("orchard", ""));
	expect("SUBSCRIBE 3600; +auth; subscribed; available/orchard");
	xmpp_watcher_accepted(t.w);
	expect("");
	expect_state("active");
}

static void active_without_body(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_accepted(t.w);
	buf_clear(&t.log);
	notify_empty(SUBSTATE_ACTIVE);
	expect("+auth; subscribed; unavailable"); /* unknown or closed */
	notify_empty(SUBSTATE_ACTIVE);
	expect("");
	notify(OPEN("a", "") OPEN("b", ""));
	expect("available/a; available/b");
	notify_empty(SUBSTATE_ACTIVE);
	expect("unavailable/a; unavailable/b");
}

static void subscribed_twice(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	xmpp_watcher_subscribe(t.w); /* from another resource */
	expect("");
	xmpp_watcher_accepted(t.w);
	xmpp_watcher_subscribe(t.w);
	expect("");
	notify(OPEN("orchard", "") OPEN("desk", SHOW("xa")));
	buf_clear(&t.log);
	xmpp_watcher_subscribe(t.w);
	expect("subscribed; available/orchard; xa/desk"); /* no second dialog */
	expect_state("active");
}

/* ---- refusals */

static void refused(void **state)
{
	static const int statuses[] = {403, 489, 603, 404, 604, 401, 407, 501};
	(void)state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		make(&config, false);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_rejected(t.w, statuses[i], 0);
		expect("SUBSCRIBE 3600; unsubscribed");
		expect_state("none");
		pass(86400000);
		expect("");
		/* and when there was an authorisation */
		make(&config, true);
		activate();
		xmpp_watcher_rejected(t.w, statuses[i], 0);
		expect("unavailable/orchard; -auth; unsubscribed");
		assert_false(xmpp_watcher_authorised(t.w));
	}
	/* after a restart nobody knows what the watcher was shown */
	make(&config, true);
	xmpp_watcher_resume(t.w, 1000);
	pass(1000);
	xmpp_watcher_rejected(t.w, 403, 0);
	expect("SUBSCRIBE 3600; unavailable; -auth; unsubscribed");
}

static void transient(void **state)
{
	static const int statuses[] = {408, 480, 500, 502, 503, 504, 600, 423, 302, 0};
	(void)state;
	for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
		make(&config, true);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_rejected(t.w, statuses[i], 0);
		expect("subscribed; SUBSCRIBE 3600");
		expect_state("wait");
		assert_true(xmpp_watcher_authorised(t.w));
		expect_retry(24, 36); /* 30 s, +-20 % */
	}
}

static void back_off(void **state)
{
	uint32_t s = 30;
	uint64_t differs = 0, first = 0;
	(void)state;
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	for (int i = 0; i < 10; i++) {
		xmpp_watcher_rejected(t.w, 503, 0);
		expect_retry(s * 8 / 10, s * 12 / 10);
		s = s * 2 < 3600 ? s * 2 : 3600;
	}
	/* a success begins anew */
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	xmpp_watcher_lost(t.w);
	expect("+auth; subscribed; available/orchard; unavailable/orchard");
	expect_retry(24, 36);
	/* jitter: not all at once */
	for (int i = 0; i < 20; i++) {
		make(&config, true);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_rejected(t.w, 503, 0);
		uint64_t wait = timers_next(&t.timers) - t.timers.now;
		first = first ? first : wait;
		differs |= wait ^ first;
	}
	assert_true(differs != 0);
}

static void retry_after(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		make(&config, false);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_rejected(t.w, 503, 1000);
		expect("SUBSCRIBE 3600");
		expect_retry(1000, 1200); /* never earlier */
	}
	make(&config, false);
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_rejected(t.w, 480, 7200); /* longer than our own longest wait */
	expect("SUBSCRIBE 3600");
	expect_retry(7200, 8641);
	xmpp_watcher_rejected(t.w, 480, UINT32_MAX);
	expect_retry(86400, 103681);
}

static void dialog_unknown(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_rejected(t.w, 481, 0);
	expect("SUBSCRIBE 3600; SUBSCRIBE 3600");
	expect_state("trying");
	xmpp_watcher_rejected(t.w, 481, 0); /* not in a circle */
	expect("");
	expect_retry(24, 36);
	pass(31000);
	xmpp_watcher_rejected(t.w, 481, 0);
	expect("SUBSCRIBE 3600");
}

/* The home cannot be reached: known at once, from within the op. */
static void no_home(void **state)
{
	(void)state;
	t.no_home = true;
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	expect_state("wait");
	pass(36001);
	expect("SUBSCRIBE 3600");
	expect_state("wait");
	t.no_home = false;
	pass(72001);
	expect("SUBSCRIBE 3600");
	expect_state("trying");
	/* asked again, we do not wait */
	xmpp_watcher_rejected(t.w, 503, 0);
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 3600");
	xmpp_watcher_accepted(t.w);
	pass(86400000);
	expect(""); /* the retry was forgotten */
}

/* ---- ends */

static void deactivated(void **state)
{
	(void)state;
	activate();
	terminated("deactivated", 0);
	expect("SUBSCRIBE 3600"); /* the watcher is unaware */
	expect_state("trying");
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	expect("");
	notify(OPEN("orchard", SHOW("away")));
	expect("away/orchard");
	terminated("deactivated", 600); /* retry-after has no meaning with it; but not in a circle */
	expect("unavailable/orchard");
	expect_retry(24, 36);
	activate();
	pass(30000);
	terminated("Deactivated", 600);
	expect("SUBSCRIBE 3600");
}

static void timeout_or_none(void **state)
{
	static const char *const reasons[] = {"timeout", NULL, "whatever"};
	(void)state;
	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
		make(&config, false);
		activate();
		terminated(reasons[i], 0);
		expect("SUBSCRIBE 3600");
		activate();
		pass(31000);
		terminated(reasons[i], 100);
		expect("unavailable/orchard");
		expect_retry(100, 120);
	}
}

static void probation_giveup(void **state)
{
	static const struct {
		const char *reason;
		uint32_t retry_after, from, to;
	} rows[] = {{"probation", 0, 60, 72}, {"probation", 200, 200, 240}, {"giveup", 0, 300, 360}, {"giveup", 20, 20, 24}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		make(&config, false);
		activate();
		terminated(rows[i].reason, rows[i].retry_after);
		expect("unavailable/orchard");
		assert_true(xmpp_watcher_authorised(t.w));
		expect_retry(rows[i].from, rows[i].to);
	}
}

static void rejected_noresource(void **state)
{
	static const char *const reasons[] = {"rejected", "noresource"};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		make(&config, false);
		xmpp_watcher_subscribe(t.w);
		xmpp_watcher_accepted(t.w);
		terminated(reasons[i], 0);
		expect("SUBSCRIBE 3600; unsubscribed");
		make(&config, false);
		activate();
		terminated(reasons[i], 60);
		expect("unavailable/orchard; -auth; unsubscribed");
		expect_state("none");
		pass(86400000);
		expect(""); /* never again by itself */
	}
}

static void invariant(void **state)
{
	(void)state;
	activate();
	assert_int_equal(notify_full(SUBSTATE_TERMINATED, "invariant", 0, "application/pidf+xml",
				     "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:romeo@example.net'>" OPEN(
					     "orchard", SHOW("xa")) "</presence>"),
			 200);
	expect("xa/orchard");
	expect_state("final");
	pass(86400000);
	expect("");
	xmpp_watcher_probe(t.w);
	expect("xa/orchard");
	xmpp_watcher_subscribe(t.w); /* asked again, we look again */
	expect("subscribed; SUBSCRIBE 3600");
	activate();
	terminated("invariant", 0);
	expect("");
	expect_state("final");
	xmpp_watcher_unsubscribe(t.w);
	expect("-auth; unsubscribed; unavailable/orchard");
}

static void lost(void **state)
{
	(void)state;
	activate();
	xmpp_watcher_lost(t.w);
	expect("unavailable/orchard"); /* nothing stale is shown */
	expect_retry(24, 36);
	xmpp_watcher_accepted(t.w);
	xmpp_watcher_lost(t.w); /* accepted, but no NOTIFY came: back-off goes on */
	expect("");
	expect_retry(48, 72);
	make(&config, true);
	xmpp_watcher_lost(t.w);
	expect_state("none");
}

static void pending_again(void **state)
{
	(void)state;
	activate();
	notify_empty(SUBSTATE_PENDING);
	expect("unavailable/orchard"); /* but no unsubscribed */
	expect_state("neutral");
	assert_true(xmpp_watcher_authorised(t.w));
	notify(OPEN("orchard", ""));
	expect("available/orchard");
}

/* ---- probe, restart, sleep */

static void probe(void **state)
{
	(void)state;
	xmpp_watcher_probe(t.w);
	expect("unsubscribed"); /* RFC 6121 4.3.2 */
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_probe(t.w);
	expect("SUBSCRIBE 3600"); /* no answer yet */
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", SHOW("dnd")) SHUT("desk"));
	buf_clear(&t.log);
	xmpp_watcher_probe(t.w);
	expect("dnd/orchard");
	notify(SHUT("orchard"));
	buf_clear(&t.log);
	xmpp_watcher_probe(t.w);
	expect("unavailable");
	/* what is old is asked for anew, but not with every probe */
	pass(300001);
	xmpp_watcher_probe(t.w);
	expect("unavailable; REFRESH");
	xmpp_watcher_probe(t.w);
	expect("unavailable");
	notify(OPEN("orchard", ""));
	expect("available/orchard");
	pass(300000);
	xmpp_watcher_probe(t.w);
	expect("available/orchard");
}

static void probe_authorised(void **state)
{
	(void)state;
	make(&config, true);
	xmpp_watcher_probe(t.w);
	expect("SUBSCRIBE 3600"); /* as subscribe, but silent */
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	expect("available/orchard");
}

/* After a restart: nothing is told twice, and nothing stale remains. */
static void resume(void **state)
{
	(void)state;
	make(&config, true);
	xmpp_watcher_resume(t.w, 5000);
	pass(4999);
	expect("");
	pass(1);
	expect("SUBSCRIBE 3600");
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	expect("available/orchard"); /* no subscribed */
	/* the device that the watcher saw before is gone */
	make(&config, true);
	xmpp_watcher_resume(t.w, 0);
	pass(0);
	notify(SHUT("orchard"));
	expect("SUBSCRIBE 3600; unavailable/orchard");
	make(&config, true);
	xmpp_watcher_resume(t.w, 0);
	pass(0);
	notify("");
	expect("SUBSCRIBE 3600; unavailable");
	/* the watcher's server is quicker than we */
	make(&config, true);
	xmpp_watcher_resume(t.w, 5000);
	xmpp_watcher_probe(t.w); /* somebody is waiting */
	expect("SUBSCRIBE 3600");
	pass(5000);
	expect("");
	make(&config, true);
	xmpp_watcher_resume(t.w, 5000);
	xmpp_watcher_subscribe(t.w);
	expect("subscribed; SUBSCRIBE 3600");
	pass(5000);
	expect("");
	/* but a home in trouble is left alone */
	xmpp_watcher_rejected(t.w, 503, 0);
	expect_state("wait");
	xmpp_watcher_probe(t.w);
	expect("");
}

static void sleep_and_wake(void **state)
{
	(void)state;
	activate();
	xmpp_watcher_sleep(t.w, false);
	expect("UNSUBSCRIBE");
	expect_state("dormant");
	assert_int_equal(xmpp_watcher_presence(t.w)->count, 0);
	terminated("timeout", 0); /* the answer to it, if it is reported at all */
	expect("");
	pass(86400000);
	expect("");
	xmpp_watcher_sleep(t.w, true);
	expect("");
	xmpp_watcher_probe(t.w);
	expect("SUBSCRIBE 3600");
	notify(SHUT("orchard"));
	expect("unavailable/orchard");
	notify(OPEN("orchard", ""));
	buf_clear(&t.log);
	xmpp_watcher_sleep(t.w, true);
	expect("UNSUBSCRIBE; unavailable/orchard");
	xmpp_watcher_subscribe(t.w);
	expect("subscribed; SUBSCRIBE 3600");
	xmpp_watcher_sleep(t.w, false);
	expect("UNSUBSCRIBE");
	xmpp_watcher_resume(t.w, 100);
	pass(100);
	expect("SUBSCRIBE 3600");
	/* while waiting there is no dialog to end; one that was never approved leaves nothing */
	xmpp_watcher_rejected(t.w, 503, 0);
	xmpp_watcher_sleep(t.w, false);
	expect("");
	make(&config, false);
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_sleep(t.w, true);
	expect("SUBSCRIBE 3600; UNSUBSCRIBE");
	expect_state("none");
}

static void unsubscribe(void **state)
{
	(void)state;
	activate();
	xmpp_watcher_unsubscribe(t.w);
	expect("UNSUBSCRIBE; -auth; unsubscribed; unavailable/orchard");
	expect_state("none");
	notify(OPEN("orchard", SHOW("away"))); /* on its way before */
	xmpp_watcher_rejected(t.w, 481, 0);
	xmpp_watcher_accepted(t.w);
	xmpp_watcher_lost(t.w);
	expect("");
	expect_state("none");
	/* at any other time */
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_unsubscribe(t.w);
	expect("SUBSCRIBE 3600; UNSUBSCRIBE; unsubscribed; unavailable");
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_rejected(t.w, 503, 0);
	xmpp_watcher_unsubscribe(t.w);
	expect("SUBSCRIBE 3600; unsubscribed; unavailable");
	pass(86400000);
	expect("");
}

/* ---- documents */

static void differences(void **state)
{
	(void)state;
	activate();
	notify(OPEN("orchard", ""));
	expect(""); /* twice the same gives one stanza */
	notify(OPEN("orchard", "") SHUT("desk"));
	expect(""); /* news of nobody */
	notify(OPEN("orchard", "") OPEN("desk", SHOW("away")));
	expect("away/desk");
	notify(OPEN("desk", SHOW("away")));
	expect("unavailable/orchard"); /* a tuple that vanished */
	notify(SHUT("desk"));
	expect("unavailable/desk");
	notify("<tuple id='desk'><status><basic>closed</basic></status><note>bye</note></tuple>");
	expect(""); /* still gone */
	notify("");
	expect("");
	notify(OPEN("b", "") OPEN("a", "") OPEN("c", ""));
	expect("available/b; available/a; available/c"); /* in the order of the document */
	notify("<tuple id='b'><status><basic>open</basic></status><contact priority='0.5'>sip:x@y</contact></tuple>" OPEN("a", "")
		       OPEN("c", ""));
	expect("available/b");
	notify("");
	expect("unavailable/b; unavailable/a; unavailable/c");
}

static void storm(void **state)
{
	(void)state;
	activate();
	for (int i = 0; i < 1000; i++)
		notify(OPEN("orchard", SHOW("dnd")) "<note>x</note>");
	expect("dnd/orchard 'x'");
}

static void note_rules(void **state)
{
	struct xmpp_watcher_config hidden = config;
	(void)state;
	hidden.hide_notes = true;
	activate();
	notify(OPEN("orchard", "") "<note xml:lang='en'>out</note><note xml:lang='de'>weg</note>");
	expect("available/orchard 'out' 'weg'");
	make(&hidden, false);
	activate();
	notify(OPEN("orchard", "") "<note>secret</note>");
	expect("");
	notify(OPEN("orchard", SHOW("away")) "<note>other secret</note>");
	expect("away/orchard");
	/* the partner's type was changed */
	xmpp_watcher_set_hide_notes(t.w, true);
	expect("");
	xmpp_watcher_set_hide_notes(t.w, false);
	expect("REFRESH");
	notify(OPEN("orchard", SHOW("away")) "<note>no secret</note>");
	expect("away/orchard 'no secret'");
	xmpp_watcher_set_hide_notes(t.w, true);
	expect("away/orchard"); /* taken back */
	notify(OPEN("orchard", SHOW("away")) "<note>no secret</note>");
	expect("");
}

static void stamps(void **state)
{
#define STAMPED(at)                                                                                                              \
	"<tuple id='orchard'><status><basic>open</basic></status><note>" at "</note><timestamp>2020-09-13T12:" at                \
	"Z</timestamp></tuple>"
	(void)state;
	activate(); /* UNIX is 2020-09-13T12:26:40Z */
	notify(STAMPED("26:40"));
	expect("available/orchard '26:40'");
	notify(STAMPED("25:41")); /* 59 s ago */
	expect("available/orchard '25:41'");
	notify(STAMPED("25:40")); /* 60 s: not older than that */
	expect("available/orchard '25:40' @1599999940");
	notify(STAMPED("59:59")); /* a clock that is ahead */
	expect("available/orchard '59:59'");
}

static void lync_unknown(void **state)
{
#define LYNC(n) "<availability>" n "</availability>"
	(void)state;
	activate();
	notify(OPEN("orchard", LYNC("6500")));
	expect("dnd/orchard");
	notify(OPEN("orchard", LYNC("0")));
	expect(""); /* unknown: the last one stays */
	notify(SHUT("orchard"));
	notify(OPEN("orchard", LYNC("0")));
	expect("unavailable/orchard; available/orchard");
}

static void wrong_bodies(void **state)
{
	(void)state;
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_accepted(t.w);
	buf_clear(&t.log);
	/* no approval can be read from what is refused */
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, "text/plain", "open"), 415);
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, NULL, "open"), 415);
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, "application/pidf+xml", "<presence"), 400);
	expect("ignored; ignored; ignored");
	expect_state("neutral");
	assert_int_equal(
		notify_full(SUBSTATE_ACTIVE, NULL, 0, "Application/PIDF+XML", "<presence>" OPEN("orchard", "") "</presence>"),
		200);
	expect("+auth; subscribed; available/orchard");
	/* state and dialog stay */
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, "application/pidf+xml", "<oops/>"), 400);
	assert_int_equal(notify_full(SUBSTATE_PENDING, NULL, 0, "application/pidf+xml", "<oops/>"), 400);
	expect("ignored; ignored");
	expect_state("active");
	/* an end is an end */
	assert_int_equal(notify_full(SUBSTATE_TERMINATED, "rejected", 0, "application/pidf+xml", "<oops/>"), 400);
	expect("ignored; unavailable/orchard; -auth; unsubscribed");
	/* too large */
	make(&config, false);
	activate();
	char *big = malloc(70000);
	memset(big, ' ', 70000);
	memcpy(big, "<presence/>", 11);
	memcpy(big + 69990, "<!-- -->", 9);
	assert_int_equal(notify_full(SUBSTATE_ACTIVE, NULL, 0, "application/pidf+xml", big), 400);
	expect("ignored");
	free(big);
}

static void entities(void **state)
{
	static const char *const ours[] = {
		"sip:romeo@example.net", "pres:romeo@example.net",  "romeo@example.net",
		"SIP:Romeo@EXAMPLE.net", "sips:romeo@example.net",  "sip:romeo@example.net:5060;transport=tcp",
		"im:romeo@example.net",	 "sip:%72omeo@example.net", ""};
	static const char *const others[] = {"sip:juliet@example.net",
					     "sip:romeo@evil.example",
					     "sip:romeo.example.net",
					     "romeo",
					     "sip:",
					     "mailto:romeo@example.net",
					     "sip:romeo@example.net@evil.example",
					     "http://x/"};
	(void)state;
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
		make(&config, false);
		activate();
		assert_int_equal(notify_as(SUBSTATE_ACTIVE, ours[i], OPEN("orchard", SHOW("away"))), 200);
		expect("away/orchard");
	}
	make(&config, false);
	activate();
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		assert_int_equal(notify_as(SUBSTATE_ACTIVE, others[i], OPEN("orchard", SHOW("away"))), 200);
		expect("ignored"); /* a spoof: neither shown nor taken for "knows nothing" */
	}
	/* an approval it is all the same */
	make(&config, false);
	xmpp_watcher_subscribe(t.w);
	assert_int_equal(notify_as(SUBSTATE_ACTIVE, others[0], OPEN("orchard", "")), 200);
	expect("SUBSCRIBE 3600; ignored; +auth; subscribed");
	/* an escaped presentity is one person, however it is written */
	t.w = xmpp_watcher_free(t.w);
	t.w = xmpp_watcher_new(&ops, &t, &t.timers, &config, S("sip:o'malley@example.net"), true);
	xmpp_watcher_probe(t.w);
	notify_as(SUBSTATE_ACTIVE, "sip:o%27malley@example.net", OPEN("a", ""));
	expect("SUBSCRIBE 3600; available/a");
}

/* The watcher's server came back. */
static void announce(void **state)
{
	(void)state;
	xmpp_watcher_announce(t.w);
	expect("");
	activate();
	xmpp_watcher_announce(t.w);
	expect("available/orchard");
	notify("");
	buf_clear(&t.log);
	xmpp_watcher_announce(t.w);
	expect("unavailable");
	xmpp_watcher_lost(t.w);
	xmpp_watcher_announce(t.w);
	expect("");
}

/* ---- one who is not known */

static void poll(void **state)
{
	static const int no[] = {401, 403, 404, 407, 489, 501, 603, 604}, not_now[] = {0, 408, 480, 481, 423, 500, 503, 504};
	(void)state;
	xmpp_watcher_poll(t.w);
	expect("SUBSCRIBE 0");
	expect_state("polling");
	xmpp_watcher_poll(t.w); /* one at a time */
	xmpp_watcher_probe(t.w);
	xmpp_watcher_accepted(t.w);
	expect("");
	/* the one NOTIFY: what there is, and nothing is kept */
	assert_int_equal(notify_as(SUBSTATE_TERMINATED, "sip:romeo@example.net", OPEN("orchard", SHOW("away"))), 200);
	expect("away/orchard");
	expect_state("none");
	assert_false(xmpp_watcher_authorised(t.w));
	assert_int_equal(xmpp_watcher_presence(t.w)->count, 0);
	/* an older notifier says active and never ends it */
	xmpp_watcher_poll(t.w);
	notify(OPEN("orchard", ""));
	expect("SUBSCRIBE 0; available/orchard");
	expect_state("none");
	/* nothing is known of somebody who may be looked at */
	xmpp_watcher_poll(t.w);
	terminated("timeout", 0);
	expect("SUBSCRIBE 0; unavailable");
	/* a no */
	xmpp_watcher_poll(t.w);
	terminated("rejected", 0);
	expect("SUBSCRIBE 0; unsubscribed");
	xmpp_watcher_poll(t.w);
	notify_empty(SUBSTATE_PENDING);
	expect("SUBSCRIBE 0; unsubscribed");
	for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
		xmpp_watcher_poll(t.w);
		xmpp_watcher_rejected(t.w, no[i], 0);
		expect("SUBSCRIBE 0; unsubscribed");
		expect_state("none");
	}
	/* the trouble of a moment takes nothing away, and is not tried again */
	for (size_t i = 0; i < sizeof not_now / sizeof *not_now; i++) {
		xmpp_watcher_poll(t.w);
		xmpp_watcher_rejected(t.w, not_now[i], 5);
		expect("SUBSCRIBE 0");
		expect_state("none");
	}
	xmpp_watcher_poll(t.w);
	xmpp_watcher_lost(t.w);
	expect("SUBSCRIBE 0");
	expect_state("none");
	/* somebody else's document says nothing */
	xmpp_watcher_poll(t.w);
	assert_int_equal(notify_as(SUBSTATE_TERMINATED, "sip:tybalt@example.net", OPEN("orchard", "")), 200);
	expect("SUBSCRIBE 0; ignored");
	/* who asks properly meanwhile is served properly */
	xmpp_watcher_poll(t.w);
	xmpp_watcher_subscribe(t.w);
	expect("SUBSCRIBE 0; SUBSCRIBE 3600");
	expect_state("trying");
	pass(7200000);
	expect("");
}

/* ---- a watcher who is nowhere */

static void absence(void **state)
{
	struct xmpp_watcher_config c = config;
	(void)state;
	c.absence_s = 600;
	make(&c, false);
	activate();
	xmpp_watcher_absent(t.w, true);
	pass(599999);
	notify(OPEN("orchard", SHOW("dnd"))); /* what happens meanwhile does not prolong it */
	expect("dnd/orchard");
	pass(1);
	expect("UNSUBSCRIBE"); /* nobody is told: nobody is there */
	expect_state("dormant");
	assert_true(xmpp_watcher_authorised(t.w));
	xmpp_watcher_absent(t.w, true);
	pass(86400000);
	expect("");
	xmpp_watcher_absent(t.w, false);
	expect("SUBSCRIBE 3600");
	notify(OPEN("orchard", SHOW("dnd")));
	expect("dnd/orchard"); /* all anew, and "subscribed" is not said again */
	/* back in time: nothing happens */
	xmpp_watcher_absent(t.w, true);
	pass(300000);
	xmpp_watcher_absent(t.w, false);
	pass(7200000);
	expect("");
	expect_state("active");
	/* already away when the home answers */
	xmpp_watcher_sleep(t.w, false);
	buf_clear(&t.log);
	xmpp_watcher_absent(t.w, true);
	xmpp_watcher_resume(t.w, 1000);
	pass(1000);
	notify(OPEN("orchard", ""));
	expect("SUBSCRIBE 3600; available/orchard");
	pass(600000);
	expect("UNSUBSCRIBE");
	/* a probe is somebody */
	xmpp_watcher_absent(t.w, false);
	xmpp_watcher_probe(t.w);
	expect("SUBSCRIBE 3600");
	/* never, when it is switched off */
	make(&config, false);
	activate();
	xmpp_watcher_absent(t.w, true);
	pass(86400000);
	expect("");
	expect_state("active");
}

/* ---- a status that has a time (RFC 4481) */

static void timed(void **state)
{
#define TIMED "<x:timed-status xmlns:x='urn:ietf:params:xml:ns:pidf:timed-status' from='2020-09-13T12:30:00Z'>" \
	      "<x:basic>closed</x:basic></x:timed-status>"
	(void)state;
	activate();
	notify("<tuple id='orchard'><status><basic>open</basic></status>" TIMED "</tuple>");
	expect("");
	pass(199999); /* UNIX is 12:26:40 */
	expect("");
	pass(1);
	expect("REFRESH"); /* its NOTIFY is read by the clock of then */
	pass(86400000);
	expect("");
	/* a document that comes meanwhile and says nothing of the kind takes it back */
	notify("<tuple id='orchard'><status><basic>open</basic></status>" TIMED "</tuple>");
	notify(OPEN("orchard", ""));
	pass(86400000);
	expect("");
	/* nor does a watcher who is nowhere end what is never to end */
	notify("<tuple id='orchard'><status><basic>open</basic></status>" TIMED "</tuple>");
	xmpp_watcher_absent(t.w, true);
	pass(200000);
	expect("REFRESH");
	expect_state("active");
	notify("<tuple id='orchard'><status><basic>open</basic></status>" TIMED "</tuple>");
	xmpp_watcher_absent(t.w, false);
	pass(200000);
	expect("REFRESH");
}

static void idleness(void **state)
{
#define INPUT(t) "<r:user-input xmlns:r='urn:ietf:params:xml:ns:pidf:rpid' last-input='" t "'>idle</r:user-input>"
	(void)state;
	activate();
	notify("<tuple id='orchard'><status><basic>open</basic></status>" INPUT("2020-09-13T12:20:00Z") "</tuple>");
	expect("available/orchard idle-400");
	notify("<tuple id='orchard'><status><basic>open</basic></status>" INPUT("2020-09-13T12:20:00Z") "</tuple>");
	expect("");
	notify(OPEN("orchard", "")); /* back at the keyboard */
	expect("available/orchard");
}

/* Busy may be shown as away; who asks not to be disturbed is dnd all the same. */
static void busy(void **state)
{
#define ACT(x) "<tuple id='orchard'><status><basic>open</basic><e:activities xmlns:e='urn:e'>" x "</e:activities></status></tuple>"
#define AVAILABILITY(n) "<tuple id='orchard'><status><basic>open</basic><availability>" n "</availability></status></tuple>"
	static const struct {
		const char *tuple, *as_dnd, *as_away;
	} rows[] = {
		{ACT("<e:busy/>"), "dnd/orchard", "away/orchard"},
		{ACT("<e:do-not-disturb/>"), "dnd/orchard 'Do not disturb'", "dnd/orchard 'Do not disturb'"},
		{ACT("<e:on-the-phone/>"), "dnd/orchard 'On the phone'", "away/orchard 'On the phone'"},
		{ACT("<e:busy/><e:dnd/>"), "dnd/orchard 'Do not disturb'", "dnd/orchard 'Do not disturb'"},
		{AVAILABILITY("6500"), "dnd/orchard", "away/orchard"},
		{AVAILABILITY("9500"), "dnd/orchard", "dnd/orchard"},
		{AVAILABILITY("7500"), "dnd/orchard", "away/orchard"},
		{OPEN("orchard", "") "<x/>", "available/orchard", "available/orchard"},
		{"<tuple id='orchard'><status><basic>open</basic>" SHOW("dnd") "</status></tuple>", "dnd/orchard", "dnd/orchard"},
		{ACT("<e:meal/>"), "away/orchard 'Having a meal'", "away/orchard 'Having a meal'"},
	};
	(void)state;
	for (int away = 0; away < 2; away++)
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
			struct xmpp_watcher_config c = config;
			c.busy_away = away;
			make(&c, true);
			xmpp_watcher_resume(t.w, 0);
			pass(0);
			buf_clear(&t.log);
			notify(rows[i].tuple);
			expect(away ? rows[i].as_away : rows[i].as_dnd);
		}
}

static void huge_note(void **state)
{
	char doc[6000];
	(void)state;
	activate();
	snprintf(doc, sizeof doc, "<tuple id='orchard'><status><basic>open</basic></status><note>%05000d</note></tuple>" OPEN("desk", ""), 3);
	notify(doc);
	assert_true(slice_starts(buf_slice(&t.log), S("ignored; available/orchard '0000")));
	assert_true(slice_ends(buf_slice(&t.log), S("; available/desk")));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(subscribe),
		TEST(notify_first),
		TEST(active_without_body),
		TEST(subscribed_twice),
		TEST(refused),
		TEST(transient),
		TEST(back_off),
		TEST(retry_after),
		TEST(dialog_unknown),
		TEST(no_home),
		TEST(deactivated),
		TEST(timeout_or_none),
		TEST(probation_giveup),
		TEST(rejected_noresource),
		TEST(invariant),
		TEST(lost),
		TEST(pending_again),
		TEST(probe),
		TEST(probe_authorised),
		TEST(resume),
		TEST(sleep_and_wake),
		TEST(unsubscribe),
		TEST(differences),
		TEST(storm),
		TEST(note_rules),
		TEST(stamps),
		TEST(lync_unknown),
		TEST(wrong_bodies),
		TEST(entities),
		TEST(announce),
		TEST(poll),
		TEST(absence),
		TEST(timed),
		TEST(idleness),
		TEST(huge_note),
		TEST(busy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
