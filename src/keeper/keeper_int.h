/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of this room. */
#pragma once
#include "keeper/frame.h"
#include "keeper/keeper.h"

/* ---- vault.c: the keys, in the keeper's process */

struct vault;
/* Opens only files in these folders, absolute, which must live as long; n 0: any. */
struct vault *vault_new(const char *const *folders, size_t n);
/* Accepts NULL; returns NULL. */
struct vault *vault_free(struct vault *v);
/* The reply to one request, whatever that is; the length, never 0. `dst` holds KEEPER_REPLY_MAX octets. Any thread. */
size_t vault_answer(struct vault *v, struct slice request, char *dst);

/* ---- child.c: the keeper's process */

enum {
	KEEPER_CONFINED = 1, /* what it says when it is ready, one octet */
	KEEPER_LOCKED = 2,
	KEEPER_READY = 64,
};
struct keeper_child {
	int lanes[KEEPER_LANES];
	unsigned n;
	int life;     /* the writing end: the server sees the end of the file */
	pid_t parent;
	bool confine;
	char *folders[KEEPER_FOLDERS];
	unsigned n_folders;
};
/* Never returns. */
void keeper_child_run(const struct keeper_child *c) __attribute__((noreturn));

/* ---- confine.c */

/* Closes all descriptors but standard error and those of `c`; no core, no memory for others to read, ends with the parent, takes no signals of the
 * terminal or of systemd. Before threads. False: the parent is gone. */
bool keeper_withdraw(const struct keeper_child *c);
/* Leaves all threads of the process only what serving needs. False: this kernel or build cannot. */
bool keeper_confine(void);

/* ---- client.c: the lanes, in the server */

struct keeper *keeper_ref(struct keeper *k);
struct keeper *keeper_unref(struct keeper *k);
/* Makes a signature; the length, 0: there is none. `dst` holds KEEPER_SIGNATURE_MAX octets. Any thread. */
size_t keeper_sign(struct keeper *k, const struct keeper_request *q, char *dst);
void keeper_forget(struct keeper *k, uint32_t handle);

/* ---- provider.c */

/* A key of OpenSSL with `handle` as its private half, which is forgotten with it; NULL: such a public key is none of ours, and the handle is
 * still the caller's. `pub` stays the caller's. */
EVP_PKEY *keeper_key_make(struct keeper *k, uint32_t handle, EVP_PKEY *pub);
