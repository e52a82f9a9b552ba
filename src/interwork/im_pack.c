/* SPDX-License-Identifier: Apache-2.0 */
/* The body of a message for the carrier that takes it. */
#include "base/map.h"
#include "interwork/im.h"

bool interwork_accepts(struct slice list, struct slice type)
{
	type = slice_trim(sip_token(type, NULL));
	if (list.len == 0)
		return slice_ieq(type, S("text/plain"));
	while (list.len) {
		size_t n = 0;
		while (n < list.len && !strchr(", \t\r\n", list.p[n]))
			n++;
		struct slice one = sip_token(slice_first(list, n), NULL);
		list = slice_skip(list, n + 1);
		if (slice_eq(one, S("*")) || slice_eq(one, S("*/*")) || slice_ieq(one, type) ||
		    (slice_ends(one, S("/*")) && slice_istarts(type, slice_first(one, one.len - 1))))
			return true;
	}
	return false;
}

static struct interwork_im_verdict refuse(enum reason reason, const char *why)
{
	return (struct interwork_im_verdict){.action = INTERWORK_IM_REFUSE, .reason = reason, .why = why};
}

/* A delimiter that stands in none of the parts: what makes it is not known to whoever wrote them, and it is looked for. */
static void make_boundary(char boundary[24], struct slice text, struct slice html)
{
	uint64_t seed = 0;
	do {
		uint64_t h = hash_slice(text) + ++seed;
		memcpy(boundary, "=_", 2);
		for (int i = 2; i < 18; i++, h >>= 4)
			boundary[i] = "0123456789abcdef"[h & 15];
		boundary[18] = '\0';
	} while (slice_find(text, slice_str(boundary)) >= 0 || slice_find(html, slice_str(boundary)) >= 0);
}

static void put_part(struct buf *b, const char *boundary, struct slice type, struct slice body)
{
	buf_put(b, S("--"));
	buf_puts(b, boundary);
	buf_put(b, S("\r\nContent-Type: "));
	buf_put(b, type);
	buf_put(b, S("\r\n\r\n"));
	buf_put(b, body);
	buf_put(b, S("\r\n"));
}

struct interwork_im_verdict interwork_im_pack(struct slice *ret_type, struct slice *ret_body, struct arena *a,
					      const struct interwork_im_page *page, const struct interwork_im_carrier *carrier)
{
	bool wrap = carrier->cpim && interwork_accepts(carrier->accept, S("message/cpim"));
	struct slice list = wrap && carrier->wrapped.len ? carrier->wrapped : carrier->accept;
	struct slice type = page->content_type, body = page->body;
	struct interwork_im_verdict v = {0};
	struct buf b;

	buf_init(&b, 4 * (body.len + page->html.len) + 8192);
	if (page->html.len && interwork_accepts(list, S("multipart/alternative")) && interwork_accepts(list, S("text/html"))) {
		char boundary[24];
		make_boundary(boundary, body, page->html);
		put_part(&b, boundary, type, body);
		put_part(&b, boundary, S("text/html;charset=UTF-8"), page->html);
		buf_printf(&b, "--%s--\r\n", boundary);
		type = arena_printf(a, "multipart/alternative;boundary=\"%s\"", boundary);
		body = arena_dup(a, buf_slice(&b));
	} else if (!interwork_accepts(list, type)) { /* plain text, or a page that was wrapped before (receipts) */
		v = refuse(REASON_CONTENT_TYPE, "the other side does not take plain text");
	}
	if (!v.reason && wrap) {
		buf_clear(&b);
		cpim_write(&b, carrier->cpim, type, body);
		type = S("message/cpim");
		body = arena_dup(a, buf_slice(&b));
	}
	if (!v.reason && (!buf_ok(&b) || !type.p || !body.p || (carrier->max && body.len > carrier->max)))
		v = refuse(REASON_CONTENT_TOO_LARGE, "the message is larger than the other side takes");
	buf_free(&b);
	*ret_type = v.reason ? SLICE_NONE : type;
	*ret_body = v.reason ? SLICE_NONE : body;
	return v;
}
