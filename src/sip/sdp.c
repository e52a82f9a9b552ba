/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/sdp.h"

#include "sip/lex.h"

/* --- reading --- */

/* One line without its end; false at the end of the text. *ret_bad: it holds what no line may. */
static bool next_line(struct slice *rest, struct slice *ret, bool *ret_bad)
{
	if (slice_empty(*rest))
		return false;
	struct slice line = slice_split(rest, '\n');
	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	*ret_bad = slice_find_chr(line, '\r') >= 0 || slice_find_chr(line, '\0') >= 0;
	*ret = line;
	return true;
}

/* The word up to the next run of spaces. */
static struct slice word(struct slice *rest)
{
	while (rest->len && *rest->p == ' ')
		*rest = slice_skip(*rest, 1);
	struct slice w = slice_first(*rest, 0);
	while (w.len < rest->len && w.p[w.len] != ' ')
		w.len++;
	*rest = slice_skip(*rest, w.len);
	return w;
}

static bool read_media(struct sdp_media *m, struct slice value)
{
	struct slice rest = value, port, number;
	uint64_t n;
	*m = (struct sdp_media){.line = value, .type = word(&rest)};
	port = word(&rest);
	number = slice_split(&port, '/'); /* "5060/2": a number of ports */
	m->proto = word(&rest);
	m->fmt = slice_trim(rest);
	if (slice_empty(m->type) || slice_empty(m->proto) || !slice_u64(number, UINT16_MAX, &n))
		return false;
	m->port = (uint16_t)n;
	return true;
}

int sdp_parse(struct sdp *ret, struct slice text)
{
	struct slice rest = text, line;
	struct slice *section = &ret->lines;
	size_t lines = 0;
	bool bad;
	*ret = (struct sdp){0};
	if (text.len > SDP_MAX)
		return ENTENTE_ELIMIT;
	if (!next_line(&rest, &line, &bad) || bad || !slice_eq(slice_trim(line), S("v=0")))
		return ENTENTE_ESYNTAX;
	*section = slice_first(rest, 0);
	while (next_line(&rest, &line, &bad)) {
		if (++lines > SDP_LINES_MAX)
			return ENTENTE_ELIMIT;
		if (bad)
			return ENTENTE_ESYNTAX;
		if (slice_empty(line)) /* an empty one at the end of the body is common */
			continue;
		if (line.len < 2 || line.p[1] != '=' || !sip_is(line.p[0], SIP_C_ALPHA))
			return ENTENTE_ESYNTAX;
		struct slice value = slice_skip(line, 2);
		struct sdp_media *m = ret->n_media ? &ret->media[ret->n_media - 1] : NULL;
		if (line.p[0] == 'm') {
			if (ret->n_media == SDP_MEDIA_MAX)
				return ENTENTE_ELIMIT;
			m = &ret->media[ret->n_media++];
			if (!read_media(m, value))
				return ENTENTE_ESYNTAX;
			m->connection = ret->connection;
			section = &m->lines;
			*section = slice_first(rest, 0);
			continue;
		}
		section->len = (size_t)(value.p + value.len - section->p);
		if (line.p[0] == 'c')
			*(m ? &m->connection : &ret->connection) = value;
		else if (line.p[0] == 'o' && !m)
			ret->origin = value;
		else if (line.p[0] == 's' && !m)
			ret->name = value;
	}
	return 0;
}

bool sdp_attribute_next(struct slice *lines, struct slice *ret_name, struct slice *ret_value)
{
	struct slice line;
	bool bad;
	while (next_line(lines, &line, &bad)) {
		if (!slice_starts(line, S("a=")))
			continue;
		struct slice value = slice_skip(line, 2), name = slice_split(&value, ':');
		*ret_name = slice_trim(name);
		*ret_value = slice_trim(value);
		return true;
	}
	return false;
}

bool sdp_attribute(struct slice lines, struct slice name, struct slice *ret_value)
{
	struct slice n, v;
	while (sdp_attribute_next(&lines, &n, &v)) {
		if (!slice_eq(n, name))
			continue;
		if (ret_value)
			*ret_value = v;
		return true;
	}
	return false;
}

/* --- instant messages --- */

static struct slice attribute(struct slice lines, struct slice name)
{
	struct slice v = SLICE_NONE;
	sdp_attribute(lines, name, &v);
	return v;
}

/* The direction of the media, else of the session (RFC 8866 6.7). */
static void direction(const struct sdp *s, const struct sdp_media *m, struct sdp_im_media *ret)
{
	const struct slice at[] = {m->lines, s->lines};
	ret->can_send = ret->can_receive = true;
	for (int i = 0; i < 2; i++) {
		bool both = sdp_attribute(at[i], S("sendrecv"), NULL), out = sdp_attribute(at[i], S("sendonly"), NULL),
		     in = sdp_attribute(at[i], S("recvonly"), NULL), none = sdp_attribute(at[i], S("inactive"), NULL);
		if (!both && !out && !in && !none)
			continue;
		ret->can_send = both || out;
		ret->can_receive = both || in;
		return;
	}
}

static enum sdp_im form_of(const struct sdp_media *m, bool *ret_tls)
{
	bool message = slice_ieq(m->type, S("message"));
	*ret_tls = slice_ieq(m->proto, S("TCP/TLS/MSRP"));
	if (slice_ieq(m->proto, S("sip")) && (message || slice_ieq(m->type, S("x-ms-message"))))
		return SDP_IM_SIP;
	if (message && (*ret_tls || slice_ieq(m->proto, S("TCP/MSRP"))))
		return SDP_IM_MSRP;
	return SDP_IM_NONE;
}

