/* SPDX-License-Identifier: Apache-2.0 */
/* A document (PIDF and the like): what is accepted can be written, and reads back the same. */
#include <stdint.h>
#include <stdlib.h>
#include "xmpp/error.h"
#include "xmpp/stanza.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)              \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct xml_limits any = {.max_bytes = 1 << 24, .max_depth = 1000, .max_attrs = 10000,
		.max_children = 1 << 20};
	struct arena *a = arena_new(1 << 26);
	struct xml_node *root, *back;
	struct entente_err err = {0};
	struct slice in = slice_of((const char *)data, size);
	int rc = xml_parse(&root, a, in, &xml_limits_default, &err);
	CHECK(!rc || (err.code == rc && err.reason == REASON_XMPP_MALFORMED && err.text[0]));
	if (!rc) {
		struct buf one, two;
		buf_init(&one, 1 << 24);
		buf_init(&two, 1 << 24);
		xml_write(&one, root, SLICE_NONE);
		CHECK(buf_ok(&one));
		CHECK(xml_text_legal(buf_slice(&one)));
		CHECK(xml_parse(&back, a, buf_slice(&one), &any, NULL) == 0);
		xml_write(&two, back, SLICE_NONE);
		CHECK(slice_eq(buf_slice(&one), buf_slice(&two)));
		struct xmpp_error e;
		int64_t ms;
		xmpp_error_read(a, root, &e);
		CHECK(e.condition.len);
		xmpp_stream_error_read(a, root, &e);
		CHECK(e.condition.len);
		stanza_delay_read(root, &ms);
		stanza_child_text(root, a, S("body"), S("de"));
		buf_free(&one);
		buf_free(&two);
	}
	/* any octets become legal text */
	struct buf b;
	buf_init(&b, 1 << 24);
	xml_escape(&b, in);
	CHECK(xml_text_legal(buf_slice(&b)));
	CHECK(!xml_text_legal(in) || slice_find(buf_slice(&b), S("\xef\xbf\xbd")) < 0 || slice_find(in, S("\xef\xbf\xbd")) >= 0);
	buf_free(&b);
	arena_release(NULL, a);
	return 0;
}
