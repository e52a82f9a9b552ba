/* SPDX-License-Identifier: Apache-2.0 */
/* Presence documents. What can be read is written and read again: it must be the same. The first octet chooses the
 * Content-Language; the rest is the document. */
#include "interwork/pidf.h"
#include "xmpp/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(cond)                 \
	do {                        \
		if (!(cond))        \
			__builtin_trap(); \
	} while (0)

static void check_item(const struct presence_item *got, const struct presence_item *want)
{
	CHECK(want && got->show == want->show && got->stamp == want->stamp && got->priority == want->priority && !got->unsure && got->idle == want->idle);
	CHECK(presence_notes_equal(got, want));
}

static void check_notes(const struct presence_item *it)
{
	CHECK(it->n_notes <= PRESENCE_MAX_NOTES);
	for (size_t i = 0; i < it->n_notes; i++)
		CHECK(it->notes[i].text.len && it->notes[i].text.len <= 4 * PRESENCE_MAX_NOTE && it->notes[i].lang.len <= 35);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	static const char *const langs[] = {"", "en", "de, fr", "<'&"};
	struct presence_set set = {0};
	struct pidf p, again;
	struct buf b;
	if (size == 0 || size > 32768)
		return 0;
	if (!a)
		a = arena_new(8 << 20);
	arena_reset(a);
	struct pidf_writing w = {.entity = S("sip:juliet@xmpp.example")};
	struct slice doc = slice_of((const char *)data + 1, size - 1), lang = slice_str(langs[data[0] % 4]);
	if (pidf_read(&p, a, doc, lang, 1600000000, NULL))
		return 0;
	CHECK(p.count <= PRESENCE_MAX_ITEMS && (!p.changes_at || p.changes_at > 1600000000));
	w.name = p.name;
	for (size_t i = 0; i < p.count; i++) {
		check_notes(&p.items[i]);
		CHECK(presence_set_put(&set, &p.items[i]));
	}
	CHECK(set.count == p.count); /* one item per resource */

	buf_init(&b, 4 << 20);
	pidf_write(&b, &w, &set);
	CHECK(buf_ok(&b));
	CHECK(pidf_read(&again, a, buf_slice(&b), SLICE_NONE, 1600000000, NULL) == 0);
	if (p.count) {
		CHECK(again.count == p.count);
		for (size_t i = 0; i < again.count; i++)
			check_item(&again.items[i], presence_set_find(&set, again.items[i].resource));
	} else {
		CHECK(again.count == 1 && again.items[0].show == PRESENCE_OFFLINE);
	}
	buf_clear(&b);
	w.hide_notes = true;
	pidf_write(&b, &w, &set);
	CHECK(slice_find(buf_slice(&b), S("note>")) < 0 && slice_find(buf_slice(&b), S("<ci:display-name>")) < 0);
	w.hide_notes = false;
	for (w.flavour = PIDF_LYNC; w.flavour <= PIDF_CISCO; w.flavour++) { /* one tuple, what the best says */
		buf_clear(&b);
		pidf_write(&b, &w, &set);
		CHECK(pidf_read(&again, a, buf_slice(&b), SLICE_NONE, 0, NULL) == 0 && again.count == 1 && !again.items[0].resource.len);
		if (p.count)
			CHECK(again.items[0].show == presence_set_best(&set)->show);
	}
	buf_free(&b);
	presence_set_free(&set);
	return 0;
}
