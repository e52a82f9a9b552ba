/* SPDX-License-Identifier: Apache-2.0 */
/* Errors both ways: every row of both tables, addresses, text, and what must not be told. */
#include "parse.h"

#include "base/enc.h"
#include "interwork/errormap.h"
#include "interwork/text.h"
#include "sip/build.h"

static struct arena *arena;
static struct interwork_error_rules open_rules;

static bool only_example(void *ctx, struct slice domain)
{
	(void)ctx;
	return slice_eq(domain, S("x.example"));
}

static int setup(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	open_rules = interwork_error_rules_default;
	open_rules.hide_unknown_users = false;
	open_rules.by = S("gw.example");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena = arena_release(NULL, arena);
	return 0;
}

static struct sip_msg *response(int status, const char *reason, const char *headers)
{
	return parse_sip(
		arena,
		arena_printf(
			arena,
			"SIP/2.0 %d %s\r\nVia: SIP/2.0/TLS gw.example;branch=z9hG4bK1\r\nFrom: <sip:juliet@x.example>;tag=1\r\n"
			"To: <sip:romeo@example.net>;tag=2\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\n%sContent-Length: 0\r\n\r\n",
			status, reason, headers));
}

static const struct xml_node *stanza(void)
{
	return parse_xml(arena, S("<message xmlns='jabber:server' from='juliet@x.example/b' to='romeo@example.net' "
				  "id='m1'><body>hi</body></message>"));
}

/* SIP status -> XMPP */
static const struct {
	int status;
	const char *condition, *type;
} rows[] = {
	{300, "redirect", "modify"}, {301, "gone", "cancel"}, {302, "redirect", "modify"}, {305, "redirect", "modify"},
	{380, "not-acceptable", "modify"}, {399, "redirect", "modify"}, {400, "bad-request", "modify"},
	{401, "not-authorized", "auth"}, {402, "bad-request", "modify"}, {403, "forbidden", "auth"},
	{404, "item-not-found", "cancel"}, {405, "feature-not-implemented", "cancel"}, {406, "not-acceptable", "modify"},
	{407, "registration-required", "auth"}, {408, "remote-server-timeout", "wait"}, {410, "gone", "cancel"},
	{413, "policy-violation", "modify"}, {414, "policy-violation", "modify"}, {415, "not-acceptable", "modify"},
	{416, "not-acceptable", "modify"}, {420, "feature-not-implemented", "cancel"}, {421, "not-acceptable", "modify"},
	{423, "resource-constraint", "wait"}, {430, "recipient-unavailable", "wait"},
	{439, "feature-not-implemented", "cancel"}, {440, "policy-violation", "modify"}, {480, "recipient-unavailable", "wait"},
	{481, "item-not-found", "cancel"}, {482, "not-acceptable", "modify"}, {483, "not-acceptable", "modify"},
	{484, "item-not-found", "cancel"}, {485, "item-not-found", "cancel"}, {486, "recipient-unavailable", "wait"},
	{487, "recipient-unavailable", "wait"}, {488, "not-acceptable", "modify"}, {489, "policy-violation", "modify"},
	{491, "unexpected-request", "wait"}, {493, "bad-request", "modify"}, {499, "bad-request", "modify"},
	{500, "internal-server-error", "cancel"}, {501, "feature-not-implemented", "cancel"},
	{502, "remote-server-not-found", "cancel"}, {503, "internal-server-error", "wait"},
	{504, "remote-server-timeout", "wait"}, {505, "not-acceptable", "modify"}, {513, "policy-violation", "modify"},
	{580, "internal-server-error", "cancel"}, {600, "recipient-unavailable", "wait"},
	{603, "recipient-unavailable", "wait"}, {604, "item-not-found", "cancel"}, {606, "not-acceptable", "modify"},
	{607, "policy-violation", "cancel"}, {608, "policy-violation", "cancel"}, {699, "recipient-unavailable", "wait"},
};

