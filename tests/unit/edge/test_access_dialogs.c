/* SPDX-License-Identifier: Apache-2.0 */
/* Dialogs as a proxy sees them pass: how they begin and end, what is counted, what is forgotten, and that strangers cannot fill it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/buf.h"
#include "edge/access_dialogs.h"

static struct access_dialogs *d;
static uint64_t now, age, idle;
static struct buf told;

/* A message "a" of contoso.test and "b" of the partner: start line, From and To tags, more header lines. */
static void pass(bool outward, const char *start, const char *method, const char *from, const char *to, const char *more)
{
	char raw[2048];
	struct sip_msg *m;
	struct sip_fault fault;
	struct arena *a = arena_new(1 << 18);
	bool mine = *from == 'a';
	int n = snprintf(raw, sizeof raw,
			 "%s\r\nVia: SIP/2.0/TLS x;branch=z9hG4bK1\r\nFrom: <sip:%s>;tag=%s\r\nTo: <sip:%s>%s%s\r\nCall-ID: id-%c\r\nCSeq: 1 %s\r\nMax-Forwards: 70\r\n"
			 "%s%sContent-Length: 0\r\n\r\n",
			 start, mine ? "romeo@contoso.test" : "juliet@fabrikam.test", from, mine ? "juliet@fabrikam.test" : "romeo@contoso.test", *to ? ";tag=" : "", to,
			 from[1], method, more, *more ? "\r\n" : "");
	assert_int_equal(sip_msg_parse(&m, a, slice_of(raw, (size_t)n), &sip_limits_default, &fault), 0);
	now += 1000;
	if (m->is_request)
		access_dialogs_request(d, now, outward, m);
	else
		access_dialogs_response(d, now, outward, m);
	arena_release(NULL, a);
}

static struct access_dialog_counts counts(void)
{
	struct access_dialog_counts c;
	access_dialogs_counts(d, &c);
	return c;
}

static void on_row(void *arg, const struct access_dialog_facts *f)
{
	(void)arg;
	(void)counts(); /* the lock is free */
	age = f->age_ms;
	idle = f->idle_ms;
	buf_printf(&told, "%s %s %s %.*s %.*s %.*s %llu/%llu left %llu\n", f->outward ? "out" : "in", f->kind, f->state, SFMT(f->local), SFMT(f->remote),
		   SFMT(f->event), (unsigned long long)f->requests_in, (unsigned long long)f->requests_out, (unsigned long long)f->left_ms / 1000);
}

static const char *rows(void)
{
	buf_clear(&told);
	access_dialogs_each(d, now, on_row, NULL);
	buf_putc(&told, 0);
	return buf_slice(&told).p;
}

static int setup(void **state)
{
	(void)state;
	d = access_dialogs_new(4);
	now = 1000000;
	buf_init(&told, 1 << 16);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	d = access_dialogs_free(d);
	buf_free(&told);
	return 0;
}

static void session(void **state)
{
	(void)state;
	pass(true, "INVITE sip:juliet@fabrikam.test SIP/2.0", "INVITE", "a1", "", "");
	assert_string_equal(rows(), "");
	pass(true, "SIP/2.0 100 Trying", "INVITE", "a1", "b1", "");
	assert_string_equal(rows(), "");
	pass(true, "SIP/2.0 180 Ringing", "INVITE", "a1", "b1", "");
	assert_string_equal(rows(), "out session early sip:romeo@contoso.test sip:juliet@fabrikam.test  0/1 left 0\n");
	pass(true, "SIP/2.0 200 OK", "INVITE", "a1", "b1", "Session-Expires: 90;refresher=uac");
	assert_string_equal(rows(), "out session up sip:romeo@contoso.test sip:juliet@fabrikam.test  0/1 left 122\n");
	pass(true, "ACK sip:juliet@fabrikam.test SIP/2.0", "ACK", "a1", "b1", "");
	pass(false, "INFO sip:romeo@contoso.test SIP/2.0", "INFO", "b1", "a1", ""); /* from the other end: the same dialog */
	pass(false, "SIP/2.0 200 OK", "INFO", "b1", "a1", "");
	assert_string_equal(rows(), "out session up sip:romeo@contoso.test sip:juliet@fabrikam.test  1/2 left 119\n");
	pass(true, "INVITE sip:juliet@fabrikam.test SIP/2.0", "INVITE", "a1", "b1", "");
	pass(true, "SIP/2.0 488 Not Acceptable Here", "INVITE", "a1", "b1", ""); /* of a re-INVITE: the dialog lives on */
	assert_true(*rows());
	pass(false, "BYE sip:romeo@contoso.test SIP/2.0", "BYE", "b1", "a1", "");
	assert_string_equal(rows(), "out session ending sip:romeo@contoso.test sip:juliet@fabrikam.test  2/3 left 32\n");
	pass(false, "SIP/2.0 200 OK", "BYE", "b1", "a1", "");
	assert_string_equal(rows(), "");
	assert_int_equal(counts().begun, 1);
	assert_int_equal(counts().ended, 1);
}

