/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of partners inside dialogs: a tag in To does not make one, our mark in the Record-Route does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "proxy_rig.h"

#define KEY_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY_B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static struct access_rules rules(const char *keys)
{
	struct access_rules r = access_rules_default;
	access_hide_keys(&r.keys, slice_str(keys));
	return r;
}

/* A partner's call comes in: what is between the brackets of our Record-Route towards it. */
static void route_of(struct rig *r, char ret[256])
{
	static const char invite[] = "INVITE sip:romeo@ours.test SIP/2.0\r\nVia: SIP/2.0/TLS sip.far.test;branch=z9hG4bKi\r\nMax-Forwards: 70\r\n"
				     "From: <sip:j@far.test>;tag=theirs\r\nTo: <sip:romeo@ours.test>\r\nCall-ID: call-1\r\nCSeq: 1 INVITE\r\n"
				     "Contact: <sip:far.test>\r\nContent-Length: 0\r\n\r\n";
	rig_start(r);
	struct access_rules a = rules(KEY_A);
	access_proxy_set(r->proxy, &a);
	assert_true(rig_feed(r, RIG_OUTER, 1, slice_str(invite)));
	struct slice m = rig_next(r, RIG_INNER);
	ptrdiff_t at = slice_find(m, S("<sip:edge.ours.test:5061"));
	assert_true(at > 0);
	m = slice_skip(m, (size_t)at + 1);
	slice_cstr(slice_first(m, (size_t)slice_find_chr(m, '>')), ret, 256);
	assert_non_null(strstr(ret, ";dlg="));
}

/* Does this request of the partner reach the home? */
static bool passes(struct rig *r, const char *uri, const char *routes, const char *from_tag, const char *to_tag, const char *call)
{
	static int n;
	char text[2048];
	n++;
	snprintf(text, sizeof text,
		 "INFO %s SIP/2.0\r\nVia: SIP/2.0/TLS sip.far.test;branch=z9hG4bKr%d\r\nMax-Forwards: 70\r\n%sFrom: <sip:j@far.test>;tag=%s\r\n"
		 "To: <sip:romeo@ours.test>;tag=%s\r\nCall-ID: %s\r\nCSeq: %d INFO\r\nContent-Length: 0\r\n\r\n",
		 uri, n, routes, from_tag, to_tag, call, n + 1);
	assert_true(rig_feed(r, RIG_OUTER, 1, slice_str(text)));
	bool yes = rig_next(r, RIG_INNER).p != NULL;
	while (rig_next(r, RIG_INNER).p)
		;
	return yes;
}

static void t44_marks(void **state)
{
	static struct rig r;
	char us[256], one[600], two[600], bare[600], strange[600], after3[900], after4[1200];
	(void)state;
	route_of(&r, us);
	snprintf(one, sizeof one, "Route: <%s>\r\n", us);
	snprintf(two, sizeof two, "Route: <%s>, <sip:10.0.0.9;lr>\r\n", us);
	snprintf(bare, sizeof bare, "Route: <sip:edge.ours.test:5061;transport=tls;lr>, <sip:10.0.0.9;lr>\r\n");
#define WRONG "Route: <sip:edge.ours.test:5061;transport=tls;lr;dlg=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA>\r\n"
	snprintf(after3, sizeof after3, WRONG WRONG WRONG "%s", two);
	snprintf(after4, sizeof after4, WRONG WRONG WRONG WRONG "%s", two);
	snprintf(strange, sizeof strange, "Route: <%sx>, <sip:10.0.0.9;lr>\r\n", us);
	while (rig_next(&r, RIG_INNER).p)
		;
	/* in the dialog, from either end's view of the tags, wherever the home says that its user is */
	assert_true(passes(&r, "sip:romeo@10.0.0.7:5062", one, "theirs", "ours", "call-1"));
	assert_true(passes(&r, "sip:romeo@10.0.0.7:5062", two, "theirs", "ours", "call-1"));
	assert_true(passes(&r, "sip:romeo@10.0.0.7:5062", two, "other", "theirs", "call-1"));
	/* another dialog, a changed mark, none */
	assert_false(passes(&r, "sip:romeo@10.0.0.7:5062", two, "theirs2", "ours", "call-1"));
	assert_false(passes(&r, "sip:romeo@10.0.0.7:5062", two, "theirs", "ours", "call-2"));
	assert_false(passes(&r, "sip:romeo@10.0.0.7:5062", strange, "theirs", "ours", "call-1"));
	assert_false(passes(&r, "sip:romeo@10.0.0.7:5062", bare, "theirs", "ours", "call-1"));
	assert_false(passes(&r, "sip:victim@third.test", "", "theirs", "ours", "call-1"));
	assert_false(passes(&r, "sip:romeo@ours.test", bare, "theirs", "ours", "call-1"));
	/* a look costs something: few are taken at what is said to be ours */
	assert_true(passes(&r, "sip:romeo@10.0.0.7:5062", after3, "theirs", "ours", "call-1"));
	assert_false(passes(&r, "sip:romeo@10.0.0.7:5062", after4, "theirs", "ours", "call-1"));
	/* a telephone number is none the less for a tag in To that was made up; in a dialog of ours it is where the home has a device */
	assert_true(passes(&r, "sip:+4930@10.0.0.7:5062", one, "theirs", "ours", "call-1"));
	assert_false(passes(&r, "sip:+4930@ours.test", "", "theirs", "ours", "call-9"));
	assert_false(passes(&r, "sip:%2B4930@ours.test", "", "theirs", "ours", "call-9"));
	assert_false(passes(&r, "sip:4930@ours.test;user=phone", bare, "theirs", "ours", "call-9"));
	assert_false(passes(&r, "sip:+4930@ours.test", one, "theirs", "ours", "call-2"));
	/* to the user in To, with no way of its own: as outside a dialog */
	assert_true(passes(&r, "sip:romeo@ours.test", "", "theirs", "ours", "call-9"));
	/* a new secret beside the old one, and without it */
	struct access_rules both = rules(KEY_B KEY_A), other = rules(KEY_B);
	access_proxy_set(r.proxy, &both);
	assert_true(passes(&r, "sip:romeo@10.0.0.7:5062", two, "theirs", "ours", "call-1"));
	access_proxy_set(r.proxy, &other);
	assert_false(passes(&r, "sip:romeo@10.0.0.7:5062", two, "theirs", "ours", "call-1"));
	rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(t44_marks)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
