/* SPDX-License-Identifier: Apache-2.0 */
/* Reading. Each load has a connection of its own, so no lock is held while callbacks run; WAL lets it read beside the
 * writer. */
#include "base/arena.h"
#include "store/internal.h"

static struct slice text(sqlite3_stmt *st, int i)
{
	const char *p = (const char *)sqlite3_column_blob(st, i); /* of a text: its octets; NULL when empty */
	return slice_of(p ? p : "", (size_t)sqlite3_column_bytes(st, i));
}

/* A row through the caller's function; non-zero stops. */
typedef int row_fn(sqlite3_stmt *st, void *each, void *arg);

/* Function pointers travel in a struct: ISO C does not let them be void pointers. */
struct each {
	int (*contact)(void *arg, const struct store_contact *c);
	int (*watch)(void *arg, const struct store_watch *w);
	int (*dialog)(void *arg, const struct store_dialog *d);
	int (*change)(void *arg, const struct store_change *c);
	int (*seen)(void *arg, struct slice records);
	store_block_each *block;
};

static int rows(sqlite3 *db, const char *sql, int64_t limit, row_fn *row, struct each *each, void *arg, struct entente_err *err)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL), ret = 0;
	if (rc == SQLITE_OK && sqlite3_bind_parameter_count(st))
		sqlite3_bind_int64(st, 1, limit);
	if (rc == SQLITE_OK)
		while ((rc = sqlite3_step(st)) == SQLITE_ROW && !ret)
			ret = row(st, each, arg);
	if (!ret && rc != SQLITE_DONE)
		ret = store_fail(db, "cannot read", err);
	sqlite3_finalize(st);
	return ret;
}

static int load(struct store *s, const char *sql, int64_t limit, row_fn *row, struct each *each, void *arg,
		struct entente_err *err)
{
	sqlite3 *db = NULL;
	int rc = store_connect(&db, s->path, false, err);
	if (!rc)
		rc = rows(db, sql, limit, row, each, arg, err);
	sqlite3_close(db);
	return rc;
}

static int contact_row(sqlite3_stmt *st, void *each, void *arg)
{
	struct store_contact c = {.local_user = text(st, 0),
				  .remote_user = text(st, 1),
				  .learned_at = sqlite3_column_int64(st, 2),
				  .how = (enum store_how)sqlite3_column_int(st, 3)};
	return ((struct each *)each)->contact(arg, &c);
}

int store_load_contacts(struct store *s, int (*each)(void *arg, const struct store_contact *c), void *arg,
			struct entente_err *err)
{
	struct each e = {.contact = each};
	return load(s, "SELECT local_user, remote_user, learned_at, how FROM contact", 0, contact_row, &e, arg, err);
}

static int watch_row(sqlite3_stmt *st, void *each, void *arg)
{
	struct store_watch w = {.watcher = text(st, 0), .presentity = text(st, 1),
				.state = (enum store_watch_state)sqlite3_column_int(st, 2), .since = sqlite3_column_int64(st, 3)};
	return ((struct each *)each)->watch(arg, &w);
}

int store_load_watches(struct store *s, int (*each)(void *arg, const struct store_watch *w), void *arg, struct entente_err *err)
{
	struct each e = {.watch = each};
	return load(s, "SELECT watcher, presentity, state, since FROM watch", 0, watch_row, &e, arg, err);
}

static int dialog_row(sqlite3_stmt *st, void *each, void *arg)
{
	struct store_dialog d = {.id = text(st, 0), .local_user = text(st, 1), .remote_user = text(st, 2), .blob = text(st, 3),
				 .expires_at = sqlite3_column_int64(st, 4)};
	return ((struct each *)each)->dialog(arg, &d);
}

int store_load_dialogs(struct store *s, int (*each)(void *arg, const struct store_dialog *d), void *arg, struct entente_err *err)
{
	struct each e = {.dialog = each};
	return load(s, "SELECT id, local_user, remote_user, blob, expires_at FROM dialog", 0, dialog_row, &e, arg, err);
}

static int seen_row(sqlite3_stmt *st, void *each, void *arg)
{
	return ((struct each *)each)->seen(arg, text(st, 0));
}

int store_load_seen(struct store *s, int (*each)(void *arg, struct slice records), void *arg, struct entente_err *err)
{
	struct each e = {.seen = each};
	return load(s, "SELECT records FROM seen ORDER BY id", 0, seen_row, &e, arg, err);
}

static int change_row(sqlite3_stmt *st, void *each, void *arg)
{
	struct store_change c = {.generation = sqlite3_column_int64(st, 0), .at = sqlite3_column_int64(st, 1), .who = text(st, 2),
				 .what = text(st, 3)};
	return ((struct each *)each)->change(arg, &c);
}

int store_load_history(struct store *s, size_t max, int (*each)(void *arg, const struct store_change *c), void *arg,
		       struct entente_err *err)
{
	struct each e = {.change = each};
	return load(s, "SELECT generation, at, who, what FROM history ORDER BY generation DESC LIMIT ?1",
		    max > STORE_HISTORY_MAX ? STORE_HISTORY_MAX : (int64_t)max, change_row, &e, arg, err);
}

