/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/keyboard.h"

#include "xmpp/xml.h"

static const struct xml_limits limits = {.max_bytes = 4096, .max_depth = 8, .max_attrs = 16, .max_children = 64};

int keyboard_read(bool *ret_typing, struct arena *a, struct slice doc, struct entente_err *err)
{
	struct xml_node *root, *n;
	int r = xml_parse(&root, a, doc, &limits, err);
	if (r)
		return r;
	n = slice_eq(root->name, S("KeyboardActivity")) ? xml_child(root, S("status"), SLICE_NONE) : NULL;
	if (!n)
		return ENTENTE_ENOTFOUND;
	*ret_typing = slice_ieq(slice_trim(xml_attr(n, S("status"))), S("type"));
	return 0;
}

void keyboard_write(struct buf *b, bool typing)
{
	buf_put(b, S("<?xml version=\"1.0\"?>\r\n<KeyboardActivity>\r\n  <status status=\""));
	buf_put(b, typing ? S("type") : S("idle"));
	buf_put(b, S("\" />\r\n</KeyboardActivity>\r\n"));
}
