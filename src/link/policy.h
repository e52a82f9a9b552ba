/* SPDX-License-Identifier: Apache-2.0 */
/* The policy as the gateway pushes it to the edge: which domains are ours, the partners, the blocked domains, what holds for all
 * partners, and the secret that dialback keys are made of (one for all edges, so that each can vouch for the others' keys). Where the
 * homes are stays inside. Pure, any thread. */
#pragma once
#include "base/buf.h"
#include "policy/snapshot.h"

enum {
	LINK_POLICY_PART = 256 << 10, /* octets of one piece */
	LINK_POLICY_MAX = 256 << 20,  /* of the whole */
	LINK_SECRET_MAX = 256,
};

/* Appends the whole. */
void link_policy_write(struct buf *b, const struct snapshot *s, struct slice secret);
/* A snapshot with the caller's reference, and the secret (inside `in`). ENTENTE_ESYNTAX (reason link/protocol), or what the snapshot's
 * builder says. */
int link_policy_read(struct snapshot **ret, struct slice *ret_secret, struct slice in, uint64_t generation, struct entente_err *err);
