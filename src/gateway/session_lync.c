/* SPDX-License-Identifier: Apache-2.0 */
/* What Lync says in the headers of an INVITE: the conversation's ID, which stays the same when a session that was idle is opened anew;
 * who takes part; the first text, as a foretaste for the toast (clients of 2005 take it from there and say so, others get it again as a
 * MESSAGE). None of it crosses to XMPP. */
#include "base/enc.h"
#include "base/mem.h"
#include "base/rand.h"
#include "gateway/session_int.h"

enum { ID_MAX = 128, FIRST_MAX = 2048, FIRST_IN_MAX = 65536 };

static bool token(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.len && s.len <= ID_MAX;
}

size_t session_lync_headers(struct session *s, struct sip_extra *ret, struct arena *a, const struct sip_msg *theirs)
{
	struct conversation *c = s->conversation;
	struct slice id = theirs ? sip_msg_header_named(theirs, S("Ms-Conversation-ID")) : SLICE_NONE;
	char made[33];
	(void)a;
	if (token(id)) {
		mem_free(c->ms_conversation_id);
		c->ms_conversation_id = mem_strndup(id.p, id.len);
	}
	if (!c->ms_conversation_id) {
		rand_token(made, 32);
		c->ms_conversation_id = mem_strndup(made, strlen(made));
	}
	ret[0] = (struct sip_extra){S("Ms-Conversation-ID"), slice_str(c->ms_conversation_id)};
	return 1;
}

size_t session_lync_invite_headers(struct session *s, struct sip_extra *ret, struct arena *a, const struct outgoing *o)
{
	size_t n = 0;
	struct buf b;
	ret[n++] = (struct sip_extra){S("EndPoints"), arena_printf(a, "<%.*s>, <%.*s>", SFMT(o->from_uri), SFMT(o->uri))};
	if (o->page.body.len > FIRST_MAX || !slice_istarts(o->page.content_type, S("text/plain")))
		return n;
	buf_init(&b, FIRST_MAX * 2);
	base64_put(&b, o->page.body);
	ret[n++] = (struct sip_extra){S("ms-text-format"), arena_printf(a, "text/plain; charset=UTF-8;ms-body=%.*s", SFMT(buf_slice(&b)))};
	buf_free(&b);
	s->first_offered = true;
	return n;
}

/* Ten hex digits, the same for the same device of the XMPP user, as the epid of a Lync client is. */
struct slice session_lync_epid(const struct conversation *c, struct arena *a)
{
	uint64_t h = hash_slice_stable(c->pair.remote, 0);
	if (c->resource)
		h = hash_slice_stable(slice_str(c->resource), h);
	return arena_printf(a, "%010llx", (unsigned long long)(h & 0xffffffffff));
}

struct slice session_lync_epid_param(const struct conversation *c, struct arena *a)
{
	return arena_printf(a, ";epid=%.*s", SFMT(session_lync_epid(c, a)));
}

bool session_first_text(const struct sip_msg *invite, struct arena *a, struct slice *ret_type, struct slice *ret_body)
{
	struct slice value = sip_msg_header_named(invite, S("ms-text-format")), params, body;
	struct buf b;
	if (!value.len)
		return false;
	struct slice type = sip_token(value, &params);
	if (!slice_istarts(type, S("text/")) || !sip_param(params, S("ms-body"), &body) || !body.len)
		return false;
	if (body.len >= 2 && body.p[0] == '"' && body.p[body.len - 1] == '"')
		body = slice_first(slice_skip(body, 1), body.len - 2);
	buf_init(&b, FIRST_IN_MAX);
	bool ok = base64_get(&b, body) && buf_ok(&b) && b.len;
	if (ok) {
		ptrdiff_t end = slice_find(value, S(";ms-body="));
		*ret_type = end < 0 ? value : slice_first(value, (size_t)end); /* with its charset and msgr */
		*ret_body = arena_dup(a, buf_slice(&b));
	}
	buf_free(&b);
	return ok;
}

bool session_first_supported(const struct sip_msg *m)
{
	return sip_msg_lists(m, SIP_H_SUPPORTED, S("ms-text-format"));
}
