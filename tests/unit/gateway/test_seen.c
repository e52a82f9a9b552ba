/* SPDX-License-Identifier: Apache-2.0 */
/* A text that comes again, in both directions: while the first is under way, when it is over, after a kill. It reaches the other side
 * once, and its sender is told the same each time. */
#include "house.h"

#include "base/map.h"
#include "base/mem.h"

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"

static void says(struct house *h, const char *call_id, const char *branch, const char *text)
{
	home_says(h,
		  "MESSAGE sip:" JULIET " SIP/2.0\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK%s\nMax-Forwards: 70\nFrom: "
		  "<sip:" ROMEO ">;tag=f1\nTo: <sip:" JULIET ">\nCall-ID: %s\nCSeq: 7 MESSAGE\nContent-Type: text/plain\n\n%s",
		  branch, call_id, text);
}

static void writes(struct house *h, uint64_t stream, const char *id, const char *text)
{
	h->stream = stream;
	partner_says(h, "fabrikam.test", "<message from='" JULIET "/balcony' to='" ROMEO "' type='chat' id='%s'><body>%s</body></message>", id, text);
}

/* The contact is known on both sides: answers do not wait. */
static struct house *settled(void)
{
	struct house *h = house_new();
	house_contact(h, S(ROMEO), S(JULIET));
	writes(h, 1, "hello", "hello");
	home_answers(h, "MESSAGE", 0, 200, "");
	house_forget(h, 0);
	return h;
}

#define DELIVERED "X message " ROMEO ">" JULIET

static void test_sip_again(void **state)
{
	(void)state;
	struct house *h = settled();
	says(h, "c1", "a", "one");
	expect_count(h, "X message", 1);
	says(h, "c1", "b", "one"); /* over another connection */
	expect(h, "S 200 MESSAGE");
	/* another text under the same names, the same text under others */
	says(h, "c1", "c", "two");
	expect_count(h, "X message", 1);
	says(h, "c2", "d", "one");
	expect_count(h, "X message", 1);
	/* killed, and asked once more */
	house_pass(h, 200);
	h->killed = true;
	house_restart(h, 5000);
	house_forget(h, 0);
	says(h, "c1", "e", "one");
	says(h, "c1", "f", "two");
	says(h, "c2", "g", "one");
	expect(h, "S 200 MESSAGE; S 200 MESSAGE; S 200 MESSAGE");
	/* not for ever */
	house_pass(h, (SEEN_WINDOW_S + 10) * 1000);
	house_forget(h, 0);
	says(h, "c1", "h", "one");
	expect_count(h, "X message", 1);
	house_free(h);
}

static void test_sip_under_way(void **state)
{
	(void)state;
	struct house *h = settled();
	h->link = LINK_QUEUED;
	says(h, "c1", "a", "one");
	says(h, "c1", "b", "one");
	says(h, "c1", "c", "one");
	house_release(h, REASON_NONE);
	expect_count(h, "S 200 MESSAGE", 3);
	house_free(h);
	/* nobody heard of the first one yet: its error is that of all */
	h = house_new();
	house_contact(h, S(ROMEO), S(JULIET));
	house_forget(h, 0);
	says(h, "c1", "a", "one");
	says(h, "c1", "b", "one");
	expect_count(h, "X message", 1);
	struct slice stanza = slice_str(h->stanza), id;
	ptrdiff_t at = slice_find(stanza, S("id='"));
	assert_true(at > 0);
	stanza = slice_skip(stanza, (size_t)at + 4);
	id = slice_split(&stanza, '\'');
	partner_says(h, "fabrikam.test",
		     "<message from='" JULIET "' to='" ROMEO "' type='error' id='%.*s'><error type='cancel'><item-not-found "
		     "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
		     SFMT(id));
	expect_count(h, "S 404 MESSAGE", 2);
	says(h, "c1", "c", "one");
	expect(h, "S 404 MESSAGE");
	house_free(h);
}

/* What was refused once does not get there later. */
static void test_sip_failed(void **state)
{
	(void)state;
	struct house *h = settled();
	h->link = LINK_BAD;
	h->why = REASON_LINK_DOWN;
	says(h, "c1", "a", "one");
	expect_count(h, "S 5", 1);
	h->link = LINK_FINE;
	says(h, "c1", "b", "one");
	expect_count(h, "X message", 0);
	house_pass(h, 200);
	h->killed = true;
	house_restart(h, 1000);
	house_forget(h, 0);
	says(h, "c1", "c", "one");
	expect_count(h, "S 5", 1);
	house_free(h);
}

