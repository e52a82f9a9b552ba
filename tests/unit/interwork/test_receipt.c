/* SPDX-License-Identifier: Apache-2.0 */
/* XEP-0184 receipts and XEP-0333 markers: what is read, what is written, and what must not be. */
#include "parse.h"

#include "interwork/receipt.h"

#define R "xmlns='urn:xmpp:receipts'"
#define M "xmlns='urn:xmpp:chat-markers:0'"

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

static void rows(void **state)
{
	static const struct {
		const char *inner;
		bool request, markable;
		const char *received, *displayed;
	} table[] = {
		{"<message id='s'><body>x</body></message>", false, false, NULL, NULL},
		{"<message id='s'><body>x</body><request " R "/></message>", true, false, NULL, NULL},
		{"<message id='s'><body>x</body><markable " M "/></message>", false, true, NULL, NULL},
		{"<message id='s'><body>x</body><request " R "/><markable " M "/></message>", true, true, NULL, NULL},
		/* the id of an answer is the attribute, never the stanza's own */
		{"<message id='s'><received " R " id='q'/></message>", false, false, "q", NULL},
		{"<message id='s'><displayed " M " id='q'/></message>", false, false, NULL, "q"},
		{"<message id='s'><acknowledged " M " id='q'/></message>", false, false, NULL, "q"},
		{"<message id='s'><received " M " id='q'/></message>", false, false, "q", NULL},
		{"<message id='s'><received " R " id='q'/><displayed " M " id='w'/></message>", false, false, "q", "w"},
		/* an answer never asks */
		{"<message id='s'><received " R " id='q'/><request " R "/></message>", false, false, "q", NULL},
		{"<message id='s'><markable " M "/><displayed " M " id='q'/></message>", false, false, NULL, "q"},
		/* without an id nobody could answer; an answer without one is none */
		{"<message><body>x</body><request " R "/><markable " M "/></message>", false, false, NULL, NULL},
		{"<message id=''><request " R "/></message>", false, false, NULL, NULL},
		{"<message id='s'><received " R "/></message>", false, false, NULL, NULL},
		{"<message id='s'><received " R " id=''/><request " R "/></message>", true, false, NULL, NULL},
		/* other names, other namespaces, deeper down */
		{"<message id='s'><request xmlns='urn:xmpp:receipts:1'/><markable " R "/><displayed " R " id='q'/></message>", false, false, NULL, NULL},
		{"<message id='s'><fwd><received " R " id='q'/></fwd></message>", false, false, NULL, NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct receipt_seen r;
		receipt_read(&r, parse_xml(arena, slice_str(table[i].inner)));
		if (r.request != table[i].request || r.markable != table[i].markable || !slice_eq(r.received, slice_str(table[i].received)) ||
		    !slice_eq(r.displayed, slice_str(table[i].displayed)))
			fail_msg("%d %d [%.*s] [%.*s] of %s", r.request, r.markable, SFMT(r.received), SFMT(r.displayed), table[i].inner);
	}
}

static void long_ids(void **state)
{
	struct receipt_seen r;
	char id[RECEIPT_MAX_ID + 2];
	(void)state;
	memset(id, 'a', sizeof id);
	id[RECEIPT_MAX_ID] = 0;
	receipt_read(&r, parse_xml(arena, arena_printf(arena, "<message id='%s'><request " R "/></message>", id)));
	assert_true(r.request);
	receipt_read(&r, parse_xml(arena, arena_printf(arena, "<message><received " R " id='%s'/></message>", id)));
	assert_int_equal(r.received.len, RECEIPT_MAX_ID);
	id[RECEIPT_MAX_ID] = 'a';
	id[RECEIPT_MAX_ID + 1] = 0;
	receipt_read(&r, parse_xml(arena, arena_printf(arena, "<message id='%s'><request " R "/></message>", id)));
	assert_false(r.request);
	receipt_read(&r, parse_xml(arena, arena_printf(arena, "<message><received " R " id='%s'/></message>", id)));
	assert_null(r.received.p);
}

static void answers(void **state)
{
	struct receipt_seen r;
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	for (int what = RECEIPT_RECEIVED; what <= RECEIPT_DISPLAYED; what++) {
		buf_clear(&b);
		receipt_put_answer(&b, (enum receipt_answer)what, S("o'neil@a.example"), S("j@x.example/a&b"), S("own"), S("id<'\">"), true);
		struct xml_node *n = parse_xml(arena, buf_slice(&b));
		receipt_read(&r, n);
		assert_true(slice_eq(what == RECEIPT_RECEIVED ? r.received : r.displayed, S("id<'\">")));
		assert_null((what == RECEIPT_RECEIVED ? r.displayed : r.received).p);
		assert_false(r.request || r.markable);
		assert_true(slice_eq(xml_attr(n, S("from")), S("o'neil@a.example")));
		assert_true(slice_eq(xml_attr(n, S("to")), S("j@x.example/a&b")));
		assert_true(slice_eq(xml_attr(n, S("id")), S("own")));
		assert_true(slice_eq(xml_attr(n, S("type")), S("chat")));
		assert_non_null(xml_child(n, S("store"), S("urn:xmpp:hints")));
		assert_null(xml_child(n, S("body"), SLICE_NONE));
	}
	buf_clear(&b);
	receipt_put_answer(&b, RECEIPT_RECEIVED, S("a@b"), S("c@d"), S("own"), S("i"), false);
	assert_null(xml_attr(parse_xml(arena, buf_slice(&b)), S("type")).p);
	buf_free(&b);
}

static void asks(void **state)
{
	struct receipt_seen r;
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	for (int k = 0; k < 4; k++) {
		buf_clear(&b);
		buf_puts(&b, "<message id='i'>");
		receipt_put_asks(&b, k & 1, k & 2);
		buf_puts(&b, "</message>");
		receipt_read(&r, parse_xml(arena, buf_slice(&b)));
		assert_int_equal(r.request, (k & 1) != 0);
		assert_int_equal(r.markable, (k & 2) != 0);
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rows, setup, teardown), cmocka_unit_test_setup_teardown(long_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(answers, setup, teardown), cmocka_unit_test_setup_teardown(asks, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
