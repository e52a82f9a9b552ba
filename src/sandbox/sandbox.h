/* SPDX-License-Identifier: Apache-2.0 */
/* What the process gives up once it has begun: no new privileges, no capabilities, no core dumps, no system call that its role does not need (seccomp), no
 * file that its configuration does not name (Landlock). Whoever gets code to run in it finds: no program to start, no process to look
 * into, no file but those, no socket but of the families in use.
 *
 * Where. sandbox_enter in the main thread, before any other thread exists (Landlock binds threads, not processes: those that are made later inherit
 * it), and after all that needs more: children are forked, directories made. It cannot be undone. Open descriptors go on
 * working, also those that come later by SCM_RIGHTS; connected and listening sockets too.
 *
 * Best effort or not. SANDBOX_ON takes what the kernel has and says what it was in struct sandbox_level; SANDBOX_REQUIRED fails when the
 * system calls or the files could not be restricted. Linux before 5.13, or without Landlock, restricts no files; each later ABI of Landlock adds something
 * (2: renames between directories, 3: truncation, 4: TCP ports, 5: ioctl on devices, 6: signals and abstract unix sockets).
 *
 * In builds with a sanitizer nothing is done (level.built is false): its runtime needs what is forbidden here. So it is without
 * libseccomp's architecture support.
 *
 * Pure C and the kernel: knows nothing of the configuration; app/confine.c makes the lists. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

enum sandbox_mode { SANDBOX_OFF, SANDBOX_ON, SANDBOX_REQUIRED }; /* as the choices of server.sandbox */

/* Who it is: the columns of syscalls.def. (The key keeper confines itself: keeper/confine.c.) */
enum sandbox_role { SANDBOX_ALL, SANDBOX_EDGE, SANDBOX_GATEWAY };

/* ---- paths: what may be opened. Not for several threads at once. */

struct sandbox_paths;

enum { SANDBOX_PATHS_MAX = 256, SANDBOX_PORTS_MAX = 64 };

struct sandbox_paths *sandbox_paths_new(void);
/* Accepts NULL; returns NULL. */
struct sandbox_paths *sandbox_paths_free(struct sandbox_paths *p);

/* A file that is read, and read again after somebody has put another in its place by rename(2). So it is the folder that may be read, with all below; where
 * the path goes over symbolic links, the folder of each step too (/etc/letsencrypt/live, archive). Only
 * the file itself, as it is now, when the folder is the root, one right below it (/etc, /tmp ...) or somebody's home: too much would be opened with it.
 * An empty path, and one that is not there, is nothing. */
void sandbox_paths_file(struct sandbox_paths *p, const char *path);
/* Exactly this file or folder and all below, for reading. */
void sandbox_paths_read(struct sandbox_paths *p, const char *path);
/* A folder in which files, folders and sockets are read, written, made, renamed and deleted. It must be there when sandbox_enter is called. */
void sandbox_paths_write(struct sandbox_paths *p, const char *directory);
/* A unix socket is made, replaced and deleted there: in its folder sockets may be made, and what is there deleted. */
void sandbox_paths_socket(struct sandbox_paths *p, const char *path);
/* What the libraries read: resolver and name service files, time zone, OpenSSL's configuration, shared objects, /proc; and /dev/null, written. */
void sandbox_paths_system(struct sandbox_paths *p);
/* A TCP port that may be bound to; 0 (any free one) always may. Without a call all ports may. */
void sandbox_paths_port(struct sandbox_paths *p, uint16_t port);

/* Would these paths let this file be opened for reading (it, or what would be put there by rename)? For a reload that names a
 * new path: false is a setting that needs a restart. True for an empty path, and for one that is not there below a folder that is permitted. */
bool sandbox_paths_cover(const struct sandbox_paths *p, const char *path);

/* ---- entering */

struct sandbox_opts {
	enum sandbox_mode mode;
	enum sandbox_role role;
	const struct sandbox_paths *paths;
	const char *const *keys; size_t n_keys; /* files that another process holds: are they out of reach? level.hidden tells */
	uint64_t keep;  /* bits 1 << CAP_...: capabilities that stay when we have them (CAP_NET_BIND_SERVICE for ports below 1024) */
	bool abstract;  /* abstract unix sockets stay reachable ($NOTIFY_SOCKET names one) */
};

struct sandbox_level { /* what was reached; all zero before sandbox_enter */
	bool built;          /* this program can: it is no sanitizer build */
	bool entered;        /* mode was not off */
	bool privileges;     /* no new privileges, no core dumps, not dumpable */
	bool syscalls;       /* the filter of system calls is in force */
	bool files;          /* Landlock restricts files */
	bool hidden;         /* and all of `keys`, of which there is one at least, lie outside of the paths */
	bool ports;          /* and TCP ports */
	bool scoped;         /* and signals (and abstract sockets) */
	int landlock;        /* ABI of the kernel; 0: none */
	unsigned allowed;    /* system calls that the role may use */
	uint64_t capabilities; /* that we still have */
	char why[160];       /* what could not be had, in words; empty: nothing */
};

/* See above. Errors: ENTENTE_EINVAL (another thread is there already), ENTENTE_EUNSUPPORTED (mode is required, *err says what is missing and
 * who can help), ENTENTE_EIO (the kernel refused something that it has). *ret is filled in any case. */
int sandbox_enter(const struct sandbox_opts *o, struct sandbox_level *ret, struct entente_err *err);

/* "seccomp (142 system calls), Landlock ABI 7 (files, ports, signals), no capabilities"; "off". Returns dst. */
char *sandbox_level_text(const struct sandbox_level *l, char *dst, size_t size);
