/* SPDX-License-Identifier: Apache-2.0 */
/* Documents, drafts, policy tests, rollback: against a real store and a real configuration file. */
#include "rig.h"

#include <sys/stat.h>

static json_t *ask_as(struct rig *r, const char *who, json_t *request)
{
	struct buf out;
	char *text = json_dumps(request, JSON_COMPACT);
	buf_init(&out, 1 << 26);
	admin_execute(r->admin, slice_str(who), slice_str(text), &out);
	json_t *j = json_loadb(buf_slice(&out).p, out.len, 0, NULL);
	assert_non_null(j);
	free(text);
	buf_free(&out);
	json_decref(request);
	return j;
}

/* A command line of some administrator; expects the exit code. The response. */
static json_t *as(struct rig *r, const char *who, const char *command, int exit)
{
	char line[2048];
	const char *words[64];
	struct admin_line l;
	struct buf why;
	buf_init(&why, 65536);
	assert_true(slice_cstr(slice_str(command), line, sizeof line));
	if (admin_line_parse(&l, rig_words(line, words, 64), words, &why) != ADMIN_RUN)
		fail_msg("%s: %.*s", command, SFMT(buf_slice(&why)));
	json_t *path = json_array();
	for (size_t i = 0; l.command->path[i]; i++)
		json_array_append_new(path, json_string(l.command->path[i]));
	json_t *request = json_pack("{s:o s:O s:b}", "command", path, "args", l.args, "json", 1);
	if (l.staged)
		json_object_set_new(request, "staged", json_true());
	json_t *j = ask_as(r, who, request);
	if (json_integer_value(json_object_get(j, "exit")) != exit) {
		char *text = json_dumps(j, JSON_INDENT(1));
		fail_msg("%s: exit is not %d: %s", command, exit, text);
	}
	admin_line_free(&l);
	buf_free(&why);
	return j;
}

static void ok(struct rig *r, const char *who, const char *command)
{
	json_decref(as(r, who, command, 0));
}

static json_t *import(struct rig *r, const char *document, const char *option, int exit)
{
	json_t *args = json_pack("{s:s}", "document", document);
	if (option)
		json_object_set_new(args, option, json_true());
	json_t *j = ask_as(r, "alice", json_pack("{s:[ss] s:o s:b}", "command", "policy", "import", "args", args, "json", 1));
	if (json_integer_value(json_object_get(j, "exit")) != exit) {
		char *text = json_dumps(j, JSON_INDENT(1));
		fail_msg("exit is not %d: %s", exit, text);
	}
	return j;
}

static const char *text_of(json_t *j, const char *member)
{
	const char *z = json_string_value(json_object_get(j, member));
	return z ? z : "";
}

static json_t *data(json_t *j)
{
	return json_object_get(j, "data");
}

static json_t *error(json_t *j)
{
	return json_object_get(j, "error");
}

static char *export(struct rig *r, const char *command)
{
	json_t *j = as(r, "alice", command, 0);
	char *text = strdup(text_of(data(j), "text"));
	json_decref(j);
	return text;
}

static int64_t generation(struct rig *r)
{
	return store_generation(r->store);
}

static void some_policy(struct rig *r)
{
	ok(r, "alice", "access-edge set --federated-users --partner-discovery");
	ok(r, "alice", "partner xmpp add fabrikam.test --type federated --additional-domain research.fabrikam.test --server [2001:db8::1]:5270 "
		       "--description 'they \"said\" #no: yes \xf0\x9f\x98\x80'");
	ok(r, "alice", "partner xmpp add chat.test --type public-unverified --no-sasl");
	ok(r, "alice", "blocked-domain add evil.test --comment 'null'");
	ok(r, "alice", "allowed-domain add litware.test --proxy-fqdn edge.litware.test --comment 12");
	ok(r, "alice", "hosting-provider add 'Big Cloud' --proxy-fqdn sip.cloud.test --enabled");
}

/* ---- documents */

static void round_trip(void **state)
{
	struct rig *r = *state;
	some_policy(r);
	char *yaml = export(r, "policy export"), *json = export(r, "policy export --format json");
	assert_non_null(strstr(yaml, "xmpp-partners:\n  - domain: chat.test\n    type: public-unverified\n"));
	assert_non_null(strstr(yaml, "    server: \"[2001:db8::1]:5270\"\n"));
	assert_non_null(strstr(yaml, "    description: \"they \\\"said\\\" #no: yes \xf0\x9f\x98\x80\"\n"));
	assert_non_null(strstr(yaml, "    comment: \"null\"\n"));
	json_t *parsed = json_loads(json, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(parsed); /* JSON for everybody, not only for us */
	json_decref(parsed);
	/* what is in force already changes nothing, and takes no generation */
	int64_t before = generation(r);
	json_t *j = import(r, yaml, NULL, 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "changes")), 0);
	json_decref(j);
	json_decref(import(r, json, NULL, 0));
	assert_int_equal(generation(r), before);
	/* into an empty policy, and back */
	for (int i = 0; i < 2; i++) {
		json_decref(import(r, "format: entente-policy/1\n", NULL, 0));
		assert_int_equal(generation(r), before + 1 + 2 * i);
		j = as(r, "alice", "partner xmpp list", 0);
		assert_int_equal(json_array_size(json_object_get(data(j), "partners")), 0);
		json_decref(j);
		json_decref(import(r, i ? json : yaml, NULL, 0));
		char *again = export(r, "policy export");
		assert_string_equal(again, yaml);
		free(again);
	}
	free(yaml);
	free(json);
}

