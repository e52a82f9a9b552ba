/* SPDX-License-Identifier: Apache-2.0 */
/* A small world for a daemon that locks itself in: its folders, what it may open and what it may not; and children in which things are tried. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include "sandbox/sandbox.h"

struct world {
	char top[64];
	char config[96], certificate[96], key[96]; /* in top/etc, top/tls, top/keys */
	char state[96], run[96];                   /* folders */
	char secret[96], shared[96];               /* top/elsewhere/secret; top/elsewhere, where all may write */
	uint16_t ours, other;                      /* ports that are free; only `ours` is in the list */
};

void world_make(struct world *w);
void world_remove(struct world *w);
/* Enters as the daemon does whose keys another process holds. What sandbox_enter returns. */
int world_enter(const struct world *w, enum sandbox_role role, enum sandbox_mode mode, struct sandbox_level *ret, struct entente_err *err);

enum { ENDED_BY_SIGSYS = -1, ENDED_OTHERWISE = -2 };

/* In a child: enters (unless `free`), then calls fn. What fn returned, 0 to 250, or one of the above. */
int world_try(const struct world *w, enum sandbox_role role, bool free, int (*fn)(const struct world *w));
/* In a child too, without entering. */
int world_child(int (*fn)(const struct world *w), const struct world *w);

/* open for reading; 0 or errno */
int world_open(const char *path, int flags);
bool world_spill(const char *path, const char *text);
struct sockaddr_in world_loopback(uint16_t port);
