/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 5438 documents, requests in CPIM headers, envelopes; and ms-imdn. */
#include "parse.h"

#include "interwork/cpim.h"
#include "interwork/imdn.h"

#define NS "xmlns='urn:ietf:params:xml:ns:imdn'"
#define ID "<message-id>m1</message-id>"

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

static void every_status(void **state)
{
	static const bool legal[3][7] = {
		[IMDN_DELIVERY] = {[IMDN_DELIVERED] = true, [IMDN_FAILED] = true, [IMDN_FORBIDDEN] = true, [IMDN_ERROR] = true},
		[IMDN_DISPLAYING] = {[IMDN_DISPLAYED] = true, [IMDN_FORBIDDEN] = true, [IMDN_ERROR] = true},
		[IMDN_PROCESS] = {[IMDN_PROCESSED] = true, [IMDN_STORED] = true, [IMDN_FORBIDDEN] = true, [IMDN_ERROR] = true},
	};
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	for (int kind = 0; kind < 3; kind++)
		for (int status = 0; status < 7; status++) {
			struct imdn d = {.message_id = S("a<b&'"), .datetime = S("2026-11-21T10:00:00Z"), .recipient = S("sip:j@x.example"),
					 .kind = (enum imdn_kind)kind, .status = (enum imdn_status)status}, got;
			buf_clear(&b);
			imdn_write(&b, &d);
			int r = imdn_read(&got, arena, buf_slice(&b), NULL);
			if (r != (legal[kind][status] ? 0 : ENTENTE_ESYNTAX))
				fail_msg("%d for %.*s %.*s", r, SFMT(imdn_kind_name(d.kind)), SFMT(imdn_status_name(d.status)));
			if (r)
				continue;
			assert_true(got.kind == d.kind && got.status == d.status && slice_eq(got.message_id, d.message_id));
			assert_true(slice_eq(got.datetime, d.datetime) && slice_eq(got.recipient, d.recipient));
		}
	buf_free(&b);
}

static void as_seen(void **state)
{
	static const struct {
		const char *doc;
		enum imdn_kind kind;
		enum imdn_status status;
	} rows[] = {
		/* linphone: a reason beside the status, in its own namespace */
		{"<?xml version='1.0' encoding='UTF-8'?><imdn " NS " xmlns:l='http://www.linphone.org/xsds/imdn.xsd'>" ID
		 "<datetime>2026-11-21T10:00:00Z</datetime><delivery-notification><status><failed/><l:reason code='415'>x</l:reason></status>"
		 "</delivery-notification></imdn>", IMDN_DELIVERY, IMDN_FAILED},
		{"<imdn " NS ">" ID "<display-notification><status><displayed/></status></display-notification></imdn>", IMDN_DISPLAYING, IMDN_DISPLAYED},
		{"<imdn>" ID "<delivery-notification><status><delivered/></status></delivery-notification></imdn>", IMDN_DELIVERY, IMDN_DELIVERED},
		{"<i:imdn xmlns:i='urn:ietf:params:xml:ns:imdn'><i:message-id> m1 \n</i:message-id><i:processing-notification><i:status><i:stored/>"
		 "</i:status></i:processing-notification></i:imdn>", IMDN_PROCESS, IMDN_STORED},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct imdn d;
		if (imdn_read(&d, arena, slice_str(rows[i].doc), NULL))
			fail_msg("not read: %s", rows[i].doc);
		assert_true(d.kind == rows[i].kind && d.status == rows[i].status && slice_eq(d.message_id, S("m1")));
	}
}

static void refused(void **state)
{
	static const char *const rows[] = {
		"", "<imdn", "<imdn " NS "/>", "<imdn " NS ">" ID "</imdn>", "<receipt " NS ">" ID "</receipt>",
		"<imdn xmlns='urn:other'>" ID "<delivery-notification><status><delivered/></status></delivery-notification></imdn>",
		"<imdn " NS "><delivery-notification><status><delivered/></status></delivery-notification></imdn>",
		"<imdn " NS "><message-id/><delivery-notification><status><delivered/></status></delivery-notification></imdn>",
		"<imdn " NS "><message-id>a&#10;b</message-id><delivery-notification><status><delivered/></status></delivery-notification></imdn>",
		"<imdn " NS ">" ID "<delivery-notification><status/></delivery-notification></imdn>",
		"<imdn " NS ">" ID "<delivery-notification><status><revoked/></status></delivery-notification></imdn>",
		"<imdn " NS ">" ID "<delivery-notification><delivered/></delivery-notification></imdn>",
		"<imdn " NS ">" ID "<delivery-notification><status><delivered/></status></delivery-notification>"
		"<display-notification><status><displayed/></status></display-notification></imdn>",
		"<!DOCTYPE x [<!ENTITY a 'b'>]><imdn " NS ">" ID "<delivery-notification><status><delivered/></status></delivery-notification></imdn>",
	};
	struct imdn d;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (imdn_read(&d, arena, slice_str(rows[i]), NULL) != ENTENTE_ESYNTAX)
			fail_msg("read: %s", rows[i]);
	char *big = arena_bytes(arena, 20000);
	memset(big, 'a', 20000);
	assert_int_equal(imdn_read(&d, arena, slice_of(big, 20000), NULL), ENTENTE_ELIMIT);
	assert_int_equal(imdn_read(&d, arena, arena_printf(arena, "<imdn " NS "><message-id>%.*s</message-id><delivery-notification><status><delivered/>"
							   "</status></delivery-notification></imdn>", IMDN_MAX_ID + 1, big), NULL), ENTENTE_ESYNTAX);
}

