/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a message for its carrier: text, alternatives, CPIM; and that CPIM comes back as it was written. */
#include "parse.h"

#include "interwork/im.h"

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new(4 << 20);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

static const struct interwork_im_page plain = {.content_type = {"text/plain;charset=UTF-8", 24}, .body = {"h\xC3\xA9\r\n--x", 8}};

#define assert_slice(actual, expected)                                                                                        \
	do {                                                                                                                  \
		struct slice a_ = (actual), e_ = slice_str(expected);                                                         \
		if (!slice_eq(a_, e_))                                                                                        \
			fail_msg("%s:%d: \"%.*s\", not \"%.*s\"", __FILE__, __LINE__, SFMT(a_), SFMT(e_));                    \
	} while (0)

static void test_accepts(void **state)
{
	(void)state;
	static const struct {
		const char *list, *type;
		bool yes;
	} t[] = {
		{"", "text/plain", true},
		{"", "text/html", false},
		{"text/plain text/html", "TEXT/HTML;charset=UTF-8", true},
		{"text/plain, message/cpim;q=0.5", "message/cpim", true},
		{"text/*", "text/html", true},
		{"text/*", "texture/html", false},
		{"*", "application/x", true},
		{"*/*", "application/x", true},
		{"text/plainer", "text/plain", false},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		if (interwork_accepts(slice_str(t[i].list), slice_str(t[i].type)) != t[i].yes)
			fail_msg("%s in \"%s\"", t[i].type, t[i].list);
}

static void test_plain(void **state)
{
	(void)state;
	struct slice type, body;
	struct interwork_im_carrier c = {.accept = S("text/plain"), .max = plain.body.len};
	assert_int_equal(interwork_im_pack(&type, &body, arena, &plain, &c).action, INTERWORK_IM_PASS);
	assert_slice(type, "text/plain;charset=UTF-8");
	assert_true(slice_eq(body, plain.body));
	c.max--; /* never cut */
	assert_int_equal(interwork_im_pack(&type, &body, arena, &plain, &c).reason, REASON_CONTENT_TOO_LARGE);
	assert_null(body.p);
	c = (struct interwork_im_carrier){.accept = S("image/gif")};
	assert_int_equal(interwork_im_pack(&type, &body, arena, &plain, &c).reason, REASON_CONTENT_TYPE);
	/* wrapped already, for a receipt: it goes as it is to who takes nothing else */
	struct interwork_im_page wrapped = plain;
	wrapped.content_type = S("message/cpim");
	c.accept = S("message/cpim");
	assert_int_equal(interwork_im_pack(&type, &body, arena, &wrapped, &c).action, INTERWORK_IM_PASS);
	assert_slice(type, "message/cpim");
	assert_true(slice_eq(body, plain.body));
	c.accept = S("text/plain");
	assert_int_equal(interwork_im_pack(&type, &body, arena, &wrapped, &c).reason, REASON_CONTENT_TYPE);
}

static void test_alternative(void **state)
{
	(void)state;
	struct interwork_im_page page = plain;
	struct interwork_im_carrier c = {.accept = S("text/plain text/html multipart/alternative")};
	struct slice type, body, boundary, rest, entity;
	struct mime_part part;
	bool started = false;
	page.html = S("<b>h</b>");
	assert_int_equal(interwork_im_pack(&type, &body, arena, &page, &c).action, INTERWORK_IM_PASS);
	assert_true(slice_starts(type, S("multipart/alternative;")));
	assert_true(mime_param(type, S("boundary"), arena, &boundary));
	rest = body;
	assert_true(mime_next_part(&rest, &started, boundary, &entity));
	mime_part_read(&part, entity);
	assert_slice(part.type, "text/plain;charset=UTF-8");
	assert_true(slice_eq(part.body, plain.body));
	assert_true(mime_next_part(&rest, &started, boundary, &entity));
	mime_part_read(&part, entity);
	assert_slice(part.type, "text/html;charset=UTF-8");
	assert_slice(part.body, "<b>h</b>");
	assert_false(mime_next_part(&rest, &started, boundary, &entity));
	c.accept = S("text/plain multipart/alternative"); /* no markup for whom it says nothing */
	assert_int_equal(interwork_im_pack(&type, &body, arena, &page, &c).action, INTERWORK_IM_PASS);
	assert_true(slice_eq(body, plain.body));
}

static void test_cpim(void **state)
{
	(void)state;
	struct cpim_headers h = {.from = S("sip:juliet@x.example"), .to = S("sip:romeo@example.net"), .from_name = S("J \"u\" \\ <x>"),
				 .date = S("2026-11-22T05:00:00Z"), .subject = S("a\r\nTo: <sip:evil@x>\\"), .subject_lang = S("en"),
				 .imdn_id = S("m1"), .imdn_wanted = S("positive-delivery")};
	struct interwork_im_carrier c = {.accept = S("message/cpim"), .wrapped = S("text/plain"), .cpim = &h};
	struct slice type, body;
	struct cpim back;
	assert_int_equal(interwork_im_pack(&type, &body, arena, &plain, &c).action, INTERWORK_IM_PASS);
	assert_slice(type, "message/cpim");
	assert_int_equal(cpim_read(&back, arena, body), 0);
	assert_slice(back.from, "sip:juliet@x.example");
	assert_slice(back.to, "sip:romeo@example.net"); /* not what the subject tried to say */
	assert_slice(back.from_name, "J \"u\" \\ <x>");
	assert_slice(back.subject, "a To: <sip:evil@x>\\");
	assert_slice(back.subject_lang, "en");
	assert_slice(back.date, "2026-11-22T05:00:00Z");
	assert_slice(back.imdn_id, "m1");
	assert_slice(back.imdn_wanted, "positive-delivery");
	assert_false(back.several_from || back.requires);
	assert_slice(back.content.type, "text/plain;charset=UTF-8");
	assert_true(slice_eq(back.content.body, plain.body));
	h.from = S("sip:a@x>\r\nTo: <sip:evil@x"); /* an address that would be a header fails all */
	assert_int_equal(interwork_im_pack(&type, &body, arena, &plain, &c).action, INTERWORK_IM_REFUSE);
}

/* Only what stands at the colon is a parameter: a subject of somebody's choice cannot become one. Found by fuzz_cpim. */
static void test_cpim_subject_is_text(void **state)
{
	(void)state;
	struct cpim_headers h = {.from = S("sip:a@a.test"), .subject = S(";lang=xx y")};
	struct cpim back;
	struct buf b;
	buf_init(&b, 4096);
	cpim_write(&b, &h, S("text/plain"), S("x"));
	assert_int_equal(cpim_read(&back, arena, buf_slice(&b)), 0);
	assert_slice(back.subject, ";lang=xx y");
	assert_null(back.subject_lang.p);
	buf_clear(&b);
	h.subject_lang = S("de");
	cpim_write(&b, &h, S("text/plain"), S("x"));
	assert_int_equal(cpim_read(&back, arena, buf_slice(&b)), 0);
	assert_slice(back.subject, ";lang=xx y");
	assert_slice(back.subject_lang, "de");
	buf_free(&b);
	assert_int_equal(cpim_read(&back, arena, S("Subject:;a=b;lang=fr\r\n\r\nContent-Type: text/plain\r\n\r\nx")), 0);
	assert_slice(back.subject, "");
	assert_slice(back.subject_lang, "fr");
}

static void test_cpim_require(void **state)
{
	(void)state;
	struct cpim c;
	assert_int_equal(cpim_read(&c, arena, S("Require: Vital\r\n\r\nContent-Type: text/plain\r\n\r\nx")), 0);
	assert_true(c.requires);
	assert_int_equal(cpim_read(&c, arena, S("NS: i <urn:ietf:params:imdn>\r\nRequire: Subject, i.Message-ID\r\ni.Message-ID: 7\r\n\r\n\r\nx")), 0);
	assert_false(c.requires);
	assert_slice(c.imdn_id, "7");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_accepts), TEST(test_plain), TEST(test_alternative), TEST(test_cpim),
					   TEST(test_cpim_subject_is_text), TEST(test_cpim_require)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