static unsigned any(unsigned n)
{
	static uint32_t seed = 12345;
	seed = seed * 1103515245u + 12345u;
	return (seed >> 16) % n;
}

/* Any policy: export, import, export give the same octets. */
static void property(void **state)
{
	struct rig *r = *state;
	static const char *const texts[] = {"", "yes", "0x1f", "a: b # c", "\"quoted\" \\ back", " leading", "trailing ", "-", "[x]", "{y}", "\xc3\xa9",
					    "\xe2\x80\xa8 line", "\xef\xbb\xbf""bom", "\xef\xbf\xbe", "'", "!tag", "&a *b", "%d", "@at", "`tick`", "|", ">", "? k"};
	enum { TEXTS = sizeof texts / sizeof *texts };
	static const char *const words[] = {"required", "optional", "not-supported"};
	for (int round = 0; round < 6; round++) {
		json_t *partners = json_array(), *blocked = json_array(), *allowed = json_array(), *d;
		char name[64];
		for (unsigned i = 0; i < 1 + any(30); i++) {
			unsigned tls = any(2);
			json_t *more = json_array(), *pins = json_array();
			for (unsigned k = 0; k < any(4); k++)
				json_array_append_new(more, json_sprintf("%sx%u-%u.p%u.test", k & 1 ? "*." : "", i, k, round));
			for (unsigned k = 0; k < any(3); k++)
				json_array_append_new(pins, json_sprintf("%064x", any(1000) * 8 + k));
			snprintf(name, sizeof name, "%c%u.p%d.test", (int)('a' + any(26)), i, round);
			json_array_append_new(partners, json_pack("{s:s s:s s:o s:s s:s s:b s:i s:o s:s}", "domain", name, "type", any(2) ? "federated" : "public-verified",
								  "additional-domains", more, "tls", words[tls], "sasl", words[any(2) + 1], "dialback", 1, "connection-limit",
								  (int)any(100), "pins", pins, "description", texts[any(TEXTS)]));
			json_array_append_new(blocked, json_pack("{s:o s:s}", "domain", json_sprintf("b%u.r%d.test", i, round), "comment", texts[any(TEXTS)]));
			json_array_append_new(allowed, json_pack("{s:o s:s}", "domain", json_sprintf("l%u.r%d.test", i, round), "comment", texts[any(TEXTS)]));
		}
		d = json_pack("{s:s s:{s:b s:i} s:o s:o s:o}", "format", "entente-policy/1", "access-edge", "federated-users", (int)any(2),
			      "discovered-partner-standard-rate", (int)(1 + any(50)), "xmpp-partners", partners, "blocked-domains", blocked, "allowed-domains", allowed);
		char *text = json_dumps(d, JSON_INDENT(1) | JSON_ENSURE_ASCII);
		json_decref(import(r, text, NULL, 0));
		char *yaml = export(r, "policy export"), *json = export(r, "policy export --format json");
		json_decref(import(r, "format: entente-policy/1", NULL, 0));
		json_decref(import(r, round & 1 ? yaml : json, NULL, 0));
		char *again = export(r, "policy export");
		assert_string_equal(again, yaml);
		free(again);
		free(yaml);
		free(json);
		free(text);
		json_decref(d);
	}
}

#define HEAD "format: entente-policy/1\n"

