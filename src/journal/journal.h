/* SPDX-License-Identifier: Apache-2.0 */
/* What was accepted and is not yet delivered, on the disk: an append-only log of entries in segment files of one directory (mode 0700, files 0600),
 * each record with its length, number and checksums. It knows nothing of messages: an entry is opaque octets with a small head.
 *
 * Life of an entry: journal_put (its completion says that it is durable), any number of journal_mark, journal_end. What was put and not ended is
 * there again after a crash, a power cut or a restart, in the order of the puts, with the marks it had.
 *
 * One thread writes ("journal"). It takes what waits together: one write, one fdatasync for all puts of the group. Functions below may be called from
 * any thread and never wait for the disk, unless it says so; a short lock is all that they take. Completions are called on the journal thread: they
 * must be short, must not wait, and may call every function here except journal_flush and journal_close.
 *
 * When the disk is full (or its reserve would be touched) or fails, all puts of the group fail, journal_room says no, what was durable stays so, and the
 * thread tries every JOURNAL_PROBE_MS whether it can write again; ends and marks wait in memory for that, and are not lost while the process lives. The oldest
 * file goes, and becomes the next one, when all its entries have ended, also where no end can be written: so a disk that is full of what is over does not stay so.
 *
 * The thread needs, inside the directory alone: openat, pread64, pwrite64, fallocate, ftruncate, fdatasync, fsync, renameat, unlinkat, fstat, fstatfs. */
#pragma once
#include "base/err.h"

struct journal;

enum {
	JOURNAL_KEY_MAX = 4096,          /* octets of a partner's or a pair's key */
	JOURNAL_OCTETS_MAX = 1 << 20,    /* octets of one entry */
	JOURNAL_SEGMENT_DEFAULT = 8 << 20,
	JOURNAL_SEGMENT_MIN = 64 << 10,  /* an entry may take a quarter of a segment at most; smaller segments are for tests */
	JOURNAL_SEGMENT_MAX = 64 << 20,
	JOURNAL_ENTRIES_DEFAULT = 1000000,
	JOURNAL_WAITING_OCTETS = 64 << 20, /* puts that wait for the thread, together */
	JOURNAL_READS_MAX = 4096,        /* reads that wait */
	JOURNAL_PROBE_MS = 500,
	JOURNAL_LAZY_MS = 10,            /* a lazy put is written then (half as long after it, or when the disk is done with others), if nothing takes it along sooner */
	JOURNAL_PACE_MS = 2,             /* from one group of ends alone to the next: under load each would have a group of its own */
	JOURNAL_SYNC_MS = 1000,          /* ends and marks are on the disk by then, when no put takes them along sooner */
	JOURNAL_VERSION = 1,
};

/* What changes of an entry while it waits. The journal keeps them and (but for `crashes`) gives them no meaning. */
enum journal_state {
	JOURNAL_HELD = 1,        /* an administrator keeps it */
	JOURNAL_QUARANTINED = 2,
	JOURNAL_IN_FLIGHT = 4,   /* somebody works on it: after a crash that left a marker, `crashes` of exactly these is one more at the next open */
	JOURNAL_STATE_1 = 16, JOURNAL_STATE_2 = 32, JOURNAL_STATE_3 = 64, JOURNAL_STATE_4 = 128, /* the caller's own */
};
struct journal_marks {
	uint8_t state;     /* enum journal_state, or-ed */
	uint8_t crashes;   /* stays at 255 */
	uint16_t attempts;
	int64_t due_at;    /* the caller's: next attempt, seconds since 1970 */
};

struct journal_head {
	struct slice partner;   /* key of the quota: whose entry it is; not empty, JOURNAL_KEY_MAX */
	struct slice pair;      /* key of the order, may be empty; JOURNAL_KEY_MAX */
	int64_t accepted_at, expires_at; /* seconds, by the time of day and by the caller's own clock; the journal does not act on them */
	uint8_t kind, flags;    /* the caller's, fixed */
	struct journal_marks marks;
	bool lazy; /* of a put alone: nobody waits for it to be durable, and it ends soon as a rule */
};

/* An entry as it is given back. Slices are valid during the call. */
struct journal_entry {
	uint64_t id;            /* rises in the order of the puts, never 0, never given twice in one directory */
	struct journal_head head;
	size_t octets;          /* how many it has */
};

struct journal_io; /* the system calls, for tests: journal/io.h */

struct journal_options {
	const char *directory;  /* made (0700) when it is not there; its parent must be */
	uint64_t max;           /* octets of all entries on the disk, with their heads. Files take at most one and a half times that, plus four segments. 0: 1 GiB */
	uint64_t partner_max;   /* of one partner; 0: no limit of its own */
	uint64_t reserve;       /* octets of the file system that stay free; UINT64_MAX: 5 % of it, 256 MiB at most */
	uint32_t entries_max;   /* 0: JOURNAL_ENTRIES_DEFAULT; each takes about 250 octets of memory */
	uint32_t segment;       /* octets of a file; 0: JOURNAL_SEGMENT_DEFAULT */
	/* Called on the journal thread (or inside journal_open) when writing begins to fail (failing, err: full, over the reserve, I/O error), and with false and
	 * NULL when it works again. May be NULL. */
	void (*health)(void *arg, bool failing, const struct entente_err *err);
	/* Called once per live entry inside journal_open, on its thread, in order, marks up to date. Negative: stops, journal_open fails with it. May be NULL. */
	int (*recovered)(void *arg, const struct journal_entry *e);
	void *arg;
	const struct journal_io *io; /* NULL: the system's */
	uint32_t probe_ms;      /* 0: JOURNAL_PROBE_MS */
	uint32_t lazy_ms;       /* 0: JOURNAL_LAZY_MS */
	uint32_t pace_ms;       /* 0: JOURNAL_PACE_MS */
};

