/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon for the tests of src/admin: a real store in a folder of its own, the application replaced by the fewest lines that
 * do what it must. Included by each test program. */
#pragma once
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "admin/admin.h"
#include "admin/command.h"
#include "base/clock.h"
#include "store/store_federation.h"
#include "store/store_set.h"
#include "../external.h"

struct rig {
	char dir[64];
	struct store *store;
	struct admin *admin;
	struct snapshot *snapshot;
	struct policy_gateway gateway;
	bool refuse_publish, slow_workers, bad_config, hostile, closed;
	unsigned published, contacts_set;
	struct admin_task *task;     /* that runs, and what it was asked */
	struct admin_test test;
	struct admin_trace trace;
	char domain[64], from[64], server[64], user[64];
	unsigned cancelled;
	bool busy;                   /* no more tests */
	const char *attempt;         /* JSON of the only one */
	char config_path[100];
	struct config *config;       /* of that file */
	struct record_log *log;      /* decision log */
	uint64_t now;                /* its clock */
};

static bool rig_place(void *arg, const char *key, struct slice home, struct slice domain, char *ret, size_t size)
{
	(void)arg;
	if (!home.len && strcmp(key, "xmpp.access") != 0)
		return false;
	snprintf(ret, size, "/etc/entente/entente.yaml:%d", !home.len ? 21 : domain.len ? 9 : 7);
	return true;
}

struct rig_records {
	const struct admin_records *what;
	json_t *array;
};

static bool rig_record(void *arg, const struct record *r)
{
	struct rig_records *c = arg;
	if (admin_record_matches(c->what, r))
		json_array_append_new(c->array, admin_record_json(r));
	return json_array_size(c->array) < c->what->most;
}

static int rig_records(void *arg, const struct admin_records *what, json_t *array, struct entente_err *err)
{
	struct rig *r = arg;
	struct rig_records c = {what, array};
	if (!r->log)
		return err_set(err, ENTENTE_ENOTFOUND, REASON_NONE, "nothing is recorded: limits.decision-log is 0");
	record_each(r->log, rig_record, &c);
	return 0;
}

static int rig_partner(void *arg, const struct policy_partner *p)
{
	return snapshot_builder_partner(arg, p, NULL);
}

static int rig_block(void *arg, const struct store_block *b)
{
	return snapshot_builder_block(arg, b->domain, NULL);
}

static int rig_federation_of(struct snapshot_builder *b, enum store_federation kind, struct slice key, struct slice fields, struct entente_err *err)
{
	return store_federation_build(b, kind, key, fields, err);
}

static int rig_federation(void *arg, enum store_federation kind, struct slice key, struct slice fields)
{
	return rig_federation_of(arg, kind, key, fields, NULL);
}

static int rig_there(void *arg, struct slice key, struct slice fields)
{
	(void)key;
	(void)fields;
	*(bool *)arg = true;
	return 0;
}

struct rig_load {
	struct snapshot_builder *b;
	json_t *findings;
};

static int rig_misfit(struct rig_load *l, int rc, const char *kind, struct slice key, const struct entente_err *err)
{
	if (rc && l->findings)
		json_array_append_new(l->findings, json_pack("{s:s s:o s:s}", "kind", kind, "key", admin_json_text(key), "text", err->text));
	return 0;
}

static int rig_load_partner(void *arg, const struct policy_partner *p)
{
	struct rig_load *l = arg;
	struct entente_err err = {0};
	return rig_misfit(l, snapshot_builder_partner(l->b, p, &err), "xmpp-partner", p->domain, &err);
}

static int rig_load_block(void *arg, const struct store_block *b)
{
	return rig_block(((struct rig_load *)arg)->b, b);
}

static int rig_load_federation(void *arg, enum store_federation kind, struct slice key, struct slice fields)
{
	struct rig_load *l = arg;
	struct entente_err err = {0};
	int rc = rig_federation_of(l->b, kind, key, fields, &err);
	return rig_misfit(l, rc, store_federation_name(kind), key, &err);
}

