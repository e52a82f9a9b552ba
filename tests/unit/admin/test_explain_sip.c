/* SPDX-License-Identifier: Apache-2.0 */
/* explain for SIP partners: the objects that decided, and the property that it says what the data path does: its question is compared with one that
 * is put together here as the edge does (edge/access.c, edge/access_peer.c), over many policies, partners, certificates, records and marks. */
#include "rig.h"

#include "fields.h"
#include "policy/decide.h"

static int setup(void **state)
{
	rig_setup(state);
	rig_ok(*state, "access-edge set --federated-users");
	return 0;
}

static json_t *step_of(json_t *d, const char *rule)
{
	json_t *one;
	size_t i;
	json_array_foreach(json_object_get(d, "steps"), i, one)
		if (!strcmp(json_string_value(json_object_get(one, "rule")), rule))
			return one;
	fail_msg("no step %s", rule);
	return NULL;
}

static void decided_by(struct rig *r, const char *command, int exit, const char *rule, const char *object, const char *changed)
{
	json_t *d = rig_data(r, command, exit), *st = step_of(d, rule);
	const char *o = json_string_value(json_object_get(st, "object")), *c = json_string_value(json_object_get(st, "changed"));
	assert_non_null(o);
	assert_string_equal(o, object);
	if (!changed)
		assert_null(c);
	else if (!c || !strstr(c, changed))
		fail_msg("changed: %s", c ? c : "null");
	json_decref(d);
}

#define IN "explain --via sip --from sip:mercutio@adatum.test --to sip:romeo@contoso.test --kind message"
#define OUT "explain --via sip --from sip:romeo@contoso.test --to sip:mercutio@adatum.test --kind message"

static void objects(void **state)
{
	struct rig *r = *state;
	decided_by(r, OUT, 1, "partner", "access-edge partner-discovery=false", NULL);
	decided_by(r, OUT, 1, "federation", "access-edge federated-users=true", "federated-users");
	rig_ok(r, "allowed-domain add adatum.test");
	decided_by(r, OUT, 0, "partner", "allowed-domain adatum.test", "by alice: allowed-domain adatum.test");
	decided_by(r, IN, 0, "verification", "allowed-domain adatum.test verification-level=use-source-verification", "allowed-domain adatum.test");
	decided_by(r, IN, 0, "local-domain", "home main, domain contoso.test", NULL);
	decided_by(r, IN " --mark none", 1, "verification", "allowed-domain adatum.test verification-level=use-source-verification", "allowed-domain adatum.test");
	rig_ok(r, "allowed-domain set adatum.test --proxy-fqdn gw.adatum.test");
	decided_by(r, OUT, 0, "identity", "allowed-domain adatum.test proxy-fqdn", "gw.adatum.test");
	rig_ok(r, "allowed-domain remove adatum.test");
	rig_ok(r, "blocked-domain add adatum.test");
	decided_by(r, IN, 1, "blocked", "blocked-domain adatum.test", "blocked-domain add adatum.test");
	rig_ok(r, "blocked-domain remove adatum.test");
	rig_ok(r, "public-provider add Messenger --proxy-fqdn sip.adatum.test");
	decided_by(r, OUT, 1, "partner", "public-provider Messenger enabled=false", "public-provider Messenger");
	rig_ok(r, "public-provider enable Messenger");
	decided_by(r, OUT, 0, "partner", "public-provider Messenger enabled=true", "public-provider Messenger");
	rig_ok(r, "public-provider remove Messenger");
	rig_ok(r, "access-edge set --partner-discovery");
	decided_by(r, IN, 0, "partner", "access-edge partner-discovery=true", "partner-discovery");
	json_t *d = rig_data(r, IN, 0);
	assert_string_equal(json_string_value(json_object_get(d, "limits")), "20 messages a second, 1000 local addresses");
	json_decref(d);
}

/* ---- the property */

