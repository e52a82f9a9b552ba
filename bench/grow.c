/* SPDX-License-Identifier: Apache-2.0 */
/* bench/grow: what a decision, a snapshot and a change of the policy cost as the policy grows by decades. No daemon and no network: the room
 * `policy` alone, which the daemon asks for every message. One JSON object a line for each kind and size.
 *
 *   grow KIND MAX    KIND: partners allowed blocked domains users; sizes 10, 100 ... MAX */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/mem.h"
#include "policy/decide.h"

enum { ASKED = 20000, ROUNDS = 7, NAME_OCTETS = 80 };
enum kind { PARTNERS, ALLOWED, BLOCKED, DOMAINS, USERS, KINDS };
static const char *const kinds[] = {"partners", "allowed", "blocked", "domains", "users"};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static size_t used(void)
{
	struct mallinfo2 m = mallinfo2();
	return m.uordblks + m.hblkhd;
}

static _Noreturn void die(const struct entente_err *err)
{
	fprintf(stderr, "grow: %s\n", err->text);
	exit(1);
}

/* The i-th name of a kind. */
static struct slice name_of(enum kind k, unsigned i, char dst[NAME_OCTETS])
{
	static const char *const rest[] = {".partner.example", ".allowed.example", ".blocked.example", ".contoso.example", "@contoso.example"};
	return slice_of(dst, (size_t)snprintf(dst, NAME_OCTETS, "%c%u%s", kinds[k][0], i, rest[k]));
}

static void add_domains(struct snapshot_builder *b, unsigned n)
{
	struct entente_err err;
	struct slice *domains = mem_calloc(n + 1, sizeof *domains);
	char(*names)[NAME_OCTETS] = mem_calloc(n + 1, sizeof *names);
	domains[0] = S("contoso.example");
	for (unsigned i = 0; i < n; i++)
		domains[1 + i] = name_of(DOMAINS, i, names[i]);
	struct policy_home h = {.name = S("home"), .next_hop = S("sip:10.0.0.5:5061;transport=tls"), .transport = POLICY_TLS, .domains = domains, .n_domains = 1 + n};
	if (snapshot_builder_home(b, &h, &err))
		die(&err);
	mem_free(domains);
	mem_free(names);
}

static int add(struct snapshot_builder *b, enum kind k, struct slice name, struct entente_err *err)
{
	struct policy_partner p;
	struct policy_allowed a;
	struct policy_user u;
	switch (k) {
	case PARTNERS:
		p = (struct policy_partner){.domain = name};
		policy_partner_defaults(&p);
		p.type = POLICY_FEDERATED;
		return snapshot_builder_partner(b, &p, err);
	case ALLOWED:
		a = (struct policy_allowed){.domain = name};
		policy_fields_defaults(POLICY_TABLE_ALLOWED, &a);
		return snapshot_builder_allow(b, &a, err);
	case BLOCKED:
		return snapshot_builder_block(b, name, err);
	case USERS:
		u = (struct policy_user){.address = name};
		policy_fields_defaults(POLICY_TABLE_USER, &u);
		u.policy = S("Sales");
		return snapshot_builder_user(b, &u, err);
	default:
		return 0;
	}
}

