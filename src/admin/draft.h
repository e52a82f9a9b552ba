/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: drafts. A draft is a copy of the policy, a database of its own in the directory `drafts` of the state directory, so that it
 * survives a restart and every command works on it unchanged: its handler is given the draft's `admin`, whose store and snapshot are the
 * draft's. Each administrator has one at most. Control thread; may wait for the disk. */
#pragma once
#include "admin/admin_int.h"
#include "base/list.h"
#include "store/store_set.h"

enum { DRAFTS_MAX = 16, DRAFT_WHO_MAX = 64 };

struct draft {
	struct list node;           /* of the open ones */
	struct admin admin;         /* for handlers; admin.draft is this */
	struct admin *live;
	char who[DRAFT_WHO_MAX + 1];
	char directory[4200];
	struct store *store;
	struct snapshot *snapshot;  /* of it, NULL: to be built */
	json_t *base;               /* the document that it began with */
	int64_t base_generation, begun;
	json_t *settings;           /* {key: value as YAML text, or null for the default}: of the configuration file */
};

/* ---- those of administrators ---- */
/* NULL: err->code is ENTENTE_ENOTFOUND when there is none, else something is wrong with it (damaged: err says how to drop it). */
struct draft *draft_find(struct admin *a, struct slice who, struct entente_err *err);
/* Cheap: is there a directory of one? */
bool draft_exists(const struct admin *a, struct slice who);
/* ENTENTE_EEXIST, ENTENTE_ELIMIT (too many), ENTENTE_ESTORE, ENTENTE_EIO. */
int draft_begin(struct draft **ret, struct admin *a, struct slice who, struct entente_err *err);
/* Forgets it, whatever state it is in. ENTENTE_ENOTFOUND. */
int draft_drop(struct admin *a, struct slice who, struct entente_err *err);
/* Keeps d->settings. */
int draft_settings_save(struct draft *d, struct entente_err *err);
/* Closes all, for a restart. */
void draft_close_all(struct admin *a);
/* Appends {"who", "begun", "base", "damaged": text} of each, sorted. */
void draft_list(struct admin *a, json_t *array);

/* ---- one for the time of a command: a copy of what is committed, to try a change on ---- */
int draft_trial(struct draft **ret, struct admin *a, struct slice who, struct entente_err *err);
/* Accepts NULL; returns NULL. */
struct draft *draft_trial_free(struct draft *d);

/* The snapshot that the draft would make with the configuration in force; borrowed. NULL: the call has failed. */
struct snapshot *draft_snapshot(struct draft *d, struct entente_err *err);
/* It has changed. */
void draft_changed(struct draft *d);
