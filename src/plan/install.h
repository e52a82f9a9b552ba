/* SPDX-License-Identifier: Apache-2.0 */
/* Files that a service reads while they are replaced: the new octets are on the disk before the name leads to them, what stood there stays beside
 * it as NAME.previous, and a certificate and its key are replaced together or not at all. Any thread; may wait for the disk. */
#pragma once
#include "base/err.h"

enum { PLAN_PATH_MAX = 4096 };

/* Whose the files are to be: those of the file that is replaced, else group `entente` where that exists and we may; mode 0640. */

/* A new file. ENTENTE_EEXIST: there is one, and not `replace` (then the old one becomes NAME.previous). ENTENTE_EIO. */
int plan_file_write(const char *path, struct slice octets, bool replace, struct entente_err *err);

/* The folder for private keys of a server with this configuration file: the one that the file is in with -keys behind its name (/etc/entente-keys), or entente-keys
 * in it when that is the root, right below the root, or a home. server.sandbox opens folders with all below, and this is below none that it opens. False: too long. */
bool plan_key_folder(char ret[PLAN_PATH_MAX], const char *config_path);

/* A certificate and its key: prepared beside their places, looked at, then put there. */
struct plan_install {
	char chain[PLAN_PATH_MAX], key[PLAN_PATH_MAX];         /* places */
	char new_chain[PLAN_PATH_MAX], new_key[PLAN_PATH_MAX]; /* what is prepared; empty: nothing */
};
/* ENTENTE_EIO: err says what is in the way; ENTENTE_EREFUSED: a place is a symbolic link, some other program cares for it. Nothing is left
 * behind then. */
int plan_install_prepare(struct plan_install *i, const char *chain_path, const char *key_path, struct slice chain, struct slice key, struct entente_err *err);
/* Puts both in place; when the second fails the first is taken back. Ends the preparation in any case. */
int plan_install_commit(struct plan_install *i, struct entente_err *err);
void plan_install_abort(struct plan_install *i);

/* Reads a whole file of at most `max` octets, for the caller to wipe. ENTENTE_ENOTFOUND, ENTENTE_EIO, ENTENTE_ELIMIT. "-": standard
 * input. */
struct buf;
int plan_file_read(struct buf *ret, const char *path, size_t max, struct entente_err *err);
