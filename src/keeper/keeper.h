/* SPDX-License-Identifier: Apache-2.0 */
/* The key keeper: a small process of its own that alone opens the files with private keys and makes signatures. The server has public keys
 * and handles: whoever takes it over through what it parses can have things signed while he is in, but carries no key away.
 *
 * A key is an ordinary EVP_PKEY of OpenSSL whose private half is an object of a provider (provider.c) in a library context of its own: its
 * signatures are made by the keeper, everything else by OpenSSL's own provider from the public half. It serves TLS 1.0 to 1.3 as server
 * and as client, with RSA, RSA-PSS, EC, Ed25519 and Ed448 keys. It can only sign: no decryption, so no key exchange by RSA, and no octet of a
 * private key can be had of it.
 *
 * The keeper ends with the server: at the end of file on its sockets, and by PR_SET_PDEATHSIG. When it ends by itself, signatures fail and the
 * server is expected to end too (keeper_fd, keeper_ended): what it holds cannot be replaced from this side. */
#pragma once
#include <openssl/evp.h>
#include <sys/types.h>
#include "base/err.h"

enum {
	KEEPER_LANES = 16,          /* threads of the keeper, most */
	KEEPER_KEYS = 256,          /* keys held at the same time */
	KEEPER_FILE_MAX = 64 << 10, /* octets of a file with a key */
	KEEPER_FOLDERS = 8,         /* it may open files of */
};

struct keeper;

struct keeper_opts {
	unsigned lanes; /* how many signatures may be under way at the same time, 1 to KEEPER_LANES: as many as there are threads that shake
			   hands is best, more share */
	bool confine;   /* leave the keeper only the system calls that it needs (seccomp); keeper_facts says whether that worked */
	const char *program; /* executed in the child, which then has addresses and a heap of its own: a program whose main begins with
				keeper_child_main, "/proc/self/exe". NULL, or it cannot be: the fork is the keeper */
	/* Only files that are in the same folders as these, or below, are opened, at most KEEPER_FOLDERS: the server may ask for other keys there, as a reload does, but
	   whoever has taken it over for none elsewhere. Below: not of the root, what is right below it, or a home, as server.sandbox has it. Folders are compared by
	   their names, with links and all. None: any file. */
	const char *const *beside;
	size_t n_beside;
};

/* Forks the keeper. Before there are threads, and before anything hostile was read: the child gets all memory that is there now. It closes every
 * descriptor but its own and standard error. ENTENTE_EIO when there cannot be one; the text says why. Nothing is left behind then. */
int keeper_start(struct keeper **ret, const struct keeper_opts *o, struct entente_err *err);
/* The first thing in main of a program that is opts.program. Returns when the program was not started as a keeper; never returns when it was. */
void keeper_child_main(int argc, char **argv);
/* No new keys and no more signatures; the keeper ends, and this waits for it, a few seconds at most: if it does not end then, it ends
 * with this process. Keys may outlive it: they hold what they need. Accepts NULL; returns NULL. */
struct keeper *keeper_free(struct keeper *k);

/* Loads a private key from a PEM file without a passphrase. *ret is the caller's (EVP_PKEY_free: with the last reference the keeper forgets
 * the key, too); it may be shared by threads. Paths that are not absolute count from the working directory. The text of an error names the file as it was given
 * and says what tls_material_load always said: ENTENTE_EIO cannot be read, ENTENTE_ETLS holds no usable key, ENTENTE_ELIMIT too many keys,
 * ENTENTE_ECLOSED the keeper is gone, ENTENTE_EREFUSED it is beside none of
 * keeper_opts.beside. Any thread; blocks for one round trip. */
int keeper_key_load(struct keeper *k, EVP_PKEY **ret, const char *path, struct entente_err *err);
/* Is the private half with a keeper? Any key. */
bool keeper_key_is(const EVP_PKEY *key);

pid_t keeper_pid(const struct keeper *k);
/* A descriptor to poll: readable (end of file) when the keeper has ended. Not to be read or closed. */
int keeper_fd(const struct keeper *k);
/* Has it? `why` gets one line: how. One thread, the one that called keeper_start or a later one in its place. */
bool keeper_ended(struct keeper *k, char *why, size_t size);

struct keeper_facts {
	pid_t pid;
	bool confined; /* has only the system calls that it needs */
	bool locked;   /* its keys are in memory that is never swapped out */
	size_t keys;   /* held now */
	uint64_t signatures, failed;
	uint64_t busy_us; /* time that our threads have waited for signatures */
};
/* Any thread. */
void keeper_facts(const struct keeper *k, struct keeper_facts *ret);
