/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/frame.h"

static const struct {
	const char *name;
	size_t size;
} digests[KEEPER_DIGESTS] = {
	[KEEPER_MD5_SHA1] = {"MD5-SHA1", 36}, [KEEPER_SHA1] = {"SHA1", 20},	  [KEEPER_SHA224] = {"SHA224", 28},
	[KEEPER_SHA256] = {"SHA256", 32},     [KEEPER_SHA384] = {"SHA384", 48}, [KEEPER_SHA512] = {"SHA512", 64},
};

const char *keeper_digest_name(enum keeper_digest d)
{
	return (unsigned)d < KEEPER_DIGESTS ? digests[d].name : NULL;
}

size_t keeper_digest_size(enum keeper_digest d)
{
	return (unsigned)d < KEEPER_DIGESTS ? digests[d].size : 0;
}

static uint32_t get_u32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;
	return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static void put_u32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> 8 * i);
}

static bool right(const struct keeper_request *q)
{
	bool bare = q->scheme == KEEPER_SCHEME_NONE && q->digest == KEEPER_DIGEST_NONE;
	switch (q->verb) {
	case KEEPER_LOAD:
		return bare && !q->handle && q->data.len > 1 && q->data.len <= KEEPER_PATH_MAX && *q->data.p == '/' && !memchr(q->data.p, 0, q->data.len);
	case KEEPER_FORGET:
		return bare && q->handle && !q->data.len;
	case KEEPER_SIGN:
		if (!q->handle)
			return false;
		if (q->scheme == KEEPER_EDDSA)
			return q->digest == KEEPER_DIGEST_NONE && q->data.len <= KEEPER_MESSAGE_MAX;
		return q->scheme > KEEPER_SCHEME_NONE && q->scheme < KEEPER_SCHEMES && keeper_digest_size(q->digest) && q->data.len == keeper_digest_size(q->digest) &&
		       (q->digest != KEEPER_MD5_SHA1 || q->scheme == KEEPER_PKCS1);
	default:
		return false;
	}
}

int keeper_request_read(struct keeper_request *ret, struct slice in)
{
	if (in.len < KEEPER_HEAD || in.len > KEEPER_FRAME_MAX || in.p[3])
		return ENTENTE_ESYNTAX;
	struct keeper_request q = {.verb = (enum keeper_verb)(unsigned char)in.p[0], .scheme = (enum keeper_scheme)(unsigned char)in.p[1],
				   .digest = (enum keeper_digest)(unsigned char)in.p[2], .handle = get_u32(in.p + 4), .data = slice_skip(in, KEEPER_HEAD)};
	if (get_u32(in.p + 8) != q.data.len || !right(&q))
		return ENTENTE_ESYNTAX;
	*ret = q;
	return 0;
}

size_t keeper_request_write(char *dst, size_t size, const struct keeper_request *q)
{
	if (!right(q) || size < KEEPER_HEAD || size - KEEPER_HEAD < q->data.len)
		return 0;
	dst[0] = (char)q->verb;
	dst[1] = (char)q->scheme;
	dst[2] = (char)q->digest;
	dst[3] = 0;
	put_u32(dst + 4, q->handle);
	put_u32(dst + 8, (uint32_t)q->data.len);
	if (q->data.len)
		memcpy(dst + KEEPER_HEAD, q->data.p, q->data.len);
	return KEEPER_HEAD + q->data.len;
}

int keeper_reply_read(struct keeper_reply *ret, enum keeper_verb verb, struct slice in)
{
	if (in.len < KEEPER_HEAD || in.len > KEEPER_REPLY_MAX || (unsigned char)in.p[0] >= KEEPER_STATUSES || in.p[1] || in.p[2] || in.p[3])
		return ENTENTE_ESYNTAX;
	struct keeper_reply r = {.status = (enum keeper_status)(unsigned char)in.p[0], .value = get_u32(in.p + 4), .data = slice_skip(in, KEEPER_HEAD)};
	bool ok = r.status == KEEPER_OK;
	size_t max = !ok ? 0 : verb == KEEPER_LOAD ? KEEPER_PUBLIC_MAX : verb == KEEPER_SIGN ? KEEPER_SIGNATURE_MAX : 0;
	bool valued = ok ? verb == KEEPER_LOAD : r.status == KEEPER_NO_FILE;
	if (get_u32(in.p + 8) != r.data.len || r.data.len > max || (max && !r.data.len) || valued != (r.value != 0))
		return ENTENTE_ESYNTAX;
	*ret = r;
	return 0;
}

size_t keeper_reply_write(char *dst, size_t size, const struct keeper_reply *r)
{
	if (size < KEEPER_HEAD || size - KEEPER_HEAD < r->data.len)
		return 0;
	memset(dst, 0, 4);
	dst[0] = (char)r->status;
	put_u32(dst + 4, r->value);
	put_u32(dst + 8, (uint32_t)r->data.len);
	if (r->data.len)
		memcpy(dst + KEEPER_HEAD, r->data.p, r->data.len);
	return KEEPER_HEAD + r->data.len;
}
