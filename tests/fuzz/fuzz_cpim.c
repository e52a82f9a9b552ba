/* SPDX-License-Identifier: Apache-2.0 */
/* A message/cpim document, and notifications of both kinds. What was read is written; what that says is what was read, and writing it again
 * gives the same octets. */
#include "fuzz.h"
#include "base/err.h"
#include "interwork/cpim.h"
#include "interwork/imdn.h"
#include "interwork/text.h"

static bool address(struct slice uri)
{
	for (size_t i = 0; i < uri.len; i++)
		if ((unsigned char)uri.p[i] <= ' ' || memchr("<>\"\x7f", uri.p[i], 4))
			return false;
	return true;
}

static void write(struct buf *b, struct arena *a, const struct cpim *c)
{
	struct cpim_headers h = {
		.from = address(c->from) ? c->from : SLICE_NONE, .to = address(c->to) ? c->to : SLICE_NONE, .from_name = interwork_line(a, c->from_name, 1000),
		.date = interwork_line(a, c->date, 100), .subject = interwork_line(a, c->subject, 1000), .subject_lang = interwork_lang(c->subject_lang),
		.imdn_id = interwork_line(a, c->imdn_id, 1000), .imdn_wanted = interwork_line(a, c->imdn_wanted, 1000),
	};
	buf_clear(b);
	cpim_write(b, &h, S("text/plain"), c->content.body);
	MUST(buf_ok(b));
}

static void again(struct arena *a, const struct cpim *c)
{
	struct buf one, two;
	struct cpim back;
	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	write(&one, a, c);
	MUST(cpim_read(&back, a, buf_slice(&one)) == 0);
	MUST(slice_eq(back.content.body, c->content.body) && slice_eq(back.content.type, S("text/plain")));
	MUST(!back.several_from && !back.requires);
	MUST(!address(c->from) || !c->from.len || slice_eq(back.from, c->from));
	MUST(!address(c->to) || !c->to.len || slice_eq(back.to, c->to));
	MUST(slice_eq(interwork_line(a, back.subject, 1000), interwork_line(a, c->subject, 1000)));
	write(&two, a, &back);
	struct cpim last;
	MUST(cpim_read(&last, a, buf_slice(&two)) == 0 && slice_eq(last.subject, back.subject) && slice_eq(last.from_name, back.from_name));
	buf_free(&one);
	buf_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice doc = slice_of((const char *)data, size), ids[8];
	struct imdn_request r;
	struct cpim c;
	size_t n = 0;
	if (!size || size > 16384)
		return 0;
	if (!a)
		a = arena_new(8 << 20);
	arena_reset(a);
	int rc = cpim_read(&c, a, doc);
	MUST(rc == 0 || rc == ENTENTE_ESYNTAX || rc == ENTENTE_ELIMIT);
	if (rc == 0) {
		MUST(inside(doc, c.content.body) && inside(doc, c.from) && inside(doc, c.to) && inside(doc, c.imdn_id) && inside(doc, c.date));
		imdn_request_of(&r, &c);
		MUST(r.message_id.len <= IMDN_MAX_ID && r.datetime.len <= IMDN_MAX_TIME && (!r.asks || r.message_id.len));
		again(a, &c);
	}
	struct slice inner = rc == 0 ? c.content.body : doc;
	struct imdn note, note_again;
	struct entente_err err = {0};
	if (imdn_read(&note, a, inner, &err) == 0) {
		struct buf b;
		buf_init(&b, 1 << 20);
		imdn_write(&b, &note);
		MUST(buf_ok(&b) && imdn_read(&note_again, a, buf_slice(&b), NULL) == 0 && note_again.kind == note.kind && note_again.status == note.status);
		MUST(slice_eq(note.message_id, note_again.message_id) && slice_eq(note.recipient, note_again.recipient));
		buf_free(&b);
	} else {
		MUST(err.text[0]);
	}
	if (imdn_lync_read(ids, 8, &n, a, inner, NULL) == 0)
		MUST(n <= 8);
	return 0;
}