static int block_row(sqlite3_stmt *st, void *each, void *arg)
{
	struct store_block b = {.domain = text(st, 0), .comment = text(st, 1), .since = sqlite3_column_int64(st, 2)};
	return ((struct each *)each)->block(arg, &b);
}

static int generation_row(sqlite3_stmt *st, void *each, void *arg)
{
	(void)each;
	*(int64_t *)arg = sqlite3_column_int64(st, 0);
	return 0;
}

static int more_domains(sqlite3 *db, sqlite3_stmt *st, struct arena *a, struct policy_partner *p, struct entente_err *err)
{
	int rc;
	struct slice *more = arena_alloc(a, POLICY_ADDITIONAL_MAX * sizeof *more);
	sqlite3_reset(st);
	sqlite3_bind_text(st, 1, p->domain.p, (int)p->domain.len, SQLITE_STATIC);
	p->n_additional = 0;
	p->additional = more;
	while (more && (rc = sqlite3_step(st)) == SQLITE_ROW && p->n_additional < POLICY_ADDITIONAL_MAX)
		more[p->n_additional++] = arena_dup(a, text(st, 0));
	return more && rc == SQLITE_DONE ? 0 : store_fail(db, "cannot read a partner's domains", err);
}

static bool pins_read(struct policy_partner *p, struct policy_pin *pins, struct slice list)
{
	while (list.len) {
		struct slice one = slice_split(&list, ' ');
		if (p->n_pins == POLICY_PINS_MAX || !policy_pin_parse(&pins[p->n_pins++], one))
			return false;
	}
	return true;
}

static int partners(sqlite3 *db, store_partner_each *each, void *arg, struct entente_err *err)
{
	sqlite3_stmt *st = NULL, *more = NULL;
	struct arena *a = arena_new(1 << 20);
	int ret = 0, rc;
	if (sqlite3_prepare_v2(
		    db,
		    "SELECT domain, type, enabled, tls, sasl, dialback, keep_alive, connection_limit, server_host, server_port, "
		    "description, own_certificate, pins, pin_mode, dane, delegation, protocol FROM xmpp_partner ORDER BY domain",
		    -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(db,
			       "SELECT domain FROM xmpp_partner_domain WHERE partner = ?1 AND position > 0 ORDER BY position",
			       -1, &more, NULL) != SQLITE_OK) {
		ret = store_fail(db, "cannot read", err);
		goto out;
	}
	while (!ret && (rc = sqlite3_step(st)) == SQLITE_ROW) {
		struct policy_partner p = {.domain = text(st, 0),
					   .enabled = sqlite3_column_int(st, 2),
					   .dialback = sqlite3_column_int(st, 5),
					   .keep_alive = sqlite3_column_int(st, 6),
					   .connection_limit = (uint32_t)sqlite3_column_int64(st, 7),
					   .server_host = text(st, 8),
					   .server_port = (uint16_t)sqlite3_column_int(st, 9),
					   .description = text(st, 10),
					   .dane = sqlite3_column_int(st, 14),
					   .delegation = sqlite3_column_int(st, 15)};
		struct policy_pin pins[POLICY_PINS_MAX];
		p.pins = pins;
		arena_reset(a);
		if (!policy_partner_type_parse(&p.type, text(st, 1)) || !policy_negotiation_parse(&p.tls, text(st, 3)) ||
		    !policy_negotiation_parse(&p.sasl, text(st, 4)) || !policy_own_certificate_parse(&p.own_certificate, text(st, 11)) ||
		    !policy_pin_mode_parse(&p.pin_mode, text(st, 13)) || !policy_protocol_parse(&p.protocol, text(st, 16)) || !pins_read(&p, pins, text(st, 12)))
			ret = err_set(err, ENTENTE_ESTORE, REASON_SERVER_STORE, "partner %.*s has a value that is not known",
				      SFMT(p.domain));
		if (!ret)
			ret = more_domains(db, more, a, &p, err);
		if (!ret)
			ret = each(arg, &p);
	}
	if (!ret && rc != SQLITE_DONE)
		ret = store_fail(db, "cannot read", err);
out:
	sqlite3_finalize(st);
	sqlite3_finalize(more);
	arena_release(NULL, a);
	return ret;
}

int store_load_policy(struct store *s, store_partner_each *partner, store_block_each *block, void *arg, int64_t *ret_generation,
		      struct entente_err *err)
{
	sqlite3 *db = NULL;
	struct each e = {.block = block};
	int64_t generation = 0;
	int rc = store_connect(&db, s->path, false, err);
	if (!rc && sqlite3_exec(db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK) /* one view of all tables */
		rc = store_fail(db, "cannot read", err);
	if (!rc)
		rc = rows(db, "SELECT coalesce(max(generation), 0) FROM history", 0, generation_row, NULL, &generation, err);
	if (!rc && block)
		rc = rows(db, "SELECT domain, comment, since FROM blocked_domain ORDER BY domain", 0, block_row, &e, arg, err);
	if (!rc && partner)
		rc = partners(db, partner, arg, err);
	sqlite3_close(db);
	if (!rc && ret_generation)
		*ret_generation = generation;
	return rc;
}

const char *store_how_name(enum store_how how)
{
	static const char *const names[] = {"message", "subscribe", "invite", "admin"};
	return how <= STORE_BY_ADMIN ? names[how] : "unknown";
}