static int rig_publish(void *arg, struct entente_err *err)
{
	struct rig *r = arg;
	static const struct slice domains[] = {S("contoso.test"), S("emea.contoso.test")};
	struct policy_home home = {.name = S("main"), .next_hop = S("sip:10.0.0.5;transport=tcp"), .transport = POLICY_TCP, .domains = domains, .n_domains = 2};
	int64_t generation;
	if (r->refuse_publish)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "no more room");
	struct snapshot_builder *b = snapshot_builder_new();
	assert_int_equal(snapshot_builder_home(b, &home, err), 0);
	snapshot_builder_gateway(b, &r->gateway);
	assert_int_equal(store_load_policy(r->store, rig_partner, rig_block, b, &generation, err), 0);
	bool decided = r->closed; /* until a test says otherwise, everybody may */
	assert_int_equal(store_load_objects(r->store, STORE_EXTERNAL_ACCESS, S("global"), rig_there, &decided, err), 0);
	if (!decided)
		everybody_may(b);
	assert_int_equal(store_load_federation(r->store, rig_federation, b, err), 0);
	snapshot_unref(r->snapshot);
	r->snapshot = snapshot_builder_freeze(b, (uint64_t)generation);
	r->published++;
	return 0;
}

static struct snapshot *rig_snapshot(void *arg)
{
	return ((struct rig *)arg)->snapshot;
}

static void rig_status(void *arg, json_t *o)
{
	struct rig *r = arg;
	json_object_set_new(o, "server_name", json_string("gw.contoso.test"));
	json_object_set_new(o, "state", json_string("running"));
	json_object_set_new(o, "uptime", json_integer(3723));
	json_object_set_new(o, "workers", json_integer(3));
	json_object_set_new(o, "listeners", json_pack("[ss]", "xmpp [::]:5269", "sip tcp 10.0.0.1:5060"));
	json_object_set_new(o, "store", json_string("ok"));
	json_object_set_new(o, "problems", r->refuse_publish ? json_pack("[s]", "the home main cannot be reached") : json_array());
}

static int rig_show(void *arg, enum admin_show what, json_t *array, struct entente_err *err)
{
	struct rig *r = arg;
	const char *evil = r->hostile ? "\x1b]0;owned\x07\xe2\x80\xae" : "fabrikam.test";
	if (what == ADMIN_STREAMS) {
		json_array_append_new(array, json_pack("{s:i s:s s:s s:s s:s s:s s:i s:i s:i}", "id", 1, "direction", "in", "state", "up", "local",
						       "contoso.test", "remote", evil, "auth", "dialback", "stanzas_in", 12, "stanzas_out", 3, "age", 75));
		json_array_append_new(array, json_pack("{s:i s:s s:s s:s s:s s:s}", "id", 2, "direction", "out", "state", "backoff", "local",
						       "contoso.test", "remote", "litware.test", "error", "connection refused"));
	}
	if (what == ADMIN_HOMES)
		json_array_append_new(array, json_pack("{s:s s:[ss] s:s s:s}", "name", "main", "domains", "contoso.test", "emea.contoso.test",
						       "next_hop", "sip:10.0.0.5;transport=tcp", "state", "reachable"));
	return r->slow_workers ? err_set(err, ENTENTE_ETIMEOUT, REASON_NONE, "worker 2 does not answer") : 0;
}

static bool rig_contact(void *arg, struct slice local, struct slice remote)
{
	(void)arg;
	return slice_eq(local, S("romeo@contoso.test")) && slice_eq(remote, S("juliet@chat.test"));
}

static int rig_contact_set(void *arg, struct slice local, struct slice remote, bool there, struct slice who, struct entente_err *err)
{
	struct rig *r = arg;
	struct store_wait w;
	r->contacts_set++;
	if (!there)
		return 0;
	store_wait_init(&w);
	assert_int_equal(store_contact_add(r->store, local, remote, who, store_wait_done, &w), 0);
	return store_wait(&w, err);
}

