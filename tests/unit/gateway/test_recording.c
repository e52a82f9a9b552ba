/* SPDX-License-Identifier: Apache-2.0 */
/* What the decision log knows of messages and subscriptions afterwards. */
#include "house.h"

#include <stdio.h>
#include "base/log.h"

#define ROMEO "romeo@contoso.test"
#define JULIET "juliet@fabrikam.test"

static char last_line[2000];

static void keep_line(void *arg, struct slice line)
{
	(void)arg;
	slice_cstr(slice_first(line, sizeof last_line - 1), last_line, sizeof last_line);
}

static int setup(void **state)
{
	*state = house_new();
	log_set_sink(keep_line, NULL);
	return 0;
}

static int teardown(void **state)
{
	log_set_sink(NULL, NULL);
	house_free(*state);
	return 0;
}

static bool first(void *arg, const struct record *r)
{
	const struct record **ret = arg;
	*ret = r;
	return false;
}

static const struct record *newest(struct house *h)
{
	const struct record *r = NULL;
	record_each(h->records, first, &r);
	assert_non_null(r);
	return r;
}

/* The newest record: "to-remote message romeo... > juliet... delivered; given, sent, told 200; rule contact via fabrikam.test" */
#define expect_record(h, want) recorded((h), (want), __FILE__, __LINE__)
static void recorded(struct house *h, const char *want, const char *file, int line)
{
	const struct record *r = newest(h);
	struct buf b;
	buf_init(&b, 4096);
	buf_printf(&b, "%s %s %.*s > %.*s %s", policy_direction_name((enum policy_direction)r->direction), policy_kind_name((enum policy_kind)r->kind),
		   SFMT(record_text(r, RECORD_FROM)), SFMT(record_text(r, RECORD_TO)), record_outcome_name((enum record_outcome)r->outcome));
	if (r->reason)
		buf_printf(&b, " %s", reason_info((enum reason)r->reason)->id);
	for (unsigned i = 0; i < r->n_hops; i++) {
		buf_printf(&b, "%s %s", i ? "," : ";", record_what_name((enum record_what)r->hops[i].what));
		if (r->hops[i].status)
			buf_printf(&b, " %d", r->hops[i].status);
	}
	buf_printf(&b, "; %s", r->asked ? r->rule : "not asked");
	if (r->via_len)
		buf_printf(&b, " via %.*s", SFMT(record_text(r, RECORD_VIA)));
	if (r->peer_len)
		buf_printf(&b, " proved %.*s", SFMT(record_text(r, RECORD_PEER)));
	if (!slice_eq(buf_slice(&b), slice_str(want))) {
		print_error("is:     %.*s\nwanted: %s\n", SFMT(buf_slice(&b)), want);
		_fail(file, line);
	}
	buf_free(&b);
	buf_clear(&h->log);
}

static void to_xmpp(void **state)
{
	struct house *h = *state;
	char id[RECORD_ID_TEXT];
	home_message(h, ROMEO, JULIET, "hello");
	expect_record(h, "to-remote message sip:" ROMEO " > sip:" JULIET " open; given, sent; contact via fabrikam.test");
	house_pass(h, 500);
	expect_record(h, "to-remote message sip:" ROMEO " > sip:" JULIET " delivered; given, sent, told 200; contact via fabrikam.test");
	assert_int_equal(newest(h)->hops[2].ms, 500);
	assert_true(newest(h)->generation == h->generation);
	assert_int_equal(newest(h)->home, 1);
	home_message(h, ROMEO, "who@nowhere.test", "x");
	expect_record(h, "to-remote message sip:" ROMEO " > sip:who@nowhere.test refused policy/partner-unknown; told 403; partner-known");
	record_id_print(newest(h)->id, id);
	assert_non_null(strstr(last_line, id)); /* the log names it */
	home_message(h, ROMEO, "%20a@fabrikam.test", "x");
	expect_record(h, "to-remote message sip:" ROMEO " > sip:%20a@fabrikam.test refused address/impossible; told 404; not asked");
	h->link = LINK_BAD;
	h->why = REASON_XMPP_DNS;
	home_message(h, ROMEO, JULIET, "lost");
	expect_record(h, "to-remote message sip:" ROMEO " > sip:" JULIET " failed xmpp/dns-not-found; given, told 404; contact via fabrikam.test");
}

static void refused_by_the_partner(void **state)
{
	struct house *h = *state;
	struct arena *a = arena_new(1 << 20);
	struct xml_node *n;
	home_message(h, ROMEO, JULIET, "hello");
	assert_int_equal(xml_parse(&n, a, slice_str(h->stanza), &xml_limits_default, NULL), 0);
	partner_says(h, "fabrikam.test",
		     "<message from='" JULIET "' to='" ROMEO "' type='error' id='%.*s'><error type='cancel'><item-not-found "
		     "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", SFMT(xml_attr(n, S("id"))));
	expect_record(h, "to-remote message sip:" ROMEO " > sip:" JULIET " failed; given, sent, heard, told 404; contact via fabrikam.test");
	assert_int_equal(record_count(h->records), 1); /* the error is not one of its own */
	arena_release(NULL, a);
}

