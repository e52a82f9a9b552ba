/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/record.h"

#include <endian.h>
#include <zlib.h>

static const char magic[16] = "entente-journal\n"; /* without the NUL */

static void put16(char *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof v);
}

static void put32(char *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

static void put64(char *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

static uint16_t get16(const char *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return le16toh(v);
}

static uint32_t get32(const char *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static uint64_t get64(const char *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

static uint32_t crc(uint32_t seed, const char *p, size_t n)
{
	return (uint32_t)crc32_z(seed, (const unsigned char *)p, n);
}

/* ---- the segment's head ---- */
void journal_segment_head_write(char dst[JOURNAL_SEGMENT_HEAD], const struct journal_segment_head *h)
{
	memset(dst, 0, JOURNAL_SEGMENT_HEAD);
	memcpy(dst, magic, sizeof magic);
	put32(dst + 16, h->version);
	put32(dst + 20, h->size);
	put64(dst + 24, h->number);
	put64(dst + 32, h->nonce);
	put64(dst + 40, h->next_id);
	put64(dst + 48, (uint64_t)h->created_at);
	put32(dst + JOURNAL_SEGMENT_HEAD_USED - 4, crc(0, dst, JOURNAL_SEGMENT_HEAD_USED - 4));
	memcpy(dst + JOURNAL_SEGMENT_COPY, dst, JOURNAL_SEGMENT_HEAD_USED);
}

int journal_segment_head_read(struct journal_segment_head *ret, struct slice file)
{
	uint32_t newer[2] = {0};
	for (unsigned i = 0; i < 2; i++) {
		size_t at = i * JOURNAL_SEGMENT_COPY;
		if (file.len < at + JOURNAL_SEGMENT_HEAD_USED || memcmp(file.p + at, magic, sizeof magic) != 0)
			continue;
		const char *p = file.p + at;
		struct journal_segment_head h = {get32(p + 16), get32(p + 20), get64(p + 24), get64(p + 32), get64(p + 40), (int64_t)get64(p + 48)};
		newer[i] = h.version > JOURNAL_VERSION ? h.version : 0;
		if (get32(p + JOURNAL_SEGMENT_HEAD_USED - 4) != crc(0, p, JOURNAL_SEGMENT_HEAD_USED - 4) || !h.version)
			continue;
		if (newer[i])
			return ENTENTE_EUNSUPPORTED;
		*ret = h;
		return 0;
	}
	/* a later version may sum differently; two copies that say the same are no flipped bit */
	return newer[0] && newer[0] == newer[1] ? ENTENTE_EUNSUPPORTED : ENTENTE_ESYNTAX;
}

/* ---- records ---- */
static uint32_t magic_of(uint64_t nonce)
{
	return (uint32_t)(nonce >> 32) ^ 0x6c6e726a;
}

static uint32_t head_crc(const char *rec, uint64_t nonce)
{
	char seed[8];
	put64(seed, nonce);
	return crc(crc(0, seed, sizeof seed), rec + 8, JOURNAL_RECORD_HEAD - 8);
}

void journal_record_write(char *dst, const struct journal_record *r)
{
	size_t used = JOURNAL_RECORD_HEAD + r->head.partner.len + r->head.pair.len + r->octets.len;
	size_t len = journal_record_len(r->head.partner.len, r->head.pair.len, r->octets.len);
	memset(dst, 0, JOURNAL_RECORD_HEAD);
	put64(dst + 8, r->id);
	put32(dst + 16, (uint32_t)r->octets.len);
	put16(dst + 20, (uint16_t)r->head.partner.len);
	put16(dst + 22, (uint16_t)r->head.pair.len);
	put64(dst + 24, (uint64_t)r->head.accepted_at);
	put64(dst + 32, (uint64_t)r->head.expires_at);
	dst[40] = (char)r->type;
	dst[41] = (char)r->head.kind;
	dst[42] = (char)r->head.flags;
	char *p = dst + JOURNAL_RECORD_HEAD;
	const struct slice parts[] = {r->head.partner, r->head.pair, r->octets};
	for (unsigned i = 0; i < 3; i++) {
		if (parts[i].len)
			memcpy(p, parts[i].p, parts[i].len);
		p += parts[i].len;
	}
	memset(p, 0, len - used);
	put32(dst + 48, crc(0, dst + JOURNAL_RECORD_HEAD, len - JOURNAL_RECORD_HEAD));
}

void journal_record_finish(char *rec, uint64_t nonce, uint32_t synced, const struct journal_marks *m)
{
	rec[43] = (char)m->state;
	put16(rec + 44, m->attempts);
	rec[46] = (char)m->crashes;
	put32(rec + 52, synced);
	put64(rec + 56, (uint64_t)m->due_at);
	put32(rec, magic_of(nonce));
	put32(rec + 4, head_crc(rec, nonce));
}

/* Is there a record's head here? Its sizes are then as they were written, so believable; the file may still end before it does. */
static bool head_at(const struct journal_scan *s, size_t at)
{
	const char *p = s->file.p + at;
	return get32(p) == magic_of(s->nonce) && get32(p + 4) == head_crc(p, s->nonce);
}

static void read_record(const struct journal_scan *s, size_t at, struct journal_record *ret)
{
	const char *p = s->file.p + at, *body = p + JOURNAL_RECORD_HEAD;
	size_t octets = get32(p + 16), partner = get16(p + 20), pair = get16(p + 22);
	*ret = (struct journal_record){
		.type = (enum journal_record_type)(unsigned char)p[40],
		.id = get64(p + 8),
		.head = {.accepted_at = (int64_t)get64(p + 24), .expires_at = (int64_t)get64(p + 32), .kind = (uint8_t)p[41], .flags = (uint8_t)p[42],
			 .marks = {(uint8_t)p[43], (uint8_t)p[46], get16(p + 44), (int64_t)get64(p + 56)}},
		.synced = get32(p + 52), .at = at, .len = journal_record_len(partner, pair, octets)};
	if (ret->len > s->file.len - at || crc(0, body, ret->len - JOURNAL_RECORD_HEAD) != get32(p + 48)) {
		ret->damaged = true;
		if (ret->len > s->file.len - at)
			ret->len = s->file.len - at;
		return;
	}
	ret->head.partner = slice_of(body, partner);
	ret->head.pair = slice_of(body + partner, pair);
	ret->octets = slice_of(body + partner + pair, octets);
}

bool journal_scan_next(struct journal_scan *s, struct journal_record *ret, size_t *ret_gap)
{
	size_t from = s->at;
	for (; s->file.len >= JOURNAL_RECORD_HEAD && s->at <= s->file.len - JOURNAL_RECORD_HEAD; s->at += JOURNAL_RECORD_ALIGN) {
		if (!head_at(s, s->at))
			continue;
		*ret_gap = s->at - from;
		read_record(s, s->at, ret);
		s->at += ret->len;
		return true;
	}
	*ret_gap = s->file.len > from ? s->file.len - from : 0;
	s->at = s->file.len;
	return false;
}
