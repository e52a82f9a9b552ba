/* SPDX-License-Identifier: Apache-2.0 */
/* This machine: clock, disk, the daemon and its unit. */
#include <stdlib.h>
#include "check/judge.h"

/* ---- time */

void check_judge_time(struct check *c, const struct check_facts *f)
{
	enum { SKEW_S = 30, SKEW_BAD_S = 300 };
	const struct check_time *t = &f->time;
	char now[32], other[32];
	size_t heard = 0;
	if (!t->have)
		return;
	check_date(now, f->now);
	if (check_fails(c, CHECK_TIME_BEFORE_RELEASE, f->now < t->release, S("clock"))) {
		check_date(other, t->release);
		check_evidence(c, "it says %s, and this program was made on %s", now, other);
	}
	if (t->sync_known && check_fails(c, CHECK_TIME_UNSYNCHRONISED, !t->synchronised, S("clock")))
		check_evidence(c, "the kernel says so (adjtimex: STA_UNSYNC); the clock says %s", now);
	for (size_t i = 0; i < t->n_clocks; i++) {
		const struct check_clock *k = &t->clocks[i];
		int64_t skew = k->ours - k->theirs;
		if (!k->heard)
			continue;
		heard++;
		if (check_fails(c, CHECK_TIME_SKEW, llabs(skew) >= SKEW_S, k->source)) {
			check_evidence(c, "our clock is %jd s %s that of %.*s", (intmax_t)llabs(skew), skew > 0 ? "ahead of" : "behind", SFMT(k->source));
			if (llabs(skew) < SKEW_BAD_S)
				check_severity(c, CHECK_WARNING);
		}
	}
	if (t->n_clocks && !heard)
		check_skip(c, CHECK_TIME, "no other clock could be asked: %.*s: %.*s", SFMT(t->clocks[0].source), SFMT(t->clocks[0].why));
}

/* ---- disk */

enum { MIB = 1 << 20, FREE_BAD = 64 * MIB, FREE_LOW = 256 * MIB, INODES_BAD = 32, INODES_LOW = 1000, WAL_LARGE = 128 * MIB };

static void owner(struct check *c, const struct check_disk *d, const struct check_file *x, const char *name)
{
	if (!x->there)
		return;
	struct slice path = arena_printf(c->arena, "%.*s%s", SFMT(d->directory), name);
	if (d->user >= 0 && check_fails(c, CHECK_DISK_OWNER, x->uid != d->user, path)) {
		check_evidence(c, "owner uid %d; the daemon runs as %.*s (uid %d)", x->uid, SFMT(d->user_name), d->user);
		check_remedy(c, "chown -R %.*s: %.*s", SFMT(d->user_name), SFMT(d->directory));
	}
	unsigned wrong = x->mode & (*name ? 077U : 027U);
	if (check_fails(c, CHECK_DISK_MODE, wrong, path)) {
		check_evidence(c, "mode %04o", x->mode);
		check_remedy(c, "chmod %s %.*s", *name ? "0600" : "0750", SFMT(path));
	}
}

static void room(struct check *c, const struct check_disk *d)
{
	bool low = d->free < FREE_LOW && d->free < d->total / 20;
	if (check_fails(c, CHECK_DISK_FULL, d->total && (d->free < FREE_BAD || low), d->directory)) {
		check_evidence(c, "%ju MiB of %ju MiB are free", (uintmax_t)(d->free / MIB), (uintmax_t)(d->total / MIB));
		if (d->free >= FREE_BAD)
			check_severity(c, CHECK_WARNING);
	}
	if (d->inodes && check_fails(c, CHECK_DISK_INODES, d->inodes_free < INODES_LOW, d->directory)) {
		check_evidence(c, "%ju of %ju inodes are free", (uintmax_t)d->inodes_free, (uintmax_t)d->inodes);
		if (d->inodes_free >= INODES_BAD)
			check_severity(c, CHECK_WARNING);
	}
}

void check_judge_disk(struct check *c, const struct check_facts *f)
{
	const struct check_disk *d = &f->disk;
	if (!d->have)
		return;
	if (check_fails(c, CHECK_DISK_MISSING, !d->state.there, d->directory)) {
		check_evidence(c, "%.*s", SFMT(d->fault));
		check_remedy(c, "install -d -o entente -g entente -m 0750 %.*s", SFMT(d->directory));
		return;
	}
	owner(c, d, &d->state, "");
	owner(c, d, &d->database, "/entente.db");
	if (check_fails(c, CHECK_DISK_READ_ONLY, d->read_only, d->directory))
		check_evidence(c, "its file system is mounted read-only");
	else
		room(c, d);
	if (d->database_read && check_fails(c, CHECK_DISK_DATABASE, d->damage.len, arena_printf(c->arena, "%.*s/entente.db", SFMT(d->directory))))
		check_evidence(c, "SQLite says: %.*s", SFMT(d->damage));
	if (d->wal.there && check_fails(c, CHECK_DISK_WAL, d->wal.size > WAL_LARGE, arena_printf(c->arena, "%.*s/entente.db-wal", SFMT(d->directory)))) {
		check_evidence(c, "%ju MiB", (uintmax_t)(d->wal.size / MIB));
		check_remedy(c, "end what has the database open, then restart the daemon:\nfuser -v %.*s/entente.db\nsystemctl restart entented", SFMT(d->directory));
	}
	if (d->fault.len)
		check_skip(c, CHECK_DISK, "%.*s", SFMT(d->fault));
}