bool sdp_im_find(const struct sdp *s, unsigned forms, struct sdp_im_media *ret)
{
	for (size_t i = 0; i < s->n_media; i++) {
		const struct sdp_media *m = &s->media[i];
		bool tls;
		enum sdp_im form = form_of(m, &tls);
		if (form == SDP_IM_NONE || !(forms & 1u << form) || !m->port)
			continue;
		*ret = (struct sdp_im_media){
			.form = form,
			.index = i,
			.tls = tls,
			.word = m->type,
			.accept_types = attribute(m->lines, S("accept-types")),
			.accept_wrapped_types = attribute(m->lines, S("accept-wrapped-types")),
			.path = attribute(m->lines, S("path")),
			.setup = attribute(m->lines, S("setup")),
			.fingerprint = attribute(m->lines, S("fingerprint")),
			.file = sdp_attribute(m->lines, S("file-selector"), NULL),
		};
		if (!ret->fingerprint.len)
			ret->fingerprint = attribute(s->lines, S("fingerprint"));
		slice_u64(attribute(m->lines, S("max-size")), UINT64_MAX, &ret->max_size);
		direction(s, m, ret);
		if (!ret->file && (form != SDP_IM_MSRP || ret->path.len))
			return true;
	}
	*ret = (struct sdp_im_media){0};
	return false;
}

static bool range_covers(struct slice range, struct slice type)
{
	if (slice_eq(range, S("*")) || slice_eq(range, S("*/*")))
		return true;
	if (slice_ends(range, S("/*")))
		return slice_istarts(type, slice_first(range, range.len - 1));
	return slice_ieq(range, type);
}

bool sdp_accepts(struct slice accept_types, struct slice content_type)
{
	struct slice rest = accept_types, params, type = slice_trim(sip_token(content_type, &params));
	if (slice_empty(slice_trim(accept_types)))
		return slice_ieq(type, S("text/plain"));
	for (struct slice w = word(&rest); w.len; w = word(&rest))
		if (range_covers(w, type))
			return true;
	return false;
}

void sdp_accept_both(struct buf *b, struct slice ours, struct slice theirs)
{
	size_t start = b->len;
	struct slice rest = ours;
	for (struct slice w = word(&rest); w.len; w = word(&rest)) {
		if (!sdp_accepts(theirs, w))
			continue;
		if (b->len > start)
			buf_putc(b, ' ');
		buf_put(b, w);
	}
	if (b->len == start)
		buf_put(b, ours);
}

/* --- writing --- */

static void put(struct buf *b, struct slice v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.p[i] == '\r' || v.p[i] == '\n' || v.p[i] == '\0') {
			b->failed = true;
			return;
		}
	buf_put(b, v);
}

static void attribute_put(struct buf *b, const char *name, struct slice v)
{
	if (!v.len)
		return;
	buf_puts(b, "a=");
	buf_puts(b, name);
	buf_putc(b, ':');
	put(b, v);
	buf_puts(b, "\r\n");
}

static void put_address(struct buf *b, struct slice a)
{
	a = a.len ? a : S("0.0.0.0");
	buf_puts(b, slice_find_chr(a, ':') >= 0 ? "IN IP6 " : "IN IP4 ");
	put(b, a);
	buf_puts(b, "\r\n");
}

static void session_part(struct buf *b, const struct sdp_local *l)
{
	buf_puts(b, "v=0\r\no=- ");
	buf_u64(b, l->id);
	buf_putc(b, ' ');
	buf_u64(b, l->version);
	buf_putc(b, ' ');
	put_address(b, l->address);
	buf_puts(b, "s=session\r\nc=");
	put_address(b, l->address);
	buf_puts(b, "t=0 0\r\n");
}

static void media_part(struct buf *b, const struct sdp_local *l, struct slice type)
{
	bool msrp = l->form == SDP_IM_MSRP;
	buf_puts(b, "m=");
	put(b, type.len ? type : S("message"));
	buf_putc(b, ' ');
	buf_u64(b, l->port ? l->port : msrp ? 2855 : 5060);
	if (msrp) {
		buf_puts(b, l->tls ? " TCP/TLS/MSRP *\r\n" : " TCP/MSRP *\r\n");
	} else {
		buf_puts(b, " sip ");
		put(b, l->fmt.len ? l->fmt : S("null"));
		buf_puts(b, "\r\n");
	}
	attribute_put(b, "accept-types", l->accept_types);
	attribute_put(b, "accept-wrapped-types", l->accept_wrapped_types);
	if (!msrp)
		return;
	if (l->max_size) {
		buf_puts(b, "a=max-size:");
		buf_u64(b, l->max_size);
		buf_puts(b, "\r\n");
	}
	attribute_put(b, "path", l->path);
	attribute_put(b, "setup", l->setup);
	attribute_put(b, "fingerprint", l->fingerprint);
}

void sdp_write_offer(struct buf *b, const struct sdp_local *l)
{
	session_part(b, l);
	media_part(b, l, l->word);
}

void sdp_write_answer(struct buf *b, const struct sdp *offer, size_t index, const struct sdp_local *l)
{
	session_part(b, l);
	for (size_t i = 0; i < offer->n_media; i++) {
		const struct sdp_media *m = &offer->media[i];
		if (i == index) {
			media_part(b, l, m->type);
			continue;
		}
		buf_puts(b, "m=");
		put(b, m->type);
		buf_puts(b, " 0 ");
		put(b, m->proto);
		if (m->fmt.len)
			buf_putc(b, ' ');
		put(b, m->fmt);
		buf_puts(b, "\r\n");
	}
}