static void test_status_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		arena_reset(arena);
		const struct interwork_sip_row *row = interwork_error_of_status(rows[i].status);
		if (!row || strcmp(row->condition, rows[i].condition) || strcmp(row->type, rows[i].type))
			fail_msg("%d: %s %s", rows[i].status, row ? row->condition : "-", row ? row->type : "-");
		struct xml_node *e =
			interwork_error_from_response(arena, stanza(), response(rows[i].status, "Some words", ""), &open_rules);
		assert_non_null(e);
		struct xmpp_error read;
		xmpp_error_read(arena, e, &read);
		if (!slice_eq(read.condition, slice_str(rows[i].condition)) || !slice_eq(read.type, slice_str(rows[i].type)))
			fail_msg("%d: stanza says %.*s %.*s", rows[i].status, SFMT(read.condition), SFMT(read.type));
		assert_true(slice_eq(read.text, S("Some words")));
		assert_true(slice_eq(read.by, S("gw.example")));
		assert_true(slice_eq(read.address, SLICE_NONE));
		assert_true(slice_eq(xml_attr(e, S("id")), S("m1")));
		assert_true(slice_eq(xml_attr(e, S("from")), S("romeo@example.net")));
		assert_true(slice_eq(xml_attr(e, S("to")), S("juliet@x.example/b")));
		assert_true(slice_eq(xml_attr(e, S("type")), S("error")));
	}
	const int none[] = {0, 100, 180, 200, 202, 299, 700};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_null(interwork_error_of_status(none[i]));
	assert_null(interwork_error_from_response(arena, stanza(), response(200, "OK", ""), &open_rules));
}

static void test_never_answered(void **state)
{
	(void)state;
	const struct xml_node *e =
		parse_xml(arena, S("<message xmlns='jabber:server' type='error' from='a@b.example' to='c@d.example'/>"));
	const struct xml_node *r =
		parse_xml(arena, S("<iq xmlns='jabber:server' type='result' id='1' from='a@b.example' to='c@d.example'/>"));
	struct sip_msg *resp = response(404, "Not Found", "");
	assert_null(interwork_error_from_response(arena, e, resp, &open_rules));
	assert_null(interwork_error_from_response(arena, r, resp, &open_rules));
	assert_null(interwork_error_from_reason(arena, e, REASON_LIMIT_RATE, SLICE_NONE, &open_rules));
}

static void test_unknown_users_hidden(void **state)
{
	(void)state;
	static const int hidden[] = {404, 484, 485, 604}, shown[] = {480, 481, 410, 403};
	struct interwork_error_rules rules = open_rules;
	struct xmpp_error e;
	rules.hide_unknown_users = interwork_error_rules_default.hide_unknown_users;
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
		xmpp_error_read(arena,
				interwork_error_from_response(
					arena, stanza(), response(hidden[i], "No such user", "ms-diagnostics: 1003\r\n"), &rules),
				&e);
		assert_true(slice_eq(e.condition, S("service-unavailable")));
		assert_true(slice_eq(e.type, S("cancel")));
		assert_int_equal(e.text.len, 0);
	}
	for (size_t i = 0; i < sizeof shown / sizeof *shown; i++) {
		xmpp_error_read(arena, interwork_error_from_response(arena, stanza(), response(shown[i], "X", ""), &rules), &e);
		assert_false(slice_eq(e.condition, S("service-unavailable")));
	}
	/* Our own refusals of the same kind look the same, octet for octet. */
	struct buf b[3];
	for (size_t i = 0; i < 3; i++)
		buf_init(&b[i], 4096);
	xml_write(&b[0], interwork_error_from_response(arena, stanza(), response(404, "No such user", ""), &rules),
		  XMPP_NS_SERVER);
	xml_write(&b[1], interwork_error_from_reason(arena, stanza(), REASON_SIP_USER_UNKNOWN, S("romeo"), &rules),
		  XMPP_NS_SERVER);
	xml_write(&b[2], interwork_error_from_reason(arena, stanza(), REASON_POLICY_NO_CONTACT, S("romeo"), &rules),
		  XMPP_NS_SERVER);
	assert_true(slice_eq(buf_slice(&b[0]), buf_slice(&b[1])));
	assert_true(slice_eq(buf_slice(&b[0]), buf_slice(&b[2])));
	for (size_t i = 0; i < 3; i++)
		buf_free(&b[i]);
}

static void test_new_address_to_xmpp(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *contact, *address;
	} t[] = {
		{301, "Contact: <sip:romeo@x.example;gr=new>\r\n", "xmpp:romeo@x.example/new"},
		{301, "Contact: <sip:o'malley%5B@x.example>\r\n", "xmpp:o%5C27malley%5B@x.example"},
		{301, "Contact: <tel:+1>, <sip:second@x.example>\r\n", "xmpp:second@x.example"},
		{302, "Contact: <sip:romeo@x.example>\r\n", "xmpp:romeo@x.example"},
		{301, "Contact: <sip:romeo@192.0.2.1>\r\n", ""},      /* an internal address stays inside */
		{301, "Contact: <sip:romeo@other.example>\r\n", ""},  /* not allowed */
		{301, "Contact: *\r\n", ""},
		{301, "", ""},
		{410, "Contact: <sip:romeo@x.example>\r\n", ""},      /* MUST NOT */
		{480, "Contact: <sip:romeo@x.example>\r\n", ""},
	};
	struct interwork_error_rules rules = open_rules;
	rules.domain_allowed = only_example;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct xmpp_error e;
		xmpp_error_read(
			arena,
			interwork_error_from_response(arena, stanza(), response(t[i].status, "Moved", t[i].contact), &rules), &e);
		if (!slice_eq(e.address, slice_str(t[i].address)))
			fail_msg("%d %s: %.*s", t[i].status, t[i].contact, SFMT(e.address));
	}
}