static void bad_documents(void **state)
{
	struct rig *r = *state;
	static const struct {
		const char *document;
		int line, column;
		const char *text;
	} cases[] = {
		{"", 0, 0, "entente-policy/1 is wanted"},
		{"- a\n", 1, 1, "a document is a mapping"},
		{"format: entente-policy/2\n", 1, 9, "this is 'entente-policy/2',"},
		{HEAD "xmpp-partner: []\n", 2, 1, "unknown key 'xmpp-partner' at the top; did you mean 'xmpp-partners'?"},
		{HEAD "xmpp-partners:\n  - domain: a.test\n    type: federated\n    tlss: required\n", 5, 5, "unknown key 'tlss' in xmpp-partners[0]; did you mean 'tls'?"},
		{HEAD "xmpp-partners:\n  - domain: a.test\n    type: federatd\n", 4, 11, "'federatd' is not one of federated|public-verified|public-unverified; did you mean 'federated'?"},
		{HEAD "xmpp-partners:\n  - domain: a.test\n", 3, 5, "'type' is missing"},
		{HEAD "xmpp-partners:\n  - type: federated\n", 3, 5, "'domain' is missing"},
		{HEAD "xmpp-partners:\n  - domain: a b\n    type: federated\n", 3, 13, "'a b' is not a domain, like fabrikam.example"},
		{HEAD "xmpp-partners:\n  - domain: a.test\n    type: federated\n    dialback: no\n", 5, 15, "'no' is not true or false"},
		{HEAD "xmpp-partners:\n  - domain: a.test\n    type: federated\n    connection-limit: 1e3\n", 5, 23, "'1e3' is not a whole number from 0 to 100000, like 0"},
		{HEAD "xmpp-partners:\n  - domain: a.test\n    type: federated\n    additional-domains: b.test\n", 5, 25, "a list is wanted, this is a single value"},
		{HEAD "xmpp-partners:\n  - domain: a.test\n    type: federated\n    pins: [abc]\n", 5, 12, "'abc' is not a pin"},
		{HEAD "xmpp-partners:\n  - domain: a.test\n    type: federated\n    server: a b\n", 5, 13, "'a b' is not HOST, HOST:PORT or [IPV6]:PORT"},
		{HEAD "xmpp-partners:\n  - {domain: a.test, type: federated}\n  - {domain: A.TEST, type: federated}\n", 4, 5, "a.test is already on line 3"},
		{HEAD "xmpp-partners:\n  - {domain: a.test, type: federated, sasl: required, tls: not-supported, dialback: false}\n", 3, 5, "no way to authenticate is left"},
		{HEAD "blocked-domains: {}\n", 2, 18, "a list is wanted, this is a mapping"},
		{HEAD "hosting-providers:\n  - {name: P}\n", 3, 5, "needs proxy-fqdn"},
		{HEAD "access-edge: {federated-users: 1}\n", 2, 32, "'1' is not true or false"},
		{HEAD "xmpp-partners: [\n", 3, 1, "not YAML"},
		{HEAD "x: &a 1\n", 2, 4, "anchors"},
	};
	some_policy(r);
	int64_t before = generation(r);
	char *was = export(r, "policy export");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		json_t *j = import(r, cases[i].document, NULL, ADMIN_EXIT_FINDING), *f = json_array_get(json_object_get(error(j), "findings"), 0);
		assert_string_equal(text_of(error(j), "code"), "syntax");
		if (json_integer_value(json_object_get(f, "line")) != cases[i].line || json_integer_value(json_object_get(f, "column")) != cases[i].column ||
		    !strstr(text_of(f, "text"), cases[i].text))
			fail_msg("case %zu: %lld:%lld %s", i, json_integer_value(json_object_get(f, "line")), json_integer_value(json_object_get(f, "column")),
				 text_of(f, "text"));
		json_decref(j);
	}
	/* each by itself is well, but not together: told with the place of the one that does not fit */
	json_t *j = import(r, HEAD "xmpp-partners:\n  - {domain: a.test, type: federated}\nallowed-domains:\n  - {domain: b.test}\n  - {domain: a.test}\n", NULL,
			   ADMIN_EXIT_REFUSED);
	json_t *f = json_array_get(json_object_get(error(j), "findings"), 0);
	assert_string_equal(text_of(error(j), "code"), "invalid");
	assert_int_equal(json_integer_value(json_object_get(f, "line")), 6);
	assert_string_equal(text_of(f, "text"), "a.test belongs to an XMPP partner");
	json_decref(j);
	j = import(r, HEAD "xmpp-partners:\n  - {domain: contoso.test, type: federated}\n", NULL, ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(text_of(error(j), "text"), "line 3, xmpp-partner contoso.test"));
	json_decref(j);
	char *is = export(r, "policy export");
	assert_string_equal(is, was);
	assert_int_equal(generation(r), before);
	free(is);
	free(was);
}

static void merge_and_what_if(void **state)
{
	struct rig *r = *state;
	some_policy(r);
	int64_t before = generation(r);
	const char *more = HEAD "xmpp-partners:\n  - {domain: adatum.test, type: federated}\n  - {domain: chat.test, type: federated}\n";
	json_t *j = import(r, more, "what-if", 0), *list = json_object_get(data(j), "changes");
	assert_int_equal(generation(r), before);
	assert_true(json_array_size(list) > 4); /* exactly that document: the others would go */
	json_decref(j);
	j = import(r, more, "merge", 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "changes")), 2);
	assert_int_equal(generation(r), before + 1);
	json_decref(j);
	j = as(r, "alice", "partner xmpp list", 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "partners")), 3);
	json_decref(j);
	/* domains that change hands, in a ring */
	json_decref(import(r, HEAD "xmpp-partners:\n  - {domain: a.test, type: federated, additional-domains: [x.test]}\n  - {domain: b.test, type: federated, "
				   "additional-domains: [y.test]}\n", NULL, 0));
	json_decref(import(r, HEAD "xmpp-partners:\n  - {domain: a.test, type: federated, additional-domains: [y.test]}\n  - {domain: b.test, type: federated, "
				   "additional-domains: [x.test]}\n", NULL, 0));
	json_decref(import(r, HEAD "xmpp-partners:\n  - {domain: x.test, type: federated, additional-domains: [a.test]}\n", NULL, 0));
}

/* ---- drafts */

