/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: a change of many objects and settings, checked as a whole and committed as one. Import, commit, rollback and apply all
 * end here. */
#pragma once
#include "admin/draft.h"

struct changeset {
	json_t *changes;    /* as admin_document_diff tells them; borrowed, as all */
	json_t *after;      /* the document that they lead to */
	json_t *settings;   /* {key: text or null}, or NULL */
	json_t *places;     /* of the document that was read, for findings; or NULL */
	const char *verb;   /* "import", "commit": for the history */
	bool what_if;
};
/* Checks: what does not fit together, policy tests; then commits, unless what_if. Sets "changes", "settings", "findings", "tests" (those that
 * failed), "what_if" of the data. An enum admin_exit; a refusal has the error "invalid" (findings) or "policy-test", and nothing was
 * changed. */
int changeset_commit(struct admin_call *c, const struct changeset *cs);
/* Only what stands in the data: as text. */
void changeset_print(struct admin_call *c);
/* The same with a line before it that says whether it was done. */
void changeset_print_done(struct admin_call *c);

/* After each change: keeps the document of this generation, and writes policy.yaml beside the database. */
void changeset_keep(struct admin *a);
/* After a single change: warns of policy tests that fail now. */
void changeset_tests_warn(struct admin_call *c);
/* At the start: a change of the configuration file that was cut short is brought to its end. True: the file was written. */
bool changeset_recover(struct admin *a, struct entente_err *err);