/* ---- system */

static void unit(struct check *c, const struct check_system *s)
{
	enum { RESTARTS = 3 };
	if (!s->have_unit)
		return;
	if (check_fails(c, CHECK_SYSTEM_UNIT_FAILED, slice_eq(s->unit_active, S("failed")), S("entented.service")))
		check_evidence(c, "systemd: %.*s, result %.*s", SFMT(s->unit_active), SFMT(s->unit_result));
	if (check_fails(c, CHECK_SYSTEM_UNIT_DISABLED, slice_eq(s->unit_file, S("disabled")), S("entented.service")))
		check_evidence(c, "systemd: unit file %.*s", SFMT(s->unit_file));
	if (check_fails(c, CHECK_SYSTEM_UNIT_RESTARTS, s->unit_restarts >= RESTARTS, S("entented.service")))
		check_evidence(c, "%u times since it was started by hand or with the machine", s->unit_restarts);
}

static void sandbox(struct check *c, const struct check_live *l)
{
	bool off = slice_eq(l->sandbox, S("off"));
	if (!l->have || !l->sandbox.len)
		return;
	if (check_fails(c, CHECK_SYSTEM_SANDBOX, off || l->sandbox_lacks.len, S("server.sandbox"))) {
		check_evidence(c, "%.*s", SFMT(off ? S("it is off") : l->sandbox_lacks));
		if (off) { /* somebody has decided so */
			check_severity(c, CHECK_NOTE);
			check_remedy(c, "entente config set server.sandbox on, and restart the daemon");
		}
	}
}

static void keys(struct check *c, const struct check_facts *f)
{
	const struct config *g = f->config;
	bool any = g && (*g->tls_key || *g->tls_client_key || *g->link_key || *g->admin_key);
	if (!f->live.have || !check_fails(c, CHECK_SYSTEM_KEYS_OPEN, f->live.keys_open && any, S("server.sandbox")))
		return;
	const char *const all[] = {g->tls_key, g->tls_client_key, g->link_key, g->admin_key}, *key = "";
	for (size_t i = 0; i < sizeof all / sizeof *all && !*key; i++)
		key = all[i];
	check_evidence(c, "`entente status` says so; a key of the configuration is %s", key);
}

void check_judge_system(struct check *c, const struct check_facts *f)
{
	enum { SPARE_DESCRIPTORS = 64 }; /* loops, database, log, listeners */
	const struct check_system *s = &f->system;
	const struct check_live *l = &f->live;
	if (!s->have)
		return;
	if (check_fails(c, CHECK_SYSTEM_PERMISSION, l->forbidden, s->socket_path))
		check_evidence(c, "%.*s", SFMT(l->why));
	else if (check_fails(c, CHECK_SYSTEM_DAEMON, !l->have, s->socket_path))
		check_evidence(c, "%.*s", SFMT(l->why));
	for (size_t i = 0; l->have && i < (l->n_problems ? l->n_problems : 1); i++)
		if (check_fails(c, CHECK_SYSTEM_PROBLEM, l->n_problems, S("entented")))
			check_evidence(c, "%.*s", SFMT(l->problems[i]));
	if (l->have && check_fails(c, CHECK_SYSTEM_VERSION, s->replaced || (l->version.len && !slice_eq(l->version, S(ENTENTE_VERSION))), S("entented")))
		check_evidence(c, s->replaced ? "version %.*s runs, and its program file was replaced since%s" : "version %.*s runs, %s is installed", SFMT(l->version),
			       s->replaced ? "" : ENTENTE_VERSION);
	uint64_t want = f->config ? f->config->limits_max_connections + SPARE_DESCRIPTORS : 0;
	if (s->descriptors && want && check_fails(c, CHECK_SYSTEM_DESCRIPTORS, s->descriptors < want, S("limits.max-connections"))) {
		check_evidence(c, "%.*s may open %ju files, limits.max-connections is %ju", SFMT(s->descriptors_of), (uintmax_t)s->descriptors,
			       (uintmax_t)f->config->limits_max_connections);
		check_remedy(c, "systemctl edit entented, and there:\n[Service]\nLimitNOFILE=%ju\nthen: systemctl restart entented", (uintmax_t)(2 * want));
	}
	if (s->socket.there && check_fails(c, CHECK_SYSTEM_SOCKET, s->socket.mode & 02, s->socket_path)) {
		check_evidence(c, "mode %04o", s->socket.mode);
		check_remedy(c, "chmod 0660 %.*s", SFMT(s->socket_path));
	}
	sandbox(c, l);
	keys(c, f);
	unit(c, s);
}