static void declined(void **state)
{
	(void)state;
	pass(false, "SIP/2.0 180 Ringing", "INVITE", "b1", "a1", "");
	pass(false, "SIP/2.0 183 Session Progress", "INVITE", "b1", "a2", ""); /* forked at the home */
	assert_int_equal(counts().open, 2);
	pass(false, "SIP/2.0 486 Busy Here", "INVITE", "b1", "a3", "");
	assert_int_equal(counts().open, 0);
	pass(false, "SIP/2.0 180 Ringing", "INVITE", "b1", "a1", "");
	pass(false, "SIP/2.0 200 OK", "INVITE", "b1", "a1", "");
	pass(false, "SIP/2.0 486 Busy Here", "INVITE", "b1", "a2", ""); /* late: the one that is up stays */
	assert_string_equal(rows(), "in session up sip:romeo@contoso.test sip:juliet@fabrikam.test  1/0 left 0\n");
	pass(false, "SIP/2.0 481 No such dialog", "INFO", "b1", "a1", "");
	assert_int_equal(counts().open, 0);
}

static void subscription(void **state)
{
	(void)state;
	pass(true, "SIP/2.0 200 OK", "SUBSCRIBE", "a1", "b1", "Expires: 600\r\nEvent: presence");
	assert_string_equal(rows(), "out subscription up sip:romeo@contoso.test sip:juliet@fabrikam.test presence 0/1 left 632\n");
	pass(false, "NOTIFY sip:romeo@contoso.test SIP/2.0", "NOTIFY", "b1", "a1", "Event: presence\r\nSubscription-State: active;expires=100");
	assert_string_equal(rows(), "out subscription up sip:romeo@contoso.test sip:juliet@fabrikam.test presence 1/1 left 132\n");
	pass(false, "BENOTIFY sip:romeo@contoso.test SIP/2.0", "BENOTIFY", "b1", "a1", "Subscription-State: terminated;reason=timeout");
	assert_true(strstr(rows(), "ending"));
	now += 40000;
	assert_string_equal(rows(), "");
	assert_int_equal(counts().ended, 1);
	pass(true, "SIP/2.0 202 Accepted", "SUBSCRIBE", "a1", "b1", "Expires: 600\r\nEvent: presence");
	pass(true, "SIP/2.0 200 OK", "SUBSCRIBE", "a1", "b1", "Expires: 0\r\nEvent: presence");
	assert_true(strstr(rows(), "ending"));
	pass(false, "NOTIFY sip:romeo@contoso.test SIP/2.0", "NOTIFY", "b1", "a1", "Subscription-State: terminated");
	pass(false, "SIP/2.0 200 OK", "NOTIFY", "b1", "a1", "");
	assert_string_equal(rows(), "");
	pass(true, "SIP/2.0 200 OK", "SUBSCRIBE", "a1", "b1", "Expires: 100");
	now += 133000; /* not refreshed */
	assert_string_equal(rows(), "");
	pass(false, "SIP/2.0 202 Accepted", "REFER", "b1", "a1", "");
	assert_string_equal(rows(), "in subscription up sip:romeo@contoso.test sip:juliet@fabrikam.test refer 1/0 left 0\n");
	now += ACCESS_DIALOG_SILENT_MS;
	assert_string_equal(rows(), "");
	assert_int_equal(counts().forgotten, 1);
}

