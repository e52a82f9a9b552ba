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

/* All texts of the object into the arena; false: no room. */
bool federation_own(struct arena *a, enum policy_table t, void *object);
/* One line without control characters, of at most so many octets. */
bool federation_line_ok(struct slice value, uint64_t max);

/* ---- external.c: the external access policies and the users of a snapshot */
struct external {
	struct map policies, users; /* nodes lie in the snapshot's arena; policies: keys in lower case */
	const struct policy_external **list; /* owned; the global one first */
	size_t n_list, cap_list;
	const struct policy_external **of_home; /* owned; which holds for users without a record, by home */
	struct policy_external closed; /* the global one, while none is given */
};
void external_init(struct external *x);
void external_free(struct external *x);
void external_freeze(struct external *x, const struct snapshot *s);

/* snapshot.c */
struct external *snapshot_externals(const struct snapshot *s);
struct snapshot *snapshot_of(struct snapshot_builder *b);
struct federation *snapshot_federation(const struct snapshot *s);
struct arena *snapshot_arena(const struct snapshot *s);
/* Does this very domain stand on the list of blocked ones (not one above it)? */
bool snapshot_blocked_itself(const struct snapshot *s, struct slice domain);
