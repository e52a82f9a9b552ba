/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that only another process has: they serve TLS like any other, their files are refused with the same words, and nothing hangs when that
 * process is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/err.h"
#include "keeper/keeper.h"
#include "keys.h"
#include "net/tls.h"

#ifdef ENTENTE_NO_SANDBOX
enum { CONFINED = false };
#else
enum { CONFINED = true };
#endif

static struct keeper *k;
static EVP_PKEY *made[KINDS];
static X509 *certificates[KINDS];

static struct keeper *start(unsigned lanes, bool apart)
{
	struct keeper *ret = NULL;
	struct entente_err err = {0};
	if (keeper_start(&ret, &(struct keeper_opts){.lanes = lanes, .confine = true, .program = apart ? "/proc/self/exe" : NULL}, &err))
		fail_msg("%s", err.text);
	return ret;
}

static EVP_PKEY *load(const char *name)
{
	EVP_PKEY *ret = NULL;
	struct entente_err err = {0};
	if (keeper_key_load(k, &ret, keys_path(name), &err))
		fail_msg("%s", err.text);
	return ret;
}

static int begin(void **state)
{
	(void)state;
	keys_open();
	for (int i = 0; i < KINDS; i++) {
		char name[32];
		made[i] = keys_make((enum kind)i);
		certificates[i] = keys_certify(made[i]);
		snprintf(name, sizeof name, "%s.key", kind_names[i]);
		keys_write(name, made[i], NULL);
		snprintf(name, sizeof name, "%s.pem", kind_names[i]);
		keys_write_certificate(name, certificates[i]);
	}
	k = start(4, false);
	return 0;
}

static int end(void **state)
{
	(void)state;
	keeper_free(k);
	for (int i = 0; i < KINDS; i++) {
		EVP_PKEY_free(made[i]);
		X509_free(certificates[i]);
	}
	keys_close();
	return 0;
}

/* ---- TLS */

static void shake(enum kind kind, int version, bool as_client, EVP_PKEY *key)
{
	struct keeper_facts before, after;
	struct hands h = {.version = version, .server = certificates[as_client ? P_256 : kind], .server_key = as_client ? made[P_256] : key,
			  .client = as_client ? certificates[kind] : NULL, .client_key = key};
	keeper_facts(k, &before);
	keys_shake(&h);
	keeper_facts(k, &after);
	if (!h.done || X509_cmp(as_client ? h.seen_by_server : h.seen_by_client, certificates[kind]))
		fail_msg("%s, %s, %s", kind_names[kind], version == TLS1_3_VERSION ? "1.3" : version == TLS1_2_VERSION ? "1.2" : "older", as_client ? "client" : "server");
	assert_int_equal(after.signatures - before.signatures, 1);
	X509_free(h.seen_by_client);
	X509_free(h.seen_by_server);
}

static void every_kind_in_both_roles(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++) {
		char name[32];
		snprintf(name, sizeof name, "%s.key", kind_names[i]);
		EVP_PKEY *key = load(name);
		assert_true(keeper_key_is(key));
		assert_false(keeper_key_is(made[i]));
		assert_int_equal(EVP_PKEY_eq(key, made[i]), 1);
		assert_int_equal(EVP_PKEY_eq(made[i], key), 1);
		assert_int_equal(EVP_PKEY_get_bits(key), EVP_PKEY_get_bits(made[i]));
		assert_int_equal(X509_check_private_key(certificates[i], key), 1);
		assert_int_equal(X509_check_private_key(certificates[(i + 1) % KINDS], key), 0);
		for (int role = 0; role < 2; role++) {
			shake((enum kind)i, TLS1_2_VERSION, role, key);
			shake((enum kind)i, TLS1_3_VERSION, role, key);
		}
		EVP_PKEY_free(key);
	}
}

/* For old partners: signatures over MD5 and SHA-1 together, and over SHA-1. */
static void older_versions(void **state)
{
	(void)state;
	EVP_PKEY *rsa = load("RSA.key"), *ec = load("P-256.key");
	for (int role = 0; role < 2; role++) {
		shake(RSA_2048, TLS1_1_VERSION, role, rsa);
		shake(RSA_2048, TLS1_VERSION, role, rsa);
		shake(P_256, TLS1_VERSION, role, ec);
	}
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
}

