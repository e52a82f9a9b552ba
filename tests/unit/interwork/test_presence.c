/* SPDX-License-Identifier: Apache-2.0 */
/* The availability table both ways (RFC 8048 note 3 and 7, RFC 4480 3.2, Lync's ranges), and sets of items. */
#include <stdio.h>
#include "parse.h"
#include "interwork/presence.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static void assert_text(struct slice got, const char *want)
{
	if (!slice_eq(got, slice_str(want)))
		fail_msg("\"%.*s\" instead of \"%s\"", SFMT(got), want);
}

/* ---- what we write */

static void writes(void **state)
{
	static const struct {
		enum presence_show show;
		const char *text, *activity;
		unsigned lync;
	} rows[] = {
		{PRESENCE_AVAILABLE, "", "", 3500},   {PRESENCE_CHAT, "chat", "", 3500},
		{PRESENCE_AWAY, "away", "away", 15500}, {PRESENCE_XA, "xa", "away", 15500},
		{PRESENCE_DND, "dnd", "busy", 6500},  {PRESENCE_OFFLINE, "unavailable", "", 18500},
	};
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_text(presence_show_text(rows[i].show), rows[i].text);
		assert_text(presence_activity(rows[i].show), rows[i].activity);
		assert_int_equal(presence_lync(rows[i].show), rows[i].lync);
	}
}

/* ---- what we read */

static void reads_show(void **state)
{
	static const char *const bad[] = {"", "unavailable", "available", "Away", "away ", "online", "invisible", "dndd"};
	enum presence_show s;
	(void)state;
	for (enum presence_show k = PRESENCE_XA; k <= PRESENCE_CHAT; k++) {
		if (k == PRESENCE_AVAILABLE)
			continue;
		assert_true(presence_show_of(presence_show_text(k), &s));
		assert_int_equal(s, k);
	}
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_false(presence_show_of(slice_str(bad[i]), &s));
}

static void reads_activities(void **state)
{
	static const struct {
		enum presence_show show;
		const char *tokens;
	} rows[] = {
		{PRESENCE_AVAILABLE, "available working other unknown none"},
		{PRESENCE_AWAY,
		 "away breakfast lunch dinner meal in-transit steering shopping spectator tv playing worship be-right-back"},
		{PRESENCE_XA, "vacation holiday sleeping travel permanent-absence out-of-office off-work"},
		{PRESENCE_DND,
		 "busy on-the-phone meeting appointment presentation performance in-a-conference in-a-meeting in-presentation "
		 "urgent-interruptions-only do-not-disturb"},
	};
	enum presence_show s;
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		for (struct slice rest = slice_str(rows[i].tokens), t; rest.len && (t = slice_split(&rest, ' ')).len;)
			if (!presence_show_of_activity(t, &s) || s != rows[i].show)
				fail_msg("%.*s", SFMT(t));
	assert_true(presence_show_of_activity(S("On-The-Phone"), &s));
	assert_int_equal(s, PRESENCE_DND);
	assert_false(presence_show_of_activity(S("looking-for-work"), &s));
	assert_false(presence_show_of_activity(S(""), &s));
}

static void reads_lync(void **state)
{
	static const struct {
		unsigned from, to;
		enum presence_show show;
	} rows[] = {
		{1, 2999, PRESENCE_AVAILABLE},   {3000, 4499, PRESENCE_AVAILABLE}, {4500, 5999, PRESENCE_AWAY},
		{6000, 7499, PRESENCE_DND},	 {7500, 8999, PRESENCE_DND},	   {9000, 11999, PRESENCE_DND},
		{12000, 14999, PRESENCE_AWAY},   {15000, 17999, PRESENCE_AWAY},    {18000, 100000, PRESENCE_OFFLINE},
	};
	enum presence_show s = PRESENCE_CHAT;
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_true(presence_show_of_lync(rows[i].from, &s));
		assert_int_equal(s, rows[i].show);
		assert_true(presence_show_of_lync(rows[i].to, &s));
		assert_int_equal(s, rows[i].show);
	}
	s = PRESENCE_CHAT;
	assert_false(presence_show_of_lync(0, &s));
	assert_int_equal(s, PRESENCE_CHAT);
	/* what we write in Lync's terms is read as what it was, but for the shades that Lync does not have */
	for (enum presence_show k = PRESENCE_OFFLINE; k <= PRESENCE_CHAT; k++) {
		assert_true(presence_show_of_lync(presence_lync(k), &s));
		assert_int_equal(s, k == PRESENCE_XA ? PRESENCE_AWAY : k == PRESENCE_CHAT ? PRESENCE_AVAILABLE : k);
	}
}