static int rig_address(void *arg, struct slice text, bool *ret_is_sip, char *ret_jid, size_t size, struct entente_err *err)
{
	(void)arg;
	if (slice_starts(text, S("sips:")))
		return err_set(err, ENTENTE_ESYNTAX, REASON_ADDRESS_SIPS, "sips addresses are not translated");
	*ret_is_sip = slice_starts(text, S("sip:"));
	if (slice_starts(text, S("sip:")) || slice_starts(text, S("xmpp:")))
		slice_split(&text, ':');
	if (slice_find_chr(text, '.') < 0)
		return err_set(err, ENTENTE_ESYNTAX, REASON_NONE, "'%.*s' has no domain", SFMT(text));
	if (!slice_cstr(text, ret_jid, size))
		return err_set(err, ENTENTE_ELIMIT, REASON_ADDRESS_TOO_LONG, "too long");
	for (; *ret_jid; ret_jid++) /* as much of PRECIS as is wanted here */
		*ret_jid = (char)(*ret_jid + (*ret_jid >= 'A' && *ret_jid <= 'Z' ? 32 : 0));
	return 0;
}

static int rig_reload(void *arg, struct config_errors *errs)
{
	struct rig *r = arg;
	*errs = (struct config_errors){.n = 1, .n_errors = r->bad_config};
	errs->list[0] = (struct config_error){.warning = !r->bad_config, .line = 3, .column = 7, .key = "log.level", .text = "log.level: 'loud' is not a level"};
	return r->bad_config ? ENTENTE_ESYNTAX : 0;
}

static void rig_attempts(void *arg, struct slice domain, json_t *array)
{
	struct rig *r = arg;
	if (r->attempt && slice_eq(domain, S("fabrikam.test")))
		json_array_append_new(array, json_loads(r->attempt, 0, NULL));
}

static int rig_test(void *arg, const struct admin_test *what, struct admin_task *t, struct entente_err *err)
{
	struct rig *r = arg;
	if (r->busy)
		return err_set(err, ENTENTE_ELIMIT, REASON_NONE, "4 tests run already");
	r->test = *what;
	slice_cstr(what->domain, r->domain, sizeof r->domain);
	slice_cstr(what->from, r->from, sizeof r->from);
	slice_cstr(what->server_host, r->server, sizeof r->server);
	r->task = t;
	return 0;
}

static int rig_trace(void *arg, const struct admin_trace *what, struct admin_task *t, struct entente_err *err)
{
	struct rig *r = arg;
	(void)err;
	r->trace = *what;
	slice_cstr(what->partner, r->domain, sizeof r->domain);
	slice_cstr(what->user, r->user, sizeof r->user);
	r->task = t;
	return 0;
}

static void rig_cancel(void *arg, struct admin_task *t)
{
	struct rig *r = arg;
	assert_ptr_equal(t, r->task);
	r->task = NULL;
	r->cancelled++;
}

static void rig_metrics(void *arg, struct buf *out)
{
	(void)arg;
	buf_puts(out, "entente_build_info 1\n");
}

static bool rig_seen(void *arg, struct slice domain, json_t *object)
{
	(void)arg;
	if (!slice_eq(domain, S("a.test")))
		return false;
	json_object_update_new(object, json_pack("{s:s s:s s:s s:i s:s s:s s:s s:b}", "key", "0102", "subject", "CN=a.test", "issuer", "CN=CA",
						 "not_after", 1800000000, "at", "2026-11-21T18:00:00Z", "direction", "out", "auth", "external",
						 "believed", 1));
	return true;
}

