/* SPDX-License-Identifier: Apache-2.0 */
/* From the octets of a request to a command and its arguments, as the HTTP API does it, in pieces of the size that the first octet says. Whatever came: the head
 * ends where the pieces and the whole agree that it does, every path is a command's, arguments that pass the check are what the table allows. */
#include <stdio.h>
#include <stdlib.h>
#include "admin/api.h"
#include "api/http.h"
#include "base/enc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void arguments(const struct admin_command *c, const struct http_request *r, struct slice body)
{
	struct buf why, path;
	buf_init(&why, 1 << 20);
	buf_init(&path, 1024);
	admin_api_path(&path, c);
	require(admin_api_has(c) && slice_eq(buf_slice(&path), r->path));
	bool get = slice_eq(slice_str(admin_api_method(c)), S("GET"));
	json_t *args = get ? admin_api_query(c, r->query, &why) : json_loadb(body.p ? body.p : "", body.len, JSON_REJECT_DUPLICATES, NULL);
	require(args || !get || why.len);
	if (json_is_object(args)) {
		bool ok = admin_args_check(c, args, &why);
		require(ok || why.len);
		require(!utf8_valid(buf_slice(&why)) || buf_ok(&why));
		for (size_t i = 0; ok && i < c->n_args; i++) {
			json_t *v = json_object_get(args, c->args[i].name);
			require(v || !(c->args[i].flags & ADMIN_REQUIRED));
			require(!v || json_is_array(v) == ((c->args[i].flags & ADMIN_MANY) != 0));
		}
		require(!ok || json_object_size(args) <= c->n_args);
	}
	json_decref(args);
	buf_free(&why);
	buf_free(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request whole, r;
	size_t scanned = 0, head = 0, head_2 = 0;
	int status = 0, status_2 = 0;
	const char *why = NULL;
	if (size < 2)
		return 0;
	struct slice in = slice_of((const char *)data + 1, size - 1);
	size_t step = data[0] ? data[0] : in.len;
	enum http_result a = http_request_parse(&whole, in, &scanned, &head, &status, &why), b = HTTP_MORE;
	scanned = 0;
	for (size_t n = step; b == HTTP_MORE; n += step) {
		b = http_request_parse(&r, slice_first(in, n), &scanned, &head_2, &status_2, &why);
		if (n >= in.len)
			break;
	}
	require(a == b && (a != HTTP_DONE || head == head_2) && (a != HTTP_BAD || (status == status_2 && status >= 400 && why)));
	if (a != HTTP_DONE)
		return 0;
	require(head <= in.len && head <= HTTP_HEAD_MAX && whole.path.len && whole.path.p[0] == '/');
	http_accepts(whole.accept, S("text/event-stream"));
	http_type_is(whole.content_type, S("application/json"));
	struct slice host = http_host_name(whole.host);
	require(!host.p || (host.len && host.len <= whole.host.len));
	const struct admin_command *c = admin_api_find(whole.path);
	if (c)
		arguments(c, &whole, slice_first(slice_skip(in, head), whole.length));
	return 0;
}
