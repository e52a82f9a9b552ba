/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the room: the SIP federation part of a snapshot, which federation.c fills and snapshot.c owns. */
#pragma once
#include "base/arena.h"
#include "base/map.h"
#include "policy/federation.h"

struct federation {
	struct policy_access access;
	struct map allowed, names, proxies; /* nodes lie in the snapshot's arena */
	const struct policy_allowed **list; /* owned */
	size_t n_list, cap_list;
	const struct policy_provider **providers; /* owned */
	size_t n_providers, cap_providers;
};

void federation_init(struct federation *f);
void federation_free(struct federation *f);

/* snapshot.c */
struct snapshot *snapshot_of(struct snapshot_builder *b);
struct federation *snapshot_federation(const struct snapshot *s);
struct arena *snapshot_arena(const struct snapshot *s);
/* Does this very domain stand on the list of blocked ones (not one above it)? */
bool snapshot_blocked_itself(const struct snapshot *s, struct slice domain);
