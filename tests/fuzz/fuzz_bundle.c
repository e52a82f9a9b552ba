/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are said to be certificates: whatever they hold, a pair comes out whole or not at all. */
#include <stdlib.h>
#include "plan/bundle.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct plan_bundle *b = plan_bundle_new();
	struct plan_pair pair;
	struct entente_err err = {0};
	struct slice s = slice_of((const char *)p, n);
	/* without a password: how often one is to be hashed is written in the file, and that would be all the time we have */
	int rc = plan_bundle_add(b, s, "a", SLICE_NONE, &err);
	if (rc && !*err.text)
		abort();
	plan_bundle_add_key(b, s, "b", SLICE_NONE);
	if (plan_bundle_pair(&pair, b, &err) == 0) {
		if (!pair.facts || !pair.chain.len || !pair.key.len || !pair.n_chain || pair.n_chain > 16)
			abort();
		plan_pair_clear(&pair);
	}
	plan_bundle_free(b);
	return 0;
}
