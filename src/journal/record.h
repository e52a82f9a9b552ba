/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a segment file, without files: written into memory and found in it. Numbers are little-endian. A segment begins with its head, twice (octets 0 and
 * 512), each with a checksum; from JOURNAL_SEGMENT_HEAD on records follow, each at a multiple of JOURNAL_RECORD_ALIGN:
 *   0 magic u32 | 4 checksum of octets 8 to 63 u32 | 8 id u64 | 16 octets u32 | 20 partner u16 | 22 pair u16 | 24 accepted_at i64 | 32 expires_at i64 |
 *   40 type u8 | 41 kind u8 | 42 flags u8 | 43 state u8 | 44 attempts u16 | 46 crashes u8 | 47 0 | 48 checksum of the body u32 | 52 synced u32 | 56 due_at i64
 * then the body: partner, pair, octets, zeros up to the alignment. Checksums are CRC-32 (as in zlib); magic and the head's checksum depend on the segment's
 * random number, so that neither an older use of the same file nor a message that contains a record is ever taken for one. Pure functions, any thread. */
#pragma once
#include "base/buf.h"
#include "journal/journal.h"

enum { JOURNAL_RECORD_HEAD = 64, JOURNAL_RECORD_ALIGN = 16, JOURNAL_SEGMENT_HEAD = 1024, JOURNAL_SEGMENT_COPY = 512, JOURNAL_SEGMENT_HEAD_USED = 128 };

enum journal_record_type {
	JOURNAL_PUT = 1,
	JOURNAL_END = 2,  /* id alone */
	JOURNAL_MARK = 3, /* id and marks */
	JOURNAL_SEAL = 4, /* the last record of a segment that was left in order; id: the next that would have been given */
};

struct journal_record {
	enum journal_record_type type;
	uint64_t id;
	struct journal_head head;
	struct slice octets;
	uint32_t synced; /* up to where the segment was durable when this was written: a hole behind all of these is no damage but a torn tail */
	/* set by journal_scan_next */
	size_t at, len;  /* of the whole record, with its padding */
	bool damaged;    /* its head is whole, its body is not: only id, type and sizes are worth anything; slices are empty */
};

struct journal_segment_head {
	uint32_t version, size;
	uint64_t number, nonce, next_id;
	int64_t created_at;
};

void journal_segment_head_write(char dst[JOURNAL_SEGMENT_HEAD], const struct journal_segment_head *h);
/* From the first octets of a file, either copy. 0; ENTENTE_ESYNTAX; ENTENTE_EUNSUPPORTED: newer. */
int journal_segment_head_read(struct journal_segment_head *ret, struct slice file);

static inline size_t journal_record_len(size_t partner, size_t pair, size_t octets)
{
	size_t n = JOURNAL_RECORD_HEAD + partner + pair + octets;
	return (n + JOURNAL_RECORD_ALIGN - 1) & ~(size_t)(JOURNAL_RECORD_ALIGN - 1);
}
/* Writes the whole record of journal_record_len(...) octets with a head that journal_record_finish completes. */
void journal_record_write(char *dst, const struct journal_record *r);
/* Fills what depends on place and time: the marks, `synced`, magic and checksum. */
void journal_record_finish(char *rec, uint64_t nonce, uint32_t synced, const struct journal_marks *m);

struct journal_scan {
	struct slice file; /* the whole segment */
	size_t at;         /* JOURNAL_SEGMENT_HEAD to begin with */
	uint64_t nonce;
};
/* The next record, and how many octets before it are none. True; false: no more, *ret_gap is what is left of the file. */
bool journal_scan_next(struct journal_scan *s, struct journal_record *ret, size_t *ret_gap);
