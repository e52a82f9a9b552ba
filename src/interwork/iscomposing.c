/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/iscomposing.h"

#include "xmpp/xml.h"

static const struct xml_limits limits = {.max_bytes = 8192, .max_depth = 8, .max_attrs = 16, .max_children = 64};

int iscomposing_read(struct iscomposing *ret, struct arena *a, struct slice doc, struct entente_err *err)
{
	struct xml_node *root, *n;
	uint64_t seconds;
	int r = xml_parse(&root, a, doc, &limits, err);
	if (r)
		return r;
	if (!slice_eq(root->name, S("isComposing")) || !(n = xml_child(root, S("state"), SLICE_NONE)))
		return err_set(err, ENTENTE_ESYNTAX, REASON_CONTENT_MALFORMED, "not a document that says who is composing");
	*ret = (struct iscomposing){.active = slice_eq(slice_trim(xml_text(n, a)), S("active"))};
	if (!ret->active)
		return 0;
	ret->refresh = ISCOMPOSING_REFRESH;
	n = xml_child(root, S("refresh"), SLICE_NONE);
	if (n && slice_u64(slice_trim(xml_text(n, a)), UINT32_MAX, &seconds))
		ret->refresh = seconds < ISCOMPOSING_MIN ? ISCOMPOSING_MIN : seconds > ISCOMPOSING_MAX ? ISCOMPOSING_MAX : (uint32_t)seconds;
	return 0;
}

void iscomposing_write(struct buf *b, bool active, uint32_t refresh)
{
	buf_put(b, S("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n"
		     "<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\"><state>"));
	buf_put(b, active ? S("active") : S("idle"));
	buf_put(b, S("</state>"));
	if (active)
		buf_put(b, S("<contenttype>text/plain</contenttype>"));
	if (active && refresh) {
		buf_put(b, S("<refresh>"));
		buf_u64(b, refresh);
		buf_put(b, S("</refresh>"));
	}
	buf_put(b, S("</isComposing>\r\n"));
}