static void draft(void **state)
{
	struct rig *r = *state;
	some_policy(r);
	int64_t before = generation(r);
	unsigned published = r->published;
	json_t *j = as(r, "alice", "config diff", ADMIN_EXIT_FINDING);
	assert_string_equal(text_of(error(j), "code"), "no-draft");
	json_decref(j);
	ok(r, "alice", "config begin");
	json_decref(as(r, "alice", "config begin", ADMIN_EXIT_FINDING)); /* one each */
	j = as(r, "alice", "partner xmpp set chat.test --disabled", 0);
	assert_true(json_is_true(json_object_get(j, "staged")));
	json_decref(j);
	ok(r, "alice", "partner xmpp add adatum.test --type federated");
	ok(r, "alice", "blocked-domain remove evil.test");
	json_decref(as(r, "alice", "partner xmpp add adatum.test --type federated", ADMIN_EXIT_FINDING)); /* it is in the draft already */
	/* nothing of it is in force, but the draft knows */
	assert_int_equal(generation(r), before);
	assert_int_equal(r->published, published);
	json_decref(as(r, "alice", "partner xmpp show adatum.test", ADMIN_EXIT_FINDING));
	ok(r, "alice", "partner xmpp show adatum.test --staged");
	ok(r, "alice", "explain --from romeo@contoso.test --to j@adatum.test --kind message --via xmpp --staged");
	json_decref(as(r, "alice", "explain --from romeo@contoso.test --to j@adatum.test --kind message --via xmpp", ADMIN_EXIT_FINDING));
	/* somebody else is not concerned */
	json_decref(as(r, "bob", "partner xmpp show adatum.test --staged", ADMIN_EXIT_FINDING));
	j = as(r, "bob", "partner xmpp set fabrikam.test --description new", 0);
	assert_null(json_object_get(j, "staged"));
	json_decref(j);
	j = as(r, "alice", "config diff", 0);
	json_t *list = json_object_get(data(j), "changes");
	assert_int_equal(json_array_size(list), 3);
	assert_string_equal(text_of(json_array_get(list, 0), "key"), "adatum.test");
	assert_string_equal(text_of(json_array_get(list, 0), "change"), "add");
	assert_string_equal(text_of(json_array_get(list, 1), "key"), "chat.test");
	assert_int_equal(json_array_size(json_object_get(json_array_get(list, 1), "fields")), 1);
	assert_string_equal(text_of(json_array_get(list, 2), "change"), "remove");
	assert_int_equal(json_array_size(json_object_get(data(j), "conflicts")), 0);
	json_decref(j);
	ok(r, "alice", "config commit --what-if");
	assert_int_equal(generation(r), before + 1); /* bob's */
	/* a restart in between */
	admin_free(r->admin);
	r->admin = admin_new(r->store, &rig_ops, r);
	j = as(r, "alice", "config commit --comment 'ticket 7'", 0);
	assert_int_equal(json_integer_value(json_object_get(j, "generation")), before + 2);
	json_decref(j);
	ok(r, "alice", "partner xmpp show adatum.test");
	j = as(r, "alice", "partner xmpp show fabrikam.test", 0);
	assert_string_equal(text_of(data(j), "description"), "new"); /* bob's change is not undone */
	json_decref(j);
	json_decref(as(r, "alice", "config diff", ADMIN_EXIT_FINDING)); /* the draft is gone */
	j = as(r, "alice", "config history --limit 1", 0);
	json_t *newest = json_array_get(json_object_get(data(j), "history"), 0);
	assert_string_equal(text_of(newest, "what"), "commit (ticket 7): 3 objects");
	assert_int_equal(json_array_size(json_object_get(newest, "lines")), 3);
	assert_true(json_is_true(json_object_get(newest, "kept")));
	json_decref(j);
	j = as(r, "alice", "config history --generation 8", 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "changes")), 3);
	json_decref(j);
}

static void conflicts(void **state)
{
	struct rig *r = *state;
	some_policy(r);
	ok(r, "alice", "config begin");
	ok(r, "bob", "config begin");
	ok(r, "alice", "partner xmpp set chat.test --disabled");
	ok(r, "alice", "blocked-domain add spam.test");
	ok(r, "bob", "partner xmpp set chat.test --description mine");
	ok(r, "bob", "partner xmpp set fabrikam.test --description mine");
	ok(r, "alice", "config commit");
	int64_t before = generation(r);
	ok(r, "carol", "blocked-domain add evil.chat.test"); /* another object, though the name stands in it */
	json_t *j = as(r, "bob", "config commit", ADMIN_EXIT_REFUSED), *c = json_array_get(json_object_get(error(j), "conflicts"), 0);
	assert_string_equal(text_of(error(j), "code"), "conflict");
	assert_int_equal(json_array_size(json_object_get(error(j), "conflicts")), 1);
	assert_string_equal(text_of(c, "key"), "chat.test");
	assert_string_equal(text_of(c, "who"), "alice");
	assert_int_equal(json_integer_value(json_object_get(c, "generation")), before);
	assert_non_null(strstr(text_of(c, "what"), "partner set chat.test"));
	assert_non_null(strstr(text_of(error(j), "text"), "xmpp-partners chat.test was changed since your draft began, at "));
	json_decref(j);
	assert_int_equal(generation(r), before + 1);
	j = as(r, "bob", "partner xmpp show fabrikam.test", 0);
	assert_string_not_equal(text_of(data(j), "description"), "mine"); /* not even the half that would fit */
	json_decref(j);
	ok(r, "bob", "config abort");
	json_decref(as(r, "bob", "config abort", ADMIN_EXIT_FINDING));
	/* the same change of both is none */
	ok(r, "bob", "config begin");
	ok(r, "bob", "blocked-domain add twice.test");
	ok(r, "alice", "blocked-domain add twice.test");
	j = as(r, "bob", "config commit", 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "changes")), 0);
	json_decref(j);
	/* different objects that do not fit together */
	ok(r, "bob", "config begin");
	ok(r, "bob", "allowed-domain add both.test");
	ok(r, "alice", "partner xmpp add both.test --type federated");
	before = generation(r);
	j = as(r, "bob", "config commit", ADMIN_EXIT_REFUSED);
	assert_string_equal(text_of(error(j), "code"), "invalid");
	assert_non_null(strstr(text_of(error(j), "text"), "both.test belongs to an XMPP partner"));
	json_decref(j);
	assert_int_equal(generation(r), before);
	/* and a generation that is asked for is that of the draft */
	j = ask_as(r, "bob", json_pack("{s:[ss] s:{s:s} s:i}", "command", "blocked-domain", "add", "args", "domain", "x.test", "if_generation", (int)before + 7));
	assert_string_equal(text_of(error(j), "code"), "stale");
	json_decref(j);
}

