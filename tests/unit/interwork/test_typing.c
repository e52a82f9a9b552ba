/* SPDX-License-Identifier: Apache-2.0 */
/* Who is typing: RFC 3994, KeyboardActivity, XEP-0085, row by row (RFC 7573 tables 3 and 4). */
#include "parse.h"

#include "interwork/chatstate.h"
#include "interwork/iscomposing.h"
#include "interwork/keyboard.h"

#define NS "urn:ietf:params:xml:ns:im-iscomposing"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

static void composing_read(void **state)
{
	static const struct {
		const char *doc;
		bool active;
		uint32_t refresh;
	} rows[] = {
		{"<isComposing xmlns='" NS "'><state>active</state><contenttype>text/plain</contenttype><refresh>90</refresh></isComposing>", true, 90},
		{"<isComposing xmlns='" NS "'><state>active</state></isComposing>", true, ISCOMPOSING_REFRESH},
		{"<isComposing xmlns='" NS "'><state>active</state><refresh>59</refresh></isComposing>", true, ISCOMPOSING_MIN},
		{"<isComposing xmlns='" NS "'><state>active</state><refresh>0</refresh></isComposing>", true, ISCOMPOSING_MIN},
		{"<isComposing xmlns='" NS "'><state>active</state><refresh>4294967295</refresh></isComposing>", true, ISCOMPOSING_MAX},
		{"<isComposing xmlns='" NS "'><state>active</state><refresh>99999999999</refresh></isComposing>", true, ISCOMPOSING_REFRESH},
		{"<isComposing xmlns='" NS "'><state>active</state><refresh>-5</refresh></isComposing>", true, ISCOMPOSING_REFRESH},
		{"<isComposing xmlns='" NS "'><state> active\n</state></isComposing>", true, ISCOMPOSING_REFRESH},
		{"<isComposing xmlns='" NS "'><state>idle</state><lastactive>2003-01-27T10:43:00Z</lastactive></isComposing>", false, 0},
		{"<isComposing xmlns='" NS "'><state>idle</state><refresh>90</refresh></isComposing>", false, 0},
		{"<isComposing xmlns='" NS "'><state>dreaming</state></isComposing>", false, 0}, /* RFC 3994 3.3: idle */
		{"<isComposing xmlns='" NS "'><state>Active</state></isComposing>", false, 0},
		{"<isComposing xmlns='" NS "'><state/></isComposing>", false, 0},
		{"<isComposing><state>active</state></isComposing>", true, ISCOMPOSING_REFRESH}, /* seen */
		{"<i:isComposing xmlns:i='" NS "'><i:state>active</i:state></i:isComposing>", true, ISCOMPOSING_REFRESH},
		{"<?xml version='1.0'?><!-- c --><isComposing xmlns='" NS "'><x xmlns='y'/><state>active</state></isComposing>", true, ISCOMPOSING_REFRESH},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct iscomposing c;
		if (iscomposing_read(&c, arena, slice_str(rows[i].doc), NULL))
			fail_msg("not read: %s", rows[i].doc);
		if (c.active != rows[i].active || c.refresh != rows[i].refresh)
			fail_msg("%d %u of %s", c.active, c.refresh, rows[i].doc);
	}
}

static void composing_refused(void **state)
{
	static const char *const rows[] = {
		"", "typing", "<isComposing xmlns='" NS "'>", "<isComposing xmlns='" NS "'/>", "<composing xmlns='" NS "'><state>active</state></composing>",
		"<!DOCTYPE a [<!ENTITY e 'x'>]><isComposing xmlns='" NS "'><state>active</state></isComposing>",
		"<isComposing xmlns='" NS "'><a><state>active</state></a></isComposing>",
		"<isComposing xmlns='" NS "'><state>\xff</state></isComposing>",
	};
	struct entente_err err = {0};
	struct iscomposing c;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (iscomposing_read(&c, arena, slice_str(rows[i]), &err) != ENTENTE_ESYNTAX)
			fail_msg("read: %s", rows[i]);
	char *big = arena_bytes(arena, 9000);
	memset(big, ' ', 9000);
	assert_int_equal(iscomposing_read(&c, arena, slice_of(big, 9000), &err), ENTENTE_ELIMIT);
	const char *deep = "<a><a><a><a><a><a><a><a><a/></a></a></a></a></a></a></a></a>";
	assert_true(iscomposing_read(&c, arena, slice_str(deep), &err) < 0);
}

