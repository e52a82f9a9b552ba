/* SPDX-License-Identifier: Apache-2.0 */
/* From the request to the certificate in its place, with files in a folder of its own and an authority that signs what it is sent. */
#include <fcntl.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include "../net/pki.h"
#include "admin/call.h"
#include "plan/install.h"
#include "rig.h"

static struct pki root, between;
static char dir[64], config[128];
static int reload_exit; /* what the daemon says; -1: none answers */
static unsigned reloads;
static char at_reload[64]; /* the first name of the certificate that was there */

static const char *path(const char *name)
{
	static char ring[8][256];
	static unsigned i;
	char *ret = ring[i++ % 8];
	snprintf(ret, 256, "%s/%s", dir, name);
	return ret;
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(path(name), "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static X509 *read_cert(const char *name)
{
	FILE *f = fopen(path(name), "r");
	X509 *x = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	if (f)
		fclose(f);
	return x;
}

static void first_name(const char *name, char ret[64])
{
	X509 *x = read_cert(name);
	*ret = 0;
	if (x)
		X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, ret, 64);
	X509_free(x);
}

static json_t *ask(void *arg, json_t *request, struct buf *why)
{
	(void)arg;
	const char *word = json_string_value(json_array_get(json_object_get(request, "command"), 0));
	if (reload_exit < 0 || strcmp(word, "reload")) {
		buf_puts(why, "no daemon");
		return NULL;
	}
	reloads++;
	first_name("live.pem", at_reload);
	if (!reload_exit)
		return json_pack("{s:i s:{}}", "exit", 0, "data");
	return json_pack("{s:i s:{s:[{s:s s:s}]} s:{s:s}}", "exit", reload_exit, "data", "findings", "severity", "error", "text", "privkey.pem cannot be read", "error", "text", "refused");
}

/* The response; its exit code must be `exit`. */
static json_t *run(enum admin_id id, int exit, const char *args, ...) __attribute__((format(printf, 3, 4)));
static json_t *run(enum admin_id id, int exit, const char *args, ...)
{
	char text[2048];
	va_list ap;
	struct buf why;
	json_error_t e;
	va_start(ap, args);
	vsnprintf(text, sizeof text, args, ap);
	va_end(ap);
	json_t *a = json_loads(text, 0, &e);
	assert_non_null(a);
	json_object_set_new(a, "file", json_string(config));
	buf_init(&why, 4096);
	if (!admin_args_check(admin_command_by_id(id), a, &why))
		fail_msg("%.*s", SFMT(buf_slice(&why)));
	json_t *j = admin_local_run(admin_command_by_id(id), a, &(struct admin_program){.json = true, .ask = ask});
	if (json_integer_value(json_object_get(j, "exit")) != exit) {
		char *said = json_dumps(j, 0);
		fail_msg("%s: %s", text, said);
	}
	buf_free(&why);
	json_decref(a);
	return j;
}

static void expect(enum admin_id id, int exit, const char *says, const char *args)
{
	json_t *j = run(id, exit, "%s", args);
	char *said = json_dumps(j, JSON_ENCODE_ANY);
	if (!strstr(said, says))
		fail_msg("%s does not say '%s'", said, says);
	free(said);
	json_decref(j);
}

/* Signs a request as it is, names included. */
static void sign(const char *request, const char *reply, const struct pki *by, bool with_chain, long to_s)
{
	FILE *f = fopen(path(request), "r");
	X509_REQ *q = f ? PEM_read_X509_REQ(f, NULL, NULL, NULL) : NULL;
	assert_non_null(q);
	fclose(f);
	X509 *x = X509_new();
	X509_set_version(x, 2);
	static long serial = 77;
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), to_s);
	X509_set_subject_name(x, X509_REQ_get_subject_name(q));
	X509_set_issuer_name(x, X509_get_subject_name(by->cert));
	X509_set_pubkey(x, X509_REQ_get0_pubkey(q));
	STACK_OF(X509_EXTENSION) *list = X509_REQ_get_extensions(q);
	for (int i = 0; i < sk_X509_EXTENSION_num(list); i++)
		X509_add_ext(x, sk_X509_EXTENSION_value(list, i), -1);
	sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
	assert_true(X509_sign(x, by->key, EVP_sha256()) > 0);
	f = fopen(path(reply), "w");
	if (with_chain)
		PEM_write_X509(f, by->cert);
	PEM_write_X509(f, x);
	fclose(f);
	X509_free(x);
	X509_REQ_free(q);
}

