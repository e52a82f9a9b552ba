/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: how they are built by callers, and the ones that are a single statement. */
#include "base/enc.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/store_set.h"

/* Parameters by letter: t text, b blob, n number; ?1 takes text[0] or number[0], and so on. */
static const struct {
	const char *sql, *params;
} simple[STORE_OP_SIMPLE] = {
	[STORE_OP_CONTACT_PUT] = {"INSERT INTO contact(local_user, remote_user, learned_at, how) VALUES(?1, ?2, ?3, ?4) "
				  "ON CONFLICT DO NOTHING", "ttnn"},
	[STORE_OP_CONTACT_DELETE] = {"DELETE FROM contact WHERE local_user = ?1 AND remote_user = ?2", "tt"},
	[STORE_OP_WATCH_PUT] = {"INSERT OR REPLACE INTO watch(watcher, presentity, state, since) VALUES(?1, ?2, ?3, ?4)", "ttnn"},
	[STORE_OP_WATCH_DELETE] = {"DELETE FROM watch WHERE watcher = ?1 AND presentity = ?2", "tt"},
	[STORE_OP_DIALOG_PUT] = {"INSERT OR REPLACE INTO dialog(id, local_user, remote_user, blob, expires_at) "
				 "VALUES(?1, ?2, ?3, ?4, ?5)", "tttbn"},
	[STORE_OP_DIALOG_DELETE] = {"DELETE FROM dialog WHERE id = ?1", "t"},
	[STORE_OP_DIALOG_PURGE] = {"DELETE FROM dialog WHERE expires_at <= ?1", "n"},
	[STORE_OP_ACCOUNT_PUT] = {"INSERT INTO admin_account(name, role, hash, enabled, made_at, changed_at) VALUES(?1, ?2, ?3, ?4, ?5, ?5) "
				  "ON CONFLICT(name) DO UPDATE SET role = ?2, hash = ?3, enabled = ?4, changed_at = ?5", "tttnn"},
	[STORE_OP_ACCOUNT_DELETE] = {"DELETE FROM admin_account WHERE name = ?1", "t"},
	[STORE_OP_TOKEN_PUT] = {"INSERT OR REPLACE INTO admin_token(name, role, hash, expires_at, made_at) VALUES(?1, ?2, ?3, ?4, ?5)", "tttnn"},
	[STORE_OP_TOKEN_DELETE] = {"DELETE FROM admin_token WHERE name = ?1", "t"},
	[STORE_OP_DOCUMENT_PUT] = {"INSERT OR REPLACE INTO document(generation, text) VALUES(?1, ?2)", "nb"},
	[STORE_OP_NOTE_PUT] = {"INSERT OR REPLACE INTO note(name, value) VALUES(?1, ?2)", "tb"},
	[STORE_OP_NOTE_DELETE] = {"DELETE FROM note WHERE name = ?1", "t"},
	[STORE_OP_SEEN_PUT] = {"INSERT INTO seen(at, records) VALUES(?1, ?2)", "nb"},
	[STORE_OP_SEEN_PURGE] = {"DELETE FROM seen WHERE at < ?1", "n"},
};

/* The newest ones within the limits; the sum runs from the newest to the oldest. */
static int documents_trim(struct store *s, struct entente_err *err)
{
	char sql[400];
	snprintf(sql, sizeof sql,
		 "DELETE FROM document WHERE generation < (SELECT max(generation) FROM document) AND generation NOT IN (SELECT generation FROM "
		 "(SELECT generation, row_number() OVER w AS n, sum(length(text)) OVER w AS octets FROM document WINDOW w AS (ORDER BY generation DESC)) "
		 "WHERE n <= %d AND octets <= %d)",
		 STORE_DOCUMENTS_MAX, STORE_DOCUMENTS_OCTETS);
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : store_fail(s->db, "cannot write", err);
}

int store_request_run(struct store *s, struct store_request *r, struct entente_err *err)
{
	sqlite3_stmt **st = &s->simple[r->op];
	if (!*st && sqlite3_prepare_v3(s->db, simple[r->op].sql, -1, SQLITE_PREPARE_PERSISTENT, st, NULL) != SQLITE_OK)
		return store_fail(s->db, "cannot prepare", err);
	for (int i = 0; simple[r->op].params[i]; i++) {
		struct slice t = r->text[i];
		switch (simple[r->op].params[i]) {
		case 't': sqlite3_bind_text(*st, i + 1, t.p ? t.p : "", (int)t.len, SQLITE_STATIC); break;
		case 'b': sqlite3_bind_blob(*st, i + 1, t.p ? t.p : "", (int)t.len, SQLITE_STATIC); break;
		default: sqlite3_bind_int64(*st, i + 1, r->number[i]);
		}
	}
	int rc = sqlite3_step(*st) == SQLITE_DONE ? 0 : store_fail(s->db, "cannot write", err);
	sqlite3_reset(*st);
	sqlite3_clear_bindings(*st); /* they point into the request */
	return !rc && r->op == STORE_OP_DOCUMENT_PUT ? documents_trim(s, err) : rc;
}

void store_statements_free(struct store *s)
{
	for (size_t i = 0; i < STORE_OP_SIMPLE; i++)
		sqlite3_finalize(s->simple[i]);
	for (size_t i = 0; i < STORE_CHANGE_STATEMENTS; i++)
		sqlite3_finalize(s->change[i]);
}

static bool text_ok(struct slice t)
{
	return t.len <= STORE_TEXT_MAX && utf8_valid(t) && !(t.len && memchr(t.p, 0, t.len));
}

static struct slice keep(char **at, struct slice t)
{
	struct slice copy = slice_of(*at, t.len);
	if (t.len)
		memcpy(*at, t.p, t.len);
	*at += t.len;
	return copy;
}

