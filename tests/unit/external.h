/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of other things than external access: every local user may reach everybody. */
#pragma once
#include "policy/external.h"

static inline void everybody_may(struct snapshot_builder *b)
{
	struct policy_external all = {.name = slice_str("global"), .federation = true, .xmpp = true, .public_cloud = true, .public_cloud_av = true,
				      .description = slice_str("")};
	snapshot_builder_external(b, &all, NULL);
}