/* What journal_open found. */
struct journal_report {
	uint64_t entries, octets; /* live */
	uint64_t ended;           /* entries whose end was found */
	unsigned segments;
	unsigned damaged;         /* places of durable records that do not read as written */
	uint64_t damaged_octets;
	uint64_t lost;            /* entries known to have stood there, and not to have ended */
	uint64_t cut;             /* octets of the torn tail: written, never durable, nobody was told that they were */
	int crash_signal;         /* the last process ended by this signal; 0: no marker */
	uint64_t crashed;         /* entries in flight then; each has one crash more now */
	unsigned ms;              /* how long it took */
	char damage[200];         /* the first damage: file, place; empty when there is none */
};

/* Takes the directory's lock, reads what is there, reports live entries, starts the thread. Damage is reported, never an error. Blocks: start-up only.
 * ENTENTE_ESTORE: another process holds the lock. ENTENTE_EUNSUPPORTED: written by a newer version; nothing was changed. ENTENTE_EIO: the directory cannot be
 * made, read or written; ENTENTE_EINVAL: options. A full disk is no error: the journal opens, without room. `report` may be NULL. */
int journal_open(struct journal **ret, const struct journal_options *opt, struct journal_report *report, struct entente_err *err);
/* Writes and syncs what waits (completions are called), stops the thread, gives up the lock. NULL is allowed; returns NULL. No other call may be under way. */
struct journal *journal_close(struct journal *j);
/* Waits until everything put, ended or marked before is durable or has failed. 0, or ENTENTE_EIO when writing fails now. Control thread and tests. */
int journal_flush(struct journal *j);
/* New limits, as in the options. What is there already stays, also above them. */
void journal_limits(struct journal *j, uint64_t max, uint64_t partner_max, uint64_t reserve, uint32_t entries_max);

/* Would an entry of so many octets be taken now? 0; ENTENTE_ELIMIT: full (its partner's share, all, or too much waits for the thread); ENTENTE_EIO: the disk is
 * full or fails. Cheap. Another thread may take the room in between: journal_put decides. */
int journal_room(struct journal *j, struct slice partner, size_t octets);

/* code 0: durable (or ended before it had to be written); else nothing of it will come back: ENTENTE_EIO with err filled. */
typedef void journal_done(void *arg, uint64_t id, int code, const struct entente_err *err);
/* Octets and head are copied. Returns 0 and the id (which may be ended, marked and read at once), and the completion (may be NULL) comes exactly once; or,
 * without completion, what journal_room says, or ENTENTE_EINVAL (a key or the octets too long, no partner). So "put, hand over on 0, answer on the completion" never hands over
 * what there was no room for. */
int journal_put(struct journal *j, const struct journal_head *h, struct slice octets, journal_done *done, void *arg, uint64_t *ret_id);
/* The entry is over. Its room is free at once; written within JOURNAL_PACE_MS, synced lazily: after a power cut within JOURNAL_SYNC_MS it may be back (after a kill: within the
 * few milliseconds until it was written). ENTENTE_ENOTFOUND: not there, harmless. */
int journal_end(struct journal *j, uint64_t id);
/* Replaces its marks; written at once, durable as journal_end. ENTENTE_ENOTFOUND. */
int journal_mark(struct journal *j, uint64_t id, const struct journal_marks *m);

/* e and octets are valid during the call. code: 0, ENTENTE_ENOTFOUND (over in the meantime), ENTENTE_ESTORE (damaged on the disk), ENTENTE_EIO; then e and octets are
 * empty but for e->id. */
typedef void journal_read_done(void *arg, int code, const struct journal_entry *e, struct slice octets);
/* Reads an entry back, checked. Reads complete in the order of the calls. 0; ENTENTE_ENOTFOUND; ENTENTE_ELIMIT: JOURNAL_READS_MAX wait. */
int journal_read(struct journal *j, uint64_t id, journal_read_done *done, void *arg);

struct journal_stats {
	uint64_t entries, octets;      /* live, with what waits for the thread; octets as they count against `max` */
	uint64_t files;                /* octets of the segment files */
	unsigned segments;
	int64_t oldest;                /* accepted_at of the oldest entry; 0: none */
	bool failing;
	/* since journal_open */
	uint64_t puts, failed, ends, marks, refused; /* puts: durable; refused: journal_put without room */
	uint64_t groups, syncs, written;             /* written: octets */
	uint64_t compacted;                          /* entries copied forward */
	uint64_t damaged;                            /* entries that could not be read back */
	uint64_t sync_ns, sync_max_ns;               /* all syncs together, the longest */
};
void journal_stats(struct journal *j, struct journal_stats *ret);
/* What one partner has here; zeros when nothing. */
void journal_partner(struct journal *j, struct slice partner, uint64_t *ret_entries, uint64_t *ret_octets);

/* ---- the crash marker ---- */
/* Async-signal-safe: notes that the process dies of this signal; JOURNAL_IN_FLIGHT says what the next journal_open does with it. NULL is allowed. */
void journal_crashed(struct journal *j, int signal);