static void test_xmpp_again(void **state)
{
	(void)state;
	struct house *h = settled();
	writes(h, 1, "m1", "one");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	home_answers(h, "MESSAGE", 0, 200, "");
	writes(h, 2, "m1", "one");
	expect(h, "");
	assert_int_equal(h->n_done, h->n_receipts); /* acknowledged */
	/* the same stream does not repeat itself: a client that names all its texts alike */
	writes(h, 2, "m1", "one");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	home_answers(h, "MESSAGE", 0, 200, "");
	/* other words, or no name at all */
	writes(h, 3, "m1", "two");
	expect(h, "S MESSAGE sip:" ROMEO " 'two'");
	home_answers(h, "MESSAGE", 0, 200, "");
	house_pass(h, 200);
	h->killed = true;
	house_restart(h, 3000);
	house_forget(h, 0);
	writes(h, 4, "m1", "one");
	writes(h, 4, "m1", "two");
	expect(h, "");
	assert_int_equal(h->n_done, h->n_receipts);
	house_free(h);
}

static void test_xmpp_under_way(void **state)
{
	(void)state;
	struct house *h = settled();
	writes(h, 1, "m1", "one");
	writes(h, 1, "m2", "two"); /* waits for the first */
	writes(h, 2, "m1", "one");
	writes(h, 2, "m2", "two");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	/* those of the old stream are done with, those of the new one wait */
	assert_int_equal(h->n_receipts - h->n_done, 2);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "S MESSAGE sip:" ROMEO " 'two'");
	home_answers(h, "MESSAGE", 0, 200, "");
	expect(h, "");
	assert_int_equal(h->n_done, h->n_receipts);
	house_free(h);
}

static void test_xmpp_failed(void **state)
{
	(void)state;
	struct house *h = settled();
	writes(h, 1, "m1", "one");
	home_answers(h, "MESSAGE", 0, 404, "");
	expect_count(h, "X message/error", 1);
	writes(h, 2, "m1", "one");
	expect_count(h, "S MESSAGE", 0);
	writes(h, 3, "m1", "one");
	expect_count(h, "service-unavailable", 1);
	h->no_home = true;
	writes(h, 3, "m2", "two");
	expect_count(h, "X message/error", 1);
	h->no_home = false;
	writes(h, 4, "m2", "two");
	expect_count(h, "S MESSAGE", 0);
	house_pass(h, 200);
	h->killed = true;
	house_restart(h, 1000);
	house_forget(h, 0);
	writes(h, 5, "m1", "one");
	expect_count(h, "service-unavailable", 1);
	writes(h, 5, "m2", "two");
	expect_count(h, "S MESSAGE", 0);
	house_free(h);
}

/* What nobody had answered when the process died is sent anew: twice at the worst, never lost. */
static void test_xmpp_killed_under_way(void **state)
{
	(void)state;
	struct house *h = settled();
	writes(h, 1, "m1", "one");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	h->killed = true;
	house_restart(h, 1000);
	house_forget(h, 0);
	writes(h, 2, "m1", "one");
	expect(h, "S MESSAGE sip:" ROMEO " 'one'");
	home_answers(h, "MESSAGE", 0, 200, "");
	house_free(h);
}

/* ---- the record itself */

static void test_pace(void **state)
{
	(void)state;
	struct house *h = settled();
	house_pass(h, 1000);
	unsigned before = h->seen_puts;
	says(h, "p0", "p0", "x");
	house_pass(h, 1);
	assert_int_equal(h->seen_puts, before + 1); /* at once when it is quiet */
	for (int i = 1; i <= 100; i++) {
		char id[16];
		snprintf(id, sizeof id, "p%d", i);
		says(h, id, id, "x");
		house_pass(h, 9);
	}
	house_pass(h, 100);
	assert_in_range(h->seen_puts - before, 9, 12); /* ten times a second when not */
	house_pass(h, 60000);
	assert_int_equal(h->seen_purges, 1);
	house_pass(h, 600000);
	assert_int_equal(h->seen_purges, 1); /* nothing happens: nothing to do */
	house_free(h);
}

static struct seen *bare(struct house *h, void (*put)(void *, int64_t, struct slice), void *arg)
{
	struct seen_config c = {.timers = &h->timers, .secret = {1, 2}, .put = put, .arg = arg};
	return seen_new(&c);
}

static struct seen_key number(const struct seen *s, unsigned n)
{
	char text[16];
	struct slice part = slice_of(text, (size_t)snprintf(text, sizeof text, "%u", n));
	return seen_key(s, &part, 1);
}

static void keep(void *arg, int64_t at, struct slice records)
{
	(void)at;
	buf_put(arg, records);
}