static struct slice diagnostics(struct xml_node *e)
{
	struct xml_node *error = xml_child(e, S("error"), SLICE_NONE);
	struct xml_node *d = error ? xml_child(error, S("diagnostics"), S("urn:entente:errors:0")) : NULL;
	return d ? xml_attr(d, S("code")) : SLICE_NONE;
}

static void test_diagnostics(void **state)
{
	(void)state;
	static const struct {
		const char *header, *code;
	} t[] = {
		{"ms-diagnostics: 1034;reason=\"Previous hop federated peer did not report\";source=\"sip.internal.example\"\r\n",
		 "1034"},
		{"ms-diagnostics-public: 504;reason=\"x\"\r\n", "504"},
		{"ms-diagnostics: internal.example\r\n", ""},
		{"ms-diagnostics: 12internal\r\n", ""},
		{"ms-diagnostics: 12345678901\r\n", ""},
		{"", ""},
	};
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct xml_node *e = interwork_error_from_response(arena, stanza(), response(504, "Server time-out", t[i].header),
								   &open_rules);
		struct buf b;
		if (!slice_eq(diagnostics(e), slice_str(t[i].code)))
			fail_msg("%s: %.*s", t[i].header, SFMT(diagnostics(e)));
		buf_init(&b, 4096);
		xml_write(&b, e, XMPP_NS_SERVER);
		assert_true(slice_find(buf_slice(&b), S("internal")) < 0);
		parse_xml(arena, arena_printf(arena, "<x xmlns='jabber:server'>%.*s</x>", SFMT(buf_slice(&b))));
		buf_free(&b);
	}
}

static void test_text_to_xmpp(void **state)
{
	(void)state;
	struct xmpp_error e;
	char longer[2000];
	xmpp_error_read(arena, interwork_error_from_response(arena, stanza(), response(480,
		"Gone\tfishing <b>\x80 \xE2\x80\xAE" "evil", ""), &open_rules), &e);
	assert_true(slice_eq(e.text, S("Gone fishing <b> evil")));
	memset(longer, 'x', sizeof longer);
	longer[sizeof longer - 1] = '\0';
	xmpp_error_read(arena, interwork_error_from_response(arena, stanza(), response(480, longer, ""), &open_rules), &e);
	assert_int_equal(e.text.len, 1024);
}

static void test_reason_to_xmpp(void **state)
{
	(void)state;
	struct xmpp_error e;
	for (int r = REASON_NONE; r < REASON_COUNT; r++) {
		const struct reason_info *info = reason_info((enum reason)r);
		arena_reset(arena);
		xmpp_error_read(arena, interwork_error_from_reason(arena, stanza(), (enum reason)r, S("a\r\nb"), &open_rules),
				&e);
		if (!slice_eq(e.condition, slice_str(info->xmpp_condition)) || !slice_eq(e.type, slice_str(info->xmpp_type)))
			fail_msg("%s: %.*s %.*s", info->id, SFMT(e.condition), SFMT(e.type));
		if (r == REASON_SIP_USER_UNKNOWN || r == REASON_POLICY_NO_CONTACT)
			assert_int_equal(e.text.len, 0);
		else if (slice_find(e.text, slice_str(info->id)) < 0 || slice_find(e.text, S(": a b (")) < 0)
			fail_msg("%s: %.*s", info->id, SFMT(e.text));
	}
}

/* XMPP condition -> SIP: full, bare with 4xx, bare with 6xx */
static const struct {
	const char *condition;
	int full, bare, bare_6xx;
} conditions[] = {
	{"bad-request", 400, 400, 400}, {"conflict", 400, 400, 400}, {"feature-not-implemented", 405, 501, 501},
	{"forbidden", 403, 403, 603}, {"gone", 410, 410, 410}, {"internal-server-error", 500, 500, 500},
	{"item-not-found", 404, 404, 604}, {"jid-malformed", 400, 400, 400}, {"not-acceptable", 406, 406, 606},
	{"not-allowed", 403, 403, 403}, {"not-authorized", 403, 403, 403}, {"policy-violation", 403, 403, 403},
	{"recipient-unavailable", 480, 480, 600}, {"redirect", 302, 302, 302}, {"registration-required", 403, 403, 403},
	{"remote-server-not-found", 404, 404, 404}, {"remote-server-timeout", 504, 504, 504},
	{"resource-constraint", 500, 500, 500}, {"service-unavailable", 403, 403, 403},
	{"subscription-required", 400, 400, 400}, {"undefined-condition", 400, 400, 400}, {"unexpected-request", 400, 400, 400},
	{"no-such-condition", 400, 400, 400},
};