static void damaged_draft(void **state)
{
	struct rig *r = *state;
	char path[200];
	some_policy(r);
	ok(r, "alice", "config begin");
	admin_free(r->admin);
	snprintf(path, sizeof path, "%s/drafts/alice/entente.db", r->dir);
	assert_int_equal(truncate(path, 5000), 0);
	r->admin = admin_new(r->store, &rig_ops, r);
	json_t *j = as(r, "alice", "blocked-domain add x.test", ADMIN_EXIT_CANNOT_CREATE);
	assert_string_equal(text_of(error(j), "code"), "damaged");
	assert_non_null(strstr(text_of(error(j), "text"), "`entente config abort` drops it"));
	json_decref(j);
	json_decref(as(r, "alice", "config commit", ADMIN_EXIT_CANNOT_CREATE));
	ok(r, "bob", "blocked-domain add x.test"); /* nobody else is held up */
	ok(r, "alice", "config abort");
	ok(r, "alice", "config begin");
	/* one that was cut short while it was made */
	ok(r, "alice", "config abort");
	snprintf(path, sizeof path, "%s/drafts/alice", r->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	j = as(r, "alice", "config diff", ADMIN_EXIT_CANNOT_CREATE);
	assert_non_null(strstr(text_of(error(j), "text"), "not complete"));
	json_decref(j);
	ok(r, "alice", "config abort");
}

/* ---- settings */

static char *file(struct rig *r)
{
	static char text[8192];
	FILE *f = fopen(r->config_path, "r");
	size_t n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = 0;
	return text;
}

static bool reload_fails;

static int reload(void *arg, struct config_errors *errs)
{
	struct rig *r = arg;
	struct config *c = NULL;
	struct entente_err err = {0};
	if (config_load(&c, r->config_path, errs))
		return ENTENTE_ESYNTAX;
	if (reload_fails) {
		config_free(c);
		*errs = (struct config_errors){.n = 1, .n_errors = 1};
		snprintf(errs->list[0].text, sizeof errs->list[0].text, "the port is taken");
		return ENTENTE_EIO;
	}
	config_free(r->config);
	r->config = c;
	return rig_publish(r, &err);
}

static void settings(void **state)
{
	struct rig *r = *state;
	struct admin_ops ops = rig_ops;
	ops.reload = reload;
	reload_fails = false;
	admin_free(r->admin);
	r->admin = admin_new(r->store, &ops, r);
	some_policy(r);
	char was[8192];
	snprintf(was, sizeof was, "%s", file(r));
	json_decref(as(r, "alice", "config set log.level debug", ADMIN_EXIT_FINDING)); /* no draft */
	ok(r, "alice", "config begin");
	json_t *j = as(r, "alice", "config set log.levl debug", ADMIN_EXIT_FINDING);
	assert_non_null(strstr(text_of(error(j), "text"), "did you mean 'log.level'?"));
	json_decref(j);
	j = as(r, "alice", "config set log.level loud", ADMIN_EXIT_USAGE);
	assert_non_null(strstr(text_of(error(j), "text"), "'loud'"));
	json_decref(j);
	ok(r, "alice", "config set log.level debug");
	ok(r, "alice", "config set server.workers 3");
	ok(r, "alice", "blocked-domain add spam.test");
	assert_string_equal(file(r), was);
	int64_t before = generation(r);
	/* the loading fails: file and policy are as before */
	reload_fails = true;
	j = as(r, "alice", "config commit", ADMIN_EXIT_CONFIG);
	assert_non_null(strstr(text_of(error(j), "text"), "nothing was changed: the port is taken"));
	json_decref(j);
	assert_string_equal(file(r), was);
	struct entente_err err = {0};
	assert_false(admin_recover(r->admin, &err)); /* no start brings it back */
	assert_string_equal(file(r), was);
	j = as(r, "bob", "blocked-domain list", 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "blocked")), 1);
	json_decref(j);
	reload_fails = false;
	/* nor can the file be written */
	char new[sizeof r->config_path + 8];
	snprintf(new, sizeof new, "%s.new", r->config_path);
	assert_int_equal(mkdir(new, 0700), 0);
	j = as(r, "alice", "config commit", ADMIN_EXIT_CONFIG);
	assert_non_null(strstr(text_of(error(j), "text"), "nothing was changed: cannot make "));
	json_decref(j);
	assert_int_equal(rmdir(new), 0);
	assert_string_equal(file(r), was);
	assert_false(admin_recover(r->admin, &err));
	assert_string_equal(file(r), was);
	j = as(r, "bob", "blocked-domain list", 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "blocked")), 1);
	json_decref(j);
	ok(r, "alice", "config commit");
	assert_non_null(strstr(file(r), "  name: gw.contoso.test # our name\n"));
	assert_non_null(strstr(file(r), "  workers: 3\n"));
	assert_non_null(strstr(file(r), "log:\n  level: debug\n"));
	assert_int_equal(r->config->server_workers, 3);
	assert_true(generation(r) > before);
	j = as(r, "alice", "config history --limit 1", 0);
	json_t *lines = json_object_get(json_array_get(json_object_get(data(j), "history"), 0), "lines");
	assert_int_equal(json_array_size(lines), 3);
	json_decref(j);
	/* what the machine refuses */
	snprintf(was, sizeof was, "%s", file(r));
	ok(r, "alice", "config begin");
	ok(r, "alice", "config set server.workers 63");
	j = as(r, "alice", "config commit", ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(text_of(error(j), "text"), "no machine has 63 workers"));
	json_decref(j);
	ok(r, "alice", "config set server.workers --default");
	/* and what somebody else has set meanwhile */
	char edited[9000];
	snprintf(edited, sizeof edited, "%s", was);
	*strstr(edited, "workers: 3") = 'w';
	strstr(edited, "workers: 3")[9] = '5';
	rig_configure(r, edited);
	j = as(r, "alice", "config commit", ADMIN_EXIT_REFUSED);
	assert_string_equal(text_of(error(j), "code"), "conflict");
	json_decref(j);
	rig_configure(r, was);
	ok(r, "alice", "config commit");
	assert_null(strstr(file(r), "workers"));
}

