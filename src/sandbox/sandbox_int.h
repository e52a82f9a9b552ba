/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room. */
#pragma once
#include "sandbox/sandbox.h"

enum sandbox_access { /* what a path is open for */
	SANDBOX_READ = 1,
	SANDBOX_WRITE = 2,  /* what is there and what will be; READ too */
	SANDBOX_DEVICE = 4, /* READ, and writing to what is there */
	SANDBOX_SOCKET = 8, /* unix sockets come and go in it */
};

struct sandbox_path {
	char *path;
	unsigned access; /* enum sandbox_access */
};

struct sandbox_paths {
	struct sandbox_path list[SANDBOX_PATHS_MAX];
	size_t n;
	uint16_t ports[SANDBOX_PORTS_MAX];
	size_t n_ports;
	bool ports_given;
};

/* Landlock: *ret gets landlock, files, ports, scoped, why. ENTENTE_EIO when the kernel has it and refuses all the same. */
int sandbox_landlock(const struct sandbox_opts *o, struct sandbox_level *ret, struct entente_err *err);
/* The filter of system calls: *ret gets syscalls, allowed, why. Comes last. ENTENTE_EIO likewise. */
int sandbox_seccomp(const struct sandbox_opts *o, struct sandbox_level *ret, struct entente_err *err);
/* Appends to why, with "; " between. */
void sandbox_lacks(struct sandbox_level *l, const char *what);
