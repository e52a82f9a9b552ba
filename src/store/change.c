/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of policy data: each is all or nothing within the group's transaction, and each takes a generation in the history. */
#include "base/buf.h"
#include "base/clock.h"
#include "store/internal.h"

enum {
	PARTNER_INSERT, PARTNER_UPDATE, PARTNER_DELETE, DOMAIN_INSERT, DOMAIN_CLEAR, DOMAIN_OWNER, BLOCK_INSERT, BLOCK_DELETE,
	HISTORY_INSERT, HISTORY_TRIM, N_STATEMENTS,
};
_Static_assert((int)N_STATEMENTS <= (int)STORE_CHANGE_STATEMENTS, "room for the statements");

static const char *const sql[] = {
	[PARTNER_INSERT] =
		"INSERT INTO xmpp_partner(domain, type, enabled, tls, sasl, dialback, keep_alive, connection_limit, server_host, "
		"server_port, description, own_certificate, pins, pin_mode, dane, delegation, protocol) "
		"VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) ON CONFLICT DO NOTHING",
	[PARTNER_UPDATE] =
		"UPDATE xmpp_partner SET type = ?2, enabled = ?3, tls = ?4, sasl = ?5, dialback = ?6, keep_alive = ?7, "
		"connection_limit = ?8, server_host = ?9, server_port = ?10, description = ?11, own_certificate = ?12, pins = ?13, "
		"pin_mode = ?14, dane = ?15, delegation = ?16, protocol = ?17 WHERE domain = ?1",
	[PARTNER_DELETE] = "DELETE FROM xmpp_partner WHERE domain = ?1",
	[DOMAIN_INSERT] =
		"INSERT INTO xmpp_partner_domain(domain, partner, position) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
	[DOMAIN_CLEAR] = "DELETE FROM xmpp_partner_domain WHERE partner = ?1",
	[DOMAIN_OWNER] = "SELECT partner FROM xmpp_partner_domain WHERE domain = ?1",
	[BLOCK_INSERT] = "INSERT INTO blocked_domain(domain, comment, since) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING",
	[BLOCK_DELETE] = "DELETE FROM blocked_domain WHERE domain = ?1",
	[HISTORY_INSERT] = ("INSERT INTO history(generation, at, who, what) " /* one text: clang looks for a comma */
			    "VALUES((SELECT coalesce(max(generation), 0) + 1 FROM history), ?1, ?2, ?3)"),
	[HISTORY_TRIM] = "DELETE FROM history WHERE generation <= (SELECT max(generation) FROM history) - ?1",
};