static void test_bounds(void **state)
{
	(void)state;
	struct house *h = house_new();
	struct buf out;
	buf_init(&out, 16 << 20);
	struct seen *s = bare(h, keep, &out);
	struct seen_run *run;
	struct seen_outcome o;
	for (unsigned i = 0; i < SEEN_MAX + 10; i++) {
		assert_int_equal(seen_take(s, number(s, i), 0, &run, &o), SEEN_NEW);
		seen_end(s, run, (struct seen_outcome){.status = 200});
	}
	assert_int_equal(seen_count(s), SEEN_MAX);
	assert_int_equal(seen_take(s, number(s, 10), 0, &run, &o), SEEN_OVER);
	assert_int_equal(seen_take(s, number(s, 9), 0, &run, &o), SEEN_NEW);
	seen_forget(s, run);
	seen_free(s); /* all are written by now, in pieces */
	assert_int_equal(out.len, (size_t)(SEEN_MAX + 10) * SEEN_RECORD);
	s = bare(h, NULL, NULL);
	seen_load(s, buf_slice(&out));
	assert_int_equal(seen_count(s), SEEN_MAX);
	assert_int_equal(seen_take(s, number(s, SEEN_MAX + 9), 0, &run, &o), SEEN_OVER);
	assert_int_equal(o.status, 200);
	seen_free(s);
	/* another secret, other names */
	struct seen_config c = {.timers = &h->timers, .secret = {3, 4}};
	s = seen_new(&c);
	seen_load(s, buf_slice(&out));
	assert_int_equal(seen_take(s, number(s, 100), 0, &run, &o), SEEN_NEW);
	seen_free(s);
	buf_free(&out);
	house_free(h);
}

static void test_load_malformed(void **state)
{
	(void)state;
	struct house *h = house_new();
	struct seen *s = bare(h, NULL, NULL);
	char text[SEEN_RECORD * 2 + 5];
	memset(text, 0, sizeof text);
	seen_load(s, slice_of(text, sizeof text)); /* too old */
	memset(text, 0xff, sizeof text);
	seen_load(s, slice_of(text, sizeof text)); /* in the far future */
	seen_load(s, S(""));
	seen_load(s, S("short"));
	assert_int_equal(seen_count(s), 0);
	/* a known one that is under way is not disturbed */
	struct buf out;
	buf_init(&out, 4096);
	struct seen *w = bare(h, keep, &out);
	struct seen_run *run, *mine;
	struct seen_outcome o;
	seen_take(w, number(w, 1), 0, &run, &o);
	seen_end(w, run, (struct seen_outcome){.status = 404});
	seen_free(w);
	assert_int_equal(seen_take(s, number(s, 1), 0, &mine, &o), SEEN_NEW);
	seen_load(s, buf_slice(&out));
	assert_int_equal(seen_take(s, number(s, 1), 0, &run, &o), SEEN_UNDER_WAY);
	assert_ptr_equal(run, mine);
	seen_end(s, mine, (struct seen_outcome){.status = 200});
	seen_load(s, buf_slice(&out)); /* the later one in the file holds */
	assert_int_equal(seen_take(s, number(s, 1), 0, &run, &o), SEEN_OVER);
	assert_int_equal(o.status, 404);
	buf_free(&out);
	seen_free(s);
	house_free(h);
}

static void test_names(void **state)
{
	(void)state;
	struct house *h = house_new();
	struct seen *s = bare(h, NULL, NULL);
	struct seen_run *run;
	struct seen_outcome o;
	uint64_t others[SEEN_OTHERS];
	seen_take(s, number(s, 1), 0, &run, &o);
	seen_name(s, run, 1, 77);
	assert_ptr_equal(seen_named(s, 1, 77), run);
	assert_null(seen_named(s, 2, 77));
	for (uint64_t i = 0; i < SEEN_OTHERS; i++)
		assert_true(seen_add_other(run, i));
	assert_false(seen_add_other(run, 9));
	assert_int_equal(seen_others(run, others), SEEN_OTHERS);
	seen_forget(s, run);
	assert_null(seen_named(s, 1, 77));
	assert_int_equal(seen_take(s, number(s, 1), 0, &run, &o), SEEN_NEW);
	seen_free(s); /* with one under way */
	house_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sip_again),	cmocka_unit_test(test_sip_under_way), cmocka_unit_test(test_sip_failed),
		cmocka_unit_test(test_xmpp_again),	cmocka_unit_test(test_xmpp_under_way), cmocka_unit_test(test_xmpp_failed),
		cmocka_unit_test(test_xmpp_killed_under_way), cmocka_unit_test(test_pace),    cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_load_malformed),	cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