static const struct interwork_response *answer(const char *condition, const char *inside, const char *text, bool full,
					       const struct interwork_error_rules *rules)
{
	static struct interwork_response r;
	struct xml_node *e =
		parse_xml(arena, arena_printf(arena,
					      "<message xmlns='jabber:server' type='error' from='juliet@x.example' "
					      "to='romeo@example.net'><body>hi</body><error type='cancel'>"
					      "<%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>%s</%s><text "
					      "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>%s</text></error></message>",
					      condition, inside, condition, text));
	interwork_response_from_error(&r, arena, e, full, rules);
	return &r;
}

static struct slice header(const struct interwork_response *r, const char *name)
{
	for (size_t i = 0; i < r->n_headers; i++)
		if (slice_ieq(r->headers[i].name, slice_str(name)))
			return r->headers[i].value;
	return SLICE_NONE;
}

static void test_condition_rows(void **state)
{
	(void)state;
	struct interwork_error_rules sixes = open_rules;
	sixes.bare_6xx = true;
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++) {
		const char *c = conditions[i].condition;
		arena_reset(arena);
		int full = answer(c, "", "why", true, &open_rules)->status,
		    bare = answer(c, "", "why", false, &open_rules)->status;
		int full6 = answer(c, "", "why", true, &sixes)->status, bare6 = answer(c, "", "why", false, &sixes)->status;
		if (full != conditions[i].full || bare != conditions[i].bare || bare6 != conditions[i].bare_6xx ||
		    full6 != conditions[i].full)
			fail_msg("%s: %d %d %d %d", c, full, bare, full6, bare6);
		if (full == 503 || bare == 503 || bare6 == 503)
			fail_msg("%s: 503 shuts out the next hop", c);
		assert_true(slice_eq(answer(c, "", "why", true, &open_rules)->phrase, S("why")));
	}
	assert_int_equal(interwork_error_rules_default.bare_6xx, false);
}

static void test_new_address_to_sip(void **state)
{
	(void)state;
	static const struct {
		const char *condition, *inside;
		int status;
		const char *contact;
	} t[] = {
		{"gone", "xmpp:juliet@x.example/new?message", 301, "<sip:juliet@x.example;gr=new>"},
		{"gone", "xmpp:o%5C27malley@x.example", 301, "<sip:o'malley@x.example>"},
		{"gone", "sip:juliet@x.example", 301, "<sip:juliet@x.example>"},
		{"gone", "xmpp:juliet@evil.example", 301, ""},
		{"gone", "xmpp:a@x.example%0D%0AVia: SIP/2.0/UDP evil", 301, ""},
		{"gone", "https://x.example/", 301, ""},
		{"gone", "", 410, ""},
		{"gone", " ", 410, ""},
		{"redirect", "xmpp:juliet@x.example", 302, "<sip:juliet@x.example>"},
		{"redirect", "xmpp://me@x.example/juliet@x.example", 302, ""},
		{"redirect", "", 302, ""},
		{"item-not-found", "xmpp:juliet@x.example", 404, ""},
	};
	struct interwork_error_rules rules = open_rules;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		rules.domain_allowed = only_example;
		const struct interwork_response *r = answer(t[i].condition, t[i].inside, "", true, &rules);
		if (r->status != t[i].status || !slice_eq(header(r, "Contact"), slice_str(t[i].contact)))
			fail_msg("%s %s: %d %.*s", t[i].condition, t[i].inside, r->status, SFMT(header(r, "Contact")));
		rules.domain_allowed = NULL;
		assert_int_equal(header(answer(t[i].condition, t[i].inside, "", true, &rules), "Contact").len, 0);
	}
}

static void test_text_to_sip(void **state)
{
	(void)state;
	const struct interwork_response *r =
		answer("forbidden", "", "no&#13;&#10;Via: SIP/2.0/UDP evil&#9;&#x85;&#x2028;end", true, &open_rules);
	assert_true(slice_eq(r->phrase, S("no Via: SIP/2.0/UDP evil end")));
	r = answer("forbidden", "", "&quot;a&quot; &lt;b&gt; [c] {d} e\\f|g 50% #h `i^", true, &open_rules);
	assert_true(slice_eq(r->phrase, S("'a' (b) (c) (d) e/f/g 50* *h 'i*")));
	r = answer("forbidden", "", "", true, &open_rules);
	assert_int_equal(r->phrase.len, 0);
	struct slice text = arena_printf(arena, "%0127d\xC3\xBC", 0);
	r = answer("forbidden", "", text.p, true, &open_rules);
	assert_int_equal(r->phrase.len, 127); /* no character cut */
}

