/* SPDX-License-Identifier: Apache-2.0 */
#include "msrp/frame.h"

enum { DASHES = 7, END_MAX = 2 + DASHES + MSRP_TID_MAX };

void msrp_framer_init(struct msrp_framer *f)
{
	memset(f, 0, sizeof *f);
}

bool msrp_framer_idle(const struct msrp_framer *f)
{
	return !f->tid_len && !f->scanned;
}

static bool ident(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c && strchr(".-+%=", c));
}

static void broken(struct msrp_frame *ret, const char *why)
{
	*ret = (struct msrp_frame){.kind = MSRP_FRAME_ERROR, .fault = why};
}

/* CRLF, seven hyphens, the transaction identifier. */
static struct slice marker(const struct msrp_framer *f, char dst[END_MAX])
{
	memcpy(dst, "\r\n-------", 2 + DASHES);
	memcpy(dst + 2 + DASHES, f->tid, f->tid_len);
	return slice_of(dst, 2 + DASHES + f->tid_len);
}

/* What may stand behind a marker at s: flag and CRLF. 0: it is no end-line; '?': not all there yet. */
static char flag_of(struct slice s)
{
	if (!s.len)
		return '?';
	if (*s.p != '$' && *s.p != '+' && *s.p != '#')
		return 0;
	if (s.len < 3)
		return s.len < 2 || s.p[1] == '\r' ? '?' : 0;
	return s.p[1] == '\r' && s.p[2] == '\n' ? *s.p : 0;
}

static void ended(struct msrp_framer *f)
{
	msrp_framer_init(f);
}

/* Body octets from in.p + at. Fills data, flag and consume. False: nothing can be said yet. */
static bool body(struct msrp_framer *f, struct slice in, size_t at, struct msrp_frame *ret)
{
	char mem[END_MAX];
	struct slice m = marker(f, mem), d = slice_skip(in, at), bare = slice_skip(m, 2);
	size_t from = 0, hold, keep;
	char flag;
	if (f->fresh) { /* an empty body, by a sender that counts the blank line's CRLF as the end-line's */
		size_t n = d.len < bare.len ? d.len : bare.len;
		if (n && !memcmp(d.p, bare.p, n)) {
			flag = n < bare.len ? '?' : flag_of(slice_skip(d, bare.len));
			if (flag == '?')
				return false;
			if (flag) {
				ret->piece.flag = flag;
				ret->consume = at + bare.len + 3;
				ended(f);
				return true;
			}
		}
	}
	for (;;) {
		ptrdiff_t i = slice_find(slice_skip(d, from), m);
		if (i < 0)
			break;
		hold = from + (size_t)i;
		flag = flag_of(slice_skip(d, hold + m.len));
		if (flag && flag != '?') {
			ret->piece.data = slice_first(d, hold);
			ret->piece.flag = flag;
			ret->consume = at + hold + m.len + 3;
			ended(f);
			return true;
		}
		if (flag) /* perhaps: all before it is data */
			goto out;
		from = hold + 1;
	}
	/* The longest tail that may be the beginning of a marker. */
	keep = d.len < m.len - 1 ? d.len : m.len - 1;
	while (keep && memcmp(d.p + d.len - keep, m.p, keep))
		keep--;
	hold = d.len - keep;
out:
	ret->piece.data = slice_first(d, hold);
	ret->consume = at + hold;
	if (hold)
		f->fresh = false;
	return hold > 0;
}

/* "MSRP tid ..." */
static bool start_line(struct msrp_framer *f, struct slice line)
{
	struct slice rest = slice_skip(line, 5), tid = slice_split(&rest, ' ');
	if (!slice_starts(line, S("MSRP ")) || !rest.p || !tid.len || tid.len > MSRP_TID_MAX)
		return false;
	for (size_t i = 0; i < tid.len; i++)
		if (!ident(tid.p[i]))
			return false;
	memcpy(f->tid, tid.p, tid.len);
	f->tid[tid.len] = 0;
	f->tid_len = tid.len;
	return true;
}

void msrp_framer_next(struct msrp_framer *f, struct slice in, struct msrp_frame *ret)
{
	char mem[END_MAX];
	struct slice m, line;
	*ret = (struct msrp_frame){.kind = MSRP_FRAME_MORE};
	if (f->in_body) {
		if (body(f, in, 0, ret))
			ret->kind = MSRP_FRAME_PIECE;
		return;
	}
	if (!f->scanned && memcmp(in.p ? in.p : "", "MSRP ", in.len < 5 ? in.len : 5)) {
		broken(ret, "no MSRP start line");
		return;
	}
	for (;;) { /* f->scanned: the beginning of the line to look at */
		ptrdiff_t n = slice_find(slice_skip(in, f->scanned), S("\r\n"));
		if (n < 0)
			break;
		line = slice_of(in.p + f->scanned, (size_t)n);
		if (!f->scanned && !start_line(f, line)) {
			broken(ret, "malformed MSRP start line");
			return;
		}
		if (f->scanned + line.len + 2 > MSRP_HEAD_MAX) {
			broken(ret, "the headers are too long");
			return;
		}
		m = slice_skip(marker(f, mem), 2);
		if (slice_empty(line)) {
			ret->kind = MSRP_FRAME_PIECE;
			ret->piece.head = slice_first(in, f->scanned);
			ret->piece.body = true;
			f->in_body = f->fresh = true;
			ret->consume = f->scanned + 2;
			body(f, in, f->scanned + 2, ret);
			return;
		}
		if (line.len == m.len + 1 && slice_starts(line, m) && line.p[m.len] && strchr("$+#", line.p[m.len])) {
			ret->kind = MSRP_FRAME_PIECE;
			ret->piece.head = slice_first(in, f->scanned);
			ret->piece.flag = line.p[m.len];
			ret->consume = f->scanned + line.len + 2;
			ended(f);
			return;
		}
		f->scanned += line.len + 2;
	}
	if (in.len > MSRP_HEAD_MAX)
		broken(ret, "the headers are too long");
}