/* ---- notes */

static struct slice repeat(struct arena *a, const char *unit, size_t n)
{
	size_t len = strlen(unit);
	char *p = arena_alloc(a, n * len);
	for (size_t i = 0; i < n; i++)
		memcpy(p + i * len, unit, len);
	return slice_of(p, n * len);
}

static void notes(void **state)
{
	struct arena *a = arena_new(1 << 20);
	struct presence_note n[PRESENCE_MAX_NOTES];
	size_t count = 0;
	(void)state;
	assert_false(presence_note_add(n, &count, a, S(" \r\n\t "), S("en"), 9));
	presence_note_add(n, &count, a, S(""), SLICE_NONE, 9);
	assert_int_equal(count, 0);
	presence_note_add(n, &count, a, S("  out\n"), S("en"), 9);
	presence_note_add(n, &count, a, S("again"), S("EN"), 9); /* one per language */
	assert_false(presence_note_add(n, &count, a, S("au\xc3\x9f" "er Haus"), S("de"), 10));
	assert_int_equal(count, 2);
	assert_text(n[0].text, "out");
	assert_text(n[1].lang, "de");
	for (int i = 0; i < 20; i++) {
		presence_note_add(n, &count, a, S("x"), slice_of(&"abcdefghijklmnopqrst"[i], 1), 9);
	}
	assert_int_equal(count, PRESENCE_MAX_NOTES);
	arena_release(NULL, a);
}

/* Cut by characters, with a sign that more was there; an accent stays with its letter, an emoji whole. */
static void cuts(void **state)
{
	static const struct {
		const char *text;
		size_t max;
		const char *want;
	} rows[] = {
		{"abc", 3, "abc"},
		{"abcd", 3, "ab\u2026"},
		{"a b c", 3, "a\u2026"}, /* no space before the sign */
		{"\u00fc\u00fc\u00fc", 3, "\u00fc\u00fc\u00fc"},
		{"\u00fc\u00fc\u00fc\u00fc", 3, "\u00fc\u00fc\u2026"},
		{"abe\u0301z", 3, "ab\u2026"},   /* e and its accent: both or none */
		{"ae\u0301xyz", 4, "ae\u0301\u2026"},
		{"a\U0001F469\u200d\U0001F4BBbcd", 3, "a\u2026"}, /* a woman at a computer is one */
		{"a\U0001F44D\U0001F3FDbcd", 3, "a\u2026"},       /* so is a hand with its colour */
		{"\u0301\u0301\u0301\u0301", 3, "\u2026"},
		{"\xff\xff\xff\xff", 3, "\xff\xff\u2026"}, /* what is no character counts as one */
	};
	struct arena *a = arena_new(1 << 20);
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool cut = false;
		struct slice got = presence_note_cut(a, slice_str(rows[i].text), rows[i].max, &cut);
		if (!slice_eq(got, slice_str(rows[i].want)) || cut != !slice_eq(got, slice_str(rows[i].text)))
			fail_msg("row %zu: %.*s instead of %s", i, SFMT(got), rows[i].want);
	}
	/* as many characters as there may be are not octets */
	struct slice all = repeat(a, "\u4f60", PRESENCE_MAX_NOTE);
	struct presence_note n[PRESENCE_MAX_NOTES];
	size_t count = 0;
	assert_false(presence_note_add(n, &count, a, all, SLICE_NONE, PRESENCE_MAX_NOTE));
	assert_int_equal(n[0].text.len, 3 * PRESENCE_MAX_NOTE);
	count = 0;
	assert_true(presence_note_add(n, &count, a, repeat(a, "\u4f60", 100000), SLICE_NONE, PRESENCE_MAX_NOTE));
	assert_int_equal(n[0].text.len, 3 * PRESENCE_MAX_NOTE); /* the sign has three octets, too */
	arena_release(NULL, a);
}