/* What somebody has who took the server over: the EVP_PKEY. */
static void the_private_half_is_not_there(void **state)
{
	(void)state;
	for (int i = 0; i < KINDS; i++) {
		char name[32];
		unsigned char octets[4096];
		size_t n = sizeof octets;
		OSSL_PARAM *params = NULL;
		BIGNUM *d = NULL;
		snprintf(name, sizeof name, "%s.key", kind_names[i]);
		EVP_PKEY *key = load(name);
		BIO *out = BIO_new(BIO_s_mem());
		assert_int_not_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
		assert_true(i2d_PrivateKey(key, NULL) <= 0);
		assert_int_not_equal(EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params), 1);
		assert_int_not_equal(EVP_PKEY_get_raw_private_key(key, octets, &n), 1);
		assert_int_not_equal(EVP_PKEY_get_bn_param(key, "d", &d), 1);
		assert_int_not_equal(EVP_PKEY_get_bn_param(key, "priv", &d), 1);
		/* nor does it decrypt, or agree on anything */
		EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(key, NULL);
		assert_true(EVP_PKEY_decrypt_init(c) <= 0);
		assert_true(EVP_PKEY_derive_init(c) <= 0);
		EVP_PKEY_CTX_free(c);
		/* the public half is */
		assert_int_equal(EVP_PKEY_todata(key, EVP_PKEY_PUBLIC_KEY, &params), 1);
		OSSL_PARAM_free(params);
		BIO_free(out);
		EVP_PKEY_free(key);
	}
}

static bool verifies(EVP_PKEY *key, EVP_PKEY *pub, const char *text, size_t len)
{
	unsigned char sig[512];
	size_t n = sizeof sig;
	const char *md = EVP_PKEY_is_a(pub, "ED25519") ? NULL : "SHA384";
	EVP_MD_CTX *s = EVP_MD_CTX_new(), *v = EVP_MD_CTX_new();
	bool ok = EVP_DigestSignInit_ex(s, NULL, md, NULL, NULL, key, NULL) == 1 && EVP_DigestSign(s, sig, &n, (const unsigned char *)text, len) == 1 &&
		  EVP_DigestVerifyInit_ex(v, NULL, md, NULL, NULL, pub, NULL) == 1 && EVP_DigestVerify(v, sig, n, (const unsigned char *)text, len) == 1;
	EVP_MD_CTX_free(s);
	EVP_MD_CTX_free(v);
	return ok;
}

/* A client of TLS 1.2 signs all of the handshake, chains included. What is longer is refused, and that alone. */
static void long_messages(void **state)
{
	(void)state;
	static char text[200000];
	EVP_PKEY *ed = load("Ed25519.key"), *ec = load("P-384.key");
	assert_true(verifies(ed, made[ED_25519], text, 0));
	assert_true(verifies(ed, made[ED_25519], text, 96 << 10));
	assert_false(verifies(ed, made[ED_25519], text, (96 << 10) + 1));
	assert_true(verifies(ed, made[ED_25519], "x", 1));
	assert_true(verifies(ec, made[P_384], text, sizeof text));
	EVP_PKEY_free(ed);
	EVP_PKEY_free(ec);
}

struct signer {
	EVP_PKEY *key, *pub;
	unsigned good;
};

static void *sign_often(void *arg)
{
	struct signer *s = arg;
	for (unsigned i = 0; i < 100; i++) {
		char text[32];
		int n = snprintf(text, sizeof text, "%p %u", (void *)s, i);
		s->good += verifies(s->key, s->pub, text, (size_t)n);
	}
	return NULL;
}

/* More threads than lanes; each gets the signature that it asked for. */
static void many_threads(void **state)
{
	(void)state;
	EVP_PKEY *keys[] = {load("P-256.key"), load("Ed25519.key")};
	struct signer signers[8];
	pthread_t threads[8];
	for (int i = 0; i < 8; i++) {
		signers[i] = (struct signer){keys[i % 2], made[i % 2 ? ED_25519 : P_256], 0};
		assert_int_equal(pthread_create(&threads[i], NULL, sign_often, &signers[i]), 0);
	}
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(signers[i].good, 100);
	}
	EVP_PKEY_free(keys[0]);
	EVP_PKEY_free(keys[1]);
}

/* ---- files */

static int material(const char *certificate, const char *key, bool kept, struct entente_err *err)
{
	struct tls_settings s = {.server_chain = keys_path(certificate), .server_key = keys_path(key)};
	struct tls_material *m = NULL;
	tls_set_keeper(kept ? k : NULL);
	int rc = tls_material_load(&m, &s, err);
	tls_material_unref(m);
	tls_set_keeper(NULL);
	return rc;
}