/* For drafts: a configuration in a file, which a reload really reads. */
static int rig_build(void *arg, struct store *store, const struct config *config, struct snapshot **ret, json_t *findings, struct entente_err *err)
{
	static const struct slice domains[] = {S("contoso.test"), S("emea.contoso.test")};
	struct policy_home home = {.name = S("main"), .next_hop = S("sip:10.0.0.5;transport=tcp"), .transport = POLICY_TCP, .domains = domains, .n_domains = 2};
	struct rig *r = arg;
	struct rig_load l = {snapshot_builder_new(), findings};
	(void)config;
	assert_int_equal(snapshot_builder_home(l.b, &home, err), 0);
	snapshot_builder_gateway(l.b, &r->gateway);
	assert_int_equal(store_load_policy(store, rig_load_partner, rig_load_block, &l, NULL, err), 0);
	bool decided = r->closed;
	assert_int_equal(store_load_objects(store, STORE_EXTERNAL_ACCESS, S("global"), rig_there, &decided, err), 0);
	if (!decided)
		everybody_may(l.b);
	assert_int_equal(store_load_federation(store, rig_load_federation, &l, err), 0);
	*ret = snapshot_builder_freeze(l.b, (uint64_t)store_generation(store));
	return 0;
}

static const struct config *rig_config(void *arg)
{
	return ((struct rig *)arg)->config;
}

static const char *rig_config_path(void *arg)
{
	return ((struct rig *)arg)->config_path;
}

static int rig_config_check(void *arg, const struct config *config, struct entente_err *err)
{
	(void)arg;
	return config->server_workers == 63 ? err_set(err, ENTENTE_EINVAL, REASON_NONE, "no machine has 63 workers") : 0;
}

static const struct admin_ops rig_ops = {
	.build = rig_build, .config = rig_config, .config_path = rig_config_path, .config_check = rig_config_check,
	.status = rig_status, .show = rig_show, .snapshot = rig_snapshot, .contact = rig_contact, .contact_set = rig_contact_set, .address = rig_address,
	.policy_changed = rig_publish, .seen = rig_seen, .reload = rig_reload, .attempts = rig_attempts, .test = rig_test, .trace = rig_trace,
	.cancel = rig_cancel, .metrics = rig_metrics, .records = rig_records, .place = rig_place,
};

static const char rig_configuration[] =
	"server:\n  name: gw.contoso.test # our name\n  state-directory: /tmp\n  control-socket: /tmp/entente-test.sock\n"
	"sip:\n  listen: [{address: 127.0.0.1, port: 5060, transport: tcp}]\n"
	"xmpp:\n  listen: [{address: 127.0.0.1, port: 5269}]\n"
	"homes: [{name: main, domains: [contoso.test, emea.contoso.test], next-hop: \"sip:10.0.0.5:5060;transport=tcp\"}]\n";

static inline void rig_configure(struct rig *r, const char *text)
{
	struct config_errors errs;
	FILE *f = fopen(r->config_path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	r->config = config_free(r->config);
	if (config_load(&r->config, r->config_path, &errs))
		fail_msg("line %u: %s", errs.list[0].line, errs.list[0].text);
}

static inline int rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof *r);
	struct entente_err err = {0};
	snprintf(r->dir, sizeof r->dir, "/tmp/entente-admin-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	policy_gateway_defaults(&r->gateway);
	snprintf(r->config_path, sizeof r->config_path, "%s/entente.yaml", r->dir);
	rig_configure(r, rig_configuration);
	assert_int_equal(store_open(&r->store, &(struct store_options){.directory = r->dir}, &err), 0);
	assert_int_equal(rig_publish(r, &err), 0);
	r->published = 0;
	r->log = record_log_new(1 << 16, 1, &r->now, clock_unix() * 1000);
	r->admin = admin_new(r->store, &rig_ops, r);
	*state = r;
	return 0;
}

