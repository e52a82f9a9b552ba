/* SPDX-License-Identifier: Apache-2.0 */
#include "sip/frame.h"

#include <stdio.h>
#include "sip/lex.h"

void sip_framer_init(struct sip_framer *f, const struct sip_limits *lim)
{
	*f = (struct sip_framer){.lim = lim, .length = -1};
}

/* Ready for what follows the octets just reported. */
static void next_frame(struct sip_framer *f, struct sip_frame *ret, enum sip_frame_kind kind, size_t consume)
{
	ret->kind = kind;
	ret->consume = consume;
	bool pong = f->expect_pong && kind != SIP_FRAME_PONG;
	sip_framer_init(f, f->lim);
	f->expect_pong = pong;
}

static void fail(struct sip_framer *f, int status, const char *text)
{
	if (!f->fault.status) {
		f->fault.status = status;
		snprintf(f->fault.text, sizeof f->fault.text, "%s", text);
	}
}

static void report_error(const struct sip_framer *f, struct slice in, struct sip_frame *ret)
{
	ret->kind = SIP_FRAME_ERROR;
	ret->fault = f->fault;
	if (f->head)
		ret->message = slice_of(in.p + f->start, f->head - f->start);
}

static bool is_length(struct slice line)
{
	if (!line.len || ((*line.p | 32) != 'c' && (*line.p | 32) != 'l'))
		return false;
	ptrdiff_t colon = slice_find_chr(line, ':');
	return colon > 0 && sip_hdr_of(sip_trim(slice_first(line, (size_t)colon))) == SIP_H_CONTENT_LENGTH;
}

/* The field in[f->field .. end) is complete. */
static void end_field(struct sip_framer *f, struct slice in, size_t end)
{
	if (!f->in_length)
		return;
	f->in_length = false;
	struct slice value = slice_of(in.p + f->field, end - f->field);
	uint64_t n;
	slice_split(&value, ':');
	if (f->length >= 0)
		fail(f, 400, "Two Content-Length header fields");
	else if (!slice_u64(sip_trim(value), INT32_MAX, &n))
		fail(f, 400, "Malformed Content-Length");
	else
		f->length = (int64_t)n;
}

/* In any case of letters (RFC 3261 7.1); as nearly everybody writes it first. */
static bool names_sip(struct slice line)
{
	if (slice_ends(line, S(" SIP/2.0")) || slice_find(line, S("SIP/")) >= 0)
		return true;
	while (line.len && !slice_istarts(line, S("SIP/")))
		line = slice_skip(line, 1);
	return line.len > 0;
}

/* A line in[f->line .. end) without its CRLF. True when the header is complete. */
static bool end_line(struct sip_framer *f, struct slice in, size_t end)
{
	struct slice line = slice_of(in.p + f->line, end - f->line);
	if (f->line == f->start) {
		/* HTTP, a TLS hello on a plain port and other strangers are not worth waiting for */
		if (!names_sip(line)) {
			fail(f, 400, "Not SIP");
			return true;
		}
	} else if (!line.len) {
		end_field(f, in, f->line);
		f->head = end + 2;
		return true;
	} else if (*line.p != ' ' && *line.p != '\t') {
		end_field(f, in, f->line);
		f->field = f->line;
		f->in_length = is_length(line);
	}
	f->line = end + 2;
	return false;
}

/* Reads on from f->scan. True when the header is complete or broken, false when octets are missing. */
static bool read_header(struct sip_framer *f, struct slice in)
{
	for (;;) {
		size_t i = f->scan + sip_find_control(in.p + f->scan, in.len - f->scan);
		f->scan = i;
		if (f->line == f->start && i - f->start > f->lim->max_line)
			fail(f, 400, "Start line too long");
		else if (i - f->start > f->lim->max_message)
			fail(f, 513, "Message Too Large");
		else if (i == in.len || (in.p[i] == '\r' && i + 1 == in.len))
			return false;
		else if (in.p[i] == '\n' || (in.p[i] == '\r' && in.p[i + 1] != '\n'))
			fail(f, 400, "Bare CR or LF in the header");
		else if (in.p[i] != '\r') {
			f->scan++; /* another control character: the parser decides */
			continue;
		} else {
			f->scan += 2;
			if (!end_line(f, in, i))
				continue;
		}
		return true;
	}
}

/* Between messages. True when a frame is reported or octets are missing. */
static bool read_start(struct sip_framer *f, struct slice in, struct sip_frame *ret)
{
	if (slice_starts(S("\r\n\r\n"), in)) { /* a prefix of a ping, or all of it */
		if (in.len == 4)
			next_frame(f, ret, SIP_FRAME_PING, 4);
		else if (in.len >= 2 && f->expect_pong)
			next_frame(f, ret, SIP_FRAME_PONG, 2);
		return true;
	}
	if (slice_starts(in, S("\r\n\r\n"))) {
		next_frame(f, ret, SIP_FRAME_PING, 4);
		return true;
	}
	if (slice_starts(in, S("\r\n"))) {
		if (f->expect_pong) {
			next_frame(f, ret, SIP_FRAME_PONG, 2);
			return true;
		}
		f->start = 2;
	}
	f->line = f->scan = f->start;
	return false;
}

void sip_framer_next(struct sip_framer *f, struct slice in, struct sip_frame *ret)
{
	*ret = (struct sip_frame){.kind = SIP_FRAME_MORE, .missing = 1};
	if (!f->scan && !f->done && read_start(f, in, ret))
		return;
	if (!f->done) {
		if (!read_header(f, in))
			return;
		f->done = true;
		size_t max = f->start + f->lim->max_message;
		if (f->head > max) {
			fail(f, 513, "Message Too Large");
			f->head = 0;
		} else if (f->head && f->length < 0) {
			fail(f, 400, "Missing Content-Length");
		} else if (f->head && f->head + (size_t)f->length > max) {
			fail(f, 513, "Message Too Large");
		}
	}
	if (f->fault.status) {
		report_error(f, in, ret);
		return;
	}
	size_t total = f->head + (size_t)f->length;
	if (in.len < total) {
		ret->missing = total - in.len;
		return;
	}
	ret->message = slice_of(in.p + f->start, total - f->start);
	next_frame(f, ret, SIP_FRAME_MESSAGE, total);
}

struct sip_msg *sip_frame_answerable(const struct sip_frame *frame, struct arena *a, const struct sip_limits *lim)
{
	struct sip_msg *m;
	struct sip_fault fault;
	if (!frame->message.len)
		return NULL;
	sip_msg_parse(&m, a, frame->message, lim, &fault);
	return m && m->is_request && m->method != SIP_ACK ? m : NULL;
}
