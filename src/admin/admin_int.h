/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the daemon's commands. */
#pragma once
#include "admin/admin.h"
#include "admin/call.h"
#include "base/list.h"
#include "policy/federation.h"

struct admin {
	struct store *store;
	const struct admin_ops *ops;
	void *arg;
	enum admin_half half;
	struct audit *audit;         /* NULL: nothing is recorded, there is no place for it */
	char *audit_directory;       /* owned */
	struct {                     /* refusals that may still be recorded: who may nothing could fill the disk by asking */
		uint64_t at, left;   /* ms; at 0: as many as there is room for */
		uint64_t untold;     /* were not recorded since the last one that was */
	} refusals;
	struct list drafts;       /* that are open: admin/draft.h */
	struct draft *draft;      /* whose this is; NULL: what is committed */
	struct snapshot *fixed;   /* not NULL: this one is asked, not the one in force */
};

int admin_audit_list(struct admin_call *c);
void admin_audit_list_print(struct admin_call *c);

/* handlers.c. Without `run`: not a command of the daemon, or one that takes time. */
const struct admin_handler *admin_handler(enum admin_id id);

/* The snapshot in force; NULL: the call has failed with ADMIN_EXIT_UNAVAILABLE. */
struct snapshot *admin_snapshot(struct admin_call *c);
/* After a committed change: has the application publish it. An enum admin_exit. */
int admin_publish(struct admin_call *c);

int admin_partner_add(struct admin_call *c);
int admin_partner_set(struct admin_call *c);
int admin_partner_show(struct admin_call *c);
int admin_partner_list(struct admin_call *c);
int admin_partner_remove(struct admin_call *c);
void admin_partner_add_print(struct admin_call *c);
void admin_partner_set_print(struct admin_call *c);
void admin_partner_show_print(struct admin_call *c);
void admin_partner_list_print(struct admin_call *c);
void admin_partner_remove_print(struct admin_call *c);

int admin_block_add(struct admin_call *c);
int admin_block_remove(struct admin_call *c);
int admin_block_list(struct admin_call *c);
void admin_block_add_print(struct admin_call *c);
void admin_block_remove_print(struct admin_call *c);
void admin_block_list_print(struct admin_call *c);

/* decider.c: adds object, place and changed to a step of explain. `local`: the domain on our side. */
struct policy_verdict;
struct policy_step;
void admin_decider(struct admin_call *c, struct snapshot *s, const struct policy_verdict *v, const struct policy_step *st, struct slice local,
		   json_t *ret);
/* queue.c */
int admin_queue_list(struct admin_call *c);
void admin_queue_list_print(struct admin_call *c);
int admin_queue_show(struct admin_call *c);
void admin_queue_show_print(struct admin_call *c);
int admin_queue_do(struct admin_call *c);
void admin_queue_do_print(struct admin_call *c);
int admin_queue_pause(struct admin_call *c);
void admin_queue_pause_print(struct admin_call *c);
/* messages.c */
int admin_messages(struct admin_call *c);
void admin_messages_print(struct admin_call *c);
/* Fetches one record, or fails the call; the caller's. */
json_t *admin_record_get(struct admin_call *c, struct slice id, int *ret_exit);
/* explain_message.c: `explain --message`. The record becomes the question in c->args; false: *ret_exit. */
bool admin_message_ask(struct admin_call *c, int *ret_exit);
#define ADMIN_UNTRUSTED "#untrusted" /* in c->args then, by no command line: the certificate that was shown was not trusted */
/* ... and when the question is answered: what has changed since. The exit code. */
int admin_message_compare(struct admin_call *c, bool allowed, enum reason reason);
void admin_message_print(struct admin_call *c);
/* Its way, a line each. */
void admin_record_print(struct admin_call *c, json_t *record);
int admin_explain(struct admin_call *c);
void admin_explain_print(struct admin_call *c);

int admin_status(struct admin_call *c);
void admin_status_print(struct admin_call *c);
int admin_show(struct admin_call *c);
void admin_show_print(struct admin_call *c);
int admin_stream(struct admin_call *c);
void admin_stream_print(struct admin_call *c);
int admin_attempts(struct admin_call *c);
void admin_attempts_print(struct admin_call *c);
/* One attempt, as the op `attempts` gives it, in lines with this indent. */
void admin_attempt_print(struct admin_call *c, json_t *attempt, unsigned indent);
int admin_certificate_list(struct admin_call *c);
void admin_certificate_list_print(struct admin_call *c);
int admin_metrics(struct admin_call *c);
int admin_history(struct admin_call *c);
void admin_history_print(struct admin_call *c);
int admin_reload(struct admin_call *c);

int admin_policy_export(struct admin_call *c);
int admin_policy_import(struct admin_call *c);
int admin_policy_test(struct admin_call *c);
int admin_backup(struct admin_call *c);
int admin_config_begin(struct admin_call *c);
int admin_config_set(struct admin_call *c);
int admin_config_diff(struct admin_call *c);
int admin_config_commit(struct admin_call *c);
int admin_config_abort(struct admin_call *c);
int admin_config_rollback(struct admin_call *c);
int admin_config_history(struct admin_call *c);
int admin_config_apply(struct admin_call *c);
/* The member "text" of the data. */
void admin_text_print(struct admin_call *c);
void admin_policy_test_print(struct admin_call *c);
void admin_backup_print(struct admin_call *c);
void admin_config_begin_print(struct admin_call *c);
void admin_config_set_print(struct admin_call *c);
void admin_config_diff_print(struct admin_call *c);
void admin_config_abort_print(struct admin_call *c);
void admin_config_history_print(struct admin_call *c);

/* identity.c */
int admin_account_add(struct admin_call *c);
int admin_account_set(struct admin_call *c);
int admin_account_remove(struct admin_call *c);
int admin_account_list(struct admin_call *c);
void admin_account_print(struct admin_call *c);
void admin_account_list_print(struct admin_call *c);
int admin_token_add(struct admin_call *c);
int admin_token_remove(struct admin_call *c);
int admin_token_list(struct admin_call *c);
void admin_token_add_print(struct admin_call *c);
void admin_token_remove_print(struct admin_call *c);
void admin_token_list_print(struct admin_call *c);