static void put_pair(const char *name, const struct pki_spec *spec)
{
	struct pki p = pki_make(spec, &between);
	char file[64];
	snprintf(file, sizeof file, "%s.pem", name);
	FILE *f = fopen(path(file), "w");
	PEM_write_X509(f, p.cert);
	PEM_write_X509(f, between.cert);
	fclose(f);
	snprintf(file, sizeof file, "%s.key", name);
	f = fopen(path(file), "w");
	PEM_write_PKCS8PrivateKey(f, p.key, NULL, NULL, 0, NULL, NULL);
	fclose(f);
	pki_free(&p);
}

#define ALL "DNS:sip.contoso.test,DNS:contoso.test,DNS:sip.fabrikam.test,DNS:fabrikam.test"

static int setup(void **state)
{
	char text[2048];
	(void)state;
	snprintf(dir, sizeof dir, "/tmp/entente-certificate-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(config, sizeof config, "%s/entente.yaml", dir);
	root = pki_make(&(struct pki_spec){.cn = "Root", .ca = 1}, NULL);
	between = pki_make(&(struct pki_spec){.cn = "Between", .ca = 1}, &root);
	FILE *f = fopen(path("ca.pem"), "w");
	PEM_write_X509(f, root.cert);
	fclose(f);
	snprintf(text, sizeof text,
		 "server:\n  name: sip.contoso.test\n  state-directory: %s\nhomes:\n  - name: h\n    domains: [contoso.test, fabrikam.test]\n"
		 "    next-hop: sip:192.0.2.1;transport=tcp\nsip:\n  external-listen: [{address: 127.0.0.1}]\nxmpp:\n  listen: [{address: 127.0.0.1}]\n"
		 "tls:\n  certificate: %s/live.pem\n  key: %s/live.key\n  trust: %s/ca.pem\n", dir, dir, dir, dir);
	put("entente.yaml", text);
	reload_exit = 0;
	reloads = 0;
	return 0;
}

static int gone(const char *p, const struct stat *st, int type, struct FTW *w)
{
	(void)st;
	(void)type;
	(void)w;
	return remove(p);
}

static int teardown(void **state)
{
	(void)state;
	nftw(dir, gone, 16, FTW_DEPTH | FTW_PHYS);
	pki_free(&root);
	pki_free(&between);
	return 0;
}

static mode_t mode_of(const char *name)
{
	struct stat st;
	return stat(path(name), &st) ? 0 : st.st_mode & 07777;
}

static bool there(const char *name)
{
	return access(path(name), F_OK) == 0;
}

static int no_leftover(const char *p, const struct stat *st, int type, struct FTW *w)
{
	(void)st;
	(void)type;
	(void)w;
	return strstr(p, ".new-") != NULL;
}

/* ---- tests */

/* The whole way. */
static void whole_way(void **state)
{
	(void)state;
	char name[64];
	json_t *j = run(ADMIN_CMD_CERTIFICATE_REQUEST, 0, "{\"key\":\"p-256\",\"name\":[\"chat.contoso.test\"]}"), *data = json_object_get(j, "data");
	static const char *const names[] = {"sip.contoso.test", "contoso.test", "sip.fabrikam.test", "fabrikam.test", "chat.contoso.test"};
	assert_int_equal(json_array_size(json_object_get(data, "names")), 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(json_string_value(json_array_get(json_object_get(data, "names"), i)), names[i]);
	assert_string_equal(admin_get_text(data, "subject"), "sip.contoso.test");
	assert_true(json_array_size(json_object_get(data, "next")) >= 2);
	json_decref(j);
	assert_int_equal(mode_of("certificates/server-request.key"), 0640);
	expect(ADMIN_CMD_CERTIFICATE_SHOW, 1, "server-request.csr", "{}");
	sign("certificates/server-request.csr", "reply.pem", &between, true, 86400);
	j = run(ADMIN_CMD_CERTIFICATE_IMPORT, 0, "{\"certificate\":[\"%s\"],\"usage\":[\"server\"],\"name\":\"edge\"}", path("reply.pem"));
	data = json_object_get(j, "data");
	assert_string_equal(admin_get_text(data, "reload"), "done");
	assert_int_equal(json_array_size(json_object_get(data, "missing")), 0);
	assert_string_equal(admin_get_text(data, "key"), "p-256");
	assert_int_equal(admin_get_int(data, "chain"), 2);
	json_decref(j);
	assert_int_equal(reloads, 1);
	assert_string_equal(at_reload, "sip.contoso.test"); /* both files were in place before */
	assert_false(there("certificates/server-request.key")); /* its certificate has come */
	assert_false(there("certificates/server-request.csr"));
	assert_int_equal(mode_of("live.key"), 0640);
	assert_true(there("certificates/edge.pem") && there("certificates/edge.key"));
	first_name("live.pem", name);
	assert_string_equal(name, "sip.contoso.test");
	expect(ADMIN_CMD_CERTIFICATE_SHOW, 0, "\"assigned\": [\"server\"]", "{}");
	/* the next one has the same key: pins stay right */
	j = run(ADMIN_CMD_CERTIFICATE_REQUEST, 0, "{\"same-key\":true}");
	json_decref(j);
	assert_false(there("certificates/server-request.key"));
	sign("certificates/server-request.csr", "reply.pem", &between, true, 2 * 86400);
	j = run(ADMIN_CMD_CERTIFICATE_IMPORT, 0, "{\"certificate\":[\"%s\"],\"usage\":[\"server\"]}", path("reply.pem"));
	assert_true(strstr(admin_get_text(json_object_get(j, "data"), "certificate_name"), "sip.contoso.test-20") != NULL);
	json_decref(j);
	assert_int_equal(reloads, 2);
	assert_true(there("live.pem.previous") && there("live.key.previous"));
}

/* Where there is a folder for keys, they go there; those that lie beside their certificates from before are found. */
static void keys_of_their_own(void **state)
{
	(void)state;
	char keys[80], at[128];
	snprintf(keys, sizeof keys, "../%s-keys", strrchr(dir, '/') + 1);
	put("live.pem", "");
	json_decref(run(ADMIN_CMD_CERTIFICATE_REQUEST, 0, "{\"key\":\"p-256\"}"));
	assert_true(there("certificates/server-request.key"));
	sign("certificates/server-request.csr", "reply.pem", &between, true, 86400);
	assert_int_equal(mkdir(path(keys), 0750), 0);
	json_decref(run(ADMIN_CMD_CERTIFICATE_IMPORT, 0, "{\"certificate\":[\"%s\"],\"name\":\"one\"}", path("reply.pem")));
	assert_false(there("certificates/server-request.key"));
	snprintf(at, sizeof at, "%s/one.key", keys);
	assert_true(there("certificates/one.pem") && !there("certificates/one.key"));
	assert_int_equal(mode_of(at), 0640);
	json_decref(run(ADMIN_CMD_CERTIFICATE_ASSIGN, 0, "{\"certificate\":\"one\",\"usage\":[\"server\"]}"));
	assert_int_equal(mode_of("live.key"), 0640);
	assert_int_equal(rename(path(at), path("certificates/one.key")), 0); /* as an older version kept it */
	json_decref(run(ADMIN_CMD_CERTIFICATE_ASSIGN, 0, "{\"certificate\":\"one\",\"usage\":[\"server\"]}"));
	json_t *j = run(ADMIN_CMD_CERTIFICATE_REQUEST, 0, "{\"key\":\"p-256\"}");
	snprintf(at, sizeof at, "%s/server-request.key", keys);
	assert_int_equal(mode_of(at), 0640);
	assert_false(there("certificates/server-request.key"));
	assert_non_null(strstr(admin_get_text(json_object_get(j, "data"), "key_file"), "-keys/server-request.key"));
	json_decref(j);
	sign("certificates/server-request.csr", "reply.pem", &between, true, 86400);
	json_decref(run(ADMIN_CMD_CERTIFICATE_IMPORT, 0, "{\"certificate\":[\"%s\"],\"usage\":[\"server\"],\"name\":\"two\"}", path("reply.pem")));
	assert_false(there(at));
	assert_false(there("certificates/server-request.csr"));
	nftw(path(keys), gone, 16, FTW_DEPTH | FTW_PHYS);
}

static void where_keys_are(void **state)
{
	static const char *const rows[][2] = {
		{"/etc/entente/entente.yaml", "/etc/entente-keys"},
		{"/etc/entente.yaml", "/etc/entente-keys"},
		{"/entente.yaml", "/entente-keys"},
		{"/home/ute/entente.yaml", "/home/ute/entente-keys"},
		{"/home/ute/edge/entente.yaml", "/home/ute/edge-keys"},
		{"/srv/a/b/entente.yaml", "/srv/a/b-keys"},
		/* never a name inside the folder of the configuration */
		{"/etc/./entente.yaml", "/etc/entente-keys"},
		{"/usr/share//entente.yaml", "/usr/share-keys"},
		{"/usr/share/../entente.yaml", "/usr/entente-keys"},
	};
	char at[PLAN_PATH_MAX], here[PATH_MAX], want[PATH_MAX + 8];
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		assert_true(plan_key_folder(at, rows[i][0]));
		assert_string_equal(at, rows[i][1]);
	}
	assert_non_null(realpath("/usr/share", here)); /* two deep: its own */
	assert_int_equal(chdir(here), 0);
	snprintf(want, sizeof want, "%s-keys", here);
	assert_true(plan_key_folder(at, "entente.yaml"));
	assert_string_equal(at, want);
	assert_true(plan_key_folder(at, "./entente.yaml"));
	assert_string_equal(at, want);
}

static void never_overwritten(void **state)
{
	(void)state;
	struct stat before, after;
	json_decref(run(ADMIN_CMD_CERTIFICATE_REQUEST, 0, "{\"key\":\"p-256\"}"));
	assert_int_equal(stat(path("certificates/server-request.key"), &before), 0);
	expect(ADMIN_CMD_CERTIFICATE_REQUEST, 1, "waits for its certificate already", "{\"key\":\"p-256\"}");
	assert_int_equal(stat(path("certificates/server-request.key"), &after), 0);
	assert_true(before.st_ino == after.st_ino && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
	json_decref(run(ADMIN_CMD_CERTIFICATE_REQUEST, 0, "{\"key\":\"p-256\",\"force\":true}"));
	assert_true(there("certificates/server-request.key.previous"));
	/* another usage has files of its own */
	json_decref(run(ADMIN_CMD_CERTIFICATE_REQUEST, 0, "{\"key\":\"p-384\",\"usage\":\"client\",\"client-eku\":true}"));
	assert_true(there("certificates/client-request.key"));
	/* and a place of one's own */
	char args[512];
	snprintf(args, sizeof args, "{\"key\":\"p-256\",\"key-file\":\"%s\",\"request-file\":\"%s\"}", path("my.key"), path("my.csr"));
	json_decref(run(ADMIN_CMD_CERTIFICATE_REQUEST, 0, "%s", args));
	assert_int_equal(mode_of("my.key"), 0640);
	expect(ADMIN_CMD_CERTIFICATE_REQUEST, 1, "exists", args);
	/* nothing half-made stays where the second file cannot be */
	snprintf(args, sizeof args, "{\"key\":\"p-256\",\"key-file\":\"%s\",\"request-file\":\"%s\"}", path("your.key"), path("no/such/your.csr"));
	expect(ADMIN_CMD_CERTIFICATE_REQUEST, 73, "your.csr", args);
	assert_false(there("your.key"));
	expect(ADMIN_CMD_CERTIFICATE_REQUEST, 1, "no key yet", "{\"same-key\":true,\"usage\":\"internal\"}");
}

/* What is refused, with the words that help; --force takes it. */
static void refused(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		struct pki_spec spec;
		const char *says;
	} rows[] = {
		{"expired", {.cn = "x", .san = ALL, .from_s = -9000, .to_s = -60}, "it has expired"},
		{"client", {.cn = "x", .san = ALL, .eku = "clientAuth"}, "not for servers"},
		{"foreign", {.cn = "x", .san = "DNS:www.elsewhere.test"}, "none of the names that the configuration asks for, not even sip.contoso.test"},
	};
	char args[512];
	put_pair("live", &(struct pki_spec){.cn = "old", .san = ALL});
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char pem[32], key[32], name[64];
		snprintf(pem, sizeof pem, "%s.pem", rows[i].name);
		snprintf(key, sizeof key, "%s.key", rows[i].name);
		put_pair(rows[i].name, &rows[i].spec);
		snprintf(args, sizeof args, "{\"certificate\":[\"%s\"],\"key\":\"%s\",\"usage\":[\"server\"]}", path(pem), path(key));
		expect(ADMIN_CMD_CERTIFICATE_IMPORT, 1, rows[i].says, args);
		snprintf(args, sizeof args, "{\"certificate\":\"%s\",\"key\":\"%s\",\"usage\":[\"server\"]}", path(pem), path(key));
		expect(ADMIN_CMD_CERTIFICATE_ASSIGN, 1, rows[i].says, args);
		first_name("live.pem", name);
		assert_string_equal(name, "old");
		assert_int_equal(reloads, i);
		snprintf(args, sizeof args, "{\"certificate\":\"%s\",\"key\":\"%s\",\"usage\":[\"server\"],\"force\":true}", path(pem), path(key));
		json_decref(run(ADMIN_CMD_CERTIFICATE_ASSIGN, 0, "%s", args));
		first_name("live.pem", name);
		assert_string_equal(name, "x");
		assert_int_equal(reloads, i + 1);
		put_pair("live", &(struct pki_spec){.cn = "old", .san = ALL});
	}
	/* nothing half-made stays behind */
	assert_int_equal(nftw(dir, no_leftover, 16, FTW_PHYS), 0);
	/* some names are missing: a word, not a refusal */
	put_pair("some", &(struct pki_spec){.cn = "x", .san = "DNS:contoso.test,DNS:fabrikam.test"});
	snprintf(args, sizeof args, "{\"certificate\":\"%s\",\"key\":\"%s\",\"usage\":[\"server\"]}", path("some.pem"), path("some.key"));
	json_t *j = run(ADMIN_CMD_CERTIFICATE_ASSIGN, 0, "%s", args);
	json_t *missing = json_object_get(json_object_get(j, "data"), "missing");
	assert_int_equal(json_array_size(missing), 2);
	assert_string_equal(json_string_value(json_array_get(missing, 0)), "sip.contoso.test");
	json_decref(j);
	expect(ADMIN_CMD_CERTIFICATE_SHOW, 1, "sip.fabrikam.test", "{}");
}

