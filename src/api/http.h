/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 (RFC 9112) as far as an API needs it, strict: the head of a request out of octets, and the head of a response into octets. No
 * socket, no clock. What other servers might read differently is refused, not repaired: bare LF, folded lines, space before a colon, two
 * lengths, two hosts. A body needs Content-Length (411 for others, RFC 9112 6.3). Pure functions, any thread. */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

enum {
	HTTP_HEAD_MAX = 16384, /* octets of request line and headers, with the empty line */
	HTTP_HEADERS_MAX = 64,
	HTTP_TARGET_MAX = 8192,
};

struct http_request { /* slices point into the input */
	struct slice method, path, query; /* as they stand; query without its '?', p == NULL: there is none */
	struct slice host;                /* of the Host header or of an absolute target, with its port; p == NULL: none (HTTP/1.0) */
	struct slice authorization, content_type, accept, if_match, last_event_id; /* p == NULL: not sent */
	bool expect;      /* 100-continue */
	bool keep;        /* the connection stays */
	bool minor_0;     /* HTTP/1.0 */
	size_t length;    /* octets of the body that follow */
	bool has_length;
};

enum http_result { HTTP_MORE, HTTP_DONE, HTTP_BAD };
/* `in`: all that has come. scanned: keep it between calls, 0 at first; set back to 0 when input was consumed. HTTP_DONE: *ret_head octets
 * are the head. HTTP_BAD: answer *ret_status with *ret_why and close. */
enum http_result http_request_parse(struct http_request *ret, struct slice in, size_t *scanned, size_t *ret_head, int *ret_status, const char **ret_why);

/* "OK", "Not Found". */
const char *http_status_text(int status);
/* "application/json; charset=utf-8" has the type "application/json". */
bool http_type_is(struct slice content_type, struct slice type);
/* Does the Accept header name exactly this type (with whatever parameters but q=0)? Wildcards do not count. */
bool http_accepts(struct slice accept, struct slice type);
/* The name of "name:port", "[::1]:443", without port and brackets; p == NULL: malformed. */
struct slice http_host_name(struct slice host);
