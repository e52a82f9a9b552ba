/* SPDX-License-Identifier: Apache-2.0 */
/* Segment files of the journal with anything in them, read as a start would. The first octet says how the rest is cut into one to three files, and whether records are
 * mended: checksums (and the segments' heads) are made right, so that what stands under them is reached too. Where a record begins "REC!" stands in the corpus. */
#include "fuzz.h"
#include <zlib.h>
#include "base/mem.h"
#include "journal/internal.h"

enum { NONCE = 0x1234567 };

static uint32_t get32(const char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static uint16_t get16(const char *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

static void mend(char *p, size_t n)
{
	for (size_t at = JOURNAL_SEGMENT_HEAD; at + JOURNAL_RECORD_HEAD <= n; at += JOURNAL_RECORD_ALIGN) {
		if (memcmp(p + at, "REC!", 4) != 0)
			continue;
		char *r = p + at;
		size_t len = journal_record_len(get16(r + 20), get16(r + 22), get32(r + 16));
		struct journal_marks m = {(uint8_t)r[43], (uint8_t)r[46], get16(r + 44), 0};
		memcpy(&m.due_at, r + 56, 8);
		if (len <= n - at) {
			uint32_t body = (uint32_t)crc32(0, (const unsigned char *)r + JOURNAL_RECORD_HEAD, (uInt)(len - JOURNAL_RECORD_HEAD));
			memcpy(r + 48, &body, 4);
		}
		journal_record_finish(r, NONCE, get32(r + 52), &m);
	}
}

/* Nothing is read twice or left out, and what is read is written the same. */
static void check_scan(struct slice file, uint64_t nonce)
{
	struct journal_scan s = {file, JOURNAL_SEGMENT_HEAD, nonce};
	struct journal_record r;
	size_t gap, all = JOURNAL_SEGMENT_HEAD, before;
	if (file.len < JOURNAL_SEGMENT_HEAD)
		return;
	while (before = s.at, journal_scan_next(&s, &r, &gap)) {
		MUST(r.at == before + gap && r.at % JOURNAL_RECORD_ALIGN == 0 && s.at == r.at + r.len && s.at <= file.len);
		all += gap + r.len;
		if (r.damaged)
			continue;
		char *again = mem_calloc(1, r.len);
		struct journal_record back;
		size_t none;
		journal_record_write(again, &r);
		journal_record_finish(again, nonce, r.synced, &r.head.marks);
		struct journal_scan one = {slice_of(again, r.len), 0, nonce};
		MUST(journal_scan_next(&one, &back, &none) && !none && !back.damaged && back.len == r.len && back.id == r.id && back.type == r.type);
		MUST(slice_eq(back.octets, r.octets) && slice_eq(back.head.partner, r.head.partner) && slice_eq(back.head.pair, r.head.pair));
		MUST(back.head.marks.due_at == r.head.marks.due_at && back.head.accepted_at == r.head.accepted_at && back.synced == r.synced);
		mem_free(again);
	}
	MUST(all + gap == file.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_index x;
	struct replay r;
	struct segment segments[3];
	char *files[3] = {NULL};
	if (size < 1 || size > 1 << 16)
		return 0;
	unsigned n = 1 + data[0] % 3;
	bool mended = data[0] & 64;
	index_init(&x);
	replay_init(&r, &x);
	size_t each = (size - 1) / n;
	for (unsigned i = 0; i < n; i++) {
		size_t len = i + 1 < n ? each : size - 1 - each * i, head = mended ? JOURNAL_SEGMENT_HEAD : 0;
		struct journal_segment_head h = {JOURNAL_VERSION, 65536, i + 1, NONCE, 1, 0};
		files[i] = malloc(head + len + 1);
		if (mended)
			journal_segment_head_write(files[i], &h);
		memcpy(files[i] + head, data + 1 + each * i, len);
		len += head;
		if (mended)
			mend(files[i], len);
		segments[i] = (struct segment){.number = i + 1};
		list_init(&segments[i].live);
		if (journal_segment_head_read(&h, slice_of(files[i], len)) != 0)
			continue;
		segments[i].nonce = h.nonce;
		check_scan(slice_of(files[i], len), h.nonce);
		replay_segment(&r, &segments[i], slice_of(files[i], len), i + 1 == n);
		MUST(segments[i].used <= len || len < JOURNAL_SEGMENT_HEAD);
	}
	replay_finish(&r);
	uint64_t entries = 0, octets = 0, last = 0, placed = 0;
	LIST_EACH(l, &x.order)
	{
		struct entry *e = CONTAINER_OF(l, struct entry, order);
		struct replay_head *h = replay_head_of(&r, e->id);
		MUST(e->id > last && h && h->octets <= JOURNAL_OCTETS_MAX && slice_eq(h->head.partner, e->partner->node.key) && !e->over);
		last = e->id;
		entries++;
		octets += e->len;
	}
	for (unsigned i = 0; i < n; i++)
		LIST_EACH(l, &segments[i].live)
		{
			MUST(CONTAINER_OF(l, struct entry, in_segment)->seg == &segments[i]);
			placed++;
		}
	MUST(entries == x.entries && octets == x.octets && entries == placed && r.heads.count == entries && x.next_id > last);
	MUST((r.places != 0) == (r.first[0] != 0));
	index_free(&x);
	MUST(!x.entries && !x.octets && !x.partners.count);
	replay_free(&r);
	for (unsigned i = 0; i < 3; i++)
		free(files[i]);
	return 0;
}
