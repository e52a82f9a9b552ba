/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the live entries (index.c), what a file's octets do to them (replay.c), the files (segment.c), the thread (writer.c). */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "base/list.h"
#include "base/map.h"
#include "journal/io.h"
#include "journal/journal.h"
#include "journal/record.h"

struct segment {
	struct list node;       /* journal.segments, by number */
	uint64_t number, nonce;
	uint32_t size, used, synced; /* octets of the file, written, known durable */
	uint32_t live_octets;
	struct list live;       /* entries whose record is here, in the order of the file */
	bool damaged;           /* kept aside when it is over */
};

struct partner {
	struct map_node node;
	uint64_t entries, octets;
	char key[];
};

struct request;
/* Owned by the index. `seg`, `at` and the membership of `in_segment` are the thread's alone; the rest is under the lock. */
struct entry {
	struct map_node node;    /* journal_index.by_id, until it is over; key: id */
	struct list order;       /* journal_index.order, until it is over */
	struct list in_segment;  /* segment.live */
	struct list dirty;       /* journal.dirty (an end or marks to be written) or journal.settling (written, not synced) */
	uint64_t id;
	struct partner *partner; /* NULL when it is over */
	struct request *request; /* its put waits for the thread: the record is there, not in a segment */
	struct segment *seg;
	uint32_t at, len;
	int64_t accepted_at;
	struct journal_marks marks;
	bool over, writing;      /* writing: its put is in the group that is being written */
	bool is_dirty;           /* which list `dirty` is in */
};

struct journal_index {
	struct map by_id, partners;
	struct list order;
	uint64_t entries, octets, next_id;
};
void index_init(struct journal_index *x);
void index_free(struct journal_index *x); /* with all entries that are not over */
/* A new entry, counted; its id must not be there. */
struct entry *index_add(struct journal_index *x, uint64_t id, struct slice partner, uint32_t len, int64_t accepted_at);
struct entry *index_find(const struct journal_index *x, uint64_t id);
/* Not counted and not found any more; the caller owns it. */
void index_over(struct journal_index *x, struct entry *e);
struct partner *index_partner(const struct journal_index *x, struct slice key);

/* ---- replay: sans-I/O ---- */
struct replay {
	struct journal_index *index;
	struct map damaged, heads; /* ids of records that do not read; what journal_options.recovered gets (pair, expiry, ...) */
	uint64_t damaged_octets, cut, ended, max_id;
	unsigned places;
	char first[200];
};
void replay_init(struct replay *r, struct journal_index *x);
void replay_free(struct replay *r);
/* The octets of one segment, oldest first. last: it is the newest. Entries found are put into s->live; s->used becomes the end of the last record. */
void replay_segment(struct replay *r, struct segment *s, struct slice file, bool last);
/* After the last: order by id; returns how many entries are lost. */
uint64_t replay_finish(struct replay *r);
struct replay_head {
	struct map_node node;
	uint64_t id;
	struct journal_head head; /* partner and pair: owned, behind it */
	size_t octets;
};
struct replay_head *replay_head_of(const struct replay *r, uint64_t id);

/* ---- the journal ---- */
struct request { /* a put */
	struct list node;
	struct entry *e;
	uint64_t id;
	int code;
	uint64_t due; /* clock_ms() at which its group begins, if no other does; 0: at once */
	journal_done *done;
	void *arg;
	size_t len;
	char rec[];
};

struct read_request {
	struct list node;
	uint64_t id;
	journal_read_done *done;
	void *arg;
};

enum {
	GROUP_PUTS = 512,
	GROUP_DIRTY = 1024,
	GROUP_OCTETS = 1 << 20,
	COPY_OCTETS = 128 << 10, /* of a group, for entries that are copied forward */
	GROUP_COPIES = COPY_OCTETS / JOURNAL_RECORD_HEAD + 1,
};
/* What one turn writes together. */
struct group {
	struct request *puts[GROUP_PUTS];
	struct entry *dirty[GROUP_DIRTY], *copies[GROUP_COPIES];
	uint32_t at[GROUP_PUTS], copy_at[GROUP_COPIES];
	size_t n_puts, n_dirty, n_copies;
};

