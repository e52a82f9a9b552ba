/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: who changed what, when, and what came of it. Lines of JSON in audit.jsonl of the state directory, only ever appended to, each
 * on the disk before its change begins or its answer is given (docs/adr). Each record holds the SHA-256 of the line before it (its octets without
 * the newline), the first one of the first file 64 zeros; so a line that is altered, put in, left out or moved is found by whoever
 * reads on. What is cut off at the end is found by the head that the database keeps.
 *
 *   {"seq":7,"at":"2026-11-22T01:40:00.123Z","who":"root","via":"socket","event":"begin","command":["partner","xmpp","remove"],
 *    "args":{"domain":"a.example"},"generation":4,"prev":"..."}
 *   {"seq":8,"at":"...","who":"root","via":"socket","event":"end","of":7,"exit":0,"generation":5,"prev":"..."}
 *
 * event: continue (the first record of a file that is not the first one), begin (a change is about to be made, or was only tried), end (what came of
 * it; "code" and "text" when it was refused), note (of the daemon itself: start, stop; log-ins; traces with bodies). A begin without its end: the daemon ended between them; what is in the database tells.
 *
 * Several processes may append (the daemon, and `entente` for local commands): they lock the file. A file that has grown to
 * AUDIT_FILE_MAX becomes audit-SEQ.jsonl (of its first record), and the chain goes on in a new one; nothing is ever deleted.
 * Any thread, one at a time for each struct. */
#pragma once
#include <jansson.h>
#include "base/buf.h"
#include "base/err.h"

enum {
	AUDIT_HASH = 65,              /* hex, with its NUL */
	AUDIT_RECORD_MAX = 65536,     /* octets of a line */
	AUDIT_FILE_MAX = 16 << 20,    /* octets after which a new file is begun */
	AUDIT_ARGS_MAX = 16384,       /* arguments above that are recorded as their hash */
};

struct audit_head { /* the last record */
	int64_t seq;          /* 0: there is none */
	char hash[AUDIT_HASH];
};

struct audit;
/* The directory must be there. Nothing is opened before it is needed. file_max 0: AUDIT_FILE_MAX. */
struct audit *audit_new(const char *directory, uint64_t file_max);
/* Accepts NULL; returns NULL. */
struct audit *audit_free(struct audit *a);

/* The youngest record that there was: when it is not there at the next append, a note says so first. */
void audit_know(struct audit *a, const struct audit_head *head);
/* Adds seq, at and prev to the object (which is taken over), appends it, and waits for the disk. 0 and *ret_head (may be NULL) the new head;
 * ENTENTE_EIO with err filled: nothing was appended. A line that a power cut has left half is cut off first, and a note tells. */
int audit_append(struct audit *a, json_t *record, struct audit_head *ret_head, struct entente_err *err);
/* Did the last append work? NULL: yes; else why not. */
const char *audit_trouble(const struct audit *a);

/* ---- reading ---- */
/* The files of a directory, oldest first: an array of paths. */
json_t *audit_files(const char *directory);
/* Calls `each` for every record of the files from `skip_to` on (0: all); false from it stops. What is broken is passed over: audit_verify
 * is for that. ENTENTE_EIO. */
int audit_read(json_t *files, bool (*each)(void *arg, json_t *record), void *arg, struct entente_err *err);

enum audit_fault {
	AUDIT_WHOLE,
	AUDIT_BAD_RECORD,   /* it is no record: not JSON, a member missing or too many, no newline */
	AUDIT_BAD_CHAIN,    /* the record before it is not the one that it names */
	AUDIT_BAD_SEQUENCE, /* its number does not follow */
	AUDIT_CUT,          /* the head that the database knows is missing: the end was cut off */
	AUDIT_OTHER_HEAD,   /* the record of that number is another one: written anew from some place on */
};
struct audit_report {
	enum audit_fault fault;
	char file[4096];
	uint64_t line;            /* of the first broken record, from 1 */
	int64_t seq;              /* of the record before it, or of the missing head */
	int64_t first, last;      /* numbers of the first and the last good record */
	uint64_t records;
	bool head_seen;           /* an expected head was given and found */
	char last_hash[AUDIT_HASH];
};
/* Reads all of it and says where it first breaks. `head`: what the database knows, or NULL. ENTENTE_EIO: a file cannot be read. */
int audit_verify(struct audit_report *ret, json_t *files, const struct audit_head *head, struct entente_err *err);
const char *audit_fault_text(enum audit_fault f);
/* The hash of a line, without its newline. */
void audit_hash(char ret[AUDIT_HASH], struct slice line);
/* "SEQ HASH", as the database keeps a head. */
bool audit_head_parse(struct audit_head *ret, struct slice text);
#define AUDIT_NOTE "audit-head"