static int rig_unlink(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static inline int rig_teardown(void **state)
{
	struct rig *r = *state;
	admin_free(r->admin);
	store_close(r->store);
	config_free(r->config);
	record_log_free(r->log);
	snapshot_unref(r->snapshot);
	nftw(r->dir, rig_unlink, 8, FTW_DEPTH | FTW_PHYS);
	free(r);
	return 0;
}

/* One request as text; the response. */
static inline json_t *rig_ask(struct rig *r, const char *request)
{
	struct buf out;
	buf_init(&out, 1 << 24);
	admin_execute(r->admin, S("alice"), slice_str(request), &out);
	assert_true(buf_ok(&out));
	assert_true(out.len > 0 && buf_slice(&out).p[out.len - 1] == '\n');
	json_t *j = json_loadb(buf_slice(&out).p, out.len, 0, NULL);
	assert_non_null(j);
	buf_free(&out);
	return j;
}

/* Words of a command line; quotes '...' keep a word together. Returns their number. */
static inline int rig_words(char *line, const char *ret[], int max)
{
	int n = 0;
	for (char *p = line; *p;) {
		while (*p == ' ')
			p++;
		if (!*p || *p == '>')
			break;
		char end = *p == '\'' ? '\'' : ' ';
		p += end == '\'';
		assert_true(n < max);
		ret[n++] = p;
		while (*p && *p != end)
			p++;
		if (*p)
			*p++ = 0;
	}
	return n;
}

/* A command line as `entente` would send it. */
static inline json_t *rig_run(struct rig *r, bool json, unsigned width, const char *command)
{
	char line[2048];
	const char *words[64];
	struct admin_line l;
	struct buf why;
	buf_init(&why, 65536);
	assert_true(slice_cstr(slice_str(command), line, sizeof line));
	enum admin_parsed parsed = admin_line_parse(&l, rig_words(line, words, 64), words, &why);
	if (parsed != ADMIN_RUN)
		print_message("%s: %.*s\n", command, SFMT(buf_slice(&why)));
	assert_int_equal(parsed, ADMIN_RUN);
	json_t *path = json_array();
	for (size_t i = 0; l.command->path[i]; i++)
		json_array_append_new(path, json_string(l.command->path[i]));
	json_t *request = json_pack("{s:o s:O s:b s:i}", "command", path, "args", l.args, "json", json, "width", (int)width);
	char *text = json_dumps(request, JSON_COMPACT);
	json_t *response = rig_ask(r, text);
	free(text);
	json_decref(request);
	admin_line_free(&l);
	buf_free(&why);
	return response;
}

/* Runs, expects the exit code and the text. */
/* Where the text has "0000-00-00T00:00:00Z", any point of time will do. */
static inline void rig_text(struct rig *r, const char *command, int exit, const char *text)
{
	json_t *j = rig_run(r, false, 0, command);
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), exit);
	for (char *p = (char *)(uintptr_t)json_string_value(json_object_get(j, "text")); p && *p && strstr(text, "0000-00-00T"); p++)
		if (*p == '2' && strlen(p) >= 20 && p[4] == '-' && p[10] == 'T' && (p[19] == 'Z' || p[19] == '.'))
			for (size_t i = 0; i < 19; i++)
				if (p[i] >= '0' && p[i] <= '9')
					p[i] = '0';
	assert_string_equal(json_string_value(json_object_get(j, "text")), text);
	json_decref(j);
}

/* Runs, expects the exit code, returns the data (or the error). */
static inline json_t *rig_data(struct rig *r, const char *command, int exit)
{
	json_t *j = rig_run(r, true, 0, command), *data;
	if (json_integer_value(json_object_get(j, "exit")) != exit)
		print_message("%s: %s\n", command, json_string_value(json_object_get(json_object_get(j, "error"), "text")));
	assert_int_equal(json_integer_value(json_object_get(j, "exit")), exit);
	data = json_object_get(j, "data");
	data = json_incref(data ? data : json_object_get(j, "error"));
	json_decref(j);
	assert_non_null(data);
	return data;
}

/* Runs, expects an error and its text. */
static inline void rig_error(struct rig *r, const char *command, int exit, const char *code, const char *text)
{
	json_t *e = rig_data(r, command, exit);
	assert_string_equal(json_string_value(json_object_get(e, "code")), code);
	assert_string_equal(json_string_value(json_object_get(e, "text")), text);
	json_decref(e);
}

static inline void rig_ok(struct rig *r, const char *command)
{
	json_decref(rig_data(r, command, 0));
}
