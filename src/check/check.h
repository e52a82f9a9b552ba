/* SPDX-License-Identifier: Apache-2.0 */
/* What is, against the plan: findings with evidence and remedy. The core is pure: facts (check/facts.h) go in, findings come out; who
 * collects the facts (check/collect.h) looks at the world. Texts derive from the table check.def.
 *
 * One report at a time belongs to one thread. Everything in it lives in the arena that was given. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

enum check_area {
	CHECK_CONFIG, CHECK_DNS, CHECK_CERTS, CHECK_PORTS, CHECK_PARTNERS, CHECK_POOL, CHECK_TIME, CHECK_DISK, CHECK_SYSTEM, CHECK_AREAS
};
const char *check_area_text(enum check_area a); /* "config" "dns" ... */
const char *check_area_title(enum check_area a); /* a line for documentation */

enum check_severity { CHECK_NOTE, CHECK_WARNING, CHECK_ERROR };
const char *check_severity_text(enum check_severity s); /* "note" "warning" "error" */

enum check_id {
#define CHECK(name, id, area, severity, who, title, why, remedy) CHECK_##name,
#include "check/check.def"
#undef CHECK
	CHECK_COUNT
};
struct check_info { /* a row of the table */
	const char *id;      /* "check/dns-srv-missing" */
	enum check_area area;
	enum check_severity severity;
	const char *who;     /* "admin" "partner" "network" "authority" */
	const char *title, *why, *remedy;
};
const struct check_info *check_info(enum check_id id);
/* "dns-srv-missing": where docs/checks.md tells of it. */
const char *check_anchor(enum check_id id);
const char *check_who_text(const char *who); /* "you, the administrator" ... */
/* docs/checks.md, complete. */
void check_markdown(struct buf *out);

struct check_finding {
	enum check_id id;
	enum check_severity severity;
	const char *who;
	struct slice subject;  /* what it is about: a name of DNS, a file, a listener, a partner */
	struct slice evidence; /* what was seen, and where */
	struct slice remedy;   /* the exact command, record or line; newlines separate lines to paste */
};

enum { CHECK_FINDINGS_MAX = 2000 };

struct check_tally {
	unsigned made, failed;
	bool done;             /* this area was asked for */
	struct slice skipped;  /* why something of it could not be looked at; empty: all was */
};

struct check {
	struct arena *arena;
	struct check_finding *list; size_t n, cap;
	size_t lost;           /* findings beyond CHECK_FINDINGS_MAX */
	struct check_tally areas[CHECK_AREAS];
	bool full;             /* the arena is */
};

void check_init(struct check *c, struct arena *a);

/* One question: counts it in the area of `id`, and when it is `bad` begins a finding about `subject` (copied), with severity, who and remedy of
 * the table and without evidence. Returns `bad`. */
bool check_fails(struct check *c, enum check_id id, bool bad, struct slice subject);
/* About the finding that was begun last. */
void check_evidence(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void check_remedy(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void check_severity(struct check *c, enum check_severity s);
void check_who(struct check *c, const char *who); /* a literal */
/* Something of the area could not be looked at; the first reason is kept. */
void check_skip(struct check *c, enum check_area a, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

struct check_counts {
	unsigned made, passed, findings[CHECK_ERROR + 1]; /* by severity */
};
void check_count(const struct check *c, struct check_counts *ret);

struct check_facts;
/* Judges what was collected for the area; facts that are not there are skipped. */
void check_judge(struct check *c, const struct check_facts *f, enum check_area a);