static sqlite3_stmt *statement(struct store *s, int which)
{
	sqlite3_stmt **st = &s->change[which];
	if (*st)
		sqlite3_reset(*st);
	else if (sqlite3_prepare_v3(s->db, sql[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL) != SQLITE_OK)
		return NULL;
	return *st;
}

static void text(sqlite3_stmt *st, int i, struct slice t)
{
	sqlite3_bind_text(st, i, t.p ? t.p : "", (int)t.len, SQLITE_STATIC);
}

static void name(sqlite3_stmt *st, int i, const char *z)
{
	text(st, i, slice_str(z));
}

/* Runs a bound statement; *ret_rows is how many rows it changed. */
static int run(struct store *s, sqlite3_stmt *st, int *ret_rows, struct entente_err *err)
{
	int rc = st ? sqlite3_step(st) : SQLITE_ERROR;
	int code = rc == SQLITE_DONE ? 0 : store_fail(s->db, "cannot write", err);
	if (!code && ret_rows)
		*ret_rows = sqlite3_changes(s->db);
	if (st)
		sqlite3_reset(st);
	return code;
}

static void pins_print(struct buf *out, const struct policy_partner *p, char between)
{
	for (size_t i = 0; i < p->n_pins; i++) {
		if (i)
			buf_putc(out, between);
		policy_pin_print(out, &p->pins[i]);
	}
}

static int partner_write(struct store *s, int which, const struct policy_partner *p, int *ret_rows, struct entente_err *err)
{
	sqlite3_stmt *st = statement(s, which);
	struct buf pins;
	buf_init(&pins, POLICY_PINS_MAX * 72);
	pins_print(&pins, p, ' ');
	if (st) {
		text(st, 1, p->domain);
		name(st, 2, policy_partner_type_name(p->type));
		sqlite3_bind_int(st, 3, p->enabled);
		name(st, 4, policy_negotiation_name(p->tls));
		name(st, 5, policy_negotiation_name(p->sasl));
		sqlite3_bind_int(st, 6, p->dialback);
		sqlite3_bind_int(st, 7, p->keep_alive);
		sqlite3_bind_int64(st, 8, p->connection_limit);
		text(st, 9, p->server_host);
		sqlite3_bind_int(st, 10, p->server_port);
		text(st, 11, p->description);
		name(st, 12, policy_own_certificate_name(p->own_certificate));
		text(st, 13, buf_slice(&pins));
		name(st, 14, policy_pin_mode_name(p->pin_mode));
		sqlite3_bind_int(st, 15, p->dane);
		sqlite3_bind_int(st, 16, p->delegation);
		name(st, 17, policy_protocol_name(p->protocol));
	}
	int rc = run(s, st, ret_rows, err);
	buf_free(&pins);
	return rc;
}

static int taken(struct store *s, struct slice domain, struct entente_err *err)
{
	sqlite3_stmt *st = statement(s, DOMAIN_OWNER);
	if (!st)
		return store_fail(s->db, "cannot read", err);
	text(st, 1, domain);
	const char *owner = sqlite3_step(st) == SQLITE_ROW ? (const char *)sqlite3_column_text(st, 0) : NULL;
	int rc = err_set(err, ENTENTE_EEXIST, REASON_NONE, "the domain %.*s belongs to the partner %s already", SFMT(domain),
			 owner ? owner : "?");
	sqlite3_reset(st);
	return rc;
}

static int domains_write(struct store *s, const struct policy_partner *p, struct entente_err *err)
{
	for (size_t i = 0; i <= p->n_additional; i++) {
		struct slice d = i ? p->additional[i - 1] : p->domain;
		sqlite3_stmt *st = statement(s, DOMAIN_INSERT);
		int rows = 0, rc;
		if (st) {
			text(st, 1, d);
			text(st, 2, p->domain);
			sqlite3_bind_int64(st, 3, (int64_t)i);
		}
		rc = run(s, st, &rows, err);
		if (!rc && !rows)
			rc = taken(s, d, err);
		if (rc)
			return rc;
	}
	return 0;
}

static int by_domain(struct store *s, int which, struct slice domain, int *ret_rows, struct entente_err *err)
{
	sqlite3_stmt *st = statement(s, which);
	if (st)
		text(st, 1, domain);
	return run(s, st, ret_rows, err);
}

static int history_write(struct store *s, struct slice who, struct slice what, struct entente_err *err)
{
	sqlite3_stmt *st = statement(s, HISTORY_INSERT);
	if (st) {
		sqlite3_bind_int64(st, 1, clock_unix());
		text(st, 2, who);
		text(st, 3, what);
	}
	int rc = run(s, st, NULL, err);
	if (rc)
		return rc;
	s->next_generation = sqlite3_last_insert_rowid(s->db);
	st = statement(s, HISTORY_TRIM);
	if (st)
		sqlite3_bind_int64(st, 1, STORE_HISTORY_MAX);
	return run(s, st, NULL, err);
}

static void describe(struct buf *out, const char *verb, const struct policy_partner *p)
{
	buf_printf(out, "partner %s %.*s type=%s enabled=%s tls=%s sasl=%s dialback=%s keep-alive=%s", verb, SFMT(p->domain),
		   policy_partner_type_name(p->type), p->enabled ? "yes" : "no", policy_negotiation_name(p->tls),
		   policy_negotiation_name(p->sasl), p->dialback ? "yes" : "no", p->keep_alive ? "yes" : "no");
	if (p->connection_limit)
		buf_printf(out, " connection-limit=%u", p->connection_limit);
	if (!slice_empty(p->server_host))
		buf_printf(out, " server=%.*s:%u", SFMT(p->server_host), p->server_port);
	if (p->own_certificate != POLICY_OWN_CLIENT)
		buf_printf(out, " client-certificate=%s", policy_own_certificate_name(p->own_certificate));
	if (p->protocol != POLICY_PROTOCOL_XMPP)
		buf_printf(out, " protocol=%s", policy_protocol_name(p->protocol));
	if (!p->dane)
		buf_puts(out, " dane=no");
	if (p->delegation)
		buf_puts(out, " delegation=yes");
	if (p->n_pins) {
		buf_printf(out, " pin-mode=%s pins=", policy_pin_mode_name(p->pin_mode));
		pins_print(out, p, ',');
	}
	for (size_t i = 0; i < p->n_additional; i++)
		buf_printf(out, "%s%.*s", i ? "," : " additional=", SFMT(p->additional[i]));
}

int store_change_one(struct store *s, struct store_request *r, struct buf *what, struct entente_err *err)
{
	const struct policy_partner *p = &r->partner;
	int rows = 0, rc = 0;
	switch (r->op) {
	case STORE_OP_PARTNER_ADD:
		describe(what, "add", p);
		if ((rc = partner_write(s, PARTNER_INSERT, p, &rows, err)))
			return rc;
		return rows ? domains_write(s, p, err) : taken(s, p->domain, err);
	case STORE_OP_PARTNER_SET:
		describe(what, "set", p);
		if ((rc = partner_write(s, PARTNER_UPDATE, p, &rows, err)))
			return rc;
		if (!rows)
			return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "there is no partner %.*s", SFMT(p->domain));
		if ((rc = by_domain(s, DOMAIN_CLEAR, p->domain, NULL, err)))
			return rc;
		return domains_write(s, p, err);
	case STORE_OP_PARTNER_REMOVE:
		buf_printf(what, "partner remove %.*s", SFMT(r->text[0]));
		rc = by_domain(s, PARTNER_DELETE, r->text[0], &rows, err);
		if (!rc && !rows)
			rc = err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "there is no partner %.*s", SFMT(r->text[0]));
		return rc;
	case STORE_OP_BLOCK_ADD: {
		sqlite3_stmt *st = statement(s, BLOCK_INSERT);
		buf_printf(what, "blocked-domain add %.*s", SFMT(r->text[0]));
		if (st) {
			text(st, 1, r->text[0]);
			text(st, 2, r->text[1]);
			sqlite3_bind_int64(st, 3, clock_unix());
		}
		rc = run(s, st, &rows, err);
		if (!rc && !rows)
			rc = err_set(err, ENTENTE_EEXIST, REASON_NONE, "the domain %.*s is blocked already", SFMT(r->text[0]));
		return rc;
	}
	case STORE_OP_FEDERATION_PUT:
	case STORE_OP_FEDERATION_REMOVE:
	case STORE_OP_CONTACT_ADD:
	case STORE_OP_CONTACT_REMOVE: return store_federation_change(s, r, what, err);
	case STORE_OP_REMARK: buf_put(what, r->text[0]); return 0;
	default:
		buf_printf(what, "blocked-domain remove %.*s", SFMT(r->text[0]));
		rc = by_domain(s, BLOCK_DELETE, r->text[0], &rows, err);
		if (!rc && !rows)
			rc = err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "the domain %.*s is not blocked", SFMT(r->text[0]));
		return rc;
	}
}

