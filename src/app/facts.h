/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the running daemon as JSON, collected from all workers. Control thread; each call waits for the workers, 5 s at
 * most. Fields: admin/admin.h. */
#pragma once
#include <jansson.h>
#include "admin/admin.h"
#include "app/app.h"
#include "app/expiry.h"

void facts_status(struct app *app, json_t *object);
int facts_show(struct app *app, enum admin_show what, json_t *array, struct entente_err *err);
/* access_facts.c: rows of one worker. */
struct node;
void facts_access_connections(struct node *n, json_t *array);
void facts_access_transactions(struct node *n, json_t *array);
void facts_access_dialogs(struct node *n, json_t *array);
void facts_access_watch(struct node *n, json_t *array);
void facts_access_certificates(struct node *n, json_t *array);
void facts_revocation_lists(struct node *n, json_t *array);
/* certificates.c: appends the certificates in force and those that partners have shown. */
void certificates_collect(struct app *app, struct expiry_list *l);
/* As admin_ops.certificates. */
void certificates_list(struct app *app, json_t *own, json_t *partners);
/* Logs what has come nearer to its end; the second of the next one. */
int64_t certificates_watch(struct app *app);
/* contacts.c: admin_ops.contact and contact_set. */
bool facts_contact(struct app *app, struct slice local_bare, struct slice remote_bare);
/* records.c: the decision logs of all workers, newest first */
int facts_records(struct app *app, const struct admin_records *what, json_t *array, struct entente_err *err);
struct metrics_process {
	uint64_t cpu_ms;
	int64_t resident_octets, virtual_octets;
};
void metrics_process(struct metrics_process *ret);
int facts_contact_set(struct app *app, struct slice local_bare, struct slice remote_bare, bool there, struct slice who, struct entente_err *err);
/* A row of the database as the XMPP side, or the SIP side, names the two. Any thread. */
void app_contact_loaded(struct slice local, struct slice remote, bool xmpp, void (*fn)(void *arg, struct slice local, struct slice remote), void *arg);
/* The metrics in the text format of Prometheus, 0.0.4. */
void metrics_print(struct app *app, struct buf *out);
/* Pure. */
int facts_address(struct slice text, bool *ret_is_sip, char *ret_jid, size_t size, struct entente_err *err);