static void set_language(void **state)
{
	struct presence_set s = {0};
	struct presence_note n[2] = {{S("a"), S("de")}, {S("b"), S("en")}};
	struct presence_item it = {.resource = S("r"), .notes = n, .n_notes = 1};
	(void)state;
	assert_int_equal(presence_set_language(&s).len, 0);
	presence_set_put(&s, &it);
	assert_text(presence_set_language(&s), "de");
	n[0].lang = S("DE");
	it.resource = S("other");
	presence_set_put(&s, &it);
	assert_true(slice_ieq(presence_set_language(&s), S("de")));
	it.n_notes = 2;
	presence_set_put(&s, &it);
	assert_int_equal(presence_set_language(&s).len, 0);
	n[0].lang = SLICE_NONE;
	it.n_notes = 1;
	presence_set_put(&s, &it);
	assert_int_equal(presence_set_language(&s).len, 0); /* one says nothing */
	presence_set_free(&s);
}

static void words(void **state)
{
	enum presence_show s;
	(void)state;
	assert_text(presence_activity_words(S("on-the-phone")), "On the phone");
	assert_text(presence_activity_words(S("Be-Right-Back")), "Be right back");
	assert_int_equal(presence_activity_words(S("busy")).len, 0);
	assert_int_equal(presence_activity_words(S("xyzzy")).len, 0);
	assert_true(presence_show_of_extended(S("Extended-Away"), &s));
	assert_int_equal(s, PRESENCE_XA);
	assert_true(presence_show_of_extended(S("busy"), &s));
	assert_int_equal(s, PRESENCE_DND);
	assert_false(presence_show_of_extended(S(""), &s));
}

/* ---- sets */

static struct presence_item item(const char *resource, enum presence_show show, int priority)
{
	return (struct presence_item){.resource = slice_str(resource), .show = show, .priority = priority};
}

static void set_changes(void **state)
{
	struct presence_set s = {0};
	struct presence_note note[2] = {{S("busy bee"), SLICE_NONE}, {S("Biene"), S("de")}};
	struct presence_item a = item("a", PRESENCE_AVAILABLE, 5), b = item("b", PRESENCE_AWAY, 0);
	(void)state;
	assert_true(presence_set_put(&s, &a));
	assert_false(presence_set_put(&s, &a));
	a.stamp = 1234; /* when is not what */
	assert_false(presence_set_put(&s, &a));
	assert_int_equal(presence_set_find(&s, S("a"))->stamp, 1234);
	a.show = PRESENCE_DND;
	assert_true(presence_set_put(&s, &a));
	a.priority = 6;
	assert_true(presence_set_put(&s, &a));
	a.notes = note;
	a.n_notes = 1;
	assert_true(presence_set_put(&s, &a));
	assert_false(presence_set_put(&s, &a));
	a.n_notes = 2;
	assert_true(presence_set_put(&s, &a));
	note[1].lang = S("nl");
	assert_true(presence_set_put(&s, &a));
	note[1].text = S("bij");
	assert_true(presence_set_put(&s, &a));
	assert_true(presence_set_put(&s, &b));
	assert_int_equal(s.count, 2);
	/* the set owns its text */
	memset(note, 0, sizeof note);
	assert_text(presence_set_find(&s, S("a"))->notes[1].text, "bij");
	/* its own item may be put back, changed */
	struct presence_item again = *presence_set_find(&s, S("a"));
	again.n_notes = 1;
	assert_true(presence_set_put(&s, &again));
	assert_text(presence_set_find(&s, S("a"))->notes[0].text, "busy bee");
	assert_null(presence_set_find(&s, S("A"))); /* resources are octets */
	assert_false(presence_set_remove(&s, S("c")));
	assert_true(presence_set_remove(&s, S("a")));
	assert_false(presence_set_remove(&s, S("a")));
	assert_true(presence_set_remove(&s, S("b")));
	assert_int_equal(s.count, 0);
	assert_null(s.items);
	assert_null(presence_set_best(&s));
	presence_set_sort(&s);
	presence_set_free(&s);
}