static void the_same_words(void **state)
{
	(void)state;
	static char large[100000];
	static const char *const files[] = {"nowhere.key", "directory.key", "pipe.key", "locked.key", "empty.key", "garbage.key", "P-384.pem", "Ed25519.key", "RSA.key", "none/x.key"};
	memset(large, '\n', sizeof large);
	keys_write("locked.key", made[P_256], "secret");
	keys_write_text("empty.key", "", 0);
	keys_write_text("garbage.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", 58);
	keys_write_text("large.key", large, sizeof large);
	assert_int_equal(mkdir(keys_path("directory.key"), 0700), 0);
	assert_int_equal(mkfifo(keys_path("pipe.key"), 0600), 0);
	int writer = open(keys_path("pipe.key"), O_RDWR); /* whoever reads it himself would wait for one */
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		struct entente_err ours = {0}, kept = {0};
		int a = material("P-256.pem", files[i], false, &ours), b = material("P-256.pem", files[i], true, &kept);
		assert_int_not_equal(a, 0);
		assert_int_equal(a, b);
		assert_string_equal(ours.text, kept.text);
		assert_non_null(strstr(kept.text, files[i]));
	}
	close(writer);
	struct entente_err err = {0};
	assert_int_equal(material("P-256.pem", "large.key", true, &err), ENTENTE_EIO);
	assert_non_null(strstr(err.text, "too large"));
	assert_int_equal(material("P-256.pem", "P-256.key", true, &err), 0);
	assert_int_equal(material("RSA.pem", "RSA.key", true, &err), 0);
	struct keeper_facts f;
	keeper_facts(k, &f);
	assert_int_equal(f.keys, 0);
}

static void relative_paths_and_links(void **state)
{
	(void)state;
	EVP_PKEY *key = NULL;
	struct entente_err err = {0};
	char here[4096], longest[5000];
	assert_non_null(getcwd(here, sizeof here));
	assert_int_equal(chdir(keys_path("")), 0);
	assert_int_equal(symlink("P-256.key", "link.key"), 0);
	assert_int_equal(keeper_key_load(k, &key, "link.key", &err), 0);
	EVP_PKEY_free(key);
	memset(longest, 'a', sizeof longest);
	longest[sizeof longest - 1] = 0;
	assert_int_equal(keeper_key_load(k, &key, longest, &err), ENTENTE_EIO);
	assert_int_equal(chdir(here), 0);
}

static void the_number_of_keys_is_bounded(void **state)
{
	(void)state;
	static EVP_PKEY *keys[KEEPER_KEYS];
	struct entente_err err = {0};
	struct keeper_facts f;
	EVP_PKEY *more = NULL;
	for (int i = 0; i < KEEPER_KEYS; i++)
		keys[i] = load("P-256.key");
	assert_int_equal(keeper_key_load(k, &more, keys_path("P-256.key"), &err), ENTENTE_ELIMIT);
	EVP_PKEY_free(keys[17]);
	keys[17] = load("P-384.key");
	assert_true(verifies(keys[17], made[P_384], "x", 1));
	for (int i = 0; i < KEEPER_KEYS; i++)
		EVP_PKEY_free(keys[i]);
	keeper_facts(k, &f);
	assert_int_equal(f.keys, 0);
}

/* ---- the process */

static void read_proc(pid_t pid, const char *name, char *ret, size_t size)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);
	close(fd);
	ret[n < 0 ? 0 : n] = 0;
}

static unsigned descriptors(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += *e->d_name != '.';
	closedir(d);
	return n;
}

static void it_has_what_it_needs(void **state)
{
	(void)state;
	for (int apart = 0; apart < 2; apart++) {
		struct keeper *mine = start(3, apart);
		struct keeper_facts f;
		char text[8192];
		struct rlimit core;
		keeper_facts(mine, &f);
		assert_int_equal(f.pid, keeper_pid(mine));
		assert_int_equal(f.confined, CONFINED);
		read_proc(f.pid, "status", text, sizeof text);
		assert_non_null(strstr(text, "Name:\tentented: keys\n"));
		assert_non_null(strstr(text, "NoNewPrivs:\t1\n"));
		if (CONFINED) /* the sanitizers have one of their own */
			assert_non_null(strstr(text, "Threads:\t3\n"));
		assert_non_null(strstr(text, CONFINED ? "Seccomp:\t2\n" : "Seccomp:\t0\n"));
		assert_int_equal(descriptors(f.pid), 3 + 1 + 1); /* lanes, life, standard error */
		assert_int_equal(prlimit(f.pid, RLIMIT_CORE, NULL, &core), 0);
		assert_int_equal(core.rlim_max, 0);
		if (apart) {
			char ours[8192];
			read_proc(f.pid, "cmdline", text, sizeof text);
			assert_string_equal(text, "entented: keys");
			/* addresses of its own: what is learned about ours says nothing about its */
			read_proc(f.pid, "maps", text, 17);
			read_proc(getpid(), "maps", ours, 17);
			if (CONFINED) /* the sanitizers put everything where they want it */
				assert_string_not_equal(text, ours);
		}
		keeper_free(mine);
		assert_int_equal(kill(f.pid, 0), -1);
		assert_int_equal(errno, ESRCH);
	}
}