/* The commit is in the database, the file is not written yet, the machine goes: the next start brings it to its end. */
static void cut_short(void **state)
{
	struct rig *r = *state;
	struct entente_err err;
	some_policy(r);
	char before[8192], after[9000];
	snprintf(before, sizeof before, "%s", file(r));
	snprintf(after, sizeof after, "%slog:\n  level: debug\n", before);
	for (int round = 0; round < 3; round++) {
		json_t *o = json_pack("{s:s s:s s:s}", "path", r->config_path, "before", before, "after", after);
		char *note = json_dumps(o, 0);
		assert_int_equal(store_note_put(r->store, S("file"), slice_str(note), NULL, NULL), 0);
		assert_int_equal(store_flush(r->store), 0);
		free(note);
		json_decref(o);
		rig_configure(r, round == 0 ? before : round == 1 ? after : "# by hand\nserver: {name: other.test}\nsip: {listen: [{address: 127.0.0.1, port: 5060, transport: tcp}]}\n"
									    "homes: [{name: m, domains: [a.test], next-hop: \"sip:10.0.0.1;transport=tcp\"}]\nxmpp: {listen: [{address: 127.0.0.1, port: 5269}]}\n");
		assert_int_equal(admin_recover(r->admin, &err), round == 0);
		assert_int_equal(!*err.text, round != 2); /* a file that somebody has changed is not touched, and it is said */
		if (round < 2)
			assert_string_equal(file(r), after);
		else
			assert_non_null(strstr(file(r), "by hand"));
		assert_false(admin_recover(r->admin, &err)); /* once */
		assert_string_equal(err.text, "");
	}
}

/* ---- policy tests */

static void policy_tests(void **state)
{
	struct rig *r = *state;
	char text[4096];
	some_policy(r);
	snprintf(text, sizeof text,
		 "%spolicy-tests:\n"
		 "  - {from: romeo@contoso.test, to: j@fabrikam.test, expect: allow}\n"
		 "  # spam stays out\n"
		 "  - from: romeo@contoso.test\n    to: x@evil.test\n    expect: refuse\n    reason: policy/domain-blocked\n    network: xmpp\n",
		 rig_configuration);
	rig_configure(r, text);
	json_t *j = as(r, "alice", "policy test", 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "tests")), 2);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(data(j), "tests"), 1), "line")), 13);
	json_decref(j);
	int64_t before = generation(r);
	ok(r, "alice", "config begin");
	ok(r, "alice", "blocked-domain remove evil.test");
	ok(r, "alice", "policy test");
	j = as(r, "alice", "policy test --staged", ADMIN_EXIT_FINDING);
	json_decref(j);
	j = as(r, "alice", "config commit", ADMIN_EXIT_REFUSED);
	assert_string_equal(text_of(error(j), "code"), "policy-test");
	assert_non_null(strstr(text_of(error(j), "text"), "a policy test fails, line 13: message from romeo@contoso.test to x@evil.test: expected refuse "
							  "policy/domain-blocked, got refuse policy/partner-unknown ("));
	assert_non_null(strstr(text_of(error(j), "text"), ": deny, ")); /* and by which step */
	json_decref(j);
	ok(r, "alice", "config abort");
	j = import(r, HEAD, NULL, ADMIN_EXIT_REFUSED);
	assert_string_equal(text_of(error(j), "code"), "policy-test");
	assert_int_equal(json_array_size(json_object_get(error(j), "tests")), 2);
	json_decref(j);
	assert_int_equal(generation(r), before);
	/* a single change is carried out, and said */
	j = as(r, "alice", "partner xmpp set fabrikam.test --disabled", 0);
	assert_non_null(strstr(json_string_value(json_array_get(json_object_get(j, "warnings"), 0)), "a policy test fails now: line 11"));
	json_decref(j);
	/* as a reload asks */
	struct config_errors errs;
	assert_int_equal(admin_policy_tests(r->admin, r->config, slice_str(text), r->snapshot, &errs), ENTENTE_EREFUSED);
	assert_int_equal(errs.n, 1);
	assert_int_equal(errs.list[0].line, 11);
}