static const char *const policies[][6] = {
	{NULL},
	{"access-edge set --federated-users=false"},
	{"allowed-domain add adatum.test"},
	{"allowed-domain add adatum.test --verification-level always-unverifiable"},
	{"allowed-domain add adatum.test --verification-level always-verifiable"},
	{"allowed-domain add adatum.test --proxy-fqdn gw.adatum.test"},
	{"allowed-domain add test --verification-level always-verifiable"},
	{"blocked-domain add adatum.test", "access-edge set --partner-discovery"},
	{"blocked-domain add sub.adatum.test", "allowed-domain add adatum.test"},
	{"access-edge set --partner-discovery"},
	{"access-edge set --partner-discovery --discovered-partner-verification-level always-unverifiable"},
	{"access-edge set --partner-discovery --discovered-partner-verification-level always-verifiable --discovered-partner-contacts-limit=false"},
	{"access-edge set --routing default --default-route-fqdn gw.carrier.test"},
	{"access-edge set --routing default --default-route-fqdn gw.carrier.test --verification-level always-verifiable"},
	{"hosting-provider add Host --proxy-fqdn gw.carrier.test --enabled"},
	{"hosting-provider add Host --proxy-fqdn gw.carrier.test --enabled", "allowed-domain add adatum.test"},
	{"hosting-provider add Host --proxy-fqdn gw.carrier.test", "access-edge set --partner-discovery"},
	{"hosting-provider add Host --proxy-fqdn gw.carrier.test --enabled --shared-address-space --verification-level always-verifiable"},
	{"public-provider add Im --proxy-fqdn gw.carrier.test --enabled"},
	{"public-provider add Im --proxy-fqdn gw.carrier.test --enabled --name-decoration-routing-domain adatum.test"},
	{"allowed-domain add adatum.test --verification-level always-verifiable", "allowed-domain add litware.test", "access-edge set --clearing-house"},
	{"allowed-domain add adatum.test --proxy-fqdn gw.adatum.test --verification-level always-verifiable", "allowed-domain add litware.test --proxy-fqdn gw.litware.test",
	 "access-edge set --clearing-house"},
	{"partner xmpp add adatum.test --type federated", "access-edge set --partner-discovery"},
};
static const char *const undo[] = {"allowed-domain", "blocked-domain", "hosting-provider", "public-provider"};
static const char *const remotes[] = {"adatum.test", "sub.adatum.test", "contoso.test"};
static const char *const locals[] = {"contoso.test", "litware.test"};
static const char *const kinds[] = {"message", "session", "presence-subscribe", "presence-state", "request"};
static const char *const srvs[] = {NULL, "gw.adatum.test", "gw.carrier.test", "gw.elsewhere.test", "none", "failed"};
static const char *const marks[] = {NULL, "none", "unverified"};
static const char *const peers[] = {NULL, "adatum.test", "gw.adatum.test", "gw.carrier.test", "other.test"};

static void clear(struct rig *r)
{
	for (size_t i = 0; i < 4; i++) {
		char command[200];
		snprintf(command, sizeof command, "%s list", undo[i]);
		json_t *d = rig_data(r, command, 0), *row;
		size_t k;
		json_array_foreach(json_object_get(d, i == 0 ? "allowed" : i == 1 ? "blocked" : "providers"), k, row) {
			const char *key = json_string_value(json_object_get(row, i < 2 ? "domain" : "name"));
			snprintf(command, sizeof command, "%s remove %s", undo[i], key);
			rig_ok(r, command);
		}
		json_decref(d);
	}
	if (snapshot_partner(r->snapshot, S("adatum.test")))
		rig_ok(r, "partner xmpp remove adatum.test");
	rig_ok(r, "access-edge set --federated-users --clearing-house=false --partner-discovery=false --routing dns-srv --verification-level use-source-verification "
		  "--discovered-partner-verification-level use-source-verification --discovered-partner-contacts-limit");
}

struct point {
	bool in;
	const char *remote, *local, *kind, *srv, *mark, *peer;
};

static bool nobody(void *arg)
{
	(void)arg;
	return false;
}

/* As the edge asks: outward first where to, then whether the server there is the one. */
static void live(struct rig *r, const struct point *p, struct policy_verdict *v, size_t *steps, unsigned *through)
{
	char usual[300];
	struct slice remote = slice_str(p->remote), local = slice_str(p->local);
	const struct policy_allowed *allowed = snapshot_allowed(r->snapshot, remote);
	snprintf(usual, sizeof usual, "sip.%s", p->remote);
	struct slice target = slice_str(p->srv ? p->srv : usual), name = slice_str(p->peer ? p->peer : allowed && allowed->proxy_fqdn.len ? allowed->proxy_fqdn.p : p->remote);
	bool found = !p->srv || (strcmp(p->srv, "none") && strcmp(p->srv, "failed"));
	struct policy_sip sip = {.connected = p->in, .chain_ok = true, .dns = &name, .n_dns = 1, .targets = found ? &target : NULL, .n_targets = found,
				 .srv = found ? POLICY_SRV_FOUND : strcmp(p->srv, "none") ? POLICY_SRV_FAILED : POLICY_SRV_NONE,
				 .mark = !p->mark ? POLICY_MARK_VERIFIED : strcmp(p->mark, "none") ? POLICY_MARK_UNVERIFIED : POLICY_MARK_NONE};
	struct policy_question q = {.direction = p->in ? POLICY_TO_LOCAL : POLICY_TO_REMOTE, .sip = &sip};
	uint32_t home;
	assert_true(policy_kind_parse(&q.kind, slice_str(p->kind)));
	q.from = p->in ? (struct policy_party){S("x"), remote} : (struct policy_party){S("romeo"), local};
	q.to = p->in ? (struct policy_party){S("romeo"), local} : (struct policy_party){S("x"), remote};
	if (!p->in && snapshot_local(r->snapshot, local, &home))
		q.peer_home = home + 1;
	policy_decide_request(r->snapshot, &q, nobody, NULL, v);
	*steps = v->n_steps;
	if (!p->in && v->allow) {
		struct slice server = v->route.len ? v->route : found ? target : remote;
		name = p->peer ? slice_str(p->peer) : server;
		sip.connected = true;
		sip.host = server;
		policy_decide_request(r->snapshot, &q, nobody, NULL, v);
		*steps = v->n_steps;
	}
	if (v->allow && v->transit) { /* the clearing house's other side, with nothing amiss there */
		const struct policy_allowed *to = snapshot_allowed(r->snapshot, local);
		size_t before = v->n_steps;
		snprintf(usual, sizeof usual, "sip.%s", p->local);
		target = slice_str(usual);
		name = to->proxy_fqdn.len ? to->proxy_fqdn : target;
		sip = (struct policy_sip){.connected = true, .chain_ok = true, .dns = &name, .n_dns = 1, .host = name, .srv = POLICY_SRV_FOUND, .targets = &target, .n_targets = 1};
		q.direction = POLICY_TO_REMOTE;
		q.transit = true;
		policy_decide_request(r->snapshot, &q, nobody, NULL, v);
		*through += v->allow;
		*steps = before + v->n_steps;
	}
}