static void no_dialogs(void **state)
{
	(void)state;
	pass(true, "SIP/2.0 200 OK", "MESSAGE", "a1", "b1", "");
	pass(true, "SIP/2.0 200 OK", "OPTIONS", "a1", "b1", "");
	pass(true, "SIP/2.0 404 Not Found", "SUBSCRIBE", "a1", "b1", "");
	pass(true, "SIP/2.0 200 OK", "INVITE", "a1", "", ""); /* no tag: whoever that is */
	pass(false, "INFO sip:romeo@contoso.test SIP/2.0", "INFO", "b1", "a1", "");
	pass(false, "SIP/2.0 200 OK", "BYE", "b1", "a1", "");
	assert_int_equal(counts().begun, 0);
	struct access_dialogs *keep = d;
	d = NULL;
	pass(true, "SIP/2.0 200 OK", "INVITE", "a1", "b1", "");
	pass(true, "BYE sip:juliet@fabrikam.test SIP/2.0", "BYE", "a1", "b1", "");
	assert_string_equal(rows(), "");
	d = keep;
}

/* The one that is silent longest makes room. */
static void bounded(void **state)
{
	(void)state;
	pass(true, "SIP/2.0 200 OK", "INVITE", "a1", "b1", "");
	pass(true, "SIP/2.0 200 OK", "INVITE", "a2", "b1", "");
	pass(true, "SIP/2.0 180 Ringing", "INVITE", "a3", "b1", "");
	pass(true, "SIP/2.0 200 OK", "INVITE", "a4", "b1", "");
	pass(true, "INFO sip:juliet@fabrikam.test SIP/2.0", "INFO", "a1", "b1", "");
	pass(true, "SIP/2.0 200 OK", "INVITE", "a5", "b1", "");
	pass(true, "SIP/2.0 200 OK", "INVITE", "a6", "b1", "");
	assert_int_equal(counts().open, 4);
	assert_int_equal(counts().forgotten, 2);
	pass(true, "SIP/2.0 486 Busy Here", "INVITE", "a3", "b1", ""); /* forgotten: nothing to end */
	assert_int_equal(counts().open, 4);
	assert_true(strstr(rows(), " 0/2 "));
}

/* Each worker tells its own time: one that is behind forgets nothing. */
static void clocks(void **state)
{
	(void)state;
	pass(true, "SIP/2.0 200 OK", "INVITE", "a1", "b1", "");
	now -= 1500; /* and 1000 on */
	pass(true, "INFO sip:juliet@fabrikam.test SIP/2.0", "INFO", "a1", "b1", "");
	assert_string_equal(rows(), "out session up sip:romeo@contoso.test sip:juliet@fabrikam.test  0/2 left 0\n");
	assert_int_equal(age, 0);
	now += ACCESS_DIALOG_SILENT_MS; /* since the later one of both: half a second is missing */
	assert_int_equal((rows(), counts().open), 1);
	assert_int_equal(idle, ACCESS_DIALOG_SILENT_MS - 500);
	assert_int_equal(counts().forgotten + counts().ended, 0);
}

/* Calls that only ring are searched at each refusal: there are never many. */
static void ringing(void **state)
{
	char start[64], tag[16];
	(void)state;
	access_dialogs_free(d);
	d = access_dialogs_new(0);
	pass(true, "SIP/2.0 200 OK", "INVITE", "a2", "b1", "");
	for (int i = 0; i < 3000; i++) {
		snprintf(start, sizeof start, "SIP/2.0 18%d Ringing", i % 4);
		snprintf(tag, sizeof tag, "b%d", i);
		pass(true, start, "INVITE", "a1", tag, "");
	}
	assert_int_equal(counts().open, 1001);
	assert_int_equal(counts().forgotten, 2000);
	pass(true, "SIP/2.0 200 OK", "INVITE", "a1", "b0", ""); /* one that was forgotten is answered */
	assert_int_equal(counts().open, 1002);
	pass(true, "SIP/2.0 486 Busy Here", "INVITE", "a1", "b9", "");
	assert_int_equal(counts().open, 2);
	for (int i = 0; i < 1000; i++) { /* all room is there again */
		snprintf(tag, sizeof tag, "c%d", i);
		pass(true, "SIP/2.0 180 Ringing", "INVITE", "a3", tag, "");
	}
	assert_int_equal(counts().open, 1002);
	assert_int_equal(counts().forgotten, 2000);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {CASE(session), CASE(declined), CASE(subscription), CASE(no_dialogs), CASE(bounded), CASE(clocks), CASE(ringing)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