/* Another process of the same user, such as the server, cannot look at it. */
static void nobody_reads_its_memory(void **state)
{
	(void)state;
	pid_t child = fork();
	if (!child) {
		char path[64];
		struct keeper *mine = NULL;
		if (getuid() == 0 && (setgid(65534) || setuid(65534)))
			_exit(2);
		prctl(PR_SET_DUMPABLE, 1); /* a change of user takes that away; the control below needs it */
		if (keeper_start(&mine, &(struct keeper_opts){.lanes = 1}, NULL))
			_exit(3);
		snprintf(path, sizeof path, "/proc/%d/mem", (int)getpid());
		if (open(path, O_RDONLY) < 0)
			_exit(4);
		snprintf(path, sizeof path, "/proc/%d/mem", (int)keeper_pid(mine));
		if (open(path, O_RDONLY) >= 0 || errno != EACCES)
			_exit(5);
		keeper_free(mine);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static bool wait_gone(pid_t pid)
{
	for (uint64_t until = clock_ms() + 30000; clock_ms() < until;) {
		int status;
		if (waitpid(pid, &status, WNOHANG) == pid)
			return true;
		poll(NULL, 0, 5);
	}
	return false;
}

static void it_ends_with_the_server(void **state)
{
	(void)state;
	int pids[2];
	pid_t keepers = 0;
	assert_int_equal(pipe(pids), 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t child = fork();
	if (!child) {
		struct keeper *mine = NULL;
		keepers = keeper_start(&mine, &(struct keeper_opts){.lanes = 2, .confine = true}, NULL) ? -1 : keeper_pid(mine);
		if (write(pids[1], &keepers, sizeof keepers) != sizeof keepers)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pids[0], &keepers, sizeof keepers), sizeof keepers);
	assert_true(keepers > 0);
	kill(keepers, SIGTERM); /* as systemd does to all of a service: not before the server has drained */
	kill(keepers, SIGINT);
	poll(NULL, 0, 50);
	assert_int_equal(waitpid(keepers, NULL, WNOHANG), -1); /* not ours yet, so not ended */
	assert_int_equal(kill(keepers, 0), 0);
	kill(child, SIGKILL);
	assert_true(wait_gone(child));
	assert_true(wait_gone(keepers));
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	close(pids[0]);
	close(pids[1]);
}

static void when_it_is_killed(void **state)
{
	(void)state;
	struct keeper *before = k;
	char why[128];
	struct entente_err err = {0};
	EVP_PKEY *more = NULL;
	k = start(2, true);
	EVP_PKEY *key = load("P-256.key");
	struct hands h = {.version = TLS1_3_VERSION, .server = certificates[P_256], .server_key = key};
	struct pollfd p = {.fd = keeper_fd(k), .events = POLLIN};
	assert_int_equal(poll(&p, 1, 0), 0);
	assert_false(keeper_ended(k, why, sizeof why));
	kill(keeper_pid(k), SIGKILL);
	assert_int_equal(poll(&p, 1, 30000), 1);
	assert_true(keeper_ended(k, why, sizeof why));
	assert_non_null(strstr(why, "signal 9"));
	keys_shake(&h);
	assert_false(h.done);
	X509_free(h.seen_by_client); /* shown, never proven */
	assert_int_equal(keeper_key_load(k, &more, keys_path("P-256.key"), &err), ENTENTE_ECLOSED);
	assert_false(verifies(key, made[P_256], "x", 1));
	k = keeper_free(k);
	EVP_PKEY_free(key); /* outlives it */
	k = before;
}

/* The server may ask for other keys in the folders that it named at the start, and for none elsewhere, whatever the way there is called. */
static void only_from_folders_that_were_named(void **state)
{
	char known[512], links[600];
	(void)state;
	snprintf(known, sizeof known, "%s", keys_path("named"));
	assert_int_equal(mkdir(known, 0700), 0);
	keys_write("outside.key", made[P_256], NULL);
	keys_write("named/one.key", made[P_256], NULL);
	snprintf(links, sizeof links, "%s/link.key", known); /* as certbot's: put there by whoever may write there */
	assert_int_equal(symlink("../outside.key", links), 0);
	for (int apart = 0; apart < 2; apart++) {
		struct keeper *mine = NULL;
		struct entente_err err = {0};
		char beside[600];
		snprintf(beside, sizeof beside, "%s/not-yet-there.key", known);
		const char *const list[] = {beside, "relative.key", "/etc/entente.yaml"};
		assert_int_equal(keeper_start(&mine, &(struct keeper_opts){.lanes = 2, .program = apart ? "/proc/self/exe" : NULL, .beside = list, .n_beside = 3}, &err), 0);
		const struct {
			const char *path;
			int rc;
		} rows[] = {
			{keys_path("named/one.key"), 0},
			{links, 0},
			{keys_path("outside.key"), ENTENTE_EREFUSED},
			{keys_path("named/../outside.key"), ENTENTE_EREFUSED},
			{keys_path("named/deeper/one.key"), ENTENTE_EIO}, /* not there */
			{keys_path("named/deeper/../../outside.key"), ENTENTE_EREFUSED},
			{keys_path("named-not/one.key"), ENTENTE_EREFUSED},
			{"/etc/ssl/private/one.key", ENTENTE_EREFUSED}, /* /etc is no folder with all below */
			{keys_path("named.key"), ENTENTE_EREFUSED},
			{"/one.key", ENTENTE_EREFUSED},
			{"one.key", ENTENTE_EIO}, /* beside relative.key, and not there */
		};
		for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
			EVP_PKEY *key = NULL;
			int rc = keeper_key_load(mine, &key, rows[i].path, &err);
			if (rc != rows[i].rc)
				fail_msg("%s: %d, not %d", rows[i].path, rc, rows[i].rc);
			assert_int_equal(!key, rc != 0);
			EVP_PKEY_free(key);
		}
		assert_int_equal(keeper_key_load(mine, &(EVP_PKEY *){NULL}, keys_path("outside.key"), &err), ENTENTE_EREFUSED);
		assert_non_null(strstr(err.text, "restart the daemon"));
		keeper_free(mine);
	}
	unlink(links);
	unlink(keys_path("named/one.key"));
	rmdir(known);
	struct keeper *mine = NULL;
	const char *many[KEEPER_FOLDERS + 1];
	for (size_t i = 0; i < KEEPER_FOLDERS + 1; i++)
		many[i] = "/a/b";
	assert_int_equal(keeper_start(&mine, &(struct keeper_opts){.lanes = 1, .beside = many, .n_beside = KEEPER_FOLDERS + 1}, NULL), ENTENTE_EIO);
}

static void nonsense_is_refused_at_the_start(void **state)
{
	(void)state;
	struct keeper *mine = NULL;
	struct entente_err err = {0};
	assert_int_equal(keeper_start(&mine, &(struct keeper_opts){.lanes = 0}, &err), ENTENTE_EIO);
	assert_int_equal(keeper_start(&mine, &(struct keeper_opts){.lanes = KEEPER_LANES + 1}, &err), ENTENTE_EIO);
	/* a program that is no keeper ends at once */
	assert_int_equal(keeper_start(&mine, &(struct keeper_opts){.lanes = 1, .program = "/bin/true"}, &err), ENTENTE_EIO);
	assert_non_null(strstr(err.text, "does not start"));
	assert_null(mine);
	/* one that is not there: the fork is the keeper */
	assert_int_equal(keeper_start(&mine, &(struct keeper_opts){.lanes = 1, .program = "/nowhere/entented"}, &err), 0);
	keeper_free(mine);
	/* by hand */
	pid_t child = fork();
	if (!child) {
		close(STDERR_FILENO);
		execl("/proc/self/exe", "entented", "--keeper", "1", "1", "0", "0", NULL);
		_exit(9);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(WEXITSTATUS(status), 2);
}

int main(int argc, char **argv)
{
	keeper_child_main(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_in_both_roles), cmocka_unit_test(older_versions), cmocka_unit_test(the_private_half_is_not_there),
		cmocka_unit_test(long_messages), cmocka_unit_test(many_threads), cmocka_unit_test(the_same_words), cmocka_unit_test(relative_paths_and_links),
		cmocka_unit_test(the_number_of_keys_is_bounded), cmocka_unit_test(it_has_what_it_needs), cmocka_unit_test(nobody_reads_its_memory),
		cmocka_unit_test(it_ends_with_the_server), cmocka_unit_test(when_it_is_killed), cmocka_unit_test(nonsense_is_refused_at_the_start), cmocka_unit_test(only_from_folders_that_were_named),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