static void compare(struct rig *r, const struct point *p)
{
	char command[1024];
	struct policy_verdict v;
	size_t steps;
	unsigned through = 0;
	int n = snprintf(command, sizeof command, "explain --via sip --direction %s --from sip:%s@%s --to sip:%s@%s --kind %s", p->in ? "to-local" : "to-remote",
			 p->in ? "x" : "romeo", p->in ? p->remote : p->local, p->in ? "romeo" : "x", p->in ? p->local : p->remote, p->kind);
	if (p->srv)
		n += snprintf(command + n, sizeof command - (size_t)n, " --srv %s", p->srv);
	if (p->mark)
		n += snprintf(command + n, sizeof command - (size_t)n, " --mark %s", p->mark);
	if (p->peer)
		snprintf(command + n, sizeof command - (size_t)n, " --peer %s", p->peer);
	live(r, p, &v, &steps, &through);
	json_t *d = rig_data(r, command, v.allow ? 0 : 1);
	const char *reason = json_string_value(json_object_get(d, "reason"));
	assert_int_equal(json_is_true(json_object_get(d, "allowed")), v.allow);
	assert_string_equal(reason ? reason : "none", v.allow ? "none" : reason_info(v.reason)->id);
	assert_string_equal(json_string_value(json_object_get(d, "class")), policy_class_name(v.cls));
	assert_int_equal(json_array_size(json_object_get(d, "steps")), steps);
	assert_int_equal(!strcmp(json_string_value(json_object_get(d, "direction")), "through"), steps != v.n_steps);
	json_decref(d);
}

static void agrees(void **state)
{
	struct rig *r = *state;
	size_t steps;
	unsigned through = 0, points = 0, allowed = 0, reasons[REASON_COUNT] = {0}, kinds_of = 0;
	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
		clear(r);
		for (size_t k = 0; policies[i][k]; k++)
			rig_ok(r, policies[i][k]); /* each of them is in force alone */
		for (size_t n = 0; n < 2 * 3 * 2 * 6 * 3 * 5; n += 7) /* every seventh: no stride of the table */ {
			struct point p = {.in = n % 2, .remote = remotes[n / 2 % 3], .local = locals[n / 6 % 2], .srv = srvs[n / 12 % 6], .mark = marks[n / 72 % 3],
					  .peer = peers[n / 216 % 5], .kind = kinds[(n + i) % 5]};
			struct policy_verdict v;
			if (!p.in && p.mark)
				continue;
			compare(r, &p);
			live(r, &p, &v, &steps, &through);
			points++;
			allowed += v.allow;
			reasons[v.reason]++;
		}
	}
	for (size_t i = 1; i < REASON_COUNT; i++)
		kinds_of += reasons[i] > 0;
	print_message("# %u questions, %u allowed, %u different reasons\n", points, allowed, kinds_of);
	assert_true(through > 5 && points > 1500 && allowed > 40 && kinds_of >= 11); /* that it is no comparison of nothing with nothing */
}

static void documented(void **state)
{
	struct rig *r = *state;
	rig_ok(r, "access-edge set --partner-discovery");
	fields_check(r, IN, 0);
	fields_check(r, IN " --mark unverified", 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)
int main(void)
{
	const struct CMUnitTest tests[] = {TEST(objects), {"L11 explain and the decision about SIP partners never disagree", agrees, setup, rig_teardown, NULL}, TEST(documented)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
