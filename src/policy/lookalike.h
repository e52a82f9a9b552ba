/* SPDX-License-Identifier: Apache-2.0 */
/* Domains that people take for one another: letters of other scripts that look like Latin ones, digits for letters, "rn" for "m", one
 * letter more or less, the same name under another suffix, text that changes direction. For a warning when a partner is added; it
 * decides nothing. Domains in lower-case A-labels. Pure, any thread. */
#pragma once
#include "base/slice.h"
#include "policy/snapshot.h"

enum policy_likeness {
	POLICY_UNLIKE,
	POLICY_LIKE_SKELETON, /* they look the same (UTS 39 skeletons, for the letters that matter) */
	POLICY_LIKE_TYPO,     /* one letter more, less, another or swapped */
	POLICY_LIKE_SUFFIX,   /* the same name under another suffix */
};
enum policy_likeness policy_domain_like(struct slice a, struct slice b);

/* Of what the domain looks like: one of ours, or a partner's (not of the partner `except`). *ret_what lives as long as the
 * snapshot. */
enum policy_likeness policy_lookalike(const struct snapshot *s, struct slice domain, struct slice except, struct slice *ret_what,
				      bool *ret_ours);

/* Does the domain, as people read it, mix scripts within a label, or run from right to left? */
enum { POLICY_ODD_SCRIPTS = 1, POLICY_ODD_BIDI = 2 };
unsigned policy_domain_odd(struct slice domain);