static void to_sip(void **state)
{
	struct house *h = *state;
	partner_message(h, JULIET, ROMEO, "hi");
	expect_record(h, "to-local message " JULIET " > " ROMEO " open; sent; contact via contoso proved fabrikam.test");
	partner_message(h, JULIET, ROMEO, "again"); /* behind the first one */
	expect_record(h, "to-local message " JULIET " > " ROMEO " open; waits; contact proved fabrikam.test");
	house_pass(h, 70);
	home_answers(h, "MESSAGE", 0, 200, "");
	expect_record(h, "to-local message " JULIET " > " ROMEO " open; waits, sent; contact via contoso proved fabrikam.test");
	assert_int_equal(newest(h)->hops[1].ms, 70);
	home_answers(h, "MESSAGE", 0, 404, "");
	expect_record(h, "to-local message " JULIET " > " ROMEO " failed; waits, sent, heard 404, told; contact via contoso proved fabrikam.test");
	partner_message(h, "x@public.test", ROMEO, "hi");
	expect_record(h, "to-local message x@public.test > " ROMEO " refused policy/contact-required; told; contact proved public.test");
	h->home_unreachable = true;
	partner_message(h, JULIET, ROMEO, "hi");
	assert_int_equal(newest(h)->outcome, RECORD_FAILED);
	assert_int_equal(newest(h)->reason, REASON_SIP_HOME_UNREACHABLE);
	h->home_unreachable = false;
	partner_says(h, "fabrikam.test", "<message from='" JULIET "' to='" ROMEO "' type='chat' id='s9'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>");
	expect_record(h, "to-local message " JULIET " > " ROMEO " ignored; dropped; contact proved fabrikam.test");
	assert_true(slice_eq(record_text(newest(h), RECORD_KEY), S("s9")));
}

static void subscriptions(void **state)
{
	struct house *h = *state;
	partner_presence(h, JULIET, ROMEO, "subscribe", "");
	expect_record(h, "to-local presence-subscribe " JULIET " > " ROMEO " open; sent; contact via contoso proved fabrikam.test");
	home_answers(h, "SUBSCRIBE", 0, 200, "Expires: 3600\n");
	expect_record(h, "to-local presence-subscribe " JULIET " > " ROMEO " delivered; sent, heard 200; contact via contoso proved fabrikam.test");
	partner_presence(h, "x@public.test", ROMEO, "subscribe", "");
	expect_record(h, "to-local presence-subscribe x@public.test > " ROMEO " refused policy/contact-required; told; contact proved public.test");
	home_subscribes(h, "dialog-1", 1, ROMEO, JULIET, NULL, 3600);
	expect_record(h, "to-remote presence-subscribe sip:" ROMEO " > sip:" JULIET " delivered; told 200; contact");
	size_t n = record_count(h->records);
	partner_presence(h, JULIET, ROMEO, NULL, ""); /* what passes every minute is not recorded ... */
	assert_int_equal(record_count(h->records), n);
	partner_presence(h, "x@public.test", ROMEO, NULL, ""); /* ... but when it is refused */
	expect_record(h, "to-local presence-state x@public.test > " ROMEO " refused policy/contact-required; contact proved public.test");
	home_says(h, "INVITE sip:" JULIET " SIP/2.0\nVia: SIP/2.0/TCP home;branch=z9hG4bKi1\nMax-Forwards: 70\nFrom: <sip:" ROMEO ">;tag=1\nTo: <sip:" JULIET ">\n"
		     "Call-ID: i1\nCSeq: 1 INVITE\n\n");
	expect_record(h, "to-remote message sip:" ROMEO " > sip:" JULIET " refused sip/session-not-supported; told 488; contact");
	assert_true(slice_eq(record_text(newest(h), RECORD_METHOD), S("INVITE")));
}

/* Nothing of what was written is in the log's memory. */
static bool no_secret(void *arg, const struct record *r)
{
	(void)arg;
	assert_true(slice_find(slice_of((const char *)r, RECORD_SLOT), S("s3cret")) < 0);
	return true;
}

static void no_bodies(void **state)
{
	struct house *h = *state;
	home_message(h, ROMEO, JULIET, "my s3cret");
	partner_message(h, JULIET, ROMEO, "your s3cret");
	home_answers(h, "MESSAGE", 0, 200, "");
	record_each(h->records, no_secret, NULL);
	assert_int_equal(record_count(h->records), 2);
}

static void without_a_log(void **state)
{
	struct house *h = *state;
	house_stop(h);
	h->cfg.records = NULL;
	house_start(h);
	home_message(h, ROMEO, JULIET, "hello");
	partner_message(h, JULIET, ROMEO, "hi");
	home_answers(h, "MESSAGE", 0, 200, "");
	assert_int_equal(record_count(h->records), 0);
	expect_count(h, "X message", 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {TEST(to_xmpp), TEST(refused_by_the_partner), TEST(to_sip), TEST(subscriptions), TEST(no_bodies), TEST(without_a_log)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
