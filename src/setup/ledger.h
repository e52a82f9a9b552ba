/* SPDX-License-Identifier: Apache-2.0 */
/* What was written and done, so that it can be told (a log file) and taken back. Files are made, never replaced. Not thread-safe; for a
 * program of its own: it waits for the disk and for the commands that it runs. */
#pragma once
#include <sys/types.h>
#include "base/buf.h"
#include "base/err.h"

struct setup_ledger;

/* log: the file that gets a line for everything, made with its folder; NULL: none. NULL is returned, with err filled, when it cannot be
 * made: ENTENTE_EIO. */
struct setup_ledger *setup_ledger_new(const char *log, struct entente_err *err);
/* Closes the log; keeps what was done. Accepts NULL; returns NULL. */
struct setup_ledger *setup_ledger_free(struct setup_ledger *l);

void setup_ledger_note(struct setup_ledger *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A folder, when it is not there (its parent is). gid (gid_t)-1: as it comes. */
int setup_ledger_folder(struct setup_ledger *l, const char *path, mode_t mode, gid_t gid, struct entente_err *err);
/* A new file with these octets, on the disk when this returns. ENTENTE_EEXIST: there is one, which is left alone; ENTENTE_EIO. */
int setup_ledger_file(struct setup_ledger *l, const char *path, struct slice contents, mode_t mode, gid_t gid, struct entente_err *err);
/* A file that somebody else has made for us just now: undone with the rest. */
void setup_ledger_made(struct setup_ledger *l, const char *path);

/* Runs a program (argv[0] is looked for in PATH, argv ends with NULL) and waits for it, at most timeout_ms; its output goes to the log, the end of
 * it (stderr too) to `said`, which may be NULL. The exit status; 127: cannot be run; -1: it did not end in time, and was killed. */
int setup_ledger_run(struct setup_ledger *l, const char *const argv[], unsigned timeout_ms, struct buf *said);
/* What takes back a command that was run: run by undo, in its turn. Copied. */
void setup_ledger_undo_with(struct setup_ledger *l, const char *const argv[]);

/* Takes everything back, last first. The log stays. The number of things that could not be taken back. */
size_t setup_ledger_undo(struct setup_ledger *l);