static void written(void **state)
{
	struct iscomposing c;
	struct buf b;
	bool typing;
	(void)state;
	buf_init(&b, 4096);
	iscomposing_write(&b, true, ISCOMPOSING_OURS);
	assert_int_equal(iscomposing_read(&c, arena, buf_slice(&b), NULL), 0);
	assert_true(c.active && c.refresh == 90);
	assert_true(slice_find(buf_slice(&b), S("<contenttype>text/plain</contenttype>")) > 0);
	buf_clear(&b);
	iscomposing_write(&b, false, ISCOMPOSING_OURS);
	assert_int_equal(iscomposing_read(&c, arena, buf_slice(&b), NULL), 0);
	assert_false(c.active);
	assert_true(slice_find(buf_slice(&b), S("refresh")) < 0 && slice_find(buf_slice(&b), S("contenttype")) < 0);
	for (int on = 0; on < 2; on++) {
		buf_clear(&b);
		keyboard_write(&b, on);
		assert_int_equal(keyboard_read(&typing, arena, buf_slice(&b), NULL), 0);
		assert_int_equal(typing, on);
	}
	buf_free(&b);
}

static void keyboard(void **state)
{
	bool typing;
	(void)state;
	assert_int_equal(keyboard_read(&typing, arena, S("<?xml version=\"1.0\"?><KeyboardActivity><status status=\"type\" /></KeyboardActivity>"), NULL), 0);
	assert_true(typing);
	assert_int_equal(keyboard_read(&typing, arena, S("<KeyboardActivity><status status='idle'/></KeyboardActivity>"), NULL), 0);
	assert_false(typing);
	assert_int_equal(keyboard_read(&typing, arena, S("<KeyboardActivity><status/></KeyboardActivity>"), NULL), 0);
	assert_false(typing);
	assert_int_equal(keyboard_read(&typing, arena, S("<KeyboardActivity/>"), NULL), ENTENTE_ENOTFOUND);
	assert_int_equal(keyboard_read(&typing, arena, S("<media_control><vc_primitive/></media_control>"), NULL), ENTENTE_ENOTFOUND);
	assert_int_equal(keyboard_read(&typing, arena, S("<KeyboardActivity>"), NULL), ENTENTE_ESYNTAX);
	char *big = arena_bytes(arena, 5000);
	memset(big, ' ', 5000);
	assert_int_equal(keyboard_read(&typing, arena, slice_of(big, 5000), NULL), ENTENTE_ELIMIT);
}

static void chat_states(void **state)
{
	static const char *const names[] = {"", "active", "composing", "paused", "inactive", "gone"};
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	for (int s = CHATSTATE_ACTIVE; s <= CHATSTATE_GONE; s++) {
		buf_clear(&b);
		buf_puts(&b, "<message>");
		chatstate_put(&b, (enum chatstate)s);
		buf_puts(&b, "<body>x</body></message>");
		assert_int_equal(chatstate_of(parse_xml(arena, buf_slice(&b))), s);
		assert_true(slice_eq(chatstate_name((enum chatstate)s), slice_str(names[s])));
		assert_int_equal(chatstate_typing((enum chatstate)s), s == CHATSTATE_COMPOSING);
	}
	buf_clear(&b);
	chatstate_put(&b, CHATSTATE_NONE);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	assert_int_equal(chatstate_of_typing(true), CHATSTATE_COMPOSING);
	assert_int_equal(chatstate_of_typing(false), CHATSTATE_ACTIVE);
	/* another namespace, another name, deeper down, two of them */
	assert_int_equal(chatstate_of(parse_xml(arena, S("<message><composing xmlns='jabber:x:event'/></message>"))), CHATSTATE_NONE);
	assert_int_equal(chatstate_of(parse_xml(arena, S("<message><typing xmlns='http://jabber.org/protocol/chatstates'/></message>"))), CHATSTATE_NONE);
	assert_int_equal(chatstate_of(parse_xml(arena, S("<message><f><gone xmlns='http://jabber.org/protocol/chatstates'/></f></message>"))), CHATSTATE_NONE);
	assert_int_equal(chatstate_of(parse_xml(arena, S("<message xmlns:c='http://jabber.org/protocol/chatstates'><c:paused/><c:gone/></message>"))),
			 CHATSTATE_PAUSED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(composing_read, setup, teardown), cmocka_unit_test_setup_teardown(composing_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(written, setup, teardown), cmocka_unit_test_setup_teardown(keyboard, setup, teardown),
		cmocka_unit_test_setup_teardown(chat_states, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
