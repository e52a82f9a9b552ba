/* SPDX-License-Identifier: Apache-2.0 */
/* External access policies as Lync Server 2013 has them: what a local user may reach outside. One global policy, at most one for each
 * site, and policies (tags) that are granted to users. The nearest one holds, as a whole: the one granted to the user, else the one of
 * the user's site, else the global one, which denies everything until it is set. A user has a record only where it is needed: for a
 * grant, for a site other than its home's, for the mark of a survivable branch appliance. Who has none costs one hash look-up.
 * The values are in policy/federation.h (struct policy_external, policy_user), their parameters in policy/federation.def. Pure, any thread. */
#pragma once
#include "policy/federation.h"

enum {
	SNAPSHOT_EXTERNAL_MAX = 10000,
	SNAPSHOT_USERS_MAX = 1000000,
	POLICY_EXTERNAL_NAME_MAX = 128,                          /* octets of the name of a site or a tag */
	POLICY_IDENTITY_MAX = POLICY_EXTERNAL_NAME_MAX + 5,       /* with "site:" or "tag:" */
	POLICY_USER_MAX = 1023 + 1 + POLICY_DOMAIN_MAX,           /* octets of an address */
};

/* "global", "site:NAME", "tag:NAME" or NAME alone, which is a tag. *ret_scope, and the name without prefix (in `text`; empty for the
 * global one). ENTENTE_EINVAL with err. */
int policy_external_parse(enum policy_scope *ret_scope, struct slice *ret_name, struct slice text, struct entente_err *err);
/* Is it a possible name of a site or a tag? At most POLICY_EXTERNAL_NAME_MAX octets, none of : * ? and control characters, no space at
 * its ends; and not "global". */
bool policy_external_name_ok(struct slice name);
/* The name as policy_external.name has it. */
void policy_external_print(struct buf *out, enum policy_scope scope, struct slice name);
const char *policy_scope_name(enum policy_scope s); /* "global" "site" "user" */

/* ---- building, after the homes; as the other snapshot_builder functions ---- */
/* Names are compared without case (ASCII). The global policy may be given once, or not at all: then it denies everything.
 * ENTENTE_EEXIST: there is one with the name; ENTENTE_EINVAL: no such name can be. The scope follows from the name. */
int snapshot_builder_external(struct snapshot_builder *b, const struct policy_external *p, struct entente_err *err);
/* After all policies. ENTENTE_EEXIST: there is a record; ENTENTE_EINVAL: not an address, or impossible names. A granted policy that
 * does not exist is no error: nothing is allowed to that user then (the safe side). */
int snapshot_builder_user(struct snapshot_builder *b, const struct policy_user *u, struct entente_err *err);

/* ---- reading ---- */
size_t snapshot_external_count(const struct snapshot *s);
const struct policy_external *snapshot_external_at(const struct snapshot *s, size_t index); /* the global one first, then as added */
/* By "global", "site:NAME", "tag:NAME" or NAME; NULL when there is none. */
const struct policy_external *snapshot_external(const struct snapshot *s, struct slice name);

size_t snapshot_user_count(const struct snapshot *s);
/* NULL: no record. */
const struct policy_user *snapshot_user(const struct snapshot *s, struct slice local, struct slice domain);

/* Which policy holds for a user. */
struct policy_holder {
	const struct policy_external *policy; /* NULL: the record names one that does not exist: nothing is allowed */
	const struct policy_user *user;       /* the record, or NULL */
	struct slice site;                    /* of the record, else of the home; may be empty */
	enum policy_scope scope;
};
/* `local`: the local part of the address as policy_user.address has it; empty: any user of the domain. */
void snapshot_holder(const struct snapshot *s, struct slice local, struct slice domain, struct policy_holder *ret);
/* How many users have been granted the policy. */
size_t snapshot_external_grants(const struct snapshot *s, const struct policy_external *p);
