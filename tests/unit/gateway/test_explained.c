/* SPDX-License-Identifier: Apache-2.0 */
/* Explain and the live path never disagree: random policies, random messages and subscriptions through the gateway, and before each one the command
 * `explain` is asked. What it says must happen: passed on or refused, and for the same reason. The seed is printed. */
#include "house.h"

#include <stdio.h>
#include <unistd.h>
#include "admin/admin.h"
#include "policy/external.h"

enum { ROUNDS = 120, QUESTIONS = 25 };

static uint64_t seed;

static unsigned dice(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 11) % n;
}

static const char *const remotes[] = {"fabrikam.test", "verified.test", "public.test", "off.test", "sub.fabrikam.test"};
static const char *const locals[] = {"contoso.test", "contoso.test", "contoso.test", "emea.contoso.test", "fabrikam.test"};
static const char *const users[] = {"romeo", "benvolio", "nurse"};
enum { REMOTES = sizeof remotes / sizeof *remotes, LOCALS = sizeof locals / sizeof *locals, USERS = sizeof users / sizeof *users };

static void partners(struct snapshot_builder *b)
{
	static const struct slice more[] = {S("sub.fabrikam.test")};
	for (size_t i = 0; i < REMOTES; i++) {
		struct policy_partner p = {.domain = slice_str(remotes[i])};
		if (!dice(4))
			continue;
		policy_partner_defaults(&p);
		p.type = (enum policy_partner_type)dice(3);
		p.enabled = dice(5) > 0;
		if (!i && dice(2)) {
			p.additional = more;
			p.n_additional = 1;
		}
		snapshot_builder_partner(b, &p, NULL); /* one that does not fit is none */
	}
	for (size_t i = 0; i < REMOTES; i++)
		if (!dice(9))
			snapshot_builder_block(b, slice_str(remotes[i]), NULL);
	if (!dice(20))
		snapshot_builder_block(b, S("test"), NULL);
}

static void externals(struct snapshot_builder *b)
{
	static const char *const names[] = {"global", "site:Verona", "tag:Sales"};
	for (size_t i = 0; i < 3; i++) {
		struct policy_external p = {.name = slice_str(names[i]), .federation = dice(8) > 0, .xmpp = dice(8) > 0, .public_cloud = dice(2)};
		if (i == 0 || dice(2))
			snapshot_builder_external(b, &p, NULL);
	}
	for (size_t i = 0; i < USERS; i++) {
		char address[64];
		snprintf(address, sizeof address, "%s@contoso.test", users[i]);
		struct policy_user u = {.address = slice_str(address), .policy = dice(2) ? S("Sales") : SLICE_NONE, .site = dice(3) ? SLICE_NONE : S("Verona"),
					.branch = !dice(6)};
		if (dice(2))
			snapshot_builder_user(b, &u, NULL);
	}
}

static void policy(struct house *h)
{
	static const struct slice domains[] = {S("contoso.test"), S("emea.contoso.test")};
	struct policy_home home = {.name = S("contoso"), .next_hop = S("sip:192.0.2.1;transport=tcp"), .transport = POLICY_TCP, .domains = domains,
				   .n_domains = 1 + dice(2), .site = dice(3) ? SLICE_NONE : S("Verona")};
	struct snapshot_builder *b = snapshot_builder_new();
	struct policy_gateway g;
	assert_int_equal(snapshot_builder_home(b, &home, NULL), 0);
	partners(b);
	externals(b);
	policy_gateway_defaults(&g);
	g.xmpp_access = dice(10) > 0;
	snapshot_builder_gateway(b, &g);
	struct snapshot *s = snapshot_builder_freeze(b, ++h->generation);
	snapshot_slot_publish(&h->policy, s);
	snapshot_unref(s);
	house_pass(h, 0);
}

/* ---- the daemon as explain sees it */

struct daemon {
	struct house *house;
	struct snapshot *held;
	struct admin *admin;
};

static struct snapshot *op_snapshot(void *arg)
{
	struct daemon *d = arg;
	snapshot_unref(d->held);
	d->held = snapshot_slot_acquire(&d->house->policy);
	return d->held;
}

static bool op_contact(void *arg, struct slice local, struct slice remote)
{
	struct daemon *d = arg;
	return gateway_knows_contact(d->house->gateway, local, remote);
}

static int op_address(void *arg, struct slice text, bool *ret_is_sip, char *ret_jid, size_t size, struct entente_err *err)
{
	(void)arg;
	*ret_is_sip = slice_starts(text, S("sip:"));
	slice_split(&text, ':');
	return slice_cstr(text, ret_jid, size) ? 0 : err_set(err, ENTENTE_ELIMIT, REASON_ADDRESS_TOO_LONG, "too long");
}

static const struct admin_ops ops = {.snapshot = op_snapshot, .contact = op_contact, .address = op_address};

struct question {
	bool in, subscribe, invite;
	char from[64], to[64];
};

