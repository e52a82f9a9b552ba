/* SPDX-License-Identifier: Apache-2.0 */
/* Heads of requests, whole and in pieces: what is taken, and what is refused with which status. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "api/http.h"

static enum http_result parse(const char *text, struct http_request *r, size_t *head, int *status)
{
	const char *why = NULL;
	size_t scanned = 0;
	enum http_result whole = http_request_parse(r, slice_str(text), &scanned, head, status, &why);
	/* the same in pieces of one octet */
	struct http_request s;
	enum http_result pieces = HTTP_MORE;
	size_t head_2 = 0;
	int status_2 = 0;
	scanned = 0;
	for (size_t n = 1; n <= strlen(text) && pieces == HTTP_MORE; n++)
		pieces = http_request_parse(&s, slice_of(text, n), &scanned, &head_2, &status_2, &why);
	assert_int_equal(whole, pieces);
	if (whole == HTTP_DONE)
		assert_int_equal(*head, head_2);
	if (whole == HTTP_BAD) {
		assert_int_equal(*status, status_2);
		assert_non_null(why);
	}
	return whole;
}

#define IS(s, text) assert_true(slice_eq(s, S(text)))

static void taken(void **state)
{
	struct http_request r;
	size_t head;
	int status;
	(void)state;
	assert_int_equal(parse("GET /v1/partner/xmpp/list?filter=*.org HTTP/1.1\r\nHost: a.test:80\r\nAccept:  text/event-stream , */* \r\n"
			       "Authorization: Bearer x\r\n\r\nrest", &r, &head, &status), HTTP_DONE);
	IS(r.method, "GET");
	IS(r.path, "/v1/partner/xmpp/list");
	IS(r.query, "filter=*.org");
	IS(r.host, "a.test:80");
	IS(r.accept, "text/event-stream , */*");
	IS(r.authorization, "Bearer x");
	assert_true(r.keep && !r.has_length && !r.content_type.p);
	assert_int_equal(head, strlen("GET /v1/partner/xmpp/list?filter=*.org HTTP/1.1\r\nHost: a.test:80\r\nAccept:  text/event-stream , */* \r\nAuthorization: Bearer x\r\n\r\n"));
	assert_int_equal(parse("POST http://b.test/x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nConnection: foo, Close\r\nExpect: 100-continue\r\n"
			       "Content-Type: application/json; charset=utf-8\r\nIf-Match: \"g1\"\r\nLast-Event-ID: q-1\r\n\r\n", &r, &head, &status), HTTP_DONE);
	IS(r.host, "b.test"); /* RFC 9112 3.2.2 */
	IS(r.path, "/x");
	assert_true(!r.query.p && !r.keep && r.expect && r.length == 5);
	IS(r.if_match, "\"g1\"");
	IS(r.last_event_id, "q-1");
	assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n", &r, &head, &status), HTTP_DONE);
	assert_true(!r.keep && r.minor_0 && !r.host.p);
}

static void refused(void **state)
{
	static const struct {
		const char *text;
		int status;
	} table[] = {
		{"GET / HTTP/1.1\r\n\r\n", 400},                                                   /* no host */
		{"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
		{"GET / HTTP/1.1\nHost: a\n\r\n\r\n", 400},                                          /* bare LF */
		{"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400}, /* smuggling */
		{"GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n", 417},
		{"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400},
		{"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
		{"GET / FTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"GET /\r\nHost: a\r\n\r\n", 400},
		{"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"\x16\x03\x01\x02", 400}, /* TLS where there is none */
	};
	struct http_request r;
	size_t head;
	int status;
	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		if (parse(table[i].text, &r, &head, &status) != HTTP_BAD || status != table[i].status)
			fail_msg("%zu: %s", i, table[i].text);
	}
}

static void limits(void **state)
{
	static char text[2 * HTTP_HEAD_MAX];
	struct http_request r;
	const char *why;
	size_t head, scanned = 0;
	int status, n;
	(void)state;
	n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
	memset(text + n, 'x', sizeof text - (size_t)n);
	assert_int_equal(http_request_parse(&r, slice_of(text, HTTP_HEAD_MAX - 1), &scanned, &head, &status, &why), HTTP_MORE);
	assert_int_equal(http_request_parse(&r, slice_of(text, HTTP_HEAD_MAX), &scanned, &head, &status, &why), HTTP_BAD);
	assert_int_equal(status, 431);
	memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 4); /* exactly as large as may be */
	scanned = 0;
	assert_int_equal(http_request_parse(&r, slice_of(text, HTTP_HEAD_MAX), &scanned, &head, &status, &why), HTTP_DONE);
	for (size_t headers = HTTP_HEADERS_MAX; headers <= HTTP_HEADERS_MAX + 1; headers++) {
		struct buf b;
		buf_init(&b, sizeof text);
		buf_puts(&b, "GET / HTTP/1.1\r\nHost: a\r\n");
		for (size_t i = 1; i < headers; i++)
			buf_puts(&b, "A: b\r\n");
		buf_puts(&b, "\r\n");
		scanned = 0;
		status = 0;
		assert_int_equal(http_request_parse(&r, buf_slice(&b), &scanned, &head, &status, &why), headers > HTTP_HEADERS_MAX ? HTTP_BAD : HTTP_DONE);
		assert_int_equal(status, headers > HTTP_HEADERS_MAX ? 431 : 0);
		buf_free(&b);
	}
	n = snprintf(text, sizeof text, "GET /");
	memset(text + n, 'x', HTTP_TARGET_MAX);
	snprintf(text + n + HTTP_TARGET_MAX, 100, " HTTP/1.1\r\nHost: a\r\n\r\n");
	scanned = 0;
	assert_int_equal(http_request_parse(&r, slice_str(text), &scanned, &head, &status, &why), HTTP_BAD);
	assert_int_equal(status, 414);
}

static void words(void **state)
{
	(void)state;
	assert_true(http_type_is(S("Application/JSON ; charset=x"), S("application/json")));
	assert_false(http_type_is(S("application/jsonx"), S("application/json")));
	assert_true(http_accepts(S("text/html, text/event-stream;q=0.5"), S("text/event-stream")));
	assert_false(http_accepts(S("text/event-stream; q=0"), S("text/event-stream")));
	assert_false(http_accepts(S("*/*"), S("text/event-stream")));
	IS(http_host_name(S("a.test:8470")), "a.test");
	IS(http_host_name(S("[::1]:8470")), "::1");
	IS(http_host_name(S("[::1]")), "::1");
	IS(http_host_name(S("127.0.0.1")), "127.0.0.1");
	assert_null(http_host_name(S("")).p);
	assert_null(http_host_name(S(":80")).p);
	assert_null(http_host_name(S("a:b")).p);
	assert_null(http_host_name(S("a:70000")).p);
	assert_null(http_host_name(S("[::1")).p);
	assert_null(http_host_name(S("[::1]x")).p);
	assert_string_equal(http_status_text(404), "Not Found");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(taken), cmocka_unit_test(refused), cmocka_unit_test(limits), cmocka_unit_test(words)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