static void missing_intermediate(void **state)
{
	(void)state;
	char args[512];
	json_decref(run(ADMIN_CMD_CERTIFICATE_REQUEST, 0, "{\"key\":\"p-256\"}"));
	sign("certificates/server-request.csr", "reply.pem", &between, false, 86400);
	snprintf(args, sizeof args, "{\"certificate\":[\"%s\"],\"usage\":[\"server\"]}", path("reply.pem"));
	expect(ADMIN_CMD_CERTIFICATE_IMPORT, 1, "the intermediate certificate CN=Between is missing", args);
	assert_true(there("certificates/server-request.key")); /* it still waits */
	assert_false(there("live.pem"));
	FILE *f = fopen(path("between.pem"), "w");
	PEM_write_X509(f, between.cert);
	fclose(f);
	snprintf(args, sizeof args, "{\"certificate\":[\"%s\",\"%s\"],\"usage\":[\"server\"]}", path("reply.pem"), path("between.pem"));
	json_decref(run(ADMIN_CMD_CERTIFICATE_IMPORT, 0, "%s", args));
	assert_false(there("certificates/server-request.key"));
}

static void no_key(void **state)
{
	(void)state;
	char args[512];
	put_pair("a", &(struct pki_spec){.cn = "a", .san = ALL});
	put_pair("b", &(struct pki_spec){.cn = "b", .san = ALL});
	snprintf(args, sizeof args, "{\"certificate\":[\"%s\"]}", path("a.pem"));
	expect(ADMIN_CMD_CERTIFICATE_IMPORT, 1, "no private key belongs to", args);
	snprintf(args, sizeof args, "{\"certificate\":[\"%s\"],\"key\":\"%s\"}", path("a.pem"), path("b.key"));
	expect(ADMIN_CMD_CERTIFICATE_IMPORT, 1, "others", args);
	snprintf(args, sizeof args, "{\"certificate\":[\"%s\"]}", path("nothing.pem"));
	expect(ADMIN_CMD_CERTIFICATE_IMPORT, 1, "no such file", args);
	snprintf(args, sizeof args, "{\"certificate\":[\"%s\"]}", config);
	expect(ADMIN_CMD_CERTIFICATE_IMPORT, 1, "neither a certificate nor a key", args);
	expect(ADMIN_CMD_CERTIFICATE_ASSIGN, 1, "no certificate x is kept", "{\"certificate\":\"x\",\"usage\":[\"server\"]}");
	expect(ADMIN_CMD_CERTIFICATE_ASSIGN, 2, "is no name of a certificate", "{\"certificate\":\"..\",\"usage\":[\"server\"]}");
	snprintf(args, sizeof args, "{\"certificate\":\"%s\",\"key\":\"%s\",\"usage\":[\"client\"]}", path("a.pem"), path("a.key"));
	expect(ADMIN_CMD_CERTIFICATE_ASSIGN, 1, "tls.client-certificate and tls.client-key name no files", args);
	assert_int_equal(reloads, 0);
}