/* ---- the way back */

static void rollback(void **state)
{
	struct rig *r = *state;
	struct entente_err err;
	assert_false(admin_recover(r->admin, &err)); /* keeps generation 0 */
	some_policy(r);
	char *was = export(r, "policy export"), path[200];
	int64_t good = generation(r);
	ok(r, "alice", "partner xmpp remove fabrikam.test");
	ok(r, "alice", "access-edge set --partner-discovery=false");
	ok(r, "alice", "blocked-domain add litware.example");
	char command[64];
	snprintf(command, sizeof command, "config rollback %lld --what-if", (long long)good);
	json_t *j = as(r, "alice", command, 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "changes")), 3);
	json_decref(j);
	assert_int_equal(generation(r), good + 3);
	*strstr(command, " --what-if") = 0;
	ok(r, "alice", command);
	char *is = export(r, "policy export");
	assert_string_equal(is, was);
	assert_int_equal(generation(r), good + 4);
	free(is);
	ok(r, "alice", "config rollback 0");
	json_decref(as(r, "alice", "config rollback 4711", ADMIN_EXIT_FINDING));
	ok(r, "alice", command);
	/* beside the database lies the same as text, for the day when the database is lost */
	snprintf(path, sizeof path, "%s/policy.yaml", r->dir);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	FILE *f = fopen(path, "r");
	char *kept = calloc(1, (size_t)st.st_size + 1);
	assert_int_equal(fread(kept, 1, (size_t)st.st_size, f), st.st_size);
	fclose(f);
	assert_string_equal(kept, was);
	free(kept);
	free(was);
	ok(r, "alice", "backup");
}

/* ---- roles and what a draft holds */

static void as_role(struct rig *r, unsigned roles, const char *words, const char *args, const char *code)
{
	struct admin_session *s = admin_session_new_as(r->admin, S("olga"), roles);
	struct buf out, line;
	buf_init(&out, 1 << 26);
	buf_init(&line, 65536);
	buf_printf(&line, "{\"command\":[%s],\"args\":%s,\"json\":true}\n", words, args);
	assert_int_equal(admin_session_input(s, buf_slice(&line), &out), 0);
	json_t *j = json_loadb(buf_slice(&out).p, out.len, 0, NULL);
	assert_non_null(j);
	assert_string_equal(text_of(error(j), "code"), code);
	json_decref(j);
	buf_free(&line);
	buf_free(&out);
	admin_session_free(s);
}

static void roles_of_drafts(void **state)
{
	struct rig *r = *state;
	const unsigned o = ADMIN_ROLE_OPERATOR, p = ADMIN_ROLE_POLICY;
	int64_t before = generation(r);
	/* who runs the service makes nobody an administrator, himself least of all */
	as_role(r, o, "\"config\",\"begin\"", "{}", "");
	as_role(r, o, "\"config\",\"set\"", "{\"key\":\"admin.roles\",\"value\":\"others=admin\"}", "forbidden");
	as_role(r, o, "\"config\",\"set\"", "{\"key\":\"log.level\",\"value\":\"warning\"}", "");
	/* with another role meanwhile, what waits is too much */
	as_role(r, p, "\"config\",\"commit\"", "{\"what-if\":true}", "forbidden");
	as_role(r, o, "\"config\",\"commit\"", "{\"what-if\":true}", "");
	as_role(r, p, "\"blocked-domain\",\"add\"", "{\"domain\":\"x.test\"}", "");
	as_role(r, o, "\"config\",\"commit\"", "{\"what-if\":true}", "forbidden");
	as_role(r, o | p, "\"config\",\"commit\"", "{\"what-if\":true}", "");
	as_role(r, ADMIN_ROLE_ADMIN, "\"config\",\"set\"", "{\"key\":\"admin.roles\",\"value\":\"others=none\"}", "");
	as_role(r, o | p, "\"config\",\"commit\"", "{\"what-if\":true}", "forbidden");
	as_role(r, ADMIN_ROLE_ADMIN, "\"config\",\"commit\"", "{\"what-if\":true}", "");
	as_role(r, p, "\"config\",\"abort\"", "{}", "");
	assert_int_equal(generation(r), before);
}

/* ---- many commands */