int store_change_run(struct store *s, struct store_request *r, struct entente_err *err)
{
	struct buf what;
	if (sqlite3_exec(s->db, "SAVEPOINT change", NULL, NULL, NULL) != SQLITE_OK)
		return store_fail(s->db, "cannot write", err);
	buf_init(&what, 256 * 1024);
	int64_t before = s->next_generation;
	size_t changes = 1;
	int rc = r->op == STORE_OP_SET ? store_set_run(s, r, &what, &changes, err) : store_change_one(s, r, &what, err);
	if (!rc && changes)
		rc = history_write(s, r->text[2], buf_slice(&what), err);
	buf_free(&what);
	/* after some failures SQLite has rolled all back itself and the savepoint is gone: the group sees that */
	if (rc) {
		sqlite3_exec(s->db, "ROLLBACK TO change", NULL, NULL, NULL);
		s->next_generation = before;
	}
	sqlite3_exec(s->db, "RELEASE change", NULL, NULL, NULL);
	return rc;
}

static int submit(struct store *s, enum store_op op, struct slice domain, struct slice comment, struct slice who,
		  const struct policy_partner *p, store_done *done, void *arg)
{
	struct slice t[] = {domain, comment, who};
	if (slice_empty(p ? p->domain : domain))
		return ENTENTE_EINVAL;
	if (p && (p->type > POLICY_PUBLIC_UNVERIFIED || p->tls > POLICY_NOT_SUPPORTED || p->sasl > POLICY_NOT_SUPPORTED ||
		  p->own_certificate > POLICY_OWN_NONE || p->pin_mode > POLICY_PIN_BLOCK || p->protocol > POLICY_PROTOCOL_SIP_FIRST))
		return ENTENTE_EINVAL; /* the table would refuse it, and with it the whole group */
	struct store_request *r = store_request_new(op, t, 3, SLICE_NONE, p, done, arg);
	return r ? store_submit(s, r) : ENTENTE_EINVAL;
}

int store_partner_add(struct store *s, const struct policy_partner *p, struct slice who, store_done *done, void *arg)
{
	return submit(s, STORE_OP_PARTNER_ADD, SLICE_NONE, SLICE_NONE, who, p, done, arg);
}

int store_partner_set(struct store *s, const struct policy_partner *p, struct slice who, store_done *done, void *arg)
{
	return submit(s, STORE_OP_PARTNER_SET, SLICE_NONE, SLICE_NONE, who, p, done, arg);
}

int store_partner_remove(struct store *s, struct slice domain, struct slice who, store_done *done, void *arg)
{
	return submit(s, STORE_OP_PARTNER_REMOVE, domain, SLICE_NONE, who, NULL, done, arg);
}

int store_block_add(struct store *s, struct slice domain, struct slice comment, struct slice who, store_done *done, void *arg)
{
	return submit(s, STORE_OP_BLOCK_ADD, domain, comment, who, NULL, done, arg);
}

int store_block_remove(struct store *s, struct slice domain, struct slice who, store_done *done, void *arg)
{
	return submit(s, STORE_OP_BLOCK_REMOVE, domain, SLICE_NONE, who, NULL, done, arg);
}