static bool partner_ok(const struct policy_partner *p, size_t *octets)
{
	if (!text_ok(p->domain) || !text_ok(p->server_host) || !text_ok(p->description) ||
	    p->n_additional > POLICY_ADDITIONAL_MAX || p->n_pins > POLICY_PINS_MAX)
		return false;
	*octets += p->n_pins * sizeof *p->pins + p->domain.len + p->server_host.len + p->description.len;
	for (size_t i = 0; i < p->n_additional; i++) {
		if (!text_ok(p->additional[i]))
			return false;
		*octets += sizeof(struct slice) + p->additional[i].len;
	}
	return true;
}

struct store_request *store_request_new(enum store_op op, const struct slice *texts, size_t n, struct slice blob,
					const struct policy_partner *p, store_done *done, void *arg)
{
	size_t octets = sizeof(struct store_request) + blob.len;
	bool large = op == STORE_OP_DOCUMENT_PUT || op == STORE_OP_NOTE_PUT;
	if (blob.len > (large ? (size_t)STORE_LARGE_MAX : (size_t)STORE_BLOB_MAX) || (p && !partner_ok(p, &octets)))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (!text_ok(texts[i]))
			return NULL;
		octets += texts[i].len;
	}
	struct store_request *r = mem_calloc(1, octets);
	struct slice *more = (struct slice *)(r + 1);
	char *at = (char *)(more + (p ? p->n_additional : 0));
	r->op = op;
	r->octets = octets;
	r->done = done;
	r->arg = arg;
	for (size_t i = 0; i < n; i++)
		r->text[i] = keep(&at, texts[i]);
	if (blob.p)
		r->text[n] = keep(&at, blob);
	if (p) {
		r->partner = *p;
		r->partner.domain = keep(&at, p->domain);
		r->partner.server_host = keep(&at, p->server_host);
		r->partner.description = keep(&at, p->description);
		for (size_t i = 0; i < p->n_additional; i++)
			more[i] = keep(&at, p->additional[i]);
		r->partner.additional = more;
		r->partner.pins = (const struct policy_pin *)keep(&at, slice_of((const char *)p->pins, p->n_pins * sizeof *p->pins)).p;
	}
	return r;
}

static int submit(struct store *s, struct store_request *r)
{
	return r ? store_submit(s, r) : ENTENTE_EINVAL;
}

int store_contact_put(struct store *s, const struct store_contact *c, store_done *done, void *arg)
{
	if (slice_empty(c->local_user) || slice_empty(c->remote_user))
		return ENTENTE_EINVAL;
	struct slice t[] = {c->local_user, c->remote_user};
	struct store_request *r = store_request_new(STORE_OP_CONTACT_PUT, t, 2, SLICE_NONE, NULL, done, arg);
	if (r) {
		r->number[2] = c->learned_at;
		r->number[3] = c->how;
	}
	return submit(s, r);
}

int store_contact_delete(struct store *s, struct slice local_user, struct slice remote_user, store_done *done, void *arg)
{
	struct slice t[] = {local_user, remote_user};
	return submit(s, store_request_new(STORE_OP_CONTACT_DELETE, t, 2, SLICE_NONE, NULL, done, arg));
}

int store_watch_put(struct store *s, const struct store_watch *w, store_done *done, void *arg)
{
	if (slice_empty(w->watcher) || slice_empty(w->presentity))
		return ENTENTE_EINVAL;
	struct slice t[] = {w->watcher, w->presentity};
	struct store_request *r = store_request_new(STORE_OP_WATCH_PUT, t, 2, SLICE_NONE, NULL, done, arg);
	if (r) {
		r->number[2] = w->state;
		r->number[3] = w->since;
	}
	return submit(s, r);
}

int store_watch_delete(struct store *s, struct slice watcher, struct slice presentity, store_done *done, void *arg)
{
	struct slice t[] = {watcher, presentity};
	return submit(s, store_request_new(STORE_OP_WATCH_DELETE, t, 2, SLICE_NONE, NULL, done, arg));
}

int store_dialog_put(struct store *s, const struct store_dialog *d, store_done *done, void *arg)
{
	if (slice_empty(d->id))
		return ENTENTE_EINVAL;
	struct slice t[] = {d->id, d->local_user, d->remote_user}, blob = d->blob.p ? d->blob : S("");
	struct store_request *r = store_request_new(STORE_OP_DIALOG_PUT, t, 3, blob, NULL, done, arg);
	if (r)
		r->number[4] = d->expires_at;
	return submit(s, r);
}

int store_dialog_delete(struct store *s, struct slice id, store_done *done, void *arg)
{
	return submit(s, store_request_new(STORE_OP_DIALOG_DELETE, &id, 1, SLICE_NONE, NULL, done, arg));
}

int store_dialog_purge(struct store *s, int64_t now, store_done *done, void *arg)
{
	struct store_request *r = store_request_new(STORE_OP_DIALOG_PURGE, NULL, 0, SLICE_NONE, NULL, done, arg);
	r->number[0] = now;
	return submit(s, r);
}

int store_seen_put(struct store *s, int64_t at, struct slice records, store_done *done, void *arg)
{
	struct slice none = SLICE_NONE;
	if (slice_empty(records))
		return ENTENTE_EINVAL;
	struct store_request *r = store_request_new(STORE_OP_SEEN_PUT, &none, 1, records, NULL, done, arg);
	if (r)
		r->number[0] = at;
	return submit(s, r);
}

int store_seen_purge(struct store *s, int64_t before, store_done *done, void *arg)
{
	struct store_request *r = store_request_new(STORE_OP_SEEN_PURGE, NULL, 0, SLICE_NONE, NULL, done, arg);
	if (r)
		r->number[0] = before;
	return submit(s, r);
}