static json_t *apply(struct rig *r, const char *changes, bool what_if, int exit)
{
	json_t *j = ask_as(r, "alice", json_pack("{s:[ss] s:{s:s s:b} s:b}", "command", "config", "apply", "args", "changes", changes, "what-if", what_if, "json", 1));
	if (json_integer_value(json_object_get(j, "exit")) != exit) {
		char *text = json_dumps(j, JSON_INDENT(1));
		fail_msg("exit is not %d: %s", exit, text);
	}
	return j;
}

static void many(void **state)
{
	struct rig *r = *state;
	some_policy(r);
	int64_t before = generation(r);
	const char *good = "[{\"command\":[\"partner\",\"xmpp\",\"add\"],\"args\":{\"domain\":\"B\xc3\xbc""cher.test\",\"type\":\"federated\"}},"
			   "{\"command\":[\"partner\",\"xmpp\",\"set\"],\"args\":{\"domain\":\"xn--bcher-kva.test\",\"sasl\":\"required\"}},"
			   "{\"command\":[\"access-edge\",\"set\"],\"args\":{\"federated-users\":false}}]";
	json_t *j = apply(r, good, true, 0);
	assert_int_equal(generation(r), before);
	json_decref(j);
	j = apply(r, good, false, 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "changes")), 2);
	assert_int_equal(generation(r), before + 1);
	json_decref(j);
	j = apply(r, good, false, ADMIN_EXIT_FINDING); /* the first exists now */
	assert_int_equal(json_integer_value(json_object_get(json_object_get(error(j), "failed"), "index")), 0);
	json_decref(j);
	j = apply(r, "[{\"command\":[\"blocked-domain\",\"add\"],\"args\":{\"domain\":\"x.test\"}},{\"command\":[\"reload\"]}]", false, ADMIN_EXIT_USAGE);
	assert_non_null(strstr(text_of(error(j), "text"), "command 2: not a command that changes policy"));
	json_decref(j);
	json_decref(apply(r, "[{\"command\":[\"config\",\"abort\"]}]", false, ADMIN_EXIT_USAGE));
	json_decref(apply(r, "[{\"command\":7}]", false, ADMIN_EXIT_USAGE));
	json_decref(apply(r, "[5]", false, ADMIN_EXIT_USAGE));
	json_decref(apply(r, "[null, [], \"x\"]", false, ADMIN_EXIT_USAGE));
	json_decref(apply(r, "[{\"command\":[\"config\",\"apply\"],\"args\":{\"changes\":\"[]\"}}]", false, ADMIN_EXIT_USAGE)); /* not within itself */
	json_decref(apply(r, "{}", false, ADMIN_EXIT_USAGE));
	json_decref(apply(r, "[", false, ADMIN_EXIT_FINDING));
	assert_int_equal(generation(r), before + 1);
	/* into a draft as well */
	ok(r, "alice", "config begin");
	j = apply(r, "[{\"command\":[\"blocked-domain\",\"add\"],\"args\":{\"domain\":\"x.test\"}}]", false, 0);
	assert_true(json_is_true(json_object_get(j, "staged")));
	json_decref(j);
	assert_int_equal(generation(r), before + 1);
	json_decref(import(r, HEAD "blocked-domains: [{domain: y.test}]", "merge", 0));
	assert_int_equal(generation(r), before + 1);
	j = as(r, "alice", "config diff", 0);
	assert_int_equal(json_array_size(json_object_get(data(j), "changes")), 2);
	json_decref(j);
	ok(r, "alice", "config commit");
	assert_int_equal(generation(r), before + 2);
}

/* Names are refused in a spelling that no command would find; texts are cut between characters. */
static void spelling(void **state)
{
	struct rig *r = *state;
	some_policy(r);
	json_t *j = import(r, HEAD "users:\n  - {address: Romeo@contoso.test}\n", "merge", ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(text_of(error(j), "text"), "it is written 'romeo@contoso.test'"));
	assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(error(j), "findings"), 0), "line")), 3);
	json_decref(j);
	j = import(r, HEAD "external-access: [{name: SITE:Verona}]\n", "merge", ADMIN_EXIT_REFUSED);
	assert_non_null(strstr(text_of(error(j), "text"), "it is written 'site:Verona'"));
	json_decref(j);
	json_decref(import(r, HEAD "users: [{address: romeo@contoso.test}]\nexternal-access: [{name: 'site:Verona'}]\n", "merge", 0));
	for (size_t i = 0; i < 2; i++) {
		char text[1300];
		size_t n = (size_t)snprintf(text, sizeof text, HEAD "allowed-domains: [{domain: long.test, comment: \"%s", i ? "x" : "");
		for (size_t k = 0; k < 505; k++)
			n += (size_t)snprintf(text + n, sizeof text - n, "\xc3\xbc");
		snprintf(text + n, sizeof text - n, "\"}]\n");
		json_decref(import(r, text, "merge", 0));
	}
}

#define FRESH(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {FRESH(round_trip), FRESH(property), FRESH(bad_documents), FRESH(merge_and_what_if), FRESH(draft), FRESH(conflicts),
					   FRESH(damaged_draft), FRESH(settings), FRESH(cut_short), FRESH(policy_tests), FRESH(rollback), FRESH(roles_of_drafts), FRESH(many),
					   FRESH(spelling)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