static void test_headers_to_sip(void **state)
{
	(void)state;
	assert_true(slice_eq(header(answer("resource-constraint", "", "", true, &open_rules), "Retry-After"), S("60")));
	assert_int_equal(header(answer("forbidden", "", "", true, &open_rules), "Retry-After").len, 0);
	assert_true(header(answer("feature-not-implemented", "", "", true, &open_rules), "Allow").len > 0);
	assert_int_equal(header(answer("feature-not-implemented", "", "", false, &open_rules), "Allow").len, 0);
}

static void test_reason_to_sip(void **state)
{
	(void)state;
	for (int i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		const struct reason_info *info = reason_info((enum reason)i);
		struct interwork_response r;
		struct buf b;
		arena_reset(arena);
		interwork_response_from_reason(&r, arena, (enum reason)i, &open_rules);
		assert_int_equal(r.status, info->sip_status);
		assert_true(slice_eq(header(&r, "Entente-Reason"), slice_str(info->id)));
		static const struct {
			int status;
			const char *name;
		} demanded[] = {{405, "Allow"}, {415, "Accept"}, {489, "Allow-Events"}, {503, "Retry-After"}};
		for (size_t k = 0; k < sizeof demanded / sizeof *demanded; k++)
			if ((header(&r, demanded[k].name).len > 0) != (r.status == demanded[k].status))
				fail_msg("%s: %s", info->id, demanded[k].name);
		/* A whole response can be written from it. */
		struct sip_msg *req = parse_sip(
			arena,
			S("MESSAGE sip:juliet@x.example SIP/2.0\r\nVia: SIP/2.0/TLS h.example;branch=z9hG4bK1\r\n"
			  "From: <sip:romeo@example.net>;tag=1\r\nTo: <sip:juliet@x.example>\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\n"
			  "Content-Length: 0\r\n\r\n"));
		buf_init(&b, 4096);
		sip_build_response(&b, req, r.status, r.phrase, S("t"), false, SLICE_NONE, 0);
		interwork_response_write_headers(&b, &r);
		sip_build_body(&b, SLICE_NONE, SLICE_NONE);
		if (!buf_ok(&b))
			fail_msg("%s: not writable", info->id);
		assert_int_equal(parse_sip(arena, buf_slice(&b))->status, info->sip_status);
		buf_free(&b);
	}
	struct interwork_response r;
	interwork_response_from_reason(&r, arena, REASON_ADDRESS_SIPS, &open_rules);
	assert_int_equal(r.status, 480);
	assert_true(slice_eq(header(&r, "Warning"), S("380 gw.example \"SIPS Not Allowed\"")));
	interwork_response_from_reason(&r, arena, REASON_CONTENT_FILE, &open_rules);
	assert_int_equal(r.status, 606);
	assert_true(slice_starts(header(&r, "Warning"), S("309 ")));
}

static void test_response_add(void **state)
{
	(void)state;
	static const char *const names[] = {"A", "B", "C", "D", "E", "F"};
	struct interwork_response r = {0};
	for (size_t i = 0; i < 6; i++)
		assert_true(interwork_response_add(&r, slice_str(names[i]), S("1")));
	assert_false(interwork_response_add(&r, S("G"), S("1")));
	assert_true(interwork_response_add(&r, S("c"), S("2")));
	assert_true(slice_eq(header(&r, "C"), S("2")));
	assert_int_equal(r.n_headers, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_rows),	     cmocka_unit_test(test_never_answered),
		cmocka_unit_test(test_unknown_users_hidden), cmocka_unit_test(test_new_address_to_xmpp),
		cmocka_unit_test(test_diagnostics),	     cmocka_unit_test(test_text_to_xmpp),
		cmocka_unit_test(test_reason_to_xmpp),	     cmocka_unit_test(test_condition_rows),
		cmocka_unit_test(test_new_address_to_sip),   cmocka_unit_test(test_text_to_sip),
		cmocka_unit_test(test_headers_to_sip),	     cmocka_unit_test(test_reason_to_sip),
		cmocka_unit_test(test_response_add),
	};
	return cmocka_run_group_tests_name("interwork-errormap", tests, setup, teardown);
}