/* Everything that a message needs is there once; and n of the kind. */
static struct snapshot *build(enum kind k, unsigned n)
{
	struct snapshot_builder *b = snapshot_builder_new();
	struct policy_access access = {0};
	struct policy_external everybody = {.name = S("global")}, sales = {.name = S("tag:Sales")};
	struct entente_err err;
	char name[NAME_OCTETS];
	add_domains(b, k == DOMAINS ? n : 0);
	if ((k != PARTNERS || n < SNAPSHOT_PARTNERS_MAX) && add(b, PARTNERS, S("fabrikam.example"), &err))
		die(&err);
	for (unsigned i = 0; k == PARTNERS && i < n; i++)
		if (add(b, k, name_of(k, i, name), &err))
			die(&err);
	for (unsigned i = 0; k == BLOCKED && i < n; i++)
		if (add(b, k, name_of(k, i, name), &err))
			die(&err);
	policy_fields_defaults(POLICY_TABLE_ACCESS, &access);
	access.federated_users = true;
	policy_fields_defaults(POLICY_TABLE_EXTERNAL, &everybody);
	everybody.federation = everybody.xmpp = true;
	sales.federation = sales.xmpp = true;
	sales.scope = POLICY_SCOPE_USER;
	if (snapshot_builder_access(b, &access, &err) || snapshot_builder_external(b, &everybody, &err) || snapshot_builder_external(b, &sales, &err))
		die(&err);
	for (unsigned i = 0; (k == ALLOWED || k == USERS) && i < n; i++)
		if (add(b, k, name_of(k, i, name), &err))
			die(&err);
	return snapshot_builder_freeze(b, 1);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Nanoseconds of a decision about names that are `known` or not; many different ones in no order, or always the same. The least of some rounds: what
 * disturbs only adds. */
static double decide(const struct snapshot *s, enum kind k, unsigned n, bool known, bool many)
{
	char(*names)[NAME_OCTETS] = mem_calloc(ASKED, sizeof *names);
	struct policy_question *q = mem_calloc(ASKED, sizeof *q);
	double best[ROUNDS];
	uint32_t random = 12345;
	unsigned allowed = 0;
	for (unsigned i = 0; i < ASKED; i++) {
		random = random * 1664525u + 1013904223u;
		unsigned j = many ? (unsigned)(((uint64_t)random * n) >> 32) : n / 2;
		struct slice name = name_of(k, known ? j : n + j, names[i]);
		q[i].kind = POLICY_MESSAGE;
		q[i].direction = POLICY_TO_REMOTE;
		q[i].from = (struct policy_party){S("romeo"), S("contoso.example")};
		q[i].to = (struct policy_party){S("juliet"), S("fabrikam.example")};
		q[i].has_contact = POLICY_CONTACT_YES;
		if (k == PARTNERS || k == BLOCKED)
			q[i].to.domain = name;
		else if (k == DOMAINS)
			q[i].from.domain = name;
		else if (k == USERS)
			q[i].from.user = slice_split(&name, '@');
		else {
			static const struct policy_sip sip = {.srv = POLICY_SRV_FOUND};
			q[i].kind = POLICY_REQUEST;
			q[i].to.domain = name;
			q[i].sip = &sip;
		}
	}
	for (unsigned r = 0; r < ROUNDS; r++) {
		uint64_t began = now_ns();
		for (unsigned i = 0; i < ASKED; i++) {
			struct policy_verdict v;
			policy_decide(s, &q[i], &v);
			allowed += v.allow;
		}
		best[r] = (double)(now_ns() - began) / ASKED;
	}
	qsort(best, ROUNDS, sizeof *best, by_size);
	if (!!allowed != (known ? k != BLOCKED : k == BLOCKED ? false : k == USERS)) {
		fprintf(stderr, "grow: %s: decisions are not what they must be (%u allowed)\n", kinds[k], allowed);
		exit(1);
	}
	mem_free(names);
	mem_free(q);
	return best[0];
}

int main(int argc, char **argv)
{
	enum kind k = PARTNERS;
	unsigned long max = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	while (k < KINDS && argc == 3 && !slice_eq(slice_str(kinds[k]), slice_str(argv[1])))
		k++;
	if (argc != 3 || k == KINDS || max < 10 || max > 1000000) {
		fprintf(stderr, "usage: grow partners|allowed|blocked|domains|users MAX\n");
		return 2;
	}
	struct snapshot *none = build(k, 0);
	snapshot_unref(none);
	for (unsigned n = 10; n <= max; n *= 10) {
		malloc_trim(0);
		size_t before = used();
		struct snapshot *zero = build(k, 0);
		size_t base = used() - before;
		snapshot_unref(zero);
		before = used();
		uint64_t began = now_ns();
		struct snapshot *s = build(k, n);
		double build_s = (double)(now_ns() - began) / 1e9;
		double bytes = ((double)(used() - before) - (double)base) / n;
		double many = decide(s, k, n, true, true), one = decide(s, k, n, true, false), unknown = decide(s, k, n, false, true);
		began = now_ns();
		snapshot_unref(s);
		printf("{\"kind\": \"%s\", \"n\": %u, \"bytes_each\": %.1f, \"build_s\": %.6f, \"free_s\": %.6f", kinds[k], n, bytes, build_s, (double)(now_ns() - began) / 1e9);
		printf(", \"decide_ns\": %.1f, \"decide_one_ns\": %.1f, \"decide_unknown_ns\": %.1f}\n", many, one, unknown);
		fflush(stdout);
	}
	return 0;
}