/* REASON_NONE: it would be allowed. */
static enum reason explained(struct daemon *d, const struct question *q)
{
	char request[512];
	struct buf out;
	enum reason reason = REASON_NONE;
	snprintf(request, sizeof request,
		 "{\"command\":[\"explain\"],\"args\":{\"from\":\"%s:%s\",\"to\":\"%s:%s\",\"kind\":\"%s\",\"direction\":\"%s\",\"via\":\"xmpp\"},\"json\":true}",
		 q->in ? "xmpp" : "sip", q->from, q->in ? "sip" : "xmpp", q->to, q->subscribe ? "presence" : "message", q->in ? "to-local" : "to-remote");
	buf_init(&out, 1 << 20);
	admin_execute(d->admin, S("test"), slice_str(request), &out);
	json_t *j = json_loadb(buf_slice(&out).p, out.len, 0, NULL), *data = json_object_get(j, "data");
	const char *text = json_string_value(json_object_get(data, "reason"));
	if (!data || !json_is_boolean(json_object_get(data, "allowed")))
		fail_msg("%s: %.*s", request, SFMT(buf_slice(&out)));
	assert_int_equal(json_is_true(json_object_get(data, "allowed")), text == NULL);
	for (int i = 1; text && i < REASON_COUNT; i++)
		if (!strcmp(reason_info((enum reason)i)->id, text))
			reason = (enum reason)i;
	assert_true(!text || reason);
	json_decref(j);
	buf_free(&out);
	return reason;
}

/* ---- the same thing for real */

static bool newest(void *arg, const struct record *r)
{
	*(const struct record **)arg = r;
	return false;
}

static const struct record *happens(struct house *h, const struct question *q)
{
	static unsigned call;
	const struct record *r = NULL;
	char id[32];
	buf_clear(&h->log);
	snprintf(id, sizeof id, "e%u", ++call);
	if (q->in && q->subscribe)
		partner_presence(h, q->from, q->to, "subscribe", "");
	else if (q->in)
		partner_message(h, q->from, q->to, "hello");
	else if (q->subscribe)
		home_subscribes(h, id, 1, q->from, q->to, NULL, 0);
	else if (q->invite)
		home_says(h, "INVITE sip:%s SIP/2.0\nVia: SIP/2.0/TCP home;branch=z9hG4bK%s\nMax-Forwards: 70\nFrom: <sip:%s>;tag=1\nTo: <sip:%s>\nCall-ID: %s\nCSeq: 1 INVITE\n\n",
			  q->to, id, q->from, q->to, id);
	else
		home_message(h, q->from, q->to, "hello");
	record_each(h->records, newest, &r);
	assert_non_null(r);
	return r;
}

static bool said(struct house *h, const char *part)
{
	return slice_find(buf_slice(&h->log), slice_str(part)) >= 0;
}

/* What went over the wires, without a look at any record. */
static bool passed(struct house *h, const struct question *q)
{
	if (q->in && q->subscribe)
		return !said(h, "X presence/unsubscribed");
	if (q->in)
		return said(h, "S MESSAGE sip:") && !said(h, "X message/error");
	if (q->subscribe)
		return said(h, "S 200 SUBSCRIBE");
	return said(h, "X message ");
}

static void ask(struct question *q)
{
	const char *remote = remotes[dice(REMOTES)], *local = locals[dice(LOCALS)], *user = users[dice(USERS)];
	*q = (struct question){.in = dice(2), .subscribe = !dice(3)};
	q->invite = !q->in && !q->subscribe && !dice(5);
	snprintf(q->in ? q->from : q->to, 64, "juliet%u@%s", dice(3), remote);
	snprintf(q->in ? q->to : q->from, 64, "%s@%s", user, local);
	if (!q->in && !dice(12)) /* to ourselves, and in a partner's name */
		snprintf(q->to, 64, "nurse@contoso.test");
	if (!q->in && !dice(12))
		snprintf(q->from, 64, "juliet@%s", remotes[dice(REMOTES)]);
}

static void never_disagree(void **state)
{
	unsigned n_allowed = 0, n_refused = 0, seen[REASON_COUNT] = {0}, different = 0;
	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct house *h = house_new();
		struct daemon d = {.house = h};
		d.admin = admin_new(NULL, &ops, &d);
		for (unsigned i = 0; i < QUESTIONS; i++) {
			struct question q;
			if (i % 8 == 0)
				policy(h);
			ask(&q);
			if (q.in && strcmp(strchr(q.to, '@'), "@contoso.test") != 0) /* the house has streams to contoso.test alone */
				continue;
			enum reason want = explained(&d, &q);
			const struct record *r = happens(h, &q);
			bool allowed = r->asked && r->allowed;
			if (!r->asked || allowed != (want == REASON_NONE) || (!allowed && r->reason != want))
				fail_msg("%s%s %s > %s: explained %s, but %s %s", q.in ? "in" : "out", q.subscribe ? " subscribe" : q.invite ? " invite" : "", q.from, q.to,
					 reason_info(want)->id, r->asked ? "" : "not asked", reason_info((enum reason)r->reason)->id);
			if (!q.invite && passed(h, &q) != (want == REASON_NONE))
				fail_msg("%s%s %s > %s: explained %s, but: %.*s", q.in ? "in" : "out", q.subscribe ? " subscribe" : "", q.from, q.to,
					 reason_info(want)->id, SFMT(buf_slice(&h->log)));
			if (said(h, "S MESSAGE sip:"))
				home_answers(h, "MESSAGE", 0, 200, "");
			house_pass(h, 1000);
			n_allowed += allowed;
			n_refused += !allowed;
			different += !allowed && !seen[want]++;
		}
		buf_clear(&h->log);
		admin_free(d.admin);
		snapshot_unref(d.held);
		house_free(h);
	}
	print_message("%u allowed, %u refused for %u different reasons\n", n_allowed, n_refused, different);
	assert_true(n_allowed > 300 && n_refused > 300 && different >= 6);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {{"L11 explain and the gateway never disagree", never_disagree, NULL, NULL, NULL}};
	seed = argc > 1 ? strtoull(argv[1], NULL, 10) : (uint64_t)getpid() * 2654435761u + 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
