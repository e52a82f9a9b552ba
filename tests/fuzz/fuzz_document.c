/* SPDX-License-Identifier: Apache-2.0 */
/* The whole policy as somebody has written it (`policy import`), YAML or JSON. The first octet: merged or whole. What is read is written in both forms, and
 * what is read of those is the same document, octet for octet, without a difference to the first. */
#include "fuzz.h"
#include "admin/document.h"

static void again(json_t *first, bool yaml, bool merge)
{
	static struct config_errors errs;
	struct buf one, two;
	buf_init(&one, 64 << 20);
	buf_init(&two, 64 << 20);
	admin_document_write(&one, first, yaml);
	MUST(buf_ok(&one));
	json_t *back = admin_document_read(buf_slice(&one), merge, &errs, NULL);
	MUST(back && json_equal(first, back));
	admin_document_write(&two, back, yaml);
	MUST(slice_eq(buf_slice(&one), buf_slice(&two)));
	json_t *changes = admin_document_diff(first, back, merge);
	MUST(json_array_size(changes) == 0);
	json_decref(changes);
	json_decref(back);
	buf_free(&one);
	buf_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config_errors errs;
	struct buf out;
	if (!size || size > 16384)
		return 0;
	bool merge = data[0] & 1;
	json_t *places = json_object(), *d = admin_document_read(slice_of((const char *)data + 1, size - 1), merge, &errs, places);
	MUST(!d == !!errs.n_errors);
	if (d) {
		again(d, true, merge);
		again(d, false, merge);
		json_t *nothing = admin_document_read(S("format: entente-policy/1\n"), false, &errs, NULL), *changes = admin_document_diff(nothing, d, merge), *one;
		size_t i;
		buf_init(&out, 16 << 20);
		json_array_foreach(changes, i, one)
			admin_document_change_print(&out, one);
		MUST(buf_ok(&out));
		buf_free(&out);
		json_decref(nothing);
		json_decref(changes);
	} else {
		buf_init(&out, 1 << 20);
		config_errors_print(&out, "fuzz", &errs);
		MUST(out.len);
		buf_free(&out);
	}
	json_decref(places);
	json_decref(d);
	return 0;
}