/* The daemon cannot use it, for whatever reason: what it used comes back, to the octet. */
static void reload_refused(void **state)
{
	(void)state;
	char args[512], name[64];
	put_pair("live", &(struct pki_spec){.cn = "old", .san = ALL});
	put_pair("new", &(struct pki_spec){.cn = "new", .san = ALL});
	snprintf(args, sizeof args, "{\"certificate\":\"%s\",\"key\":\"%s\",\"usage\":[\"server\"]}", path("new.pem"), path("new.key"));
	reload_exit = 78;
	expect(ADMIN_CMD_CERTIFICATE_ASSIGN, 1, "privkey.pem cannot be read", args);
	assert_string_equal(at_reload, "new");
	first_name("live.pem", name);
	assert_string_equal(name, "old");
	FILE *f = fopen(path("live.key"), "r");
	EVP_PKEY *k = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	X509 *x = read_cert("live.pem");
	assert_int_equal(X509_check_private_key(x, k), 1);
	X509_free(x);
	EVP_PKEY_free(k);
	/* without a daemon the files are simply there */
	reload_exit = -1;
	expect(ADMIN_CMD_CERTIFICATE_ASSIGN, 0, "no daemon answers", args);
	first_name("live.pem", name);
	assert_string_equal(name, "new");
	/* what-if does nothing */
	put_pair("third", &(struct pki_spec){.cn = "third", .san = ALL});
	snprintf(args, sizeof args, "{\"certificate\":\"%s\",\"key\":\"%s\",\"usage\":[\"server\"],\"what-if\":true}", path("third.pem"), path("third.key"));
	json_decref(run(ADMIN_CMD_CERTIFICATE_ASSIGN, 0, "%s", args));
	first_name("live.pem", name);
	assert_string_equal(name, "new");
}

static void links_are_others(void **state)
{
	(void)state;
	char args[512];
	put_pair("new", &(struct pki_spec){.cn = "new", .san = ALL});
	put_pair("certbot", &(struct pki_spec){.cn = "certbot", .san = ALL});
	assert_int_equal(symlink(path("certbot.pem"), path("live.pem")), 0);
	assert_int_equal(symlink(path("certbot.key"), path("live.key")), 0);
	snprintf(args, sizeof args, "{\"certificate\":\"%s\",\"key\":\"%s\",\"usage\":[\"server\"]}", path("new.pem"), path("new.key"));
	expect(ADMIN_CMD_CERTIFICATE_ASSIGN, 1, "symbolic link", args);
	char name[64];
	first_name("certbot.pem", name);
	assert_string_equal(name, "certbot");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(whole_way), T(keys_of_their_own), cmocka_unit_test(where_keys_are), T(never_overwritten), T(refused), T(missing_intermediate), T(no_key), T(reload_refused), T(links_are_others)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
