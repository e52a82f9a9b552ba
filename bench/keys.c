/* SPDX-License-Identifier: Apache-2.0 */
/* bench/keys [SECONDS]: what it costs that private keys are with another process. Full handshakes of TLS 1.3 and 1.2 in memory, both sides in this
 * process, one thread; the server's key is read here, or held by a keeper, in turns. For each: handshakes per second, and processor time per
 * handshake of both processes together. */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/slice.h"
#include "keeper/keeper.h"

enum { ROUNDS = 3 };

static const struct {
	const char *name, *curve;
	unsigned bits;
} kinds[] = {{"P-256", "P-256", 0}, {"RSA-2048", NULL, 2048}, {"RSA-4096", NULL, 4096}};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "keys: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(2);
}

static X509 *certify(EVP_PKEY *key)
{
	X509 *x = X509_new();
	must(x && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) && X509_gmtime_adj(X509_getm_notBefore(x), -3600) && X509_gmtime_adj(X509_getm_notAfter(x), 86400) &&
	     X509_set_pubkey(x, key) && X509_sign(x, key, EVP_sha256()), "no certificate");
	return x;
}

static uint64_t cpu_of(pid_t pid)
{
	clockid_t id;
	struct timespec ts;
	return clock_getcpuclockid(pid, &id) || clock_gettime(id, &ts) ? 0 : (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void shake(SSL_CTX *server, SSL_CTX *client)
{
	SSL *s = SSL_new(server), *c = SSL_new(client);
	BIO *a = NULL, *b = NULL;
	must(s && c && BIO_new_bio_pair(&a, 1 << 16, &b, 1 << 16), "no connection");
	SSL_set_bio(s, a, a);
	SSL_set_bio(c, b, b);
	SSL_set_accept_state(s);
	SSL_set_connect_state(c);
	for (int i = 0; i < 6 && !(SSL_is_init_finished(s) && SSL_is_init_finished(c)); i++) {
		SSL_do_handshake(c);
		SSL_do_handshake(s);
	}
	must(SSL_is_init_finished(s) && SSL_is_init_finished(c), "no handshake");
	SSL_free(s);
	SSL_free(c);
}

struct sum {
	double seconds, cpu;
	unsigned n;
};

static void measure(EVP_PKEY *key, X509 *x, int version, pid_t other, double seconds, struct sum *sum)
{
	SSL_CTX *server = SSL_CTX_new(TLS_server_method()), *client = SSL_CTX_new(TLS_client_method());
	must(server && client && SSL_CTX_use_certificate(server, x) == 1 && SSL_CTX_use_PrivateKey(server, key) == 1 &&
	     SSL_CTX_set_max_proto_version(client, version) == 1, "no context");
	SSL_CTX_set_num_tickets(server, 0);
	SSL_CTX_set_session_cache_mode(server, SSL_SESS_CACHE_OFF);
	uint64_t cpu = cpu_of(getpid()) + (other ? cpu_of(other) : 0), from = clock_ns(), now = from;
	for (; now - from < (uint64_t)(seconds * 1e9); now = clock_ns(), sum->n++)
		shake(server, client);
	sum->seconds += (double)(now - from) / 1e9;
	sum->cpu += (double)(cpu_of(getpid()) + (other ? cpu_of(other) : 0) - cpu) / 1e9;
	SSL_CTX_free(server);
	SSL_CTX_free(client);
}

int main(int argc, char **argv)
{
	keeper_child_main(argc, argv);
	struct keeper *k = NULL;
	struct entente_err err = {0};
	uint64_t want = 1;
	must(argc < 2 || slice_u64(slice_str(argv[1]), 60, &want), "usage: bench/keys [SECONDS]");
	must(!keeper_start(&k, &(struct keeper_opts){.lanes = 2, .confine = true, .program = "/proc/self/exe"}, &err), err.text);
	printf("%-10s %-8s %14s %14s %14s %14s %8s\n", "key", "version", "here, 1/s", "keeper, 1/s", "here, CPU us", "keeper, CPU us", "cost");
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		char path[] = "/tmp/bench-keys-XXXXXX";
		int fd = mkstemp(path);
		FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
		EVP_PKEY *here = kinds[i].curve ? EVP_EC_gen(kinds[i].curve) : EVP_RSA_gen(kinds[i].bits), *kept = NULL;
		must(f && here && PEM_write_PrivateKey(f, here, NULL, NULL, 0, NULL, NULL) == 1 && !fclose(f), "no key");
		must(!keeper_key_load(k, &kept, path, &err), err.text);
		unlink(path);
		X509 *x = certify(here);
		for (int v = 0; v < 2; v++) {
			struct sum sums[2] = {{0}};
			for (int r = 0; r < ROUNDS; r++) { /* in turns, so that other work on the machine meets both */
				measure(here, x, v ? TLS1_2_VERSION : TLS1_3_VERSION, 0, (double)want / ROUNDS, &sums[0]);
				measure(kept, x, v ? TLS1_2_VERSION : TLS1_3_VERSION, keeper_pid(k), (double)want / ROUNDS, &sums[1]);
			}
			double us[2] = {sums[0].cpu * 1e6 / sums[0].n, sums[1].cpu * 1e6 / sums[1].n};
			printf("%-10s %-8s %14.0f %14.0f %14.0f %14.0f %7.1f%%\n", kinds[i].name, v ? "1.2" : "1.3", sums[0].n / sums[0].seconds, sums[1].n / sums[1].seconds, us[0], us[1],
			       (us[1] / us[0] - 1) * 100);
			fflush(stdout);
		}
		X509_free(x);
		EVP_PKEY_free(here);
		EVP_PKEY_free(kept);
	}
	keeper_free(k);
	return 0;
}