/* Open before closed, then priority, then the show, then the octets of the resource. */
static void ranking(void **state)
{
	static const struct {
		const char *resource;
		enum presence_show show;
		int priority;
	} best_first[] = {
		{"z", PRESENCE_XA, 127},
		{"y", PRESENCE_DND, 1},
		{"c", PRESENCE_CHAT, 0},
		{"v", PRESENCE_AVAILABLE, PRESENCE_NO_PRIORITY}, /* counts as 0 */
		{"d", PRESENCE_DND, 0},
		{"a1", PRESENCE_AWAY, 0},
		{"a2", PRESENCE_AWAY, 0},
		{"x", PRESENCE_XA, 0},
		{"n", PRESENCE_CHAT, -1}, /* asked not to be disturbed by messages */
		{"o", PRESENCE_OFFLINE, 127},
	};
	struct presence_set s = {0};
	(void)state;
	for (size_t i = 0; i < COUNT(best_first); i++) { /* put in a mixed order */
		size_t k = i * 7 % COUNT(best_first);
		struct presence_item it = item(best_first[k].resource, best_first[k].show, best_first[k].priority);
		presence_set_put(&s, &it);
	}
	assert_int_equal(s.count, COUNT(best_first));
	assert_text(presence_set_best(&s)->resource, "z");
	presence_set_sort(&s);
	for (size_t i = 0; i < COUNT(best_first); i++)
		assert_text(s.items[i].resource, best_first[i].resource);
	presence_set_free(&s);
}

static void keeps_order(void **state)
{
	struct presence_set s = {0};
	(void)state;
	for (const char *r = "dacb"; *r; r++) {
		struct presence_item it = {.resource = slice_of(r, 1), .show = PRESENCE_AVAILABLE};
		presence_set_put(&s, &it);
	}
	presence_set_remove(&s, S("a"));
	assert_text(s.items[0].resource, "d");
	assert_text(s.items[1].resource, "c");
	assert_text(s.items[2].resource, "b");
	presence_set_free(&s);
}

static void limit(void **state)
{
	struct presence_set s = {0};
	char name[16];
	(void)state;
	for (int i = 0; i < PRESENCE_MAX_ITEMS; i++) {
		snprintf(name, sizeof name, "r%02d", i);
		struct presence_item it = item(name, i == 7 ? PRESENCE_OFFLINE : PRESENCE_AVAILABLE, i);
		assert_true(presence_set_put(&s, &it));
	}
	struct presence_item more = item("more", PRESENCE_AWAY, 3);
	assert_true(presence_set_put(&s, &more));
	assert_int_equal(s.count, PRESENCE_MAX_ITEMS);
	assert_null(presence_set_find(&s, S("r07"))); /* the closed one had the lowest rank */
	assert_non_null(presence_set_find(&s, S("more")));
	more = item("yet more", PRESENCE_AWAY, 3);
	assert_true(presence_set_put(&s, &more));
	assert_null(presence_set_find(&s, S("r00")));
	/* those who are in may change */
	more.show = PRESENCE_DND;
	assert_true(presence_set_put(&s, &more));
	assert_false(presence_set_put(&s, &more));
	assert_int_equal(s.count, PRESENCE_MAX_ITEMS);
	presence_set_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes),     cmocka_unit_test(reads_show),  cmocka_unit_test(reads_activities),
		cmocka_unit_test(reads_lync), cmocka_unit_test(notes),
		cmocka_unit_test(cuts),
		cmocka_unit_test(set_language),
		cmocka_unit_test(words),	     cmocka_unit_test(set_changes),
		cmocka_unit_test(ranking),    cmocka_unit_test(keeps_order), cmocka_unit_test(limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