static void requests(void **state)
{
	static const struct {
		const char *headers;
		unsigned asks;
		const char *id, *datetime;
	} rows[] = {
		{"From: <sip:a@b>\r\nNS: imdn <urn:ietf:params:imdn>\r\nDateTime: 2026-11-21T10:00:00+01:00\r\nimdn.Message-ID: m1\r\n"
		 "imdn.Disposition-Notification: positive-delivery, negative-delivery, display\r\n\r\nContent-Type: text/plain\r\n\r\nx",
		 IMDN_POSITIVE | IMDN_NEGATIVE | IMDN_DISPLAY, "m1", "2026-11-21T10:00:00+01:00"},
		/* any prefix may be bound */
		{"NS: X <urn:ietf:params:imdn>\r\nX.Message-ID: m1\r\nX.Disposition-Notification: processing\r\n\r\n\r\nx", IMDN_PROCESSING, "m1", ""},
		{"NS: X <urn:other>\r\nX.Message-ID: m0\r\nimdn.Message-ID: m1\r\nimdn.Disposition-Notification: Display\r\n\r\n\r\nx", IMDN_DISPLAY, "m1", ""},
		/* with parameters, with words that nobody knows */
		{"imdn.Message-ID: m1\r\nimdn.Disposition-Notification: interworking;a=b,display;x, positive-delivery\r\n\r\n\r\nx",
		 IMDN_POSITIVE | IMDN_DISPLAY, "m1", ""},
		/* linphone once wrote the id without prefix */
		{"Message-ID: m1\r\nimdn.Disposition-Notification: positive-delivery\r\n\r\n\r\nx", IMDN_POSITIVE, "m1", ""},
		{"Message-ID: m0\r\nimdn.Message-ID: m1\r\nimdn.Message-ID: m2\r\n\r\n\r\nx", 0, "m1", ""},
		/* nobody could answer */
		{"imdn.Disposition-Notification: positive-delivery\r\n\r\n\r\nx", 0, "", ""},
		{"imdn.Message-ID: a\tb\r\nimdn.Disposition-Notification: positive-delivery\r\n\r\n\r\nx", 0, "", ""},
		/* what looks like a request in the content is none */
		{"From: <sip:a@b>\r\n\r\nimdn.Message-ID: m1\r\nimdn.Disposition-Notification: display\r\n\r\nx", 0, "", ""},
		{"DateTime: <b>2026-11-21T10:00:00Z</b>\r\nimdn.Message-ID: m1\r\n\r\n\r\nx", 0, "m1", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct imdn_request r;
		struct cpim c;
		assert_int_equal(cpim_read(&c, arena, slice_str(rows[i].headers)), 0);
		imdn_request_of(&r, &c);
		if (r.asks != rows[i].asks || !slice_eq(r.message_id, slice_str(rows[i].id)) || !slice_eq(r.datetime, slice_str(rows[i].datetime)))
			fail_msg("%u [%.*s] [%.*s] of\n%s", r.asks, SFMT(r.message_id), SFMT(r.datetime), rows[i].headers);
	}
}

static void written(void **state)
{
	struct cpim_headers h = {.from = S("sip:juliet@x.example"), .to = S("sip:romeo@a.example"), .date = S("2026-11-21T10:00:00Z"), .imdn_id = S("m1")};
	struct imdn_request r;
	struct cpim c;
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	for (unsigned asks = 0; asks < 16; asks++) {
		buf_clear(&b);
		h.imdn_wanted = imdn_wanted(asks);
		cpim_write(&b, &h, S("text/plain"), S("hello"));
		assert_int_equal(cpim_read(&c, arena, buf_slice(&b)), 0);
		imdn_request_of(&r, &c);
		assert_int_equal(r.asks, asks);
		assert_true(slice_eq(r.message_id, S("m1")) && slice_eq(r.datetime, h.date));
		assert_int_equal(c.content.disposition.len, 0);
	}
	h.disposition = S("notification");
	buf_clear(&b);
	cpim_write(&b, &h, IMDN_TYPE, S("<imdn/>"));
	assert_int_equal(cpim_read(&c, arena, buf_slice(&b)), 0);
	assert_true(slice_eq(c.content.disposition, S("notification")) && slice_eq(c.content.body, S("<imdn/>")));
	buf_free(&b);
}

static void lync(void **state)
{
	struct slice ids[2];
	size_t n;
	(void)state;
	assert_int_equal(imdn_lync_read(ids, 2, &n, arena, S("<imdn xmlns='urn:ietf:params:xml:ns:imdn'><message-id>1</message-id><recipient>"
								"<recipient-uri>sip:a@b</recipient-uri><status><failed/></status></recipient></imdn>"), NULL), 0);
	assert_int_equal(n, 1);
	assert_true(slice_eq(ids[0], S("1")));
	assert_int_equal(imdn_lync_read(ids, 2, &n, arena, S("<imdn><a><message-id>1</message-id></a><message-id>2</message-id><message-id>3</message-id></imdn>"), NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(imdn_lync_read(ids, 2, &n, arena, S("<imdn/>"), NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(imdn_lync_read(ids, 2, &n, arena, S("<other><message-id>1</message-id></other>"), NULL), ENTENTE_ESYNTAX);
	assert_int_equal(imdn_lync_read(ids, 2, &n, arena, S("hello"), NULL), ENTENTE_ESYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_status, setup, teardown), cmocka_unit_test_setup_teardown(as_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(refused, setup, teardown), cmocka_unit_test_setup_teardown(requests, setup, teardown),
		cmocka_unit_test_setup_teardown(written, setup, teardown), cmocka_unit_test_setup_teardown(lync, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