enum writer_state {
	WRITER_FINE,
	WRITER_FULL,   /* no space for another segment: the rest of the active one is for ends, marks and copies */
	WRITER_BROKEN, /* there is no active segment, or it cannot be written */
};

struct journal {
	struct journal_options opt;
	const struct journal_io *io;
	int dir, lock_fd, marker_fd;

	pthread_mutex_t lock; /* what follows, up to the next blank line */
	pthread_cond_t work, idle;
	struct journal_index index;
	struct list puts, reads, dirty;
	size_t waiting, n_urgent, n_reads; /* octets of puts; those that are not lazy */
	uint64_t flush_wanted, flushed;
	struct journal_stats stats;
	bool stop, started;
	_Atomic bool closed; /* no puts: full or broken */
	_Atomic uint64_t reserve;

	/* the thread's alone (journal_open's before it starts) */
	struct list segments, settling;
	struct segment *active;
	unsigned n_segments;
	uint64_t files;          /* octets of all segments and the spare */
	int active_fd, spare_fd; /* -1 */
	uint32_t spare_size, spare_filled;
	uint64_t next_number;
	int read_fd;
	uint64_t read_number;    /* whose read_fd is; 0: none */
	enum writer_state state;
	uint64_t probe_at, unsynced_since, copy_at; /* ms; unsynced_since 0: all is synced; copy_at: the old records cannot be read, again then */
	uint64_t lazy_at;        /* with the lock: no group of lazy puts alone before then */
	uint64_t dirty_at;       /* with the lock: no group of ends alone before then; 0: at once */
	unsigned copy_errors;
	bool marker_set;         /* the marker is to be cleared as soon as the counts are durable */
	bool stuck;              /* an end or a mark did not find space: again after the probe */
	uint64_t live;           /* octets of the index, as of this turn */
	struct buf out;
	struct group *group;
	pthread_t thread;
};

/* segment.c: files. Those that return int: 0, or -1 with errno. */
enum { SEGMENT_NAME = 40, SEGMENT_STEP = 256 << 10 };
void segment_name(char dst[SEGMENT_NAME], uint64_t number);
struct segment *segment_add(struct journal *j, uint64_t number);
void segment_drop(struct journal *j, struct segment *s); /* from memory */
int segment_pwrite(struct journal *j, int fd, const char *p, size_t n, uint64_t at);
/* Brings the spare a step nearer to being there. 1: it is. ENOSPC also when the reserve would be touched. */
int segment_spare_step(struct journal *j);
bool segment_spare_ready(const struct journal *j);
/* The spare becomes the active segment. The one before must have been left. */
int segment_activate(struct journal *j);
/* Leaves the active segment: in order (everything synced), or cut where it was good. */
int segment_seal(struct journal *j);
void segment_abandon(struct journal *j);
/* The oldest segment, when nobody needs it any more. */
struct segment *segment_over(struct journal *j);
/* Removes it; it becomes the spare when there is none. False: there was none, or it cannot be removed now. */
bool segment_retire(struct journal *j);
/* Reads octets of a segment; the active one too. */
ssize_t segment_pread(struct journal *j, struct segment *s, char *p, size_t n, uint64_t at);

/* writer.c */
/* The first segment, or the state that says why there is none. */
void writer_begin(struct journal *j);
void *writer_run(void *journal);
/* One turn: a group written, some reads, a step of housekeeping. True: there is more to do at once. */
bool writer_turn(struct journal *j);
/* With the lock: the entry's end or marks are to be written. */
void writer_dirty(struct journal *j, struct entry *e);

/* open.c */
void marker_clear(struct journal *j);
