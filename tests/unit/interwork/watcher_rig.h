/* SPDX-License-Identifier: Apache-2.0 */
/* One xmpp_watcher under a virtual clock, and a log of what it asks for: what test_xmpp_watcher.c and test_xmpp_watcher_documents.c share. */
#pragma once
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

static inline void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static inline void say(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	buf_printf(&t.log, "%s%s", t.log.len ? "; " : "", line);
}

static inline void on_subscribe(void *arg, uint32_t expires)
{
	assert_ptr_equal(arg, &t);
	say("SUBSCRIBE %u", expires);
	if (t.no_home)
		xmpp_watcher_rejected(t.w, 0, 0);
}

static inline void on_unsubscribe(void *arg)
{
	(void)arg;
	say("UNSUBSCRIBE");
}

static inline void on_stanza(void *arg, enum xmpp_watcher_stanza kind, const struct presence_item *it)
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

static inline void on_authorise(void *arg, bool yes)
{
	(void)arg;
	say(yes ? "+auth" : "-auth");
}

static inline void on_refresh(void *arg)
{
	(void)arg;
	say("REFRESH");
}

static inline void on_ignored(void *arg, const char *why)
{
	(void)arg;
	assert_non_null(why);
	say("ignored");
}

static const struct xmpp_watcher_ops ops = {on_subscribe, on_unsubscribe, on_stanza, on_authorise, on_refresh, on_ignored};
static const struct xmpp_watcher_config config = {.expires = 3600, .backoff_min_s = 30, .backoff_max_s = 3600};

static inline void make(const struct xmpp_watcher_config *c, bool authorised)
{
	t.w = xmpp_watcher_free(t.w);
	t.w = xmpp_watcher_new(&ops, &t, &t.timers, c, S("sip:romeo@example.net"), authorised);
	buf_clear(&t.log);
}

static inline int setup(void **state)
{
	(void)state;
	memset(&t, 0, sizeof t);
	timers_init(&t.timers, 1000000);
	buf_init(&t.log, 1 << 16);
	make(&config, false);
	return 0;
}

static inline int teardown(void **state)
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
static inline void expect_(const char *want, int line)
{
	if (!slice_eq(buf_slice(&t.log), slice_str(want)))
		fail_msg("line %d: \"%.*s\" instead of \"%s\"", line, SFMT(buf_slice(&t.log)), want);
	buf_clear(&t.log);
}

#define expect_state(want) assert_string_equal(xmpp_watcher_state_name(xmpp_watcher_state(t.w)), (want))

static inline void pass(uint64_t ms)
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
static inline void expect_retry(uint32_t from, uint32_t to)
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

static inline int notify_full(enum xmpp_watcher_substate state, const char *reason, uint32_t retry_after, const char *type,
		       const char *body)
{
	return xmpp_watcher_notify(t.w, state, slice_str(reason), retry_after, slice_str(type), S("en"), slice_str(body), UNIX);
}

static inline int notify_as(enum xmpp_watcher_substate state, const char *entity, const char *tuples)
{
	char doc[8192];
	assert_true(snprintf(doc, sizeof doc, "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='%s'>%s</presence>", entity,
			     tuples) < (int)sizeof doc);
	return notify_full(state, NULL, 0, "application/pidf+xml", doc);
}

static inline void notify(const char *tuples)
{
	assert_int_equal(notify_as(SUBSTATE_ACTIVE, "sip:romeo@example.net", tuples), 200);
}

static inline void notify_empty(enum xmpp_watcher_substate state)
{
	assert_int_equal(notify_full(state, NULL, 0, NULL, NULL), 200);
}

static inline void terminated(const char *reason, uint32_t retry_after)
{
	assert_int_equal(notify_full(SUBSTATE_TERMINATED, reason, retry_after, NULL, NULL), 200);
}

/* ACTIVE, "orchard" available. */
static inline void activate(void)
{
	xmpp_watcher_subscribe(t.w);
	xmpp_watcher_accepted(t.w);
	notify(OPEN("orchard", ""));
	expect_state("active");
	buf_clear(&t.log);
}

/* ---- the way to ACTIVE */
