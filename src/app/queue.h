/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of the process: one journal (journal/journal.h) that the gateways of all workers share. What waits, and when it goes, is
 * decided in gateway/queue.h by the worker that owns the local user; here is the way to the disk and back, the start, the partners that are
 * paused, and what administrators may do. Roles all and gateway; an edge has none.
 *
 * Control thread, unless said. */
#pragma once
#include "app/app.h"
#include "journal/journal.h"

struct app_queue; /* app->queue; NULL: role edge */

/* Opens the journal (blocks) and remembers what it holds for the workers, which take it when they start. Between pool_new and pool_start; `err` as
 * journal_open. Crashes of the process are noted in it from here on. */
int app_queue_open(struct app *app, const struct config *cfg, struct entente_err *err);
/* app->nodes is there: before pool_start. */
void app_queue_nodes(struct app *app);
/* After the workers have ended, before pool_free: syncs and closes. What it completes then is told to nobody. */
void app_queue_close(struct app *app);
/* After pool_free. */
void app_queue_free(struct app *app);
/* Settings of a new configuration that are LIVE. */
void app_queue_set(struct app *app, const struct config *cfg);
/* The directory that queue.directory means. */
void app_queue_directory(const struct config *cfg, char *dst, size_t size);

/* ---- the worker's thread: ops of its gateway, whose argument is the node */
enum reason node_queue_room(void *arg, struct slice partner, size_t octets);
enum reason node_queue_put(void *arg, struct gateway_queued *q, struct slice octets);
void node_queue_end(void *arg, uint64_t id);
void node_queue_mark(void *arg, uint64_t id, const struct gateway_marks *m);
bool node_queue_read(void *arg, uint64_t id);
bool node_queue_alone(void *arg, bool begin);
int64_t node_queue_now(void *arg);
/* Where its gateway notes what is under way. */
struct gateway_under_way *node_queue_under_way(struct node *n);
/* Gives the gateway what an earlier process has left for its users, and which partners are paused. */
void node_queue_load(struct node *n);

/* ---- for administrators */
/* Visits every entry of all workers. False: a worker did not answer within 5 s, and its entries are missing. Slices are valid during the
 * call; the worker's thread waits meanwhile, so be quick: copy. */
bool app_queue_each(struct app *app, void (*fn)(void *arg, const struct gateway_queue_facts *f), void *arg);
/* The verb on one entry. 0; ENTENTE_ENOTFOUND: there is none with this number; ENTENTE_EAGAIN: it is under way just now, or (retry) it is
 * held; ENTENTE_ETIMEOUT: its worker did not answer. */
int app_queue_do(struct app *app, uint64_t id, enum gateway_queue_verb verb, struct entente_err *err);
/* The same on all entries of this partner (empty: of all) for which it makes sense; *ret_n: how many. */
int app_queue_do_all(struct app *app, struct slice partner, enum gateway_queue_verb verb, size_t *ret_n, struct entente_err *err);
/* Reads one entry: the head as in app_queue_each, its octets (XML of the stanza). Blocks for a disk read, 5 s at most. fn is called on
 * the control thread, at most once. ENTENTE_ENOTFOUND, ENTENTE_EIO, ENTENTE_ETIMEOUT. */
int app_queue_show(struct app *app, uint64_t id, void (*fn)(void *arg, const struct journal_entry *e, struct slice octets), void *arg,
		   struct entente_err *err);
/* No deliveries to this partner's domain, new texts to it wait; kept over restarts. ENTENTE_EIO: it holds, but not after a restart. */
int app_queue_pause(struct app *app, struct slice partner, bool paused, struct entente_err *err);
/* Each partner that is paused. */
void app_queue_each_paused(struct app *app, void (*fn)(void *arg, struct slice partner), void *arg);
struct app_queue_facts {
	struct journal_stats stats;
	struct journal_report found; /* at the start */
	bool failing;                /* the disk is full or fails; `why` */
	char why[200];
	const char *directory;
};
void app_queue_facts(struct app *app, struct app_queue_facts *ret);
