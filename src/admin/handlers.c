/* SPDX-License-Identifier: Apache-2.0 */
/* What carries out each command of the daemon; the commands that take time are in admin.c (live_of). */
#include "admin/admin_int.h"

#include "admin/changeset.h"
#include "admin/external.h"
#include "admin/federation.h"

static const struct admin_handler handlers[ADMIN_CMD_COUNT] = {
	/* core */
	[ADMIN_CMD_STATUS] = {admin_status, admin_status_print},
	[ADMIN_CMD_EXPLAIN] = {admin_explain, admin_explain_print},
	[ADMIN_CMD_HISTORY] = {admin_history, admin_history_print},
	/* partner */
	[ADMIN_CMD_PARTNER_ADD] = {admin_partner_add, admin_partner_add_print},
	[ADMIN_CMD_PARTNER_SET] = {admin_partner_set, admin_partner_set_print},
	[ADMIN_CMD_PARTNER_SHOW] = {admin_partner_show, admin_partner_show_print},
	[ADMIN_CMD_PARTNER_LIST] = {admin_partner_list, admin_partner_list_print},
	[ADMIN_CMD_PARTNER_REMOVE] = {admin_partner_remove, admin_partner_remove_print},
	/* federation */
	[ADMIN_CMD_ACCESS_SHOW] = {admin_federation_list, admin_federation_print},
	[ADMIN_CMD_ACCESS_SET] = {admin_federation_set, admin_federation_print},
	[ADMIN_CMD_ALLOWED_ADD] = {admin_federation_add, admin_federation_print},
	[ADMIN_CMD_ALLOWED_SET] = {admin_federation_set, admin_federation_print},
	[ADMIN_CMD_ALLOWED_REMOVE] = {admin_federation_remove, admin_federation_print},
	[ADMIN_CMD_ALLOWED_LIST] = {admin_federation_list, admin_federation_list_print},
	[ADMIN_CMD_BLOCKED_ADD] = {admin_block_add, admin_block_add_print},
	[ADMIN_CMD_BLOCKED_REMOVE] = {admin_block_remove, admin_block_remove_print},
	[ADMIN_CMD_BLOCKED_LIST] = {admin_block_list, admin_block_list_print},
	[ADMIN_CMD_HOSTING_ADD] = {admin_federation_add, admin_federation_print},
	[ADMIN_CMD_HOSTING_SET] = {admin_federation_set, admin_federation_print},
	[ADMIN_CMD_HOSTING_ENABLE] = {admin_federation_set, admin_federation_print},
	[ADMIN_CMD_HOSTING_DISABLE] = {admin_federation_set, admin_federation_print},
	[ADMIN_CMD_HOSTING_REMOVE] = {admin_federation_remove, admin_federation_print},
	[ADMIN_CMD_HOSTING_LIST] = {admin_federation_list, admin_federation_list_print},
	[ADMIN_CMD_PUBLIC_ADD] = {admin_federation_add, admin_federation_print},
	[ADMIN_CMD_PUBLIC_SET] = {admin_federation_set, admin_federation_print},
	[ADMIN_CMD_PUBLIC_ENABLE] = {admin_federation_set, admin_federation_print},
	[ADMIN_CMD_PUBLIC_DISABLE] = {admin_federation_set, admin_federation_print},
	[ADMIN_CMD_PUBLIC_REMOVE] = {admin_federation_remove, admin_federation_print},
	[ADMIN_CMD_PUBLIC_LIST] = {admin_federation_list, admin_federation_list_print},
	/* external access */
	[ADMIN_CMD_EXTERNAL_LIST] = {admin_external_list, admin_external_list_print},
	[ADMIN_CMD_EXTERNAL_SHOW] = {admin_external_show, admin_external_print},
	[ADMIN_CMD_EXTERNAL_ADD] = {admin_external_add, admin_external_print},
	[ADMIN_CMD_EXTERNAL_SET] = {admin_external_set, admin_external_print},
	[ADMIN_CMD_EXTERNAL_REMOVE] = {admin_external_remove, admin_external_remove_print},
	[ADMIN_CMD_EXTERNAL_GRANT] = {admin_external_grant, admin_external_grant_print},
	[ADMIN_CMD_USER_LIST] = {admin_user_list, admin_user_list_print},
	[ADMIN_CMD_USER_SHOW] = {admin_user_show, admin_user_print},
	[ADMIN_CMD_USER_ADD] = {admin_user_add, admin_user_print},
	[ADMIN_CMD_USER_SET] = {admin_user_set, admin_user_print},
	[ADMIN_CMD_USER_REMOVE] = {admin_user_remove, admin_user_print},
	[ADMIN_CMD_CONTACT_LIST] = {admin_contact_list, admin_contact_list_print},
	[ADMIN_CMD_CONTACT_ADD] = {admin_contact_add, admin_contact_print},
	[ADMIN_CMD_CONTACT_REMOVE] = {admin_contact_remove, admin_contact_print},
	/* show */
	[ADMIN_CMD_SHOW_SIP_CONNECTIONS] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_SIP_DIALOGS] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_SIP_TRANSACTIONS] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_WATCH_LIST] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_SIP_CERTIFICATES] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_REVOCATION_LISTS] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_STREAM] = {admin_stream, admin_stream_print},
	[ADMIN_CMD_SHOW_ATTEMPTS] = {admin_attempts, admin_attempts_print},
	[ADMIN_CMD_SHOW_METRICS] = {admin_metrics, NULL},
	[ADMIN_CMD_SHOW_STREAMS] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_SUBSCRIPTIONS] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_CONVERSATIONS] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_HOMES] = {admin_show, admin_show_print},
	[ADMIN_CMD_SHOW_LINKS] = {admin_show, admin_show_print},
	/* config */
	[ADMIN_CMD_RELOAD] = {admin_reload, NULL},
	/* external access */
	/* changes */
	[ADMIN_CMD_POLICY_EXPORT] = {admin_policy_export, admin_text_print},
	[ADMIN_CMD_POLICY_IMPORT] = {admin_policy_import, changeset_print_done},
	[ADMIN_CMD_POLICY_TEST] = {admin_policy_test, admin_policy_test_print},
	[ADMIN_CMD_BACKUP] = {admin_backup, admin_backup_print},
	[ADMIN_CMD_CONFIG_BEGIN] = {admin_config_begin, admin_config_begin_print},
	[ADMIN_CMD_CONFIG_SET] = {admin_config_set, admin_config_set_print},
	[ADMIN_CMD_CONFIG_DIFF] = {admin_config_diff, admin_config_diff_print},
	[ADMIN_CMD_CONFIG_COMMIT] = {admin_config_commit, changeset_print_done},
	[ADMIN_CMD_CONFIG_ABORT] = {admin_config_abort, admin_config_abort_print},
	[ADMIN_CMD_CONFIG_ROLLBACK] = {admin_config_rollback, changeset_print_done},
	[ADMIN_CMD_CONFIG_HISTORY] = {admin_config_history, admin_config_history_print},
	[ADMIN_CMD_CONFIG_APPLY] = {admin_config_apply, changeset_print_done},
	/* api */
	[ADMIN_CMD_ACCOUNT_ADD] = {admin_account_add, admin_account_print},
	[ADMIN_CMD_ACCOUNT_SET] = {admin_account_set, admin_account_print},
	[ADMIN_CMD_ACCOUNT_PASSWORD] = {admin_account_set, admin_account_print},
	[ADMIN_CMD_ACCOUNT_REMOVE] = {admin_account_remove, admin_account_print},
	[ADMIN_CMD_ACCOUNT_LIST] = {admin_account_list, admin_account_list_print},
	[ADMIN_CMD_TOKEN_ADD] = {admin_token_add, admin_token_add_print},
	[ADMIN_CMD_TOKEN_REMOVE] = {admin_token_remove, admin_token_remove_print},
	[ADMIN_CMD_TOKEN_LIST] = {admin_token_list, admin_token_list_print},
	/* check */
	/* certificate */
	[ADMIN_CMD_CERTIFICATE_LIST] = {admin_certificate_list, admin_certificate_list_print},
	/* audit */
	[ADMIN_CMD_AUDIT_LIST] = {admin_audit_list, admin_audit_list_print},
	/* quickstart */
	/* observe */
	[ADMIN_CMD_SHOW_PROBES] = {admin_show, admin_show_print},
	/* messages */
	[ADMIN_CMD_SHOW_MESSAGES] = {admin_messages, admin_messages_print},
	/* queue */
	[ADMIN_CMD_QUEUE_LIST] = {admin_queue_list, admin_queue_list_print},
	[ADMIN_CMD_QUEUE_SHOW] = {admin_queue_show, admin_queue_show_print},
	[ADMIN_CMD_QUEUE_HOLD] = {admin_queue_do, admin_queue_do_print},
	[ADMIN_CMD_QUEUE_RELEASE] = {admin_queue_do, admin_queue_do_print},
	[ADMIN_CMD_QUEUE_RETRY] = {admin_queue_do, admin_queue_do_print},
	[ADMIN_CMD_QUEUE_EXPIRE] = {admin_queue_do, admin_queue_do_print},
	[ADMIN_CMD_QUEUE_QUARANTINE] = {admin_queue_do, admin_queue_do_print},
	[ADMIN_CMD_QUEUE_PAUSE] = {admin_queue_pause, admin_queue_pause_print},
	[ADMIN_CMD_QUEUE_RESUME] = {admin_queue_pause, admin_queue_pause_print},
};

const struct admin_handler *admin_handler(enum admin_id id)
{
	return &handlers[id];
}
