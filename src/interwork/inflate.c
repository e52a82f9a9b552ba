/* SPDX-License-Identifier: Apache-2.0 */
#include "interwork/inflate.h"

#include <limits.h>
#include <zlib.h>
#include "base/err.h"
#include "base/mem.h"

enum { FIRST = 2048 };

/* zlib's windowBits: which header it expects. */
enum { WINDOW_ZLIB = 15, WINDOW_RAW = -15, WINDOW_GZIP = 15 + 16 };

static voidpf take(voidpf arg, uInt n, uInt size)
{
	(void)arg;
	return mem_calloc(n, size);
}

static void give_back(voidpf arg, voidpf p)
{
	(void)arg;
	mem_free(p);
}

static int run(struct slice *ret, struct arena *a, int window, struct slice body, size_t max)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)body.p, .avail_in = (uInt)body.len, .zalloc = take, .zfree = give_back};
	size_t cap = max < FIRST ? max : FIRST, len = 0;
	int rc = ENTENTE_ELIMIT, status;
	char *out = arena_bytes(a, cap + 1);
	if (inflateInit2(&z, window) != Z_OK) /* not for want of memory */
		return ENTENTE_EUNSUPPORTED;
	while (out) {
		z.next_out = (Bytef *)out + len;
		z.avail_out = (uInt)(cap + 1 - len); /* one octet more, to see that there is more */
		status = inflate(&z, Z_NO_FLUSH);
		len = cap + 1 - z.avail_out;
		if (len > max) {
			rc = ENTENTE_ELIMIT;
			break;
		}
		if (status == Z_STREAM_END) {
			rc = z.avail_in ? ENTENTE_ESYNTAX : 0;
			break;
		}
		if (status != Z_OK || z.avail_out) { /* room, and nothing more to say: cut off */
			rc = ENTENTE_ESYNTAX;
			break;
		}
		size_t more = cap * 2 < max ? cap * 2 : max;
		char *grown = arena_bytes(a, more + 1);
		if (grown)
			memcpy(grown, out, len);
		out = grown;
		cap = more;
		rc = ENTENTE_ELIMIT;
	}
	inflateEnd(&z);
	if (rc == 0)
		*ret = slice_of(out, len);
	return rc;
}

int interwork_inflate(struct slice *ret, struct arena *a, struct slice encoding, struct slice body, size_t max)
{
	encoding = slice_trim(encoding);
	if (encoding.len == 0 || slice_ieq(encoding, S("identity"))) {
		*ret = body;
		return 0;
	}
	bool gzip = slice_ieq(encoding, S("gzip")) || slice_ieq(encoding, S("x-gzip"));
	if (!gzip && !slice_ieq(encoding, S("deflate")))
		return ENTENTE_EUNSUPPORTED;
	if (body.len > INT_MAX || max >= INT_MAX)
		return ENTENTE_ELIMIT;
	if (body.len == 0)
		return ENTENTE_ESYNTAX;
	if (gzip)
		return run(ret, a, WINDOW_GZIP, body, max);
	int r = run(ret, a, WINDOW_ZLIB, body, max);
	return r == ENTENTE_ESYNTAX ? run(ret, a, WINDOW_RAW, body, max) : r;
}
